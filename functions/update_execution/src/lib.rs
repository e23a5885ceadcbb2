//! `PATCH /flows/executions/{execution_id}`: a change of status, of fields, or of both.

#[cfg(feature = "openapi")]
pub mod openapi;
pub mod request;

use std::convert::Infallible;

use lambda_http::Request;
use ratchet_http::endpoint::respond;
use ratchet_http::operation::Operation;
use ratchet_http::response::Response;
use ratchet_model::execution::etag;
use ratchet_model::scope::Scope;
use ratchet_store::Store;

/// The operation. Its name is also the namespace of its Idempotency-Keys.
pub const OPERATION: Operation = Operation {
    name: "update_execution",
    method: "PATCH",
    path: "/api/v1/flows/executions/{execution_id}",
    scope: Some(Scope::Write),
};

/// Answers one request.
///
/// # Errors
///
/// None: every outcome is an answer.
pub async fn handle(store: &Store, request: Request) -> Result<Response, Infallible> {
    Ok(respond(&OPERATION, store.clock(), request, async |request| {
        let change = request::read(&request)?;
        let id = request.execution_id()?;
        let (changed, etag, response) = if request.prefers_minimal() {
            let changed = store.change(&request.caller, &id, &change).await?;
            let etag = etag(changed.version);
            (changed, etag, Response::minimal())
        } else {
            let (changed, execution) = store.change_record(&request.caller, &id, &change).await?;
            (changed, execution.etag(), Response::ok(&execution)?)
        };
        Ok(response.etag(etag).replayed(changed.replayed))
    })
    .await)
}
