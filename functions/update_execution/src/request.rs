//! The body of update execution.

use ratchet_http::error::HttpError;
use ratchet_http::fields::Fields;
use ratchet_http::request::Request;
use ratchet_model::change::{Change, FieldUpdates, RequestedTransition};
use ratchet_model::limits::{MAX_ERROR_MESSAGE, MAX_INTEGER, MAX_RETRIES, MAX_TIMEOUT_SECONDS};
use ratchet_model::status::Status;

/// Reads the request of update execution.
///
/// # Errors
///
/// All its validation errors.
pub fn read(request: &Request) -> Result<Change, HttpError> {
    let body = request.json()?;
    let mut validation = request.without_query();
    let mut fields = Fields::of_body(&body);
    let status = fields.name("status", &Status::ALL, &mut validation);
    let updates = FieldUpdates {
        completed_at: fields.time("completed_at", &mut validation),
        duration_ms: fields.integer("duration_ms", 0, MAX_INTEGER, &mut validation),
        timeout_seconds: fields.integer("timeout_seconds", 1, MAX_TIMEOUT_SECONDS, &mut validation),
        final_output: fields.object("final_output", &mut validation),
        error_message: fields.string_beside("error_message", MAX_ERROR_MESSAGE, "error_details", &mut validation),
        error_details: fields.object("error_details", &mut validation),
        retry_count: fields.integer("retry_count", 0, MAX_RETRIES, &mut validation),
        tokens_used: fields.integer("tokens_used", 0, MAX_INTEGER, &mut validation),
        tool_calls_count: fields.integer("tool_calls_count", 0, MAX_INTEGER, &mut validation),
        cost_estimate: fields.non_negative_number("cost_estimate", &mut validation),
        performance_metrics: fields.object("performance_metrics", &mut validation),
        metadata: fields.object("metadata", &mut validation),
    };
    let attempt = fields.integer("attempt", 0, MAX_INTEGER, &mut validation);
    fields.finish(&mut validation);
    let options = request.write_options(&body, &mut validation);
    validation.finish()?;
    Ok(Change {
        transition: status.map(RequestedTransition::report),
        fields: updates,
        attempt,
        options,
        ..Change::default()
    })
}
