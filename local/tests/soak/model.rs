//! What an execution must be after each of its writes, by the contract: the table is written out here once more, so that
//! a mistake in the service's own is seen.
//!
//! While several clients write to one execution nobody knows which of them comes first. But each applied write has a
//! version of its own, and each answer falls between two versions: those that were known when it was asked for, and those
//! that can have been applied when it came. [`settle`] puts the writes of an execution in their order, and each answer
//! that anybody got must fit a place in it.

use std::collections::BTreeMap;

use ratchet_model::clock::Timestamp;
use serde_json::{Map, Value, json};

/// From each status, where it may go.
pub const TABLE: [(&str, &[&str]); 9] = [
    ("pending", &["queued", "running", "failed", "cancelled", "timeout"]),
    ("queued", &["running", "failed", "cancelled", "timeout"]),
    ("running", &["retrying", "interrupted", "completed", "failed", "cancelled", "timeout"]),
    ("retrying", &["queued", "running", "failed", "cancelled", "timeout"]),
    ("interrupted", &["queued", "running", "retrying", "completed", "failed", "cancelled", "timeout"]),
    ("completed", &[]),
    ("failed", &[]),
    ("cancelled", &[]),
    ("timeout", &[]),
];

/// What a terminal status freezes.
const FROZEN: [&str; 5] = ["final_output", "error_message", "error_details", "retry_count", "duration_ms"];

/// Where a status may go.
pub fn targets(status: &str) -> &'static [&'static str] {
    TABLE.iter().find(|(from, _)| *from == status).map_or(&[], |(_, to)| to)
}

/// Whether nothing leaves it.
pub fn is_terminal(status: &str) -> bool {
    targets(status).is_empty()
}

/// A change that somebody asked for.
#[derive(Debug, Clone)]
pub struct Change {
    /// In its metadata or its reason, and in no other's.
    pub nonce: String,
    /// Whether it is update execution status, which goes from `running` alone.
    pub ends_a_run: bool,
    /// The status that it asks for.
    pub status: Option<&'static str>,
    /// What the record's fields shall be.
    pub fields: Map<String, Value>,
    /// The version that it is for.
    pub if_match: Option<i64>,
}

/// Why a change is not applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// HTTP's status.
    pub status: u16,
    /// The `error_code`.
    pub code: &'static str,
    /// What the detail must name.
    pub names: String,
}

/// An execution after one of its writes.
#[derive(Debug, Clone)]
struct State {
    version: i64,
    status: &'static str,
    max_retries: i64,
    /// Whether it has run.
    started: bool,
    /// The fields that writers set, as the record has them.
    fields: Map<String, Value>,
}

impl State {
    fn new(max_retries: i64, metadata: &Value) -> Self {
        let fields = json!({
            "retry_count": 0, "tokens_used": null, "tool_calls_count": 0, "cost_estimate": null, "final_output": null,
            "error_message": null, "error_details": null, "performance_metrics": {}, "metadata": metadata,
        });
        let fields = fields.as_object().cloned().unwrap_or_default();
        Self { version: 1, status: "pending", max_retries, started: false, fields }
    }

    fn retry_count(&self) -> i64 {
        self.fields["retry_count"].as_i64().unwrap_or_default()
    }

    /// What becomes of it by a change.
    fn after(&self, change: &Change) -> Result<Self, Refusal> {
        let refuse = |status, code, names: String| Err(Refusal { status, code, names });
        if change.if_match.is_some_and(|version| version != self.version) {
            return refuse(412, "PRECONDITION_FAILED", format!("\"{}\"", self.version));
        }
        let retrying = change.status == Some("retrying");
        if let Some(to) = change.status {
            let allowed = targets(self.status).contains(&to) && (!change.ends_a_run || self.status == "running");
            if !allowed || (retrying && self.retry_count() >= self.max_retries) {
                return refuse(400, "INVALID_STATUS_TRANSITION", format!("from {} to {to}", self.status));
            }
        } else if is_terminal(self.status) && FROZEN.iter().any(|field| change.fields.contains_key(*field)) {
            return refuse(400, "EXECUTION_FINISHED", format!("is {} ", self.status));
        }
        if let Some(count) = change.fields.get("retry_count").and_then(Value::as_i64) {
            let least = self.retry_count() + i64::from(retrying);
            if count < least || count > self.max_retries {
                return refuse(
                    400,
                    "INVALID_RETRY_COUNT",
                    format!("at least {least} and at most {}", self.max_retries),
                );
            }
        }
        let mut next = self.clone();
        next.version += 1;
        if retrying {
            next.fields.insert("retry_count".to_owned(), json!(self.retry_count() + 1));
        }
        if let Some(to) = change.status {
            next.status = to;
            next.started |= to == "running";
            if is_terminal(to) {
                // Unless this very change gives one, it is counted anew.
                next.fields.remove("duration_ms");
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
        if !self.started && record["started_at"] != record["created_at"] {
            return wrong("started_at");
        }
        match (is_terminal(self.status), millis("started_at"), millis("completed_at")) {
            (false, _, None) if self.fields.contains_key("duration_ms") || record["duration_ms"].is_null() => {}
            (true, Some(started), Some(completed)) => {
                let counted = !self.fields.contains_key("duration_ms");
                if counted && record["duration_ms"] != (completed - started).max(0) {
                    return wrong("duration_ms");
                }
            }
            _ => return wrong("completed_at"),
        }
        Ok(())
    }
}

/// An answer that somebody got, and between which versions.
#[derive(Debug)]
pub struct Seen {
    /// A version that was known when it was asked for.
    pub low: i64,
    /// The most that can have been applied when it came.
    pub high: i64,
    /// What it said.
    pub what: What,
}

/// What an answer said.
#[derive(Debug)]
pub enum What {
    /// The record, at a version.
    Record(i64, Value),
    /// The transitions.
    Log(Value),
    /// Done, with the record or without; the version is that of the answer's `ETag`.
    Done(Change, i64, Option<Value>),
    /// Not known (503): it may have been done, may still be, or never.
    Unknown(Change),
    /// Not done: HTTP's status, the code, the detail.
    Refused(Change, u16, String, String),
}

/// All that is known of an execution that nobody writes to any more.
pub struct Story<'a> {
    /// As it was accepted.
    pub created: &'a Value,
    /// What its clients were told.
    pub seen: Vec<Seen>,
    /// Its record now, and its version.
    pub record: &'a Value,
    /// The record's version.
    pub version: i64,
    /// Its transitions now.
    pub log: &'a Value,
}

/// What came out of a story.
#[derive(Debug, Default)]
pub struct Settled {
    /// How many writes were applied after the creation.
    pub writes: usize,
    /// How many of them were known by the service's own mark alone, after an answer from DynamoDB was lost.
    pub recovered: usize,
}

/// Checks a story: each version has one writer, each writer one version, and each answer was due when it was given.
pub fn settle(story: &Story) -> Result<Settled, String> {
    let steps = story.log["transitions"].as_array().ok_or("no transitions")?;
    let (writers, unplaced) = writers(story, steps)?;
    let missing: Vec<i64> = (2..=story.version).filter(|version| !writers.contains_key(version)).collect();
    if writers.last_key_value().is_some_and(|(last, _)| *last > story.version) {
        return Err(format!("version {}, but the writes that were told as done go on: {writers:?}", story.version));
    }
    let mut search = Search { story, steps, missing, unplaced, tries: 0, wrong: None };
    let mut writers = writers;
    let recovered = search.place(&mut writers, 0, 0).ok_or_else(|| {
        let (missing, unplaced) = (&search.missing, &search.unplaced);
        let why =
            "no write that was told as done, or as unknown, can have made these versions, or one that was is in none";
        search.wrong.clone().unwrap_or_else(|| format!("{why}: {missing:?} {unplaced:?}"))
    })?;
    Ok(Settled { writes: writers.len(), recovered })
}

/// A write whose version is not certain.
#[derive(Debug)]
struct Unplaced<'a> {
    change: &'a Change,
    /// It is after this version.
    after: i64,
    /// It is this version or one before it, and most likely this one.
    most: i64,
    /// Whether it has one at all for certain.
    applied: bool,
}

/// The search for versions of those writes whose own is not certain. There is nearly always nothing to search.
struct Search<'a> {
    story: &'a Story<'a>,
    steps: &'a [Value],
    missing: Vec<i64>,
    unplaced: Vec<Unplaced<'a>>,
    tries: usize,
    wrong: Option<String>,
}

impl<'a> Search<'a> {
    /// Finds writers for the missing versions from the `place`-th on. How many have another version than they were told.
    fn place(&mut self, writers: &mut BTreeMap<i64, &'a Change>, place: usize, recovered: usize) -> Option<usize> {
        let Some(version) = self.missing.get(place).copied() else {
            let left = self.unplaced.iter().any(|unplaced| unplaced.applied);
            self.tries += 1;
            if left || self.tries > 1_000 {
                return None;
            }
            return match fits(self.story, self.steps, writers) {
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

/// Whether these writes, in this order, explain all that was told.
fn fits(story: &Story, steps: &[Value], writers: &BTreeMap<i64, &Change>) -> Result<(), String> {
    let max_retries = story.created["max_retries"].as_i64().ok_or("no max_retries")?;
    let mut states = vec![State::new(max_retries, &story.created["metadata"])];
    let mut log = Vec::new();
    for (version, change) in writers {
        let before = &states[states.len() - 1];
        let after = before
            .after(change)
            .map_err(|refusal| format!("version {version} was written and not allowed: {refusal:?} {change:?}"))?;
        if let Some(to) = change.status {
            log.push(json!([before.status, to, version, change.fields.get("error_message")]));
        }
        states.push(after);
    }
    let state = |version: i64| {
        let place = usize::try_from(version - 1).ok();
        place.and_then(|place| states.get(place)).ok_or_else(|| format!("version {version} never was"))
    };

    let told: Vec<Value> =
        steps.iter().map(|step| json!([step["from"], step["to"], step["version"], step["reason"]])).collect();
    if told != log {
        return Err(format!("the log is {told:?} and should be {log:?}"));
    }
    for field in ["id", "flow_id", "execution_number", "trigger_type", "trigger_data", "variables", "created_at"] {
        if story.record[field] != story.created[field] {
            return Err(format!("{field} was {} and is {}", story.created[field], story.record[field]));
        }
    }
    state(story.version)?.is_shown_by(story.record)?;

    let ended = |version: i64| state(version).map(|state| is_terminal(state.status));
    for seen in &story.seen {
        let between = || (seen.low..=seen.high.min(story.version)).map(&state);
        match &seen.what {
            What::Record(version, record) | What::Done(_, version, Some(record)) => {
                state(*version)?.is_shown_by(record)?;
                // The end is one moment, and stays it.
                if ended(*version)? {
                    for field in ["completed_at", "duration_ms", "started_at"] {
                        if record[field] != story.record[field] {
                            return Err(format!("{field} changed after the end: {record} {}", story.record));
                        }
                    }
                }
            }
            What::Done(_, _, None) | What::Unknown(_) => {}
            What::Log(log) => {
                let told = log["transitions"].as_array().ok_or("no transitions")?;
                let known = |bound: i64| steps.iter().filter(|step| step["version"].as_i64() <= Some(bound)).count();
                if !steps.starts_with(told) || told.len() < known(seen.low) || told.len() > known(seen.high) {
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

/// What [`writers`] finds out.
type Writers<'a> = (BTreeMap<i64, &'a Change>, Vec<Unplaced<'a>>);

/// Who wrote which version, as far as that is certain, and the others.
fn writers<'a>(story: &'a Story, steps: &[Value]) -> Result<Writers<'a>, String> {
    let mut writers = BTreeMap::new();
    let mut unplaced = Vec::new();
    for seen in &story.seen {
        let (change, told) = match &seen.what {
            What::Done(change, version, record) => (change, Some((*version, record))),
            What::Unknown(change) => (change, None),
            What::Record(..) | What::Log(_) | What::Refused(..) => continue,
        };
        let step = steps.iter().find(|step| step["reason"] == change.nonce.as_str());
        let version = match (told, step) {
            // It is the last that wrote, so the version is its own.
            (Some((version, Some(record))), _) if record["metadata"]["by"] == change.nonce.as_str() => Some(version),
            (_, Some(step)) if change.ends_a_run => step["version"].as_i64(),
            (Some(_), None) if change.ends_a_run => return Err(format!("told as done and not in the log: {change:?}")),
            (None, None) if change.ends_a_run => continue,
            _ => None,
        };
        match version {
            Some(version) => {
                if let Some(other) = writers.insert(version, change) {
                    return Err(format!("version {version} has two writers: {change:?} {other:?}"));
                }
            }
            // Without a record the version is most likely the write's own. With one that shows another's write, DynamoDB's
            // answer was lost, and the write was known by its mark.
            None => unplaced.push(Unplaced {
                change,
                after: seen.low,
                most: told.map_or(i64::MAX, |(version, _)| version),
                applied: told.is_some(),
            }),
        }
    }
    Ok((writers, unplaced))
}
