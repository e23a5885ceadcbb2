//! What every operation does around its own work: learn who calls, check the scope, answer errors, name the request, log
//! one line.

use std::time::Instant;

use ratchet_model::clock::Clock;
use ratchet_model::error::Error;

use crate::error::HttpError;
use crate::operation::Operation;
use crate::request::{self, Request};
use crate::response::Response;

/// By which header a request is named, there and back.
pub const CORRELATION_ID: &str = "x-correlation-id";

/// Answers a request: hands it to `handler` if the caller may call the operation, and makes a response of whatever comes
/// of it.
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
    // API Gateway's access log has this one and cannot have the caller's.
    let request_id = request::request_id(&http).map(ToOwned::to_owned);
    let correlation_id = correlation_id(request::header(&http, CORRELATION_ID), request_id.as_deref());
    let mut identity = (String::new(), String::new());
    let outcome = match Request::new(operation, http) {
        Ok(request) => {
            identity = (request.caller.organization.to_string(), request.caller.key_id.to_string());
            match request.require(operation.scope) {
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

/// Logs what an answer does not say.
pub fn log_error(error: &Error, correlation_id: &str) {
    match error {
        Error::Internal(reason) => tracing::error!(correlation_id, reason, "internal error"),
        Error::StoreUnavailable { reason } => tracing::warn!(correlation_id, reason, "the store is not available"),
        Error::OutcomeUnknown { reason } => tracing::warn!(correlation_id, reason, "the outcome is unknown"),
        Error::NotFound
        | Error::Rejected(_)
        | Error::IdempotencyKeyReused
        | Error::RecordTooLarge { .. }
        | Error::UpdateTooLarge { .. }
        | Error::PageOutOfReach { .. }
        | Error::PageTooLarge { .. } => {}
    }
}

/// The caller's name for the request if it is harmless, else API Gateway's (contract, "Errors").
#[must_use]
pub fn correlation_id(requested: Option<&str>, request_id: Option<&str>) -> String {
    let harmless = |id: &&str| {
        (1..=128).contains(&id.len())
            && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
    };
    requested.filter(harmless).or(request_id).unwrap_or("unknown").to_owned()
}
