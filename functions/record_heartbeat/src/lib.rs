//! `POST /executions/{execution_id}/heartbeat`: a worker says that it is alive, and asks what to do.

#[cfg(feature = "openapi")]
pub mod openapi;
pub mod request;

use std::convert::Infallible;

use lambda_http::Request;
use ratchet_http::endpoint::respond;
use ratchet_http::operation::Operation;
use ratchet_http::response::Response;
use ratchet_model::clock::Timestamp;
use ratchet_model::heartbeat::{Action, heartbeat_interval};
use ratchet_model::id::ExecutionId;
use ratchet_model::scope::Scope;
use ratchet_model::status::Status;
use ratchet_store::Store;
use ratchet_store::heartbeat::Heard;
use serde::Serialize;

/// The operation.
pub const OPERATION: Operation = Operation {
    name: "record_heartbeat",
    method: "POST",
    path: "/api/v1/executions/{execution_id}/heartbeat",
    scope: Some(Scope::Write),
};

/// The answer.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(description = "What a worker is to do."))]
pub struct HeartbeatRecorded {
    /// The execution.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = "uuid"))]
    pub execution_id: ExecutionId,
    /// Its status: after a revival `running`.
    pub status: Status,
    /// The number of the present attempt, whoever asked.
    #[cfg_attr(feature = "openapi", schema(minimum = 0))]
    pub attempt: i64,
    /// What to do.
    pub action: Action,
    /// Why to cancel or to stop; else null.
    #[cfg_attr(feature = "openapi", schema(required))]
    pub reason: Option<String>,
    /// When the cancel was requested; null: none was.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime, required))]
    pub cancel_requested_at: Option<Timestamp>,
    /// From when on the service writes `cancelled` itself; null: no cancel is requested.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime, required))]
    pub force_at: Option<Timestamp>,
    /// When the service ends the execution with `timeout`: the deadline or, before the first `running`, that of the start;
    /// null: the start has none.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime, required))]
    pub deadline_at: Option<Timestamp>,
    /// After how many seconds to send the next heartbeat.
    #[cfg_attr(feature = "openapi", schema(minimum = 5, maximum = 28_800))]
    pub heartbeat_in_seconds: i64,
}

impl HeartbeatRecorded {
    /// The answer to a worker that was heard.
    #[must_use]
    pub fn new(execution_id: ExecutionId, heard: Heard) -> Self {
        Self {
            execution_id,
            status: heard.watch.status,
            attempt: heard.attempt,
            action: heard.order.action,
            reason: heard.order.reason,
            cancel_requested_at: heard.cancel.as_ref().map(|cancel| cancel.requested_at),
            force_at: heard.cancel.as_ref().map(|cancel| cancel.force_at),
            deadline_at: heard.watch.deadline(),
            heartbeat_in_seconds: heartbeat_interval(heard.watch.heartbeat_timeout_seconds),
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
        let attempt = request::read(&request)?;
        let execution_id = request.execution_id()?;
        let heard = store.record_heartbeat(&request.caller, &execution_id, attempt).await?;
        Response::ok(&HeartbeatRecorded::new(execution_id, heard)).map_err(Into::into)
    })
    .await)
}
