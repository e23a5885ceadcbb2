//! The operation in the OpenAPI document.

use ratchet_http::openapi::{
    CorrelationHeader, ExecutionNotFound, ExecutionPath, InternalError, MayNotRead, ReadUnavailable, TooManyRequests,
    Unauthorized,
};
use ratchet_http::validation_error::{ValidationErrorKind, ValidationErrors};
use ratchet_model::execution::Execution;
use ratchet_model::limits::{DEFAULT_WAIT_SECONDS, MAX_WAIT_SECONDS};
use ratchet_model::samples;
use utoipa::IntoParams;

use crate::OPERATION;

// As in `ratchet_http::openapi`: bounds in attributes are literals.
const _: () = assert!(MAX_WAIT_SECONDS == 25);

/// How long to wait.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct WaitParameters {
    /// For how many seconds, at most.
    #[param(minimum = 1, maximum = 25, default = json!(DEFAULT_WAIT_SECONDS))]
    pub timeout: Option<i64>,
}

/// What the caller already has.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Header)]
pub struct IfNoneMatchHeader {
    /// One or more `ETag`s such as `"2"`, or `*`: the wait ends as soon as the record has none of them, and the record is sent
    /// only then.
    #[param(rename = "If-None-Match", value_type = String, required = false)]
    pub if_none_match: Option<String>,
}

/// Wait for an execution
///
/// The record, as soon as the execution has ended or, with `If-None-Match`, as soon as its `ETag` is another. When the time is
/// up the answer is that of get execution: look at `status`. Ask again for a longer wait, and give your client a read timeout of
/// `timeout` and ten seconds more.
///
/// The operation has a rate limit of its own. Where it answers 429, or 404 without an `error_code`, poll get execution.
///
/// Needs the scope `read`.
#[utoipa::path(
    get,
    path = OPERATION.path,
    operation_id = OPERATION.name,
    tag = "Flows",
    params(ExecutionPath, WaitParameters, IfNoneMatchHeader, CorrelationHeader),
    responses(
        (
            status = 200,
            description = "The record: the execution has ended, the record has another `ETag`, or the time is up.",
            body = Execution,
            headers(("ETag" = String, description = "The version of the record, for If-Match and If-None-Match.")),
            example = json!(samples::completed())
        ),
        (
            status = 304,
            description = "The record still has the `ETag` that If-None-Match names: the time is up, or the execution had \
                           ended before. There is no body.",
            headers(("ETag" = String, description = "The version of the record."))
        ),
        (status = 401, response = Unauthorized),
        (status = 403, response = MayNotRead),
        (status = 404, response = ExecutionNotFound),
        (
            status = 422,
            description = "Everything that is wrong with the query.",
            body = ValidationErrors,
            example = json!(ValidationErrors::sample([
                (&["query", "timeout"], ValidationErrorKind::GreaterThan(MAX_WAIT_SECONDS), "\"60\"")
            ]))
        ),
        (status = 429, response = TooManyRequests),
        (status = 500, response = InternalError),
        (status = 503, response = ReadUnavailable)
    )
)]
pub const fn wait_execution() {}
