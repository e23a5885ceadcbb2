//! `GET /flows/executions`: a page of executions, newest first.

#[cfg(feature = "openapi")]
pub mod openapi;
pub mod request;

use std::convert::Infallible;

use lambda_http::Request;
use ratchet_http::cursor::CursorKey;
use ratchet_http::endpoint::respond;
use ratchet_http::operation::Operation;
use ratchet_http::response::Response;
use ratchet_model::scope::Scope;
use ratchet_store::Store;
use serde::Serialize;
use serde_json::value::RawValue;

/// The operation.
pub const OPERATION: Operation =
    Operation { name: "list_executions", method: "GET", path: "/api/v1/flows/executions", scope: Some(Scope::Read) };

/// The answer.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(description = "A page of executions."))]
pub struct ExecutionPage {
    /// The records of this page.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<openapi::ListedExecution>))]
    pub executions: Vec<Box<RawValue>>,
    /// How many executions match in all: exact below `count_limit`, which stands for that many and more. In a walk by
    /// cursor, as of its start. Null where they were not counted: with a `count_limit` of 0, where a filter would take too
    /// much reading, and where counting took too long.
    #[cfg_attr(feature = "openapi", schema(required, maximum = 10000))]
    pub total_count: Option<u32>,
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

/// Answers one request.
///
/// # Errors
///
/// None: every outcome is an answer.
pub async fn handle(store: &Store, cursors: &CursorKey, request: Request) -> Result<Response, Infallible> {
    Ok(respond(&OPERATION, store.clock(), request, async |request| {
        let query = request::read(&request, cursors)?;
        let page = store.list(&request.caller, &query).await?;
        let seal = |position| cursors.seal(&request.caller.organization, &query.filter, &position);
        let response = Response::ok(&ExecutionPage {
            executions: page.executions,
            total_count: page.total_count,
            page: page.page,
            page_size: query.page_size,
            has_more: page.next.is_some(),
            next_cursor: page.next.map(seal),
        })?;
        Ok(response)
    })
    .await)
}
