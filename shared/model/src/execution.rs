//! The record of one execution (contract, "The record"), and the lists of names in it.

use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::clock::Timestamp;
use crate::id::{ExecutionId, KeyId, OrganizationId};
use crate::json::JsonText;
use crate::key_name::KeyName;
use crate::status::Status;
use crate::step::Step;
use crate::wire_name::{self, WireName};

/// What set an execution off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(rename_all = "lowercase"))]
pub enum TriggerType {
    /// A person.
    Manual,
    /// An event somewhere.
    Event,
    /// The clock.
    Scheduled,
    /// A call of an API.
    Api,
    /// A webhook.
    Webhook,
    /// A test.
    Test,
}

impl WireName for TriggerType {
    const ALL: &'static [Self] = &[Self::Manual, Self::Event, Self::Scheduled, Self::Api, Self::Webhook, Self::Test];

    fn as_str(self) -> &'static str {
        match self {
            Self::Manual => "manual",
            Self::Event => "event",
            Self::Scheduled => "scheduled",
            Self::Api => "api",
            Self::Webhook => "webhook",
            Self::Test => "test",
        }
    }
}

/// How urgent an execution is. The service keeps it; whoever runs the execution acts on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(rename_all = "lowercase"))]
pub enum Priority {
    /// Can wait.
    Low,
    /// The default.
    #[default]
    Normal,
    /// Before the normal ones.
    High,
    /// Now.
    Urgent,
}

impl WireName for Priority {
    const ALL: &'static [Self] = &[Self::Low, Self::Normal, Self::High, Self::Urgent];

    fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Normal => "normal",
            Self::High => "high",
            Self::Urgent => "urgent",
        }
    }
}

/// One run of a flow by an agent, as the API shows it. The order of the fields is the order in the answers.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(description = "One run of a flow by an agent."))]
pub struct Execution {
    /// UUID, made by the service.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = "uuid"))]
    pub id: ExecutionId,
    /// The flow that runs.
    #[cfg_attr(feature = "openapi", schema(min_length = 1, max_length = 256))]
    pub flow_id: String,
    /// The agent that runs it; `unassigned` where the caller named none.
    #[cfg_attr(feature = "openapi", schema(min_length = 1, max_length = 256))]
    pub agent_id: String,
    /// The organization of the API key that made it.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub organization_id: OrganizationId,
    /// Counts the executions of this flow in this organization. Gaps are possible, repeats are not.
    #[cfg_attr(feature = "openapi", schema(minimum = 1))]
    pub execution_number: i64,
    /// What set it off.
    #[serde(serialize_with = "wire_name::serialize")]
    pub trigger_type: TriggerType,
    /// What came with the trigger; comes back exactly as sent.
    #[serde(skip_serializing_if = "JsonText::is_left_out")]
    #[cfg_attr(feature = "openapi", schema(value_type = serde_json::Map<String, serde_json::Value>, required))]
    pub trigger_data: JsonText,
    /// The inputs of the flow; come back exactly as sent.
    #[serde(skip_serializing_if = "JsonText::is_left_out")]
    #[cfg_attr(feature = "openapi", schema(value_type = serde_json::Map<String, serde_json::Value>, required))]
    pub variables: JsonText,
    /// How urgent it is.
    #[serde(serialize_with = "wire_name::serialize")]
    pub priority: Priority,
    /// Where it stands.
    pub status: Status,
    /// How often the record was written, from 1. Also in its `ETag`, and what `If-Match` compares.
    #[cfg_attr(feature = "openapi", schema(minimum = 1))]
    pub version: i64,
    /// How often `running` was entered: the number of the present attempt, 0 before the first. Claims before version 0.2
    /// are not counted.
    #[cfg_attr(feature = "openapi", schema(minimum = 0))]
    pub attempt: i64,
    /// When it first ran; until then, when it was accepted.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub started_at: Timestamp,
    /// When it ended; set by the service on entering a terminal status unless the writer gives it.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime, required))]
    pub completed_at: Option<Timestamp>,
    /// `completed_at` less the first `running`, in milliseconds, unless the writer gave another value; null where it never
    /// ran.
    #[cfg_attr(feature = "openapi", schema(required, minimum = 0, maximum = 9_007_199_254_740_991_i64))]
    pub duration_ms: Option<i64>,
    /// How long it may take from its first `running` on, retries included, in seconds: after that the service ends it with
    /// `timeout`. Update execution may raise it.
    #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 604_800))]
    pub timeout_seconds: i64,
    /// How long its worker may send no heartbeat, in seconds: after that the service says `interrupted`. Null: it is not
    /// watched for silence.
    #[cfg_attr(feature = "openapi", schema(required, minimum = 15, maximum = 86_400))]
    pub heartbeat_timeout_seconds: Option<i64>,
    /// How long after the later of `created_at` and `scheduled_at` it may first run, in seconds: after that the service ends
    /// it with `timeout`. Null: as late as it likes.
    #[cfg_attr(feature = "openapi", schema(required, minimum = 1, maximum = 2_592_000))]
    pub start_timeout_seconds: Option<i64>,
    /// When cancel execution was asked for while it ran; null: it was not. It stays when the execution has ended, however
    /// it did.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime, required))]
    pub cancel_requested_at: Option<Timestamp>,
    /// The first 100 steps by `step_id`, or fewer where they are large; null where there are some and the answer does not
    /// show them, as in lists. List steps shows all.
    #[cfg_attr(feature = "openapi", schema(required, max_items = 100))]
    pub steps: Option<Vec<Step>>,
    /// The result; comes back exactly as sent.
    #[serde(skip_serializing_if = "is_left_out")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<serde_json::Map<String, serde_json::Value>>, required))]
    pub final_output: Option<JsonText>,
    /// What went wrong, for people.
    #[cfg_attr(feature = "openapi", schema(required, max_length = 65536))]
    pub error_message: Option<String>,
    /// What went wrong, for programs; comes back exactly as sent.
    #[serde(skip_serializing_if = "is_left_out")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<serde_json::Map<String, serde_json::Value>>, required))]
    pub error_details: Option<JsonText>,
    /// How often it was retried: every entry into `retrying` adds 1.
    #[cfg_attr(feature = "openapi", schema(minimum = 0, maximum = 100))]
    pub retry_count: i64,
    /// How often it may be retried.
    #[cfg_attr(feature = "openapi", schema(minimum = 0, maximum = 100))]
    pub max_retries: i64,
    /// The execution that this one retries.
    #[cfg_attr(feature = "openapi", schema(required, min_length = 1, max_length = 256))]
    pub parent_execution_id: Option<String>,
    /// Tokens that models used.
    #[cfg_attr(feature = "openapi", schema(required, minimum = 0, maximum = 9_007_199_254_740_991_i64))]
    pub tokens_used: Option<i64>,
    /// Calls of tools.
    #[cfg_attr(feature = "openapi", schema(minimum = 0, maximum = 9_007_199_254_740_991_i64))]
    pub tool_calls_count: i64,
    /// What it cost, in USD; comes back with the digits that were sent.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<f64>, required, minimum = 0))]
    pub cost_estimate: Option<JsonText>,
    /// Measurements of the writers; comes back exactly as sent.
    #[serde(skip_serializing_if = "JsonText::is_left_out")]
    #[cfg_attr(feature = "openapi", schema(value_type = serde_json::Map<String, serde_json::Value>, required))]
    pub performance_metrics: JsonText,
    /// Whatever the caller wants to find again; comes back exactly as sent.
    #[cfg_attr(feature = "openapi", schema(value_type = serde_json::Map<String, serde_json::Value>))]
    pub metadata: JsonText,
    /// When it was accepted.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub created_at: Timestamp,
    /// When it was last written.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub updated_at: Timestamp,
    /// When the caller wants it to run. Only in the record of an execution that was given one: what was sent comes
    /// back.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime, nullable = false))]
    pub scheduled_at: Option<Timestamp>,
}

/// What a summary of a record leaves out: the objects that may be large.
pub const NOT_IN_SUMMARY: [&str; 5] =
    ["trigger_data", "variables", "final_output", "error_details", "performance_metrics"];

/// Whether a view leaves the value out. Null is a value.
#[expect(clippy::ref_option, reason = "serde passes a reference to the field")]
fn is_left_out(value: &Option<JsonText>) -> bool {
    value.as_ref().is_some_and(JsonText::is_left_out)
}

impl Execution {
    /// The record without the members in [`NOT_IN_SUMMARY`].
    #[must_use]
    pub fn into_summary(self) -> Self {
        Self {
            trigger_data: JsonText::left_out(),
            variables: JsonText::left_out(),
            final_output: Some(JsonText::left_out()),
            error_details: Some(JsonText::left_out()),
            performance_metrics: JsonText::left_out(),
            ..self
        }
    }

    /// The strong validator of this state of the record (contract, "Concurrency and repeats"). Steps leave the version: with
    /// shown steps it has a hash of their ids and versions besides.
    #[must_use]
    pub fn etag(&self) -> String {
        match self.steps.as_deref() {
            None | Some([]) => etag(self.version),
            Some(steps) => format!("\"{}.{}\"", self.version, hash(steps)),
        }
    }
}

/// The `ETag` of a record's version.
#[must_use]
pub fn etag(version: i64) -> String {
    format!("\"{version}\"")
}

/// How many bytes of a SHA-256 an `ETag` has.
const HASH: usize = 8;

/// A hash of the ids and versions of steps, as hexadecimal digits.
fn hash(steps: &[Step]) -> String {
    let mut hash = Sha256::new();
    for step in steps {
        let id = step.step_id.as_str().as_bytes();
        hash.update(id.len().to_be_bytes());
        hash.update(id);
        hash.update(step.version.to_be_bytes());
    }
    let start = hash.finalize().first_chunk::<HASH>().copied().unwrap_or_default();
    format!("{:016x}", u64::from_be_bytes(start))
}

/// The version in the text of an `ETag` that this service issues, without its quotes; `None` for any other text.
#[must_use]
pub fn version_of_etag(opaque: &str) -> Option<i64> {
    let version = match opaque.split_once('.') {
        None => opaque,
        Some((version, hash)) => {
            let issued = hash.len() == 2 * HASH && hash.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
            issued.then_some(version)?
        }
    };
    version.parse().ok().filter(|number: &i64| number.to_string() == version)
}

/// One change of status that took effect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Transition {
    /// The status before.
    pub from: Status,
    /// The status after.
    pub to: Status,
    /// When.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub at: Timestamp,
    /// The id of the API key that did it; `service` where the service's own supervision did.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub by: KeyId,
    /// The name that this key had; null where it had none, as in transitions before version 0.2.
    #[cfg_attr(feature = "openapi", schema(required, value_type = Option<String>, min_length = 1, max_length = 64))]
    pub by_name: Option<KeyName>,
    /// The first 1024 characters of the `error_message` given with it, the reason of a cancel, or the service's own sentence.
    #[cfg_attr(feature = "openapi", schema(required))]
    pub reason: Option<String>,
    /// The attempt that it began or belongs to; 0 before the first.
    #[cfg_attr(feature = "openapi", schema(minimum = 0))]
    pub attempt: i64,
    /// The version of the execution after it.
    #[cfg_attr(feature = "openapi", schema(minimum = 2))]
    pub version: i64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_says_its_version_with_a_hash_or_without() {
        for (tag, version) in [
            ("7", Some(7)),
            ("7.0123456789abcdef", Some(7)),
            ("07", None),
            ("+7", None),
            ("7.", None),
            (".0123456789abcdef", None),
            ("7.0123456789ABCDEF", None),
            ("7.0123456789abcde", None),
            ("7.0123456789abcdef0", None),
            ("7.0123456789abcdef.", None),
            ("", None),
        ] {
            assert_eq!(version_of_etag(tag), version, "{tag}");
        }
    }
}
