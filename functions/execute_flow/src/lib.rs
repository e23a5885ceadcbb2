//! `POST /flows/execute`: a new execution, waiting as `pending`.

#[cfg(feature = "openapi")]
pub mod openapi;

use std::convert::Infallible;

use serde::Serialize;
use shared::auth::Scope;
use shared::endpoint;
use shared::execution::Execution;
use shared::request::event::Event;
use shared::request::execute::NewExecution;
use shared::response::Response;
use shared::store::Store;

/// The operation's name, in logs and as the scope of its Idempotency-Keys.
pub const OPERATION: &str = "execute_flow";

/// The answer.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(description = "An execution that was accepted."))]
pub struct Accepted {
    /// The new record.
    pub execution: Execution,
    /// A sentence for people.
    pub message: String,
}

/// Answers one event.
///
/// # Errors
///
/// None: whatever happens is an answer.
pub async fn handle(store: &Store, event: Event) -> Result<Response, Infallible> {
    Ok(endpoint::answer(OPERATION, store.clock(), event, async |request| {
        request.caller.require(Scope::Write)?;
        let new = NewExecution::read(OPERATION, &request)?;
        let created = store.create(&request.caller, &new).await?;
        let (etag, number) = (created.execution.etag(), created.execution.execution_number);
        let message = format!("Execution {number} of flow {} accepted", new.flow_id);
        let response = Response::ok(&Accepted { execution: created.execution, message })?;
        Ok(response.etag(etag).replayed(created.replayed))
    })
    .await)
}
