//! The operation in the OpenAPI document.

use shared::execution::TriggerType;
use shared::openapi::{
    CorrelationHeader, InternalError, MayNotRead, ReadUnavailable, TooManyRequests, Unauthorized, ValidationErrors,
};
use shared::status::Status;
use utoipa::IntoParams;

use crate::{Executions, OPERATION};

/// Which executions, and which page of them.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ListParameters {
    /// Only executions of this flow.
    #[param(min_length = 1, max_length = 256)]
    pub flow_id: Option<String>,
    /// Only executions in this status.
    pub status: Option<Status>,
    /// Only executions that this set off.
    pub trigger_type: Option<TriggerType>,
    /// Only executions made at this time or later.
    #[param(format = DateTime)]
    pub created_after: Option<String>,
    /// Only executions made before this time.
    #[param(format = DateTime)]
    pub created_before: Option<String>,
    /// The number of the page, from 1. Reaches the first 10000 executions; a cursor reaches all. Not together with
    /// `cursor`; with neither, it is the first page.
    #[param(minimum = 1, maximum = 9_007_199_254_740_991_i64)]
    pub page: Option<i64>,
    /// How many executions a page has.
    #[param(minimum = 1, maximum = 100, default = 20)]
    pub page_size: Option<i64>,
    /// `next_cursor` of the page before, with the same filters: the page after it.
    pub cursor: Option<String>,
}

/// List executions
///
/// The organization's executions, newest first. Filters can be combined. A parameter that is not listed here is
/// refused, and of a repeated one the last counts.
///
/// To walk far, follow `next_cursor`: a page costs the same however deep it is, and every execution that existed at the
/// start of the walk and still matches appears exactly once. With two filters a page may be short, or empty, and still
/// have more after it. An execution that was just made may take a moment to appear.
///
/// Needs the scope `read`.
#[utoipa::path(
    get,
    path = "/api/v1/flows/executions",
    operation_id = OPERATION,
    tag = "Flows",
    params(ListParameters, CorrelationHeader),
    responses(
        (
            status = 200,
            description = "A page of executions.",
            body = Executions,
            example = json!({
                "executions": [
                    {
                        "id": "625c278f-b3e5-4fca-ba71-1970ed99f099",
                        "flow_id": "invoice-triage",
                        "agent_id": "unassigned",
                        "organization_id": "acme",
                        "execution_number": 6,
                        "trigger_type": "event",
                        "trigger_data": {},
                        "variables": {},
                        "priority": "normal",
                        "status": "failed",
                        "started_at": "2026-11-21T18:11:25.128Z",
                        "completed_at": "2026-11-21T18:11:27.246Z",
                        "duration_ms": 2118,
                        "timeout_seconds": 300,
                        "steps": [],
                        "final_output": null,
                        "error_message": "The worker's host was replaced",
                        "error_details": { "message": "The worker's host was replaced", "host": "worker-12" },
                        "retry_count": 0,
                        "max_retries": 3,
                        "parent_execution_id": null,
                        "tokens_used": null,
                        "tool_calls_count": 0,
                        "cost_estimate": null,
                        "performance_metrics": {},
                        "metadata": {},
                        "created_at": "2026-11-21T18:11:25.109Z",
                        "updated_at": "2026-11-21T18:11:27.246Z"
                    }
                ],
                "total_count": 4,
                "page": 1,
                "page_size": 1,
                "has_more": true,
                "next_cursor": "AQAAAaH_TlE1Ylwnj7PlT8q6cRlw7ZnwmQAAAAAAAAACAAAABHBYRA6PJ18Dv_p1W1Y_tEA"
            })
        ),
        (status = 401, response = Unauthorized),
        (status = 403, response = MayNotRead),
        (
            status = 422,
            description = "Everything that is wrong with the query; or a cursor of another query, a page that only a \
                           cursor reaches, or a page whose records do not fit into one answer.",
            body = ValidationErrors,
            examples(
                ("invalid" = (value = json!({
                    "detail": [
                        {
                            "loc": ["query", "page_size"],
                            "msg": "Input should be less than or equal to 100",
                            "type": "less_than_equal",
                            "input": "500",
                            "ctx": { "le": 100 }
                        },
                        {
                            "loc": ["query", "state"],
                            "msg": "Extra inputs are not permitted",
                            "type": "extra_forbidden",
                            "input": "failed"
                        }
                    ]
                }))),
                ("foreign cursor" = (value = json!({
                    "detail": [
                        {
                            "loc": ["query", "cursor"],
                            "msg": "This cursor does not belong to this query: use next_cursor of the page before, with the same filters",
                            "type": "value_error",
                            "input": "AQAAAaH_TlE1Ylwnj7PlT8q6cRlw7ZnwmQAAAAAAAAACAAAABHBYRA6PJ18Dv_p1W1Y_tEA",
                            "ctx": {
                                "error": "This cursor does not belong to this query: use next_cursor of the page before, with the same filters"
                            }
                        }
                    ]
                })))
            )
        ),
        (status = 429, response = TooManyRequests),
        (status = 500, response = InternalError),
        (status = 503, response = ReadUnavailable)
    )
)]
pub const fn list_executions() {}
