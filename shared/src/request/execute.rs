//! The body of execute flow.

use super::problems::Problems;
use super::{IdempotencyKey, Request, fields};
use crate::clock::Timestamp;
use crate::error::Error;
use crate::execution::{Named, Priority, TriggerType, UNASSIGNED};
use crate::json::{Document, JsonText};

/// The greatest `timeout_seconds`: a week.
pub const MAX_TIMEOUT_SECONDS: i64 = 604_800;

/// The greatest `retry_count` and `max_retries`.
pub const MAX_RETRIES: i64 = 100;

/// The longest name of a flow, an agent or a parent, in characters.
pub const MAX_NAME: usize = 256;

/// An execution that shall be made.
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
    /// How long it may take.
    pub timeout_seconds: i64,
    /// How often it may be retried.
    pub max_retries: i64,
    /// The caller's own.
    pub metadata: JsonText,
    /// When it shall run.
    pub scheduled_at: Option<Timestamp>,
    /// The agent that runs it.
    pub agent_id: String,
    /// The execution that it retries.
    pub parent_execution_id: Option<String>,
    /// The request's Idempotency-Key.
    pub idempotency_key: Option<IdempotencyKey>,
}

impl NewExecution {
    /// Reads the request of execute flow.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with it.
    pub fn read(operation: &str, request: &Request) -> Result<Self, Error> {
        let body: Document = request.json()?;
        let mut problems = Problems::default();
        let problems = &mut problems;
        let mut fields = fields(&body);
        let flow_id = fields.required_string("flow_id", 1, MAX_NAME, problems);
        let trigger_type = fields.required_name("trigger_type", TriggerType::ALL, problems);
        let trigger_data = fields.object("trigger_data", problems);
        let variables = fields.object("variables", problems);
        let priority = fields.name("priority", Priority::ALL, problems);
        let timeout_seconds = fields.integer("timeout_seconds", 1, MAX_TIMEOUT_SECONDS, problems);
        let mut max_retries = None;
        fields.part("retry_config", problems, |part, problems| {
            max_retries = part.integer("max_retries", 0, MAX_RETRIES, problems);
        });
        let metadata = fields.object("metadata", problems);
        let scheduled_at = fields.time("scheduled_at", problems);
        let agent_id = fields.string("agent_id", 1, MAX_NAME, problems);
        let parent_execution_id = fields.string("parent_execution_id", 1, MAX_NAME, problems);
        fields.finish(problems);
        let idempotency_key = request.idempotency_key(operation, &body, problems);
        std::mem::take(problems).finish()?;
        let required = || Error::internal("a required field was lost");
        Ok(Self {
            flow_id: flow_id.ok_or_else(required)?,
            trigger_type: trigger_type.ok_or_else(required)?,
            trigger_data: trigger_data.unwrap_or_else(JsonText::empty_object),
            variables: variables.unwrap_or_else(JsonText::empty_object),
            priority: priority.unwrap_or_default(),
            timeout_seconds: timeout_seconds.unwrap_or(300),
            max_retries: max_retries.unwrap_or(3),
            metadata: metadata.unwrap_or_else(JsonText::empty_object),
            scheduled_at,
            agent_id: agent_id.unwrap_or_else(|| UNASSIGNED.to_owned()),
            parent_execution_id,
            idempotency_key,
        })
    }
}
