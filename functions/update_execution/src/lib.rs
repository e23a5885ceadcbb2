//! `PATCH /flows/executions/{execution_id}`: a change of status, of fields, or of both.

#[cfg(feature = "openapi")]
pub mod openapi;

use std::convert::Infallible;

use shared::auth::Scope;
use shared::endpoint;
use shared::request::event::Event;
use shared::request::update::Change;
use shared::response::Response;
use shared::store::Store;

/// The operation's name, in logs and as the scope of its Idempotency-Keys.
pub const OPERATION: &str = "update_execution";

/// Answers one event.
///
/// # Errors
///
/// None: whatever happens is an answer.
pub async fn handle(store: &Store, event: Event) -> Result<Response, Infallible> {
    Ok(endpoint::answer(OPERATION, store.clock(), event, async |request| {
        request.caller.require(Scope::Write)?;
        let change = Change::read(OPERATION, &request)?;
        let changed = store.change(&request.caller, &request.execution_id()?, &change).await?;
        let response = if request.prefers_minimal() { Response::minimal() } else { Response::ok(&changed.execution)? };
        Ok(response.etag(changed.execution.etag()).replayed(changed.replayed))
    })
    .await)
}
