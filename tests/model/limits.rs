//! What the guarantees rest on: each test removes one assumption, and the model finds which guarantee breaks.

use ratchet_store::dedup::KEYED;

use crate::design::{Design, Ticks};
use crate::protocol::{Bounds, NEVER_REFUSED, NEVER_TWICE, REFUSALS_BIND_KEYS};
use crate::slices::{KEYED_TICKS, counterexample, repeated_fields, repeats, small_race, two_late_keyed_attempts};

#[test]
fn an_attempt_with_a_key_that_may_arrive_later_than_the_ring_remembers_is_applied_twice() {
    let bounds = two_late_keyed_attempts();
    counterexample(&Bounds { validity: KEYED_TICKS.per_bucket, ..bounds }, NEVER_TWICE);
}

#[test]
fn clocks_that_disagree_by_what_the_signature_leaves_of_a_bucket_let_an_attempt_with_a_key_apply_twice() {
    let bounds = two_late_keyed_attempts();
    let skew = KEYED_TICKS.per_bucket;
    let design = Design::ours(KEYED, Ticks { last: bounds.horizon + skew, ..KEYED_TICKS });
    counterexample(&Bounds { design, skew, ..bounds }, NEVER_TWICE);
}

#[test]
fn a_repeat_that_is_a_whole_bucket_late_may_not_be_recognized() {
    let bounds = Bounds { attempts: 1, ..repeated_fields() };
    // The service's clock is ahead: by it, two buckets have begun since.
    let alone = Bounds { promise: KEYED_TICKS.per_bucket, plans: bounds.plans[..2].to_vec(), ..bounds.clone() };
    counterexample(&alone, NEVER_TWICE);
    // Or the repeat is sent a little earlier and arrives late, after another writer has cleared the map.
    counterexample(&Bounds { promise: bounds.promise + 1, ..bounds }, NEVER_TWICE);
}

#[test]
fn a_refused_repeat_says_nothing_of_the_request_before_it_whose_outcome_is_unknown() {
    let bounds = Bounds { patient: true, refusals_bind_keys: true, ..repeats() };
    counterexample(&bounds, REFUSALS_BIND_KEYS);
}

#[test]
fn an_attempt_that_arrives_again_after_its_answer_is_applied_after_a_refusal() {
    let bounds = Bounds { echoes: true, ..small_race() };
    counterexample(&bounds, NEVER_REFUSED);
}
