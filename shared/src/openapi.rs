//! What several operations have in common in the OpenAPI document: their bodies, their headers, and how they refuse.
//!
//! Nobody reads or writes by these types. Bodies are read by hand (`request/`), so that every problem is told at once
//! and objects stay exact, and errors are written in `response.rs`; here stands what both do, in OpenAPI's terms. The
//! derived `Deserialize` and `Serialize` carry the serde attributes that utoipa goes by.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::{IntoParams, ToResponse, ToSchema};

use crate::execution::MAX_INTEGER;
use crate::request::MAX_BODY;
use crate::request::execute::{MAX_NAME, MAX_RETRIES, MAX_TIMEOUT_SECONDS};
use crate::request::list::MAX_PAGE_SIZE;
use crate::request::update::MAX_ERROR_MESSAGE;
use crate::status::Status;

// The attributes take literals alone. This is what keeps them equal to the bounds that the readers check.
const _: () = assert!(
    MAX_NAME == 256
        && MAX_TIMEOUT_SECONDS == 604_800
        && MAX_RETRIES == 100
        && MAX_ERROR_MESSAGE == 8_192
        && MAX_PAGE_SIZE == 100
        && MAX_INTEGER == 9_007_199_254_740_991
        && MAX_BODY == 1_048_576
);

/// What [`Status`] says of itself: the table of transitions, made from the rule that enforces it.
#[must_use]
pub fn status_description() -> String {
    let row = |from: Status| {
        let to: Vec<&str> =
            Status::ALL.into_iter().filter(|to| to.sources().contains(&from)).map(Status::as_str).collect();
        let to = if to.is_empty() { "nothing: it is terminal".to_owned() } else { to.join(", ") };
        format!("| {from} | {to} |")
    };
    let rows: Vec<String> = Status::ALL.into_iter().map(row).collect();
    format!(
        "What an execution is doing, as its writers report it. `interrupted` says that nobody has heard from the \
         worker; it may have been alive after all and may still complete. The allowed changes:\n\n\
         | from | to |\n| --- | --- |\n{}\n\n\
         `retrying` is entered only while `retry_count` is less than `max_retries`, and adds 1 to `retry_count`. A \
         change to the status that the execution already has is not allowed.",
        rows.join("\n")
    )
}

/// What to run, and with what.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ExecuteFlowRequest {
    /// The flow to run.
    #[schema(min_length = 1, max_length = 256)]
    pub flow_id: String,
    /// What sets it off.
    #[schema(value_type = crate::execution::TriggerType)]
    pub trigger_type: String,
    /// What came with the trigger. Comes back exactly as sent, like every object here; nested at most 100 levels deep.
    #[schema(default = json!({}))]
    pub trigger_data: Option<Map<String, Value>>,
    /// The inputs of the flow.
    #[schema(default = json!({}))]
    pub variables: Option<Map<String, Value>>,
    /// How urgent it is.
    #[schema(value_type = Option<crate::execution::Priority>, default = "normal")]
    pub priority: Option<String>,
    /// How long it may take, in seconds. Whoever watches it acts on it.
    #[schema(minimum = 1, maximum = 604_800, default = 300)]
    pub timeout_seconds: Option<i64>,
    /// How it may be retried.
    pub retry_config: Option<RetryConfig>,
    /// Whatever the caller wants to find again.
    #[schema(default = json!({}))]
    pub metadata: Option<Map<String, Value>>,
    /// When it is meant to run. Kept in the record; whoever runs it acts on it.
    #[schema(format = DateTime)]
    pub scheduled_at: Option<String>,
    /// The agent that runs it.
    #[schema(min_length = 1, max_length = 256, default = "unassigned")]
    pub agent_id: Option<String>,
    /// The execution that this one retries.
    #[schema(min_length = 1, max_length = 256)]
    pub parent_execution_id: Option<String>,
}

/// How an execution may be retried.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RetryConfig {
    /// How often.
    #[schema(minimum = 0, maximum = 100, default = 3)]
    pub max_retries: Option<i64>,
}

/// A status to enter, new values of fields, or both. What is absent or null is left as it is; objects replace, they do
/// not merge.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateExecutionRequest {
    /// The status to enter.
    #[schema(value_type = Option<Status>)]
    pub status: Option<String>,
    /// When it ended. Without it, entering a terminal status sets the present time. Frozen in a terminal status.
    #[schema(format = DateTime)]
    pub completed_at: Option<String>,
    /// How long it took, in milliseconds. Without it, entering a terminal status sets `completed_at - started_at`.
    /// Frozen in a terminal status.
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64)]
    pub duration_ms: Option<i64>,
    /// The result. Comes back exactly as sent, like every object here; nested at most 100 levels deep. Frozen in a
    /// terminal status.
    pub final_output: Option<Map<String, Value>>,
    /// What went wrong, for people. With a status, it is also the reason of the transition. Frozen in a terminal
    /// status.
    #[schema(max_length = 8192)]
    pub error_message: Option<String>,
    /// What went wrong, for programs. Frozen in a terminal status.
    pub error_details: Option<Map<String, Value>>,
    /// How often it was retried. May not fall and may not pass `max_retries`. Frozen in a terminal status.
    #[schema(minimum = 0, maximum = 100)]
    pub retry_count: Option<i64>,
    /// Tokens that models used.
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64)]
    pub tokens_used: Option<i64>,
    /// Calls of tools.
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64)]
    pub tool_calls_count: Option<i64>,
    /// What it cost, in USD. Comes back with the digits that were sent.
    #[schema(minimum = 0)]
    pub cost_estimate: Option<f64>,
    /// Measurements.
    pub performance_metrics: Option<Map<String, Value>>,
    /// Whatever the caller wants to find again.
    pub metadata: Option<Map<String, Value>>,
}

/// How an execution that got stuck is to end.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateExecutionStatusRequest {
    /// The status to enter. `cancelled` needs the scope `write`, the others need `admin`.
    pub status: EndStatus,
    /// Why. Kept as `error_details`; a string `message` in it, of at most 8192 characters, is kept as `error_message`,
    /// too.
    pub error_info: Option<Map<String, Value>>,
}

/// A status that ends an execution from outside.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum EndStatus {
    /// Somebody asked for it.
    Cancelled,
    /// It failed, and nobody noticed.
    Failed,
    /// It completed, and nobody noticed.
    Completed,
}

/// A status before or after a change by update execution status.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum StuckStatus {
    /// A worker says that it is at work.
    Running,
    /// Ended with a result.
    Completed,
    /// Ended with an error.
    Failed,
    /// Ended because somebody asked for it.
    Cancelled,
    /// Nobody has heard from the worker.
    Interrupted,
}

/// A part of an execution's work. No operation reports steps yet, so there is none in any answer; when there are, these
/// are their fields.
#[derive(Debug, ToSchema)]
pub struct Step {
    /// The step's id.
    pub step_id: Option<String>,
    /// Its name.
    pub step_name: Option<String>,
    /// Its kind.
    pub step_type: Option<String>,
    /// The tool that it calls.
    pub tool_name: Option<String>,
    /// Where it stands.
    #[schema(value_type = Option<Status>)]
    pub status: Option<String>,
    /// What went into it.
    pub input_data: Option<Map<String, Value>>,
    /// What came out of it.
    pub output_data: Option<Map<String, Value>>,
    /// What went wrong, for people.
    pub error_message: Option<String>,
    /// When it started.
    #[schema(format = DateTime)]
    pub started_at: Option<String>,
    /// When it ended.
    #[schema(format = DateTime)]
    pub completed_at: Option<String>,
    /// How long it took, in milliseconds.
    #[schema(minimum = 0)]
    pub duration_ms: Option<i64>,
    /// How often it was retried.
    #[schema(minimum = 0)]
    pub retry_count: Option<i64>,
    /// Whatever the writer wants to find again.
    pub metadata: Option<Map<String, Value>>,
}

/// Why a request was not done.
#[derive(Debug, Serialize, ToSchema)]
pub struct Error {
    /// A sentence for people.
    pub detail: String,
    /// The reason, for programs.
    pub error_code: ErrorCode,
    /// The request's name, as in the header `x-correlation-id` and in every log line of the request.
    pub correlation_id: String,
    /// When.
    #[schema(format = DateTime)]
    pub timestamp: String,
}

/// A reason for not doing a request.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ErrorCode {
    /// 400: the table of transitions does not allow it.
    InvalidStatusTransition,
    /// 400: the field is frozen, because the execution has ended.
    ExecutionFinished,
    /// 400: `retry_count` would fall or pass `max_retries`.
    InvalidRetryCount,
    /// 403: the key's scope.
    Forbidden,
    /// 404.
    ExecutionNotFound,
    /// 412: If-Match.
    PreconditionFailed,
    /// 413.
    PayloadTooLarge,
    /// 415.
    UnsupportedMediaType,
    /// 422: the Idempotency-Key came before, with another body.
    IdempotencyKeyReused,
    /// 500: a bug.
    Internal,
    /// 503: nothing was changed.
    StoreUnavailable,
    /// 503: it may have taken effect or not.
    OutcomeUnknown,
}

/// What API Gateway says where it answers by itself.
#[derive(Debug, Serialize, ToSchema)]
pub struct GatewayMessage {
    /// A few words.
    pub message: String,
}

/// The service's own answer, or API Gateway's.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub enum ErrorOrGatewayMessage {
    /// The service's.
    Error(Error),
    /// API Gateway's.
    GatewayMessage(GatewayMessage),
}

/// Everything that is wrong with a request.
#[derive(Debug, Serialize, ToSchema)]
pub struct ValidationErrors {
    /// The problems.
    #[schema(min_items = 1)]
    pub detail: Vec<ValidationError>,
}

/// One wrong value.
#[derive(Debug, Serialize, ToSchema)]
pub struct ValidationError {
    /// The way to it: `body`, `query` or `header` first, then names of fields. A text that is not JSON has the offset
    /// of the mistake there, in characters.
    #[schema(min_items = 1)]
    pub loc: Vec<Location>,
    /// A sentence for people.
    pub msg: String,
    /// pydantic's name of the fault, such as `missing`, `enum`, `int_type` or `extra_forbidden`.
    pub r#type: String,
    /// What was sent; of a long text its beginning.
    #[schema(value_type = Value)]
    pub input: Value,
    /// The numbers and names in the sentence.
    #[schema(value_type = Option<Object>, nullable = false)]
    pub ctx: Option<Map<String, Value>>,
}

/// One step of the way to a wrong value.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub enum Location {
    /// A name.
    Name(String),
    /// An offset into the body.
    Offset(u64),
}

/// What is wrong with the request, or that its Idempotency-Key is.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub enum InvalidOrKeyReused {
    /// The request is not well-formed.
    ValidationErrors(ValidationErrors),
    /// `IDEMPOTENCY_KEY_REUSED`.
    Error(Error),
}

/// The execution in the path.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct ExecutionPath {
    /// The execution's id, a UUID. Any other text is answered 404, as an id that does not exist.
    pub execution_id: String,
}

/// The name of the request.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Header)]
pub struct CorrelationHeader {
    /// The caller's name for the request: it comes back in the same header and in errors, and is in every log line of
    /// the request. It has 1 to 128 of `A-Z`, `a-z`, `0-9`, `.`, `_` and `-`. Any other is not refused: API Gateway's
    /// id of the request takes its place, as where there is none.
    #[param(rename = "x-correlation-id", value_type = String, required = false)]
    pub correlation_id: Option<String>,
}

/// The key by which a write can be repeated.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Header)]
pub struct IdempotencyHeader {
    /// Makes the request safe to repeat, for at least 24 hours: a repeat with the same key and body writes nothing and
    /// is answered as the success that the first was, marked by `Idempotency-Replayed`. The same key with another body
    /// is refused. A key counts within its organization, operation and execution.
    #[param(
        rename = "Idempotency-Key",
        value_type = String,
        required = false,
        min_length = 1,
        max_length = 255,
        pattern = r"^[\x21-\x7e]+$"
    )]
    pub idempotency_key: Option<String>,
}

/// The version that a write is meant for.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Header)]
pub struct IfMatchHeader {
    /// One or more `ETag`s such as `"2"`, or `*`: the write is done only if the execution has one of them.
    #[param(
        rename = "If-Match",
        value_type = String,
        required = false,
        // Tags of visible ASCII: HTTP has others, and this service gives out none of them.
        pattern = r#"^(\*|(W/)?"[ !#-~]*"( *, *(W/)?"[ !#-~]*")*)$"#,
        example = "\"2\""
    )]
    pub if_match: Option<String>,
}

/// There is no `x-api-key` in the request. API Gateway's own answer.
#[derive(Debug, ToResponse)]
#[response(example = json!({ "message": "Unauthorized" }))]
pub struct Unauthorized(pub GatewayMessage);

/// The key is unknown or revoked (API Gateway's own answer), or has not the scope `read`.
#[derive(Debug, ToResponse)]
#[response(examples(
    ("unknown key" = (value = json!({ "message": "Forbidden" }))),
    ("scope" = (value = json!({
        "detail": "This API key has the scopes write; this needs read or admin",
        "error_code": "FORBIDDEN",
        "correlation_id": "03336f48e7144b42b0b50f660ece444b",
        "timestamp": "2026-11-21T18:11:19.424Z"
    })))
))]
pub struct MayNotRead(pub ErrorOrGatewayMessage);

/// The key is unknown or revoked (API Gateway's own answer), or has not the scope `write`.
#[derive(Debug, ToResponse)]
#[response(examples(
    ("unknown key" = (value = json!({ "message": "Forbidden" }))),
    ("scope" = (value = json!({
        "detail": "This API key has the scopes read; this needs write or admin",
        "error_code": "FORBIDDEN",
        "correlation_id": "6b6917fac15d40f29eea9268c8cda075",
        "timestamp": "2026-11-21T18:11:19.422Z"
    })))
))]
pub struct MayNotWrite(pub ErrorOrGatewayMessage);

/// There is no such execution in the key's organization.
#[derive(Debug, ToResponse)]
#[response(example = json!({
    "detail": "There is no execution with this id",
    "error_code": "EXECUTION_NOT_FOUND",
    "correlation_id": "b64e527983bd420aa44594a5ce8ef336",
    "timestamp": "2026-11-21T18:11:19.426Z"
}))]
pub struct ExecutionNotFound(pub Error);

/// The execution has another `ETag` than If-Match asks for. Nothing was written.
#[derive(Debug, ToResponse)]
#[response(example = json!({
    "detail": "If-Match does not name the execution's present ETag, which is \"2\"",
    "error_code": "PRECONDITION_FAILED",
    "correlation_id": "ac70254d69c14273bd96c78ebaee7d2d",
    "timestamp": "2026-11-21T18:11:20.755Z"
}))]
pub struct PreconditionFailed(pub Error);

/// The body has more than 1 MiB, or the record would have more than 400 KB. From 10 MB on it is API Gateway's own
/// answer.
#[derive(Debug, ToResponse)]
#[response(examples(
    ("body" = (value = json!({
        "detail": "The body has 1048658 bytes; at most 1048576 are allowed",
        "error_code": "PAYLOAD_TOO_LARGE",
        "correlation_id": "769423ed1d16442db54c4b38afcbbbc6",
        "timestamp": "2026-11-21T18:11:19.184Z"
    }))),
    ("record" = (value = json!({
        "detail": "The execution's record would have 420289 bytes; at most 409600 can be stored",
        "error_code": "PAYLOAD_TOO_LARGE",
        "correlation_id": "d87e37dc8dab460695d0f16b6b1c8677",
        "timestamp": "2026-11-21T18:11:19.273Z"
    }))),
    ("update" = (value = json!({
        "detail": "The record does not hold this update: its fields have 420013 bytes, and with what is stored already the record would pass 409600 bytes",
        "error_code": "PAYLOAD_TOO_LARGE",
        "correlation_id": "a05bc346db3749e1b7dba0cb0a65eb53",
        "timestamp": "2026-11-21T18:11:20.855Z"
    }))),
    ("API Gateway" = (value = json!({ "message": "Request Entity Too Large" })))
))]
pub struct PayloadTooLarge(pub ErrorOrGatewayMessage);

/// The body is not JSON by its Content-Type. `application/json` and `*+json` are, in UTF-8; so is a body without one.
#[derive(Debug, ToResponse)]
#[response(example = json!({
    "detail": "The body's Content-Type is \"application/x-www-form-urlencoded\": send JSON, as Content-Type: application/json",
    "error_code": "UNSUPPORTED_MEDIA_TYPE",
    "correlation_id": "085f7ffc721a4530b65d6e31911ebb8e",
    "timestamp": "2026-11-21T18:11:19.110Z"
}))]
pub struct UnsupportedMediaType(pub Error);

/// More requests than the API lets through. API Gateway's own answer; try again later.
#[derive(Debug, ToResponse)]
#[response(example = json!({ "message": "Too Many Requests" }))]
pub struct TooManyRequests(pub GatewayMessage);

/// A bug, or API Gateway's own answer where a function or the authorizer failed.
#[derive(Debug, ToResponse)]
#[response(examples(
    ("bug" = (value = json!({
        "detail": "Internal error: the log has it by its correlation_id",
        "error_code": "INTERNAL",
        "correlation_id": "1ee36251022f4542a05e66f82cacc332",
        "timestamp": "2026-11-21T18:11:20.772Z"
    }))),
    ("API Gateway" = (value = json!({ "message": "Internal Server Error" })))
))]
pub struct InternalError(pub ErrorOrGatewayMessage);

/// The store did not answer in time; try again. Or API Gateway's own answer where a function did not.
#[derive(Debug, ToResponse)]
#[response(
    headers(
        ("Retry-After" = u32, description = "After how many seconds to try again. Not in API Gateway's own answer.")
    ),
    examples(
        ("store" = (value = json!({
            "detail": "The store did not answer in time and nothing was changed: try again",
            "error_code": "STORE_UNAVAILABLE",
            "correlation_id": "1ec33bdf2a144336b62a314cc24a563b",
            "timestamp": "2026-11-21T18:11:34.677Z"
        }))),
        ("API Gateway" = (value = json!({ "message": "Service Unavailable" })))
    )
)]
pub struct ReadUnavailable(pub ErrorOrGatewayMessage);

/// The store did not answer in time. With `STORE_UNAVAILABLE` nothing was changed; with `OUTCOME_UNKNOWN`, and with API
/// Gateway's own answer, the write may have taken effect: repeat it with its Idempotency-Key.
#[derive(Debug, ToResponse)]
#[response(
    headers(
        ("Retry-After" = u32, description = "After how many seconds to try again. Not in API Gateway's own answer.")
    ),
    examples(
        ("store" = (value = json!({
            "detail": "The store did not answer in time and nothing was changed: try again",
            "error_code": "STORE_UNAVAILABLE",
            "correlation_id": "1ec33bdf2a144336b62a314cc24a563b",
            "timestamp": "2026-11-21T18:11:34.677Z"
        }))),
        ("outcome unknown" = (value = json!({
            "detail": "The store's answer was lost, so that this request may have taken effect or not: repeat it with the same Idempotency-Key, or read the execution",
            "error_code": "OUTCOME_UNKNOWN",
            "correlation_id": "03529e1837c2478aabd0f7d541cae9b1",
            "timestamp": "2026-11-21T18:11:31.012Z"
        }))),
        ("API Gateway" = (value = json!({ "message": "Service Unavailable" })))
    )
)]
pub struct WriteUnavailable(pub ErrorOrGatewayMessage);
