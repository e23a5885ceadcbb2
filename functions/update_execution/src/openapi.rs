//! The operation in the OpenAPI document.

use shared::execution::Execution;
use shared::openapi::{
    CorrelationHeader, Error, ExecutionNotFound, ExecutionPath, IdempotencyHeader, IfMatchHeader, InternalError,
    InvalidOrKeyReused, MayNotWrite, PayloadTooLarge, PreconditionFailed, TooManyRequests, Unauthorized,
    UnsupportedMediaType, UpdateExecutionRequest, WriteUnavailable,
};
use utoipa::IntoParams;

use crate::OPERATION;

/// What the caller wants back.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Header)]
pub struct PreferHeader {
    /// `return=minimal`: answer 204, without the record. Everything else is ignored.
    #[param(rename = "Prefer", value_type = String, required = false)]
    pub prefer: Option<String>,
}

/// Update an execution
///
/// With `status`, a transition: it is done if the table of transitions allows it from the status that the execution has
/// at that moment, and the other fields are written with it. Of concurrent requests one at a time is applied; the
/// others learn the status that beat them. Without `status`, the fields alone.
///
/// Once the status is terminal, `final_output`, `error_message`, `error_details`, `completed_at`, `duration_ms` and
/// `retry_count` are frozen: the first result wins. The other fields may still be corrected. `{}` changes nothing and
/// returns the record. With an Idempotency-Key, a repeat is answered with the record as it now stands.
///
/// Needs the scope `write`.
#[utoipa::path(
    patch,
    path = "/api/v1/flows/executions/{execution_id}",
    operation_id = OPERATION,
    tag = "Flows",
    params(ExecutionPath, IdempotencyHeader, IfMatchHeader, PreferHeader, CorrelationHeader),
    request_body(
        content = UpdateExecutionRequest,
        description = "At most 1 MiB. A field that is not listed here is refused.",
        examples(
            ("start" = (value = json!({ "status": "running" }))),
            ("finish" = (value = json!({
                "status": "completed",
                "final_output": { "decision": "approve", "confidence": 1.0 },
                "tokens_used": 1204,
                "tool_calls_count": 3,
                "cost_estimate": 0.0153
            }))),
            ("progress" = (value = json!({ "tokens_used": 1204 })))
        )
    ),
    responses(
        (
            status = 200,
            description = "The record after the change or, for a repeat, as it now stands.",
            body = Execution,
            headers(
                ("ETag" = String, description = "The version of the record, for If-Match and If-None-Match."),
                ("Idempotency-Replayed" = String, description = "`true` if an earlier request did it; else absent.")
            ),
            examples(
                ("start" = (value = json!({
                    "id": "58394a9e-4e75-8134-b8e4-afd216db1d2d",
                    "flow_id": "invoice-triage",
                    "agent_id": "agent-7",
                    "organization_id": "acme",
                    "execution_number": 3,
                    "trigger_type": "webhook",
                    "trigger_data": { "source": "billing", "invoice": "INV-2041" },
                    "variables": { "currency": "EUR", "threshold": 250.0 },
                    "priority": "high",
                    "status": "running",
                    "started_at": "2026-11-21T18:11:20.729Z",
                    "completed_at": null,
                    "duration_ms": null,
                    "timeout_seconds": 900,
                    "steps": [],
                    "final_output": null,
                    "error_message": null,
                    "error_details": null,
                    "retry_count": 0,
                    "max_retries": 2,
                    "parent_execution_id": null,
                    "tokens_used": null,
                    "tool_calls_count": 0,
                    "cost_estimate": null,
                    "performance_metrics": {},
                    "metadata": { "team": "finance" },
                    "created_at": "2026-11-21T18:11:19.079Z",
                    "updated_at": "2026-11-21T18:11:20.729Z"
                }))),
                ("finish" = (value = json!({
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
                })))
            )
        ),
        (
            status = 204,
            description = "Done, and the caller prefers not to get the record back.",
            headers(
                ("ETag" = String, description = "The version of the record, for If-Match and If-None-Match."),
                ("Preference-Applied" = String, description = "`return=minimal`"),
                ("Idempotency-Replayed" = String, description = "`true` if an earlier request did it; else absent.")
            )
        ),
        (
            status = 400,
            description = "The execution's state does not allow it: `INVALID_STATUS_TRANSITION`, `EXECUTION_FINISHED` \
                           or `INVALID_RETRY_COUNT`. Nothing was written.",
            body = Error,
            examples(
                ("transition" = (value = json!({
                    "detail": "The status cannot change from running to running: it is running already",
                    "error_code": "INVALID_STATUS_TRANSITION",
                    "correlation_id": "34798563c58f4a1e8517ca5677782d2a",
                    "timestamp": "2026-11-21T18:11:20.746Z"
                }))),
                ("finished" = (value = json!({
                    "detail": "The execution is completed and its result is final: final_output cannot change",
                    "error_code": "EXECUTION_FINISHED",
                    "correlation_id": "bec08191cfcd4038a44837df26307562",
                    "timestamp": "2026-11-21T18:11:25.093Z"
                }))),
                ("retry count" = (value = json!({
                    "detail": "retry_count cannot become 3: it must be at least 0 and at most 2 here",
                    "error_code": "INVALID_RETRY_COUNT",
                    "correlation_id": "27bf808a734143908910e9cafdae8e45",
                    "timestamp": "2026-11-21T18:11:20.764Z"
                })))
            )
        ),
        (status = 401, response = Unauthorized),
        (status = 403, response = MayNotWrite),
        (status = 404, response = ExecutionNotFound),
        (status = 412, response = PreconditionFailed),
        (status = 413, response = PayloadTooLarge),
        (status = 415, response = UnsupportedMediaType),
        (
            status = 422,
            description = "Everything that is wrong with the request, or that the Idempotency-Key came before with \
                           another body. Nothing was written.",
            body = InvalidOrKeyReused,
            examples(
                ("invalid" = (value = json!({
                    "detail": [
                        {
                            "loc": ["body", "status"],
                            "msg": "Input should be 'pending', 'queued', 'running', 'retrying', 'interrupted', 'completed', 'failed', 'cancelled' or 'timeout'",
                            "type": "enum",
                            "input": "done",
                            "ctx": {
                                "expected": "'pending', 'queued', 'running', 'retrying', 'interrupted', 'completed', 'failed', 'cancelled' or 'timeout'"
                            }
                        },
                        {
                            "loc": ["body", "completed_at"],
                            "msg": "Input should have timezone info: end it with Z or an offset",
                            "type": "timezone_aware",
                            "input": "2026-11-21T18:00:00"
                        },
                        {
                            "loc": ["body", "tokens_used"],
                            "msg": "Input should be a valid integer, got a number with a fractional part",
                            "type": "int_from_float",
                            "input": 1.5
                        }
                    ]
                }))),
                ("key reused" = (value = json!({
                    "detail": "This Idempotency-Key was used before with another body: use a new key for a new request",
                    "error_code": "IDEMPOTENCY_KEY_REUSED",
                    "correlation_id": "46714156c3784331ae1764feef6b945c",
                    "timestamp": "2026-11-21T18:11:25.082Z"
                })))
            )
        ),
        (status = 429, response = TooManyRequests),
        (status = 500, response = InternalError),
        (status = 503, response = WriteUnavailable)
    )
)]
pub const fn update_execution() {}
