//! The body of update execution status.

use ratchet_http::error::HttpError;
use ratchet_http::fields::{Fields, read_string};
use ratchet_http::request::Request;
use ratchet_http::validation::Validation;
use ratchet_http::validation_error::ValidationErrorKind;
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
    let mut validation = Validation::default();
    let mut fields = Fields::of_body(&body);
    let status = fields.required_name("status", &TARGETS, &mut validation);
    let error_details = fields.object("error_info", &mut validation);
    fields.finish(&mut validation);

    // A string `message` in it is for people: it becomes the `error_message`.
    let info = error_details.as_ref().and_then(|info| json::parse(info.as_str()).ok());
    let message = info.as_ref().and_then(|info| info.members()?.find(|(name, _)| *name == "message"));
    let error_message = message.and_then(|(_, text)| match read_string(text, 0, MAX_ERROR_MESSAGE) {
        Ok(message) => Some(message),
        Err(ValidationErrorKind::NotAString) => None,
        Err(kind) => {
            validation.add(vec!["body".into(), "error_info".into(), "message".into()], &kind, text);
            None
        }
    });

    let options = request.write_options(&body, &mut validation);
    let to = validation.require(status)?;
    // A user may cancel. The other statuses clean up after a worker, and need more.
    if to != Status::Cancelled {
        request.require(Scope::Admin)?;
    }
    let fields = FieldUpdates { error_message, error_details, ..FieldUpdates::default() };
    Ok(Change { transition: Some(RequestedTransition::override_to(to)), fields, options })
}
