//! The body of report steps.

use std::collections::HashSet;

use ratchet_http::error::HttpError;
use ratchet_http::fields::Fields;
use ratchet_http::request::Request;
use ratchet_http::validation::Validation;
use ratchet_http::validation_error::{ValidationErrorKind, quote};
use ratchet_model::limits::{MAX_ERROR_MESSAGE, MAX_INTEGER, MAX_NAME, MAX_STEP_ID, MAX_STEPS};
use ratchet_model::status::Status;
use ratchet_model::step::{StepFields, StepId, StepReport, StepReports};

/// How deep the fields of a step stand in the body: in an object, in a list, in the body.
const AROUND_FIELDS: usize = 3;

/// Reads the request of report steps.
///
/// # Errors
///
/// All its validation errors.
pub fn read(request: &Request) -> Result<StepReports, HttpError> {
    let body = request.json_around(AROUND_FIELDS)?;
    let mut validation = request.without_query();
    let mut fields = Fields::of_body(&body);
    let attempt = fields.integer("attempt", 0, MAX_INTEGER, &mut validation);
    let (mut reports, mut known) = (Vec::new(), HashSet::new());
    fields.required_list("steps", (1, MAX_STEPS), &mut validation, |fields, validation| {
        let Some(report) = read_step(fields, validation) else { return };
        if known.insert(report.step_id.clone()) {
            reports.push(report);
        } else {
            let input = quote(report.step_id.as_str());
            fields.refuse("step_id", &ValidationErrorKind::RepeatedStep, &input, validation);
        }
    });
    fields.finish(&mut validation);
    let idempotency_key = request.idempotency_key(&body, &mut validation);
    validation.finish()?;
    Ok(StepReports { attempt, reports, idempotency_key })
}

/// Reads the report of one step; `None` where it has no id. Other errors are in the validation alone.
fn read_step(fields: &mut Fields<'_>, validation: &mut Validation) -> Option<StepReport> {
    let step_id = fields.required_string("step_id", 1, MAX_STEP_ID, validation);
    let status = fields.name("status", &Status::ALL, validation);
    let report = StepFields {
        step_name: fields.string("step_name", 1, MAX_NAME, validation),
        step_type: fields.string("step_type", 1, MAX_NAME, validation),
        tool_name: fields.string("tool_name", 1, MAX_NAME, validation),
        input_data: fields.object("input_data", validation),
        output_data: fields.object("output_data", validation),
        error_message: fields.string_beside("error_message", MAX_ERROR_MESSAGE, "output_data", validation),
        started_at: fields.time("started_at", validation),
        completed_at: fields.time("completed_at", validation),
        duration_ms: fields.integer("duration_ms", 0, MAX_INTEGER, validation),
        retry_count: fields.integer("retry_count", 0, MAX_INTEGER, validation),
        metadata: fields.object("metadata", validation),
    };
    Some(StepReport { step_id: StepId::parse(&step_id?)?, status, fields: report })
}
