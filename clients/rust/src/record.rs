//! What comes back. The fields are those of the API; a field that a summary leaves out is `None`.

use ratchet_model::clock::Timestamp;
use ratchet_model::error_code::ErrorCode;
use ratchet_model::execution::{Priority, TriggerType};
use ratchet_model::heartbeat::Action;
use ratchet_model::id::ExecutionId;
use ratchet_model::json::JsonText;
use ratchet_model::status::Status;
/// What became of one reported step.
pub use ratchet_model::step::StepOutcome as StepResult;
use ratchet_model::wire_name::WireName;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::wire;

/// Reads a record and keeps its text, so that fields which this client does not know are not lost.
macro_rules! with_its_text {
    ($($record:ident),+) => {$(
        impl<'de> Deserialize<'de> for $record {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = Box::<RawValue>::deserialize(deserializer)?;
                // The inherent function that `remote` makes, which reads the fields.
                let mut record = $record::deserialize(&mut serde_json::Deserializer::from_str(text.get()))
                    .map_err(serde::de::Error::custom)?;
                record.json = JsonText::new_unchecked(text.get().to_owned());
                Ok(record)
            }
        }
    )+};
}

with_its_text!(Execution, Step, Transition, Page, Beat, LastBeat, Cancelled, Overridden, StepsReported, Caller);

/// One run of a flow by an agent. The meaning of each field is in [`ratchet_model::execution::Execution`].
#[derive(Debug, Clone, Deserialize)]
#[serde(remote = "Self")]
pub struct Execution {
    /// UUID, made by the service.
    #[serde(deserialize_with = "wire::id")]
    pub id: ExecutionId,
    /// The flow that runs.
    pub flow_id: String,
    /// The agent that runs it.
    pub agent_id: String,
    /// The organization that it belongs to.
    pub organization_id: String,
    /// Counts the executions of this flow.
    pub execution_number: i64,
    /// What set it off.
    #[serde(deserialize_with = "wire::named")]
    pub trigger_type: TriggerType,
    /// What came with the trigger.
    #[serde(default, deserialize_with = "wire::maybe_json")]
    pub trigger_data: Option<JsonText>,
    /// The inputs of the flow.
    #[serde(default, deserialize_with = "wire::maybe_json")]
    pub variables: Option<JsonText>,
    /// How urgent it is.
    #[serde(deserialize_with = "wire::named")]
    pub priority: Priority,
    /// Where it stands.
    #[serde(deserialize_with = "wire::status")]
    pub status: Status,
    /// How often the record was written.
    pub version: i64,
    /// The number of the present attempt.
    pub attempt: i64,
    /// When it first ran; until then, when it was accepted.
    #[serde(deserialize_with = "wire::time")]
    pub started_at: Timestamp,
    /// When it ended.
    #[serde(deserialize_with = "wire::maybe_time")]
    pub completed_at: Option<Timestamp>,
    /// How long it took, in milliseconds.
    pub duration_ms: Option<i64>,
    /// How long it may take, in seconds.
    pub timeout_seconds: i64,
    /// How long its worker may be silent, in seconds.
    pub heartbeat_timeout_seconds: Option<i64>,
    /// How long it may take to start, in seconds.
    pub start_timeout_seconds: Option<i64>,
    /// When a cancel was requested.
    #[serde(deserialize_with = "wire::maybe_time")]
    pub cancel_requested_at: Option<Timestamp>,
    /// Its first steps; `None` where they were not read.
    #[serde(default)]
    pub steps: Option<Vec<Step>>,
    /// The result.
    #[serde(default, deserialize_with = "wire::maybe_json")]
    pub final_output: Option<JsonText>,
    /// What went wrong, for people.
    pub error_message: Option<String>,
    /// What went wrong, for programs.
    #[serde(default, deserialize_with = "wire::maybe_json")]
    pub error_details: Option<JsonText>,
    /// How often it was retried.
    pub retry_count: i64,
    /// How often it may be retried.
    pub max_retries: i64,
    /// The execution that it retries.
    pub parent_execution_id: Option<String>,
    /// Tokens that models used.
    pub tokens_used: Option<i64>,
    /// Calls of tools.
    pub tool_calls_count: i64,
    /// What it cost, in USD, with the digits that were sent.
    #[serde(deserialize_with = "wire::maybe_json")]
    pub cost_estimate: Option<JsonText>,
    /// Measurements.
    #[serde(default, deserialize_with = "wire::maybe_json")]
    pub performance_metrics: Option<JsonText>,
    /// The caller's own data.
    #[serde(default, deserialize_with = "wire::maybe_json")]
    pub metadata: Option<JsonText>,
    /// When it was accepted.
    #[serde(deserialize_with = "wire::time")]
    pub created_at: Timestamp,
    /// When it was last written.
    #[serde(deserialize_with = "wire::time")]
    pub updated_at: Timestamp,
    /// When the caller wants it to run.
    #[serde(default, deserialize_with = "wire::maybe_time")]
    pub scheduled_at: Option<Timestamp>,
    /// The whole record, as it came.
    #[serde(skip, default = "JsonText::empty_object")]
    pub json: JsonText,
}

/// A part of an execution's work.
#[derive(Debug, Clone, Deserialize)]
#[serde(remote = "Self")]
pub struct Step {
    /// The id that its worker gave it.
    pub step_id: String,
    /// Its name.
    #[serde(default)]
    pub step_name: Option<String>,
    /// Its kind.
    #[serde(default)]
    pub step_type: Option<String>,
    /// The tool that it calls.
    #[serde(default)]
    pub tool_name: Option<String>,
    /// Where it stands.
    #[serde(default, deserialize_with = "wire::maybe_named")]
    pub status: Option<Status>,
    /// What went into it.
    #[serde(default, deserialize_with = "wire::maybe_json")]
    pub input_data: Option<JsonText>,
    /// What came out of it.
    #[serde(default, deserialize_with = "wire::maybe_json")]
    pub output_data: Option<JsonText>,
    /// What went wrong.
    #[serde(default)]
    pub error_message: Option<String>,
    /// When it started.
    #[serde(default, deserialize_with = "wire::maybe_time")]
    pub started_at: Option<Timestamp>,
    /// When it ended.
    #[serde(default, deserialize_with = "wire::maybe_time")]
    pub completed_at: Option<Timestamp>,
    /// How long it took, in milliseconds.
    #[serde(default)]
    pub duration_ms: Option<i64>,
    /// How often it was retried.
    #[serde(default)]
    pub retry_count: Option<i64>,
    /// The worker's own data.
    #[serde(default, deserialize_with = "wire::maybe_json")]
    pub metadata: Option<JsonText>,
    /// The whole step, as it came.
    #[serde(skip, default = "JsonText::empty_object")]
    pub json: JsonText,
}

/// One change of status that took effect.
#[derive(Debug, Clone, Deserialize)]
#[serde(remote = "Self")]
pub struct Transition {
    /// The status before.
    #[serde(deserialize_with = "wire::status")]
    pub from: Status,
    /// The status after.
    #[serde(deserialize_with = "wire::status")]
    pub to: Status,
    /// When.
    #[serde(deserialize_with = "wire::time")]
    pub at: Timestamp,
    /// The id of the API key that did it, or `service`.
    pub by: String,
    /// The name of that key.
    pub by_name: Option<String>,
    /// Why.
    pub reason: Option<String>,
    /// The attempt that it began or belongs to.
    pub attempt: i64,
    /// The version of the execution after it.
    pub version: i64,
    /// The whole transition, as it came.
    #[serde(skip, default = "JsonText::empty_object")]
    pub json: JsonText,
}

/// The answer to execute flow.
#[derive(Deserialize)]
pub(crate) struct Executed {
    pub(crate) execution: Execution,
}

/// The answer to list transitions.
#[derive(Deserialize)]
pub(crate) struct History {
    pub(crate) transitions: Vec<Transition>,
}

/// One page of a list.
#[derive(Debug, Clone, Deserialize)]
#[serde(remote = "Self")]
pub struct Page {
    /// The executions, newest first.
    pub executions: Vec<Execution>,
    /// How many there are, up to the count limit; `None` where they were not counted.
    pub total_count: Option<u64>,
    /// Whether there are more.
    pub has_more: bool,
    /// Where the walk goes on.
    pub next_cursor: Option<String>,
    /// The whole answer, as it came.
    #[serde(skip, default = "JsonText::empty_object")]
    pub json: JsonText,
}

/// One page of an execution's steps.
#[derive(Debug, Clone, Deserialize)]
pub struct StepPage {
    /// The steps, by their id.
    pub steps: Vec<Step>,
    /// Whether there are more.
    pub has_more: bool,
    /// Where the walk goes on.
    pub next_cursor: Option<String>,
}

/// The answer to a heartbeat.
#[derive(Debug, Clone, Deserialize)]
#[serde(remote = "Self")]
pub struct Beat {
    /// The execution's status.
    #[serde(deserialize_with = "wire::status")]
    pub status: Status,
    /// The present attempt.
    pub attempt: i64,
    /// What the worker is to do.
    #[serde(deserialize_with = "wire::named")]
    pub action: Action,
    /// Why to cancel or to stop.
    pub reason: Option<String>,
    /// When a cancel was requested.
    #[serde(deserialize_with = "wire::maybe_time")]
    pub cancel_requested_at: Option<Timestamp>,
    /// From when on the service cancels by itself.
    #[serde(deserialize_with = "wire::maybe_time")]
    pub force_at: Option<Timestamp>,
    /// The execution's deadline.
    #[serde(deserialize_with = "wire::maybe_time")]
    pub deadline_at: Option<Timestamp>,
    /// After how many seconds to send the next.
    pub heartbeat_in_seconds: u64,
    /// The whole answer, as it came.
    #[serde(skip, default = "JsonText::empty_object")]
    pub json: JsonText,
}

/// When a worker was last heard.
#[derive(Debug, Clone, Deserialize)]
#[serde(remote = "Self")]
pub struct LastBeat {
    /// The execution's status.
    #[serde(deserialize_with = "wire::status")]
    pub status: Status,
    /// The present attempt.
    pub attempt: i64,
    /// When its worker was last heard; its claim counts.
    #[serde(deserialize_with = "wire::maybe_time")]
    pub last_heartbeat_at: Option<Timestamp>,
    /// When a cancel was requested.
    #[serde(deserialize_with = "wire::maybe_time")]
    pub cancel_requested_at: Option<Timestamp>,
    /// From when on the service cancels by itself.
    #[serde(deserialize_with = "wire::maybe_time")]
    pub force_at: Option<Timestamp>,
    /// The execution's deadline.
    #[serde(deserialize_with = "wire::maybe_time")]
    pub deadline_at: Option<Timestamp>,
    /// The whole answer, as it came.
    #[serde(skip, default = "JsonText::empty_object")]
    pub json: JsonText,
}

/// What a cancel did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CancelOutcome {
    /// The execution is cancelled.
    Cancelled,
    /// Its worker is asked to stop.
    Requested,
}

impl WireName for CancelOutcome {
    const ALL: &'static [Self] = &[Self::Cancelled, Self::Requested];

    fn as_str(self) -> &'static str {
        match self {
            Self::Cancelled => "cancelled",
            Self::Requested => "requested",
        }
    }
}

/// The answer to a cancel.
#[derive(Debug, Clone, Deserialize)]
#[serde(remote = "Self")]
pub struct Cancelled {
    /// What it did.
    #[serde(deserialize_with = "wire::named")]
    pub outcome: CancelOutcome,
    /// The status before.
    #[serde(deserialize_with = "wire::status")]
    pub previous_status: Status,
    /// The status after.
    #[serde(deserialize_with = "wire::status")]
    pub current_status: Status,
    /// From when on the service cancels by itself.
    #[serde(default, deserialize_with = "wire::maybe_time")]
    pub force_at: Option<Timestamp>,
    /// The whole answer, as it came.
    #[serde(skip, default = "JsonText::empty_object")]
    pub json: JsonText,
}

/// The answer to an override.
#[derive(Debug, Clone, Deserialize)]
#[serde(remote = "Self")]
pub struct Overridden {
    /// The status before.
    #[serde(deserialize_with = "wire::status")]
    pub previous_status: Status,
    /// The status after.
    #[serde(deserialize_with = "wire::status")]
    pub current_status: Status,
    /// The whole answer, as it came.
    #[serde(skip, default = "JsonText::empty_object")]
    pub json: JsonText,
}

/// The outcome of one reported step.
#[derive(Debug, Clone, Deserialize)]
pub struct StepOutcome {
    /// The step.
    pub step_id: String,
    /// What became of it.
    #[serde(deserialize_with = "wire::named")]
    pub outcome: StepResult,
    /// Why it was refused, for programs.
    #[serde(default, deserialize_with = "wire::maybe_named")]
    pub error_code: Option<ErrorCode>,
    /// Why it was refused, for people.
    #[serde(default)]
    pub detail: Option<String>,
}

/// The answer to a report of steps.
#[derive(Debug, Clone, Deserialize)]
#[serde(remote = "Self")]
pub struct StepsReported {
    /// The execution's status.
    #[serde(deserialize_with = "wire::status")]
    pub status: Status,
    /// What the worker is to do, as a heartbeat would be told.
    #[serde(deserialize_with = "wire::named")]
    pub action: Action,
    /// What became of each step, in the order in which they were sent.
    pub outcomes: Vec<StepOutcome>,
    /// The whole answer, as it came.
    #[serde(skip, default = "JsonText::empty_object")]
    pub json: JsonText,
}

/// Whose an API key is.
#[derive(Debug, Clone, Deserialize)]
#[serde(remote = "Self")]
pub struct Caller {
    /// The organization that it speaks for.
    pub organization_id: String,
    /// Its id.
    pub key_id: String,
    /// Its name.
    pub key_name: Option<String>,
    /// What it may do.
    pub scopes: Vec<String>,
    /// Until when it is valid.
    #[serde(deserialize_with = "wire::maybe_time")]
    pub expires_at: Option<Timestamp>,
    /// The whole answer, as it came.
    #[serde(skip, default = "JsonText::empty_object")]
    pub json: JsonText,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A record as the README has it, with a field of a later version.
    const RECORD: &str = r#"{"id":"9590e06b-a39e-4436-805b-57b9b56d0dea","flow_id":"nightly-report","agent_id":"unassigned",
        "organization_id":"local","execution_number":1,"trigger_type":"scheduled","trigger_data":{},
        "variables":{"limit": 1.0,"big":1234567890123456789012345678901234567890},"priority":"normal","status":"pending",
        "version":1,"attempt":0,"started_at":"2026-11-21T18:27:30.747Z","completed_at":null,"duration_ms":null,
        "timeout_seconds":300,"heartbeat_timeout_seconds":null,"start_timeout_seconds":null,"cancel_requested_at":null,
        "steps":[{"step_id":"1","status":"running","output_data":{"x":1e400}}],"final_output":null,"error_message":null,
        "error_details":null,"retry_count":0,"max_retries":3,"parent_execution_id":null,"tokens_used":null,
        "tool_calls_count":0,"cost_estimate":0.0180,"performance_metrics":{},"metadata":{},
        "created_at":"2026-11-21T18:27:30.747Z","updated_at":"2026-11-21T18:27:30.747Z","of_tomorrow":[1]}"#;

    #[test]
    fn numbers_keep_their_digits_and_unknown_fields_their_text() {
        let execution: Execution = serde_json::from_str(RECORD).unwrap();
        assert_eq!(
            execution.variables.unwrap().as_str(),
            r#"{"limit": 1.0,"big":1234567890123456789012345678901234567890}"#
        );
        assert_eq!(execution.cost_estimate.unwrap().as_str(), "0.0180");
        assert_eq!(execution.final_output, None);
        let steps = execution.steps.unwrap();
        assert_eq!(steps[0].output_data.as_ref().unwrap().as_str(), r#"{"x":1e400}"#);
        assert_eq!(steps[0].json.as_str(), r#"{"step_id":"1","status":"running","output_data":{"x":1e400}}"#);
        assert_eq!(execution.json.as_str(), RECORD);
    }

    #[test]
    fn what_a_summary_leaves_out_is_none() {
        let mut text = RECORD.to_owned();
        for left_out in ["\"trigger_data\":{},", "\"performance_metrics\":{},", "\"error_details\":null,"] {
            assert!(text.contains(left_out));
            text = text.replace(left_out, "");
        }
        let summary: Execution = serde_json::from_str(&text).unwrap();
        assert_eq!((summary.trigger_data, summary.performance_metrics, summary.error_details), (None, None, None));
    }

    #[test]
    fn a_status_that_is_not_known_is_an_error_and_not_a_guess() {
        let text = RECORD.replace("\"status\":\"pending\"", "\"status\":\"paused\"");
        let error = serde_json::from_str::<Execution>(&text).unwrap_err().to_string();
        assert!(error.contains("a name that this client does not know: \"paused\""), "{error}");
    }
}
