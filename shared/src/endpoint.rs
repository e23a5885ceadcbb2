//! What every endpoint does around its own work: learn who calls, answer errors, name the request, log one line.

use std::time::Instant;

use crate::clock::Clock;
use crate::error::Error;
use crate::request::Request;
use crate::request::event::Event;
use crate::response::Response;

/// By which header a request is named, there and back.
pub const CORRELATION_ID: &str = "x-correlation-id";

/// Answers an event: hands the request to `work`, and turns whatever comes of it into a response.
pub async fn answer<F, Fut>(operation: &'static str, clock: &dyn Clock, event: Event, work: F) -> Response
where
    F: FnOnce(Request) -> Fut,
    Fut: Future<Output = Result<Response, Error>>,
{
    let begun = Instant::now();
    // API Gateway's access log has this one and cannot have the caller's.
    let request_id = event.request_id().map(ToOwned::to_owned);
    let correlation_id = correlation_id(event.header(CORRELATION_ID), event.request_id());
    let mut who = (String::new(), String::new());
    let outcome = match Request::new(event) {
        Ok(request) => {
            who = (request.caller.organization.clone(), request.caller.key_id.clone());
            work(request).await
        }
        Err(error) => Err(error),
    };
    let (response, code) = match outcome {
        Ok(response) => (response, None),
        Err(error) => {
            report(&error, &correlation_id);
            let (response, code) = Response::error(&error, &correlation_id, clock.now());
            (response, Some(code))
        }
    };
    let (organization, key) = who;
    let milliseconds = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    tracing::info!(
        operation,
        status = response.status_code,
        error = code,
        ms = milliseconds,
        organization,
        key,
        correlation_id,
        request_id,
    );
    response.header(CORRELATION_ID, correlation_id)
}

/// Logs what an answer does not say.
pub fn report(error: &Error, correlation_id: &str) {
    match error {
        Error::Internal(reason) => tracing::error!(correlation_id, reason, "internal error"),
        Error::StoreUnavailable { reason } => tracing::warn!(correlation_id, reason, "the store is not available"),
        Error::OutcomeUnknown { reason } => tracing::warn!(correlation_id, reason, "the outcome is unknown"),
        Error::Invalid(_)
        | Error::UnsupportedMediaType { .. }
        | Error::TooLarge { .. }
        | Error::Forbidden { .. }
        | Error::NotFound
        | Error::Refused(_)
        | Error::KeyReused => {}
    }
}

/// The caller's name for the request if it is harmless, else API Gateway's (contract, "Errors").
#[must_use]
pub fn correlation_id(given: Option<&str>, request_id: Option<&str>) -> String {
    let harmless = |id: &&str| {
        (1..=128).contains(&id.len())
            && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
    };
    given.filter(harmless).or(request_id).unwrap_or("unknown").to_owned()
}
