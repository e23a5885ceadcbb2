//! When an execution is overdue, as far as a history can tell: written from docs/api.md, without the service's own rule.
//!
//! The service stamps what it writes with its own clock, and nobody sees most of these stamps. But each was read while the
//! request was under way: it lies between two moments of the true time of the history, give or take what the clock of that
//! instance is wrong by. So every time here is a [`Span`].

use ratchet_model::status::Status;

use crate::model::Record;

/// By how much the clock of an instance may differ from the true time, in milliseconds: two of them by twice as much, which
/// is what the service promises to tolerate.
pub const SKEW: i64 = 1_000;

/// How much later than it is due supervision may find an execution, in milliseconds: it waits for as long as clocks may
/// differ, and its own may be behind when the stamp's was ahead.
const PATIENCE: i64 = 4 * SKEW;

/// The first and last moment, in milliseconds of the true time, at which something may have been.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Span {
    /// The first.
    pub from: i64,
    /// The last.
    pub to: i64,
}

impl Span {
    /// So many seconds later.
    pub const fn plus(self, seconds: i64) -> Self {
        Self { from: self.from.saturating_add(seconds * 1_000), to: self.to.saturating_add(seconds * 1_000) }
    }

    /// The earlier of two.
    fn min(self, other: Self) -> Self {
        Self { from: self.from.min(other.from), to: self.to.min(other.to) }
    }

    /// The later of two.
    fn max(self, other: Self) -> Self {
        Self { from: self.from.max(other.from), to: self.to.max(other.to) }
    }

    /// Whether a stamp of it may be before one of the other, by whichever clocks.
    const fn may_precede(self, other: Self) -> bool {
        self.from - SKEW < other.to.saturating_add(SKEW)
    }

    /// Whether this may be a stamp of it.
    pub const fn may_be(self, stamp: i64) -> bool {
        self.from - SKEW <= stamp && stamp <= self.to.saturating_add(SKEW)
    }
}

/// A cancel that was requested.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Asked {
    /// When, first.
    pub requested: Span,
    /// When it is forced.
    pub force: Span,
    /// Why: the first reason.
    pub reason: String,
}

impl Asked {
    /// Whether these may be its times, in epoch milliseconds.
    pub const fn shows(&self, requested_at: i64, force_at: i64) -> bool {
        self.requested.may_be(requested_at) && self.force.may_be(force_at)
    }
}

/// What decides when an execution is overdue, besides its record.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Watch {
    created: Span,
    started: Option<Span>,
    heard: Option<Span>,
    /// The cancel that was requested.
    pub asked: Option<Asked>,
}

impl Watch {
    /// Of a new execution.
    pub fn new(created: Span) -> Self {
        Self { created, ..Self::default() }
    }

    /// A claim is a start, if it is the first, and a heartbeat.
    pub fn claim(&mut self, when: Span) {
        self.started.get_or_insert(when);
        self.heard = Some(when);
    }

    /// A revival is a heartbeat.
    pub const fn revive(&mut self, when: Span) {
        self.heard = Some(when);
    }

    /// A heartbeat: the latest counts.
    pub fn hear(&mut self, when: Span) {
        let known = self.heard.get_or_insert(when);
        *known = known.max(when);
    }

    /// Asks the worker to stop. Of two requests the first time and reason stay, and the earlier end of the grace; `sooner`
    /// says whose that is, if it is known. Whether anything changed; `None` where `sooner` cannot be.
    pub fn ask(&mut self, asked: Asked, sooner: Option<bool>) -> Option<bool> {
        let Some(known) = &mut self.asked else {
            self.asked = Some(asked);
            return (sooner != Some(false)).then_some(true);
        };
        let (may, may_not) = (asked.force.may_precede(known.force), known.force.may_precede(asked.force));
        match sooner {
            Some(true) if !may => return None,
            Some(false) if !may_not => return None,
            Some(false) => return Some(false),
            None if asked.force.from >= known.force.from => return Some(false),
            Some(true) | None => {}
        }
        known.force = asked.force;
        Some(true)
    }

    /// The deadline: of the whole run or, before its start, of the start.
    pub fn deadline(&self, record: &Record) -> Option<Span> {
        match (self.started, record.start_timeout) {
            (Some(started), _) => Some(started.plus(record.timeout)),
            (None, Some(seconds)) => Some(self.created.plus(seconds)),
            (None, None) => None,
        }
    }

    /// When the worker counts as silent. A claim that was sent before the first one, and arrived after it, is no sign of
    /// life from before the start.
    fn silent(&self, record: &Record) -> Option<Span> {
        let seconds = record.heartbeat_timeout.filter(|_| record.status == Status::Running)?;
        Some(self.heard?.max(self.started?).plus(seconds))
    }

    /// Why supervision may have entered `to` at some time until `until`, by the true time; `None`: it may not.
    pub fn allows(&self, record: &Record, to: Status, until: i64) -> Option<String> {
        if record.status.is_terminal() {
            return None;
        }
        let (deadline, silent) = (self.deadline(record), self.silent(record));
        let passed = |at: Option<Span>| at.is_some_and(|at| at.from <= until);
        if let Some(asked) = &self.asked {
            let due = [deadline, silent, Some(asked.force)].into_iter().any(passed);
            return (to == Status::Cancelled && due).then(|| asked.reason.clone());
        }
        // The first of the two counts.
        let first = |one: Option<Span>, other: Option<Span>| match (one, other) {
            (Some(one), Some(other)) => one.may_precede(other),
            (one, None) => one.is_some(),
            (None, Some(_)) => false,
        };
        match to {
            Status::Timeout if passed(deadline) && first(deadline, silent) => Some(match self.started {
                Some(_) => format!("No result within timeout_seconds ({})", record.timeout),
                None => format!("Not started within start_timeout_seconds ({})", record.start_timeout?),
            }),
            Status::Interrupted if passed(silent) && first(silent, deadline) => {
                Some(format!("No heartbeat for {} seconds", record.heartbeat_timeout?))
            }
            _ => None,
        }
    }

    /// Whether it is certainly overdue for a pass that begins at `now`. `heard_by` is by when a heartbeat that nobody had an
    /// answer to may have been recorded.
    pub fn is_overdue(&self, record: &Record, now: i64, heard_by: Option<i64>) -> bool {
        let silent = self.silent(record).zip(record.heartbeat_timeout).map(|(silent, seconds)| {
            let unheard = heard_by.map_or(silent.to, |by| by.saturating_add(seconds * 1_000));
            Span { to: silent.to.max(unheard), ..silent }
        });
        let force = self.asked.as_ref().map(|asked| asked.force);
        let due = [self.deadline(record), silent, force].into_iter().flatten().reduce(Span::min);
        !record.status.is_terminal() && due.is_some_and(|due| due.to.saturating_add(PATIENCE) <= now)
    }
}
