//! `GET /flows/executions/{execution_id}`: the record of one execution.

#[cfg(feature = "openapi")]
pub mod openapi;

use std::convert::Infallible;

use shared::auth::Scope;
use shared::endpoint;
use shared::request::event::Event;
use shared::response::Response;
use shared::store::Store;

/// The operation's name, in logs.
pub const OPERATION: &str = "get_execution";

/// Answers one event.
///
/// # Errors
///
/// None: whatever happens is an answer.
pub async fn handle(store: &Store, event: Event) -> Result<Response, Infallible> {
    Ok(endpoint::answer(OPERATION, store.clock(), event, async |request| {
        request.caller.require(Scope::Read)?;
        let execution = store.execution(&request.caller, &request.execution_id()?).await?;
        let etag = execution.etag();
        let response = if request.none_match(&etag) { Response::not_modified() } else { Response::ok(&execution)? };
        Ok(response.etag(etag))
    })
    .await)
}
