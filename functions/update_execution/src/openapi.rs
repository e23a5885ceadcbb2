//! The operation in the OpenAPI document.

use ratchet_http::error::ErrorResponse;
use ratchet_http::openapi::{
    CorrelationHeader, ExecutionNotFound, ExecutionPath, IdempotencyHeader, IfMatchHeader, InternalError,
    InvalidOrKeyReused, MayNotWrite, PayloadTooLarge, PreconditionFailed, TooManyRequests, Unauthorized,
    UnsupportedMediaType, WriteUnavailable, key_reused,
};
use ratchet_http::validation_error::{ValidationErrorKind, ValidationErrors};
use ratchet_model::error::{Error, Rejection};
use ratchet_model::execution::Execution;
use ratchet_model::samples;
use ratchet_model::status::Status;
use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::{IntoParams, ToSchema};

use crate::OPERATION;

/// A status to enter, new values of fields, or both. What is absent or null is left as it is; objects replace, they do
/// not merge.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateExecutionRequest {
    /// The status to enter.
    #[schema(value_type = Option<Status>)]
    pub status: Option<String>,
    /// When it ended. Without it, entering a terminal status sets the present time. Frozen in a terminal status.
    #[schema(format = DateTime)]
    pub completed_at: Option<String>,
    /// How long it took, in milliseconds. Without it, entering a terminal status sets `completed_at - started_at`.
    /// Frozen in a terminal status.
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64)]
    pub duration_ms: Option<i64>,
    /// How long it may take, in seconds, from the first `running` on. May only rise. Frozen in a terminal status.
    #[schema(minimum = 1, maximum = 604_800)]
    pub timeout_seconds: Option<i64>,
    /// The result. Comes back exactly as sent, like every object here; nested at most 100 levels deep. Frozen in a
    /// terminal status.
    pub final_output: Option<Map<String, Value>>,
    /// What went wrong, for people. With a status, it is also the reason of the transition. Frozen in a terminal
    /// status.
    #[schema(max_length = 65_536)]
    pub error_message: Option<String>,
    /// What went wrong, for programs. Frozen in a terminal status.
    pub error_details: Option<Map<String, Value>>,
    /// How often it was retried. May not fall and may not pass `max_retries`. Frozen in a terminal status.
    #[schema(minimum = 0, maximum = 100)]
    pub retry_count: Option<i64>,
    /// Tokens that models used.
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64)]
    pub tokens_used: Option<i64>,
    /// Calls of tools.
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64)]
    pub tool_calls_count: Option<i64>,
    /// What it cost, in USD. Comes back with the digits that were sent.
    #[schema(minimum = 0)]
    pub cost_estimate: Option<f64>,
    /// Measurements.
    pub performance_metrics: Option<Map<String, Value>>,
    /// Whatever the caller wants to find again.
    pub metadata: Option<Map<String, Value>>,
    /// The attempt for which the writer speaks, as the record had it when the writer claimed the execution. If another one
    /// is the present one, the answer is 409 `ATTEMPT_SUPERSEDED` and nothing is written. With `"status": "running"`: the
    /// attempt after which it claims.
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64)]
    pub attempt: Option<i64>,
}

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
/// Once the status is terminal, `final_output`, `error_message`, `error_details`, `completed_at`, `duration_ms`,
/// `retry_count` and `timeout_seconds` are frozen: the first result wins. The other fields may still be corrected. `{}` changes nothing and
/// returns the record. With an Idempotency-Key, a repeat is answered with the record as it now stands. One repeat is not:
/// that of a claim (`running`) after another worker's claim is answered with 409 `ATTEMPT_SUPERSEDED`, because the record
/// would show the other's attempt as one's own.
///
/// Needs the scope `write`.
#[utoipa::path(
    patch,
    path = OPERATION.path,
    operation_id = OPERATION.name,
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
                ("start" = (value = json!(samples::running()))),
                ("finish" = (value = json!(samples::completed())))
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
            description = "The execution's state does not allow it: `INVALID_STATUS_TRANSITION`, `EXECUTION_FINISHED`, \
                           `INVALID_RETRY_COUNT` or `INVALID_TIMEOUT`. Nothing was written.",
            body = ErrorResponse,
            examples(
                ("transition" = (value = json!(ErrorResponse::sample(Error::Rejected(Rejection::Transition {
                    current: Status::Running,
                    requested: Status::Running,
                    allowed_sources: Status::Running.allowed_sources()
                }))))),
                ("finished" = (value = json!(ErrorResponse::sample(Error::Rejected(Rejection::Finished {
                    current: Status::Completed,
                    fields: vec!["final_output"]
                }))))),
                ("retry count" = (value = json!(ErrorResponse::sample(Error::Rejected(Rejection::RetryCount {
                    requested: 3,
                    min: 0,
                    max: 2
                }))))),
                ("timeout" = (value = json!(ErrorResponse::sample(Error::Rejected(Rejection::Timeout {
                    requested: 60,
                    min: 300
                })))))
            )
        ),
        (status = 401, response = Unauthorized),
        (status = 403, response = MayNotWrite),
        (status = 404, response = ExecutionNotFound),
        (
            status = 409,
            description = "`ATTEMPT_SUPERSEDED`: the writer speaks for another attempt than the present one, or repeats a \
                           claim that another worker's claim has superseded.",
            body = ErrorResponse,
            example = json!(ErrorResponse::sample(Error::Rejected(Rejection::Attempt { requested: 1, current: 2 })))
        ),
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
                    (&["body", "status"], ValidationErrorKind::not_one_of(&Status::ALL), "\"done\""),
                    (&["body", "completed_at"], ValidationErrorKind::TimeWithoutZone, "\"2026-11-21T18:00:00\""),
                    (&["body", "tokens_used"], ValidationErrorKind::Fraction, "1.5")
                ])))),
                ("key reused" = (value = json!(key_reused())))
            )
        ),
        (status = 429, response = TooManyRequests),
        (status = 500, response = InternalError),
        (status = 503, response = WriteUnavailable)
    )
)]
pub const fn update_execution() {}
