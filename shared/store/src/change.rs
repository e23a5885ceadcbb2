//! The write: one `UpdateItem`. Its condition decides, and its answer distinguishes applied, rejected, missing and
//! duplicate. What the condition requires is in `rules`.

use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue, ReturnValuesOnConditionCheckFailure};
use ratchet_model::caller::Caller;
use ratchet_model::change::{CancelRequest, Change, FieldUpdates, RequestedTransition};
use ratchet_model::clock::Timestamp;
use ratchet_model::error::Error;
use ratchet_model::execution::{Execution, Transition};
use ratchet_model::id::ExecutionId;
use ratchet_model::json::JsonText;
use ratchet_model::status::Status;

use crate::attempts::{Attempts, failed_write, is_too_large};
use crate::dedup::{Duplicate, Fenced, WriteToken};
use crate::expression::{Expression, number, text};
use crate::item::{self, Item, attempt_of, logged_reason, read_state, read_transitions, transition_entry};
use crate::rules::{Decision, Rule, decide, superseded};
use crate::schema as a;
use crate::table_keys::{self as k, ListShards};
use crate::{MAX_ITEM, Store};

/// How many requests one write may take: a fenced write is sent once more. Twice
/// [`OPERATION_TIMEOUT`](crate::client::OPERATION_TIMEOUT) fits into a function's timeout of 10 s, as for execute flow.
pub const MAX_ATTEMPTS: usize = 2;

/// A bound that no clock is behind: every pass of supervision looks, until one files the entry anew.
const IN_EVERY_PASS: i64 = 0;

/// A change that took effect, now or by an earlier attempt or request.
#[derive(Debug)]
pub struct Changed {
    /// The version of the record: after the change or, for a duplicate, at present.
    pub version: i64,
    /// Whether an earlier request with the same Idempotency-Key made the change.
    pub replayed: bool,
    pub(crate) head: Item,
    /// The id of the write, by which the transition log has the change, if it was a transition.
    write_id: String,
}

impl Changed {
    /// The transition, if this change was one. It is read from the log only on demand: a damaged entry of another
    /// change must not turn a write that took effect into an error.
    ///
    /// # Errors
    ///
    /// [`Error::Internal`] where the log cannot be read.
    pub fn transition(&self) -> Result<Option<Transition>, Error> {
        let log = read_transitions(&self.head)?;
        Ok(log.into_iter().find(|(id, _)| *id == self.write_id).map(|(_, transition)| transition))
    }
}

/// The outcome of one request of a write.
enum Outcome {
    /// It took effect.
    Changed(Changed),
    /// It was fenced, and has to be sent again.
    Fenced(Fenced),
}

/// One change, with all that is needed to write it and to interpret the answer.
struct Write<'a> {
    caller: &'a Caller,
    id: &'a ExecutionId,
    list_shards: ListShards,
    change: &'a Change,
    rules: Vec<Rule>,
    token: WriteToken,
    now: Timestamp,
}

impl Write<'_> {
    fn expression(&self) -> Expression {
        let mut expression = Expression::default();
        let pk = expression.name(a::PK);
        expression.require(format!("attribute_exists({pk})"));
        let changes_nothing = self.change.changes_nothing();
        if changes_nothing && self.change.options.idempotency_key.is_none() {
            // `{}` changes nothing, so that a repeat of it needs no write token. If-Match still counts.
            self.require_rules(&mut expression);
            return expression;
        }
        self.token.require_absent(&mut expression);
        self.require_rules(&mut expression);
        match &self.change.transition {
            Some(transition) => self.enter(*transition, &mut expression),
            None => self.token.record(&mut expression),
        }
        if let Some(cancel) = &self.change.cancel {
            self.request_cancel(cancel, &mut expression);
        }
        if !changes_nothing {
            self.write_fields(&mut expression);
            expression.assign(a::UPDATED_AT, number(self.now.millis()));
            let version = expression.name(a::VERSION);
            let one = expression.value(number(1));
            expression.set(&version, &format!("{version} + {one}"));
        }
        expression
    }

    fn require_rules(&self, expression: &mut Expression) {
        for rule in &self.rules {
            rule.require(expression);
        }
    }

    /// Enters a status, and writes what belongs to it: the index key, the log entries, and the fields that the status
    /// itself sets.
    fn enter(&self, transition: RequestedTransition, expression: &mut Expression) {
        let to = transition.to();
        let (organization, shard) = (&self.caller.organization, self.list_shards.of(self.id));
        expression.assign(a::STATUS, text(to.as_str()));
        expression.assign(a::BY_STATUS, text(k::status_partition(organization, shard, to)));

        let entry = expression.member(a::TRANSITIONS, self.token.id());
        let reason = self.change.reason.as_deref().or(self.change.fields.error_message.as_deref());
        let content = expression.value(transition_entry(&self.token, transition, self.now, self.caller, reason));
        expression.set(&entry, &content);
        let entry = expression.member(a::TRANSITION_VERSIONS, self.token.id());
        let version = expression.name(a::VERSION);
        let one = expression.value(number(1));
        expression.set(&entry, &format!("{version} + {one}"));

        // Every placeholder must be used: DynamoDB refuses an expression with an unused one.
        if transition.begins_an_attempt() {
            let started = expression.name(a::STARTED_AT);
            let now = expression.value(number(self.now.millis()));
            expression.set(&started, &format!("if_not_exists({started}, {now})"));
            let attempt = expression.name(a::ATTEMPT);
            let zero = expression.value(number(0));
            expression.set(&attempt, &format!("if_not_exists({attempt}, {zero}) + {one}"));
        }
        if to.is_terminal() && self.change.fields.completed_at.is_none() {
            expression.assign(a::COMPLETED_AT, number(self.now.millis()));
        }
        self.watch(transition, expression);
        if transition.clears() {
            self.clear(to, expression);
        }
        if transition.is_supervision() && to == Status::Interrupted {
            let count = expression.name(a::INTERRUPTIONS);
            let zero = expression.value(number(0));
            expression.set(&count, &format!("if_not_exists({count}, {zero}) + {one}"));
        }
        if let Some(reason) =
            self.change.reason.as_ref().filter(|_| transition.is_supervision() && to == Status::Timeout)
        {
            let message = expression.name(a::ERROR_MESSAGE);
            let reason = expression.value(text(reason));
            expression.set(&message, &format!("if_not_exists({message}, {reason})"));
        }
        if to.counts_a_retry() && self.change.fields.retry_count.is_none() {
            let count = expression.name(a::RETRY_COUNT);
            expression.set(&count, &format!("{count} + {one}"));
        }
    }

    /// Keeps the entry in the index by deadline, which has a bound of the moment at which the execution is due
    /// (`ratchet_model::supervision`). It needs no read: a claim is due its watch interval after the first `running` at the
    /// earliest. Statuses that are neither claimed nor terminal make an execution due later, and keep the bound.
    fn watch(&self, transition: RequestedTransition, expression: &mut Expression) {
        if transition.to().is_terminal() {
            expression.remove(a::BY_DEADLINE);
            expression.remove(a::BOUND);
        } else if transition.to() == Status::Running {
            let now = number(self.now.millis());
            expression.assign(a::LAST_HEARTBEAT, now.clone());
            expression.assign(a::BY_DEADLINE, text(k::deadline_partition(k::deadline_shard(self.id))));
            if let Some(bound) = transition.revival_bound() {
                expression.assign(a::BOUND, number(bound.millis()));
                return;
            }
            let (bound, started) = (expression.name(a::BOUND), expression.name(a::STARTED_AT));
            let interval = expression.name(a::WATCH_INTERVAL);
            let (now, zero) = (expression.value(now), expression.value(number(0)));
            expression.set(&bound, &format!("if_not_exists({started}, {now}) + if_not_exists({interval}, {zero})"));
        }
    }

    /// Asks the worker to stop: the first request and its reason stay, and the next pass of supervision looks. The bound is no
    /// time of this request: its clock may be ahead, and the execution overdue already.
    fn request_cancel(&self, cancel: &CancelRequest, expression: &mut Expression) {
        let now = number(self.now.millis());
        for (name, value) in [(a::CANCEL_REQUESTED_AT, now), (a::CANCEL_REASON, text(logged_reason(&cancel.reason)))] {
            let (path, value) = (expression.name(name), expression.value(value));
            expression.set(&path, &format!("if_not_exists({path}, {value})"));
        }
        expression.assign(a::FORCE_AT, number(cancel.force_at.millis()));
        expression.assign(a::BY_DEADLINE, text(k::deadline_partition(k::deadline_shard(self.id))));
        expression.assign(a::BOUND, number(IN_EVERY_PASS));
    }

    /// Clears what a former attempt said, unless this request says it anew (contract, "The record"). It stays in the
    /// transition log. A duration that a writer gave counts for the status that it was given with; any other is derived
    /// where the record is read, for a subtraction from a `running` that never was cannot be written without a read.
    fn clear(&self, to: Status, expression: &mut Expression) {
        let fields = &self.change.fields;
        let errors = to == Status::Running || to == Status::Completed;
        for (name, cleared) in [
            (a::ERROR_MESSAGE, errors && fields.error_message.is_none()),
            (a::ERROR_DETAILS, errors && fields.error_details.is_none()),
            (a::COMPLETED_AT, to == Status::Running && fields.completed_at.is_none()),
            (a::DURATION, (to == Status::Running || to.is_terminal()) && fields.duration_ms.is_none()),
        ] {
            if cleared {
                expression.remove(name);
            }
        }
    }

    fn write_fields(&self, expression: &mut Expression) {
        for (name, value) in field_values(&self.change.fields) {
            expression.assign(name, value);
        }
    }

    /// What a failed condition means: no such execution, a duplicate, a rejection, or a fenced write.
    fn condition_failed(&self, item: Option<Item>, attempts: &Attempts) -> Result<Outcome, Error> {
        let Some(item) = item.filter(|item| !item.is_empty()) else { return Err(Error::NotFound) };
        match self.token.find(&item) {
            Some(Duplicate::KeyReused) => return Err(Error::IdempotencyKeyReused),
            Some(duplicate) => {
                let begun = attempt_of(&item, self.token.id());
                if let Some(rejection) = superseded(self.change, begun, &read_state(&item)?) {
                    return Err(rejection.into());
                }
                return self.changed(item, duplicate == Duplicate::Replay).map(Outcome::Changed);
            }
            None => {}
        }
        let fenced = self.change.transition.is_none().then(|| self.token.fenced(&item)).flatten();
        match decide(&self.rules, &read_state(&item)?, attempts.any_in_doubt(), fenced) {
            Decision::Rejected(error) => Err(error),
            Decision::Retry(fenced) => Ok(Outcome::Fenced(fenced)),
            Decision::Applied => Err(Error::internal("the store refused a write that no rule refuses")),
        }
    }

    /// A change that took effect, as `item` shows it.
    fn changed(&self, item: Item, replayed: bool) -> Result<Changed, Error> {
        let version = read_state(&item)?.version;
        Ok(Changed { version, replayed, head: item, write_id: self.token.id().to_owned() })
    }
}

/// The attributes that a change of fields sets.
fn field_values(fields: &FieldUpdates) -> Vec<(&'static str, AttributeValue)> {
    let json = |value: &Option<JsonText>| value.as_ref().map(|value| text(value.as_str()));
    let time = |value: Option<Timestamp>| value.map(|time| number(time.millis()));
    [
        (a::COMPLETED_AT, time(fields.completed_at)),
        (a::DURATION, fields.duration_ms.map(number)),
        (a::TIMEOUT, fields.timeout_seconds.map(number)),
        (a::FINAL_OUTPUT, json(&fields.final_output)),
        (a::ERROR_MESSAGE, fields.error_message.as_ref().map(text)),
        (a::ERROR_DETAILS, json(&fields.error_details)),
        (a::RETRY_COUNT, fields.retry_count.map(number)),
        (a::TOKENS, fields.tokens_used.map(number)),
        (a::TOOL_CALLS, fields.tool_calls_count.map(number)),
        (a::COST, json(&fields.cost_estimate)),
        (a::METRICS, json(&fields.performance_metrics)),
        (a::METADATA, json(&fields.metadata)),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name, value?)))
    .collect()
}

/// The size of the attributes that a change of fields sets, in bytes.
fn fields_size(fields: &FieldUpdates) -> usize {
    let attributes = field_values(fields).into_iter().map(|(name, value)| (name.to_owned(), value));
    item::size(&attributes.collect())
}

impl Store {
    /// Changes an execution: its status, its fields, or both, if every rule allows it. One request; two for an update
    /// of fields without an Idempotency-Key that was fenced by a write of a later time bucket (see `dedup`).
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`], [`Error::Rejected`], [`Error::IdempotencyKeyReused`], [`Error::UpdateTooLarge`]: nothing
    /// was written. [`Error::StoreUnavailable`]: nothing was written, and the change may be tried again.
    /// [`Error::OutcomeUnknown`]: the change may have been applied, or may still be.
    pub async fn change(&self, caller: &Caller, id: &ExecutionId, change: &Change) -> Result<Changed, Error> {
        self.change_at(caller, id, change, self.clock.now()).await
    }

    /// Changes an execution as [`Store::change`] does, by a reading of the clock that the change itself was made by.
    ///
    /// # Errors
    ///
    /// Those of [`Store::change`].
    pub(crate) async fn change_at(
        &self,
        caller: &Caller,
        id: &ExecutionId,
        change: &Change,
        now: Timestamp,
    ) -> Result<Changed, Error> {
        let size = fields_size(&change.fields);
        if size > MAX_ITEM {
            // No record can hold these fields, and the form of DynamoDB's error depends on where it detects that.
            return Err(Error::UpdateTooLarge { size, limit: MAX_ITEM });
        }
        let token = WriteToken::new(change.options.idempotency_key.as_ref(), now)?;
        let mut write =
            Write { caller, id, list_shards: self.list_shards, change, rules: Rule::all(change), token, now };
        for _ in 0..MAX_ATTEMPTS {
            match self.send(&write, size).await? {
                Outcome::Changed(changed) => return Ok(changed),
                Outcome::Fenced(fenced) => write.token.advance_to(fenced),
            }
        }
        Err(Error::StoreUnavailable { reason: "fenced by writers whose clocks are ahead, again and again".to_owned() })
    }

    /// Changes an execution as [`Store::change`] does, and returns the record besides. One request more where the inputs are
    /// in an item of their own, or where there are steps.
    ///
    /// # Errors
    ///
    /// Those of [`Store::change`]. [`Error::OutcomeUnknown`] also where the change took effect and the rest of the record
    /// could not be read: a repeat with the same Idempotency-Key reads it.
    pub async fn change_record(
        &self,
        caller: &Caller,
        id: &ExecutionId,
        change: &Change,
    ) -> Result<(Changed, Execution), Error> {
        let changed = self.change(caller, id, change).await?;
        let writes = !change.changes_nothing() || change.options.idempotency_key.is_some();
        let execution = self.complete(caller, id, &changed.head).await.map_err(|error| match error {
            // What changes nothing leaves a write token all the same, where it has a key.
            Error::StoreUnavailable { reason } if writes => Error::OutcomeUnknown { reason },
            error => error,
        })?;
        Ok((changed, execution))
    }

    /// Sends a write: one request. `size` is that of the fields, in bytes.
    async fn send(&self, write: &Write<'_>, size: usize) -> Result<Outcome, Error> {
        let expression = write.expression();
        let attempts = Attempts::default();
        let outcome = self
            .update_item(k::execution_pk(&write.caller.organization, write.id), a::HEAD_SK, expression)
            .return_values(ReturnValue::AllNew)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .customize()
            .interceptor(attempts.clone())
            .send()
            .await;
        match outcome {
            Ok(output) => {
                let item = output.attributes.ok_or_else(|| Error::internal("the store returned no item"))?;
                write.changed(item, false).map(Outcome::Changed)
            }
            Err(error) => {
                if let Some(UpdateItemError::ConditionalCheckFailedException(failed)) = error.as_service_error() {
                    return write.condition_failed(failed.item().cloned(), &attempts);
                }
                if is_too_large(&error) {
                    return Err(Error::UpdateTooLarge { size, limit: MAX_ITEM });
                }
                Err(failed_write(&error, &attempts))
            }
        }
    }
}
