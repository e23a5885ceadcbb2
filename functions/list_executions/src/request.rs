//! The query of list executions.

use ratchet_http::cursor::CursorKey;
use ratchet_http::error::HttpError;
use ratchet_http::fields::{read_time, within};
use ratchet_http::request::Request;
use ratchet_http::validation::Validation;
use ratchet_http::validation_error::ValidationErrorKind;
use ratchet_model::execution::TriggerType;
use ratchet_model::limits::{DEFAULT_PAGE_SIZE, MAX_INTEGER, MAX_NAME, MAX_PAGE_SIZE};
use ratchet_model::list::{Filter, ListQuery, Start};
use ratchet_model::status::Status;
use ratchet_model::wire_name::WireName;

/// Reads the query of list executions. Of a repeated parameter the last one counts.
///
/// # Errors
///
/// All its validation errors. A parameter that does not exist is refused, too: a mistyped filter must not list
/// everything.
pub fn read(request: &Request, cursors: &CursorKey) -> Result<ListQuery, HttpError> {
    let mut validation = Validation::default();
    let mut filter = Filter::default();
    let mut page = None;
    let mut page_text = None;
    let mut page_size = None;
    let mut cursor = None;
    for (name, text) in request.query() {
        let outcome = match name.as_str() {
            "flow_id" => length(&text, MAX_NAME).map(|()| filter.flow_id = Some(text.clone())),
            "status" => by_name(&text, &Status::ALL).map(|status| filter.status = Some(status)),
            "trigger_type" => {
                by_name(&text, TriggerType::ALL).map(|trigger_type| filter.trigger_type = Some(trigger_type))
            }
            "created_after" => read_time(&text).map(|time| filter.created_after = Some(time)),
            "created_before" => read_time(&text).map(|time| filter.created_before = Some(time)),
            "page" => {
                page_text = Some(text.clone());
                integer(&text, MAX_INTEGER).map(|number| page = Some(number))
            }
            "page_size" => integer(&text, MAX_PAGE_SIZE).map(|number| page_size = Some(number)),
            "cursor" => {
                cursor = Some(text.clone());
                Ok(())
            }
            _ => Err(ValidationErrorKind::Extra),
        };
        if let Err(kind) = outcome {
            validation.add_text("query", &name, &kind, &text);
        }
    }
    if let (Some(page), Some(_)) = (&page_text, &cursor) {
        validation.add_text("query", "page", &ValidationErrorKind::PageWithCursor, page);
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
    let page_size = page_size.and_then(|size| usize::try_from(size).ok()).unwrap_or(DEFAULT_PAGE_SIZE);
    Ok(ListQuery { filter, start, page_size })
}

fn length(text: &str, max: usize) -> Result<(), ValidationErrorKind> {
    match text.chars().count() {
        0 => Err(ValidationErrorKind::TooShort(1)),
        length if length > max => Err(ValidationErrorKind::TooLong(max)),
        _ => Ok(()),
    }
}

fn by_name<T: WireName>(text: &str, allowed: &[T]) -> Result<T, ValidationErrorKind> {
    T::parse(text).ok_or_else(|| ValidationErrorKind::not_one_of(allowed))
}

fn integer(text: &str, max: i64) -> Result<i64, ValidationErrorKind> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(ValidationErrorKind::NotAnIntegerText);
    }
    // A number that does not fit into i64 is beyond every bound.
    let value = text.parse().unwrap_or(if text.starts_with('-') { i64::MIN } else { i64::MAX });
    within(value, 1, max)
}
