//! `GET /flows/executions/{execution_id}`: the record of one execution.

#[cfg(feature = "openapi")]
pub mod openapi;

use std::convert::Infallible;

use lambda_http::Request;
use ratchet_http::endpoint::respond;
use ratchet_http::operation::Operation;
use ratchet_http::response::Response;
use ratchet_model::scope::Scope;
use ratchet_store::Store;

/// The operation.
pub const OPERATION: Operation = Operation {
    name: "get_execution",
    method: "GET",
    path: "/api/v1/flows/executions/{execution_id}",
    scope: Some(Scope::Read),
};

/// Answers one request.
///
/// # Errors
///
/// None: every outcome is an answer.
pub async fn handle(store: &Store, request: Request) -> Result<Response, Infallible> {
    Ok(respond(&OPERATION, store.clock(), request, async |request| {
        request.without_query().finish()?;
        let execution = store.execution(&request.caller, &request.execution_id()?).await?;
        let etag = execution.etag();
        let response = if request.none_match(&etag) { Response::not_modified() } else { Response::ok(&execution)? };
        Ok(response.etag(etag))
    })
    .await)
}
