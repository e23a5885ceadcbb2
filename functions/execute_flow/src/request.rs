//! The body of execute flow.

use ratchet_http::error::HttpError;
use ratchet_http::fields::Fields;
use ratchet_http::request::Request;
use ratchet_model::execution::{Priority, TriggerType};
use ratchet_model::json::JsonText;
use ratchet_model::limits::{
    DEFAULT_MAX_RETRIES, MAX_HEARTBEAT_TIMEOUT_SECONDS, MAX_NAME, MAX_RETRIES, MAX_START_TIMEOUT_SECONDS,
    MAX_TIMEOUT_SECONDS, MIN_HEARTBEAT_TIMEOUT_SECONDS, UNASSIGNED,
};
use ratchet_model::new_execution::NewExecution;
use ratchet_model::wire_name::WireName;

/// The fields of the body.
pub const FIELDS: [&str; 13] = [
    "flow_id",
    "trigger_type",
    "trigger_data",
    "variables",
    "priority",
    "timeout_seconds",
    "heartbeat_timeout_seconds",
    "start_timeout_seconds",
    "retry_config",
    "metadata",
    "scheduled_at",
    "agent_id",
    "parent_execution_id",
];

/// Reads the request of execute flow. An execution whose caller names no timeout has `default_timeout_seconds`.
///
/// # Errors
///
/// All its validation errors.
pub fn read(request: &Request, default_timeout_seconds: i64) -> Result<NewExecution, HttpError> {
    let body = request.json()?;
    let mut validation = request.without_query();
    let mut fields = Fields::of_body(&body);
    let flow_id = fields.required_string("flow_id", 1, MAX_NAME, &mut validation);
    let trigger_type = fields.required_name("trigger_type", TriggerType::ALL, &mut validation);
    let trigger_data = fields.object("trigger_data", &mut validation);
    let variables = fields.object("variables", &mut validation);
    let priority = fields.name("priority", Priority::ALL, &mut validation);
    let timeout_seconds = fields.integer("timeout_seconds", 1, MAX_TIMEOUT_SECONDS, &mut validation);
    let heartbeat_timeout_seconds = fields.integer(
        "heartbeat_timeout_seconds",
        MIN_HEARTBEAT_TIMEOUT_SECONDS,
        MAX_HEARTBEAT_TIMEOUT_SECONDS,
        &mut validation,
    );
    let start_timeout_seconds = fields.integer("start_timeout_seconds", 1, MAX_START_TIMEOUT_SECONDS, &mut validation);
    let mut max_retries = None;
    fields.nested("retry_config", &mut validation, |nested, validation| {
        max_retries = nested.integer("max_retries", 0, MAX_RETRIES, validation);
    });
    let metadata = fields.object("metadata", &mut validation);
    let scheduled_at = fields.time("scheduled_at", &mut validation);
    let agent_id = fields.string("agent_id", 1, MAX_NAME, &mut validation);
    let parent_execution_id = fields.string("parent_execution_id", 1, MAX_NAME, &mut validation);
    fields.finish(&mut validation);
    let idempotency_key = request.idempotency_key(&body, &mut validation);
    let (flow_id, trigger_type) = validation.require(flow_id.zip(trigger_type))?;
    Ok(NewExecution {
        flow_id,
        trigger_type,
        trigger_data: trigger_data.unwrap_or_else(JsonText::empty_object),
        variables: variables.unwrap_or_else(JsonText::empty_object),
        priority: priority.unwrap_or_default(),
        timeout_seconds: timeout_seconds.unwrap_or(default_timeout_seconds),
        heartbeat_timeout_seconds,
        start_timeout_seconds,
        max_retries: max_retries.unwrap_or(DEFAULT_MAX_RETRIES),
        metadata: metadata.unwrap_or_else(JsonText::empty_object),
        scheduled_at,
        agent_id: agent_id.unwrap_or_else(|| UNASSIGNED.to_owned()),
        parent_execution_id,
        idempotency_key,
    })
}
