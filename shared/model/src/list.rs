//! The query for a page of executions (contract, "List").

use crate::clock::Timestamp;
use crate::execution::TriggerType;
use crate::id::ExecutionId;
use crate::status::Status;

/// Which executions, newest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Of this flow.
    pub flow_id: Option<String>,
    /// In this status.
    pub status: Option<Status>,
    /// With this trigger type.
    pub trigger_type: Option<TriggerType>,
    /// Created then or later.
    pub created_after: Option<Timestamp>,
    /// Created earlier.
    pub created_before: Option<Timestamp>,
}

/// Where a page starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// At the newest, no page named: the first step of a walk by cursor.
    Beginning,
    /// At a page with this number, counted from 1.
    Page(u64),
    /// After the position where the previous page ended.
    Cursor(Position),
}

/// A requested page of executions.
#[derive(Debug, Clone)]
pub struct ListQuery {
    /// Which executions.
    pub filter: Filter,
    /// Where the page starts.
    pub start: Start,
    /// How many executions it has.
    pub page_size: usize,
}

/// The position of a walk by cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// When the last execution that was passed was created.
    pub created_at: Timestamp,
    /// Its id.
    pub id: ExecutionId,
    /// The number of the page that comes next.
    pub page: u64,
    /// How many there were when the walk began.
    pub total_count: u32,
}
