//! The operation in the OpenAPI document.

use ratchet_http::openapi::{
    CorrelationHeader, ExecutionNotFound, ExecutionPath, InternalError, MayNotRead, ReadUnavailable, TooManyRequests,
    Unauthorized,
};
use ratchet_http::validation_error::{ValidationErrorKind, ValidationErrors};
use ratchet_model::execution::Execution;
use ratchet_model::samples;
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
/// The record as of its last write, with its first 100 steps. Its `ETag` is that of a write's answer while it has no steps;
/// with steps there is a hash of those that are shown after its version and a dot, and If-Match looks at the version alone.
///
/// Needs the scope `read`.
#[utoipa::path(
    get,
    path = OPERATION.path,
    operation_id = OPERATION.name,
    tag = "Flows",
    params(ExecutionPath, IfNoneMatchHeader, CorrelationHeader),
    responses(
        (
            status = 200,
            description = "The record.",
            body = Execution,
            headers(("ETag" = String, description = "The version of the record, for If-Match and If-None-Match.")),
            examples(
                ("without steps" = (value = json!(samples::completed()))),
                ("with a step" = (value = json!(samples::completed_with_step())))
            )
        ),
        (
            status = 304,
            description = "The record still has the `ETag` that If-None-Match names. There is no body.",
            headers(("ETag" = String, description = "The version of the record."))
        ),
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
pub const fn get_execution() {}
