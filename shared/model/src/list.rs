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
    /// Set off by this.
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
    /// So many pages in, counted from 1.
    Page(u64),
    /// Below where the page before ended.
    Cursor(Position),
}

/// A page of executions that is asked for.
#[derive(Debug, Clone)]
pub struct ListQuery {
    /// Which executions.
    pub filter: Filter,
    /// Where the page starts.
    pub start: Start,
    /// How many.
    pub page_size: usize,
}

/// Where a walk by cursor is.
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
