//! The command that changes an execution: a status to enter, fields to write, and the conditions for it (contract,
//! "Update execution").

use crate::clock::Timestamp;
use crate::idempotency::IdempotencyKey;
use crate::json::JsonText;
use crate::status::Status;
use crate::supervision::Cause;

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
#[derive(Debug, Clone, Default)]
pub struct Change {
    /// The status to enter and the statuses from which this operation may do it.
    pub transition: Option<RequestedTransition>,
    /// The fields to write.
    pub fields: FieldUpdates,
    /// Why the status changes, for the transition log, where it is not the `error_message` that is written.
    pub reason: Option<String>,
    /// Asks the worker to stop. Not together with a status.
    pub cancel: Option<CancelRequest>,
    /// A cancel is requested already, and forced as early: it is refused where `cancel` would be for the status, and writes
    /// nothing of it. Not together with `cancel` or a status.
    pub cancel_stands: bool,
    /// The state by which the writer judged the execution: it is written only while nothing of that has changed.
    pub judged: Option<Judged>,
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
        self.transition.is_none() && self.cancel.is_none() && self.fields.is_empty()
    }
}

/// A request to stop, for the worker of a running execution (contract, "Cancel execution").
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CancelRequest {
    /// From when on the service writes `cancelled` itself. An earlier one that was requested before stays.
    pub force_at: Timestamp,
    /// Why. The first reason stays.
    pub reason: String,
}

/// What supervision judged by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Judged {
    /// The version of the record.
    pub version: i64,
    /// When its worker was last heard.
    pub last_heartbeat: Option<Timestamp>,
}

/// A status to enter.
#[derive(Debug, Clone, Copy)]
pub struct RequestedTransition {
    to: Status,
    allowed_sources: &'static [Status],
    writer: Writer,
}

/// Who changes a status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Writer {
    /// A worker.
    Worker,
    /// Somebody from outside: an override or a cancel.
    Outside,
    /// The heartbeat of an interrupted execution's worker. The execution is not overdue before `bound`.
    Heartbeat {
        /// A moment that is not later than the one at which it is due.
        bound: Timestamp,
    },
    /// The service itself.
    Supervision,
}

impl RequestedTransition {
    /// A worker's report: allowed from every status of the table.
    #[must_use]
    pub const fn report(to: Status) -> Self {
        Self { to, allowed_sources: to.allowed_sources(), writer: Writer::Worker }
    }

    /// An override from outside, for executions that got stuck: only from `running` and `interrupted` (contract, "Update
    /// execution status").
    #[must_use]
    pub const fn override_to(to: Status) -> Self {
        Self { to, allowed_sources: &[Status::Running, Status::Interrupted], writer: Writer::Outside }
    }

    /// A cancel of an execution that nobody works on: there is no worker to ask.
    #[must_use]
    pub const fn cancel() -> Self {
        let allowed_sources = &[Status::Pending, Status::Queued, Status::Retrying, Status::Interrupted];
        Self { to: Status::Cancelled, allowed_sources, writer: Writer::Outside }
    }

    /// What a request to cancel asks of the status: no transition, but what a refusal of it says.
    #[must_use]
    pub const fn request_to_cancel() -> Self {
        Self { to: Status::Cancelled, allowed_sources: &[Status::Running], writer: Writer::Outside }
    }

    /// A heartbeat of an interrupted execution's worker, which was alive after all. `bound` is not later than the moment at
    /// which the execution is due ([`Watch::bound_of_revival`](crate::supervision::Watch::bound_of_revival)).
    #[must_use]
    pub const fn revive(bound: Timestamp) -> Self {
        let allowed_sources = &[Status::Interrupted];
        Self { to: Status::Running, allowed_sources, writer: Writer::Heartbeat { bound } }
    }

    /// Supervision's change of an overdue execution.
    #[must_use]
    pub const fn supervise(cause: Cause) -> Self {
        Self { to: cause.to(), allowed_sources: cause.sources(), writer: Writer::Supervision }
    }

    /// Whether it begins an attempt: a revival is the same attempt.
    #[must_use]
    pub const fn begins_an_attempt(&self) -> bool {
        self.to.begins_an_attempt() && self.revival_bound().is_none()
    }

    /// Whether it clears what a former attempt said. A revival clears nothing.
    #[must_use]
    pub const fn clears(&self) -> bool {
        self.revival_bound().is_none()
    }

    /// The bound that a revival sets; `None` where this is no revival.
    #[must_use]
    pub const fn revival_bound(&self) -> Option<Timestamp> {
        match self.writer {
            Writer::Heartbeat { bound } => Some(bound),
            Writer::Worker | Writer::Outside | Writer::Supervision => None,
        }
    }

    /// Whether supervision writes it.
    #[must_use]
    pub const fn is_supervision(&self) -> bool {
        matches!(self.writer, Writer::Supervision)
    }

    /// Whether a requested cancel forbids it: nobody may take the execution up again. What really happened may be reported,
    /// and a worker that was alive after all is heard.
    #[must_use]
    pub const fn is_refused_after_cancel(&self) -> bool {
        match self.to {
            Status::Queued | Status::Retrying => true,
            Status::Running => self.revival_bound().is_none(),
            Status::Pending
            | Status::Interrupted
            | Status::Completed
            | Status::Failed
            | Status::Cancelled
            | Status::Timeout => false,
        }
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
