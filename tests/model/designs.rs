//! Designs that look sufficient. The same model shows how each of them is wrong.

use ratchet_store::dedup::UNKEYED;

use crate::design::{Design, Ticks};
use crate::protocol::{Bounds, NEVER_OVERWRITTEN, NEVER_REFUSED, NEVER_TWICE, ONE_WINS, OWN_ATTEMPT, TABLE, TERMINAL};
use crate::slices::{
    KEYED_TICKS, UNKEYED_TICKS, counterexample, repeated_claims, repeated_fields, small_race, two_late_attempts,
    two_late_keyed_attempts,
};

const STILL: Ticks = Ticks { per_bucket: 1, last: 0 };

#[test]
fn without_tokens_the_services_own_retry_is_applied_twice_or_refused_by_itself() {
    let bounds = Bounds { design: Design::no_token(STILL), ..small_race() };
    counterexample(&bounds, NEVER_REFUSED);
    counterexample(&bounds, NEVER_TWICE);
    counterexample(&bounds, NEVER_OVERWRITTEN);
}

#[test]
fn a_token_of_the_last_write_alone_is_gone_when_another_writer_comes_in_between() {
    let bounds = Bounds { design: Design::last_write(STILL), ..small_race() };
    for property in [NEVER_REFUSED, NEVER_TWICE, NEVER_OVERWRITTEN] {
        let steps = counterexample(&bounds, property);
        assert!(steps.len() > 4, "with one writer it would be sufficient: {steps:?}");
    }
    let bounds = Bounds { design: Design::last_write(KEYED_TICKS), ..repeated_fields() };
    counterexample(&bounds, NEVER_OVERWRITTEN);
}

#[test]
fn without_the_fence_an_attempt_that_arrives_after_its_token_is_cleared_is_applied_twice() {
    let bounds = Bounds { design: Design::without_the_fence(UNKEYED, UNKEYED_TICKS), ..two_late_attempts() };
    counterexample(&bounds, NEVER_TWICE);
    counterexample(&Bounds { skew: 0, ..bounds }, NEVER_TWICE);
}

#[test]
fn of_three_maps_a_slow_clock_clears_the_one_that_a_fast_clock_writes_into() {
    let bounds = Bounds { design: Design::three_maps(KEYED_TICKS), ..two_late_keyed_attempts() };
    counterexample(&bounds, NEVER_TWICE);
    // Where all clocks agree, an attempt that arrives after the next bucket has begun does the same.
    counterexample(&Bounds { skew: 0, ..bounds }, NEVER_TWICE);
}

#[test]
fn a_ring_that_does_not_check_the_last_bucket_forgets_when_the_bucket_changes() {
    let bounds = Bounds { design: Design::without_the_last_bucket(KEYED_TICKS), ..repeated_fields() };
    counterexample(&bounds, NEVER_TWICE);
    counterexample(&Bounds { skew: 0, ..bounds }, NEVER_TWICE);
}

#[test]
fn a_ring_that_does_not_check_the_next_bucket_misses_the_tokens_of_a_fast_clock() {
    let bounds = Bounds { design: Design::without_the_next_bucket(KEYED_TICKS), ..repeated_fields() };
    counterexample(&bounds, NEVER_TWICE);
}

#[test]
fn read_then_write_lets_two_writers_win_and_changes_results() {
    let bounds = Bounds { design: Design::read_then_write(UNKEYED, STILL), ..small_race() };
    for property in [TABLE, ONE_WINS, TERMINAL] {
        counterexample(&bounds, property);
    }
}

#[test]
fn the_repeat_of_a_claim_answered_as_any_other_shows_anothers_attempt_as_ones_own() {
    let bounds = Bounds { design: Design::showing_others_attempts(UNKEYED, STILL), ..repeated_claims() };
    counterexample(&bounds, OWN_ATTEMPT);
}
