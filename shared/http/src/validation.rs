//! Collects all validation errors of a request, so that one answer has them all.

use ratchet_model::error::Error;

use crate::error::HttpError;
use crate::validation_error::{Location, ValidationError, ValidationErrorKind, quote};

/// Errors beyond this many are counted and not listed: an answer must stay below what Lambda can return.
const MAX_LISTED: usize = 1_000;

/// Collects the validation errors of one request.
#[derive(Debug, Default)]
pub struct Validation {
    errors: Vec<ValidationError>,
    unlisted: usize,
}

impl Validation {
    /// Adds the error of a value in the body. `input` is JSON text.
    pub fn add(&mut self, loc: Vec<Location>, kind: &ValidationErrorKind, input: &str) {
        if self.errors.len() >= MAX_LISTED {
            self.unlisted += 1;
            return;
        }
        self.errors.push(kind.at(loc, input));
    }

    /// Adds an error of a query parameter or a header. `input` is the text as sent.
    pub fn add_text(&mut self, location: &str, name: &str, kind: &ValidationErrorKind, input: &str) {
        self.add(vec![location.into(), name.into()], kind, &quote(input));
    }

    /// Ends the collection.
    ///
    /// # Errors
    ///
    /// All the validation errors, if there is one.
    pub fn finish(mut self) -> Result<(), HttpError> {
        if self.unlisted > 0 {
            self.errors.push(ValidationErrorKind::More(self.unlisted).at(vec!["body".into()], "null"));
        }
        if self.errors.is_empty() { Ok(()) } else { Err(HttpError::Invalid(self.errors)) }
    }

    /// Ends the collection and returns the values of required fields. A value that is missing is among the errors.
    ///
    /// # Errors
    ///
    /// All the validation errors, if there is one.
    pub fn require<T>(self, value: Option<T>) -> Result<T, HttpError> {
        self.finish()?;
        value.ok_or_else(|| Error::internal("a required field is neither read nor reported").into())
    }
}
