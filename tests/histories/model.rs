//! The contract as a sequential object: one execution, and one request after another.
//!
//! It is written from docs/api.md and the README's table, and does not call the store's rules. The only code that it shares
//! with the service is the table in `shared/model/src/status.rs`, which has a hand-written copy in its tests. When it is
//! overdue is in [`crate::overdue`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ratchet_model::status::Status;
use ratchet_model::wire_name::WireName;
use serde_json::{Value, json};
use todc_utils::Specification;

use crate::overdue::{Asked, Span, Watch};

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
    /// `POST /executions/{id}/cancel`
    Cancel,
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

/// The limits that an execution is created with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// `max_retries`
    pub max_retries: i64,
    /// `timeout_seconds`
    pub timeout: i64,
    /// `heartbeat_timeout_seconds`
    pub heartbeat_timeout: Option<i64>,
    /// `start_timeout_seconds`
    pub start_timeout: Option<i64>,
}

/// A request.
#[derive(Debug, Clone, PartialEq)]
pub enum Request {
    /// Execute flow: the beginning of every history.
    Create(Limits),
    /// Get execution.
    Read,
    /// List transitions.
    Log,
    /// Either PATCH, or cancel execution.
    Change(Change),
    /// Record heartbeat.
    Heartbeat {
        /// The attempt in its body.
        attempt: Option<i64>,
        /// The id of the API key.
        by: &'static str,
    },
    /// Not a request of a caller: a pass of supervision.
    Pass,
    /// Not a request: so many milliseconds pass.
    Advance(i64),
    /// Not a request: the time after the last look.
    End,
}

impl Request {
    /// Whether it is written without a transition and without an Idempotency-Key.
    pub fn is_unkeyed_update(&self) -> bool {
        let Self::Change(change) = self else { return false };
        change.key.is_none() && (change.route == Route::Cancel || change.body.get("status").is_none())
    }
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
    /// `heartbeat_timeout_seconds`
    pub heartbeat_timeout: Option<i64>,
    /// `start_timeout_seconds`
    pub start_timeout: Option<i64>,
    /// Whether it has a `cancel_requested_at`.
    pub cancel_requested: bool,
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
            heartbeat_timeout: body["heartbeat_timeout_seconds"].as_i64(),
            start_timeout: body["start_timeout_seconds"].as_i64(),
            cancel_requested: body["cancel_requested_at"].is_string(),
            retry_count: body["retry_count"].as_i64()?,
            max_retries: body["max_retries"].as_i64()?,
            completed_at: ended("completed_at"),
            duration_ms: ended("duration_ms"),
            fields: FIELDS.map(|(name, _)| body[name].to_string()),
        })
    }

    fn looks_like(&self, seen: &Self) -> bool {
        let known =
            Self { completed_at: seen.completed_at.clone(), duration_ms: seen.duration_ms.clone(), ..self.clone() };
        known == *seen
            && self.completed_at.looks_like(&seen.completed_at)
            && self.duration_ms.looks_like(&seen.duration_ms)
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
    /// Cancel execution.
    Cancelled {
        /// `previous_status`
        previous: Status,
        /// `current_status`
        current: Status,
        /// `cancel_requested_at` and `force_at`, in epoch milliseconds, where the worker is asked.
        asked: Option<(i64, i64)>,
        /// The `ETag`'s.
        version: i64,
    },
}

impl View {
    const fn version(&self) -> i64 {
        match self {
            Self::Record(record) => record.version,
            Self::Statuses { version, .. } | Self::Cancelled { version, .. } => *version,
        }
    }

    fn shows(&self, state: &State) -> bool {
        state.record.as_ref().is_some_and(|record| match self {
            Self::Record(seen) => record.looks_like(seen),
            Self::Statuses { version, .. } | Self::Cancelled { version, asked: None, .. } => *version == record.version,
            Self::Cancelled { version, asked: Some((requested_at, force_at)), .. } => {
                *version == record.version
                    && state.watch.asked.as_ref().is_some_and(|known| known.shows(*requested_at, *force_at))
            }
        })
    }

    /// Whether the statuses, if it shows any, are those of a transition.
    fn has_statuses_of(&self, transition: Option<(Status, Status)>) -> bool {
        match self {
            Self::Record(_) => true,
            Self::Statuses { previous, current, .. } | Self::Cancelled { previous, current, asked: None, .. } => {
                transition == Some((*previous, *current))
            }
            // Who is asked to stop is running still.
            Self::Cancelled { previous, current, asked: Some(_), .. } => {
                transition.is_none() && (*previous, *current) == (Status::Running, Status::Running)
            }
        }
    }
}

/// What a worker is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    /// The status.
    pub status: Status,
    /// The present attempt.
    pub attempt: i64,
    /// `action`
    pub action: String,
    /// `reason`
    pub reason: Option<String>,
    /// `cancel_requested_at` and `force_at`, in epoch milliseconds.
    pub asked: Option<(i64, i64)>,
    /// `deadline_at`, likewise.
    pub deadline_at: Option<i64>,
    /// `heartbeat_in_seconds`
    pub next: i64,
}

/// The answer to a request.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// A record, of execute flow and get execution.
    Record(Record),
    /// Of list transitions.
    Log(Vec<Transition>),
    /// A success of a PATCH or of cancel execution.
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
    /// A success of record heartbeat.
    Heard(Heard),
    /// A pass of supervision that ended: the status that it entered, and whether it has certainly changed nothing else.
    Passed {
        /// The status.
        entered: Option<Status>,
        /// Whether no request of it failed.
        certain: bool,
        /// Whether a change of it was refused, because somebody was faster.
        lost: bool,
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
    watch: Watch,
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
    pub fn new(limits: Limits, created: Span) -> Self {
        let record = Record {
            status: Status::Pending,
            version: 1,
            attempt: 0,
            timeout: limits.timeout,
            heartbeat_timeout: limits.heartbeat_timeout,
            start_timeout: limits.start_timeout,
            cancel_requested: false,
            retry_count: 0,
            max_retries: limits.max_retries,
            completed_at: Ended::Not,
            duration_ms: Ended::Not,
            fields: FIELDS.map(|(_, default)| default.to_owned()),
        };
        Self { record: Some(record), watch: Watch::new(created), ..Self::default() }
    }

    /// What the contract says of a change. `when` is the time of it, `sooner` whether it is the one that is forced sooner,
    /// where it asks again for a cancel; not known: whichever is possible.
    fn judge(&self, change: &Change, when: Span, sooner: Option<bool>) -> Option<Verdict> {
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
        let (record, transition) = match change.route {
            Route::Cancel => next.cancel(change, when, sooner)?,
            Route::Update | Route::UpdateStatus => next.apply(change, when)?,
        };
        let begun = transition.filter(|(_, to)| *to == Status::Running).map(|_| record.attempt);
        next.record = Some(record);
        if let Some(key) = key {
            next.keys.insert(key, Use { body, transition, begun });
        }
        Some(Verdict::Apply(Box::new(next), transition))
    }

    /// The record after a change that no rule refuses. Logs its transition.
    fn apply(&mut self, change: &Change, when: Span) -> Option<(Record, Option<(Status, Status)>)> {
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
        if to == Some(Status::Running) {
            record.attempt += 1;
            self.watch.claim(when);
        }
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
        let from = self.enter(&mut record, to, change.by, sent["error_message"].to_string());
        Some((record, Some((from, to))))
    }

    /// Enters a status, and logs it. Returns the status before.
    fn enter(&mut self, record: &mut Record, to: Status, by: &str, reason: String) -> Status {
        let from = std::mem::replace(&mut record.status, to);
        let (attempt, version) = (record.attempt, record.version);
        self.log.push(Transition { from, to, by: by.to_owned(), reason, attempt, version });
        from
    }

    /// The record after the service has ended it or entered `interrupted`.
    fn end(&mut self, to: Status, by: &str, reason: String) -> Option<(Record, Status)> {
        let mut record = self.record.clone()?;
        record.version += 1;
        if to.is_terminal() {
            record.completed_at = Ended::Service;
            let ran = self.log.iter().any(|transition| transition.to == Status::Running);
            record.duration_ms = if ran { Ended::Service } else { Ended::Not };
        }
        let from = self.enter(&mut record, to, by, reason);
        Some((record, from))
    }

    /// The record after a cancel that no rule refuses: the worker is asked or, where there is none, the end is logged.
    fn cancel(
        &mut self,
        change: &Change,
        when: Span,
        sooner: Option<bool>,
    ) -> Option<(Record, Option<(Status, Status)>)> {
        let mut record = self.record.clone()?;
        let reason = change.body["reason"].as_str().unwrap_or("Cancel requested");
        if record.status != Status::Running {
            let (record, from) = self.end(Status::Cancelled, change.by, json!(reason).to_string())?;
            return Some((record, Some((from, Status::Cancelled))));
        }
        let force = when.plus(change.body["grace_seconds"].as_i64().unwrap_or(60));
        let asked = Asked { requested: when, force, reason: reason.to_owned() };
        if self.watch.ask(asked, sooner)? {
            record.version += 1;
            record.cancel_requested = true;
        }
        Some((record, None))
    }

    /// Whether a heartbeat for `attempt` speaks for the present one.
    fn speaks(&self, attempt: Option<i64>) -> bool {
        self.record.as_ref().is_some_and(|record| attempt.is_none_or(|attempt| attempt == record.attempt))
    }

    /// What a heartbeat for `attempt` changes, and the state after it; `None`: nothing.
    fn hear(&self, attempt: Option<i64>, by: &str, when: Span) -> Option<Self> {
        let mut next = self.clone();
        let mut record = self.record.clone().filter(|_| self.speaks(attempt))?;
        match record.status {
            Status::Running => next.watch.hear(when),
            // The same attempt goes on: nothing is cleared, and nothing begins.
            Status::Interrupted => {
                record.version += 1;
                next.watch.revive(when);
                next.enter(&mut record, Status::Running, by, json!("heartbeat").to_string());
            }
            _ => return None,
        }
        next.record = Some(record);
        Some(next)
    }

    /// What a worker that speaks for `attempt` is told.
    fn order(&self, attempt: Option<i64>) -> Option<Heard> {
        let record = self.record.as_ref()?;
        let asked = self.watch.asked.as_ref();
        let (action, reason) = match record.status {
            _ if !self.speaks(attempt) => ("stop", Some(format!("attempt {}", record.attempt))),
            Status::Pending | Status::Queued | Status::Retrying => ("claim", None),
            Status::Running | Status::Interrupted => match asked {
                Some(asked) => ("cancel", Some(asked.reason.clone())),
                None => ("continue", None),
            },
            status => ("stop", Some(format!("is {status}"))),
        };
        Some(Heard {
            status: record.status,
            attempt: record.attempt,
            action: action.to_owned(),
            reason,
            asked: asked.map(|asked| (asked.requested.from, asked.force.from)),
            deadline_at: self.watch.deadline(record).map(|at| at.from),
            next: record.heartbeat_timeout.map_or(60, |seconds| seconds / 3),
        })
    }

    /// Whether a worker that speaks for `attempt` may be told this.
    fn tells(&self, attempt: Option<i64>, seen: &Heard) -> bool {
        let (Some(record), Some(order)) = (self.record.as_ref(), self.order(attempt)) else { return false };
        let reason = match (order.reason.as_deref(), seen.reason.as_deref()) {
            (Some(expected), Some(seen)) if order.action == "stop" => seen.contains(expected),
            (expected, seen) => expected == seen,
        };
        let asked = match (self.watch.asked.as_ref(), seen.asked) {
            (Some(asked), Some((requested_at, force_at))) => asked.shows(requested_at, force_at),
            (None, None) => true,
            _ => false,
        };
        let deadline = match (self.watch.deadline(record), seen.deadline_at) {
            (Some(span), Some(at)) => span.may_be(at),
            (None, None) => true,
            _ => false,
        };
        let known = Heard { reason: seen.reason.clone(), asked: seen.asked, deadline_at: seen.deadline_at, ..order };
        known == *seen && reason && asked && deadline
    }

    /// The state after supervision has entered `to`, no later than `until`; `None` where it must not, or not yet.
    pub fn supervise(&self, to: Status, until: i64) -> Option<Self> {
        let record = self.record.as_ref()?;
        let reason = self.watch.allows(record, to, until)?;
        let mut next = self.clone();
        let (mut record, _) = next.end(to, "service", json!(reason).to_string())?;
        for ((name, _), value) in FIELDS.iter().zip(&mut record.fields) {
            if *name == "error_message" && to == Status::Timeout && value == "null" {
                *value = json!(reason).to_string();
            }
        }
        next.record = Some(record);
        Some(next)
    }

    /// The answer of the contract to a request in this state at a time, and the state after it.
    pub fn answer(&self, request: &Request, now: i64) -> Option<(Answer, Self)> {
        let record = |state: &Self| state.record.clone().map(Answer::Record);
        let when = Span { from: now, to: now };
        Some(match request {
            Request::Create(_) | Request::Read => (record(self)?, self.clone()),
            Request::Log => (Answer::Log(self.log.clone()), self.clone()),
            Request::End | Request::Advance(_) => return None,
            Request::Heartbeat { attempt, by } => {
                let next = self.hear(*attempt, by, when).unwrap_or_else(|| self.clone());
                (Answer::Heard(next.order(*attempt)?), next)
            }
            Request::Pass => {
                let (entered, next) = [Status::Cancelled, Status::Interrupted, Status::Timeout]
                    .into_iter()
                    .find_map(|to| Some((Some(to), self.supervise(to, now)?)))
                    .unwrap_or_else(|| (None, self.clone()));
                (Answer::Passed { entered, certain: true, lost: false }, next)
            }
            Request::Change(change) => {
                let changed = |state: &Self, transition: Option<(Status, Status)>, replayed| {
                    let record = state.record.clone()?;
                    let view = match (change.route, transition) {
                        (Route::Update, _) => View::Record(record),
                        (Route::UpdateStatus, Some((previous, current))) => {
                            View::Statuses { previous, current, version: record.version }
                        }
                        (Route::UpdateStatus, None) => return None,
                        (Route::Cancel, transition) => {
                            let (previous, current) = transition.unwrap_or((Status::Running, Status::Running));
                            let asked = state.watch.asked.as_ref().filter(|_| transition.is_none());
                            let asked = asked.map(|asked| (asked.requested.from, asked.force.from));
                            View::Cancelled { previous, current, asked, version: record.version }
                        }
                    };
                    Some(Answer::Changed { view, replayed })
                };
                match self.judge(change, when, None)? {
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
        Route::Cancel => json!({}),
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
    if change.route == Route::Cancel {
        let naming = format!("The status cannot change from {status} to cancelled: ");
        return status.is_terminal().then(|| refuse(400, "INVALID_STATUS_TRANSITION", [naming]));
    }
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
        if record.cancel_requested && matches!(to, Status::Queued | Status::Running | Status::Retrying) {
            return Some(refuse(400, "CANCEL_REQUESTED", [naming, "a cancel is requested".to_owned()]));
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
    /// When it was.
    pub when: Span,
    /// By when a heartbeat that got no answer may have been recorded, if there was one.
    pub heard_by: Option<i64>,
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
            (Request::Heartbeat { attempt, .. }, Answer::Heard(seen)) => state.tells(*attempt, seen),
            // A pass that changed nothing: nothing was overdue when it looked.
            (Request::Pass, Answer::Passed { .. }) => !state.watch.is_overdue(record, self.when.from, self.heard_by),
            (Request::Change(_), Answer::Changed { view, replayed: false }) => view.shows(state),
            (Request::Change(change), Answer::Changed { view, replayed: true }) => {
                match state.judge(change, self.when, None)? {
                    Verdict::Replay(used) => view.has_statuses_of(used.transition) && view.shows(state),
                    _ => false,
                }
            }
            // Its own effect, or that of an earlier request with its key, is a step before this.
            (Request::Change(change), Answer::Superseded { begun, current }) => {
                let own = match &change.key {
                    Some(key) => state.keys.get(&(change.route, key.clone())).and_then(|used| used.begun),
                    None => Some(*begun),
                };
                own == Some(*begun) && begun < current && record.attempt == *current
            }
            (Request::Change(change), Answer::Refused { status, code, detail }) => {
                match state.judge(change, self.when, None)? {
                    Verdict::Refuse { status: expected, code: name, naming } => {
                        *status == expected && code == name && naming.iter().all(|part| detail.contains(part.as_str()))
                    }
                    _ => false,
                }
            }
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
            Answer::Heard(seen) => seen.attempt < state.record.as_ref().map_or(0, |record| record.attempt),
            Answer::Log(seen) => !seen.starts_with(&state.log),
            _ => false,
        }
    }
}

/// Which of two effects a step has, where the history does not say which one it was. There is a step for each: one of them
/// has its effect, and the other one none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Variant {
    /// There is but one.
    Only,
    /// A cancel that is forced sooner than the one that was requested before, or not.
    Sooner(bool),
    /// A pass of supervision that entered this status.
    Entered(Status),
    /// A heartbeat without an answer that was written, and revived nothing.
    Heard,
}

/// One step of the search: a request that may change something.
#[derive(Debug, Clone)]
pub struct Step {
    /// The index of the operation in the history.
    pub operation: usize,
    /// Which of its effects.
    pub variant: Variant,
    /// When it was.
    pub when: Span,
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
    /// The state after the effect of this step; `None` if the contract does not allow it in `state`.
    fn effect(&self, state: &State) -> Option<State> {
        let judge = |change| {
            let sooner = match self.variant {
                Variant::Sooner(sooner) => Some(sooner),
                _ => None,
            };
            state.judge(change, self.when, sooner)
        };
        Some(match (self.request.as_ref(), self.answer.as_ref()) {
            (Request::Create(limits), Answer::Record(seen)) if state.record.is_none() => {
                let new = State::new(*limits, self.when);
                new.record.as_ref()?.looks_like(seen).then_some(new)?
            }
            (Request::Change(change), Answer::Superseded { begun, .. }) => match judge(change)? {
                Verdict::Apply(next, Some((_, Status::Running))) if next.record.as_ref()?.attempt == *begun => *next,
                // Applied before, by an earlier request with its key.
                Verdict::Replay(used) if used.begun == Some(*begun) => state.clone(),
                Verdict::Superseded { begun: other, .. } if other == *begun => state.clone(),
                _ => return None,
            },
            (Request::End, _) => State { ended: true, ..state.clone() },
            (Request::Change(change), Answer::Changed { view, replayed: false }) => match judge(change)? {
                Verdict::Apply(next, transition) if view.has_statuses_of(transition) => *next,
                _ => return None,
            },
            (Request::Change(change), Answer::Unknown) => match judge(change)? {
                Verdict::Apply(next, _) => *next,
                _ => return None,
            },
            (Request::Heartbeat { attempt, by }, Answer::Heard(seen)) => match state.hear(*attempt, by, self.when) {
                Some(next) => next,
                // It may have been told after what it did: after a later attempt of its own request.
                None if ["stop", "claim"].contains(&seen.action.as_str()) => state.clone(),
                None => return None,
            },
            // Without an answer.
            (Request::Heartbeat { attempt, by }, Answer::Unknown) => {
                let revives = state.record.as_ref()?.status == Status::Interrupted;
                if revives != (self.variant == Variant::Only) {
                    return None;
                }
                state.hear(*attempt, by, self.when)?
            }
            (Request::Pass, _) => match self.variant {
                Variant::Entered(to) => state.supervise(to, self.when.to)?,
                _ => return None,
            },
            _ => return None,
        })
    }

    /// The state after this step, with all looks that it makes possible.
    fn take(&self, state: &State) -> Option<State> {
        if !self.looks_before.iter().all(|look| state.looked.contains(look)) {
            return None;
        }
        // A request without an effect may as well have come after the end: one position for "never" is enough. One that has
        // had its effect in another variant has no other.
        let never = self.is_uncertain() && state.ended;
        if never || state.effects.contains(&self.operation) {
            return Some(state.clone());
        }
        let mut next = self.effect(state)?;
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

    /// Whether it may have had no effect.
    fn is_uncertain(&self) -> bool {
        matches!(*self.answer, Answer::Unknown | Answer::Passed { entered: None, .. })
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
