//! `GET /executions/{execution_id}/transitions`: the transitions of an execution: by which key, when, and why.

#[cfg(feature = "openapi")]
pub mod openapi;

use std::convert::Infallible;

use lambda_http::Request;
use ratchet_http::endpoint::respond;
use ratchet_http::operation::Operation;
use ratchet_http::response::Response;
use ratchet_model::execution::Transition;
use ratchet_model::id::ExecutionId;
use ratchet_model::scope::Scope;
use ratchet_store::Store;
use serde::Serialize;

/// The operation.
pub const OPERATION: Operation = Operation {
    name: "list_transitions",
    method: "GET",
    path: "/api/v1/executions/{execution_id}/transitions",
    scope: Some(Scope::Read),
};

/// The answer.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(description = "What happened to the status of an execution."))]
pub struct TransitionList {
    /// The execution.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = "uuid"))]
    pub execution_id: ExecutionId,
    /// Its changes of status, oldest first.
    pub transitions: Vec<Transition>,
}

/// Answers one request.
///
/// # Errors
///
/// None: every outcome is an answer.
pub async fn handle(store: &Store, request: Request) -> Result<Response, Infallible> {
    Ok(respond(&OPERATION, store.clock(), request, async |request| {
        request.without_query().finish()?;
        let execution_id = request.execution_id()?;
        let transitions = store.transitions(&request.caller, &execution_id).await?;
        Response::ok(&TransitionList { execution_id, transitions }).map_err(Into::into)
    })
    .await)
}
