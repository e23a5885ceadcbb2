//! The record, as far as supervision depends on it, and what each write sets.

use std::time::Duration;

use ratchet_model::clock::Timestamp;
use ratchet_model::heartbeat::CancelRequested;
use ratchet_model::status::Status;
use ratchet_model::supervision::{CLOCK_TOLERANCE, Cause, Watch, watch_interval};
use ratchet_store::item::State;

/// How many ticks the clocks may differ by: a tick is the tolerance.
pub const TOLERANCE: u8 = 1;

/// The moment of a tick.
pub fn moment(tick: u8) -> Timestamp {
    let tick = i64::try_from(CLOCK_TOLERANCE.as_millis()).expect("seconds") * i64::from(tick);
    Timestamp::from_millis(tick).expect("a time near 1970")
}

/// The tick of a moment.
pub fn tick(moment: Timestamp) -> u8 {
    let tick = i64::try_from(CLOCK_TOLERANCE.as_millis()).expect("seconds");
    assert_eq!(moment.millis() % tick, 0, "all times are whole ticks");
    u8::try_from(moment.millis() / tick).expect("few ticks")
}

/// So many ticks in seconds.
pub fn seconds(ticks: u8) -> i64 {
    i64::from(ticks) * i64::try_from(CLOCK_TOLERANCE.as_secs()).expect("seconds")
}

/// What the execution was created with, in ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Terms {
    /// How long it may take.
    pub timeout: u8,
    /// How long its worker may be silent.
    pub heartbeat_timeout: Option<u8>,
    /// How long it may take to start.
    pub start_timeout: Option<u8>,
}

/// The record of the execution.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Record {
    /// What it was created with. `timeout` may rise.
    pub terms: Terms,
    /// The watch interval; `None`: created before there were any.
    pub interval: Option<u8>,
    /// The status.
    pub status: Status,
    /// How often it was written. Only its order among those that a writer has read counts (`World::tidy`).
    pub version: u8,
    /// How often it was claimed.
    pub attempt: u8,
    /// When it first ran.
    pub started: Option<u8>,
    /// When its worker was last heard.
    pub heard: Option<u8>,
    /// By when a requested cancel is forced.
    pub force_at: Option<u8>,
    /// How often supervision has interrupted it.
    pub interruptions: u8,
    /// The bound in the index by deadline.
    pub bound: Option<u8>,
    /// What `heard` should be, whatever a mistake makes of it: the time stamp of the latest claim, revival or heartbeat.
    pub spoke: Option<u8>,
    /// How many heartbeats were applied: what `heard` should distinguish. Counted as `version` is.
    pub heartbeats: u8,
}

impl Record {
    /// An execution that was created at 0.
    pub fn pending(terms: Terms) -> Self {
        let interval = watch_interval(seconds(terms.timeout), terms.heartbeat_timeout.map(seconds));
        let mut record = Self {
            terms,
            interval: Some(tick(moment(0).plus(interval))),
            status: Status::Pending,
            version: 0,
            attempt: 0,
            started: None,
            heard: None,
            force_at: None,
            interruptions: 0,
            bound: None,
            spoke: None,
            heartbeats: 0,
        };
        record.bound = record.due().map(|(due, _)| due);
        record
    }

    /// One that was created and claimed at 0.
    pub fn running(terms: Terms) -> Self {
        let pending = Self::pending(terms);
        Self {
            status: Status::Running,
            attempt: 1,
            started: Some(0),
            heard: Some(0),
            spoke: Some(0),
            bound: pending.interval,
            ..pending
        }
    }

    /// One that was claimed at 0, before anything was watched.
    pub fn claimed_before_supervision(terms: Terms) -> Self {
        Self { interval: None, attempt: 0, heard: None, spoke: None, bound: None, ..Self::running(terms) }
    }

    /// The part of the head that says when it is overdue.
    pub fn watch(&self) -> Watch {
        Watch {
            status: self.status,
            created_at: moment(0),
            scheduled_at: None,
            started_at: self.started.map(moment),
            timeout_seconds: seconds(self.terms.timeout),
            heartbeat_timeout_seconds: self.terms.heartbeat_timeout.map(seconds),
            start_timeout_seconds: self.terms.start_timeout.map(seconds),
            last_heartbeat: self.heard.map(moment),
            force_at: self.force_at.map(moment),
            interruptions: self.interruptions.into(),
        }
    }

    /// When it is due, and why, as the service's own code says.
    pub fn due(&self) -> Option<(u8, Cause)> {
        self.watch().due().map(|due| (tick(due.at), due.cause))
    }

    /// When it is due, if each word of its worker was recorded as it should be.
    pub fn truly_due(&self) -> Option<u8> {
        Watch { last_heartbeat: self.spoke.map(moment), ..self.watch() }.due().map(|due| tick(due.at))
    }

    /// The bound of a revival, as the service's own code says.
    pub fn bound_of_revival(&self, now: u8) -> u8 {
        let interval = self.interval.map(|interval| Duration::from_secs(seconds(interval).unsigned_abs()));
        tick(self.watch().bound_of_revival(moment(now), interval))
    }

    /// Whether it is watched: all are that are claimed or asked to cancel since there is supervision.
    pub fn is_watched(&self) -> bool {
        self.interval.is_some() || self.bound.is_some()
    }

    /// The requested cancel.
    pub fn cancel(&self) -> Option<CancelRequested> {
        let force_at = moment(self.force_at?);
        Some(CancelRequested { requested_at: moment(0), force_at, reason: String::new() })
    }

    /// The values that the rules of a write depend on.
    pub fn state(&self) -> State {
        State {
            status: self.status,
            version: self.version.into(),
            attempt: self.attempt.into(),
            // How retries end is in the other slices.
            retry_count: 0,
            max_retries: 1,
            timeout_seconds: seconds(self.terms.timeout),
            last_heartbeat: self.heard.map(moment),
            force_at: self.force_at.map(moment),
        }
    }
}
