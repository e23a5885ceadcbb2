//! The errors of the domain. Nothing here knows HTTP: `ratchet_http::error` maps each error to its answer.

use crate::status::Status;

/// Why a domain operation was not done.
#[derive(Debug)]
pub enum Error {
    /// There is no such execution in the caller's organization.
    NotFound,
    /// The execution's state does not allow the write; nothing was written.
    Rejected(Rejection),
    /// The Idempotency-Key was used before with another body.
    IdempotencyKeyReused,
    /// The inputs of a new execution are larger than an item may be.
    InputsTooLarge {
        /// Their size, in bytes.
        size: usize,
        /// How many bytes they may have.
        limit: usize,
    },
    /// The record that would be created is larger than an item may be.
    RecordTooLarge {
        /// The whole record's size, in bytes.
        size: usize,
        /// How many bytes it may have.
        limit: usize,
    },
    /// The fields of an update, together with what the record already holds, are larger than an item may be.
    UpdateTooLarge {
        /// The fields' own size, in bytes: the record's is not known without another request.
        size: usize,
        /// How many bytes the record may have.
        limit: usize,
    },
    /// The report of one step is larger than it may be.
    StepTooLarge {
        /// Its place among the reports of the request, from 0.
        index: usize,
        /// Its size, in bytes.
        size: usize,
        /// How many bytes it may have.
        limit: usize,
    },
    /// A numbered page that only a walk by cursor reaches.
    PageOutOfReach {
        /// Its number.
        page: u64,
    },
    /// A numbered page whose records do not fit into one answer.
    PageTooLarge {
        /// How many records were asked for.
        page_size: usize,
        /// How many would fit.
        fitting: usize,
    },
    /// The store did not answer in time, or throttled; nothing was written.
    StoreUnavailable {
        /// For the log.
        reason: String,
    },
    /// An attempt at the write is in doubt and the time is up: the write may have been applied, or may still be.
    OutcomeUnknown {
        /// For the log.
        reason: String,
    },
    /// A bug. The text goes into the log and never into an answer.
    Internal(String),
}

impl Error {
    /// A bug, described for the log.
    pub fn internal(description: impl Into<String>) -> Self {
        Self::Internal(description.into())
    }
}

impl std::fmt::Display for Error {
    /// For operators and logs. The texts that callers read are in `ratchet_http::error`.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotFound => formatter.write_str("no such execution"),
            Self::Rejected(_) => formatter.write_str("the execution's state does not allow the write"),
            Self::IdempotencyKeyReused => formatter.write_str("the Idempotency-Key was used with another body"),
            Self::InputsTooLarge { size, limit } => write!(formatter, "inputs of {size} bytes, of at most {limit}"),
            Self::RecordTooLarge { size, limit } => write!(formatter, "a record of {size} bytes, of at most {limit}"),
            Self::UpdateTooLarge { size, limit } => {
                write!(formatter, "{size} bytes of fields for a record of at most {limit}")
            }
            Self::StepTooLarge { index, size, limit } => {
                write!(formatter, "{size} bytes in the report of step {index}, of at most {limit}")
            }
            Self::PageOutOfReach { page } => write!(formatter, "page {page} is out of reach"),
            Self::PageTooLarge { page_size, fitting } => {
                write!(formatter, "of {page_size} records {fitting} fit into an answer")
            }
            Self::StoreUnavailable { reason } | Self::OutcomeUnknown { reason } | Self::Internal(reason) => {
                formatter.write_str(reason)
            }
        }
    }
}

impl From<getrandom::Error> for Error {
    fn from(error: getrandom::Error) -> Self {
        Self::Internal(format!("no random numbers: {error}"))
    }
}

impl From<Rejection> for Error {
    fn from(rejection: Rejection) -> Self {
        Self::Rejected(rejection)
    }
}

/// Why the state of an execution does not allow a write. Carries what the loser needs to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rejection {
    /// The table of transitions does not allow it.
    Transition {
        /// The status that the execution has.
        current: Status,
        /// The requested status.
        requested: Status,
        /// The statuses from which this operation could have entered it.
        allowed_sources: &'static [Status],
    },
    /// `retrying` was requested and no retry is left.
    NoRetryLeft {
        /// The status that the execution has.
        current: Status,
        /// How often it was retried.
        retry_count: i64,
        /// How often it may be retried.
        max_retries: i64,
    },
    /// A cancel is requested: nobody may take the execution up again.
    CancelRequested {
        /// The status that the execution has.
        current: Status,
        /// The requested status.
        requested: Status,
    },
    /// A cancel is requested already, and is forced as early as it would be by this request.
    CancelledSooner {
        /// The status that the execution has.
        current: Status,
    },
    /// A heartbeat came since supervision judged the execution.
    HeardSince,
    /// A frozen field after a terminal status.
    Finished {
        /// The terminal status.
        current: Status,
        /// The fields of the request that are frozen.
        fields: Vec<&'static str>,
    },
    /// `retry_count` would fall or pass `max_retries`.
    RetryCount {
        /// What was sent.
        requested: i64,
        /// The least that would be allowed.
        min: i64,
        /// `max_retries`.
        max: i64,
    },
    /// `timeout_seconds` would fall.
    Timeout {
        /// What was sent.
        requested: i64,
        /// The least that would be allowed: what the record has.
        min: i64,
    },
    /// If-Match names another version.
    Version {
        /// The version that the record has.
        current: i64,
    },
    /// The writer speaks for another attempt than the present one.
    Attempt {
        /// The attempt for which it speaks.
        requested: i64,
        /// The present attempt.
        current: i64,
    },
    /// A claim that took effect is repeated, and another worker has claimed since.
    ClaimSuperseded {
        /// The attempt that the claim began.
        begun: i64,
        /// The present attempt.
        current: i64,
    },
}
