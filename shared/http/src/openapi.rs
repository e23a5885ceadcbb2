//! The parts of the OpenAPI document that several operations share: headers and error responses.
//!
//! Requests are not parsed with these types: the readers collect all validation errors, and keep objects exact. The
//! types describe in OpenAPI's terms what the readers do.

use ratchet_model::error::{Error, Rejection};
use ratchet_model::limits::{
    MAX_BODY, MAX_ERROR_MESSAGE, MAX_GRACE_SECONDS, MAX_HEARTBEAT_TIMEOUT_SECONDS, MAX_IDEMPOTENCY_KEY, MAX_INTEGER,
    MAX_NAME, MAX_PAGE_SIZE, MAX_RECORD, MAX_RETRIES, MAX_SHOWN_STEPS, MAX_START_TIMEOUT_SECONDS, MAX_STEP_ID,
    MAX_STEP_REPORT, MAX_STEPS, MAX_TIMEOUT_SECONDS, MIN_HEARTBEAT_TIMEOUT_SECONDS,
};
use ratchet_model::scope::{Scope, Scopes};
use serde::Serialize;
use utoipa::{IntoParams, ToResponse, ToSchema};

use crate::error::{ErrorResponse, HttpError};
use crate::validation_error::ValidationErrors;

// The attributes of schemas accept only literals as bounds. This assertion keeps them equal to the bounds that the
// readers check. Examples are created from the constants themselves; the defaults of request bodies are words, which
// `tests/api/drift` compares with the record.
const _: () = assert!(
    MAX_NAME == 256
        && MAX_TIMEOUT_SECONDS == 604_800
        && MIN_HEARTBEAT_TIMEOUT_SECONDS == 15
        && MAX_HEARTBEAT_TIMEOUT_SECONDS == 86_400
        && MAX_START_TIMEOUT_SECONDS == 2_592_000
        && MAX_GRACE_SECONDS == 3_600
        && MAX_RETRIES == 100
        && MAX_ERROR_MESSAGE == 65_536
        && MAX_IDEMPOTENCY_KEY == 255
        && MAX_PAGE_SIZE == 100
        && MAX_STEP_ID == 128
        && MAX_STEPS == 25
        && MAX_SHOWN_STEPS == 100
        && MAX_INTEGER == 9_007_199_254_740_991
        && MAX_BODY == 1_048_576
);

/// The answer to a key with the scopes `held` where `needed` is missing.
#[must_use]
pub fn forbidden(needed: Scope, held: &str) -> ErrorResponse {
    ErrorResponse::sample(HttpError::Forbidden { needed, held: Scopes::parse(held).unwrap_or_default() })
}

/// The answer to an Idempotency-Key that was used before with another body.
#[must_use]
pub fn key_reused() -> ErrorResponse {
    ErrorResponse::sample(Error::IdempotencyKeyReused)
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
    Error(ErrorResponse),
    /// API Gateway's.
    GatewayMessage(GatewayMessage),
}

/// What is wrong with the request, or that its Idempotency-Key is.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub enum InvalidOrKeyReused {
    /// The request is not well-formed.
    ValidationErrors(ValidationErrors),
    /// `IDEMPOTENCY_KEY_REUSED`.
    Error(ErrorResponse),
}

/// The execution in the path.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct ExecutionPath {
    /// The execution's id. A text that is no UUID is answered 404, as an id that does not exist.
    #[param(format = "uuid")]
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
    /// One or more `ETag`s in their quotes, such as `"2"` or `"2", "3"`, or `*`: the write is done only if the execution
    /// has one of them. Anything else is refused.
    #[param(
        rename = "If-Match",
        value_type = String,
        required = false,
        // No pattern: who makes requests from this document would make tags up, and an invented tag never matches.
        format = "entity-tags",
        example = "\"2\""
    )]
    pub if_match: Option<String>,
}

/// There is no `x-api-key` in the request. API Gateway's own answer.
#[derive(Debug, ToResponse)]
#[response(example = json!({ "message": "Unauthorized" }))]
pub struct Unauthorized(pub GatewayMessage);

/// The key is unknown or revoked. API Gateway's own answer, where every key may call the operation.
#[derive(Debug, ToResponse)]
#[response(example = json!({ "message": "Forbidden" }))]
pub struct UnknownKey(pub GatewayMessage);

/// The key is unknown or revoked (API Gateway's own answer), or has not the scope `read`.
#[derive(Debug, ToResponse)]
#[response(examples(
    ("unknown key" = (value = json!({ "message": "Forbidden" }))),
    ("scope" = (value = json!(forbidden(Scope::Read, "write"))))
))]
pub struct MayNotRead(pub ErrorOrGatewayMessage);

/// The key is unknown or revoked (API Gateway's own answer), or has not the scope `write`.
#[derive(Debug, ToResponse)]
#[response(examples(
    ("unknown key" = (value = json!({ "message": "Forbidden" }))),
    ("scope" = (value = json!(forbidden(Scope::Write, "read"))))
))]
pub struct MayNotWrite(pub ErrorOrGatewayMessage);

/// There is no such execution in the key's organization.
#[derive(Debug, ToResponse)]
#[response(example = json!(ErrorResponse::sample(Error::NotFound)))]
pub struct ExecutionNotFound(pub ErrorResponse);

/// The execution has another `ETag` than If-Match asks for. Nothing was written.
#[derive(Debug, ToResponse)]
#[response(example = json!(ErrorResponse::sample(Error::Rejected(Rejection::Version { current: 2 }))))]
pub struct PreconditionFailed(pub ErrorResponse);

/// The body has more than 1 MiB, the record would have more than 400 KB, or the report of one step has more than 350 KB.
/// From 10 MB on it is API Gateway's own answer.
#[derive(Debug, ToResponse)]
#[response(examples(
    ("body" = (value = json!(ErrorResponse::sample(HttpError::BodyTooLarge { size: 1_048_658, limit: MAX_BODY })))),
    ("record" = (value = json!(ErrorResponse::sample(Error::RecordTooLarge { size: 420_289, limit: MAX_RECORD })))),
    ("update" = (value = json!(ErrorResponse::sample(Error::UpdateTooLarge { size: 420_013, limit: MAX_RECORD })))),
    ("step" = (value = json!(ErrorResponse::sample(Error::StepTooLarge {
        index: 1,
        size: 360_115,
        limit: MAX_STEP_REPORT
    })))),
    ("API Gateway" = (value = json!({ "message": "Request Entity Too Large" })))
))]
pub struct PayloadTooLarge(pub ErrorOrGatewayMessage);

/// The body is not JSON by its Content-Type. `application/json` and `*+json` are, in UTF-8; so is a body without one.
#[derive(Debug, ToResponse)]
#[response(example = json!(ErrorResponse::sample(HttpError::UnsupportedMediaType {
    content_type: "application/x-www-form-urlencoded".to_owned()
})))]
pub struct UnsupportedMediaType(pub ErrorResponse);

/// More requests than the API lets through. API Gateway's own answer; try again later.
#[derive(Debug, ToResponse)]
#[response(example = json!({ "message": "Too Many Requests" }))]
pub struct TooManyRequests(pub GatewayMessage);

/// A bug, or API Gateway's own answer where a function or the authorizer failed.
#[derive(Debug, ToResponse)]
#[response(examples(
    ("bug" = (value = json!(ErrorResponse::sample(Error::internal(""))))),
    ("API Gateway" = (value = json!({ "message": "Internal Server Error" })))
))]
pub struct InternalError(pub ErrorOrGatewayMessage);

/// The function did not answer. API Gateway's own answer, where an operation needs no store; try again later.
#[derive(Debug, ToResponse)]
#[response(example = json!({ "message": "Service Unavailable" }))]
pub struct FunctionUnavailable(pub GatewayMessage);

/// The store did not answer in time; try again. Or API Gateway's own answer where a function did not.
#[derive(Debug, ToResponse)]
#[response(
    headers(
        ("Retry-After" = u32, description = "After how many seconds to try again. Not in API Gateway's own answer.")
    ),
    examples(
        ("store" = (value = json!(ErrorResponse::sample(Error::StoreUnavailable { reason: String::new() })))),
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
        ("store" = (value = json!(ErrorResponse::sample(Error::StoreUnavailable { reason: String::new() })))),
        ("outcome unknown" = (value = json!(ErrorResponse::sample(Error::OutcomeUnknown { reason: String::new() })))),
        ("API Gateway" = (value = json!({ "message": "Service Unavailable" })))
    )
)]
pub struct WriteUnavailable(pub ErrorOrGatewayMessage);
