//! The query of get caller: there is none.

use ratchet_http::error::HttpError;
use ratchet_http::request::Request;
use ratchet_http::validation::Validation;
use ratchet_http::validation_error::ValidationErrorKind;

/// Checks that the request asks for nothing.
///
/// # Errors
///
/// A validation error for each query parameter: there is none that could have an effect (contract, "Errors").
pub fn read(request: &Request) -> Result<(), HttpError> {
    let mut validation = Validation::default();
    for (name, text) in request.query() {
        validation.add_text("query", &name, &ValidationErrorKind::Extra, &text);
    }
    validation.finish()
}
