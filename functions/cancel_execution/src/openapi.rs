//! The operation in the OpenAPI document.

use ratchet_http::error::ErrorResponse;
use ratchet_http::openapi::{
    CorrelationHeader, ExecutionNotFound, ExecutionPath, IdempotencyHeader, IfMatchHeader, InternalError,
    InvalidOrKeyReused, MayNotWrite, PayloadTooLarge, PreconditionFailed, TooManyRequests, Unauthorized,
    UnsupportedMediaType, WriteUnavailable, key_reused,
};
use ratchet_http::validation_error::{ValidationErrorKind, ValidationErrors};
use ratchet_model::change::RequestedTransition;
use ratchet_model::error::{Error, Rejection};
use ratchet_model::heartbeat::CancelRequested;
use ratchet_model::limits::MAX_GRACE_SECONDS;
use ratchet_model::samples;
use ratchet_model::status::Status;
use ratchet_store::cancel::Outcome;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::{ExecutionCancelled, OPERATION};

/// Why, and how soon.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CancelExecutionRequest {
    /// Why. Its first 1024 characters go to the worker and into the transition log. Where none is given it is `Cancel
    /// requested`.
    #[schema(max_length = 65536)]
    pub reason: Option<String>,
    /// For how long the worker of a running execution may go on, in seconds. Where none is given it is `60`.
    #[schema(minimum = 0, maximum = 3600)]
    pub grace_seconds: Option<i64>,
}

/// The answer where a worker is asked.
fn requested() -> ExecutionCancelled {
    let cancel = CancelRequested {
        requested_at: samples::time("2026-11-21T18:12:02.114Z"),
        force_at: samples::time("2026-11-21T18:13:02.114Z"),
        reason: "The invoice was withdrawn".to_owned(),
    };
    ExecutionCancelled::new(samples::id(), &Outcome::Requested(cancel))
}

/// Cancel an execution
///
/// `pending`, `queued`, `retrying` or `interrupted`: it is `cancelled` at once. `running`: the worker is asked to stop. It
/// learns of it by its next heartbeat, and may still report how the execution really ended. If it has not by `force_at`, or
/// misses a heartbeat, or its deadline passes, the service writes `cancelled`. Asked again, the earlier `force_at` and the
/// first reason stay. To end a running execution at once, whatever its worker does: update execution status.
///
/// Needs the scope `write`.
#[utoipa::path(
    post,
    path = OPERATION.path,
    operation_id = OPERATION.name,
    tag = "Executions",
    params(ExecutionPath, IdempotencyHeader, IfMatchHeader, CorrelationHeader),
    request_body(
        content = Option<CancelExecutionRequest>,
        description = "At most 1 MiB; none is as good as `{}`. A field that is not listed here is refused.",
        examples(
            ("reason" = (value = json!({ "reason": "The invoice was withdrawn" }))),
            ("soon" = (value = json!({ "reason": "The invoice was withdrawn", "grace_seconds": 5 })))
        )
    ),
    responses(
        (
            status = 200,
            description = "The cancel took effect, now or by an earlier request with the same Idempotency-Key.",
            body = ExecutionCancelled,
            headers(
                ("ETag" = String, description = "The version of the record, for If-Match and If-None-Match."),
                ("Idempotency-Replayed" = String, description = "`true` if an earlier request did it; else absent.")
            ),
            examples(
                ("requested" = (value = json!(requested()))),
                ("cancelled" = (value = json!(ExecutionCancelled::new(
                    samples::id(),
                    &Outcome::Cancelled { from: Status::Pending }
                ))))
            )
        ),
        (
            status = 400,
            description = "The execution has ended: `INVALID_STATUS_TRANSITION`. Nothing was written.",
            body = ErrorResponse,
            example = json!(ErrorResponse::sample(Error::Rejected(Rejection::Transition {
                current: Status::Completed,
                requested: Status::Cancelled,
                allowed_sources: RequestedTransition::cancel().allowed_sources()
            })))
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
                ("invalid" = (value = json!(ValidationErrors::sample([
                    (&["body", "grace_seconds"], ValidationErrorKind::GreaterThan(MAX_GRACE_SECONDS), "7200")
                ])))),
                ("key reused" = (value = json!(key_reused())))
            )
        ),
        (status = 429, response = TooManyRequests),
        (status = 500, response = InternalError),
        (status = 503, response = WriteUnavailable)
    )
)]
pub const fn cancel_execution() {}
