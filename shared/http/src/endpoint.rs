//! What every operation does around its handler: identify the caller, check the scope, answer errors, return the
//! correlation id, log one line.

use std::time::Instant;

use ratchet_model::clock::Clock;
use ratchet_model::error::Error;

use crate::error::HttpError;
use crate::operation::Operation;
use crate::request::{self, Request};
use crate::response::Response;

/// The header of the correlation id, in requests and in answers.
pub const CORRELATION_ID: &str = "x-correlation-id";

/// Answers a request: passes it to `handler` if the caller's scopes allow the operation, and converts the result to a
/// response.
pub async fn respond<F, Fut>(
    operation: &'static Operation,
    clock: &dyn Clock,
    http: lambda_http::Request,
    handler: F,
) -> Response
where
    F: FnOnce(Request) -> Fut,
    Fut: Future<Output = Result<Response, HttpError>>,
{
    let started = Instant::now();
    // API Gateway's access log has this id, and cannot have a correlation id of the caller's.
    let request_id = request::request_id(&http).map(ToOwned::to_owned);
    let correlation_id = correlation_id(request::header(&http, CORRELATION_ID), request_id.as_deref());
    let mut identity = (String::new(), String::new());
    let outcome = match Request::new(operation, http) {
        Ok(request) => {
            identity = (request.caller.organization.to_string(), request.caller.key_id.to_string());
            match operation.scope.map_or(Ok(()), |scope| request.require(scope)) {
                Ok(()) => handler(request).await,
                Err(error) => Err(error),
            }
        }
        Err(error) => Err(error.into()),
    };
    let (response, error) = match outcome {
        Ok(response) => (response, None),
        Err(error) => {
            let name = error.log_name();
            if let HttpError::Domain(error) = &error {
                log_error(error, &correlation_id);
            }
            (Response::error(error, &correlation_id, clock.now()), Some(name))
        }
    };
    let (organization, key) = identity;
    let milliseconds = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    tracing::info!(
        operation = operation.name,
        status = response.status_code,
        error,
        ms = milliseconds,
        organization,
        key,
        correlation_id,
        request_id,
    );
    response.header(CORRELATION_ID, correlation_id)
}

/// Logs the reason of an error, which the answer does not show.
pub fn log_error(error: &Error, correlation_id: &str) {
    match error {
        Error::Internal(reason) => tracing::error!(correlation_id, reason, "internal error"),
        Error::StoreUnavailable { reason } => tracing::warn!(correlation_id, reason, "the store is not available"),
        Error::OutcomeUnknown { reason } => tracing::warn!(correlation_id, reason, "the outcome is unknown"),
        Error::NotFound
        | Error::Rejected(_)
        | Error::IdempotencyKeyReused
        | Error::InputsTooLarge { .. }
        | Error::RecordTooLarge { .. }
        | Error::UpdateTooLarge { .. }
        | Error::StepTooLarge { .. }
        | Error::PageOutOfReach { .. }
        | Error::PageTooLarge { .. } => {}
    }
}

/// The caller's correlation id if it is harmless, else API Gateway's id of the request (contract, "Errors").
#[must_use]
pub fn correlation_id(requested: Option<&str>, request_id: Option<&str>) -> String {
    let harmless = |id: &&str| {
        (1..=128).contains(&id.len())
            && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
    };
    requested.filter(harmless).or(request_id).unwrap_or("unknown").to_owned()
}
