//! The operation in the OpenAPI document.

use shared::openapi::{
    CorrelationHeader, ExecuteFlowRequest, IdempotencyHeader, InternalError, InvalidOrKeyReused, MayNotWrite,
    PayloadTooLarge, TooManyRequests, Unauthorized, UnsupportedMediaType, WriteUnavailable,
};

use crate::{Accepted, OPERATION};

/// Execute a flow
///
/// Makes an execution, which waits as `pending` until a worker takes it. Its `execution_number` counts the executions
/// of the flow. With an Idempotency-Key, a repeat makes no second one and is answered with the record as it now stands.
///
/// Needs the scope `write`.
#[utoipa::path(
    post,
    path = "/api/v1/flows/execute",
    operation_id = OPERATION,
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
            body = Accepted,
            headers(
                ("ETag" = String, description = "The version of the record, for If-Match and If-None-Match."),
                ("Idempotency-Replayed" = String, description = "`true` if an earlier request did it; else absent.")
            ),
            example = json!({
                "execution": {
                    "id": "58394a9e-4e75-8134-b8e4-afd216db1d2d",
                    "flow_id": "invoice-triage",
                    "agent_id": "agent-7",
                    "organization_id": "acme",
                    "execution_number": 3,
                    "trigger_type": "webhook",
                    "trigger_data": { "source": "billing", "invoice": "INV-2041" },
                    "variables": { "currency": "EUR", "threshold": 250.0 },
                    "priority": "high",
                    "status": "pending",
                    "started_at": "2026-11-21T18:11:19.079Z",
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
                    "updated_at": "2026-11-21T18:11:19.079Z"
                },
                "message": "Execution 3 of flow invoice-triage accepted"
            })
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
                ("invalid" = (value = json!({
                    "detail": [
                        {
                            "loc": ["body", "trigger_type"],
                            "msg": "Input should be 'manual', 'event', 'scheduled', 'api', 'webhook' or 'test'",
                            "type": "enum",
                            "input": "cron",
                            "ctx": { "expected": "'manual', 'event', 'scheduled', 'api', 'webhook' or 'test'" }
                        },
                        {
                            "loc": ["body", "retry_config", "max_retries"],
                            "msg": "Input should be a valid integer",
                            "type": "int_type",
                            "input": "3"
                        },
                        {
                            "loc": ["body", "priorty"],
                            "msg": "Extra inputs are not permitted",
                            "type": "extra_forbidden",
                            "input": "high"
                        }
                    ]
                }))),
                ("not JSON" = (value = json!({
                    "detail": [
                        {
                            "loc": ["body", 29],
                            "msg": "JSON decode error",
                            "type": "json_invalid",
                            "input": {},
                            "ctx": { "error": "Expecting property name enclosed in double quotes" }
                        }
                    ]
                }))),
                ("key reused" = (value = json!({
                    "detail": "This Idempotency-Key was used before with another body: use a new key for a new request",
                    "error_code": "IDEMPOTENCY_KEY_REUSED",
                    "correlation_id": "fd647357f83e40f7ad37bca45950c18f",
                    "timestamp": "2026-11-21T18:11:19.102Z"
                })))
            )
        ),
        (status = 429, response = TooManyRequests),
        (status = 500, response = InternalError),
        (status = 503, response = WriteUnavailable)
    )
)]
pub const fn execute_flow() {}
