//! The operation in the OpenAPI document.

use ratchet_http::error::{ErrorResponse, explain_step};
use ratchet_http::openapi::{
    CorrelationHeader, ExecutionNotFound, ExecutionPath, IdempotencyHeader, InternalError, InvalidOrKeyReused,
    MayNotWrite, PayloadTooLarge, TooManyRequests, Unauthorized, UnsupportedMediaType, WriteUnavailable, key_reused,
};
use ratchet_http::validation_error::{ValidationErrorKind, ValidationErrors};
use ratchet_model::error::{Error, Rejection};
use ratchet_model::heartbeat::Action;
use ratchet_model::samples;
use ratchet_model::status::Status;
use ratchet_model::step::{StepId, StepOutcome, StepRefusal};
use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::{OPERATION, OutcomeOfStep, StepsReported};

/// What a worker did.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReportStepsRequest {
    /// The attempt that the worker works on, as the answer to its claim gave it. If another one is the present one, the answer
    /// is 409 `ATTEMPT_SUPERSEDED` and nothing is written. By default whichever is the present one.
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64)]
    pub attempt: Option<i64>,
    /// The steps, each of them once.
    #[schema(min_items = 1, max_items = 25)]
    pub steps: Vec<StepReport>,
}

/// What a worker says of one step. What is absent or null is left as it is; objects replace, they do not merge. At most 350
/// KB in one report.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(examples(json!({ "step_id": "02-decide", "step_type": "llm" })))]
#[serde(deny_unknown_fields)]
pub struct StepReport {
    /// The step, by an id of the worker's choice that is used once in the execution: what a new attempt does again has an id
    /// of its own. Steps are listed in the order of the bytes of their ids, so that ids are best chosen to sort in the order
    /// of the work.
    #[schema(min_length = 1, max_length = 128)]
    pub step_id: String,
    /// Its name; where no report says one, its id.
    #[schema(min_length = 1, max_length = 256)]
    pub step_name: Option<String>,
    /// Its kind; where no report says one, `task`.
    #[schema(min_length = 1, max_length = 256)]
    pub step_type: Option<String>,
    /// The tool that it calls.
    #[schema(min_length = 1, max_length = 256)]
    pub tool_name: Option<String>,
    /// Where it stands. The table of transitions of executions counts, without a limit of retries; the same again is no
    /// transition, and allowed. Without it a first report says `running`, and a later one leaves it as it is.
    #[schema(value_type = Option<Status>)]
    pub status: Option<String>,
    /// What went into it. Comes back exactly as sent, like every object here; nested at most 100 levels deep.
    pub input_data: Option<Map<String, Value>>,
    /// What came out of it. Frozen once the step has ended.
    pub output_data: Option<Map<String, Value>>,
    /// What went wrong, for people. Frozen once the step has ended.
    #[schema(max_length = 65_536)]
    pub error_message: Option<String>,
    /// When it started. Without it, the first `running` sets the present time.
    #[schema(format = DateTime)]
    pub started_at: Option<String>,
    /// When it ended. Without it, entering a terminal status sets the present time. Frozen once the step has ended.
    #[schema(format = DateTime)]
    pub completed_at: Option<String>,
    /// How long it took, in milliseconds. Without it, `completed_at - started_at`. Frozen once the step has ended.
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64)]
    pub duration_ms: Option<i64>,
    /// How often it was retried.
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64)]
    pub retry_count: Option<i64>,
    /// Whatever the worker wants to find again.
    pub metadata: Option<Map<String, Value>>,
}

/// What became of a report that was not refused.
pub(crate) fn outcome(step_id: StepId, outcome: StepOutcome) -> OutcomeOfStep {
    OutcomeOfStep { step_id, outcome, error_code: None, detail: None }
}

/// A step that ended, and the next one that begins.
fn reported() -> StepsReported {
    let running = samples::running();
    StepsReported {
        execution_id: running.id,
        status: running.status,
        action: Action::Continue,
        outcomes: vec![
            outcome(samples::running_step().step_id, StepOutcome::Updated),
            outcome(samples::next_step(), StepOutcome::Created),
        ],
    }
}

/// A step whose end is known already.
fn refused() -> StepsReported {
    let refusal = StepRefusal::Ended { current: Status::Completed, requested: Status::Failed };
    StepsReported {
        outcomes: vec![OutcomeOfStep {
            error_code: Some(refusal.code()),
            detail: Some(explain_step(&refusal)),
            ..outcome(samples::running_step().step_id, StepOutcome::Refused)
        }],
        ..reported()
    }
}

/// Report steps
///
/// A worker says what it did. A report merges into what is known of the step, and each has an outcome: `created`; `updated`;
/// `unchanged`: it said nothing new; `stale`: it came after a later one, so that the status stays, and what the step lacked
/// was filled in; `refused`: the step has ended, and otherwise, or it would pass 400 KB; `unknown`: repeat it. The other
/// reports of the request are not concerned by that.
///
/// The first end of a step wins: its `status`, `output_data`, `error_message`, `completed_at` and `duration_ms` are frozen then.
/// Steps are accepted after the end of the execution, too. The worker is told what a heartbeat would be told, but a report
/// counts as none. It changes neither `version` nor `updated_at` of the execution.
///
/// Needs the scope `write`.
#[utoipa::path(
    post,
    path = OPERATION.path,
    operation_id = OPERATION.name,
    tag = "Executions",
    params(ExecutionPath, IdempotencyHeader, CorrelationHeader),
    request_body(
        content = ReportStepsRequest,
        description = "At most 1 MiB. A field that is not listed here is refused.",
        examples(
            ("begin" = (value = json!({
                "steps": [{
                    "step_id": "01-lookup",
                    "step_name": "Look the customer up",
                    "step_type": "tool",
                    "tool_name": "crm.search",
                    "input_data": { "customer": "C-17" }
                }]
            }))),
            ("end, and the next" = (value = json!({
                "attempt": 1,
                "steps": [
                    {
                        "step_id": "01-lookup",
                        "status": "completed",
                        "output_data": { "open_invoices": 2, "limit": 250.0 }
                    },
                    { "step_id": "02-decide", "step_type": "llm" }
                ]
            })))
        )
    ),
    responses(
        (
            status = 200,
            description = "What became of each report.",
            body = StepsReported,
            headers(
                ("Idempotency-Replayed" = String, description = "`true` if an earlier request did it; else absent.")
            ),
            examples(
                ("end, and the next" = (value = json!(reported()))),
                ("refused" = (value = json!(refused())))
            )
        ),
        (status = 401, response = Unauthorized),
        (status = 403, response = MayNotWrite),
        (status = 404, response = ExecutionNotFound),
        (
            status = 409,
            description = "`ATTEMPT_SUPERSEDED`: another attempt is the present one. Nothing was written.",
            body = ErrorResponse,
            example = json!(ErrorResponse::sample(Error::Rejected(Rejection::Attempt { requested: 1, current: 2 })))
        ),
        (status = 413, response = PayloadTooLarge),
        (status = 415, response = UnsupportedMediaType),
        (
            status = 422,
            description = "Everything that is wrong with the request; or `IDEMPOTENCY_KEY_REUSED`. Nothing was written.",
            body = InvalidOrKeyReused,
            examples(
                ("invalid" = (value = json!(ValidationErrors::sample([
                    (&["body", "attempt"], ValidationErrorKind::NotAnInteger, "\"1\""),
                    (&["body", "steps"], ValidationErrorKind::TooFewItems(1, 0), "[]")
                ])))),
                ("key reused" = (value = json!(key_reused())))
            )
        ),
        (status = 429, response = TooManyRequests),
        (status = 500, response = InternalError),
        (status = 503, response = WriteUnavailable)
    )
)]
pub const fn report_steps() {}
