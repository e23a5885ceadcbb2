//! Cancels: a request that the worker of a running execution hears, or the end at once where nobody works on it.

use std::time::Duration;

use ratchet_model::caller::Caller;
use ratchet_model::change::{CancelRequest, Change, RequestedTransition, WriteOptions};
use ratchet_model::error::{Error, Rejection};
use ratchet_model::heartbeat::CancelRequested;
use ratchet_model::id::ExecutionId;
use ratchet_model::status::Status;

use crate::Store;
use crate::change::Changed;
use crate::item::read_cancel;

/// How often a cancel looks again where the status changed between its two writes.
const TRIES: usize = 3;

/// A cancel to do.
#[derive(Debug)]
pub struct Cancel {
    /// Why.
    pub reason: String,
    /// For how long the worker may go on.
    pub grace: Duration,
    /// Conditions and the Idempotency-Key.
    pub options: WriteOptions,
}

/// A cancel that took effect, now or by an earlier attempt or request.
#[derive(Debug)]
pub struct Cancelled {
    /// The version of the record: after the cancel or, for a duplicate, at present.
    pub version: i64,
    /// Whether an earlier request with the same Idempotency-Key made it.
    pub replayed: bool,
    /// What became of it.
    pub outcome: Outcome,
}

/// What became of a cancel.
#[derive(Debug)]
pub enum Outcome {
    /// The worker is asked to stop.
    Requested(CancelRequested),
    /// Nobody worked on the execution: it is cancelled.
    Cancelled {
        /// Its status before.
        from: Status,
    },
}

impl Store {
    /// Cancels an execution. One request where it runs; one more where it does not.
    ///
    /// Nothing is read first. The request to stop is written if the execution runs; if it is refused because nobody works on
    /// it, the end is written if still nobody does. With an Idempotency-Key both have one write token, so that a repeat finds
    /// whichever was applied. Without, they have two; an attempt of the first that arrives after the second finds a terminal
    /// status, and one of the second that arrives after the first finds one that it does not allow.
    ///
    /// # Errors
    ///
    /// As [`Store::change`].
    pub async fn cancel(&self, caller: &Caller, id: &ExecutionId, cancel: &Cancel) -> Result<Cancelled, Error> {
        let Cancel { reason, grace, options } = cancel;
        for _ in 0..TRIES {
            let now = self.clock.now();
            let request = CancelRequest { force_at: now.plus(*grace), reason: reason.clone() };
            let request = Change { cancel: Some(request), options: options.clone(), ..Change::default() };
            let current = match self.change_at(caller, id, &request, now).await {
                Ok(changed) => return cancelled(&changed),
                Err(Error::Rejected(
                    Rejection::Transition { current, .. } | Rejection::CancelledSooner { current },
                )) if !current.is_terminal() => current,
                Err(error) => return Err(error),
            };
            let rest = if current == Status::Running {
                // It is asked already, and no later: nothing is left to write but the token, if it runs still.
                Change { cancel_stands: true, options: options.clone(), ..Change::default() }
            } else {
                Change {
                    transition: Some(RequestedTransition::cancel()),
                    reason: Some(reason.clone()),
                    options: options.clone(),
                    ..Change::default()
                }
            };
            match self.change(caller, id, &rest).await {
                Ok(changed) => return cancelled(&changed),
                // It was claimed or revived in between, so that there is somebody to ask; or interrupted, so that nobody is.
                Err(Error::Rejected(Rejection::Transition { current, .. })) if !current.is_terminal() => {}
                Err(error) => return Err(error),
            }
        }
        Err(Error::StoreUnavailable {
            reason: "the status changed between the writes of a cancel, again and again".to_owned(),
        })
    }
}

/// What a change says of the cancel that it was.
fn cancelled(changed: &Changed) -> Result<Cancelled, Error> {
    let outcome = match changed.transition()? {
        Some(transition) => Outcome::Cancelled { from: transition.from },
        None => Outcome::Requested(
            read_cancel(&changed.head)?.ok_or_else(|| Error::internal("a cancel that left no request"))?,
        ),
    };
    Ok(Cancelled { version: changed.version, replayed: changed.replayed, outcome })
}
