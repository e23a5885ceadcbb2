//! From an outcome to an answer: the only place that knows HTTP's status codes and the words that a caller reads.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::auth::Scope;
use crate::clock::Timestamp;
use crate::error::{Error, Large, Refusal};
use crate::request::problems::Problem;
use crate::status::Status;

/// After how many seconds a caller may try again where the store is away.
const RETRY_AFTER: &str = "1";

/// An answer as API Gateway takes it (payload format 2.0).
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Response {
    /// HTTP's status code.
    pub status_code: u16,
    /// The headers, names in lower case.
    pub headers: BTreeMap<&'static str, String>,
    /// The body; absent where the answer has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// Bodies are text.
    pub is_base64_encoded: bool,
}

impl Response {
    fn new(status_code: u16) -> Self {
        Self { status_code, headers: BTreeMap::new(), body: None, is_base64_encoded: false }
    }

    /// 200 with a body.
    ///
    /// # Errors
    ///
    /// [`Error::Internal`] where a stored text is damaged.
    pub fn ok<T: Serialize>(body: &T) -> Result<Self, Error> {
        let body = serde_json::to_string(body).map_err(|error| Error::internal(error.to_string()))?;
        Ok(Self { body: Some(body), ..Self::new(200) }.header("content-type", "application/json"))
    }

    /// 204: done, and the caller did not want the record back.
    #[must_use]
    pub fn minimal() -> Self {
        Self::new(204).header("preference-applied", "return=minimal")
    }

    /// 304: the caller has the record already.
    #[must_use]
    pub fn not_modified() -> Self {
        Self::new(304)
    }

    /// With a header.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.insert(name, value.into());
        self
    }

    /// With the validator of the record's version.
    #[must_use]
    pub fn etag(self, etag: String) -> Self {
        self.header("etag", etag)
    }

    /// With the sign that nothing was written, because it had been before.
    #[must_use]
    pub fn replayed(self, replayed: bool) -> Self {
        if replayed { self.header("idempotency-replayed", "true") } else { self }
    }

    /// The answer to a request that was not done (contract, "Errors"), and its `error_code` for the log.
    #[must_use]
    pub fn error(error: &Error, correlation_id: &str, now: Timestamp) -> (Self, &'static str) {
        let answer = Answer::from(error);
        let body = match error {
            Error::Invalid(problems) => serde_json::to_string(&ValidationErrorBody { detail: problems }),
            _ => serde_json::to_string(&ErrorBody {
                detail: &answer.detail,
                error_code: answer.code,
                correlation_id,
                timestamp: now,
            }),
        };
        let mut response = Self::new(answer.status).header("content-type", "application/json");
        // These bodies hold strings and checked JSON alone.
        response.body = Some(body.unwrap_or_else(|_| r#"{"detail":"Internal error"}"#.to_owned()));
        if answer.status == 503 {
            response = response.header("retry-after", RETRY_AFTER);
        }
        (response, answer.code)
    }
}

#[derive(Serialize)]
struct ValidationErrorBody<'a> {
    detail: &'a [Problem],
}

#[derive(Serialize)]
struct ErrorBody<'a> {
    detail: &'a str,
    error_code: &'static str,
    correlation_id: &'a str,
    timestamp: Timestamp,
}

/// How an error is told.
struct Answer {
    status: u16,
    code: &'static str,
    detail: String,
}

impl From<&Error> for Answer {
    fn from(error: &Error) -> Self {
        let (status, code, detail) = match error {
            Error::Invalid(_) => (422, "VALIDATION", String::new()),
            Error::UnsupportedMediaType { content_type } => (
                415,
                "UNSUPPORTED_MEDIA_TYPE",
                format!("The body's Content-Type is {content_type:?}: send JSON, as Content-Type: application/json"),
            ),
            Error::TooLarge { what, size, limit } => (413, "PAYLOAD_TOO_LARGE", too_large(*what, *size, *limit)),
            Error::Forbidden { needed, held } => (
                403,
                "FORBIDDEN",
                format!(
                    "This API key has the scopes {held}; this needs {}",
                    match needed {
                        Scope::Admin => "admin".to_owned(),
                        scope => format!("{} or admin", scope.as_str()),
                    }
                ),
            ),
            // One text for every missing execution: it must not tell whether another organization has it.
            Error::NotFound => (404, "EXECUTION_NOT_FOUND", "There is no execution with this id".to_owned()),
            Error::Refused(refusal) => return Self::from(refusal),
            Error::KeyReused => (
                422,
                "IDEMPOTENCY_KEY_REUSED",
                "This Idempotency-Key was used before with another body: use a new key for a new request".to_owned(),
            ),
            Error::StoreUnavailable { .. } => (
                503,
                "STORE_UNAVAILABLE",
                "The store did not answer in time and nothing was changed: try again".to_owned(),
            ),
            Error::OutcomeUnknown { .. } => (
                503,
                "OUTCOME_UNKNOWN",
                "The store's answer was lost, so that this request may have taken effect or not: repeat it with the \
                 same Idempotency-Key, or read the execution"
                    .to_owned(),
            ),
            Error::Internal(_) => (500, "INTERNAL", "Internal error: the log has it by its correlation_id".to_owned()),
        };
        Self { status, code, detail }
    }
}

fn too_large(what: Large, size: usize, limit: usize) -> String {
    match what {
        Large::Body => format!("The body has {size} bytes; at most {limit} are allowed"),
        Large::Record => format!("The execution's record would have {size} bytes; at most {limit} can be stored"),
        Large::Update => format!(
            "The record does not hold this update: its fields have {size} bytes, and with what is stored already the \
             record would pass {limit} bytes"
        ),
    }
}

fn list(statuses: &[Status]) -> String {
    let names: Vec<&str> = statuses.iter().map(|status| status.as_str()).collect();
    names.join(", ")
}

impl From<&Refusal> for Answer {
    fn from(refusal: &Refusal) -> Self {
        let (status, code, detail) = match refusal {
            Refusal::Transition { current, requested, sources } => {
                let why = if current.is_terminal() {
                    format!("{current} is terminal")
                } else if current == requested {
                    format!("it is {current} already")
                } else if sources.is_empty() {
                    format!("nothing returns to {requested}")
                } else {
                    format!("{requested} can be entered from: {}", list(sources))
                };
                (
                    400,
                    "INVALID_STATUS_TRANSITION",
                    format!("The status cannot change from {current} to {requested}: {why}"),
                )
            }
            Refusal::NoRetryLeft { current, retry_count, max_retries } => (
                400,
                "INVALID_STATUS_TRANSITION",
                format!(
                    "The status cannot change from {current} to retrying: {retry_count} of {max_retries} retries are \
                     used"
                ),
            ),
            Refusal::Finished { current, fields } => (
                400,
                "EXECUTION_FINISHED",
                format!("The execution is {current} and its result is final: {} cannot change", fields.join(", ")),
            ),
            Refusal::RetryCount { requested, least, most } => (
                400,
                "INVALID_RETRY_COUNT",
                format!("retry_count cannot become {requested}: it must be at least {least} and at most {most} here"),
            ),
            Refusal::Version { current } => (
                412,
                "PRECONDITION_FAILED",
                format!("If-Match does not name the execution's present ETag, which is \"{current}\""),
            ),
        };
        Self { status, code, detail }
    }
}
