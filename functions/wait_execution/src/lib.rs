//! `GET /flows/executions/{execution_id}/wait`: the record of one execution, as soon as it has ended or, for a caller that
//! has a version of it, as soon as there is another.
//!
//! Each waiter holds a function for as long as it waits. So the route has a rate limit of its own, `WaitRateLimit` of
//! `template.yaml`: its waiters are at most that many a second times the longest wait.

#[cfg(feature = "openapi")]
pub mod openapi;
pub mod request;

use std::convert::Infallible;

use lambda_http::Request;
use ratchet_http::endpoint::respond;
use ratchet_http::operation::Operation;
use ratchet_http::response::Response;
use ratchet_model::scope::Scope;
use ratchet_store::Store;
use ratchet_store::wait::Wait;

/// The operation.
pub const OPERATION: Operation = Operation {
    name: "wait_execution",
    method: "GET",
    path: "/api/v1/flows/executions/{execution_id}/wait",
    scope: Some(Scope::Read),
};

/// Answers one request: after as many seconds as it asks for, or sooner. That the time is up is no error: the answer is that
/// of get execution.
///
/// # Errors
///
/// None: every outcome is an answer.
pub async fn handle(store: &Store, request: Request) -> Result<Response, Infallible> {
    Ok(respond(&OPERATION, store.clock(), request, async |request| {
        let time = request::read(&request)?;
        let id = request.execution_id()?;
        let known = |etag: &str| request.none_match(etag);
        // Without the header the end alone is waited for. With one that names no tag the caller has no version.
        let has_a_version = request.header("if-none-match").is_some();
        let wait = Wait { time, known: if has_a_version { Some(&known) } else { None } };
        let execution = store.wait(&request.caller, &id, wait).await?;
        let etag = execution.etag();
        let response = if request.none_match(&etag) { Response::not_modified() } else { Response::ok(&execution)? };
        Ok(response.etag(etag))
    })
    .await)
}
