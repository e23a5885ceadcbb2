//! `POST /executions/{execution_id}/steps`: a worker says what it did, step by step, and is told what to do.

#[cfg(feature = "openapi")]
pub mod openapi;
pub mod request;

use std::convert::Infallible;

use lambda_http::Request;
use ratchet_http::endpoint::respond;
use ratchet_http::error::explain_step;
use ratchet_http::operation::Operation;
use ratchet_http::response::Response;
use ratchet_model::error_code::ErrorCode;
use ratchet_model::heartbeat::Action;
use ratchet_model::id::ExecutionId;
use ratchet_model::scope::Scope;
use ratchet_model::status::Status;
use ratchet_model::step::{StepId, StepOutcome, StepRefusal};
use ratchet_store::Store;
use ratchet_store::steps::ReportedStep;
use serde::Serialize;

/// The operation. Its name is also the namespace of its Idempotency-Keys.
pub const OPERATION: Operation = Operation {
    name: "report_steps",
    method: "POST",
    path: "/api/v1/executions/{execution_id}/steps",
    scope: Some(Scope::Write),
};

/// The answer.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(description = "What became of the reports, and what the worker is to do."))]
pub struct StepsReported {
    /// The execution.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = "uuid"))]
    pub execution_id: ExecutionId,
    /// Its status.
    pub status: Status,
    /// What to do, as a heartbeat would be told. A report is none.
    pub action: Action,
    /// What became of each report, in their order.
    #[cfg_attr(feature = "openapi", schema(min_items = 1, max_items = 25))]
    pub outcomes: Vec<OutcomeOfStep>,
}

/// What became of the report of one step.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(
    feature = "openapi",
    schema(examples(json!(openapi::outcome(ratchet_model::samples::next_step(), StepOutcome::Created))))
)]
pub struct OutcomeOfStep {
    /// The step.
    #[cfg_attr(feature = "openapi", schema(value_type = String, min_length = 1, max_length = 128))]
    pub step_id: StepId,
    /// What became of it.
    pub outcome: StepOutcome,
    /// Why it was refused, for programs; absent where it was not.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub error_code: Option<ErrorCode>,
    /// Why it was refused, for people; absent where it was not.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub detail: Option<String>,
}

impl From<ReportedStep> for OutcomeOfStep {
    fn from(reported: ReportedStep) -> Self {
        Self {
            step_id: reported.step_id,
            outcome: reported.outcome,
            error_code: reported.refusal.as_ref().map(StepRefusal::code),
            detail: reported.refusal.as_ref().map(explain_step),
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
        let reports = request::read(&request)?;
        let execution_id = request.execution_id()?;
        let reported = store.report_steps(&request.caller, &execution_id, &reports).await?;
        let response = Response::ok(&StepsReported {
            execution_id,
            status: reported.status,
            action: reported.action,
            outcomes: reported.outcomes.into_iter().map(Into::into).collect(),
        })?;
        Ok(response.replayed(reported.replayed))
    })
    .await)
}
