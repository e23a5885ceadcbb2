//! `GET /executions/{execution_id}/heartbeat`: when a worker was last heard, for those who watch it.

#[cfg(feature = "openapi")]
pub mod openapi;

use std::convert::Infallible;

use lambda_http::Request;
use ratchet_http::endpoint::respond;
use ratchet_http::operation::Operation;
use ratchet_http::response::Response;
use ratchet_model::clock::Timestamp;
use ratchet_model::id::ExecutionId;
use ratchet_model::scope::Scope;
use ratchet_model::status::Status;
use ratchet_store::Store;
use ratchet_store::heartbeat::Heard;
use serde::Serialize;

/// The operation.
pub const OPERATION: Operation = Operation {
    name: "get_heartbeat",
    method: "GET",
    path: "/api/v1/executions/{execution_id}/heartbeat",
    scope: Some(Scope::Read),
};

/// The answer.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(description = "When the worker of an execution was last heard."))]
pub struct HeartbeatSeen {
    /// The execution.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = "uuid"))]
    pub execution_id: ExecutionId,
    /// Its status.
    pub status: Status,
    /// The number of the present attempt.
    #[cfg_attr(feature = "openapi", schema(minimum = 0))]
    pub attempt: i64,
    /// When its worker was last heard; claiming it counts. Null: nobody has claimed it yet, or before there were heartbeats.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime, required))]
    pub last_heartbeat_at: Option<Timestamp>,
    /// When a cancel was requested; null: none was.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime, required))]
    pub cancel_requested_at: Option<Timestamp>,
    /// From when on the service writes `cancelled` itself; null: no cancel is requested, or the execution has ended.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime, required))]
    pub force_at: Option<Timestamp>,
    /// When the service ends the execution with `timeout`: the deadline or, before the first `running`, that of the start;
    /// null: the start has none, or the execution has ended.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime, required))]
    pub deadline_at: Option<Timestamp>,
}

impl HeartbeatSeen {
    /// The answer about a worker.
    #[must_use]
    pub fn new(execution_id: ExecutionId, heard: &Heard) -> Self {
        // Of what has ended, nothing is due any more.
        let waits = !heard.watch.status.is_terminal();
        Self {
            execution_id,
            status: heard.watch.status,
            attempt: heard.attempt,
            last_heartbeat_at: heard.watch.last_heartbeat,
            cancel_requested_at: heard.cancel.as_ref().map(|cancel| cancel.requested_at),
            force_at: heard.cancel.as_ref().filter(|_| waits).map(|cancel| cancel.force_at),
            deadline_at: heard.watch.deadline().filter(|_| waits),
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
        request.without_query().finish()?;
        let execution_id = request.execution_id()?;
        let heard = store.heartbeat(&request.caller, &execution_id).await?;
        Response::ok(&HeartbeatSeen::new(execution_id, &heard)).map_err(Into::into)
    })
    .await)
}
