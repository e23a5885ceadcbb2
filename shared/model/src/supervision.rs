//! When an execution is overdue, and what then (contract, "Supervision").
//!
//! [`Watch::due`] is the only definition of the rule. It is a pure function of the execution's head: the pass of enforce
//! deadlines decides by it, the model check (`tests/model`) runs it, and a heartbeat is answered with its deadline.
//!
//! The index of deadlines holds a *bound* for each watched execution: a moment that is never later than the one at which
//! it is due. So a pass that reads every entry whose bound has passed misses none, and a heartbeat need not touch the index.

use std::time::Duration;

use crate::clock::Timestamp;
use crate::limits::MAX_INTERRUPTIONS;
use crate::status::Status;

/// By how much the clocks of two functions may differ: an execution is overdue only after that, too.
pub const CLOCK_TOLERANCE: Duration = Duration::from_secs(2);

/// From how many silent executions on supervision asks whether it is the service itself that heard nothing.
pub const MASS_SILENCE: usize = 20;

/// For how long, after its own due time, each silence and each deadline waits in a mass silence.
pub const MASS_SILENCE_DELAY: Duration = Duration::from_mins(5);

/// The part of an execution's head that says when it is overdue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Watch {
    /// Its status.
    pub status: Status,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// When its caller wants it to run.
    pub scheduled_at: Option<Timestamp>,
    /// When it first ran.
    pub started_at: Option<Timestamp>,
    /// How long it may take from then on, in seconds.
    pub timeout_seconds: i64,
    /// How long its worker may be silent, in seconds; `None`: as long as it likes.
    pub heartbeat_timeout_seconds: Option<i64>,
    /// How long it may take to start, in seconds; `None`: as long as it likes.
    pub start_timeout_seconds: Option<i64>,
    /// When its worker was last heard.
    pub last_heartbeat: Option<Timestamp>,
    /// By when a requested cancel is forced.
    pub force_at: Option<Timestamp>,
    /// How often supervision has interrupted it.
    pub interruptions: i64,
}

/// When an execution is overdue, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// From when on.
    pub at: Timestamp,
    /// Why.
    pub cause: Cause,
}

/// Why supervision changes an execution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cause {
    /// `timeout_seconds` have passed since the first `running`.
    Deadline,
    /// `start_timeout_seconds` have passed without a first `running`.
    StartDeadline,
    /// `heartbeat_timeout_seconds` have passed without a heartbeat.
    Silence,
    /// A cancel was requested, and its grace, the silence or the deadline came first.
    Cancel,
}

impl Cause {
    /// Every cause.
    pub const ALL: [Self; 4] = [Self::Deadline, Self::StartDeadline, Self::Silence, Self::Cancel];

    /// The status that supervision enters.
    #[must_use]
    pub const fn to(self) -> Status {
        match self {
            Self::Deadline | Self::StartDeadline => Status::Timeout,
            Self::Silence => Status::Interrupted,
            Self::Cancel => Status::Cancelled,
        }
    }

    /// The statuses in which an execution can be overdue for this.
    #[must_use]
    pub const fn sources(self) -> &'static [Status] {
        match self {
            Self::Deadline => &[Status::Running, Status::Queued, Status::Retrying, Status::Interrupted],
            Self::StartDeadline => &[Status::Pending, Status::Queued, Status::Retrying],
            Self::Silence => &[Status::Running],
            Self::Cancel => &[Status::Running, Status::Interrupted],
        }
    }

    /// The reason in the transition; `None` for a cancel, whose reason came with the request.
    #[must_use]
    pub fn reason(self, watch: &Watch) -> Option<String> {
        match self {
            Self::Deadline => Some(format!("No result within timeout_seconds ({})", watch.timeout_seconds)),
            Self::StartDeadline => watch
                .start_timeout_seconds
                .map(|seconds| format!("Not started within start_timeout_seconds ({seconds})")),
            Self::Silence => {
                watch.heartbeat_timeout_seconds.map(|seconds| format!("No heartbeat for {seconds} seconds"))
            }
            Self::Cancel => None,
        }
    }
}

/// This many seconds.
const fn seconds(seconds: i64) -> Duration {
    // None of the bounds of the fields is negative.
    Duration::from_secs(seconds.unsigned_abs())
}

impl Watch {
    /// The deadline: of the whole run or, before the first `running`, of the start. `None` where the start has none.
    #[must_use]
    pub fn deadline(&self) -> Option<Timestamp> {
        match (self.started_at, self.start_timeout_seconds) {
            (Some(started_at), _) => Some(started_at.plus(seconds(self.timeout_seconds))),
            (None, Some(start)) => {
                Some(self.scheduled_at.map_or(self.created_at, |at| at.max(self.created_at)).plus(seconds(start)))
            }
            (None, None) => None,
        }
    }

    /// From when on the worker counts as silent. `None` where it is not watched for silence, or not running.
    #[must_use]
    pub fn silent_at(&self) -> Option<Timestamp> {
        let timeout = self.heartbeat_timeout_seconds.filter(|_| self.status == Status::Running)?;
        // Claiming is the first heartbeat, so that there is one in every run that was claimed since there are heartbeats. That
        // of a later claim may have an earlier time than the first `running`: its attempt arrived late, or its function's
        // clock was behind. The bound of a claim counts from the first `running`, so that the silence must, too.
        Some(self.last_heartbeat.max(self.started_at)?.plus(seconds(timeout)))
    }

    /// When the execution is overdue, and why; `None`: never, as it stands.
    #[must_use]
    pub fn due(&self) -> Option<Due> {
        if self.status.is_terminal() {
            return None;
        }
        let (deadline, silent_at) = (self.deadline(), self.silent_at());
        if let Some(force_at) = self.force_at {
            let at = [deadline, silent_at].into_iter().flatten().fold(force_at, Timestamp::min);
            return Some(Due { at, cause: Cause::Cancel });
        }
        let cause = if self.started_at.is_some() { Cause::Deadline } else { Cause::StartDeadline };
        let deadline = deadline.map(|at| Due { at, cause });
        // What was interrupted so often is interrupted no more: its deadline stands.
        let silence = silent_at.filter(|_| self.interruptions < MAX_INTERRUPTIONS);
        let silence = silence.map(|at| Due { at, cause: Cause::Silence });
        match (deadline, silence) {
            (Some(deadline), Some(silence)) if silence.at < deadline.at => Some(silence),
            (Some(deadline), _) => Some(deadline),
            (None, silence) => silence,
        }
    }

    /// The bound of an execution that a heartbeat revives `now`. `interval` is the one that its creation fixed
    /// ([`watch_interval`]); the bound of a claim, `started_at` and the interval, is kept where it can be, for then the
    /// index is not written. It cannot where a cancel is requested, which may be due before that.
    #[must_use]
    pub fn bound_of_revival(&self, now: Timestamp, interval: Option<Duration>) -> Timestamp {
        let revived = Self { status: Status::Running, last_heartbeat: Some(now), ..*self };
        let of_claim = self.started_at.unwrap_or(now).plus(interval.unwrap_or_default());
        revived.due().map_or(of_claim, |due| due.at.min(of_claim))
    }
}

/// How long after the first `running` an execution can be overdue at the earliest. Fixed when it is created: neither
/// timeout falls later.
#[must_use]
pub fn watch_interval(timeout_seconds: i64, heartbeat_timeout_seconds: Option<i64>) -> Duration {
    seconds(heartbeat_timeout_seconds.map_or(timeout_seconds, |heartbeat| heartbeat.min(timeout_seconds)))
}

/// Whether so many are silent at once that it is rather the service that heard nothing than the workers that died.
#[must_use]
pub const fn is_mass_silence(silent: usize, heard: usize) -> bool {
    silent >= MASS_SILENCE && silent > heard
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1_000).unwrap()
    }

    /// Created at 0, started at 10, with every timeout.
    fn watch(status: Status) -> Watch {
        Watch {
            status,
            created_at: at(0),
            scheduled_at: None,
            started_at: Some(at(10)),
            timeout_seconds: 300,
            heartbeat_timeout_seconds: Some(60),
            start_timeout_seconds: Some(30),
            last_heartbeat: Some(at(100)),
            force_at: None,
            interruptions: 0,
        }
    }

    /// The contract's table, with the moments of [`watch`] written by hand.
    #[test]
    fn every_status_is_due_when_and_for_what_the_contract_says() {
        let due = |seconds, cause| Some(Due { at: at(seconds), cause });
        for status in Status::ALL {
            let started = match status {
                Status::Running => due(160, Cause::Silence),
                // Nothing returns to pending, so that this one cannot be; its deadline would stand all the same.
                Status::Pending | Status::Queued | Status::Retrying | Status::Interrupted => due(310, Cause::Deadline),
                _ => None,
            };
            assert_eq!(watch(status).due(), started, "{status}");
            let unstarted = Watch { started_at: None, last_heartbeat: None, ..watch(status) };
            let expected = if status.is_terminal() { None } else { due(30, Cause::StartDeadline) };
            assert_eq!(unstarted.due(), expected, "{status}, not started");
            let unbounded = Watch { start_timeout_seconds: None, ..unstarted };
            assert_eq!(unbounded.due(), None, "{status}, not started, without a bound");
        }
    }

    #[test]
    fn the_start_is_counted_from_the_later_of_creation_and_schedule() {
        let waiting = |scheduled_at| Watch { started_at: None, scheduled_at, ..watch(Status::Pending) };
        for (scheduled_at, deadline) in [(None, 30), (Some(at(-5)), 30), (Some(at(70)), 100)] {
            assert_eq!(waiting(scheduled_at).deadline(), Some(at(deadline)), "{scheduled_at:?}");
        }
    }

    #[test]
    fn a_claim_that_arrives_late_is_not_silent_before_its_bound() {
        // Sent at 5, and applied after another worker's claim of 10 and its interruption.
        let late = Watch { last_heartbeat: Some(at(5)), ..watch(Status::Running) };
        assert_eq!(late.silent_at(), Some(at(10 + 60)));
        let bound = at(10).plus(watch_interval(late.timeout_seconds, late.heartbeat_timeout_seconds));
        assert!(bound <= late.due().unwrap().at);
        let heard_once = Watch { last_heartbeat: None, ..late };
        assert_eq!(heard_once.silent_at(), Some(at(10 + 60)));
    }

    #[test]
    fn a_requested_cancel_is_due_at_the_first_of_grace_silence_and_deadline() {
        for (force_at, last_heartbeat, timeout_seconds, expected) in
            [(120, 100, 300, 120), (200, 100, 300, 160), (200, 190, 150, 160), (3_000, 290, 300, 310)]
        {
            let asked = Watch {
                force_at: Some(at(force_at)),
                last_heartbeat: Some(at(last_heartbeat)),
                timeout_seconds,
                ..watch(Status::Running)
            };
            assert_eq!(asked.due(), Some(Due { at: at(expected), cause: Cause::Cancel }), "{asked:?}");
        }
        let interrupted = Watch { force_at: Some(at(400)), ..watch(Status::Interrupted) };
        assert_eq!(interrupted.due(), Some(Due { at: at(310), cause: Cause::Cancel }));
    }

    #[test]
    fn a_run_that_was_interrupted_a_hundred_times_waits_for_its_deadline() {
        let often = |interruptions| Watch { interruptions, ..watch(Status::Running) };
        assert_eq!(often(99).due().unwrap().cause, Cause::Silence);
        assert_eq!(often(100).due(), Some(Due { at: at(310), cause: Cause::Deadline }));
        // A cancel hears the silence all the same.
        let asked = Watch { force_at: Some(at(400)), ..often(100) };
        assert_eq!(asked.due().unwrap().at, at(160));
    }

    #[test]
    fn a_silence_at_the_very_deadline_is_a_timeout() {
        let both = Watch { timeout_seconds: 150, ..watch(Status::Running) };
        assert_eq!(both.due(), Some(Due { at: at(160), cause: Cause::Deadline }));
    }

    #[test]
    fn a_cause_is_found_in_its_sources_alone_and_enters_what_the_table_allows() {
        for cause in Cause::ALL {
            for source in cause.sources() {
                assert!(cause.to().allowed_sources().contains(source), "{cause:?} from {source}");
            }
            for status in Status::ALL {
                for started_at in [None, Some(at(10))] {
                    for force_at in [None, Some(at(120))] {
                        // A cancel can only be requested of what runs, and only an interruption follows.
                        let possible = force_at.is_none() || matches!(status, Status::Running | Status::Interrupted);
                        let due = Watch { started_at, force_at, ..watch(status) }.due();
                        let started = started_at.is_some() || !matches!(status, Status::Running | Status::Interrupted);
                        let pending = status == Status::Pending && started_at.is_some();
                        if possible && started && !pending && due.is_some_and(|due| due.cause == cause) {
                            assert!(cause.sources().contains(&status), "{cause:?} in {status}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn a_revival_keeps_the_bound_of_the_claim_unless_a_cancel_is_due_before() {
        let interval = Some(watch_interval(300, Some(60)));
        let interrupted = watch(Status::Interrupted);
        assert_eq!(interrupted.bound_of_revival(at(200), interval), at(70));
        let asked = Watch { force_at: Some(at(50)), ..interrupted };
        assert_eq!(asked.bound_of_revival(at(40), interval), at(50));
        // Claimed before there were intervals: looked at by every pass until it is due.
        assert_eq!(interrupted.bound_of_revival(at(200), None), at(10));
    }

    #[test]
    fn a_mass_silence_is_twenty_that_outnumber_those_that_were_heard() {
        for (silent, heard, expected) in
            [(19, 0, false), (20, 0, true), (20, 19, true), (20, 20, false), (21, 20, true)]
        {
            assert_eq!(is_mass_silence(silent, heard), expected, "{silent} {heard}");
        }
    }
}
