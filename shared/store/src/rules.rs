//! The rules of the write. Each [`Rule`] is defined here once: the condition that enforces it, the explanation of why a
//! state violates it, and whether a later state can still satisfy it.

use aws_sdk_dynamodb::types::AttributeValue;
use ratchet_model::change::{Change, IfMatch, RequestedTransition};
use ratchet_model::clock::Timestamp;
use ratchet_model::error::{Error, Rejection};
use ratchet_model::status::Status;

use crate::dedup::Fenced;
use crate::expression::{Expression, number, text};
use crate::item::State;
use crate::schema as a;

/// What a request to cancel asks of the status: that there is a worker who can hear it.
const REQUEST_TO_CANCEL: RequestedTransition = RequestedTransition::request_to_cancel();

/// What must hold for a change, besides that the execution exists and that the change was not applied before.
#[derive(Debug, Clone)]
pub enum Rule {
    /// If-Match.
    Version(Vec<i64>),
    /// The writer speaks for the present attempt.
    Attempt(i64),
    /// The table of transitions.
    Transition(RequestedTransition),
    /// `retrying` needs a retry to be left.
    RetryLeft,
    /// Once a cancel is requested nobody may enter this status.
    NoCancelRequested(Status),
    /// No cancel is requested that is forced as early as this.
    CancelsSooner(Timestamp),
    /// No heartbeat has come since this one.
    Heard(Option<Timestamp>),
    /// `retry_count` may not fall and may not pass `max_retries`. Entering `retrying` counts one, so it must rise then.
    RetryCount {
        /// The requested `retry_count`.
        requested: i64,
        /// Whether it must be greater than the present one.
        rising: bool,
    },
    /// These fields are frozen in a terminal status.
    NotFinished(Vec<&'static str>),
    /// `timeout_seconds` may not fall below what it is.
    TimeoutRises(i64),
}

impl Rule {
    /// The rules of a change. A rejection explains the first of them that is violated.
    #[must_use]
    pub fn all(change: &Change) -> Vec<Self> {
        let mut rules = Vec::new();
        if let Some(IfMatch::Versions(versions)) = &change.options.if_match {
            rules.push(Self::Version(versions.clone()));
        }
        if let Some(judged) = &change.judged {
            rules.extend([Self::Version(vec![judged.version]), Self::Heard(judged.last_heartbeat)]);
        }
        if let Some(attempt) = change.attempt {
            rules.push(Self::Attempt(attempt));
        }
        let retrying = change.transition.is_some_and(|transition| transition.to().counts_a_retry());
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
        if let Some(transition) = change.transition.filter(RequestedTransition::is_refused_after_cancel) {
            rules.push(Self::NoCancelRequested(transition.to()));
        }
        if change.cancel.is_some() || change.cancel_stands {
            rules.push(Self::Transition(REQUEST_TO_CANCEL));
        }
        if let Some(cancel) = &change.cancel {
            rules.push(Self::CancelsSooner(cancel.force_at));
        }
        if let Some(requested) = change.fields.retry_count {
            rules.push(Self::RetryCount { requested, rising: retrying });
        }
        if let Some(requested) = change.fields.timeout_seconds {
            rules.push(Self::TimeoutRises(requested));
        }
        rules
    }

    /// Adds the rule to the condition of the write.
    pub(crate) fn require(&self, expression: &mut Expression) {
        match self {
            Self::Version(versions) => {
                let versions = versions.iter().map(|version| number(*version)).collect();
                let condition = is_one_of(expression, a::VERSION, versions);
                expression.require(condition);
            }
            Self::Attempt(attempt) => {
                let present = expression.name(a::ATTEMPT);
                // Before the first attempt there is no number.
                let condition = if *attempt == 0 {
                    format!("attribute_not_exists({present})")
                } else {
                    format!("{present} = {}", expression.value(number(*attempt)))
                };
                expression.require(condition);
            }
            Self::Transition(transition) => {
                let condition = is_one_of(expression, a::STATUS, statuses(transition.allowed_sources()));
                expression.require(condition);
            }
            Self::NotFinished(_) => {
                let finished = is_one_of(expression, a::STATUS, statuses(&Status::TERMINAL));
                expression.require(format!("(NOT {finished})"));
            }
            Self::RetryLeft => {
                let (count, max) = (expression.name(a::RETRY_COUNT), expression.name(a::MAX_RETRIES));
                expression.require(format!("{count} < {max}"));
            }
            Self::NoCancelRequested(_) => {
                let requested_at = expression.name(a::CANCEL_REQUESTED_AT);
                expression.require(format!("attribute_not_exists({requested_at})"));
            }
            Self::CancelsSooner(force_at) => {
                let present = expression.name(a::FORCE_AT);
                let force_at = expression.value(number(force_at.millis()));
                expression.require(format!("(NOT {present} <= {force_at})"));
            }
            Self::Heard(last) => {
                let present = expression.name(a::LAST_HEARTBEAT);
                let condition = match last {
                    Some(last) => format!("{present} = {}", expression.value(number(last.millis()))),
                    None => format!("attribute_not_exists({present})"),
                };
                expression.require(condition);
            }
            Self::RetryCount { requested, rising } => {
                let (count, max) = (expression.name(a::RETRY_COUNT), expression.name(a::MAX_RETRIES));
                let requested = expression.value(number(*requested));
                let comparison = if *rising { "<" } else { "<=" };
                expression.require(format!("{count} {comparison} {requested}"));
                expression.require(format!("{requested} <= {max}"));
            }
            Self::TimeoutRises(requested) => {
                let present = expression.name(a::TIMEOUT);
                let requested = expression.value(number(*requested));
                expression.require(format!("{present} <= {requested}"));
            }
        }
    }

    /// Why `state` violates the rule, if it does.
    pub(crate) fn violated_by(&self, state: &State) -> Option<Rejection> {
        match self {
            Self::Version(versions) => {
                (!versions.contains(&state.version)).then_some(Rejection::Version { current: state.version })
            }
            Self::Attempt(requested) => (*requested != state.attempt)
                .then_some(Rejection::Attempt { requested: *requested, current: state.attempt }),
            Self::Transition(transition) => {
                let allowed_sources = transition.allowed_sources();
                (!allowed_sources.contains(&state.status)).then_some(Rejection::Transition {
                    current: state.status,
                    requested: transition.to(),
                    allowed_sources,
                })
            }
            Self::NotFinished(fields) => state
                .status
                .is_terminal()
                .then(|| Rejection::Finished { current: state.status, fields: fields.clone() }),
            Self::RetryLeft => (state.retry_count >= state.max_retries).then_some(Rejection::NoRetryLeft {
                current: state.status,
                retry_count: state.retry_count,
                max_retries: state.max_retries,
            }),
            Self::NoCancelRequested(requested) => state
                .force_at
                .is_some()
                .then_some(Rejection::CancelRequested { current: state.status, requested: *requested }),
            Self::CancelsSooner(force_at) => state
                .force_at
                .is_some_and(|present| present <= *force_at)
                .then_some(Rejection::CancelledSooner { current: state.status }),
            Self::Heard(last) => (state.last_heartbeat != *last).then_some(Rejection::HeardSince),
            Self::RetryCount { requested, rising } => {
                let min = state.retry_count + i64::from(*rising);
                (*requested < min || *requested > state.max_retries).then_some(Rejection::RetryCount {
                    requested: *requested,
                    min,
                    max: state.max_retries,
                })
            }
            Self::TimeoutRises(requested) => (*requested < state.timeout_seconds)
                .then_some(Rejection::Timeout { requested: *requested, min: state.timeout_seconds }),
        }
    }

    /// Whether no later state can satisfy the rule, given that `state` violates it.
    ///
    /// Versions, attempts, timeouts and retry counts only rise, and heartbeats within a version; `max_retries` never changes,
    /// nothing leaves a terminal status, and a requested cancel is not taken back, nor forced later.
    pub(crate) fn permanently_violated_by(&self, state: &State) -> bool {
        match self {
            Self::Version(versions) => versions.iter().all(|version| *version <= state.version),
            Self::Attempt(requested) => *requested < state.attempt,
            Self::Transition(transition) => state.status.is_terminal() || transition.allowed_sources().is_empty(),
            Self::Heard(last) => state.last_heartbeat > *last,
            Self::NotFinished(_)
            | Self::RetryLeft
            | Self::NoCancelRequested(_)
            | Self::CancelsSooner(_)
            | Self::RetryCount { .. }
            | Self::TimeoutRises(_) => true,
        }
    }
}

/// What happens to a write whose write token is not on the record.
#[derive(Debug)]
pub enum Decision {
    /// It is applied: every rule holds.
    Applied,
    /// It is rejected, and why.
    Rejected(Error),
    /// It is not applied, and has to be sent again in a later time bucket: it was fenced, and no rule rejects it.
    Retry(Fenced),
}

/// Decides about a write with these rules on a record in `state`. The same rules are the write's condition. This is a
/// pure function, so that the model of the protocol (`tests/model`) runs it, too.
///
/// `in_doubt` says that an earlier attempt is in doubt. It may still be under way, and be applied once the state has
/// changed. A rejection is then returned only where that cannot happen: no later state can lift it, or the write was
/// `fenced` (see `dedup`).
#[must_use]
pub fn decide(rules: &[Rule], state: &State, in_doubt: bool, fenced: Option<Fenced>) -> Decision {
    let unknown = |reason: &str| Decision::Rejected(Error::OutcomeUnknown { reason: reason.to_owned() });
    if in_doubt && fenced.is_some_and(|fenced| !fenced.token_retained) {
        return unknown("an attempt is in doubt, and others have written for so long that its token would be gone");
    }
    let Some(rejection) = rules.iter().find_map(|rule| rule.violated_by(state)) else {
        return fenced.map_or(Decision::Applied, Decision::Retry);
    };
    let settled = fenced.is_some()
        || rules.iter().any(|rule| rule.violated_by(state).is_some() && rule.permanently_violated_by(state));
    if in_doubt && !settled {
        return unknown("rejected, but an earlier attempt is in doubt and may still be applied");
    }
    Decision::Rejected(rejection.into())
}

/// Why a duplicate of a write is not answered as the success that the write was, if it is not.
///
/// There is one such duplicate: that of a claim, where another worker has claimed since. The record would show the other's
/// attempt as the caller's own (contract, "Concurrency and repeats"). `begun` is the attempt that the claim began.
#[must_use]
pub fn superseded(change: &Change, begun: Option<i64>, state: &State) -> Option<Rejection> {
    let is_claim = change.transition.is_some_and(|transition| transition.begins_an_attempt());
    let begun = begun.filter(|begun| is_claim && *begun != state.attempt)?;
    Some(Rejection::ClaimSuperseded { begun, current: state.attempt })
}

fn statuses(statuses: &[Status]) -> Vec<AttributeValue> {
    statuses.iter().map(|status| text(status.as_str())).collect()
}

/// The condition that an attribute is one of `values`. With no values it is never true.
fn is_one_of(expression: &mut Expression, name: &str, values: Vec<AttributeValue>) -> String {
    let name = expression.name(name);
    if values.is_empty() {
        // The item exists, so every one of its own attributes does.
        return format!("attribute_not_exists({name})");
    }
    let values: Vec<String> = values.into_iter().map(|value| expression.value(value)).collect();
    format!("{name} IN ({})", values.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ratchet_model::change::FieldUpdates;

    fn change(to: Option<Status>, fields: FieldUpdates) -> Change {
        Change { transition: to.map(RequestedTransition::report), fields, ..Change::default() }
    }

    fn state(status: Status) -> State {
        State {
            status,
            version: 3,
            attempt: 2,
            retry_count: 1,
            max_retries: 2,
            timeout_seconds: 300,
            last_heartbeat: None,
            force_at: None,
        }
    }

    fn violation(change: &Change, state: &State) -> Option<Rejection> {
        Rule::all(change).iter().find_map(|rule| rule.violated_by(state))
    }

    #[test]
    fn a_retry_is_rejected_when_none_is_left() {
        let retrying = change(Some(Status::Retrying), FieldUpdates::default());
        assert_eq!(violation(&retrying, &state(Status::Running)), None);
        let spent = State { retry_count: 2, ..state(Status::Running) };
        assert!(matches!(violation(&retrying, &spent), Some(Rejection::NoRetryLeft { retry_count: 2, .. })));
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
            let rejection = violation(&count(to, requested), &state(Status::Running));
            assert_eq!(rejection.is_none(), allowed, "{to:?} {requested}");
        }
    }

    #[test]
    fn a_rejection_that_a_later_state_could_lift_is_not_permanent() {
        let rule = |to: Status| Rule::Transition(RequestedTransition::report(to));
        assert!(!rule(Status::Running).permanently_violated_by(&state(Status::Running)));
        assert!(rule(Status::Running).permanently_violated_by(&state(Status::Failed)));
        assert!(rule(Status::Pending).permanently_violated_by(&state(Status::Running)));
        assert!(Rule::Version(vec![1, 3]).permanently_violated_by(&state(Status::Running)));
        assert!(!Rule::Version(vec![4]).permanently_violated_by(&state(Status::Running)));
    }

    #[test]
    fn a_report_for_an_attempt_that_may_still_come_is_not_refused_for_good() {
        let decide_for = |attempt: i64| {
            let change = Change { attempt: Some(attempt), ..change(Some(Status::Completed), FieldUpdates::default()) };
            decide(&Rule::all(&change), &state(Status::Running), true, None)
        };
        // Attempt 2 is the present one: the first is over, and the third may begin while an attempt at this write is under way.
        assert!(matches!(
            decide_for(1),
            Decision::Rejected(Error::Rejected(Rejection::Attempt { requested: 1, current: 2 }))
        ));
        assert!(matches!(decide_for(2), Decision::Applied));
        assert!(matches!(decide_for(3), Decision::Rejected(Error::OutcomeUnknown { .. })));
    }
}
