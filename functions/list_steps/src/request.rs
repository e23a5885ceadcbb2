//! The query of list steps.

use ratchet_http::cursor::CursorKey;
use ratchet_http::error::HttpError;
use ratchet_http::request::Request;
use ratchet_http::validation::Validation;
use ratchet_http::validation_error::ValidationErrorKind;
use ratchet_model::id::ExecutionId;
use ratchet_model::limits::{MAX_PAGE_SIZE, MAX_SHOWN_STEPS};
use ratchet_store::steps::StepQuery;

/// The query's parameters.
pub const PARAMETERS: [&str; 3] = ["page_size", "cursor", "view"];

/// A page that was asked for.
#[derive(Debug)]
pub struct Asked {
    /// Of which execution.
    pub execution_id: ExecutionId,
    /// Which of its steps.
    pub query: StepQuery,
}

/// Reads the path and the query of list steps.
///
/// # Errors
///
/// All its validation errors; a cursor of another execution is one. A path without the id of an execution is answered as a
/// missing one, after the errors that do not depend on it.
pub fn read(request: &Request, cursors: &CursorKey) -> Result<Asked, HttpError> {
    let mut validation = Validation::default();
    let mut parameters = request.parameters();
    let page_size = parameters.integer("page_size", 1, MAX_PAGE_SIZE, &mut validation);
    let cursor = parameters.text("cursor", &mut validation);
    let view = parameters.name("view", &mut validation).unwrap_or_default();
    parameters.finish(&mut validation);
    let id = request.execution_id();
    let after = cursor.zip(id.as_ref().ok()).and_then(|(cursor, id)| {
        let after = cursors.open_steps(&request.caller.organization, id, &cursor);
        if after.is_none() {
            validation.add_text("query", "cursor", &ValidationErrorKind::Cursor, &cursor);
        }
        after
    });
    validation.finish()?;
    let page_size = page_size.and_then(|size| usize::try_from(size).ok()).unwrap_or(MAX_SHOWN_STEPS);
    Ok(Asked { execution_id: id?, query: StepQuery { after, page_size, view } })
}
