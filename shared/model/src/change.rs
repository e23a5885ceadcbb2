//! The command that changes an execution: a status to enter, fields to write, and the conditions for it (contract,
//! "Update execution").

use crate::clock::Timestamp;
use crate::idempotency::IdempotencyKey;
use crate::json::JsonText;
use crate::status::Status;

/// New values of an execution's fields; `None` leaves a field as it is.
#[derive(Debug, Clone, Default)]
pub struct FieldUpdates {
    /// When it ended.
    pub completed_at: Option<Timestamp>,
    /// How long it took.
    pub duration_ms: Option<i64>,
    /// How long it may take. It may only rise.
    pub timeout_seconds: Option<i64>,
    /// The result.
    pub final_output: Option<JsonText>,
    /// What went wrong, for people.
    pub error_message: Option<String>,
    /// What went wrong, for programs.
    pub error_details: Option<JsonText>,
    /// How often it was retried.
    pub retry_count: Option<i64>,
    /// Tokens that models used.
    pub tokens_used: Option<i64>,
    /// Calls of tools.
    pub tool_calls_count: Option<i64>,
    /// What it cost, in USD.
    pub cost_estimate: Option<JsonText>,
    /// Measurements.
    pub performance_metrics: Option<JsonText>,
    /// The caller's own data.
    pub metadata: Option<JsonText>,
}

impl FieldUpdates {
    /// The names of the fields that are set and that a terminal status freezes (contract, "Update execution").
    #[must_use]
    pub fn frozen(&self) -> Vec<&'static str> {
        // Destructured, so that a new field does not compile until this list decides about it.
        let Self {
            completed_at,
            duration_ms,
            timeout_seconds,
            final_output,
            error_message,
            error_details,
            retry_count,
            tokens_used: _,
            tool_calls_count: _,
            cost_estimate: _,
            performance_metrics: _,
            metadata: _,
        } = self;
        [
            ("completed_at", completed_at.is_some()),
            ("duration_ms", duration_ms.is_some()),
            ("timeout_seconds", timeout_seconds.is_some()),
            ("final_output", final_output.is_some()),
            ("error_message", error_message.is_some()),
            ("error_details", error_details.is_some()),
            ("retry_count", retry_count.is_some()),
        ]
        .into_iter()
        .filter_map(|(name, set)| set.then_some(name))
        .collect()
    }

    /// Whether nothing is set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.frozen().is_empty()
            && self.tokens_used.is_none()
            && self.tool_calls_count.is_none()
            && self.cost_estimate.is_none()
            && self.performance_metrics.is_none()
            && self.metadata.is_none()
    }
}

/// A change of an execution that a writer requests.
#[derive(Debug, Clone)]
pub struct Change {
    /// The status to enter and the statuses from which this operation may do it.
    pub transition: Option<RequestedTransition>,
    /// The fields to write.
    pub fields: FieldUpdates,
    /// The attempt for which the writer speaks; with `running`, the attempt after which it claims. A write for any other
    /// than the present one is refused.
    pub attempt: Option<i64>,
    /// Conditions and the Idempotency-Key.
    pub options: WriteOptions,
}

impl Change {
    /// Whether it changes nothing, be it applied or not.
    #[must_use]
    pub fn changes_nothing(&self) -> bool {
        self.transition.is_none() && self.fields.is_empty()
    }
}

/// A status to enter.
#[derive(Debug, Clone, Copy)]
pub struct RequestedTransition {
    to: Status,
    allowed_sources: &'static [Status],
}

impl RequestedTransition {
    /// A worker's report: allowed from every status of the table.
    #[must_use]
    pub const fn report(to: Status) -> Self {
        Self { to, allowed_sources: to.allowed_sources() }
    }

    /// An override from outside, for executions that got stuck: only from `running` and `interrupted` (contract, "Update
    /// execution status").
    #[must_use]
    pub const fn override_to(to: Status) -> Self {
        Self { to, allowed_sources: &[Status::Running, Status::Interrupted] }
    }

    /// The status to enter.
    #[must_use]
    pub const fn to(&self) -> Status {
        self.to
    }

    /// The statuses from which it may be entered: the table's, or fewer.
    #[must_use]
    pub const fn allowed_sources(&self) -> &'static [Status] {
        self.allowed_sources
    }
}

/// What If-Match asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IfMatch {
    /// `*`: that the execution exists, which every write requires anyway.
    Any,
    /// One of these versions. Tags that this service never issued match nothing, so that the list may be empty.
    Versions(Vec<i64>),
}

/// What every write may carry besides its body.
#[derive(Debug, Clone, Default)]
pub struct WriteOptions {
    /// The Idempotency-Key, hashed with its body.
    pub idempotency_key: Option<IdempotencyKey>,
    /// The If-Match header.
    pub if_match: Option<IfMatch>,
}
