//! The write: one `UpdateItem` whose condition decides, and whose answer tells done, refused, missing and repeated apart.
//!
//! Each [`Rule`] stands here once, with the condition that enforces it and the explanation of why a state breaks it.

use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue, ReturnValuesOnConditionCheckFailure};

use super::attempts::{Attempts, failed_write, is_too_large};
use super::attributes as a;
use super::expression::{Expression, number, text};
use super::item::{self, Item, State, log_entry, read_execution, read_state, read_transitions};
use super::marks::{Mark, Overtaken, Seen};
use super::{MAX_ITEM, Store};
use crate::auth::Caller;
use crate::clock::Timestamp;
use crate::error::{Error, Large, Refusal};
use crate::execution::{Execution, Transition};
use crate::json::JsonText;
use crate::request::update::{Change, FieldUpdates, RequestedTransition};
use crate::request::{ExecutionId, IfMatch};
use crate::status::Status;

/// How often an overtaken write begins again, and once. Twice [`OPERATION_TIMEOUT`](super::OPERATION_TIMEOUT) fits into a
/// function's 10 s, as for execute flow.
pub const ROUNDS: usize = 2;

/// What became of a change that took effect, now or at an earlier try.
#[derive(Debug)]
pub struct Changed {
    /// The record: after the change or, for a repeat, as it now stands.
    pub execution: Execution,
    /// The transition that this change was, if it was one.
    pub transition: Option<Transition>,
    /// Whether an earlier request with the same Idempotency-Key did it.
    pub replayed: bool,
}

/// What must hold for a change, besides that the execution exists and that the change was not applied before.
#[derive(Debug, Clone)]
pub enum Rule {
    /// If-Match.
    Version(Vec<i64>),
    /// The table of transitions.
    Transition(RequestedTransition),
    /// `retrying` needs a retry that is left.
    RetryLeft,
    /// `retry_count` may not fall and may not pass `max_retries`. Entering `retrying` counts one, so it must rise then.
    RetryCount {
        /// The `retry_count` that is asked for.
        requested: i64,
        /// Whether it must be more than it was.
        rising: bool,
    },
    /// These fields are frozen in a terminal status.
    NotFinished(Vec<&'static str>),
}

impl Rule {
    /// The rules of a change, in the order in which a refusal is explained.
    #[must_use]
    pub fn all(change: &Change) -> Vec<Self> {
        let mut rules = Vec::new();
        if let Some(IfMatch::Versions(versions)) = &change.options.if_match {
            rules.push(Self::Version(versions.clone()));
        }
        let retrying = change.transition.is_some_and(|transition| transition.to.counts_a_retry());
        if let Some(transition) = change.transition {
            rules.push(Self::Transition(transition));
        } else {
            let frozen = change.fields.frozen();
            if !frozen.is_empty() {
                rules.push(Self::NotFinished(frozen));
            }
        }
        if retrying {
            rules.push(Self::RetryLeft);
        }
        if let Some(requested) = change.fields.retry_count {
            rules.push(Self::RetryCount { requested, rising: retrying });
        }
        rules
    }

    /// Lets the store enforce the rule.
    fn require(&self, expression: &mut Expression) {
        match self {
            Self::Version(versions) => {
                let versions = versions.iter().map(|version| number(*version)).collect();
                let condition = is_one_of(expression, a::VERSION, versions);
                expression.require(condition);
            }
            Self::Transition(transition) => {
                let condition = is_one_of(expression, a::STATUS, statuses(transition.sources));
                expression.require(condition);
            }
            Self::NotFinished(_) => {
                let finished = is_one_of(expression, a::STATUS, statuses(&Status::TERMINAL));
                expression.require(format!("(NOT {finished})"));
            }
            Self::RetryLeft => {
                let (count, most) = (expression.name(a::RETRY_COUNT), expression.name(a::MAX_RETRIES));
                expression.require(format!("{count} < {most}"));
            }
            Self::RetryCount { requested, rising } => {
                let (count, most) = (expression.name(a::RETRY_COUNT), expression.name(a::MAX_RETRIES));
                let requested = expression.value(number(*requested));
                let below = if *rising { "<" } else { "<=" };
                expression.require(format!("{count} {below} {requested}"));
                expression.require(format!("{requested} <= {most}"));
            }
        }
    }

    /// Why `state` breaks the rule, if it does.
    fn broken_by(&self, state: &State) -> Option<Refusal> {
        match self {
            Self::Version(versions) => {
                (!versions.contains(&state.version)).then_some(Refusal::Version { current: state.version })
            }
            Self::Transition(RequestedTransition { to, sources }) => (!sources.contains(&state.status))
                .then_some(Refusal::Transition { current: state.status, requested: *to, sources }),
            Self::NotFinished(fields) => {
                state.status.is_terminal().then(|| Refusal::Finished { current: state.status, fields: fields.clone() })
            }
            Self::RetryLeft => (state.retry_count >= state.max_retries).then_some(Refusal::NoRetryLeft {
                current: state.status,
                retry_count: state.retry_count,
                max_retries: state.max_retries,
            }),
            Self::RetryCount { requested, rising } => {
                let least = state.retry_count + i64::from(*rising);
                (*requested < least || *requested > state.max_retries).then_some(Refusal::RetryCount {
                    requested: *requested,
                    least,
                    most: state.max_retries,
                })
            }
        }
    }

    /// Whether no later state can satisfy the rule, given that `state` breaks it.
    ///
    /// Versions and retry counts only rise, `max_retries` never changes, and nothing leaves a terminal status.
    fn broken_for_good(&self, state: &State) -> bool {
        match self {
            Self::Version(versions) => versions.iter().all(|version| *version <= state.version),
            Self::Transition(transition) => state.status.is_terminal() || transition.sources.is_empty(),
            Self::NotFinished(_) | Self::RetryLeft | Self::RetryCount { .. } => true,
        }
    }
}

/// What becomes of a write that a record does not know yet.
#[derive(Debug)]
pub enum Verdict {
    /// It is done: every rule holds.
    Done,
    /// It is not done, and why.
    Refused(Error),
    /// It is not done, and has to begin again: it was overtaken, and no rule refuses it.
    Again(Overtaken),
}

/// What becomes of a write with these rules in `state`: the same rules are the store's condition. It is a pure function,
/// so that the model of the protocol (`tests/model`) runs on it too.
///
/// `lost` says that the answer of an attempt before this one was lost. That attempt may still be on its way, and be
/// applied once the state has changed. A refusal is then only told where that cannot happen: no later state can lift it,
/// or the write was `overtaken` (see `marks`).
#[must_use]
pub fn verdict(rules: &[Rule], state: &State, lost: bool, overtaken: Option<Overtaken>) -> Verdict {
    let unknown = |reason: &str| Verdict::Refused(Error::OutcomeUnknown { reason: reason.to_owned() });
    if lost && overtaken.is_some_and(|overtaken| !overtaken.mark_kept) {
        return unknown("an attempt was lost, and others have written for so long that its mark would be gone");
    }
    let Some(refusal) = rules.iter().find_map(|rule| rule.broken_by(state)) else {
        return overtaken.map_or(Verdict::Done, Verdict::Again);
    };
    let settled =
        overtaken.is_some() || rules.iter().any(|rule| rule.broken_by(state).is_some() && rule.broken_for_good(state));
    if lost && !settled {
        return unknown("refused, but an attempt before that was lost and may still be applied");
    }
    Verdict::Refused(refusal.into())
}

fn statuses(statuses: &[Status]) -> Vec<AttributeValue> {
    statuses.iter().map(|status| text(status.as_str())).collect()
}

/// The condition that an attribute is one of `values`. One of none is never true.
fn is_one_of(expression: &mut Expression, name: &str, values: Vec<AttributeValue>) -> String {
    let name = expression.name(name);
    if values.is_empty() {
        // The item exists, so every one of its own attributes does.
        return format!("attribute_not_exists({name})");
    }
    let values: Vec<String> = values.into_iter().map(|value| expression.value(value)).collect();
    format!("{name} IN ({})", values.join(", "))
}

/// One change on its way: all that is needed to write it and to understand the answer.
struct Write<'a> {
    caller: &'a Caller,
    id: &'a ExecutionId,
    change: &'a Change,
    rules: Vec<Rule>,
    mark: Mark,
    now: Timestamp,
}

impl Write<'_> {
    fn expression(&self) -> Expression {
        let mut expression = Expression::default();
        let pk = expression.name(a::PK);
        expression.require(format!("attribute_exists({pk})"));
        let idle = self.change.transition.is_none() && self.change.fields.is_empty();
        if idle && self.change.options.idempotency_key.is_none() {
            // `{}` changes nothing, so that a repeat of it needs no mark; If-Match still counts.
            self.require_rules(&mut expression);
            return expression;
        }
        self.mark.require_unseen(&mut expression);
        self.require_rules(&mut expression);
        match &self.change.transition {
            Some(transition) => self.enter(transition.to, &mut expression),
            None => self.mark.leave(&mut expression),
        }
        if !idle {
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

    /// Enters a status: with it the index key, the log, and what the status itself sets.
    fn enter(&self, to: Status, expression: &mut Expression) {
        let (organization, shard) = (&self.caller.organization, a::shard(self.id));
        expression.assign(a::STATUS, text(to.as_str()));
        expression.assign(a::BY_STATUS, text(a::status_partition(organization, shard, to)));

        let entry = expression.member(a::TRANSITIONS, self.mark.id());
        let reason = self.change.fields.error_message.as_deref();
        let content = expression.value(log_entry(&self.mark, to, self.now, self.caller, reason));
        expression.set(&entry, &content);
        let entry = expression.member(a::TRANSITION_VERSIONS, self.mark.id());
        let version = expression.name(a::VERSION);
        let one = expression.value(number(1));
        expression.set(&entry, &format!("{version} + {one}"));

        // Every placeholder must be used: DynamoDB refuses an expression with one left over.
        if to == Status::Running {
            let started = expression.name(a::STARTED_AT);
            let now = expression.value(number(self.now.millis()));
            expression.set(&started, &format!("if_not_exists({started}, {now})"));
        }
        if to.is_terminal() {
            if self.change.fields.completed_at.is_none() {
                expression.assign(a::COMPLETED_AT, number(self.now.millis()));
            }
            if self.change.fields.duration_ms.is_none() {
                let completed = self.change.fields.completed_at.unwrap_or(self.now);
                let completed = expression.value(number(completed.millis()));
                let (started, created) = (expression.name(a::STARTED_AT), expression.name(a::CREATED_AT));
                let duration = expression.name(a::DURATION);
                expression.set(&duration, &format!("{completed} - if_not_exists({started}, {created})"));
            }
        }
        if to.counts_a_retry() && self.change.fields.retry_count.is_none() {
            let count = expression.name(a::RETRY_COUNT);
            expression.set(&count, &format!("{count} + {one}"));
        }
    }

    fn write_fields(&self, expression: &mut Expression) {
        for (name, value) in field_values(&self.change.fields) {
            expression.assign(name, value);
        }
    }

    /// What a refused write means. Overtaken, it was not applied and has to begin again: no attempt at it can be any more.
    fn refused(&self, item: Option<&Item>, attempts: &Attempts) -> Result<Result<Changed, Overtaken>, Error> {
        let Some(item) = item.filter(|item| !item.is_empty()) else { return Err(Error::NotFound) };
        match self.mark.seen(item) {
            Some(Seen::OtherBody) => return Err(Error::KeyReused),
            Some(seen) => {
                return Ok(Ok(Changed {
                    execution: read_execution(item)?,
                    transition: self.transition(item)?,
                    replayed: seen == Seen::Repeat,
                }));
            }
            None => {}
        }
        let overtaken = self.change.transition.is_none().then(|| self.mark.overtaken(item)).flatten();
        match verdict(&self.rules, &read_state(item)?, attempts.any_lost(), overtaken) {
            Verdict::Refused(error) => Err(error),
            Verdict::Again(overtaken) => Ok(Err(overtaken)),
            Verdict::Done => Err(Error::internal("the store refused a write that no rule refuses")),
        }
    }

    /// This change's entry in the log.
    fn transition(&self, item: &Item) -> Result<Option<Transition>, Error> {
        if self.change.transition.is_none() {
            return Ok(None);
        }
        let log = read_transitions(item)?;
        Ok(log.into_iter().find(|(id, _)| id == self.mark.id()).map(|(_, transition)| transition))
    }
}

/// The attributes that a change of fields sets.
fn field_values(fields: &FieldUpdates) -> Vec<(&'static str, AttributeValue)> {
    let json = |value: &Option<JsonText>| value.as_ref().map(|value| text(value.as_str()));
    let time = |value: Option<Timestamp>| value.map(|time| number(time.millis()));
    [
        (a::COMPLETED_AT, time(fields.completed_at)),
        (a::DURATION, fields.duration_ms.map(number)),
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

/// How many bytes the attributes of a change of fields have.
fn fields_size(fields: &FieldUpdates) -> usize {
    let attributes = field_values(fields).into_iter().map(|(name, value)| (name.to_owned(), value));
    item::size(&attributes.collect())
}

impl Store {
    /// Changes an execution: its status, its fields, or both, if every rule allows it. One request; two for an update of
    /// fields without a key that was overtaken by a writer of a later stretch (see `marks`).
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`], [`Error::Refused`], [`Error::KeyReused`], [`Error::TooLarge`]: nothing was written.
    /// [`Error::StoreUnavailable`]: nothing was written, and it may be tried again. [`Error::OutcomeUnknown`]: it may
    /// have been written, or may still be.
    pub async fn change(&self, caller: &Caller, id: &ExecutionId, change: &Change) -> Result<Changed, Error> {
        let size = fields_size(&change.fields);
        if size > MAX_ITEM {
            // No record can hold it, and how DynamoDB says so depends on where it notices.
            return Err(Error::TooLarge { what: Large::Update, size, limit: MAX_ITEM });
        }
        let now = self.clock.now();
        let mark = Mark::new(change.options.idempotency_key.as_ref(), now)?;
        let mut write = Write { caller, id, change, rules: Rule::all(change), mark, now };
        for _ in 0..ROUNDS {
            match self.send(&write, size).await? {
                Ok(changed) => return Ok(changed),
                Err(overtaken) => write.mark.catch_up(overtaken),
            }
        }
        Err(Error::StoreUnavailable {
            reason: "overtaken by writers whose clocks are ahead, again and again".to_owned(),
        })
    }

    /// Sends a write: one request. `size` is that of the fields, in bytes.
    async fn send(&self, write: &Write<'_>, size: usize) -> Result<Result<Changed, Overtaken>, Error> {
        let expression = write.expression();
        let (update, condition) = (expression.update(), expression.condition());
        let (names, values) = expression.into_maps();
        let attempts = Attempts::default();
        let outcome = self
            .client
            .update_item()
            .table_name(&self.table)
            .key(a::PK, text(a::execution_pk(&write.caller.organization, write.id)))
            .key(a::SK, text(a::HEAD))
            .set_update_expression(update)
            .set_condition_expression(condition)
            .set_expression_attribute_names(names)
            .set_expression_attribute_values(values)
            .return_values(ReturnValue::AllNew)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .customize()
            .interceptor(attempts.clone())
            .send()
            .await;
        match outcome {
            Ok(output) => {
                let item = output.attributes.ok_or_else(|| Error::internal("the store returned no item"))?;
                let (execution, transition) = (read_execution(&item)?, write.transition(&item)?);
                Ok(Ok(Changed { execution, transition, replayed: false }))
            }
            Err(error) => {
                if let Some(UpdateItemError::ConditionalCheckFailedException(failed)) = error.as_service_error() {
                    return write.refused(failed.item(), &attempts);
                }
                if is_too_large(&error) {
                    return Err(Error::TooLarge { what: Large::Update, size, limit: MAX_ITEM });
                }
                Err(failed_write(&error, &attempts))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(to: Option<Status>, fields: FieldUpdates) -> Change {
        let transition = to.map(|to| RequestedTransition { to, sources: to.sources() });
        Change { transition, fields, options: crate::request::WriteOptions::default() }
    }

    fn state(status: Status) -> State {
        State { status, version: 3, retry_count: 1, max_retries: 2 }
    }

    fn broken(change: &Change, state: &State) -> Option<Refusal> {
        Rule::all(change).iter().find_map(|rule| rule.broken_by(state))
    }

    #[test]
    fn a_retry_is_refused_when_none_is_left() {
        let retrying = change(Some(Status::Retrying), FieldUpdates::default());
        assert_eq!(broken(&retrying, &state(Status::Running)), None);
        let spent = State { retry_count: 2, ..state(Status::Running) };
        assert!(matches!(broken(&retrying, &spent), Some(Refusal::NoRetryLeft { retry_count: 2, .. })));
    }

    #[test]
    fn a_retry_count_may_rise_to_the_limit_and_not_fall() {
        let count = |to, count| change(to, FieldUpdates { retry_count: Some(count), ..FieldUpdates::default() });
        for (to, requested, allowed) in [
            (None, 0, false),
            (None, 1, true),
            (None, 2, true),
            (None, 3, false),
            (Some(Status::Retrying), 1, false),
            (Some(Status::Retrying), 2, true),
            (Some(Status::Retrying), 3, false),
        ] {
            let refused = broken(&count(to, requested), &state(Status::Running));
            assert_eq!(refused.is_none(), allowed, "{to:?} {requested}");
        }
    }

    #[test]
    fn a_refusal_that_a_later_state_could_lift_is_not_final() {
        let rule = |to: Status| Rule::Transition(RequestedTransition { to, sources: to.sources() });
        assert!(!rule(Status::Running).broken_for_good(&state(Status::Running)));
        assert!(rule(Status::Running).broken_for_good(&state(Status::Failed)));
        assert!(rule(Status::Pending).broken_for_good(&state(Status::Running)));
        assert!(Rule::Version(vec![1, 3]).broken_for_good(&state(Status::Running)));
        assert!(!Rule::Version(vec![4]).broken_for_good(&state(Status::Running)));
    }
}
