//! The operation in the OpenAPI document.

use ratchet_http::openapi::{
    CorrelationHeader, InternalError, MayNotRead, ReadUnavailable, TooManyRequests, Unauthorized,
};
use ratchet_http::validation_error::{ValidationErrorKind, ValidationErrors};
use ratchet_model::execution::{Execution, NOT_IN_SUMMARY, TriggerType};
use ratchet_model::limits::{DEFAULT_COUNT_LIMIT, DEFAULT_PAGE_SIZE, MAX_COUNT_LIMIT, MAX_PAGE_SIZE, PAGE_REACH};
use ratchet_model::list::View;
use ratchet_model::samples;
use ratchet_model::status::Status;
use serde_json::json;
use serde_json::value::to_raw_value;
use utoipa::openapi::{RefOr, Schema};
use utoipa::{IntoParams, PartialSchema, ToSchema};

use crate::request::PARAMETERS;
use crate::{ExecutionPage, OPERATION};

// As in `ratchet_http::openapi`: bounds in attributes are literals.
const _: () = assert!(PAGE_REACH == 10_000 && MAX_COUNT_LIMIT == 10_000 && DEFAULT_COUNT_LIMIT == 1_000);

/// A cursor, of the page that the document shows.
const CURSOR: &str = "AQAAAaH_TlE1Ylwnj7PlT8q6cRlw7ZnwmQAAAAAAAAACAAAABHBYRA6PJ18Dv_p1W1Y_tEA";

/// The page that the document shows.
fn page() -> ExecutionPage {
    ExecutionPage {
        executions: to_raw_value(&samples::failed()).into_iter().collect(),
        total_count: Some(4),
        page: 1,
        page_size: 1,
        has_more: true,
        next_cursor: Some(CURSOR.to_owned()),
    }
}

/// An execution in a list: a record, of which `view=summary` leaves out some members.
#[derive(Debug)]
pub struct ListedExecution;

impl PartialSchema for ListedExecution {
    fn schema() -> RefOr<Schema> {
        let mut schema = Execution::schema();
        if let RefOr::T(Schema::Object(object)) = &mut schema {
            object.examples =
                [samples::failed(), samples::failed().into_summary()].map(|execution| json!(execution)).into();
            object.required.retain(|name| !NOT_IN_SUMMARY.contains(&name.as_str()));
            object.description = Some(
                "One run of a flow by an agent. `view=summary` leaves out the members that are not required.".into(),
            );
        }
        schema
    }
}

impl ToSchema for ListedExecution {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        Execution::schemas(schemas);
    }
}

/// Which executions, and which page of them.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ListParameters {
    /// Only executions of this flow.
    #[param(min_length = 1, max_length = 256)]
    pub flow_id: Option<String>,
    /// Only executions in one of these statuses: repeated, or with commas.
    #[param(explode = false, min_items = 1)]
    pub status: Option<Vec<Status>>,
    /// Only executions that this set off.
    pub trigger_type: Option<TriggerType>,
    /// Only executions of this agent. No index knows it: a page looks at a bounded number of records, so that it may be
    /// short, and the list is counted only where it is short.
    #[param(min_length = 1, max_length = 256)]
    pub agent_id: Option<String>,
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
    #[param(minimum = 1, maximum = 100, default = json!(DEFAULT_PAGE_SIZE))]
    pub page_size: Option<i64>,
    /// `next_cursor` of the page before, with the same filters: the page after it.
    pub cursor: Option<String>,
    /// Up to how many executions are counted for `total_count`; 0: none is. May change from page to page.
    #[param(minimum = 0, maximum = 10000, default = json!(DEFAULT_COUNT_LIMIT))]
    pub count_limit: Option<i64>,
    /// `summary` leaves `trigger_data`, `variables`, `final_output`, `error_details` and `performance_metrics` out of each
    /// execution; without it, `full`. May change from page to page.
    pub view: Option<View>,
}

/// List executions
///
/// The organization's executions, newest first. Filters can be combined. A parameter that is not listed here is
/// refused, and so is one that is repeated, but for `status`.
///
/// To walk far, follow `next_cursor`: a page costs the same however deep it is, and every execution that existed at the
/// start of the walk and still matches appears exactly once. With two filters, or with `agent_id`, a page may be short, or
/// empty, and still have more after it. An execution that was just made may take a moment to appear.
///
/// Needs the scope `read`.
#[utoipa::path(
    get,
    path = OPERATION.path,
    operation_id = OPERATION.name,
    tag = "Flows",
    params(ListParameters, CorrelationHeader),
    responses(
        (
            status = 200,
            description = "A page of executions.",
            body = ExecutionPage,
            example = json!(page())
        ),
        (status = 401, response = Unauthorized),
        (status = 403, response = MayNotRead),
        (
            status = 422,
            description = "Everything that is wrong with the query; or a cursor of another query, a page that only a \
                           cursor reaches, or a page whose records do not fit into one answer.",
            body = ValidationErrors,
            examples(
                ("invalid" = (value = json!(ValidationErrors::sample([
                    (&["query", "page_size"], ValidationErrorKind::GreaterThan(MAX_PAGE_SIZE), "\"500\""),
                    (&["query", "state"], ValidationErrorKind::extra(&PARAMETERS, 0), "\"failed\"")
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
pub const fn list_executions() {}
