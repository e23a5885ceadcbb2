//! `PATCH /executions/{execution_id}`: ends an execution that is running or interrupted, in the place of its worker.

#[cfg(feature = "openapi")]
pub mod openapi;
pub mod request;

use std::convert::Infallible;

use lambda_http::Request;
use ratchet_http::endpoint::respond;
use ratchet_http::operation::Operation;
use ratchet_http::response::Response;
use ratchet_model::error::Error;
use ratchet_model::execution::{Transition, etag};
use ratchet_model::id::ExecutionId;
use ratchet_model::scope::Scope;
use ratchet_model::status::Status;
use ratchet_store::Store;
use serde::Serialize;

/// The operation. Its name is also the namespace of its Idempotency-Keys. `cancelled` needs no other scope than this,
/// the other statuses do.
pub const OPERATION: Operation = Operation {
    name: "update_execution_status",
    method: "PATCH",
    path: "/api/v1/executions/{execution_id}",
    scope: Some(Scope::Write),
};

/// The answer.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(description = "A change of status that took effect."))]
pub struct StatusUpdated {
    /// Always true: everything else is an error.
    pub success: bool,
    /// The execution.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = "uuid"))]
    pub execution_id: ExecutionId,
    /// Its status before this request took effect.
    #[cfg_attr(feature = "openapi", schema(value_type = openapi::StatusAfterOverride))]
    pub previous_status: Status,
    /// Its status after this request took effect.
    #[cfg_attr(feature = "openapi", schema(value_type = openapi::StatusAfterOverride))]
    pub current_status: Status,
    /// A sentence for people.
    pub message: String,
}

impl StatusUpdated {
    /// The answer for a transition.
    #[must_use]
    pub fn new(execution_id: ExecutionId, transition: &Transition) -> Self {
        Self {
            success: true,
            execution_id,
            previous_status: transition.from,
            current_status: transition.to,
            message: format!("Status changed from {} to {}", transition.from, transition.to),
        }
    }
}

/// Answers one request.
///
/// # Errors
///
/// None: every outcome is an answer.
pub async fn handle(store: &Store, request: Request) -> Result<Response, Infallible> {
    Ok(respond(&OPERATION, store.clock(), request, async |request| {
        let change = request::read(&request)?;
        let execution_id = request.execution_id()?;
        let changed = store.change(&request.caller, &execution_id, &change).await?;
        // The answer is read from the log and not from the record: a replay is answered as the success that the first
        // request was.
        let transition = changed.transition()?.ok_or_else(|| Error::internal("a transition without its log entry"))?;
        let response = Response::ok(&StatusUpdated::new(execution_id, &transition))?;
        Ok(response.etag(etag(changed.version)).replayed(changed.replayed))
    })
    .await)
}
