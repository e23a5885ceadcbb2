//! `POST /flows/execute`: a new execution, waiting as `pending`.

#[cfg(feature = "openapi")]
pub mod openapi;
pub mod request;

use std::convert::Infallible;

use lambda_http::Request;
use ratchet_http::endpoint::respond;
use ratchet_http::operation::Operation;
use ratchet_http::response::Response;
use ratchet_model::execution::Execution;
use ratchet_model::scope::Scope;
use ratchet_store::Store;
use serde::Serialize;

/// The operation. Its name is also the namespace of its Idempotency-Keys.
pub const OPERATION: Operation =
    Operation { name: "execute_flow", method: "POST", path: "/api/v1/flows/execute", scope: Some(Scope::Write) };

/// The answer.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(description = "An execution that was accepted."))]
pub struct ExecuteFlowResponse {
    /// The new record.
    pub execution: Execution,
    /// A sentence for people.
    pub message: String,
}

impl ExecuteFlowResponse {
    /// The answer for an execution.
    #[must_use]
    pub fn new(execution: Execution) -> Self {
        let message = format!("Execution {} of flow {} accepted", execution.execution_number, execution.flow_id);
        Self { execution, message }
    }
}

/// Answers one request. An execution whose caller names no timeout has `default_timeout_seconds`.
///
/// # Errors
///
/// None: every outcome is an answer.
pub async fn handle(store: &Store, default_timeout_seconds: i64, request: Request) -> Result<Response, Infallible> {
    Ok(respond(&OPERATION, store.clock(), request, async |request| {
        let new = request::read(&request, default_timeout_seconds)?;
        let created = store.create(&request.caller, &new).await?;
        let etag = created.execution.etag();
        let response = Response::ok(&ExecuteFlowResponse::new(created.execution))?;
        Ok(response.etag(etag).replayed(created.replayed))
    })
    .await)
}
