//! The operation in the OpenAPI document.

use ratchet_http::openapi::{
    CorrelationHeader, IdempotencyHeader, InternalError, InvalidOrKeyReused, MayNotWrite, PayloadTooLarge,
    TooManyRequests, Unauthorized, UnsupportedMediaType, WriteUnavailable, key_reused,
};

use ratchet_http::validation_error::{Location, ValidationErrorKind, ValidationErrors};
use ratchet_model::execution::{Priority, TriggerType};
use ratchet_model::samples;
use ratchet_model::wire_name::WireName;
use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::request::FIELDS;
use crate::{ExecuteFlowResponse, OPERATION};

/// What to run, and with what.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ExecuteFlowRequest {
    /// The flow to run.
    #[schema(min_length = 1, max_length = 256)]
    pub flow_id: String,
    /// What sets it off.
    #[schema(value_type = TriggerType)]
    pub trigger_type: String,
    /// What came with the trigger. Comes back exactly as sent, like every object here; nested at most 100 levels deep.
    /// By default `{}`.
    pub trigger_data: Option<Map<String, Value>>,
    /// The inputs of the flow. By default `{}`.
    pub variables: Option<Map<String, Value>>,
    /// How urgent it is. By default `normal`.
    #[schema(value_type = Option<Priority>)]
    pub priority: Option<String>,
    /// How long it may take from its first `running` on, retries included, in seconds: after that the service ends it with
    /// `timeout`. By default `300`. A deployed service may be set to another.
    #[schema(minimum = 1, maximum = 604_800)]
    pub timeout_seconds: Option<i64>,
    /// How long its worker may send no heartbeat, in seconds: after that the service says `interrupted`. By default it is not
    /// watched for silence.
    #[schema(minimum = 15, maximum = 86_400)]
    pub heartbeat_timeout_seconds: Option<i64>,
    /// How long after the later of its creation and `scheduled_at` it may first run, in seconds: after that the service ends
    /// it with `timeout`. By default as late as it likes.
    #[schema(minimum = 1, maximum = 2_592_000)]
    pub start_timeout_seconds: Option<i64>,
    /// How it may be retried.
    pub retry_config: Option<RetryConfig>,
    /// Whatever the caller wants to find again. By default `{}`.
    pub metadata: Option<Map<String, Value>>,
    /// When it is meant to run. Kept in the record; whoever runs it acts on it.
    #[schema(format = DateTime)]
    pub scheduled_at: Option<String>,
    /// The agent that runs it. By default `unassigned`.
    #[schema(min_length = 1, max_length = 256)]
    pub agent_id: Option<String>,
    /// The execution that this one retries.
    #[schema(min_length = 1, max_length = 256)]
    pub parent_execution_id: Option<String>,
}

/// How an execution may be retried.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(examples(json!({ "max_retries": 2 })))]
pub struct RetryConfig {
    /// How often. By default `3`.
    #[schema(minimum = 0, maximum = 100)]
    pub max_retries: Option<i64>,
}

/// The answer to a body with a comma too many.
fn not_json() -> ValidationErrors {
    let mut errors = ValidationErrors::sample([(
        &["body"],
        ValidationErrorKind::NotJson("Expecting property name enclosed in double quotes"),
        "{}",
    )]);
    errors.detail.iter_mut().for_each(|error| error.loc.push(Location::Offset(29)));
    errors
}

/// Execute a flow
///
/// Makes an execution, which waits as `pending` until a worker takes it. Its `execution_number` counts the executions
/// of the flow. With an Idempotency-Key, a repeat makes no second one and is answered with the record as it now stands.
///
/// Needs the scope `write`.
#[utoipa::path(
    post,
    path = OPERATION.path,
    operation_id = OPERATION.name,
    tag = "Flows",
    params(IdempotencyHeader, CorrelationHeader),
    request_body(
        content = ExecuteFlowRequest,
        description = "At most 1 MiB. A field that is not listed here is refused.",
        examples(
            ("shortest" = (value = json!({ "flow_id": "invoice-triage", "trigger_type": "manual" }))),
            ("full" = (value = json!({
                "flow_id": "invoice-triage",
                "trigger_type": "webhook",
                "trigger_data": { "source": "billing", "invoice": "INV-2041" },
                "variables": { "currency": "EUR", "threshold": 250.0 },
                "priority": "high",
                "timeout_seconds": 900,
                "heartbeat_timeout_seconds": 120,
                "retry_config": { "max_retries": 2 },
                "metadata": { "team": "finance" },
                "agent_id": "agent-7"
            })))
        )
    ),
    responses(
        (
            status = 200,
            description = "The execution was accepted, now or by an earlier request with the same Idempotency-Key.",
            body = ExecuteFlowResponse,
            headers(
                ("ETag" = String, description = "The version of the record, for If-Match and If-None-Match."),
                ("Idempotency-Replayed" = String, description = "`true` if an earlier request did it; else absent.")
            ),
            example = json!(ExecuteFlowResponse::new(samples::pending()))
        ),
        (status = 401, response = Unauthorized),
        (status = 403, response = MayNotWrite),
        (status = 413, response = PayloadTooLarge),
        (status = 415, response = UnsupportedMediaType),
        (
            status = 422,
            description = "Everything that is wrong with the request, or that the Idempotency-Key came before with \
                           another body. No execution was made.",
            body = InvalidOrKeyReused,
            examples(
                ("invalid" = (value = json!(ValidationErrors::sample([
                    (&["body", "trigger_type"], ValidationErrorKind::not_one_of(TriggerType::ALL), "\"cron\""),
                    (&["body", "retry_config", "max_retries"], ValidationErrorKind::NotAnInteger, "\"3\""),
                    (&["body", "priorty"], ValidationErrorKind::extra(&FIELDS, 0), "\"high\"")
                ])))),
                ("not JSON" = (value = json!(not_json()))),
                ("key reused" = (value = json!(key_reused())))
            )
        ),
        (status = 429, response = TooManyRequests),
        (status = 500, response = InternalError),
        (status = 503, response = WriteUnavailable)
    )
)]
pub const fn execute_flow() {}
