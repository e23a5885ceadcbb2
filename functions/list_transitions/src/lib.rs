//! `GET /executions/{execution_id}/transitions`: who changed an execution's status, when, and why.

#[cfg(feature = "openapi")]
pub mod openapi;

use std::convert::Infallible;

use serde::Serialize;
use shared::auth::Scope;
use shared::endpoint;
use shared::execution::Transition;
use shared::request::event::Event;
use shared::response::Response;
use shared::store::Store;

/// The operation's name, in logs.
pub const OPERATION: &str = "list_transitions";

/// The answer.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(description = "What happened to the status of an execution."))]
pub struct Transitions {
    /// The execution.
    #[cfg_attr(feature = "openapi", schema(format = "uuid"))]
    pub execution_id: String,
    /// Its changes of status, oldest first.
    pub transitions: Vec<Transition>,
}

/// Answers one event.
///
/// # Errors
///
/// None: whatever happens is an answer.
pub async fn handle(store: &Store, event: Event) -> Result<Response, Infallible> {
    Ok(endpoint::answer(OPERATION, store.clock(), event, async |request| {
        request.caller.require(Scope::Read)?;
        let id = request.execution_id()?;
        let transitions = store.transitions(&request.caller, &id).await?;
        Response::ok(&Transitions { execution_id: id.to_string(), transitions })
    })
    .await)
}
