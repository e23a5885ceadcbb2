//! Converts errors to answers: the only place that knows HTTP's status codes and the texts that a caller reads.

use ratchet_model::clock::Timestamp;
use ratchet_model::error::{Error, Rejection};
use ratchet_model::error_code::ErrorCode;
use ratchet_model::scope::{Scope, Scopes};
use ratchet_model::status::Status;
use ratchet_model::step::StepRefusal;
use ratchet_model::wire_name::WireName;
use serde::Serialize;

use crate::headers::is_patch_format;
use crate::validation_error::{Location, ValidationError, ValidationErrorKind, quote};

/// Why a request was not done: an error of the request itself, or a domain error.
#[derive(Debug)]
pub enum HttpError {
    /// The request is not well-formed: all its validation errors.
    Invalid(Vec<ValidationError>),
    /// The body's Content-Type is not JSON.
    UnsupportedMediaType {
        /// What was sent, cut to a readable length.
        content_type: String,
    },
    /// The body is not JSON, and its Content-Encoding says why: it is compressed.
    UnsupportedContentEncoding {
        /// What was sent, cut to a readable length.
        content_encoding: String,
    },
    /// The body is too large.
    BodyTooLarge {
        /// Its size in bytes.
        size: usize,
        /// How many bytes it may have.
        limit: usize,
    },
    /// The key's scopes do not cover the request.
    Forbidden {
        /// The scope that is needed.
        needed: Scope,
        /// The scopes that the key has.
        held: Scopes,
    },
    /// An error of the domain.
    Domain(Error),
}

impl From<Error> for HttpError {
    fn from(error: Error) -> Self {
        // The store refuses a page that a parameter of the query asks for: the answer is a validation error.
        match error {
            Error::PageOutOfReach { page } => {
                Self::invalid_parameter("page", &ValidationErrorKind::PageTooFar, &page.to_string())
            }
            Error::PageTooLarge { page_size, fitting } => Self::invalid_parameter(
                "page_size",
                &ValidationErrorKind::PageTooLarge(fitting),
                &page_size.to_string(),
            ),
            error => Self::Domain(error),
        }
    }
}

impl HttpError {
    /// The error of a request in which one value is wrong, and nothing else. `input` is JSON text.
    #[must_use]
    pub fn invalid(loc: Vec<Location>, kind: &ValidationErrorKind, input: &str) -> Self {
        Self::Invalid(vec![kind.at(loc, input)])
    }

    /// The error of a request in which one query parameter is wrong, and nothing else. `input` is the text as sent.
    #[must_use]
    pub fn invalid_parameter(name: &str, kind: &ValidationErrorKind, input: &str) -> Self {
        Self::invalid(vec!["query".into(), name.into()], kind, &quote(input))
    }

    /// HTTP's status code.
    #[must_use]
    pub const fn status(&self) -> u16 {
        match self.code() {
            // Validation has no error code: its answer lists the validation errors instead.
            None => 422,
            Some(code) => status(code),
        }
    }

    /// The reason for programs; none where the request is not well-formed.
    #[must_use]
    pub const fn code(&self) -> Option<ErrorCode> {
        Some(match self {
            Self::Invalid(_) => return None,
            Self::UnsupportedMediaType { .. } | Self::UnsupportedContentEncoding { .. } => {
                ErrorCode::UnsupportedMediaType
            }
            Self::BodyTooLarge { .. } => ErrorCode::PayloadTooLarge,
            Self::Forbidden { .. } => ErrorCode::Forbidden,
            Self::Domain(error) => match error {
                Error::NotFound => ErrorCode::ExecutionNotFound,
                Error::Rejected(rejection) => match rejection {
                    Rejection::Transition { .. } | Rejection::NoRetryLeft { .. } => ErrorCode::InvalidStatusTransition,
                    Rejection::CancelRequested { .. } | Rejection::CancelledSooner { .. } => ErrorCode::CancelRequested,
                    Rejection::Finished { .. } => ErrorCode::ExecutionFinished,
                    Rejection::RetryCount { .. } => ErrorCode::InvalidRetryCount,
                    Rejection::Timeout { .. } => ErrorCode::InvalidTimeout,
                    Rejection::Version { .. } | Rejection::HeardSince => ErrorCode::PreconditionFailed,
                    Rejection::Attempt { .. } | Rejection::ClaimSuperseded { .. } => ErrorCode::AttemptSuperseded,
                },
                Error::IdempotencyKeyReused => ErrorCode::IdempotencyKeyReused,
                Error::InputsTooLarge { .. }
                | Error::RecordTooLarge { .. }
                | Error::UpdateTooLarge { .. }
                | Error::StepTooLarge { .. } => ErrorCode::PayloadTooLarge,
                // `From<Error>` converts these to validation errors.
                Error::PageOutOfReach { .. } | Error::PageTooLarge { .. } => return None,
                Error::StoreUnavailable { .. } => ErrorCode::StoreUnavailable,
                Error::OutcomeUnknown { .. } => ErrorCode::OutcomeUnknown,
                Error::Internal(_) => ErrorCode::Internal,
            },
        })
    }

    /// The status that the execution has and the one that was asked for, where a status decided.
    fn statuses(&self) -> (Option<Status>, Option<Status>) {
        match self {
            Self::Domain(Error::Rejected(rejection)) => match rejection {
                Rejection::Transition { current, requested, .. }
                | Rejection::CancelRequested { current, requested } => (Some(*current), Some(*requested)),
                Rejection::NoRetryLeft { current, .. } => (Some(*current), Some(Status::Retrying)),
                Rejection::CancelledSooner { current } => (Some(*current), Some(Status::Cancelled)),
                Rejection::Finished { current, .. } => (Some(*current), None),
                Rejection::RetryCount { .. }
                | Rejection::HeardSince
                | Rejection::Timeout { .. }
                | Rejection::Version { .. }
                | Rejection::Attempt { .. }
                | Rejection::ClaimSuperseded { .. } => (None, None),
            },
            _ => (None, None),
        }
    }

    /// The name of the error in the log.
    #[must_use]
    pub fn log_name(&self) -> &'static str {
        self.code().map_or("VALIDATION", WireName::as_str)
    }

    /// The sentence for people.
    fn detail(&self) -> String {
        match self {
            Self::Invalid(_) | Self::Domain(Error::PageOutOfReach { .. } | Error::PageTooLarge { .. }) => String::new(),
            Self::UnsupportedMediaType { content_type } if is_patch_format(content_type) => format!(
                "The body's Content-Type is {content_type:?}: objects replace here, they do not merge. Send the new values \
                 as Content-Type: application/json"
            ),
            Self::UnsupportedContentEncoding { content_encoding } => format!(
                "The body's Content-Encoding is {content_encoding:?}, and it is not JSON as it came: send it uncompressed"
            ),
            Self::UnsupportedMediaType { content_type } => {
                format!("The body's Content-Type is {content_type:?}: send JSON, as Content-Type: application/json")
            }
            Self::BodyTooLarge { size, limit } => {
                format!("The body has {size} bytes; at most {limit} are allowed")
            }
            Self::Forbidden { needed, held } => {
                let needed = match needed {
                    Scope::Admin => "admin".to_owned(),
                    scope => format!("{} or admin", scope.as_str()),
                };
                format!("This API key has the scopes {held}; this needs {needed}")
            }
            // One text for every missing execution: it must not reveal whether another organization has it.
            Self::Domain(Error::NotFound) => "There is no execution with this id".to_owned(),
            Self::Domain(Error::Rejected(rejection)) => explain(rejection),
            Self::Domain(Error::IdempotencyKeyReused) => {
                "This Idempotency-Key was used before with another body: use a new key for a new request".to_owned()
            }
            Self::Domain(Error::InputsTooLarge { size, limit }) => {
                format!("trigger_data and variables would have {size} bytes together; at most {limit} can be stored")
            }
            Self::Domain(Error::RecordTooLarge { size, limit }) => format!(
                "The execution's record would have {size} bytes without trigger_data and variables; at most {limit} can \
                 be stored"
            ),
            Self::Domain(Error::UpdateTooLarge { size, limit }) => format!(
                "The record does not hold this update: its fields have {size} bytes, and with what is stored already \
                 the record would pass {limit} bytes"
            ),
            Self::Domain(Error::StepTooLarge { index, size, limit }) => {
                format!("steps[{index}] would have {size} bytes; at most {limit} can be reported of one step at once")
            }
            Self::Domain(Error::StoreUnavailable { .. }) => {
                "The store did not answer in time and nothing was changed: try again".to_owned()
            }
            Self::Domain(Error::OutcomeUnknown { .. }) => {
                "The store's answer was lost, so that this request may have taken effect or not: repeat it with the \
                 same Idempotency-Key, or read the execution"
                    .to_owned()
            }
            Self::Domain(Error::Internal(_)) => "Internal error: the log has it by its correlation_id".to_owned(),
        }
    }
}

/// HTTP's status code for an error code (contract, "Errors").
#[must_use]
pub const fn status(code: ErrorCode) -> u16 {
    match code {
        ErrorCode::InvalidStatusTransition
        | ErrorCode::CancelRequested
        | ErrorCode::ExecutionFinished
        | ErrorCode::InvalidRetryCount
        | ErrorCode::InvalidTimeout => 400,
        ErrorCode::Forbidden => 403,
        ErrorCode::ExecutionNotFound => 404,
        ErrorCode::AttemptSuperseded => 409,
        ErrorCode::PreconditionFailed => 412,
        ErrorCode::PayloadTooLarge => 413,
        ErrorCode::UnsupportedMediaType => 415,
        ErrorCode::IdempotencyKeyReused => 422,
        ErrorCode::Internal => 500,
        ErrorCode::StoreUnavailable | ErrorCode::OutcomeUnknown => 503,
    }
}

/// Why a request was not done.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ErrorResponse {
    /// A sentence for people.
    pub detail: String,
    /// The reason, for programs.
    pub error_code: ErrorCode,
    /// The request's name, as in the header `x-correlation-id` and in every log line of the request.
    pub correlation_id: String,
    /// When.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub timestamp: Timestamp,
    /// The status that the execution has, where a status decided: if it is terminal the request is too late, else too
    /// early.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub current_status: Option<Status>,
    /// The status that was asked for, where one was.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub requested_status: Option<Status>,
}

impl ErrorResponse {
    /// The body of the answer to an error.
    #[must_use]
    pub fn new(error: &HttpError, correlation_id: &str, now: Timestamp) -> Self {
        let (current_status, requested_status) = error.statuses();
        Self {
            detail: error.detail(),
            error_code: error.code().unwrap_or(ErrorCode::Internal),
            correlation_id: correlation_id.to_owned(),
            timestamp: now,
            current_status,
            requested_status,
        }
    }

    /// The sample of an error for the OpenAPI document.
    #[cfg(feature = "openapi")]
    #[must_use]
    pub fn sample(error: impl Into<HttpError>) -> Self {
        let now = ratchet_model::samples::time("2026-11-21T18:11:25.061Z");
        Self::new(&error.into(), "34798563c58f4a1e8517ca5677782d2a", now)
    }
}

fn list(statuses: &[Status]) -> String {
    let names: Vec<&str> = statuses.iter().map(|status| status.as_str()).collect();
    names.join(", ")
}

/// Why the report of a step was refused: the sentence for people.
#[must_use]
pub fn explain_step(refusal: &StepRefusal) -> String {
    match refusal {
        StepRefusal::Ended { current, requested } => {
            format!("The step is {current} and its end is final: it cannot become {requested}")
        }
        StepRefusal::Frozen { current, fields } => {
            format!("The step is {current} and its result is final: {} cannot change", fields.join(", "))
        }
        StepRefusal::TooLarge { size, limit } => format!(
            "The step does not hold this report: its fields have {size} bytes, and with what is stored already the step \
             would pass {limit} bytes"
        ),
        StepRefusal::KeyReused => {
            "This Idempotency-Key came before with another report of this step: use a new key for a new request"
                .to_owned()
        }
        StepRefusal::Superseded { requested, current } => {
            format!(
                "Attempt {requested} is over, and this step of it was not written: attempt {current} is the present one"
            )
        }
    }
}

/// Why the state of an execution does not allow a write.
fn explain(rejection: &Rejection) -> String {
    match rejection {
        Rejection::Transition { current, requested, allowed_sources } => {
            let why = if current.is_terminal() {
                format!("{current} is terminal")
            } else if current == requested {
                format!("it is {current} already")
            } else if *requested == Status::Cancelled {
                "nobody works on it, so that there is nobody to override. Cancel execution (POST \
                 /api/v1/executions/{execution_id}/cancel) cancels it"
                    .to_owned()
            } else if requested.allowed_sources().contains(current) {
                // The table allows it, and only this operation does not.
                format!(
                    "here {requested} can be entered from: {}. Update execution (PATCH \
                     /api/v1/flows/executions/{{execution_id}}) can enter it from {current}",
                    list(allowed_sources)
                )
            } else if allowed_sources.is_empty() {
                format!("nothing returns to {requested}")
            } else {
                format!("{requested} can be entered from: {}", list(allowed_sources))
            };
            format!("The status cannot change from {current} to {requested}: {why}")
        }
        Rejection::NoRetryLeft { current, retry_count, max_retries } => format!(
            "The status cannot change from {current} to retrying: {retry_count} of {max_retries} retries are used"
        ),
        Rejection::CancelRequested { current, requested } => format!(
            "The status cannot change from {current} to {requested}: a cancel is requested, so that nobody may take the \
             execution up again. Report how it ended"
        ),
        // Nobody is told these two: a cancel that is asked for again and a pass of supervision go on from them.
        Rejection::CancelledSooner { current } => {
            format!("A cancel of the execution, which is {current}, is requested already, and not for later")
        }
        Rejection::HeardSince => "A heartbeat came in between".to_owned(),
        Rejection::Finished { current, fields } => {
            format!("The execution is {current} and its result is final: {} cannot change", fields.join(", "))
        }
        Rejection::RetryCount { requested, min, max } => {
            format!("retry_count cannot become {requested}: it must be at least {min} and at most {max} here")
        }
        Rejection::Timeout { requested, min } => {
            format!("timeout_seconds cannot become {requested}: it may only rise, and is {min} now")
        }
        Rejection::Attempt { requested, current } if requested > current => {
            format!("There is no attempt {requested} yet: attempt {current} is the present one")
        }
        Rejection::Attempt { requested, current } => format!(
            "Attempt {requested} is over: attempt {current} is the present one. Stop this attempt's work; nothing was \
             written"
        ),
        Rejection::ClaimSuperseded { begun, current } => format!(
            "This claim took effect and began attempt {begun}, which is over: attempt {current} is the present one. Stop \
             this attempt's work"
        ),
        Rejection::Version { current } => {
            format!("If-Match does not name the execution's present ETag, which is \"{current}\"")
        }
    }
}
