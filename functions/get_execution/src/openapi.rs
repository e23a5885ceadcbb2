//! The operation in the OpenAPI document.

use shared::execution::Execution;
use shared::openapi::{
    CorrelationHeader, ExecutionNotFound, ExecutionPath, InternalError, MayNotRead, ReadUnavailable, TooManyRequests,
    Unauthorized,
};
use utoipa::IntoParams;

use crate::OPERATION;

/// What the caller already has.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Header)]
pub struct IfNoneMatchHeader {
    /// One or more `ETag`s such as `"2"`, or `*`: the record is sent only if it has none of them.
    #[param(rename = "If-None-Match", value_type = String, required = false)]
    pub if_none_match: Option<String>,
}

/// Get an execution
///
/// The record as of its last write.
///
/// Needs the scope `read`.
#[utoipa::path(
    get,
    path = "/api/v1/flows/executions/{execution_id}",
    operation_id = OPERATION,
    tag = "Flows",
    params(ExecutionPath, IfNoneMatchHeader, CorrelationHeader),
    responses(
        (
            status = 200,
            description = "The record.",
            body = Execution,
            headers(("ETag" = String, description = "The version of the record, for If-Match and If-None-Match.")),
            example = json!({
                "id": "58394a9e-4e75-8134-b8e4-afd216db1d2d",
                "flow_id": "invoice-triage",
                "agent_id": "agent-7",
                "organization_id": "acme",
                "execution_number": 3,
                "trigger_type": "webhook",
                "trigger_data": { "source": "billing", "invoice": "INV-2041" },
                "variables": { "currency": "EUR", "threshold": 250.0 },
                "priority": "high",
                "status": "completed",
                "started_at": "2026-11-21T18:11:20.729Z",
                "completed_at": "2026-11-21T18:11:25.061Z",
                "duration_ms": 4332,
                "timeout_seconds": 900,
                "steps": [],
                "final_output": { "decision": "approve", "confidence": 1.0 },
                "error_message": null,
                "error_details": null,
                "retry_count": 0,
                "max_retries": 2,
                "parent_execution_id": null,
                "tokens_used": 1204,
                "tool_calls_count": 3,
                "cost_estimate": 0.0153,
                "performance_metrics": {},
                "metadata": { "team": "finance" },
                "created_at": "2026-11-21T18:11:19.079Z",
                "updated_at": "2026-11-21T18:11:25.061Z"
            })
        ),
        (
            status = 304,
            description = "The record still has the `ETag` that If-None-Match names. There is no body.",
            headers(("ETag" = String, description = "The version of the record."))
        ),
        (status = 401, response = Unauthorized),
        (status = 403, response = MayNotRead),
        (status = 404, response = ExecutionNotFound),
        (status = 429, response = TooManyRequests),
        (status = 500, response = InternalError),
        (status = 503, response = ReadUnavailable)
    )
)]
pub const fn get_execution() {}
