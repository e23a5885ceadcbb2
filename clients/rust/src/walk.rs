//! A list, page by page: through any walk every execution that existed at its start and still matches appears exactly once.

use crate::client::Client;
use crate::error::Error;
use crate::record::{Execution, Page};
use crate::request::ListQuery;

/// A walk through a list.
#[derive(Debug)]
pub struct Walk {
    client: Client,
    query: ListQuery,
    ended: bool,
    /// What the first page said of how many there are.
    total_count: Option<u64>,
}

impl Walk {
    /// Begins a walk. Nothing is sent yet.
    #[must_use]
    pub fn new(client: &Client, query: ListQuery) -> Self {
        Self { client: client.clone(), query, ended: false, total_count: None }
    }

    /// How many there are, as the walk's start said, up to the query's count limit; `None` where it was not counted, and
    /// before the first page.
    #[must_use]
    pub const fn total_count(&self) -> Option<u64> {
        self.total_count
    }

    /// The next page; `None` after the last. A page may be empty and not the last: a filter may need more reading. After an
    /// error the same page can be asked for again.
    ///
    /// # Errors
    ///
    /// [`Error`], as of every call.
    pub async fn next(&mut self) -> Result<Option<Vec<Execution>>, Error> {
        if self.ended {
            return Ok(None);
        }
        let Page { executions, total_count, next_cursor, .. } = self.client.list(&self.query).await?.record;
        if self.query.cursor.is_none() {
            self.total_count = total_count;
        }
        self.ended = next_cursor.is_none();
        self.query.cursor = next_cursor;
        Ok(Some(executions))
    }
}
