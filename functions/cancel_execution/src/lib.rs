//! `POST /executions/{execution_id}/cancel`: asks the worker to stop or, where nobody works on it, ends the execution.

#[cfg(feature = "openapi")]
pub mod openapi;
pub mod request;

use std::convert::Infallible;

use lambda_http::Request;
use ratchet_http::endpoint::respond;
use ratchet_http::operation::Operation;
use ratchet_http::response::Response;
use ratchet_model::clock::Timestamp;
use ratchet_model::execution::etag;
use ratchet_model::id::ExecutionId;
use ratchet_model::scope::Scope;
use ratchet_model::status::Status;
use ratchet_store::Store;
use ratchet_store::cancel::Outcome;
use serde::Serialize;

/// The operation. Its name is also the namespace of its Idempotency-Keys.
pub const OPERATION: Operation = Operation {
    name: "cancel_execution",
    method: "POST",
    path: "/api/v1/executions/{execution_id}/cancel",
    scope: Some(Scope::Write),
};

/// What became of a cancel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum CancelOutcome {
    /// Nobody worked on the execution: it is cancelled.
    Cancelled,
    /// The worker is asked to stop.
    Requested,
}

/// The answer.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(description = "A cancel that took effect."))]
pub struct ExecutionCancelled {
    /// The execution.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = "uuid"))]
    pub execution_id: ExecutionId,
    /// What became of it.
    pub outcome: CancelOutcome,
    /// The status before this request took effect.
    pub previous_status: Status,
    /// The status after this request took effect: where it is requested, still `running`.
    pub current_status: Status,
    /// When it was first requested; null where the execution is cancelled at once.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime, required))]
    pub cancel_requested_at: Option<Timestamp>,
    /// From when on the service writes `cancelled` itself, unless it is reported before; null where the execution is
    /// cancelled at once.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime, required))]
    pub force_at: Option<Timestamp>,
}

impl ExecutionCancelled {
    /// The answer for an outcome.
    #[must_use]
    pub fn new(execution_id: ExecutionId, outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Cancelled { from } => Self {
                execution_id,
                outcome: CancelOutcome::Cancelled,
                previous_status: *from,
                current_status: Status::Cancelled,
                cancel_requested_at: None,
                force_at: None,
            },
            Outcome::Requested(cancel) => Self {
                execution_id,
                outcome: CancelOutcome::Requested,
                previous_status: Status::Running,
                current_status: Status::Running,
                cancel_requested_at: Some(cancel.requested_at),
                force_at: Some(cancel.force_at),
            },
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
        let cancel = request::read(&request)?;
        let execution_id = request.execution_id()?;
        let cancelled = store.cancel(&request.caller, &execution_id, &cancel).await?;
        let response = Response::ok(&ExecutionCancelled::new(execution_id, &cancelled.outcome))?;
        Ok(response.etag(etag(cancelled.version)).replayed(cancelled.replayed))
    })
    .await)
}
