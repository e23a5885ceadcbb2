//! The query of wait execution.

use std::time::Duration;

use ratchet_http::error::HttpError;
use ratchet_http::request::Request;
use ratchet_http::validation::Validation;
use ratchet_model::limits::{DEFAULT_WAIT_SECONDS, MAX_WAIT_SECONDS};

/// Reads the query of wait execution: how long to wait.
///
/// # Errors
///
/// All its validation errors.
pub fn read(request: &Request) -> Result<Duration, HttpError> {
    let mut validation = Validation::default();
    let mut parameters = request.parameters();
    let seconds = parameters.integer("timeout", 1, MAX_WAIT_SECONDS, &mut validation);
    parameters.finish(&mut validation);
    validation.finish()?;
    Ok(Duration::from_secs(seconds.unwrap_or(DEFAULT_WAIT_SECONDS).unsigned_abs()))
}
