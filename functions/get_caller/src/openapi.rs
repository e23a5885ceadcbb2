//! The operation in the OpenAPI document.

use ratchet_http::openapi::{
    CorrelationHeader, FunctionUnavailable, InternalError, TooManyRequests, Unauthorized, UnknownKey,
};
use ratchet_http::validation_error::{ValidationErrorKind, ValidationErrors};
use ratchet_model::samples;

use crate::{CallerDetails, OPERATION};

/// Get the caller
///
/// Who the API key of the request speaks for, what it may do, and until when. It reads no execution and changes nothing:
/// a script can check its key with it, and a monitor that the service answers.
///
/// Needs any scope: every key has one.
#[utoipa::path(
    get,
    path = OPERATION.path,
    operation_id = OPERATION.name,
    tag = "Keys",
    params(CorrelationHeader),
    responses(
        (
            status = 200,
            description = "The caller.",
            body = CallerDetails,
            example = json!(CallerDetails::from(samples::caller()))
        ),
        (status = 401, response = Unauthorized),
        (status = 403, response = UnknownKey),
        (
            status = 422,
            description = "The request has a query parameter: there is none.",
            body = ValidationErrors,
            example = json!(ValidationErrors::sample([
                (&["query", "key_id"], ValidationErrorKind::extra(&[], 0), "\"local-1\"")
            ]))
        ),
        (status = 429, response = TooManyRequests),
        (status = 500, response = InternalError),
        (status = 503, response = FunctionUnavailable)
    )
)]
pub const fn get_caller() {}
