//! The contract as a sequential object: one execution, and one request after another.
//!
//! It is written from docs/api.md and the README's table, and does not call the store's rules. The only code that it shares
//! with the service is the table in `shared/model/src/status.rs`, which has a hand-written copy in its tests.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ratchet_model::status::Status;
use ratchet_model::wire_name::WireName;
use serde_json::{Value, json};
use todc_utils::Specification;

/// The fields whose values come back as they were sent, and their values before the first is sent.
const FIELDS: [(&str, &str); 7] = [
    ("final_output", "null"),
    ("error_message", "null"),
    ("error_details", "null"),
    ("tokens_used", "null"),
    ("tool_calls_count", "0"),
    ("performance_metrics", "{}"),
    ("metadata", "{}"),
];

/// The fields that a terminal status freezes, in the order in which a refusal names them.
const FROZEN: [&str; 7] =
    ["completed_at", "duration_ms", "timeout_seconds", "final_output", "error_message", "error_details", "retry_count"];

/// The operation of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Route {
    /// `PATCH /flows/executions/{id}`
    Update,
    /// `PATCH /executions/{id}`
    UpdateStatus,
}

/// A request to change the execution.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// The operation.
    pub route: Route,
    /// The body.
    pub body: Value,
    /// The Idempotency-Key.
    pub key: Option<String>,
    /// The version that If-Match names.
    pub if_match: Option<i64>,
    /// The id of the API key.
    pub by: &'static str,
}

/// A request.
#[derive(Debug, Clone, PartialEq)]
pub enum Request {
    /// Execute flow: the beginning of every history.
    Create,
    /// Get execution.
    Read,
    /// List transitions.
    Log,
    /// Either PATCH.
    Change(Change),
    /// Not a request: the time after the last look.
    End,
}

/// A time or duration that the service sets unless the writer does.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Ended {
    /// null.
    Not,
    /// Set by the service.
    Service,
    /// Set by the writer, as JSON.
    Given(String),
}

impl Ended {
    fn looks_like(&self, seen: &Self) -> bool {
        match (self, seen) {
            (Self::Not, Self::Not) | (Self::Service, Self::Given(_) | Self::Service) => true,
            (Self::Given(value), Self::Given(seen)) => value == seen,
            _ => false,
        }
    }
}

/// The parts of a record that requests change.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Record {
    /// Its status.
    pub status: Status,
    /// The version in its `ETag`.
    pub version: i64,
    /// How often it was claimed.
    pub attempt: i64,
    /// `timeout_seconds`
    pub timeout: i64,
    /// How often it was retried.
    pub retry_count: i64,
    /// How often it may be retried.
    pub max_retries: i64,
    /// `completed_at`
    pub completed_at: Ended,
    /// `duration_ms`
    pub duration_ms: Ended,
    /// [`FIELDS`], as JSON.
    pub fields: [String; FIELDS.len()],
}

impl Record {
    /// Reads a record as the API shows it.
    pub fn read(body: &Value, version: i64) -> Option<Self> {
        let ended = |name: &str| match &body[name] {
            Value::Null => Ended::Not,
            value => Ended::Given(value.to_string()),
        };
        Some(Self {
            status: Status::parse(body["status"].as_str()?)?,
            version: body["version"].as_i64().filter(|shown| *shown == version)?,
            attempt: body["attempt"].as_i64()?,
            timeout: body["timeout_seconds"].as_i64()?,
            retry_count: body["retry_count"].as_i64()?,
            max_retries: body["max_retries"].as_i64()?,
            completed_at: ended("completed_at"),
            duration_ms: ended("duration_ms"),
            fields: FIELDS.map(|(name, _)| body[name].to_string()),
        })
    }

    fn looks_like(&self, seen: &Self) -> bool {
        let Self { status, version, attempt, timeout, retry_count, max_retries, completed_at, duration_ms, fields } =
            self;
        (status, version, attempt, timeout) == (&seen.status, &seen.version, &seen.attempt, &seen.timeout)
            && (retry_count, max_retries, fields) == (&seen.retry_count, &seen.max_retries, &seen.fields)
            && completed_at.looks_like(&seen.completed_at)
            && duration_ms.looks_like(&seen.duration_ms)
    }
}

/// An entry of the transition log.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Transition {
    /// The status before.
    pub from: Status,
    /// The status after.
    pub to: Status,
    /// The API key's id.
    pub by: String,
    /// The reason given, as JSON.
    pub reason: String,
    /// The attempt that it began or belongs to.
    pub attempt: i64,
    /// The version after it.
    pub version: i64,
}

impl Transition {
    /// Reads one as the API shows it.
    pub fn read(body: &Value) -> Option<Self> {
        Some(Self {
            from: Status::parse(body["from"].as_str()?)?,
            to: Status::parse(body["to"].as_str()?)?,
            by: body["by"].as_str()?.to_owned(),
            reason: body["reason"].to_string(),
            attempt: body["attempt"].as_i64()?,
            version: body["version"].as_i64()?,
        })
    }
}

/// The answer to a successful change.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "the large one is the usual one")]
pub enum View {
    /// The record.
    Record(Record),
    /// Update execution status: two statuses, and the record's version in the `ETag`.
    Statuses {
        /// `previous_status`
        previous: Status,
        /// `current_status`
        current: Status,
        /// The `ETag`'s.
        version: i64,
    },
}

impl View {
    const fn version(&self) -> i64 {
        match self {
            Self::Record(record) => record.version,
            Self::Statuses { version, .. } => *version,
        }
    }

    fn shows(&self, record: &Record) -> bool {
        match self {
            Self::Record(seen) => record.looks_like(seen),
            Self::Statuses { version, .. } => *version == record.version,
        }
    }

    /// Whether the statuses, if it shows any, are those of a transition.
    fn has_statuses_of(&self, transition: Option<(Status, Status)>) -> bool {
        match self {
            Self::Record(_) => true,
            Self::Statuses { previous, current, .. } => transition == Some((*previous, *current)),
        }
    }
}

/// The answer to a request.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// A record, of execute flow and get execution.
    Record(Record),
    /// Of list transitions.
    Log(Vec<Transition>),
    /// A success of a PATCH.
    Changed {
        /// What it shows.
        view: View,
        /// `Idempotency-Replayed: true`
        replayed: bool,
    },
    /// 409 for a claim that took effect, where another worker has claimed since.
    Superseded {
        /// The attempt that it began.
        begun: i64,
        /// The present one.
        current: i64,
    },
    /// An error that explains why the request is refused.
    Refused {
        /// HTTP's status code.
        status: u16,
        /// `error_code`
        code: String,
        /// `detail`
        detail: String,
    },
    /// 503 `STORE_UNAVAILABLE`: nothing was changed, by docs/api.md. A write with this answer must never show.
    Unavailable,
    /// 503 `OUTCOME_UNKNOWN`, or no answer at all: it may have taken effect, or may still.
    Unknown,
    /// An answer that the contract does not have.
    Wrong(String),
}

/// The request that an Idempotency-Key was used for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Use {
    body: String,
    transition: Option<(Status, Status)>,
    /// The attempt that it began, if it was a claim.
    begun: Option<i64>,
}

/// The execution after some requests.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct State {
    record: Option<Record>,
    log: Vec<Transition>,
    keys: BTreeMap<(Route, String), Use>,
    /// The requests that have taken effect, by operation.
    effects: BTreeSet<usize>,
    /// The looks that have been done, by their position in the list.
    looked: BTreeSet<usize>,
    ended: bool,
}

/// How the contract decides about a change.
enum Verdict {
    Apply(Box<State>, Option<(Status, Status)>),
    Replay(Use),
    Superseded { begun: i64, current: i64 },
    Refuse { status: u16, code: &'static str, naming: Vec<String> },
}

impl State {
    /// A new execution.
    pub fn new(max_retries: i64) -> Self {
        let record = Record {
            status: Status::Pending,
            version: 1,
            attempt: 0,
            timeout: 300,
            retry_count: 0,
            max_retries,
            completed_at: Ended::Not,
            duration_ms: Ended::Not,
            fields: FIELDS.map(|(_, default)| default.to_owned()),
        };
        Self { record: Some(record), ..Self::default() }
    }

    fn judge(&self, change: &Change) -> Option<Verdict> {
        let record = self.record.as_ref()?;
        let body = change.body.to_string();
        let key = change.key.clone().map(|key| (change.route, key));
        if let Some(used) = key.as_ref().and_then(|key| self.keys.get(key)) {
            return Some(match used.begun {
                _ if used.body != body => refuse(422, "IDEMPOTENCY_KEY_REUSED", []),
                Some(begun) if begun != record.attempt => Verdict::Superseded { begun, current: record.attempt },
                _ => Verdict::Replay(used.clone()),
            });
        }
        if let Some(refusal) = refusal(record, change) {
            return Some(refusal);
        }
        let mut next = self.clone();
        let (record, transition) = next.apply(change)?;
        let begun = transition.filter(|(_, to)| *to == Status::Running).map(|_| record.attempt);
        next.record = Some(record);
        if let Some(key) = key {
            next.keys.insert(key, Use { body, transition, begun });
        }
        Some(Verdict::Apply(Box::new(next), transition))
    }

    /// The record after a change that no rule refuses. Logs its transition.
    fn apply(&mut self, change: &Change) -> Option<(Record, Option<(Status, Status)>)> {
        let mut record = self.record.clone()?;
        let sent = sent(change);
        // To speak for an attempt is a condition, and changes nothing by itself.
        if sent.as_object()?.iter().all(|(name, value)| value.is_null() || name == "attempt") {
            return Some((record, None));
        }
        record.version += 1;
        for ((name, _), value) in FIELDS.iter().zip(&mut record.fields) {
            if !sent[*name].is_null() {
                *value = sent[*name].to_string();
            }
        }
        let to = sent["status"].as_str().and_then(Status::parse);
        record.attempt += i64::from(to == Some(Status::Running));
        record.timeout = sent["timeout_seconds"].as_i64().unwrap_or(record.timeout);
        match sent["retry_count"].as_i64() {
            Some(count) => record.retry_count = count,
            None if to == Some(Status::Retrying) => record.retry_count += 1,
            None => {}
        }
        // What a former attempt said is cleared where the next one begins, and its errors by a result.
        if matches!(to, Some(Status::Running | Status::Completed)) {
            for ((name, _), value) in FIELDS.iter().zip(&mut record.fields) {
                if ["error_message", "error_details"].contains(name) && sent[*name].is_null() {
                    "null".clone_into(value);
                }
            }
        }
        let terminal = to.is_some_and(Status::is_terminal);
        let ran = self.log.iter().any(|transition| transition.to == Status::Running);
        for (name, value) in [("completed_at", &mut record.completed_at), ("duration_ms", &mut record.duration_ms)] {
            if !sent[name].is_null() {
                *value = Ended::Given(sent[name].to_string());
            } else if terminal {
                // Where it never ran, no time passed between a start and the end.
                *value = if name == "duration_ms" && !ran { Ended::Not } else { Ended::Service };
            } else if to == Some(Status::Running) {
                *value = Ended::Not;
            }
        }
        let Some(to) = to else { return Some((record, None)) };
        let from = std::mem::replace(&mut record.status, to);
        let reason = sent["error_message"].to_string();
        let (attempt, version) = (record.attempt, record.version);
        self.log.push(Transition { from, to, by: change.by.to_owned(), reason, attempt, version });
        Some((record, Some((from, to))))
    }

    /// The answer of the contract to a request in this state, and the state after it.
    pub fn answer(&self, request: &Request) -> Option<(Answer, Self)> {
        let record = |state: &Self| state.record.clone().map(Answer::Record);
        Some(match request {
            Request::Create | Request::Read => (record(self)?, self.clone()),
            Request::Log => (Answer::Log(self.log.clone()), self.clone()),
            Request::End => return None,
            Request::Change(change) => {
                let changed = |state: &Self, transition: Option<(Status, Status)>, replayed| {
                    let record = state.record.clone()?;
                    let view = match (change.route, transition) {
                        (Route::Update, _) => View::Record(record),
                        (Route::UpdateStatus, Some((previous, current))) => {
                            View::Statuses { previous, current, version: record.version }
                        }
                        (Route::UpdateStatus, None) => return None,
                    };
                    Some(Answer::Changed { view, replayed })
                };
                match self.judge(change)? {
                    Verdict::Apply(next, transition) => (changed(&next, transition, false)?, *next),
                    Verdict::Replay(used) => (changed(self, used.transition, true)?, self.clone()),
                    Verdict::Superseded { begun, current } => (Answer::Superseded { begun, current }, self.clone()),
                    Verdict::Refuse { status, code, naming } => {
                        let detail = naming.join(" ");
                        (Answer::Refused { status, code: code.to_owned(), detail }, self.clone())
                    }
                }
            }
        })
    }
}

fn refuse<const N: usize>(status: u16, code: &'static str, naming: [String; N]) -> Verdict {
    Verdict::Refuse { status, code, naming: naming.into() }
}

/// The fields of a body, by the names that they have in the record.
fn sent(change: &Change) -> Value {
    match change.route {
        Route::Update => change.body.clone(),
        Route::UpdateStatus => json!({
            "status": change.body["status"],
            "error_details": change.body["error_info"],
            "error_message": change.body["error_info"]["message"].as_str(),
        }),
    }
}

/// The first rule that refuses a change, in the order of docs/api.md, and what its answer must name.
fn refusal(record: &Record, change: &Change) -> Option<Verdict> {
    let Record { status, version, retry_count, max_retries, .. } = record;
    if change.if_match.is_some_and(|wanted| wanted != *version) {
        return Some(refuse(412, "PRECONDITION_FAILED", [format!("\"{version}\"")]));
    }
    let sent = sent(change);
    if sent["attempt"].as_i64().is_some_and(|attempt| attempt != record.attempt) {
        return Some(refuse(409, "ATTEMPT_SUPERSEDED", [format!("attempt {}", record.attempt)]));
    }
    let to = sent["status"].as_str().and_then(Status::parse);
    if let Some(to) = to {
        let allowed = to.allowed_sources().contains(status)
            && (change.route == Route::Update || matches!(status, Status::Running | Status::Interrupted));
        let naming = format!("The status cannot change from {status} to {to}: ");
        if !allowed {
            return Some(refuse(400, "INVALID_STATUS_TRANSITION", [naming]));
        }
        if to == Status::Retrying && retry_count >= max_retries {
            let used = format!("{retry_count} of {max_retries} retries are used");
            return Some(refuse(400, "INVALID_STATUS_TRANSITION", [naming, used]));
        }
    } else if status.is_terminal() {
        let frozen: Vec<&str> = FROZEN.into_iter().filter(|name| !sent[*name].is_null()).collect();
        if !frozen.is_empty() {
            let naming = [format!("is {status} "), format!(" {} cannot change", frozen.join(", "))];
            return Some(refuse(400, "EXECUTION_FINISHED", naming));
        }
    }
    let min = retry_count + i64::from(to == Some(Status::Retrying));
    let wrong_count = sent["retry_count"].as_i64().filter(|count| *count < min || count > max_retries);
    if let Some(count) = wrong_count {
        let bounds = format!("at least {min} and at most {max_retries} ");
        return Some(refuse(400, "INVALID_RETRY_COUNT", [format!("cannot become {count}: "), bounds]));
    }
    sent["timeout_seconds"].as_i64().filter(|timeout| *timeout < record.timeout).map(|timeout| {
        let bound = format!("is {} now", record.timeout);
        refuse(400, "INVALID_TIMEOUT", [format!("cannot become {timeout}: "), bound])
    })
}

/// A request, or the part of a request, that changes nothing: a look.
///
/// The success of a change has two parts, its effect and a look. If an attempt was in doubt, and the next attempt found the
/// change applied, the answer shows the record as it is *then*: another writer's change may be in it already.
///
/// Looks are not steps of the search. Each is done in the first state that fits it and that comes late enough. That is never
/// worse than a later state, so the search decides on the order of effects alone.
#[derive(Debug)]
pub struct Look {
    /// The request.
    pub request: Arc<Request>,
    /// The answer.
    pub answer: Arc<Answer>,
    /// The effects that came before, by operation: those that had been answered when this was sent, and its own.
    pub effects_before: Vec<usize>,
    /// The looks that had been answered when this was sent, by their position in the list.
    pub looks_before: Vec<usize>,
}

impl Look {
    /// Whether the contract allows the answer in this state.
    fn fits(&self, state: &State) -> Option<bool> {
        let record = state.record.as_ref()?;
        Some(match (self.request.as_ref(), self.answer.as_ref()) {
            (Request::Read, Answer::Record(seen)) => record.looks_like(seen),
            (Request::Log, Answer::Log(seen)) => state.log == *seen,
            (Request::Change(_), Answer::Changed { view, replayed: false }) => view.shows(record),
            (Request::Change(change), Answer::Changed { view, replayed: true }) => match state.judge(change)? {
                Verdict::Replay(used) => view.has_statuses_of(used.transition) && view.shows(record),
                _ => false,
            },
            // Its own effect, or that of an earlier request with its key, is a step before this.
            (Request::Change(change), Answer::Superseded { begun, current }) => {
                let own = match &change.key {
                    Some(key) => state.keys.get(&(change.route, key.clone())).and_then(|used| used.begun),
                    None => Some(*begun),
                };
                own == Some(*begun) && begun < current && record.attempt == *current
            }
            (Request::Change(change), Answer::Refused { status, code, detail }) => match state.judge(change)? {
                Verdict::Refuse { status: expected, code: name, naming } => {
                    *status == expected && code == name && naming.iter().all(|part| detail.contains(part.as_str()))
                }
                _ => false,
            },
            _ => false,
        })
    }

    /// Whether no later state can fit: versions only rise, and the log only grows at its end. The log that is read last
    /// leaves little choice among the changes of status without an answer.
    fn missed(&self, state: &State) -> bool {
        let version = state.record.as_ref().map_or(0, |record| record.version);
        match self.answer.as_ref() {
            Answer::Record(seen) => seen.version < version,
            Answer::Changed { view, .. } => view.version() < version,
            Answer::Log(seen) => !seen.starts_with(&state.log),
            _ => false,
        }
    }
}

/// One step of the search: a request that may change something.
#[derive(Debug, Clone)]
pub struct Step {
    /// The index of the operation in the history.
    pub operation: usize,
    /// The request.
    pub request: Arc<Request>,
    /// The answer.
    pub answer: Arc<Answer>,
    /// All looks of the history, by their invocations.
    pub looks: Arc<Vec<Look>>,
    /// The looks that had been answered when this was sent.
    pub looks_before: Vec<usize>,
}

impl Step {
    /// The state after this step; `None` if the contract does not allow it in `state`.
    fn take(&self, state: &State) -> Option<State> {
        if !self.looks_before.iter().all(|look| state.looked.contains(look)) {
            return None;
        }
        let mut next = match (self.request.as_ref(), self.answer.as_ref()) {
            (Request::Create, Answer::Record(seen)) if state.record.is_none() => {
                let new = State::new(seen.max_retries);
                new.record.as_ref()?.looks_like(seen).then_some(new)?
            }
            (Request::Change(change), Answer::Superseded { begun, .. }) => match state.judge(change)? {
                Verdict::Apply(next, Some((_, Status::Running))) if next.record.as_ref()?.attempt == *begun => *next,
                // Applied before, by an earlier request with its key.
                Verdict::Replay(used) if used.begun == Some(*begun) => state.clone(),
                Verdict::Superseded { begun: other, .. } if other == *begun => state.clone(),
                _ => return None,
            },
            (Request::End, _) => State { ended: true, ..state.clone() },
            (Request::Change(change), Answer::Changed { view, replayed: false }) => match state.judge(change)? {
                Verdict::Apply(next, transition) if view.has_statuses_of(transition) => *next,
                _ => return None,
            },
            // A request without an effect may as well have come after the end: one position for "never" is enough.
            (Request::Change(_), Answer::Unknown) if state.ended => return Some(state.clone()),
            (Request::Change(change), Answer::Unknown) => match state.judge(change)? {
                Verdict::Apply(next, _) => *next,
                _ => return None,
            },
            _ => return None,
        };
        next.effects.insert(self.operation);
        for (index, look) in self.looks.iter().enumerate() {
            if next.looked.contains(&index) {
                continue;
            }
            let due = look.effects_before.iter().all(|effect| next.effects.contains(effect))
                && look.looks_before.iter().all(|look| next.looked.contains(look));
            if due && look.fits(&next)? {
                next.looked.insert(index);
            } else if next.ended || look.missed(&next) {
                return None;
            }
        }
        Some(next)
    }
}

/// The contract, for the checker.
#[derive(Debug)]
pub struct Contract;

impl Specification for Contract {
    type State = State;
    type Operation = Step;

    fn init() -> State {
        State::default()
    }

    fn apply(step: &Step, state: &State) -> (bool, State) {
        match step.take(state) {
            Some(next) => (true, next),
            None => (false, state.clone()),
        }
    }
}
