//! The body of update execution status.

use ratchet_http::error::HttpError;
use ratchet_http::fields::Fields;
use ratchet_http::request::Request;
use ratchet_model::change::{Change, FieldUpdates, RequestedTransition};
use ratchet_model::json;
use ratchet_model::limits::MAX_ERROR_MESSAGE;
use ratchet_model::scope::Scope;
use ratchet_model::status::Status;

/// The statuses that this operation may set.
pub const TARGETS: [Status; 3] = [Status::Cancelled, Status::Failed, Status::Completed];

/// Reads the request of update execution status, and refuses a key whose scopes do not cover the status.
///
/// # Errors
///
/// All its validation errors; [`HttpError::Forbidden`] for the scope.
pub fn read(request: &Request) -> Result<Change, HttpError> {
    let body = request.json()?;
    let mut validation = request.without_query();
    let mut fields = Fields::of_body(&body);
    let status = fields.required_name("status", &TARGETS, &mut validation);
    let error_details = fields.object("error_info", &mut validation);
    fields.finish(&mut validation);

    // A string `message` in it is meant for people. It is cut and not refused: error_details has all of it.
    let info = error_details.as_ref().and_then(|info| json::parse(info.as_str()).ok());
    let message = info.as_ref().and_then(|info| info.members()?.find(|(name, _)| *name == "message"));
    let message = message.and_then(|(_, text)| json::string(text));
    let error_message = message.map(|message| message.chars().take(MAX_ERROR_MESSAGE).collect());

    let options = request.write_options(&body, &mut validation);
    let to = validation.require(status)?;
    // A user may cancel. The other statuses clean up after a worker, and need more.
    if to != Status::Cancelled {
        request.require(Scope::Admin)?;
    }
    let fields = FieldUpdates { error_message, error_details, ..FieldUpdates::default() };
    Ok(Change { transition: Some(RequestedTransition::override_to(to)), fields, options, ..Change::default() })
}
