//! What can go wrong, in the terms of the domain. Nothing here knows HTTP: `response.rs` maps each error to its answer.

use crate::auth::{Scope, Scopes};
use crate::request::problems::Problem;
use crate::status::Status;

/// Why a request was not done. Every text that a caller sees is made from these in one place, `response.rs`.
#[derive(Debug)]
pub enum Error {
    /// The request is not well-formed: every problem of it.
    Invalid(Vec<Problem>),
    /// The body's Content-Type is not JSON.
    UnsupportedMediaType {
        /// What was sent, cut to a readable length.
        content_type: String,
    },
    /// The body, or the record that the request would make, is too large.
    TooLarge {
        /// What is too large.
        what: Large,
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
    /// There is no such execution in the caller's organization.
    NotFound,
    /// The write was refused by the execution's state; nothing was written.
    Refused(Refusal),
    /// The Idempotency-Key was used before with another body.
    KeyReused,
    /// The store did not answer in time, or throttled; nothing was written.
    StoreUnavailable {
        /// For the log.
        reason: String,
    },
    /// The store's answer was lost and cannot be had in time: the write may have been applied, or may still be.
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

impl From<getrandom::Error> for Error {
    fn from(error: getrandom::Error) -> Self {
        Self::Internal(format!("no random numbers: {error}"))
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// What can be too large.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Large {
    /// The body as it came.
    Body,
    /// The record that execute flow would make; its size is the whole record's.
    Record,
    /// The fields of an update, together with what the record already holds. Their size is the fields' own: the record's
    /// is not known without another request.
    Update,
}

/// Why the state of an execution does not allow a write. Carries what the loser needs to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The table of transitions does not allow it.
    Transition {
        /// The status that the execution has.
        current: Status,
        /// The status that was asked for.
        requested: Status,
        /// The statuses from which this operation could have entered it.
        sources: &'static [Status],
    },
    /// `retrying` was asked for and no retry is left.
    NoRetryLeft {
        /// The status that the execution has.
        current: Status,
        /// How often it was retried.
        retry_count: i64,
        /// How often it may be.
        max_retries: i64,
    },
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
        least: i64,
        /// `max_retries`.
        most: i64,
    },
    /// If-Match names another version.
    Version {
        /// The version that the record has.
        current: i64,
    },
}
