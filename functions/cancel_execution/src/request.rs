//! The body of cancel execution.

use std::time::Duration;

use ratchet_http::error::HttpError;
use ratchet_http::fields::Fields;
use ratchet_http::request::Request;
use ratchet_model::limits::{DEFAULT_CANCEL_REASON, DEFAULT_GRACE_SECONDS, MAX_ERROR_MESSAGE, MAX_GRACE_SECONDS};
use ratchet_store::cancel::Cancel;

/// Reads the request of cancel execution.
///
/// # Errors
///
/// All its validation errors.
pub fn read(request: &Request) -> Result<Cancel, HttpError> {
    let body = request.optional_json()?;
    let mut validation = request.without_query();
    let mut fields = Fields::of_body(&body);
    let reason = fields.string("reason", 0, MAX_ERROR_MESSAGE, &mut validation);
    let grace = fields.integer("grace_seconds", 0, MAX_GRACE_SECONDS, &mut validation);
    fields.finish(&mut validation);
    let options = request.write_options(&body, &mut validation);
    validation.finish()?;
    Ok(Cancel {
        reason: reason.unwrap_or_else(|| DEFAULT_CANCEL_REASON.to_owned()),
        grace: Duration::from_secs(grace.unwrap_or(DEFAULT_GRACE_SECONDS).unsigned_abs()),
        options,
    })
}
