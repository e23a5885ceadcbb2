//! The operation in the OpenAPI document.

use ratchet_http::openapi::{
    CorrelationHeader, ExecutionNotFound, ExecutionPath, InternalError, MayNotWrite, PayloadTooLarge, TooManyRequests,
    Unauthorized, UnsupportedMediaType, WriteUnavailable,
};
use ratchet_http::validation_error::{ValidationErrorKind, ValidationErrors};
use ratchet_model::heartbeat::Action;
use ratchet_model::samples;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::{HeartbeatRecorded, OPERATION};

/// Who is alive.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RecordHeartbeatRequest {
    /// The attempt that the worker works on, as the answer to its claim gave it. If another one is the present one, the
    /// worker is told to stop. By default whichever is the present one.
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64)]
    pub attempt: Option<i64>,
}

/// A worker that is told to go on.
fn go_on() -> HeartbeatRecorded {
    let running = samples::running();
    HeartbeatRecorded {
        execution_id: running.id,
        status: running.status,
        attempt: running.attempt,
        action: Action::Continue,
        reason: None,
        cancel_requested_at: None,
        force_at: None,
        deadline_at: Some(samples::time("2026-11-21T18:26:20.729Z")),
        heartbeat_in_seconds: 40,
    }
}

/// A worker that is asked to stop.
fn cancel() -> HeartbeatRecorded {
    HeartbeatRecorded {
        action: Action::Cancel,
        reason: Some("The invoice was withdrawn".to_owned()),
        cancel_requested_at: Some(samples::time("2026-11-21T18:12:02.114Z")),
        force_at: Some(samples::time("2026-11-21T18:13:02.114Z")),
        ..go_on()
    }
}

/// Record a heartbeat
///
/// A worker says that it is alive, and is told what to do: `continue`; `cancel`: stop soon and report, a cancel is requested;
/// `stop`: another attempt is the present one, or the execution has ended; `claim`: nobody has claimed the execution, go on and
/// report `running` when you begin. An interrupted execution is running again after it. Send the next one after
/// `heartbeat_in_seconds`. Repeating it is harmless; it changes neither `version` nor `updated_at`.
///
/// Needs the scope `write`.
#[utoipa::path(
    post,
    path = OPERATION.path,
    operation_id = OPERATION.name,
    tag = "Executions",
    params(ExecutionPath, CorrelationHeader),
    request_body(
        content = Option<RecordHeartbeatRequest>,
        description = "At most 1 MiB; none is as good as `{}`. A field that is not listed here is refused.",
        examples(("attempt" = (value = json!({ "attempt": 1 }))))
    ),
    responses(
        (
            status = 200,
            description = "What to do.",
            body = HeartbeatRecorded,
            examples(
                ("continue" = (value = json!(go_on()))),
                ("cancel" = (value = json!(cancel())))
            )
        ),
        (status = 401, response = Unauthorized),
        (status = 403, response = MayNotWrite),
        (status = 404, response = ExecutionNotFound),
        (status = 413, response = PayloadTooLarge),
        (status = 415, response = UnsupportedMediaType),
        (
            status = 422,
            description = "Everything that is wrong with the request. Nothing was written.",
            body = ValidationErrors,
            example = json!(ValidationErrors::sample([
                (&["body", "attempt"], ValidationErrorKind::NotAnInteger, "\"1\"")
            ]))
        ),
        (status = 429, response = TooManyRequests),
        (status = 500, response = InternalError),
        (status = 503, response = WriteUnavailable)
    )
)]
pub const fn record_heartbeat() {}
