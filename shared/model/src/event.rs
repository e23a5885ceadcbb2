//! What is told of an execution (contract, "Events out"): one event for its creation, and one for each of its transitions.
//!
//! An event is a function of what the record and its transition log say, and of nothing else. Its id is derived from the
//! execution and its version, so that a repeat, and an event that is made again years later, has the same one.

use serde::Serialize;

use crate::clock::Timestamp;
use crate::execution::{Execution, NOT_IN_SUMMARY, Priority, Transition, TriggerType};
use crate::id::{ExecutionId, KeyId, OrganizationId};
use crate::json::JsonText;
use crate::key_name::KeyName;
use crate::status::Status;
use crate::wire_name;

/// How large an event is at most, in bytes: by its construction, whatever the record holds.
pub const MAX_EVENT: usize = 20 * 1024;

/// How much of a reason and of an `error_message` an event has, in bytes of JSON text.
pub const MAX_TEXT: usize = 2_048;

/// The largest `metadata` that an event has, in bytes of JSON text. A larger one is left out.
pub const MAX_METADATA: usize = 4_096;

/// The longest number that an event has, in digits and all. `cost_estimate` is stored with the digits that were sent; one with
/// more is left out.
pub const MAX_NUMBER: usize = 64;

/// The source of the events on a bus.
pub const SOURCE: &str = "ratchet";

/// What an event tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EventType {
    /// The execution was created.
    Created,
    /// It entered a status.
    Entered(Status),
}

impl EventType {
    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Created => "execution.created",
            // Nothing enters it: an execution is created in it.
            Self::Entered(Status::Pending) => "execution.pending",
            Self::Entered(Status::Queued) => "execution.queued",
            Self::Entered(Status::Running) => "execution.running",
            Self::Entered(Status::Retrying) => "execution.retrying",
            Self::Entered(Status::Interrupted) => "execution.interrupted",
            Self::Entered(Status::Completed) => "execution.completed",
            Self::Entered(Status::Failed) => "execution.failed",
            Self::Entered(Status::Cancelled) => "execution.cancelled",
            Self::Entered(Status::Timeout) => "execution.timeout",
        }
    }
}

/// An event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its id, the same whenever it is made.
    pub id: String,
    /// What it tells.
    pub kind: EventType,
    /// When that happened.
    pub at: Timestamp,
    /// Of which execution.
    pub execution_id: ExecutionId,
    /// The version of the execution after it, by which events are ordered.
    pub version: i64,
    /// The whole event, as JSON text of at most [`MAX_EVENT`] bytes.
    pub body: String,
    /// The same without `metadata`, for a bus that does not take what the caller put there; `None` where there is none in it.
    pub without_metadata: Option<String>,
}

/// The id of an event.
#[must_use]
pub fn event_id(execution: &ExecutionId, version: i64) -> String {
    format!("evt_{execution}_{version}")
}

/// The events of what happened to an execution since it had the version `seen`: of its creation where there is none, and of
/// each transition in its log with a later version, in order. Nothing for changes of fields.
///
/// # Errors
///
/// Where a stored text is no JSON.
pub fn events_since(
    seen: Option<i64>,
    execution: &Execution,
    log: &[Transition],
) -> Result<Vec<Event>, serde_json::Error> {
    let creation = seen.is_none().then(|| event(execution, None));
    let transitions = log.iter().filter(|transition| seen.is_none_or(|seen| transition.version > seen));
    creation.into_iter().chain(transitions.map(|transition| event(execution, Some(transition)))).collect()
}

/// The event of a transition, or of the creation.
///
/// # Errors
///
/// Where a stored text is no JSON.
pub fn event(execution: &Execution, transition: Option<&Transition>) -> Result<Event, serde_json::Error> {
    let (kind, at, version) = match transition {
        Some(transition) => (EventType::Entered(transition.to), transition.at, transition.version),
        None => (EventType::Created, execution.created_at, 1),
    };
    let id = event_id(&execution.id, version);
    let write = |metadata: bool| {
        let data = Data::new(execution, transition, metadata);
        let body =
            Body { id: &id, r#type: kind.as_str(), timestamp: at, organization_id: &execution.organization_id, data };
        serde_json::to_string(&body)
    };
    let has_metadata = execution.metadata.as_str().len() <= MAX_METADATA;
    let without_metadata = (has_metadata && execution.metadata != JsonText::empty_object()).then(|| write(false));
    let body = write(has_metadata)?;
    let without_metadata = without_metadata.transpose()?;
    Ok(Event { id, kind, at, execution_id: execution.id, version, body, without_metadata })
}

/// An event, as it is told.
#[derive(Serialize)]
struct Body<'a> {
    id: &'a str,
    r#type: &'static str,
    timestamp: Timestamp,
    organization_id: &'a OrganizationId,
    data: Data<'a>,
}

#[derive(Serialize)]
struct Data<'a> {
    transition: Option<ToldTransition<'a>>,
    execution: ToldExecution<'a>,
    /// The members of the record that are not in it.
    omitted: Vec<&'static str>,
    /// The members that are cut.
    truncated: Vec<&'static str>,
}

/// A transition, its reason cut.
#[derive(Serialize)]
struct ToldTransition<'a> {
    from: Status,
    to: Status,
    at: Timestamp,
    by: &'a KeyId,
    by_name: Option<&'a KeyName>,
    reason: Option<&'a str>,
    attempt: i64,
    version: i64,
}

/// The record without what may be large.
#[derive(Serialize)]
#[expect(clippy::option_option, reason = "left out, null and a number are three things")]
struct ToldExecution<'a> {
    id: &'a ExecutionId,
    flow_id: &'a str,
    agent_id: &'a str,
    organization_id: &'a OrganizationId,
    execution_number: i64,
    #[serde(serialize_with = "wire_name::serialize")]
    trigger_type: TriggerType,
    #[serde(serialize_with = "wire_name::serialize")]
    priority: Priority,
    status: Status,
    version: i64,
    attempt: i64,
    started_at: Timestamp,
    completed_at: Option<Timestamp>,
    duration_ms: Option<i64>,
    timeout_seconds: i64,
    heartbeat_timeout_seconds: Option<i64>,
    start_timeout_seconds: Option<i64>,
    cancel_requested_at: Option<Timestamp>,
    error_message: Option<&'a str>,
    retry_count: i64,
    max_retries: i64,
    parent_execution_id: Option<&'a str>,
    tokens_used: Option<i64>,
    tool_calls_count: i64,
    // Where it is left out there is no member: null would be a value.
    #[serde(skip_serializing_if = "is_left_out")]
    cost_estimate: Option<Option<&'a JsonText>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<&'a JsonText>,
    created_at: Timestamp,
    updated_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    scheduled_at: Option<Timestamp>,
}

#[expect(clippy::ref_option, clippy::option_option, reason = "serde passes a reference to the field")]
fn is_left_out(value: &Option<Option<&JsonText>>) -> bool {
    value.is_none()
}

impl<'a> Data<'a> {
    fn new(execution: &'a Execution, transition: Option<&'a Transition>, with_metadata: bool) -> Self {
        let mut omitted = NOT_IN_SUMMARY.to_vec();
        omitted.push("steps");
        let mut truncated = Vec::new();
        let transition = transition.map(|transition| {
            // Whole, so that a new member is not forgotten here.
            let Transition { from, to, at, by, by_name, reason, attempt, version } = transition;
            let reason = reason.as_deref().map(|reason| cut(reason, "reason", &mut truncated));
            ToldTransition {
                from: *from,
                to: *to,
                at: *at,
                by,
                by_name: by_name.as_ref(),
                reason,
                attempt: *attempt,
                version: *version,
            }
        });
        let error_message = execution.error_message.as_deref();
        let error_message = error_message.map(|message| cut(message, "error_message", &mut truncated));
        let cost_estimate = match &execution.cost_estimate {
            Some(cost) if cost.as_str().len() > MAX_NUMBER => {
                omitted.push("cost_estimate");
                None
            }
            cost => Some(cost.as_ref()),
        };
        if !with_metadata {
            omitted.push("metadata");
        }
        let execution = ToldExecution {
            id: &execution.id,
            flow_id: &execution.flow_id,
            agent_id: &execution.agent_id,
            organization_id: &execution.organization_id,
            execution_number: execution.execution_number,
            trigger_type: execution.trigger_type,
            priority: execution.priority,
            status: execution.status,
            version: execution.version,
            attempt: execution.attempt,
            started_at: execution.started_at,
            completed_at: execution.completed_at,
            duration_ms: execution.duration_ms,
            timeout_seconds: execution.timeout_seconds,
            heartbeat_timeout_seconds: execution.heartbeat_timeout_seconds,
            start_timeout_seconds: execution.start_timeout_seconds,
            cancel_requested_at: execution.cancel_requested_at,
            error_message,
            retry_count: execution.retry_count,
            max_retries: execution.max_retries,
            parent_execution_id: execution.parent_execution_id.as_deref(),
            tokens_used: execution.tokens_used,
            tool_calls_count: execution.tool_calls_count,
            cost_estimate,
            metadata: with_metadata.then_some(&execution.metadata),
            created_at: execution.created_at,
            updated_at: execution.updated_at,
            scheduled_at: execution.scheduled_at,
        };
        Self { transition, execution, omitted, truncated }
    }
}

/// The beginning of a text that has at most [`MAX_TEXT`] bytes as JSON, its quotes not counted. One that is cut is named.
fn cut<'a>(text: &'a str, name: &'static str, truncated: &mut Vec<&'static str>) -> &'a str {
    let mut written = 0;
    for (at, character) in text.char_indices() {
        written += match character {
            '"' | '\\' | '\n' | '\r' | '\t' | '\u{8}' | '\u{c}' => 2,
            '\0'..='\u{1f}' => 6,
            character => character.len_utf8(),
        };
        if written > MAX_TEXT {
            truncated.push(name);
            return text.get(..at).unwrap_or_default();
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn text(characters: usize, character: char) -> String {
        std::iter::repeat_n(character, characters).collect()
    }

    fn id() -> ExecutionId {
        ExecutionId::parse("9590e06b-a39e-4436-805b-57b9b56d0dea").unwrap()
    }

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(1_795_000_000_000 + millis).unwrap()
    }

    fn execution() -> Execution {
        Execution {
            id: id(),
            flow_id: "nightly-report".to_owned(),
            agent_id: "unassigned".to_owned(),
            organization_id: OrganizationId::parse("acme").unwrap(),
            execution_number: 1,
            trigger_type: TriggerType::Scheduled,
            trigger_data: JsonText::left_out(),
            variables: JsonText::left_out(),
            priority: Priority::Normal,
            status: Status::Completed,
            version: 4,
            attempt: 1,
            started_at: at(10),
            completed_at: Some(at(48)),
            duration_ms: Some(38),
            timeout_seconds: 300,
            heartbeat_timeout_seconds: None,
            start_timeout_seconds: None,
            cancel_requested_at: None,
            steps: Some(Vec::new()),
            final_output: Some(JsonText::new_unchecked(r#"{"secret":1}"#.to_owned())),
            error_message: None,
            error_details: None,
            retry_count: 0,
            max_retries: 3,
            parent_execution_id: None,
            tokens_used: None,
            tool_calls_count: 0,
            cost_estimate: Some(JsonText::new_unchecked("0.10".to_owned())),
            performance_metrics: JsonText::empty_object(),
            metadata: JsonText::new_unchecked(r#"{"team":"growth","n":1.0}"#.to_owned()),
            created_at: at(0),
            updated_at: at(48),
            scheduled_at: None,
        }
    }

    fn transition(version: i64, from: Status, to: Status) -> Transition {
        let by = KeyId::parse("83aee74a2451f0bd").unwrap();
        Transition { from, to, at: at(version), by, by_name: None, reason: None, attempt: 1, version }
    }

    fn body(event: &Event) -> Value {
        serde_json::from_str(&event.body).unwrap()
    }

    #[test]
    fn an_event_has_the_shape_of_the_contract() {
        let transition = transition(3, Status::Running, Status::Completed);
        let event = event(&execution(), Some(&transition)).unwrap();
        assert_eq!(
            body(&event),
            json!({
                "id": "evt_9590e06b-a39e-4436-805b-57b9b56d0dea_3",
                "type": "execution.completed",
                "timestamp": at(3).to_string(),
                "organization_id": "acme",
                "data": {
                    "transition": serde_json::to_value(&transition).unwrap(),
                    "execution": {
                        "id": "9590e06b-a39e-4436-805b-57b9b56d0dea", "flow_id": "nightly-report",
                        "agent_id": "unassigned", "organization_id": "acme", "execution_number": 1,
                        "trigger_type": "scheduled", "priority": "normal", "status": "completed", "version": 4,
                        "attempt": 1, "started_at": at(10).to_string(), "completed_at": at(48).to_string(),
                        "duration_ms": 38, "timeout_seconds": 300, "heartbeat_timeout_seconds": null,
                        "start_timeout_seconds": null, "cancel_requested_at": null, "error_message": null,
                        "retry_count": 0, "max_retries": 3, "parent_execution_id": null, "tokens_used": null,
                        "tool_calls_count": 0, "cost_estimate": 0.1, "metadata": { "team": "growth", "n": 1.0 },
                        "created_at": at(0).to_string(), "updated_at": at(48).to_string()
                    },
                    "omitted": [
                        "trigger_data", "variables", "final_output", "error_details", "performance_metrics", "steps"
                    ],
                    "truncated": []
                }
            })
        );
        // As it was sent, to the last digit.
        assert!(event.body.contains(r#""cost_estimate":0.10,"metadata":{"team":"growth","n":1.0}"#), "{}", event.body);
        let without: Value = serde_json::from_str(&event.without_metadata.unwrap()).unwrap();
        assert!(without["data"]["execution"]["metadata"].is_null());
        assert_eq!(without["data"]["omitted"][6], "metadata");
    }

    #[test]
    fn the_events_are_those_of_what_has_not_been_seen() {
        let log = [
            transition(2, Status::Pending, Status::Running),
            // Version 3 was a change of fields.
            transition(4, Status::Running, Status::Completed),
        ];
        let told = |seen| {
            let events = events_since(seen, &execution(), &log).unwrap();
            events.into_iter().map(|event| (event.version, event.kind.as_str())).collect::<Vec<_>>()
        };
        let (created, running, completed) =
            ((1, "execution.created"), (2, "execution.running"), (4, "execution.completed"));
        assert_eq!(told(None), [created, running, completed]);
        assert_eq!(told(Some(1)), [running, completed]);
        assert_eq!(told(Some(2)), [completed]);
        assert_eq!(told(Some(3)), [completed]);
        assert_eq!(told(Some(4)), []);
    }

    #[test]
    fn the_event_of_a_creation_is_dated_by_it() {
        let event = event(&execution(), None).unwrap();
        assert_eq!((event.id.as_str(), event.at), ("evt_9590e06b-a39e-4436-805b-57b9b56d0dea_1", at(0)));
        assert_eq!(body(&event)["data"]["transition"], Value::Null);
    }

    #[test]
    fn an_event_is_small_whatever_the_record_holds() {
        let name = KeyName::parse(&text(64, '\u{1f980}')).unwrap();
        // A character that JSON writes with six, one with the most bytes, and one that is escaped with two.
        for character in ['\u{1}', '\u{1f980}', '"'] {
            for (metadata, cost) in [(MAX_METADATA, MAX_NUMBER), (MAX_METADATA + 1, MAX_NUMBER + 1)] {
                let mut execution = execution();
                execution.flow_id = text(256, character);
                execution.agent_id = text(256, character);
                execution.parent_execution_id = Some(text(256, character));
                execution.organization_id = OrganizationId::parse(&text(64, 'o')).unwrap();
                execution.error_message = Some(text(65_536, character));
                execution.metadata =
                    JsonText::new_unchecked(format!(r#"{{"a":"{}"}}"#, text(metadata - r#"{"a":""}"#.len(), 'm')));
                execution.cost_estimate = Some(JsonText::new_unchecked(text(cost, '9')));
                for number in [&mut execution.execution_number, &mut execution.tool_calls_count] {
                    *number = crate::limits::MAX_INTEGER;
                }
                execution.tokens_used = Some(crate::limits::MAX_INTEGER);
                execution.duration_ms = Some(crate::limits::MAX_INTEGER);
                execution.heartbeat_timeout_seconds = Some(86_400);
                execution.start_timeout_seconds = Some(2_592_000);
                (execution.cancel_requested_at, execution.scheduled_at) = (Some(at(0)), Some(at(0)));
                let mut transition = transition(4, Status::Interrupted, Status::Interrupted);
                transition.version = crate::limits::MAX_INTEGER;
                transition.by_name = Some(name.clone());
                transition.by = KeyId::parse(&text(64, 'k')).unwrap();
                transition.reason = Some(text(1_024, character));
                let event = event(&execution, Some(&transition)).unwrap();
                assert!(event.body.len() < MAX_EVENT, "{} bytes", event.body.len());
                let body = body(&event);
                let left_out = metadata > MAX_METADATA;
                assert_eq!(event.without_metadata.is_none(), left_out);
                let omitted = body["data"]["omitted"].as_array().unwrap();
                for name in ["metadata", "cost_estimate"] {
                    assert_eq!(omitted.contains(&json!(name)), left_out, "{name}");
                    assert_eq!(body["data"]["execution"].get(name).is_none(), left_out, "{name}");
                }
                let message = body["data"]["execution"]["error_message"].as_str().unwrap();
                let written = serde_json::to_string(message).unwrap().len() - 2;
                assert!((MAX_TEXT - 5..=MAX_TEXT).contains(&written), "{written}");
                assert!(body["data"]["truncated"].as_array().unwrap().contains(&json!("error_message")));
            }
        }
    }

    #[test]
    fn a_text_that_fits_is_not_cut() {
        for (characters, character, cut_to) in
            [(2_048, 'a', None), (2_049, 'a', Some(2_048)), (1_024, '\n', None), (1_025, '"', Some(1_024))]
        {
            let (long, mut truncated) = (text(characters, character), Vec::new());
            let shown = cut(&long, "reason", &mut truncated);
            assert_eq!(shown.chars().count(), cut_to.unwrap_or(characters));
            assert_eq!(truncated, if cut_to.is_some() { vec!["reason"] } else { vec![] });
        }
    }

    #[test]
    fn every_status_has_an_event_of_its_own() {
        for status in Status::ALL {
            assert_eq!(EventType::Entered(status).as_str(), format!("execution.{status}"));
        }
    }

    #[test]
    fn a_record_with_a_damaged_text_makes_no_event() {
        let mut execution = execution();
        execution.metadata = JsonText::new_unchecked("{".to_owned());
        assert!(event(&execution, None).is_err());
    }
}
