//! The body of update execution.

use super::execute::MAX_RETRIES;
use super::problems::Problems;
use super::{Request, WriteOptions, fields};
use crate::clock::Timestamp;
use crate::error::Error;
use crate::execution::MAX_INTEGER;
use crate::json::{Document, JsonText};
use crate::status::Status;

/// The longest `error_message`, in characters.
pub const MAX_ERROR_MESSAGE: usize = 8_192;

/// New values of an execution's fields; `None` leaves a field as it is.
#[derive(Debug, Clone, Default)]
pub struct FieldUpdates {
    /// When it ended.
    pub completed_at: Option<Timestamp>,
    /// How long it took.
    pub duration_ms: Option<i64>,
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
    /// The caller's own.
    pub metadata: Option<JsonText>,
}

impl FieldUpdates {
    /// The names of those set fields that a terminal status freezes (contract, "Update execution").
    #[must_use]
    pub fn frozen(&self) -> Vec<&'static str> {
        // Taken apart, so that a new field does not compile until somebody has decided.
        let Self {
            completed_at,
            duration_ms,
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

/// What a writer asks of an execution.
#[derive(Debug, Clone)]
pub struct Change {
    /// The status to enter and the statuses from which this operation may do it.
    pub transition: Option<RequestedTransition>,
    /// The fields to write.
    pub fields: FieldUpdates,
    /// Conditions and the Idempotency-Key.
    pub options: WriteOptions,
}

/// A status to enter.
#[derive(Debug, Clone, Copy)]
pub struct RequestedTransition {
    /// The status.
    pub to: Status,
    /// The statuses from which it may be entered: the table's, or fewer.
    pub sources: &'static [Status],
}

impl Change {
    /// Reads the request of update execution.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with it.
    pub fn read(operation: &str, request: &Request) -> Result<Self, Error> {
        let body: Document = request.json()?;
        let mut problems = Problems::default();
        let problems = &mut problems;
        let mut from = fields(&body);
        let status = from.name("status", &Status::ALL, problems);
        let fields = FieldUpdates {
            completed_at: from.time("completed_at", problems),
            duration_ms: from.integer("duration_ms", 0, MAX_INTEGER, problems),
            final_output: from.object("final_output", problems),
            error_message: from.string("error_message", 0, MAX_ERROR_MESSAGE, problems),
            error_details: from.object("error_details", problems),
            retry_count: from.integer("retry_count", 0, MAX_RETRIES, problems),
            tokens_used: from.integer("tokens_used", 0, MAX_INTEGER, problems),
            tool_calls_count: from.integer("tool_calls_count", 0, MAX_INTEGER, problems),
            cost_estimate: from.amount("cost_estimate", problems),
            performance_metrics: from.object("performance_metrics", problems),
            metadata: from.object("metadata", problems),
        };
        from.finish(problems);
        let options = request.write_options(operation, &body, problems);
        std::mem::take(problems).finish()?;
        let transition = status.map(|to| RequestedTransition { to, sources: to.sources() });
        Ok(Self { transition, fields, options })
    }
}
