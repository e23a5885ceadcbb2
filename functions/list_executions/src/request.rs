//! The query of list executions.

use ratchet_http::cursor::CursorKey;
use ratchet_http::error::HttpError;
use ratchet_http::request::Request;
use ratchet_http::validation::Validation;
use ratchet_http::validation_error::ValidationErrorKind;
use ratchet_model::limits::{
    DEFAULT_COUNT_LIMIT, DEFAULT_PAGE_SIZE, MAX_COUNT_LIMIT, MAX_INTEGER, MAX_NAME, MAX_PAGE_SIZE,
};
use ratchet_model::list::{Filter, ListQuery, Start};

/// The query's parameters.
pub const PARAMETERS: [&str; 11] = [
    "flow_id",
    "status",
    "trigger_type",
    "agent_id",
    "created_after",
    "created_before",
    "page_size",
    "page",
    "cursor",
    "count_limit",
    "view",
];

/// Reads the query of list executions.
///
/// # Errors
///
/// All its validation errors. A parameter that does not exist is refused, too: a mistyped filter must not list
/// everything.
pub fn read(request: &Request, cursors: &CursorKey) -> Result<ListQuery, HttpError> {
    let mut validation = Validation::default();
    let mut parameters = request.parameters();
    let filter = Filter {
        flow_id: parameters.string("flow_id", MAX_NAME, &mut validation),
        status: parameters.names("status", &mut validation),
        trigger_type: parameters.name("trigger_type", &mut validation),
        agent_id: parameters.string("agent_id", MAX_NAME, &mut validation),
        created_after: parameters.time("created_after", &mut validation),
        created_before: parameters.time("created_before", &mut validation),
    };
    let page_size = parameters.integer("page_size", 1, MAX_PAGE_SIZE, &mut validation);
    let page = parameters.integer("page", 1, MAX_INTEGER, &mut validation);
    let cursor = parameters.text("cursor", &mut validation);
    let count_limit = parameters.integer("count_limit", 0, MAX_COUNT_LIMIT, &mut validation);
    let view = parameters.name("view", &mut validation).unwrap_or_default();
    parameters.finish(&mut validation);
    if let (Some(page), Some(_)) = (page, &cursor) {
        validation.add_text("query", "page", &ValidationErrorKind::PageWithCursor, &page.to_string());
    }
    let position = cursor.and_then(|cursor| {
        let position = cursors.open(&request.caller.organization, &filter, &cursor);
        if position.is_none() {
            validation.add_text("query", "cursor", &ValidationErrorKind::Cursor, &cursor);
        }
        position
    });
    validation.finish()?;
    let start = match (position, page) {
        (Some(position), _) => Start::Cursor(position),
        (None, Some(page)) => Start::Page(page.unsigned_abs()),
        (None, None) => Start::Beginning,
    };
    let size = |number: Option<i64>, default| number.and_then(|number| usize::try_from(number).ok()).unwrap_or(default);
    Ok(ListQuery {
        filter,
        start,
        page_size: size(page_size, DEFAULT_PAGE_SIZE),
        count_limit: size(count_limit, DEFAULT_COUNT_LIMIT),
        view,
    })
}
