//! A state of the model: the record, its writers, the attempts that are under way, the time.

use std::collections::BTreeSet;

use ratchet_model::status::Status;
use ratchet_model::supervision::Cause;

use super::record::Record;

/// What a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Body {
    /// To claim the execution; with a number after that attempt, and no other.
    Claim(Option<u8>),
    /// To hear the worker of an attempt, or of whichever is the present one.
    Heartbeat(Option<u8>),
    /// To enter a status that is not `running`.
    Report(Status),
    /// To cancel the execution, after so many ticks where somebody works on it.
    Cancel(u8),
    /// To raise `timeout_seconds` to so many ticks.
    Timeout(u8),
    /// A pass of supervision.
    Pass,
}

/// What one `UpdateItem` asks for. All its attempts are alike. Times are ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Write {
    /// A claim.
    Claim {
        /// After which attempt.
        after: Option<u8>,
        /// Its time stamp.
        stamp: u8,
    },
    /// A heartbeat.
    Heartbeat {
        /// For which attempt.
        attempt: Option<u8>,
        /// Its time stamp.
        stamp: u8,
        /// The version of the record when it was sent. Kept for the one mistake that needs it.
        sent_on: Option<u8>,
    },
    /// A report of a status.
    Report(Status),
    /// A request to stop, for the worker.
    RequestCancel {
        /// From when on `cancelled` is forced.
        force_at: u8,
        /// Its time stamp.
        stamp: u8,
    },
    /// The end of an execution that nobody works on.
    Cancel,
    /// A higher timeout.
    Timeout(u8),
    /// The revival of an execution whose heartbeat was refused.
    Revive {
        /// The version that the refused heartbeat returned.
        version: u8,
        /// The bound.
        bound: u8,
        /// Its time stamp.
        stamp: u8,
    },
    /// Supervision's change of an overdue execution.
    Supervise {
        /// Why.
        cause: Cause,
        /// The head by which it was judged.
        head: Head,
    },
    /// Supervision files an entry anew.
    FileAnew {
        /// The bound that the index had.
        seen: u8,
        /// The bound to set.
        bound: u8,
        /// The version of the head that was read.
        version: u8,
    },
}

/// What supervision read of the head.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Head {
    /// The version.
    pub version: u8,
    /// The last heartbeat.
    pub heard: Option<u8>,
    /// How many heartbeats there had been: no rule reads it, a property does.
    pub heartbeats: u8,
    /// When the execution is due and why.
    pub due: Option<(u8, Cause)>,
}

impl Head {
    /// The head of a record.
    pub fn of(record: &Record) -> Self {
        Self { version: record.version, heard: record.heard, heartbeats: record.heartbeats, due: record.due() }
    }

    /// The version or the count of heartbeats.
    fn number(&mut self, version: bool) -> &mut u8 {
        if version { &mut self.version } else { &mut self.heartbeats }
    }
}

/// A request, and its state.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Request {
    /// How far it is.
    pub phase: Phase,
    /// Its attempts that were given up and may still arrive: any number of times, as a write has several.
    pub late: Vec<Late>,
}

/// How far a request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// Not sent.
    Unsent,
    /// To be sent once more from its beginning: another writer came in between its two writes.
    Again(Body),
    /// A heartbeat found the execution interrupted; its second write is to revive it.
    Reviving {
        /// What it asks for.
        body: Body,
        /// The version that it found.
        version: u8,
        /// The bound.
        bound: u8,
    },
    /// A cancel found that nobody works on the execution; its second write is to end it.
    Ending(Body),
    /// A pass that has read the entry, the head, or both; its write is next.
    Looking {
        /// The bound in the index.
        index: Option<u8>,
        /// The head.
        head: Option<Head>,
    },
    /// The first attempt of the latest write was given up. The service sends another one, or answers that it does not know.
    InDoubt(Body),
    /// Answered.
    Done,
}

/// An attempt that may arrive late.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Late {
    /// What it writes.
    pub write: Write,
    /// Whether an attempt of the write was applied. Where it has a write token, that is on the record now.
    pub applied: bool,
    /// Whether the write was answered as refused.
    pub refused: bool,
}

/// How a single step can break a guarantee.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Broken {
    /// A transition that the table does not have.
    NotInTable,
    /// The answer to a loser names another status than the one that beat it.
    LoserMisled,
    /// A write was applied and answered as refused.
    AppliedAndRefused,
    /// A write was applied twice.
    AppliedTwice,
    /// The record changed after its end.
    TerminalChanged,
    /// Supervision changed an execution that was not due.
    Early,
    /// Supervision changed an execution that was heard since it looked.
    OverHeartbeat,
    /// Supervision or a revival changed an execution whose record was changed since it was read.
    OverReport,
    /// The last heartbeat moved back.
    HeardEarlier,
    /// An execution was taken up after a cancel was requested, or the cancel was put off.
    CancelUndone,
}

/// A state of the model.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct World {
    /// The time, by the slowest clock.
    pub time: u8,
    /// How many attempts may still be given up.
    pub give_ups: u8,
    /// The record.
    pub record: Record,
    /// The requests, as numbered by the plan.
    pub requests: Vec<Request>,
    /// What the last step broke. No step follows a broken state.
    pub broken: BTreeSet<Broken>,
}

impl World {
    /// The versions (`true`) or counts of heartbeats (`false`) that writers have read, and the record's own.
    fn numbers(&mut self, versions: bool) -> Vec<&mut u8> {
        let mut numbers = vec![if versions { &mut self.record.version } else { &mut self.record.heartbeats }];
        for request in &mut self.requests {
            match &mut request.phase {
                Phase::Reviving { version, .. } if versions => numbers.push(version),
                Phase::Looking { head: Some(head), .. } => numbers.push(head.number(versions)),
                _ => {}
            }
            for late in &mut request.late {
                match &mut late.write {
                    Write::Heartbeat { sent_on: Some(version), .. }
                    | Write::Revive { version, .. }
                    | Write::FileAnew { version, .. }
                        if versions =>
                    {
                        numbers.push(version);
                    }
                    Write::Supervise { head, .. } => numbers.push(head.number(versions)),
                    _ => {}
                }
            }
        }
        numbers
    }

    /// Numbers versions and counts of heartbeats anew, in their order: nothing depends on more, so that states that behave
    /// alike are one state.
    pub fn renumber(&mut self) {
        for versions in [true, false] {
            let mut numbers = self.numbers(versions);
            let mut known: Vec<u8> = numbers.iter().map(|number| **number).collect();
            known.sort_unstable();
            known.dedup();
            for number in &mut numbers {
                let place = known.iter().position(|known| known == &**number).expect("it is among them");
                **number = u8::try_from(place).expect("few numbers");
            }
        }
    }
}
