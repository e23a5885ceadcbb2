//! `PATCH /executions/{execution_id}`: ends an execution that is running, for whoever gave up on it.

#[cfg(feature = "openapi")]
pub mod openapi;

use std::convert::Infallible;

use serde::Serialize;
use shared::endpoint;
use shared::error::Error;
use shared::request::event::Event;
use shared::request::update_status;
use shared::response::Response;
use shared::status::Status;
use shared::store::Store;

/// The operation's name, in logs and as the scope of its Idempotency-Keys.
pub const OPERATION: &str = "update_execution_status";

/// The answer.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(description = "A change of status that took effect."))]
pub struct StatusUpdated {
    /// Always true: everything else is an error.
    pub success: bool,
    /// The execution.
    #[cfg_attr(feature = "openapi", schema(format = "uuid"))]
    pub execution_id: String,
    /// Its status before this request took effect.
    #[cfg_attr(feature = "openapi", schema(value_type = shared::openapi::StuckStatus))]
    pub previous_status: Status,
    /// Its status after this request took effect.
    #[cfg_attr(feature = "openapi", schema(value_type = shared::openapi::StuckStatus))]
    pub current_status: Status,
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
        let change = update_status::read(OPERATION, &request)?;
        let changed = store.change(&request.caller, &request.execution_id()?, &change).await?;
        let etag = changed.execution.etag();
        // From the log and not from the record: a repeat is answered as the success that it was.
        let transition = changed.transition.ok_or_else(|| Error::internal("a transition without its log entry"))?;
        let response = Response::ok(&StatusUpdated {
            success: true,
            execution_id: changed.execution.id,
            previous_status: transition.from,
            current_status: transition.to,
            message: format!("Status changed from {} to {}", transition.from, transition.to),
        })?;
        Ok(response.etag(etag).replayed(changed.replayed))
    })
    .await)
}
