//! A model of how writes, repeats and marks meet, searched to its end for a way to break a guarantee of the README.
//!
//! The tests of the API play the accidents that somebody thought of. Here a model checker plays every one that fits into
//! a bound: which writers meet on one record, in which order their attempts arrive, which of them and which answers are
//! lost or late, what the clocks say. `cargo test -p tests --test model -- --nocapture` prints how many states that were.
//!
//! **What is the service's own code:** the allowed transitions and all other rules, their order, and when a refusal may be
//! told (`shared/src/store/change.rs`, `status.rs`); whose a mark is, and which maps a write looks into, writes into and
//! empties at what time (`marks.rs`); how often it tries, and how long (`store/mod.rs`). **What is modelled:** the record
//! ([`world`]), the write itself, the service's retries, the network, the clocks, the callers ([`protocol`]). That the
//! condition which DynamoDB evaluates says what the rules say is the business of the tests of the API.
//!
//! Four things make it small, and lose nothing:
//!
//! - An attempt and its answer are one step. An answer that is late changes nothing but when its receiver knows.
//! - All attempts at a request are alike, so that one that was given up stands for all of them, and may arrive any number
//!   of times until the signature of the latest is too old. A lost request is one that never arrives; a lost answer is
//!   one that is given up and then arrives; one that arrives twice is two attempts.
//! - A late attempt that its mark holds back leads to one state, whoever it was.
//! - Requests that are planned alike are made in order.
//!
//! **What is not modelled:** the creation of executions and its key; an execution that does not exist; sizes; reads and
//! lists; more than one execution, as writes to one know nothing of another; collisions of hashes and random numbers.
//!
//! `slices.rs` says what each search covers. [`designs`] shows that the same properties catch designs that are wrong,
//! [`limits`] what the guarantees rest on.
#![expect(clippy::expect_used, reason = "a test ends where it cannot go on")]

mod design;
mod designs;
mod limits;
mod protocol;
mod slices;
mod world;

use crate::slices::{exhaust, late_attempts, overtaken, races, repeated_fields, repeats, reused_keys};

#[test]
fn every_change_raced_by_every_other_keeps_the_guarantees() {
    exhaust(races());
}

#[test]
fn repeats_with_a_key_keep_the_guarantees_whatever_comes_in_between() {
    exhaust(repeats());
}

#[test]
fn a_key_with_two_bodies_keeps_the_guarantees() {
    exhaust(reused_keys());
}

#[test]
fn late_attempts_are_known_by_their_marks_whatever_the_clocks_say() {
    exhaust(late_attempts());
}

#[test]
fn an_overtaken_write_is_told_the_truth_and_begins_again() {
    exhaust(overtaken());
}

#[test]
fn repeats_of_fields_are_known_by_their_marks_whatever_the_clocks_say() {
    exhaust(repeated_fields());
}
