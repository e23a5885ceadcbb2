//! The state of an execution after each of its writes, by the contract. The table is written down here once more, so that a
//! mistake in the service's own table is found.
//!
//! While several clients write to one execution, the order of their writes is not known. But each applied write has a version
//! of its own, and each answer belongs between two versions: the newest that was known when its request was sent, and the
//! newest that can have been applied when it arrived. [`settle`] puts the writes of an execution in their order. Each answer
//! must fit a position in that order.

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

/// A change that a client requested.
#[derive(Debug, Clone)]
pub struct Change {
    /// A text in its metadata or its reason, which no other change has.
    pub nonce: String,
    /// Whether it is update execution status, which is allowed from `running` and `interrupted`.
    pub ends_a_run: bool,
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
    /// The fields that writers set, as the record has them.
    fields: Map<String, Value>,
}

impl State {
    fn new(max_retries: i64, metadata: &Value) -> Self {
        let fields = json!({
            "timeout_seconds": 300, "retry_count": 0, "tokens_used": null, "tool_calls_count": 0, "cost_estimate": null, "final_output": null,
            "error_message": null, "error_details": null, "performance_metrics": {}, "metadata": metadata,
        });
        let fields = fields.as_object().cloned().unwrap_or_default();
        Self { version: 1, status: "pending", max_retries, attempt: 0, fields }
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
            let allowed = targets(self.status).contains(&to)
                && (!change.ends_a_run || ["running", "interrupted"].contains(&self.status));
            if !allowed || (retrying && self.retry_count() >= self.max_retries) {
                return refuse(400, "INVALID_STATUS_TRANSITION", format!("from {} to {to}", self.status));
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
        Ok(next)
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
}

/// Checks a history: each version has one writer, each writer one version, and each answer was due when it was sent.
pub fn settle(history: &History) -> Result<Settled, String> {
    let steps = history.log["transitions"].as_array().ok_or("no transitions")?;
    let (writers, unplaced) = writers(history, steps)?;
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
    Ok(Settled { writes: writers.len(), recovered })
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
        let logged = |change: &Change| step.and_then(|step| step["to"].as_str()) == change.status;
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
    let max_retries = history.created["max_retries"].as_i64().ok_or("no max_retries")?;
    let mut states = vec![State::new(max_retries, &history.created["metadata"])];
    let mut log = Vec::new();
    for (version, change) in writers {
        let before = &states[states.len() - 1];
        let after = before
            .after(change)
            .map_err(|refusal| format!("version {version} was written and not allowed: {refusal:?} {change:?}"))?;
        if let Some(to) = change.status {
            log.push(json!([before.status, to, version, after.attempt, change.fields.get("error_message")]));
        }
        states.push(after);
    }
    let state = |version: i64| {
        let place = usize::try_from(version - 1).ok();
        place.and_then(|place| states.get(place)).ok_or_else(|| format!("version {version} never was"))
    };

    let logged: Vec<Value> =
        steps.iter().map(|s| json!([s["from"], s["to"], s["version"], s["attempt"], s["reason"]])).collect();
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
fn writers<'a>(history: &'a History, steps: &[Value]) -> Result<Writers<'a>, String> {
    let mut writers = BTreeMap::new();
    let mut unplaced = Vec::new();
    for seen in &history.seen {
        let (change, answered) = match &seen.what {
            What::Done(change, version, record) => (change, Some((*version, record))),
            What::Unknown(change) => (change, None),
            What::Record(..) | What::Log(_) | What::Refused(..) => continue,
        };
        let step = steps.iter().find(|step| step["reason"] == change.nonce.as_str());
        let version = match (answered, step) {
            // The record shows this write as the last one, so the version is its own.
            (Some((version, Some(record))), _) if record["metadata"]["by"] == change.nonce.as_str() => Some(version),
            (_, Some(step)) if change.ends_a_run => step["version"].as_i64(),
            (Some(_), None) if change.ends_a_run => {
                return Err(format!("answered as done and not in the log: {change:?}"));
            }
            (None, None) if change.ends_a_run => continue,
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
