//! The command that creates an execution (contract, "Execute flow").

use crate::clock::Timestamp;
use crate::execution::{Priority, TriggerType};
use crate::idempotency::IdempotencyKey;
use crate::json::JsonText;

/// An execution to create.
#[derive(Debug)]
pub struct NewExecution {
    /// The flow that runs.
    pub flow_id: String,
    /// What set it off.
    pub trigger_type: TriggerType,
    /// Came with the trigger.
    pub trigger_data: JsonText,
    /// Inputs of the flow.
    pub variables: JsonText,
    /// How urgent it is.
    pub priority: Priority,
    /// How long it may take from its first `running` on, in seconds.
    pub timeout_seconds: i64,
    /// How long its worker may be silent, in seconds; `None`: it is not watched for silence.
    pub heartbeat_timeout_seconds: Option<i64>,
    /// How long it may take to start, in seconds; `None`: as long as it likes.
    pub start_timeout_seconds: Option<i64>,
    /// How often it may be retried.
    pub max_retries: i64,
    /// The caller's own data.
    pub metadata: JsonText,
    /// When it is meant to run.
    pub scheduled_at: Option<Timestamp>,
    /// The agent that runs it.
    pub agent_id: String,
    /// The execution that it retries.
    pub parent_execution_id: Option<String>,
    /// The request's Idempotency-Key.
    pub idempotency_key: Option<IdempotencyKey>,
}
