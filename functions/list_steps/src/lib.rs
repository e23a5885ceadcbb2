//! `GET /executions/{execution_id}/steps`: a page of the steps of an execution, in the order of their ids.

#[cfg(feature = "openapi")]
pub mod openapi;
pub mod request;

use std::convert::Infallible;

use lambda_http::Request;
use ratchet_http::cursor::CursorKey;
use ratchet_http::endpoint::respond;
use ratchet_http::operation::Operation;
use ratchet_http::response::Response;
use ratchet_model::id::ExecutionId;
use ratchet_model::scope::Scope;
use ratchet_store::Store;
use serde::Serialize;
use serde_json::value::RawValue;

/// The operation.
pub const OPERATION: Operation = Operation {
    name: "list_steps",
    method: "GET",
    path: "/api/v1/executions/{execution_id}/steps",
    scope: Some(Scope::Read),
};

/// The answer.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(description = "A page of steps."))]
pub struct StepList {
    /// The execution.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = "uuid"))]
    pub execution_id: ExecutionId,
    /// Its steps on this page, in the order of the bytes of their ids.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<openapi::ListedStep>, max_items = 100))]
    pub steps: Vec<Box<RawValue>>,
    /// Whether there may be more. A page may be short and still have more after it.
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
        let asked = request::read(&request, cursors)?;
        let page = store.steps(&request.caller, &asked.execution_id, &asked.query).await?;
        let organization = &request.caller.organization;
        let seal = |last| cursors.seal_steps(organization, &asked.execution_id, &last);
        let response = Response::ok(&StepList {
            execution_id: asked.execution_id,
            steps: page.steps,
            has_more: page.next.is_some(),
            next_cursor: page.next.map(seal),
        })?;
        Ok(response)
    })
    .await)
}
