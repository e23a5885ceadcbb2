//! What the log says of supervision, and whether it was due by then.
//!
//! The service and its clients have one clock here, the machine's. The log has the time of each transition, the record that
//! of the first `running`, and a client knows between which two times its heartbeat was recorded.

use std::collections::BTreeMap;

use ratchet_model::clock::Timestamp;
use serde_json::{Map, Value};

use super::{Change, History, Kind, State, TABLE, What};

/// How much later than it is due supervision may end an execution at the earliest, in milliseconds.
const TOLERANCE: i64 = 2_000;

/// How much later it may find one, beside the tolerance, in milliseconds: it looks each second, on a machine that is busy.
const MOST_LATE: i64 = 60_000;

fn time(value: &Value) -> Option<i64> {
    Timestamp::parse(value.as_str()?).ok().map(Timestamp::millis)
}

/// The transitions of supervision and the revivals, by their versions.
pub fn logged(steps: &[Value]) -> Result<Vec<(i64, Change)>, String> {
    let mut found = Vec::new();
    for step in steps {
        let read = || Some((step["version"].as_i64()?, time(&step["at"])?, step["to"].as_str()?));
        let (version, at, to) = read().ok_or_else(|| format!("a transition without its parts: {step}"))?;
        let kind = match (step["by"] == "service", step["reason"].as_str()) {
            (true, _) => Kind::Service(at),
            (false, Some("heartbeat")) => Kind::Revival,
            _ => continue,
        };
        let status = TABLE.iter().map(|(status, _)| *status).find(|status| *status == to);
        let nonce = step["reason"].as_str().unwrap_or_default().to_owned();
        found.push((version, Change { nonce, kind, status, fields: Map::new(), if_match: None, attempt: None }));
    }
    Ok(found)
}

/// Checks that supervision did each of these when it was due, and for that reason. Returns what it did how often, and by how
/// many milliseconds the latest was later than due.
pub fn check(
    history: &History,
    steps: &[Value],
    writers: &BTreeMap<i64, &Change>,
) -> Result<(BTreeMap<&'static str, u64>, i64), String> {
    let mut state = State::new(history.created).ok_or("no max_retries")?;
    let (mut done, mut latest) = (BTreeMap::new(), 0);
    for (version, change) in writers {
        match change.kind {
            Kind::Service(at) => {
                let due = due(history, steps, &state, change)
                    .ok_or_else(|| format!("version {version} was not supervision's to write: {change:?} {state:?}"))?;
                if at < due + TOLERANCE || at > due + TOLERANCE + MOST_LATE {
                    return Err(format!("version {version} was due at {due} and written at {at}: {change:?}"));
                }
                latest = latest.max(at - due - TOLERANCE);
                *done.entry(change.status.unwrap_or_default()).or_default() += 1;
            }
            Kind::Revival => {
                let asked = |seen: &What| matches!(seen, What::Heard(..));
                let heard =
                    history.seen.iter().any(|seen| asked(&seen.what) && (seen.low..=seen.high).contains(version));
                if !heard {
                    return Err(format!("version {version} is a revival, and nobody sent a heartbeat"));
                }
                *done.entry("revived").or_default() += 1;
            }
            Kind::Update | Kind::Override | Kind::Cancel(_) => {}
        }
        state = state.after(change).map_err(|refusal| format!("version {version}: {refusal:?}"))?;
    }
    Ok((done, latest))
}

/// When supervision could make this change in a state; `None`: never, or not for this reason.
fn due(history: &History, steps: &[Value], state: &State, change: &Change) -> Option<i64> {
    let Kind::Service(at) = change.kind else { return None };
    let seconds = |name: &str| state.fields[name].as_i64().map(|seconds| (seconds, seconds * 1_000));
    let (timeout, timeout_ms) = seconds("timeout_seconds")?;
    let started = (state.attempt > 0).then(|| time(&history.record["started_at"])).flatten();
    let start = seconds("start_timeout_seconds");
    let deadline = match started {
        Some(started) => Some(started + timeout_ms),
        None => start.map(|(_, ms)| time(&history.created["created_at"]).unwrap_or(i64::MAX) + ms),
    };
    // The last that is certain: the claim, a revival, or a heartbeat that was answered by then.
    let entered =
        || steps.iter().filter(|step| step["to"] == "running" && step["version"].as_i64() <= Some(state.version));
    let silent =
        seconds("heartbeat_timeout_seconds").filter(|_| state.status == "running").and_then(|(seconds, ms)| {
            let begun = entered().filter_map(|step| time(&step["at"])).max()?;
            let heard = history.seen.iter().filter_map(|seen| match &seen.what {
                What::Heard(_, told, (sent, answered)) if told["status"] == "running" && told["action"] != "stop" => {
                    (*answered <= at).then_some(*sent)
                }
                _ => None,
            });
            Some((seconds, heard.fold(begun, i64::max) + ms))
        });
    if let Some((reason, grace)) = &state.asked {
        let forced = time(&history.record["cancel_requested_at"])? + grace * 1_000;
        let due = [deadline, silent.map(|(_, at)| at)].into_iter().flatten().fold(forced, i64::min);
        return (change.status == Some("cancelled") && change.nonce == *reason).then_some(due);
    }
    match (change.status?, silent, deadline) {
        ("interrupted", Some((seconds, at)), _) if change.nonce == format!("No heartbeat for {seconds} seconds") => {
            Some(at)
        }
        ("timeout", _, Some(at)) => {
            let why = match started {
                Some(_) => format!("No result within timeout_seconds ({timeout})"),
                None => format!("Not started within start_timeout_seconds ({})", start?.0),
            };
            (change.nonce == why).then_some(at)
        }
        _ => None,
    }
}
