//! The operation in the OpenAPI document.

use ratchet_http::openapi::{
    CorrelationHeader, ExecutionNotFound, ExecutionPath, InternalError, MayNotRead, ReadUnavailable, TooManyRequests,
    Unauthorized,
};
use ratchet_http::validation_error::{ValidationErrorKind, ValidationErrors};
use ratchet_model::samples;

use crate::{HeartbeatSeen, OPERATION};

/// A worker that was heard a moment ago.
fn seen() -> HeartbeatSeen {
    let running = samples::running();
    HeartbeatSeen {
        execution_id: running.id,
        status: running.status,
        attempt: running.attempt,
        last_heartbeat_at: Some(samples::time("2026-11-21T18:12:02.114Z")),
        cancel_requested_at: None,
        force_at: None,
        deadline_at: Some(samples::time("2026-11-21T18:26:20.729Z")),
    }
}

/// Get the last heartbeat
///
/// When the worker was last heard, and until when the service waits for it: for people and monitors, who change nothing by
/// it. A worker sends heartbeats (`record_heartbeat`), and is told there what to do.
///
/// Needs the scope `read`.
#[utoipa::path(
    get,
    path = OPERATION.path,
    operation_id = OPERATION.name,
    tag = "Executions",
    params(ExecutionPath, CorrelationHeader),
    responses(
        (status = 200, description = "The last heartbeat.", body = HeartbeatSeen, example = json!(seen())),
        (status = 401, response = Unauthorized),
        (status = 403, response = MayNotRead),
        (status = 404, response = ExecutionNotFound),
        (
            status = 422,
            description = "The request has a query parameter: there is none here.",
            body = ValidationErrors,
            example = json!(ValidationErrors::sample([
                (&["query", "view"], ValidationErrorKind::extra(&[], 0), "\"summary\"")
            ]))
        ),
        (status = 429, response = TooManyRequests),
        (status = 500, response = InternalError),
        (status = 503, response = ReadUnavailable)
    )
)]
pub const fn get_heartbeat() {}
