//! `GET /flows/executions`: a page of executions, newest first.

#[cfg(feature = "openapi")]
pub mod openapi;

use std::convert::Infallible;

use serde::Serialize;
use serde_json::value::RawValue;
use shared::auth::Scope;
use shared::endpoint;
use shared::request::event::Event;
use shared::request::list::ListQuery;
use shared::response::Response;
use shared::store::Store;
use shared::store::cursor::CursorKey;

/// The operation's name, in logs.
pub const OPERATION: &str = "list_executions";

/// The answer.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(description = "A page of executions."))]
pub struct Executions {
    /// The records of this page.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<shared::execution::Execution>))]
    pub executions: Vec<Box<RawValue>>,
    /// How many executions match in all: exact below 10000, which stands for 10000 and more. In a walk by cursor, as of
    /// its start.
    #[cfg_attr(feature = "openapi", schema(maximum = 10000))]
    pub total_count: u32,
    /// The number of this page, from 1.
    #[cfg_attr(feature = "openapi", schema(minimum = 1))]
    pub page: u64,
    /// How many executions a page has.
    #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 100))]
    pub page_size: usize,
    /// Whether there may be more. A page may be short, even empty, and still have more after it.
    pub has_more: bool,
    /// What to pass as `cursor` for the next page; null at the end.
    #[cfg_attr(feature = "openapi", schema(required))]
    pub next_cursor: Option<String>,
}

/// Answers one event.
///
/// # Errors
///
/// None: whatever happens is an answer.
pub async fn handle(store: &Store, cursors: &CursorKey, event: Event) -> Result<Response, Infallible> {
    Ok(endpoint::answer(OPERATION, store.clock(), event, async |request| {
        request.caller.require(Scope::Read)?;
        let query = ListQuery::read(&request, cursors)?;
        let page = store.list(&request.caller, &query, cursors).await?;
        Response::ok(&Executions {
            executions: page.executions,
            total_count: page.total_count,
            page: page.page,
            page_size: query.page_size,
            has_more: page.next.is_some(),
            next_cursor: page.next,
        })
    })
    .await)
}
