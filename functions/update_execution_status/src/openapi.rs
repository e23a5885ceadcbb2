//! The operation in the OpenAPI document.

use ratchet_http::error::ErrorResponse;
use ratchet_http::openapi::{
    CorrelationHeader, ErrorOrGatewayMessage, ExecutionNotFound, ExecutionPath, IdempotencyHeader, IfMatchHeader,
    InternalError, InvalidOrKeyReused, PayloadTooLarge, PreconditionFailed, TooManyRequests, Unauthorized,
    UnsupportedMediaType, WriteUnavailable, forbidden, key_reused,
};
use ratchet_http::validation_error::{ValidationErrorKind, ValidationErrors};
use ratchet_model::change::RequestedTransition;
use ratchet_model::error::{Error, Rejection};
use ratchet_model::samples;
use ratchet_model::scope::Scope;
use ratchet_model::status::Status;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::request::TARGETS;
use crate::{OPERATION, StatusUpdated};

/// How an execution that got stuck is to end.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateExecutionStatusRequest {
    /// The status to enter. `cancelled` needs the scope `write`, the others need `admin`.
    pub status: OverrideStatus,
    /// Why. Kept as `error_details`; a string `message` in it is kept as `error_message`, too, cut to 65536
    /// characters.
    pub error_info: Option<Map<String, Value>>,
}

/// A status that ends an execution from outside.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum OverrideStatus {
    /// Somebody asked for it.
    Cancelled,
    /// It failed, and nobody noticed.
    Failed,
    /// It completed, and nobody noticed.
    Completed,
}

/// A status before or after a change by update execution status.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum StatusAfterOverride {
    /// A worker says that it is at work.
    Running,
    /// Ended with a result.
    Completed,
    /// Ended with an error.
    Failed,
    /// Ended because somebody asked for it.
    Cancelled,
    /// Nobody has heard from the worker.
    Interrupted,
}

/// Update an execution's status
///
/// Ends an execution from outside: `cancelled` because a user wants it, `failed` or `completed` to clean up after a
/// worker that is gone. Only from `running` and `interrupted`; from any other status it is refused. With an Idempotency-Key, a repeat is
/// answered with the same `previous_status` and `current_status`, whatever has happened since.
///
/// `cancelled` needs the scope `write`, the others need `admin`.
#[utoipa::path(
    patch,
    path = OPERATION.path,
    operation_id = OPERATION.name,
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
            example = json!(StatusUpdated::new(samples::failed().id, &samples::ended()))
        ),
        (
            status = 400,
            description = "The execution is neither `running` nor `interrupted`: `INVALID_STATUS_TRANSITION`. Nothing was written.",
            body = ErrorResponse,
            example = json!(ErrorResponse::sample(Error::Rejected(Rejection::Transition {
                current: Status::Pending,
                requested: Status::Cancelled,
                allowed_sources: RequestedTransition::override_to(Status::Cancelled).allowed_sources()
            })))
        ),
        (status = 401, response = Unauthorized),
        (
            status = 403,
            description = "The key is unknown or revoked (API Gateway's own answer), or has not the scope that the \
                           status needs.",
            body = ErrorOrGatewayMessage,
            examples(
                ("unknown key" = (value = json!({ "message": "Forbidden" }))),
                ("scope" = (value = json!(forbidden(Scope::Admin, "write"))))
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
                ("invalid" = (value = json!(ValidationErrors::sample([
                    (&["body", "status"], ValidationErrorKind::not_one_of(&TARGETS), "\"interrupted\""),
                    (&["body", "error_info"], ValidationErrorKind::NotAnObject, "\"lost\"")
                ])))),
                ("key reused" = (value = json!(key_reused())))
            )
        ),
        (status = 429, response = TooManyRequests),
        (status = 500, response = InternalError),
        (status = 503, response = WriteUnavailable)
    )
)]
pub const fn update_execution_status() {}
