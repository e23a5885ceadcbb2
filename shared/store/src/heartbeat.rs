//! Heartbeats: one conditional write that touches no index, and the revival of an execution that supervision interrupted.

use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{ReturnValue, ReturnValuesOnConditionCheckFailure};
use ratchet_model::caller::Caller;
use ratchet_model::change::{Change, IfMatch, RequestedTransition, WriteOptions};
use ratchet_model::clock::Timestamp;
use ratchet_model::error::{Error, Rejection};
use ratchet_model::heartbeat::{Action, CancelRequested, Order, order};
use ratchet_model::id::ExecutionId;
use ratchet_model::status::Status;
use ratchet_model::supervision::Watch;

use crate::Store;
use crate::attempts::failed_read;
use crate::expression::{Expression, number, text};
use crate::item::{Item, read_cancel, read_state, read_watch, watch_interval_of};
use crate::schema as a;
use crate::table_keys as k;

/// How often a heartbeat is tried that meets other writers: one that finds the execution interrupted and loses the revival
/// looks again.
const TRIES: usize = 3;

/// The reason of a revival in the transition log.
const REVIVED: &str = "heartbeat";

/// What a worker is told, and the state of the execution that it is told by.
#[derive(Debug)]
pub struct Heard {
    /// What to do, and why.
    pub order: Order,
    /// The present attempt.
    pub attempt: i64,
    /// When the execution is due, and by what.
    pub watch: Watch,
    /// The requested cancel, if there is one.
    pub cancel: Option<CancelRequested>,
}

impl Heard {
    /// What the head tells a worker that speaks for the attempt `spoken`.
    pub(crate) fn by(head: &Item, spoken: Option<i64>) -> Result<Self, Error> {
        let (state, cancel) = (read_state(head)?, read_cancel(head)?);
        let order = order(state.status, state.attempt, cancel.as_ref(), spoken);
        Ok(Self { order, attempt: state.attempt, watch: read_watch(head)?, cancel })
    }
}

/// The outcome of the write of a heartbeat.
enum Outcome {
    /// It was written: the head after it.
    Written(Item),
    /// The condition does not hold: the head as it is.
    Refused(Item),
}

impl Store {
    /// Hears the worker of an execution. One request; one more where it was interrupted and is revived.
    ///
    /// Repeating a heartbeat is harmless, so that it has no write token: the last heartbeat only rises, and a late attempt
    /// is refused by that. A revival is an ordinary change, on the version that the refused heartbeat returned.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`], [`Error::StoreUnavailable`]. [`Error::OutcomeUnknown`]: the execution may have been revived.
    pub async fn record_heartbeat(
        &self,
        caller: &Caller,
        id: &ExecutionId,
        attempt: Option<i64>,
    ) -> Result<Heard, Error> {
        for _ in 0..TRIES {
            let now = self.clock.now();
            let head = match self.write_heartbeat(caller, id, attempt, now).await? {
                Outcome::Written(head) => return Heard::by(&head, attempt),
                Outcome::Refused(head) => head,
            };
            let told = Heard::by(&head, attempt)?;
            let alive = matches!(told.order.action, Action::Continue | Action::Cancel);
            if !alive || told.watch.status != Status::Interrupted {
                return Ok(told);
            }
            let bound = told.watch.bound_of_revival(now, watch_interval_of(&head)?);
            let revival = Change {
                transition: Some(RequestedTransition::revive(bound)),
                reason: Some(REVIVED.to_owned()),
                options: WriteOptions {
                    if_match: Some(IfMatch::Versions(vec![read_state(&head)?.version])),
                    ..WriteOptions::default()
                },
                ..Change::default()
            };
            match self.change(caller, id, &revival).await {
                Ok(revived) => return Heard::by(&revived.head, attempt),
                // Somebody was faster: what now?
                Err(Error::Rejected(Rejection::Version { .. })) => {}
                Err(error) => return Err(error),
            }
        }
        Err(Error::StoreUnavailable {
            reason: "other writers were faster than the revival, again and again".to_owned(),
        })
    }

    /// Writes a heartbeat, if the execution is running, in this attempt, and was not heard later than `now`.
    async fn write_heartbeat(
        &self,
        caller: &Caller,
        id: &ExecutionId,
        attempt: Option<i64>,
        now: Timestamp,
    ) -> Result<Outcome, Error> {
        let mut expression = Expression::default();
        let status = expression.name(a::STATUS);
        let running = expression.value(text(Status::Running.as_str()));
        expression.require(format!("{status} = {running}"));
        let last = expression.name(a::LAST_HEARTBEAT);
        let heard = expression.value(number(now.millis()));
        // A run that was claimed before there were heartbeats has none.
        expression.require(format!("(NOT {last} >= {heard})"));
        if let Some(attempt) = attempt {
            crate::rules::Rule::Attempt(attempt).require(&mut expression);
        }
        expression.set(&last, &heard);
        let outcome = self
            .update_item(k::execution_pk(&caller.organization, id), a::HEAD_SK, expression)
            .return_values(ReturnValue::AllNew)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        match outcome {
            Ok(output) => {
                output.attributes.map(Outcome::Written).ok_or_else(|| Error::internal("the store returned no item"))
            }
            Err(error) => match error.as_service_error() {
                Some(UpdateItemError::ConditionalCheckFailedException(failed)) => {
                    failed.item().filter(|item| !item.is_empty()).cloned().map(Outcome::Refused).ok_or(Error::NotFound)
                }
                // Whether or not the time was written: no record shows it.
                _ => Err(failed_read(&error)),
            },
        }
    }
}
