//! The query for a page of executions (contract, "List").

use std::collections::BTreeSet;

use crate::clock::Timestamp;
use crate::execution::TriggerType;
use crate::id::ExecutionId;
use crate::status::Status;
use crate::wire_name::WireName;

/// Which executions, newest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Of this flow.
    pub flow_id: Option<String>,
    /// In one of these; empty: in any.
    pub status: BTreeSet<Status>,
    /// With this trigger type.
    pub trigger_type: Option<TriggerType>,
    /// Of this agent.
    pub agent_id: Option<String>,
    /// Created then or later.
    pub created_after: Option<Timestamp>,
    /// Created earlier.
    pub created_before: Option<Timestamp>,
}

/// How much of each execution a page shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(rename_all = "lowercase"))]
pub enum View {
    /// The whole record.
    #[default]
    Full,
    /// The record without the objects that may be large ([`crate::execution::Execution::into_summary`]).
    Summary,
}

impl WireName for View {
    const ALL: &'static [Self] = &[Self::Full, Self::Summary];

    fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Summary => "summary",
        }
    }
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
    /// Up to how many executions of the list are counted; 0: none is.
    pub count_limit: usize,
    /// How much of each it shows.
    pub view: View,
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
    /// How many there were when the walk began; `None` where they were not counted.
    pub total_count: Option<u32>,
}
