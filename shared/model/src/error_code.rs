//! The reasons, for programs, why a request was not done (contract, "Errors").

use serde::{Serialize, Serializer};

use crate::wire_name::{self, WireName};

/// A reason for not doing a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(rename_all = "SCREAMING_SNAKE_CASE"))]
pub enum ErrorCode {
    /// 400: the table of transitions does not allow it.
    InvalidStatusTransition,
    /// 400: a requested cancel does not allow it.
    CancelRequested,
    /// 400: the field is frozen, because the execution has ended.
    ExecutionFinished,
    /// 400: `retry_count` would fall or pass `max_retries`.
    InvalidRetryCount,
    /// 400: `timeout_seconds` would fall.
    InvalidTimeout,
    /// 403: the key's scope.
    Forbidden,
    /// 404.
    ExecutionNotFound,
    /// 409: another attempt is the present one.
    AttemptSuperseded,
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

impl WireName for ErrorCode {
    const ALL: &'static [Self] = &[
        Self::InvalidStatusTransition,
        Self::CancelRequested,
        Self::ExecutionFinished,
        Self::InvalidRetryCount,
        Self::InvalidTimeout,
        Self::Forbidden,
        Self::ExecutionNotFound,
        Self::AttemptSuperseded,
        Self::PreconditionFailed,
        Self::PayloadTooLarge,
        Self::UnsupportedMediaType,
        Self::IdempotencyKeyReused,
        Self::Internal,
        Self::StoreUnavailable,
        Self::OutcomeUnknown,
    ];

    fn as_str(self) -> &'static str {
        match self {
            Self::InvalidStatusTransition => "INVALID_STATUS_TRANSITION",
            Self::CancelRequested => "CANCEL_REQUESTED",
            Self::ExecutionFinished => "EXECUTION_FINISHED",
            Self::InvalidRetryCount => "INVALID_RETRY_COUNT",
            Self::InvalidTimeout => "INVALID_TIMEOUT",
            Self::Forbidden => "FORBIDDEN",
            Self::ExecutionNotFound => "EXECUTION_NOT_FOUND",
            Self::AttemptSuperseded => "ATTEMPT_SUPERSEDED",
            Self::PreconditionFailed => "PRECONDITION_FAILED",
            Self::PayloadTooLarge => "PAYLOAD_TOO_LARGE",
            Self::UnsupportedMediaType => "UNSUPPORTED_MEDIA_TYPE",
            Self::IdempotencyKeyReused => "IDEMPOTENCY_KEY_REUSED",
            Self::Internal => "INTERNAL",
            Self::StoreUnavailable => "STORE_UNAVAILABLE",
            Self::OutcomeUnknown => "OUTCOME_UNKNOWN",
        }
    }
}

impl Serialize for ErrorCode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        wire_name::serialize(self, serializer)
    }
}
