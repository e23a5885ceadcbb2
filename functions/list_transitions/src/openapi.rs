//! The operation in the OpenAPI document.

use ratchet_http::openapi::{
    CorrelationHeader, ExecutionNotFound, ExecutionPath, InternalError, MayNotRead, ReadUnavailable, TooManyRequests,
    Unauthorized,
};
use ratchet_http::validation_error::{ValidationErrorKind, ValidationErrors};
use ratchet_model::samples;

use crate::{OPERATION, TransitionList};

/// List an execution's transitions
///
/// Every change of its status that took effect, oldest first: from what to what, when, by which key, and why. Its
/// creation is none.
///
/// Needs the scope `read`.
#[utoipa::path(
    get,
    path = OPERATION.path,
    operation_id = OPERATION.name,
    tag = "Executions",
    params(ExecutionPath, CorrelationHeader),
    responses(
        (
            status = 200,
            description = "The transitions.",
            body = TransitionList,
            example = json!(TransitionList {
                execution_id: samples::failed().id,
                transitions: vec![samples::claimed(), samples::ended()]
            })
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
pub const fn list_transitions() {}
