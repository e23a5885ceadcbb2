//! What the searches must meet.

use std::sync::atomic::{AtomicU64, Ordering};

/// Something that must be possible, so that a model cannot pass by being empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// A silent run is interrupted.
    Interrupted,
    /// A heartbeat revives a run.
    Revived,
    /// The same, while a cancel is requested.
    RevivedToCancel,
    /// A run is ended at its deadline.
    Deadline,
    /// A run is ended because it did not start in time.
    StartDeadline,
    /// A cancel is forced at the end of its grace.
    ForcedByGrace,
    /// A cancel is forced before that, by silence or by the deadline.
    ForcedBefore,
    /// A cancel ends an execution that nobody works on.
    CancelledAtOnce,
    /// A cancel finds that somebody has begun to work between its two writes.
    CancelledAnew,
    /// A cancel is asked for again, and is to be forced no sooner.
    CancelledSooner,
    /// A cancel is asked for again, and is forced sooner.
    ForcedSooner,
    /// A claim is refused because a cancel is requested.
    ClaimAfterCancel,
    /// The change of a pass is refused, for a heartbeat was faster.
    LostToHeartbeat,
    /// The change of a pass is refused, for a report or another pass was faster.
    LostToReport,
    /// An entry is filed anew.
    FiledAnew,
    /// An entry is not filed anew, for the record was changed.
    NotFiledAnew,
    /// A heartbeat of an earlier attempt is told to stop.
    Stopped,
    /// A revival is refused, for another writer was faster.
    RevivalLost,
    /// A late attempt of a claim is applied.
    LateClaim,
    /// A late attempt of a heartbeat is applied.
    LateHeartbeat,
    /// A late attempt of a revival is applied.
    LateRevival,
    /// A late attempt of a pass's change is applied.
    LateSupervision,
    /// A late attempt of a filing is applied.
    LateFiling,
    /// A late attempt of a heartbeat is refused, for the worker was heard later.
    HeardLater,
    /// A late attempt of a heartbeat is refused, for the execution is interrupted.
    NotRevivedLate,
    /// A late attempt of a revival is refused.
    RevivalHeldBack,
    /// A late attempt of a pass's change is refused.
    SupervisionHeldBack,
    /// A late attempt of a filing is refused.
    FilingHeldBack,
    /// A late attempt is held back by its token.
    HeldBack,
    /// A write was applied, its answer lost, and the next attempt found its token.
    DoneBefore,
    /// A refusal is answered although an attempt is in doubt.
    RefusedInDoubt,
    /// The outcome is unknown.
    Unknown,
    /// A silent run is left until its deadline, for it was interrupted too often.
    InterruptedTooOften,
}

/// The events that a search has met, a bit each. They belong to steps and not to states, so that they are no part of these.
#[derive(Debug, Default)]
pub struct Met(AtomicU64);

impl Met {
    /// Notes an event.
    pub fn note(&self, event: Event) {
        self.0.fetch_or(1 << event as u64, Ordering::Relaxed);
    }

    /// Whether the search has met it.
    pub fn has(&self, event: Event) -> bool {
        self.0.load(Ordering::Relaxed) & (1 << event as u64) != 0
    }
}
