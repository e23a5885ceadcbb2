//! The operation in the OpenAPI document.

use ratchet_http::openapi::{
    CorrelationHeader, ExecutionNotFound, ExecutionPath, InternalError, MayNotRead, ReadUnavailable, TooManyRequests,
    Unauthorized,
};
use ratchet_http::validation_error::{ValidationErrorKind, ValidationErrors};
use ratchet_model::limits::{MAX_PAGE_SIZE, MAX_SHOWN_STEPS};
use ratchet_model::list::View;
use ratchet_model::samples;
use ratchet_model::step::{NOT_IN_STEP_SUMMARY, Step};
use serde_json::json;
use serde_json::value::to_raw_value;
use utoipa::openapi::{RefOr, Schema};
use utoipa::{IntoParams, PartialSchema, ToSchema};

use crate::request::PARAMETERS;
use crate::{OPERATION, StepList};

/// A cursor, of the page that the document shows.
const CURSOR: &str = "AzAxLWxvb2t1cE3Zk0CuKf2v9xZb1hXqkqo";

/// The page that the document shows.
fn page() -> StepList {
    StepList {
        execution_id: samples::id(),
        steps: to_raw_value(&samples::completed_step()).into_iter().collect(),
        has_more: true,
        next_cursor: Some(CURSOR.to_owned()),
    }
}

/// A step in a list: `view=summary` leaves out some members.
#[derive(Debug)]
pub struct ListedStep;

impl PartialSchema for ListedStep {
    fn schema() -> RefOr<Schema> {
        let mut schema = Step::schema();
        if let RefOr::T(Schema::Object(object)) = &mut schema {
            object.examples =
                [samples::completed_step(), samples::completed_step().into_summary()].map(|step| json!(step)).into();
            object.required.retain(|name| !NOT_IN_STEP_SUMMARY.contains(&name.as_str()));
            object.description =
                Some("A step of an execution. `view=summary` leaves out the members that are not required.".into());
        }
        schema
    }
}

impl ToSchema for ListedStep {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        Step::schemas(schemas);
    }
}

/// Which steps.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct StepParameters {
    /// How many steps a page has.
    #[param(minimum = 1, maximum = 100, default = json!(MAX_SHOWN_STEPS))]
    pub page_size: Option<i64>,
    /// `next_cursor` of the page before, of the same execution: the page after it.
    pub cursor: Option<String>,
    /// `summary` leaves `input_data` and `output_data` out of each step; without it, `full`. May change from page to page.
    pub view: Option<View>,
}

/// List steps
///
/// The steps of an execution, in the order of the bytes of their ids. A page by cursor costs the same however deep it is. A step
/// that is reported during a walk is in it if its id comes after those that were passed. In an execution that has ended, a
/// step whose end was not reported is shown as `interrupted`.
///
/// Needs the scope `read`.
#[utoipa::path(
    get,
    path = OPERATION.path,
    operation_id = OPERATION.name,
    tag = "Executions",
    params(ExecutionPath, StepParameters, CorrelationHeader),
    responses(
        (
            status = 200,
            description = "A page of steps.",
            body = StepList,
            example = json!(page())
        ),
        (status = 401, response = Unauthorized),
        (status = 403, response = MayNotRead),
        (status = 404, response = ExecutionNotFound),
        (
            status = 422,
            description = "Everything that is wrong with the query; or a cursor of another execution.",
            body = ValidationErrors,
            examples(
                ("invalid" = (value = json!(ValidationErrors::sample([
                    (&["query", "page_size"], ValidationErrorKind::GreaterThan(MAX_PAGE_SIZE), "\"500\""),
                    (&["query", "status"], ValidationErrorKind::extra(&PARAMETERS, 0), "\"failed\"")
                ])))),
                ("foreign cursor" = (value = json!(ValidationErrors::sample([
                    (&["query", "cursor"], ValidationErrorKind::Cursor, &format!("{CURSOR:?}"))
                ]))))
            )
        ),
        (status = 429, response = TooManyRequests),
        (status = 500, response = InternalError),
        (status = 503, response = ReadUnavailable)
    )
)]
pub const fn list_steps() {}
