//! The operation in the OpenAPI document.

use shared::openapi::{
    CorrelationHeader, Error, ErrorOrGatewayMessage, ExecutionNotFound, ExecutionPath, IdempotencyHeader,
    IfMatchHeader, InternalError, InvalidOrKeyReused, PayloadTooLarge, PreconditionFailed, TooManyRequests,
    Unauthorized, UnsupportedMediaType, UpdateExecutionStatusRequest, WriteUnavailable,
};

use crate::{OPERATION, StatusUpdated};

/// Update an execution's status
///
/// Ends an execution from outside: `cancelled` because a user wants it, `failed` or `completed` to clean up after a
/// worker that is gone. Only from `running`; from any other status it is refused. With an Idempotency-Key, a repeat is
/// answered with the same `previous_status` and `current_status`, whatever has happened since.
///
/// `cancelled` needs the scope `write`, the others need `admin`.
#[utoipa::path(
    patch,
    path = "/api/v1/executions/{execution_id}",
    operation_id = OPERATION,
    tag = "Executions",
    params(ExecutionPath, IdempotencyHeader, IfMatchHeader, CorrelationHeader),
    request_body(
        content = UpdateExecutionStatusRequest,
        description = "At most 1 MiB. A field that is not listed here is refused.",
        examples(
            ("cancel" = (value = json!({ "status": "cancelled" }))),
            ("clean up" = (value = json!({
                "status": "failed",
                "error_info": { "message": "The worker's host was replaced", "host": "worker-12" }
            })))
        )
    ),
    responses(
        (
            status = 200,
            description = "The execution has ended, now or by an earlier request with the same Idempotency-Key.",
            body = StatusUpdated,
            headers(
                ("ETag" = String, description = "The version of the record, for If-Match and If-None-Match."),
                ("Idempotency-Replayed" = String, description = "`true` if an earlier request did it; else absent.")
            ),
            example = json!({
                "success": true,
                "execution_id": "625c278f-b3e5-4fca-ba71-1970ed99f099",
                "previous_status": "running",
                "current_status": "failed",
                "message": "Status changed from running to failed"
            })
        ),
        (
            status = 400,
            description = "The execution is not `running`: `INVALID_STATUS_TRANSITION`. Nothing was written.",
            body = Error,
            example = json!({
                "detail": "The status cannot change from pending to cancelled: cancelled can be entered from: running",
                "error_code": "INVALID_STATUS_TRANSITION",
                "correlation_id": "eaff09666db74d25982104d069441ac4",
                "timestamp": "2026-11-21T18:11:25.125Z"
            })
        ),
        (status = 401, response = Unauthorized),
        (
            status = 403,
            description = "The key is unknown or revoked (API Gateway's own answer), or has not the scope that the \
                           status needs.",
            body = ErrorOrGatewayMessage,
            examples(
                ("unknown key" = (value = json!({ "message": "Forbidden" }))),
                ("scope" = (value = json!({
                    "detail": "This API key has the scopes write; this needs admin",
                    "error_code": "FORBIDDEN",
                    "correlation_id": "94134b9228b744c48e32c7dec39a414e",
                    "timestamp": "2026-11-21T18:11:27.240Z"
                })))
            )
        ),
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
                            "msg": "Input should be 'cancelled', 'failed' or 'completed'",
                            "type": "enum",
                            "input": "interrupted",
                            "ctx": { "expected": "'cancelled', 'failed' or 'completed'" }
                        },
                        {
                            "loc": ["body", "error_info"],
                            "msg": "Input should be a valid dictionary",
                            "type": "dict_type",
                            "input": "lost"
                        }
                    ]
                }))),
                ("key reused" = (value = json!({
                    "detail": "This Idempotency-Key was used before with another body: use a new key for a new request",
                    "error_code": "IDEMPOTENCY_KEY_REUSED",
                    "correlation_id": "291e4e23581f41fe8def729d65cd9d8e",
                    "timestamp": "2026-11-21T18:11:27.264Z"
                })))
            )
        ),
        (status = 429, response = TooManyRequests),
        (status = 500, response = InternalError),
        (status = 503, response = WriteUnavailable)
    )
)]
pub const fn update_execution_status() {}
