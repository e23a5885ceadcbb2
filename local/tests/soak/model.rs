//! The state of an execution after each of its writes, by the contract. The table is written down here once more, so that a
//! mistake in the service's own table is found.
//!
//! While several clients write to one execution, the order of their writes is not known. But each applied write has a version
//! of its own, and each answer belongs between two versions: the newest that was known when its request was sent, and the
//! newest that can have been applied when it arrived. [`settle`] puts the writes of an execution in their order. Each answer
//! must fit a position in that order.
//!
//! Supervision writes, too, and the log says what and when. Each of its transitions must be due by then (`supervision`).

use std::collections::BTreeMap;

use ratchet_model::clock::Timestamp;
use serde_json::{Map, Value, json};

/// The statuses that may follow each status.
pub const TABLE: [(&str, &[&str]); 9] = [
    ("pending", &["queued", "running", "retrying", "completed", "failed", "cancelled", "timeout"]),
    ("queued", &["running", "retrying", "completed", "failed", "cancelled", "timeout"]),
    ("running", &["retrying", "interrupted", "completed", "failed", "cancelled", "timeout"]),
    ("retrying", &["queued", "running", "completed", "failed", "cancelled", "timeout"]),
    ("interrupted", &["queued", "running", "retrying", "completed", "failed", "cancelled", "timeout"]),
    ("completed", &[]),
    ("failed", &[]),
    ("cancelled", &[]),
    ("timeout", &[]),
];

#[path = "supervision.rs"]
mod supervision;

/// The fields that a terminal status freezes.
const FROZEN: [&str; 6] =
    ["final_output", "error_message", "error_details", "retry_count", "duration_ms", "timeout_seconds"];

/// The statuses that may follow a status.
pub fn targets(status: &str) -> &'static [&'static str] {
    TABLE.iter().find(|(from, _)| *from == status).map_or(&[], |(_, to)| to)
}

/// Whether no status may follow it.
pub fn is_terminal(status: &str) -> bool {
    targets(status).is_empty()
}

/// Who changes an execution, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Update execution.
    Update,
    /// Update execution status, which is allowed from `running` and `interrupted`.
    Override,
    /// Cancel execution, with its `grace_seconds`. Its reason is the nonce.
    Cancel(i64),
    /// The heartbeat of an interrupted execution's worker.
    Revival,
    /// Supervision, at a time in epoch milliseconds. Its reason is the nonce.
    Service(i64),
}

/// A change that a client requested, or that the log shows.
#[derive(Debug, Clone)]
pub struct Change {
    /// A text in its metadata or its reason, which no other change has.
    pub nonce: String,
    /// Whose it is.
    pub kind: Kind,
    /// The status that it asks for.
    pub status: Option<&'static str>,
    /// The new values of the record's fields.
    pub fields: Map<String, Value>,
    /// The version in its If-Match.
    pub if_match: Option<i64>,
    /// The attempt for which it speaks.
    pub attempt: Option<i64>,
}

/// Why a change is not applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// HTTP's status.
    pub status: u16,
    /// The `error_code`.
    pub code: &'static str,
    /// A text that the detail must contain.
    pub names: String,
}

/// An execution after one of its writes.
#[derive(Debug, Clone)]
struct State {
    version: i64,
    status: &'static str,
    max_retries: i64,
    /// How often it was claimed.
    attempt: i64,
    /// The reason and the `grace_seconds` of a cancel that was requested.
    asked: Option<(String, i64)>,
    /// The fields that writers set, as the record has them.
    fields: Map<String, Value>,
}

impl State {
    fn new(created: &Value) -> Option<Self> {
        let fields = json!({
            "timeout_seconds": created["timeout_seconds"], "retry_count": 0, "tokens_used": null, "tool_calls_count": 0, "cost_estimate": null, "final_output": null,
            "error_message": null, "error_details": null, "performance_metrics": {}, "metadata": created["metadata"],
            "heartbeat_timeout_seconds": created["heartbeat_timeout_seconds"],
            "start_timeout_seconds": created["start_timeout_seconds"],
        });
        let (fields, max_retries) = (fields.as_object().cloned()?, created["max_retries"].as_i64()?);
        Some(Self { version: 1, status: "pending", max_retries, attempt: 0, asked: None, fields })
    }

    fn retry_count(&self) -> i64 {
        self.fields["retry_count"].as_i64().unwrap_or_default()
    }

    /// The state after a change.
    fn after(&self, change: &Change) -> Result<Self, Refusal> {
        let refuse = |status, code, names: String| Err(Refusal { status, code, names });
        if change.if_match.is_some_and(|version| version != self.version) {
            return refuse(412, "PRECONDITION_FAILED", format!("\"{}\"", self.version));
        }
        if change.attempt.is_some_and(|attempt| attempt != self.attempt) {
            return refuse(409, "ATTEMPT_SUPERSEDED", format!("attempt {}", self.attempt));
        }
        let retrying = change.status == Some("retrying");
        if let Some(to) = change.status {
            let here = match change.kind {
                Kind::Update | Kind::Cancel(_) | Kind::Service(_) => true,
                Kind::Override => ["running", "interrupted"].contains(&self.status),
                Kind::Revival => self.status == "interrupted",
            };
            let allowed = targets(self.status).contains(&to) && here;
            if !allowed || (retrying && self.retry_count() >= self.max_retries) {
                return refuse(400, "INVALID_STATUS_TRANSITION", format!("from {} to {to}", self.status));
            }
            let starts = ["queued", "running", "retrying"].contains(&to) && change.kind != Kind::Revival;
            if self.asked.is_some() && starts {
                return refuse(400, "CANCEL_REQUESTED", format!("from {} to {to}", self.status));
            }
        } else if is_terminal(self.status) && FROZEN.iter().any(|field| change.fields.contains_key(*field)) {
            return refuse(400, "EXECUTION_FINISHED", format!("is {} ", self.status));
        }
        if let Some(count) = change.fields.get("retry_count").and_then(Value::as_i64) {
            let min = self.retry_count() + i64::from(retrying);
            if count < min || count > self.max_retries {
                return refuse(400, "INVALID_RETRY_COUNT", format!("at least {min} and at most {}", self.max_retries));
            }
        }
        let timeout = |fields: &Map<String, Value>| fields.get("timeout_seconds").and_then(Value::as_i64);
        if timeout(&change.fields).is_some_and(|seconds| Some(seconds) < timeout(&self.fields)) {
            return refuse(400, "INVALID_TIMEOUT", "it may only rise".to_owned());
        }
        let mut next = self.clone();
        next.version += 1;
        match change.kind {
            // Its worker is asked. Of one that nobody works on this is the end.
            Kind::Cancel(grace) if self.status == "running" => {
                next.asked = Some((change.nonce.clone(), grace));
                return Ok(next);
            }
            // The same attempt goes on.
            Kind::Revival => {
                next.status = "running";
                return Ok(next);
            }
            _ => {}
        }
        if retrying {
            next.fields.insert("retry_count".to_owned(), json!(self.retry_count() + 1));
        }
        if let Some(to) = change.status {
            next.status = to;
            next.attempt += i64::from(to == "running");
            // What a former attempt said is cleared where the next one begins, and its errors by a result.
            let cleared: &[&str] = match to {
                "running" => &["error_message", "error_details", "completed_at", "duration_ms"],
                "completed" => &["error_message", "error_details", "duration_ms"],
                _ if is_terminal(to) => &["duration_ms"],
                _ => &[],
            };
            for field in cleared {
                next.fields.remove(*field);
            }
        }
        next.fields.extend(change.fields.clone());
        if matches!(change.kind, Kind::Service(_)) && change.status == Some("timeout") {
            let said = next.fields.entry("error_message").or_insert(Value::Null);
            if said.is_null() {
                *said = json!(change.nonce);
            }
        }
        Ok(next)
    }

    /// The reason that the log has of a change.
    fn logged(change: &Change) -> Value {
        match change.kind {
            Kind::Update => change.fields.get("error_message").cloned().unwrap_or_default(),
            Kind::Override | Kind::Cancel(_) | Kind::Service(_) => json!(change.nonce),
            Kind::Revival => json!("heartbeat"),
        }
    }

    /// Whether a worker that speaks for `attempt` may be told this.
    fn tells(&self, attempt: Option<i64>, told: &Value) -> bool {
        let ours = attempt.is_none_or(|attempt| attempt == self.attempt);
        let action = match self.status {
            _ if !ours => "stop",
            "pending" | "queued" | "retrying" => "claim",
            "running" if self.asked.is_some() => "cancel",
            "running" => "continue",
            // Who is heard is running again.
            "interrupted" => return false,
            _ => "stop",
        };
        let reason = match (action, &self.asked) {
            ("cancel", Some((reason, _))) => told["reason"] == reason.as_str(),
            ("stop", _) => told["reason"].is_string(),
            _ => told["reason"].is_null(),
        };
        let next = self.fields["heartbeat_timeout_seconds"].as_i64().map_or(60, |seconds| seconds / 3);
        told["action"] == action
            && told["status"] == self.status
            && told["attempt"] == self.attempt
            && told["heartbeat_in_seconds"] == next
            && told["cancel_requested_at"].is_null() == self.asked.is_none()
            && reason
    }

    /// Whether a record shows this state.
    fn is_shown_by(&self, record: &Value) -> Result<(), String> {
        let millis =
            |field: &str| -> Option<i64> { Timestamp::parse(record[field].as_str()?).ok().map(Timestamp::millis) };
        let wrong = |field: &str| {
            let expected = self.fields.get(field).unwrap_or(&Value::Null);
            Err(format!("version {}: {field} should be {expected}: {record}\n{self:?}", self.version))
        };
        if record["status"] != self.status {
            return Err(format!("version {}: the status should be {}: {record}", self.version, self.status));
        }
        for (field, value) in &self.fields {
            if record[field] != *value {
                return wrong(field);
            }
        }
        if record["attempt"] != self.attempt || record["version"] != self.version {
            return Err(format!("version {}: the attempt should be {}: {record}", self.version, self.attempt));
        }
        if record["cancel_requested_at"].is_null() != self.asked.is_none() {
            return wrong("cancel_requested_at");
        }
        if self.attempt == 0 && record["started_at"] != record["created_at"] {
            return wrong("started_at");
        }
        match (is_terminal(self.status), millis("started_at"), millis("completed_at")) {
            (false, _, None) if self.fields.contains_key("duration_ms") || record["duration_ms"].is_null() => {}
            (true, Some(started), Some(completed)) => {
                let derived = if self.attempt > 0 { json!((completed - started).max(0)) } else { Value::Null };
                if !self.fields.contains_key("duration_ms") && record["duration_ms"] != derived {
                    return wrong("duration_ms");
                }
            }
            _ => return wrong("completed_at"),
        }
        Ok(())
    }
}

/// An answer, and the versions between which it belongs.
#[derive(Debug)]
pub struct Seen {
    /// The newest version that was known when its request was sent.
    pub low: i64,
    /// The newest version that can have been applied when it arrived.
    pub high: i64,
    /// Its contents.
    pub what: What,
}

/// The contents of an answer.
#[derive(Debug)]
pub enum What {
    /// The record, at a version.
    Record(i64, Value),
    /// The transitions.
    Log(Value),
    /// What a worker was told that spoke for an attempt. Its request was sent and answered at these times, in epoch
    /// milliseconds.
    Heard(Option<i64>, Value, (i64, i64)),
    /// Applied, with the record or without. The version is that of the answer's `ETag`.
    Done(Change, i64, Option<Value>),
    /// Outcome unknown (503): it may have been applied, may still be, or never.
    Unknown(Change),
    /// Not applied: HTTP's status, the code, the detail.
    Refused(Change, u16, String, String),
}

/// Everything about an execution without further writes.
pub struct History<'a> {
    /// The record when it was accepted.
    pub created: &'a Value,
    /// The answers to its clients.
    pub seen: Vec<Seen>,
    /// Its record now.
    pub record: &'a Value,
    /// The record's version.
    pub version: i64,
    /// Its transitions now.
    pub log: &'a Value,
}

/// The result of a history.
#[derive(Debug, Default)]
pub struct Settled {
    /// How many writes were applied after the creation.
    pub writes: usize,
    /// How many of them the service recognized by their tokens alone, after an attempt in doubt.
    pub recovered: usize,
    /// How many were supervision's, by the status that it entered, and how many heartbeats revived.
    pub supervised: BTreeMap<&'static str, u64>,
    /// By how many milliseconds the latest of supervision's was later than due.
    pub latest: i64,
}

impl Settled {
    /// Adds those of another history.
    pub fn add(&mut self, other: Self) {
        self.writes += other.writes;
        self.recovered += other.recovered;
        for (what, times) in other.supervised {
            *self.supervised.entry(what).or_default() += times;
        }
        self.latest = self.latest.max(other.latest);
    }
}

/// Checks a history: each version has one writer, each writer one version, and each answer was due when it was sent.
pub fn settle(history: &History) -> Result<Settled, String> {
    let steps = history.log["transitions"].as_array().ok_or("no transitions")?;
    let logged = supervision::logged(steps)?;
    let (writers, unplaced) = writers(history, steps, &logged)?;
    let missing: Vec<i64> = (2..=history.version).filter(|version| !writers.contains_key(version)).collect();
    if writers.last_key_value().is_some_and(|(last, _)| *last > history.version) {
        return Err(format!(
            "version {}, but the writes that were answered as done go on: {writers:?}",
            history.version
        ));
    }
    let mut search = Search { history, steps, missing, unplaced, tries: 0, wrong: None };
    let mut writers = writers;
    let recovered = search.place(&mut writers, 0, 0).ok_or_else(|| {
        let (missing, unplaced) = (&search.missing, &search.unplaced);
        let why =
            "no write that was answered as done, or as unknown, can have led to these versions, or one that was has none";
        search.wrong.clone().unwrap_or_else(|| format!("{why}: {missing:?} {unplaced:?}"))
    })?;
    let (supervised, latest) = supervision::check(history, steps, &writers)?;
    Ok(Settled { writes: writers.len(), recovered, supervised, latest })
}

/// A write whose version is not certain.
#[derive(Debug)]
struct Unplaced<'a> {
    change: &'a Change,
    /// Its version is greater than this.
    after: i64,
    /// Its version is at most this, and most likely this one.
    most: i64,
    /// Whether it certainly has a version.
    applied: bool,
}

/// The search for the versions of those writes whose own is not certain. There are nearly always none.
struct Search<'a> {
    history: &'a History<'a>,
    steps: &'a [Value],
    missing: Vec<i64>,
    unplaced: Vec<Unplaced<'a>>,
    tries: usize,
    wrong: Option<String>,
}

impl<'a> Search<'a> {
    /// Finds writers for the missing versions from the `place`-th on. Returns how many have another version than in their answer.
    fn place(&mut self, writers: &mut BTreeMap<i64, &'a Change>, place: usize, recovered: usize) -> Option<usize> {
        let Some(version) = self.missing.get(place).copied() else {
            let left = self.unplaced.iter().any(|unplaced| unplaced.applied);
            self.tries += 1;
            if left || self.tries > 1_000 {
                return None;
            }
            return match fits(self.history, self.steps, writers) {
                Ok(()) => Some(recovered),
                Err(wrong) => {
                    self.wrong.get_or_insert(wrong);
                    None
                }
            };
        };
        let step = self.steps.iter().find(|step| step["version"] == version);
        let logged = |change: &Change| match change.kind {
            // Its worker is asked; where it was the end, the log has its reason.
            Kind::Cancel(_) => step.is_none(),
            _ => step.and_then(|step| step["to"].as_str()) == change.status,
        };
        let mut candidates: Vec<usize> = (0..self.unplaced.len())
            .filter(|at| {
                let unplaced = &self.unplaced[*at];
                unplaced.after < version && version <= unplaced.most && logged(unplaced.change)
            })
            .collect();
        candidates.sort_by_key(|at| (self.unplaced[*at].most, !self.unplaced[*at].applied));
        for at in candidates {
            let unplaced = self.unplaced.remove(at);
            writers.insert(version, unplaced.change);
            let others = usize::from(unplaced.most != version);
            let found = self.place(writers, place + 1, recovered + others);
            self.unplaced.insert(at, unplaced);
            if found.is_some() {
                return found;
            }
            writers.remove(&version);
        }
        None
    }
}

/// Whether these writes, in this order, explain all answers.
fn fits(history: &History, steps: &[Value], writers: &BTreeMap<i64, &Change>) -> Result<(), String> {
    let mut states = vec![State::new(history.created).ok_or("no max_retries")?];
    let mut log = Vec::new();
    for (version, change) in writers {
        let before = &states[states.len() - 1];
        let after = before
            .after(change)
            .map_err(|refusal| format!("version {version} was written and not allowed: {refusal:?} {change:?}"))?;
        // What a request leaves of the status is no transition.
        if after.status != before.status {
            let by_service = matches!(change.kind, Kind::Service(_));
            let reason = State::logged(change);
            log.push(json!([before.status, after.status, version, after.attempt, reason, by_service]));
        }
        states.push(after);
    }
    let state = |version: i64| {
        let place = usize::try_from(version - 1).ok();
        place.and_then(|place| states.get(place)).ok_or_else(|| format!("version {version} never was"))
    };

    let logged: Vec<Value> = steps
        .iter()
        .map(|s| json!([s["from"], s["to"], s["version"], s["attempt"], s["reason"], s["by"] == "service"]))
        .collect();
    if logged != log {
        return Err(format!("the log is {logged:?} and should be {log:?}"));
    }
    for field in ["id", "flow_id", "execution_number", "trigger_type", "trigger_data", "variables", "created_at"] {
        if history.record[field] != history.created[field] {
            return Err(format!("{field} was {} and is {}", history.created[field], history.record[field]));
        }
    }
    state(history.version)?.is_shown_by(history.record)?;

    let ended = |version: i64| state(version).map(|state| is_terminal(state.status));
    for seen in &history.seen {
        let between = || (seen.low..=seen.high.min(history.version)).map(&state);
        match &seen.what {
            What::Record(version, record) | What::Done(_, version, Some(record)) => {
                state(*version)?.is_shown_by(record)?;
                // The end has one time, which does not change.
                if ended(*version)? {
                    for field in ["completed_at", "duration_ms", "started_at"] {
                        if record[field] != history.record[field] {
                            return Err(format!("{field} changed after the end: {record} {}", history.record));
                        }
                    }
                }
            }
            What::Done(_, _, None) | What::Unknown(_) => {}
            What::Heard(attempt, told, _) => {
                if !between().any(|state| state.is_ok_and(|state| state.tells(*attempt, told))) {
                    let states = between().collect::<Vec<_>>();
                    return Err(format!("a worker that speaks for {attempt:?} is told {told} in {states:?}"));
                }
            }
            What::Log(log) => {
                let logged = log["transitions"].as_array().ok_or("no transitions")?;
                let known = |bound: i64| steps.iter().filter(|step| step["version"].as_i64() <= Some(bound)).count();
                if !steps.starts_with(logged) || logged.len() < known(seen.low) || logged.len() > known(seen.high) {
                    return Err(format!("a log between versions {} and {}: {log}", seen.low, seen.high));
                }
            }
            What::Refused(change, answered, code, detail) => {
                let due = between().any(|state| {
                    state.is_ok_and(|state| {
                        state.after(change).is_err_and(|refusal| {
                            (refusal.status, refusal.code) == (*answered, code.as_str())
                                && detail.contains(&refusal.names)
                        })
                    })
                });
                if !due {
                    return Err(format!(
                        "refused between versions {} and {} without a reason: {answered} {code} {detail} {change:?} {:?}",
                        seen.low,
                        seen.high,
                        between().collect::<Vec<_>>()
                    ));
                }
            }
        }
    }
    Ok(())
}

/// The result of [`writers`].
type Writers<'a> = (BTreeMap<i64, &'a Change>, Vec<Unplaced<'a>>);

/// The writes by their versions, as far as these are certain, and the other writes.
fn writers<'a>(history: &'a History, steps: &[Value], logged: &'a [(i64, Change)]) -> Result<Writers<'a>, String> {
    let mut writers: BTreeMap<i64, &Change> = logged.iter().map(|(version, change)| (*version, change)).collect();
    let mut unplaced = Vec::new();
    for seen in &history.seen {
        let (change, answered) = match &seen.what {
            What::Done(change, version, record) => (change, Some((*version, record))),
            What::Unknown(change) => (change, None),
            What::Record(..) | What::Log(_) | What::Refused(..) | What::Heard(..) => continue,
        };
        // A cancel that supervision forces has the reason of its request.
        let own = |step: &&Value| step["reason"] == change.nonce.as_str() && step["by"] != "service";
        let step = steps.iter().find(own);
        let version = match (answered, step) {
            // The record shows this write as the last one, so the version is its own.
            (Some((version, Some(record))), _) if record["metadata"]["by"] == change.nonce.as_str() => Some(version),
            (_, Some(step)) if change.kind != Kind::Update => step["version"].as_i64(),
            (Some(_), None) if change.kind == Kind::Override => {
                return Err(format!("answered as done and not in the log: {change:?}"));
            }
            (None, None) if change.kind == Kind::Override => continue,
            _ => None,
        };
        match version {
            Some(version) => {
                if let Some(other) = writers.insert(version, change) {
                    return Err(format!("version {version} has two writers: {change:?} {other:?}"));
                }
            }
            // Without a record the version is most likely the write's own. If the record shows another write, an attempt was
            // in doubt and the write was recognized by its token.
            None => unplaced.push(Unplaced {
                change,
                after: seen.low,
                most: answered.map_or(i64::MAX, |(version, _)| version),
                applied: answered.is_some(),
            }),
        }
    }
    Ok((writers, unplaced))
}
