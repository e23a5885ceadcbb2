//! A state of the model: the record in the store, the requests of its writers, the time.

use std::collections::BTreeSet;

use ratchet_model::status::Status;
use ratchet_store::item::State;

use crate::design::MAPS;

/// How often the modelled execution may be retried.
pub const MAX_RETRIES: i64 = 1;

/// What a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Body {
    /// To enter a status. A terminal one comes with a result.
    To(Status),
    /// To set the result, which a terminal status freezes.
    Result,
    /// To set a field that nothing freezes.
    Note,
    /// The same, with If-Match.
    NoteIfVersion(i64),
    /// To set `retry_count`.
    RetryCount(i64),
    /// To raise `timeout_seconds`, counted in units of no matter what length.
    Timeout(i64),
    /// To claim the execution after an attempt.
    ClaimAfter(i64),
    /// To complete it, for an attempt.
    CompleteFor(i64),
}

impl Body {
    /// The status that it asks for.
    pub fn to(self) -> Option<Status> {
        match self {
            Self::To(to) => Some(to),
            Self::ClaimAfter(_) => Some(Status::Running),
            Self::CompleteFor(_) => Some(Status::Completed),
            Self::Result | Self::Note | Self::NoteIfVersion(_) | Self::RetryCount(_) | Self::Timeout(_) => None,
        }
    }

    /// The attempt for which it speaks.
    pub fn attempt(self) -> Option<i64> {
        match self {
            Self::ClaimAfter(attempt) | Self::CompleteFor(attempt) => Some(attempt),
            _ => None,
        }
    }
}

/// The record of the execution.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Record {
    /// The status that it had at the beginning.
    pub first: Status,
    /// The status.
    pub status: Status,
    /// How often it was written, and 1.
    pub version: i64,
    /// How often it was claimed.
    pub attempt: i64,
    /// How often it was retried.
    pub retry_count: i64,
    /// How long it may take.
    pub timeout: i64,
    /// The request whose result it has.
    pub result: Option<usize>,
    /// The request whose value is in the field that nothing freezes.
    pub note: Option<usize>,
    /// The transitions.
    pub log: Vec<Entry>,
    /// The maps of tokens: the requests that recorded them, in order.
    pub maps: [Vec<usize>; MAPS],
    /// The last bucket in which a write with a fence began.
    pub fence: u8,
}

/// A transition.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Entry {
    /// The request that caused it.
    pub by: usize,
    /// The status that it led to.
    pub to: Status,
    /// The version of the record that allowed it.
    pub judged_on: i64,
    /// The attempt that it began or belongs to.
    pub attempt: i64,
}

impl Record {
    /// An execution before its first write.
    pub fn new(first: Status, retry_count: i64) -> Self {
        Self {
            first,
            status: first,
            version: 1,
            attempt: 0,
            retry_count,
            timeout: 1,
            result: None,
            note: None,
            log: Vec::new(),
            maps: Default::default(),
            fence: 0,
        }
    }

    /// The values that the rules of a write depend on.
    pub fn basis(&self) -> Basis {
        Basis {
            status: self.status,
            version: self.version,
            attempt: self.attempt,
            retry_count: self.retry_count,
            timeout: self.timeout,
        }
    }
}

/// The values that the rules of a write depend on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Basis {
    /// The status.
    pub status: Status,
    /// The version.
    pub version: i64,
    /// How often it was claimed.
    pub attempt: i64,
    /// How often it was retried.
    pub retry_count: i64,
    /// How long it may take.
    pub timeout: i64,
}

impl From<Basis> for State {
    fn from(basis: Basis) -> Self {
        Self {
            status: basis.status,
            version: basis.version,
            attempt: basis.attempt,
            retry_count: basis.retry_count,
            max_retries: MAX_RETRIES,
            timeout_seconds: basis.timeout,
            // `supervision.rs` models these.
            last_heartbeat: None,
            force_at: None,
        }
    }
}

/// A request by a writer, and its state.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Request {
    /// Not sent yet.
    Unsent,
    /// The service waits for the answer to its latest attempt.
    Waiting {
        /// What it sends.
        sent: Sent,
        /// Which attempt that is, from 1.
        attempt: u32,
        /// Whether an attempt before it is in doubt.
        in_doubt: bool,
    },
    /// Answered.
    Answered {
        /// How.
        answer: Answer,
        /// Whether an attempt is in doubt, and may still arrive.
        in_doubt: bool,
        /// What was sent; `None` once nothing depends on it, so that states that behave alike are one state.
        sent: Option<Sent>,
    },
}

/// What all attempts of one request have in common.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Sent {
    /// What it asks for.
    pub body: Body,
    /// When it began.
    pub at: u8,
    /// The reading of its function's clock then, or the first of the bucket that it advanced to when it was fenced.
    pub reading: u8,
    /// The readings on attempts of earlier rounds that were given up, and may still arrive.
    pub earlier: Vec<u8>,
    /// How often it was fenced and sent again.
    pub round: usize,
    /// What was read before, by a design that reads first.
    pub read: Option<Basis>,
}

/// How the service answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Answer {
    /// Done.
    Done,
    /// Done, by an attempt of the same request that was in doubt.
    DoneBefore,
    /// Done by an earlier request with the same key.
    Replayed,
    /// The same, and its token was in the map of another bucket than this request's.
    ReplayedAcross,
    /// Done before, but another worker has claimed the execution since.
    Superseded,
    /// Refused by the record's state.
    Refused,
    /// The key was used with another body.
    KeyReused,
    /// Nothing was written: the store was busy.
    Unavailable,
    /// It may have been written, or may still be.
    Unknown,
}

/// How a single step can break a guarantee.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Broken {
    /// The answer to a loser names another status than the one that beat it.
    LoserMisled,
    /// A write was applied and answered as refused, in either order.
    AppliedAndRefused,
    /// A write was answered as done, and was not.
    AnsweredAndNotDone,
    /// A claim was answered as done while another worker's attempt was the present one.
    OthersAttemptShown,
    /// A write was applied in another attempt than the one for which it speaks.
    AppliedInOtherAttempt,
    /// A timeout fell.
    TimeoutFell,
    /// A write was applied twice.
    AppliedTwice,
    /// A repeat replaced a newer value by its own.
    NewerOverwritten,
    /// A terminal status or its result changed.
    TerminalChanged,
    /// A repeat was refused, and after that an earlier request with its key was applied.
    KeyAppliedAfterRefusal,
}

/// What holds a late attempt back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HeldBack {
    /// Its token.
    Token,
    /// The fence.
    Fence,
}

/// A state of the model.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct World {
    /// The time.
    pub time: u8,
    /// The record.
    pub record: Record,
    /// The requests, as numbered by the plan.
    pub requests: Vec<Request>,
    /// By the number of the first request with a write's id: the request that applied the write.
    pub applied: Vec<Option<usize>>,
    /// What the last step broke. No step follows a broken state.
    pub broken: BTreeSet<Broken>,
    /// Whether this state stands for a step that changes nothing: a late attempt was held back, and by what. No step
    /// follows.
    pub held_back: Option<HeldBack>,
}
