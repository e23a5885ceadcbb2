//! Makes the events of executions again from the table, with the ids that they had.
//!
//! The transition log of an execution has all that its events are made of, for as long as the table has the execution: what was
//! not told in time, and what a new receiver has never heard, can be told at any time. A receiver drops what it acted on.

use std::time::Duration;

use publish_events::bus::{Bus, PAUSES, publish};
use ratchet_model::clock::Timestamp;
use ratchet_model::error::Error;
use ratchet_model::event::Event;
use ratchet_model::id::{ExecutionId, OrganizationId};
use ratchet_store::Store;
use ratchet_store::stream::HeadChange;
use tokio::time::{Instant, sleep};

/// How often the bus is asked to take what it did not take, before the tool gives up.
const TRIES: u32 = 10;

/// How long it waits in between.
const WAIT: Duration = Duration::from_secs(3);

/// How long one try may take.
const LONGEST: Duration = Duration::from_secs(60);

/// Which events are made again.
#[derive(Debug, Clone)]
pub enum Which {
    /// All of one execution.
    Execution(OrganizationId, ExecutionId),
    /// Those of a window of time, from its first moment on and before its last, of one organization or of all.
    Window {
        /// Its first moment.
        since: Timestamp,
        /// The first moment after it; `None`: there is no end.
        until: Option<Timestamp>,
        /// Whose; `None`: everybody's.
        organization: Option<OrganizationId>,
    },
}

/// What was done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Report {
    /// How many events were put.
    pub told: u64,
    /// How many the bus takes never.
    pub refused: u64,
    /// Of how many executions.
    pub executions: u64,
    /// How many executions cannot be read.
    pub damaged: u64,
}

impl Which {
    fn has(&self, change: &HeadChange, event: &Event) -> bool {
        match self {
            Self::Execution(..) => true,
            Self::Window { since, until, organization } => {
                event.at >= *since
                    && until.is_none_or(|until| event.at < until)
                    && organization.as_ref().is_none_or(|own| *own == change.execution.organization_id)
            }
        }
    }
}

/// Makes events again and puts them on the bus.
///
/// # Errors
///
/// Where the table cannot be read, or the bus does not take them. What was put until then stays put: to begin again does no
/// harm.
pub async fn replay<B: Bus>(store: &Store, bus: &B, which: &Which) -> Result<Report, String> {
    let failed = |error: Error| match error {
        Error::NotFound => "there is no such execution in this organization".to_owned(),
        error => format!("the table cannot be read: {error}"),
    };
    let mut report = Report::default();
    match which {
        Which::Execution(organization, id) => {
            let change = store.told(organization, id).await.map_err(failed)?;
            tell(bus, which, &[change], &mut report).await?;
        }
        Which::Window { since, .. } => {
            let mut from = None;
            loop {
                let part = store.written_since(*since, from).await.map_err(failed)?;
                let (read, damaged): (Vec<_>, Vec<_>) = part.executions.into_iter().partition(Result::is_ok);
                report.damaged += damaged.len() as u64;
                let changes: Vec<HeadChange> = read.into_iter().filter_map(Result::ok).collect();
                tell(bus, which, &changes, &mut report).await?;
                match part.next {
                    Some(next) => from = Some(next),
                    None => break,
                }
            }
        }
    }
    Ok(report)
}

async fn tell<B: Bus>(bus: &B, which: &Which, changes: &[HeadChange], report: &mut Report) -> Result<(), String> {
    let mut records = Vec::new();
    for change in changes {
        match change.events() {
            Ok(events) => {
                let events: Vec<Event> = events.into_iter().filter(|event| which.has(change, event)).collect();
                if !events.is_empty() {
                    records.push(events);
                }
            }
            Err(_) => report.damaged += 1,
        }
    }
    report.executions += records.len() as u64;
    let mut left = records.as_slice();
    for tries in 0..TRIES {
        if tries > 0 {
            sleep(WAIT).await;
        }
        let published = publish(bus, left, &PAUSES, Instant::now() + LONGEST).await;
        report.told += published.taken;
        report.refused += published.refused;
        match published.left_from {
            None => return Ok(()),
            Some(first) => left = left.get(first..).unwrap_or_default(),
        }
    }
    Err(format!("the bus does not take the events; {} were put. Begin again when it does", report.told))
}
