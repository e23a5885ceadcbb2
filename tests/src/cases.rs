//! `events/cases.json`: the answer to each event of `events/`, and the events that must come before it. The tests of the
//! events, `tests/e2e/run_events.py` and the bench all read it, so that they agree.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::coverage::root;
use crate::text;

/// The file of the cases, beside the events.
pub const FILE: &str = "cases.json";

/// An event, the events before it, and the answer to it.
#[derive(Debug, Clone)]
pub struct Case {
    /// The event: its file's name without `.json`.
    pub event: String,
    /// The events that came before it, in this order and no others. They make the contents of the table.
    pub after: Vec<String>,
    /// The answer's status. The authorizer's answers count as 200 and 403: API Gateway turns them into these.
    pub status: u16,
    /// What the body must contain. It may contain more.
    pub body: Value,
}

/// Every case.
pub fn cases() -> Vec<Case> {
    let file = std::fs::read_to_string(root().join("events").join(FILE)).expect("events/cases.json");
    let cases: Vec<Value> = serde_json::from_str(&file).expect("a list in events/cases.json");
    cases
        .iter()
        .map(|case| {
            let members: BTreeSet<&str> =
                case.as_object().into_iter().flatten().map(|(name, _)| name.as_str()).collect();
            assert_eq!(members, ["after", "body", "event", "status"].into(), "events/cases.json: {case}");
            let status = case["status"].as_u64().and_then(|status| status.try_into().ok());
            Case {
                event: text(&case["event"]),
                after: case["after"].as_array().expect("a list of events").iter().map(text).collect(),
                status: status.unwrap_or_else(|| panic!("events/cases.json: no status: {case}")),
                body: case["body"].clone(),
            }
        })
        .collect()
}
