//! The body of record heartbeat.

use ratchet_http::error::HttpError;
use ratchet_http::fields::Fields;
use ratchet_http::request::Request;
use ratchet_model::limits::MAX_INTEGER;

/// Reads the request of record heartbeat: the attempt for which the worker speaks, if it names one.
///
/// # Errors
///
/// All its validation errors.
pub fn read(request: &Request) -> Result<Option<i64>, HttpError> {
    let body = request.optional_json()?;
    let mut validation = request.without_query();
    let mut fields = Fields::of_body(&body);
    let attempt = fields.integer("attempt", 0, MAX_INTEGER, &mut validation);
    fields.finish(&mut validation);
    validation.finish()?;
    Ok(attempt)
}
