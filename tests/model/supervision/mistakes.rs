//! Designs that look sufficient. The same model shows how each of them is wrong.

use super::properties::{
    CANCEL_STANDS, ENDED, HEARD_RISES, HEARTBEATS_WIN, NEVER_EARLY, NEVER_LOST, NEVER_REFUSED, NEVER_TWICE,
    REPORTS_WIN, SETTLED, TABLE, TERMINAL,
};
use super::slices::{
    attempts, cancels, claims, counterexample, deadlines, exhaust, heard_cancels, heartbeats, lagging_reads,
};
use super::steps::Bounds;

/// What is done wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mistake {
    /// Supervision's write requires nothing but that the execution exists.
    NoCondition,
    /// A change leaves no token.
    NoToken,
    /// Supervision's write does not require that no heartbeat came since it looked.
    ConditionWithoutHeartbeat,
    /// Supervision's write does not require the version that it saw.
    ConditionWithoutVersion,
    /// An entry is filed anew whatever the version is by then.
    FiledAnewWithoutVersion,
    /// A heartbeat sets its time, be it later or not.
    HeartbeatNotMonotone,
    /// A claim is no heartbeat.
    ClaimWithoutHeartbeat,
    /// The bound of a claim is the deadline.
    BoundOfTheTimeoutAlone,
    /// A revival leaves the bound where it is.
    RevivalKeepsTheBound,
    /// A revival sets the bound of a claim, even if a cancel is due before.
    RevivalForgetsTheCancel,
    /// A revival does not require the version that the refused heartbeat returned.
    RevivalWithoutVersion,
    /// Only the first claim sets a bound.
    ClaimKeepsTheBound,
    /// A request to cancel leaves the bound where it is.
    CancelKeepsTheBound,
    /// A request to cancel sets the bound to the time of the request.
    CancelSetsTheBoundToItsTime,
    /// The end of an execution leaves its entry in the index.
    EndedStaysInTheIndex,
    /// Supervision takes its own clock for the time.
    NoTolerance,
    /// Supervision takes the bound for the moment at which an execution is due.
    ActsOnTheBound,
    /// A heartbeat itself enters `running`, if the execution is interrupted.
    LateHeartbeatRevives,
    /// An execution may be claimed after a cancel was requested.
    ClaimAfterCancel,
    /// A cancel that is requested again is forced when the last request says.
    CancelForcedLater,
}

/// Each of these properties must break.
fn breaks(mistake: Mistake, bounds: &Bounds, properties: &[&'static str]) {
    for property in properties {
        counterexample(Bounds { mistake: Some(mistake), ..bounds.clone() }, property);
    }
}

#[test]
fn a_pass_that_writes_without_a_condition_replaces_the_result_of_a_run_that_has_ended() {
    breaks(Mistake::NoCondition, &lagging_reads(), &[REPORTS_WIN, TERMINAL, TABLE]);
}

#[test]
fn without_tokens_the_services_own_retry_is_refused_by_itself_and_a_late_attempt_claims_again() {
    breaks(Mistake::NoToken, &cancels(), &[NEVER_REFUSED]);
    breaks(Mistake::NoToken, &claims(), &[NEVER_TWICE]);
}

#[test]
fn a_condition_without_the_last_heartbeat_interrupts_a_worker_that_was_just_heard() {
    breaks(Mistake::ConditionWithoutHeartbeat, &heartbeats(), &[HEARTBEATS_WIN, NEVER_EARLY]);
}

#[test]
fn a_condition_without_the_version_ends_a_run_whose_deadline_was_just_put_off() {
    breaks(Mistake::ConditionWithoutVersion, &deadlines(), &[REPORTS_WIN, NEVER_EARLY]);
}

#[test]
fn an_entry_filed_anew_without_the_version_hides_a_run_that_was_revived_meanwhile() {
    breaks(Mistake::FiledAnewWithoutVersion, &heartbeats(), &[NEVER_LOST, SETTLED]);
}

#[test]
fn a_heartbeat_that_moves_the_last_one_back_makes_a_worker_silent_that_was_heard() {
    breaks(Mistake::HeartbeatNotMonotone, &heartbeats(), &[HEARD_RISES, NEVER_EARLY, NEVER_LOST]);
}

#[test]
fn a_claim_that_is_no_heartbeat_leaves_its_worker_the_silence_of_the_one_before() {
    breaks(Mistake::ClaimWithoutHeartbeat, &attempts(), &[NEVER_EARLY]);
}

#[test]
fn a_bound_at_the_deadline_misses_a_silence_before_it() {
    breaks(Mistake::BoundOfTheTimeoutAlone, &claims(), &[NEVER_LOST, SETTLED]);
}

#[test]
fn a_revival_that_leaves_the_bound_at_the_deadline_is_not_watched_for_silence() {
    breaks(Mistake::RevivalKeepsTheBound, &heartbeats(), &[NEVER_LOST, SETTLED]);
}

#[test]
fn a_revival_that_sets_the_bound_of_a_claim_puts_a_cancel_off() {
    breaks(Mistake::RevivalForgetsTheCancel, &heard_cancels(), &[NEVER_LOST, SETTLED]);
}

#[test]
fn a_revival_without_the_version_undoes_an_interruption_that_its_heartbeat_never_saw() {
    breaks(Mistake::RevivalWithoutVersion, &heartbeats(), &[REPORTS_WIN]);
}

#[test]
fn a_later_claim_that_leaves_the_bound_at_the_deadline_is_not_watched_for_silence() {
    breaks(Mistake::ClaimKeepsTheBound, &attempts(), &[NEVER_LOST, SETTLED]);
}

#[test]
fn a_request_to_cancel_that_leaves_the_bound_is_forced_late() {
    breaks(Mistake::CancelKeepsTheBound, &cancels(), &[NEVER_LOST, SETTLED]);
}

#[test]
fn a_request_to_cancel_that_sets_the_bound_to_its_time_hides_what_is_overdue_from_the_next_pass() {
    breaks(Mistake::CancelSetsTheBoundToItsTime, &cancels(), &[NEVER_LOST]);
}

#[test]
fn an_end_that_leaves_the_entry_lets_the_index_grow_for_ever() {
    breaks(Mistake::EndedStaysInTheIndex, &claims(), &[ENDED]);
}

#[test]
fn a_pass_that_trusts_its_own_clock_is_early_where_another_one_is_behind() {
    breaks(Mistake::NoTolerance, &heartbeats(), &[NEVER_EARLY]);
    // Where all clocks agree it is not.
    exhaust(Bounds { mistake: Some(Mistake::NoTolerance), skew: 0, met: Vec::new(), ..heartbeats() });
}

#[test]
fn clocks_that_differ_by_more_than_the_tolerance_make_a_pass_early() {
    counterexample(Bounds { skew: 2, ..heartbeats() }, NEVER_EARLY);
}

#[test]
fn a_pass_that_takes_the_bound_for_the_due_time_interrupts_whoever_is_heard() {
    breaks(Mistake::ActsOnTheBound, &heartbeats(), &[NEVER_EARLY]);
}

#[test]
fn a_heartbeat_that_revives_by_itself_undoes_with_a_late_attempt_what_came_after_it() {
    breaks(Mistake::LateHeartbeatRevives, &heartbeats(), &[REPORTS_WIN]);
}

#[test]
fn a_claim_after_a_request_to_cancel_takes_up_what_should_end() {
    breaks(Mistake::ClaimAfterCancel, &cancels(), &[CANCEL_STANDS]);
}

#[test]
fn a_cancel_that_is_requested_again_puts_the_first_one_off() {
    breaks(Mistake::CancelForcedLater, &cancels(), &[CANCEL_STANDS]);
}
