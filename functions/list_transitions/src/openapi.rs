//! The operation in the OpenAPI document.

use shared::openapi::{
    CorrelationHeader, ExecutionNotFound, ExecutionPath, InternalError, MayNotRead, ReadUnavailable, TooManyRequests,
    Unauthorized,
};

use crate::{OPERATION, Transitions};

/// List an execution's transitions
///
/// Every change of its status that took effect, oldest first: from what to what, when, by which key, and why. Its
/// creation is none.
///
/// Needs the scope `read`.
#[utoipa::path(
    get,
    path = "/api/v1/executions/{execution_id}/transitions",
    operation_id = OPERATION,
    tag = "Executions",
    params(ExecutionPath, CorrelationHeader),
    responses(
        (
            status = 200,
            description = "The transitions.",
            body = Transitions,
            example = json!({
                "execution_id": "625c278f-b3e5-4fca-ba71-1970ed99f099",
                "transitions": [
                    {
                        "from": "pending",
                        "to": "running",
                        "at": "2026-11-21T18:11:25.128Z",
                        "by": "local-1",
                        "reason": null,
                        "version": 2
                    },
                    {
                        "from": "running",
                        "to": "failed",
                        "at": "2026-11-21T18:11:27.246Z",
                        "by": "local-1",
                        "reason": "The worker's host was replaced",
                        "version": 3
                    }
                ]
            })
        ),
        (status = 401, response = Unauthorized),
        (status = 403, response = MayNotRead),
        (status = 404, response = ExecutionNotFound),
        (status = 429, response = TooManyRequests),
        (status = 500, response = InternalError),
        (status = 503, response = ReadUnavailable)
    )
)]
pub const fn list_transitions() {}
