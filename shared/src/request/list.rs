//! The query of list executions.

use super::Request;
use super::execute::MAX_NAME;
use super::fields::{read_time, within};
use super::problems::{Fault, Problems};
use crate::clock::Timestamp;
use crate::error::Error;
use crate::execution::{MAX_INTEGER, Named, TriggerType};
use crate::status::Status;
use crate::store::cursor::{CursorKey, Position};

/// The most executions of one page.
pub const MAX_PAGE_SIZE: i64 = 100;

/// Which executions, newest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Of this flow.
    pub flow_id: Option<String>,
    /// In this status.
    pub status: Option<Status>,
    /// Set off by this.
    pub trigger_type: Option<TriggerType>,
    /// Made then or later.
    pub created_after: Option<Timestamp>,
    /// Made earlier.
    pub created_before: Option<Timestamp>,
}

/// Where a page starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// At the newest, no page named: the first step of a walk by cursor.
    Beginning,
    /// So many pages in, counted from 1.
    Page(u64),
    /// Below where the page before ended.
    Cursor(Position),
}

/// A page of executions that is asked for.
#[derive(Debug, Clone)]
pub struct ListQuery {
    /// Which executions.
    pub filter: Filter,
    /// Where the page starts.
    pub start: Start,
    /// How many.
    pub page_size: usize,
}

impl ListQuery {
    /// Reads the query of list executions. Of a repeated parameter the last one counts.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with it. A parameter that does not exist is refused too: a mistyped filter must not
    /// list everything.
    pub fn read(request: &Request, cursors: &CursorKey) -> Result<Self, Error> {
        let mut problems = Problems::default();
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
                _ => Err(Fault::Extra),
            };
            if let Err(fault) = outcome {
                problems.add_text("query", &name, &fault, &text);
            }
        }
        if let (Some(page), Some(_)) = (&page_text, &cursor) {
            problems.add_text("query", "page", &Fault::PageWithCursor, page);
        }
        let position = cursor.and_then(|cursor| {
            let position = cursors.open(&request.caller.organization, &filter, &cursor);
            if position.is_none() {
                problems.add_text("query", "cursor", &Fault::Cursor, &cursor);
            }
            position
        });
        problems.finish()?;
        let start = match (position, page) {
            (Some(position), _) => Start::Cursor(position),
            (None, Some(page)) => Start::Page(page.unsigned_abs()),
            (None, None) => Start::Beginning,
        };
        let page_size = page_size.and_then(|size| usize::try_from(size).ok()).unwrap_or(20);
        Ok(Self { filter, start, page_size })
    }
}

fn length(text: &str, most: usize) -> Result<(), Fault> {
    match text.chars().count() {
        0 => Err(Fault::TooShort(1)),
        length if length > most => Err(Fault::TooLong(most)),
        _ => Ok(()),
    }
}

fn by_name<T: Named>(text: &str, allowed: &[T]) -> Result<T, Fault> {
    T::from_name(text).ok_or_else(|| Fault::not_one_of(allowed))
}

fn integer(text: &str, most: i64) -> Result<i64, Fault> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Fault::NotAnIntegerText);
    }
    // Digits that do not fit are beyond every bound.
    let value = text.parse().unwrap_or(if text.starts_with('-') { i64::MIN } else { i64::MAX });
    within(value, 1, most)
}
