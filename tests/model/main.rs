//! A model of how writes, repeats and write tokens meet. It is searched exhaustively for a way to break a guarantee of the
//! README.
//!
//! The tests of the API play accidents that were written down one by one. Here a model checker plays every accident within
//! a bound: which writers meet on one record, in which order their attempts arrive, which attempts and which answers are
//! lost or late, what the clocks say. `cargo test -p tests --test model -- --nocapture` prints the number of states.
//!
//! **The service's own code:** the allowed transitions and all other rules, their order, and when a rejection may be
//! answered (`shared/store/src/rules.rs`, `shared/model/src/status.rs`); which write a token belongs to, and which maps a
//! write checks, writes to and clears at what time (`shared/store/src/dedup.rs`); how many attempts it makes, and for how
//! long (`shared/store/src/client.rs`). **What is modelled:** the record ([`world`]), the write itself, the service's
//! retries, the network, the clocks, the callers ([`protocol`]). The tests of the API check that the condition which
//! DynamoDB evaluates agrees with the rules.
//!
//! Four simplifications make the model small, and hide no behaviour:
//!
//! - An attempt and its answer are one step. A late answer changes nothing but the time at which its receiver has it.
//! - All attempts of a request are alike. One that was given up therefore stands for all of them, and may arrive any number
//!   of times until the signature of the latest is too old. A lost request is one that never arrives; a lost answer is
//!   one that is given up and then arrives; one that arrives twice is two attempts.
//! - All late attempts that their tokens hold back lead to one state, whichever request they belong to.
//! - Requests with equal plans are sent in order.
//!
//! **What is not modelled:** the creation of executions and its key; an execution that does not exist; sizes; reads and
//! lists; more than one execution, as writes to one do not depend on another; collisions of hashes and random numbers.
//!
//! Supervision, heartbeats and cancels have a model of their own, with fewer of the accidents above and with their own:
//! [`supervision`].
//!
//! `slices.rs` says what each search covers. [`designs`] shows that the same properties find the faults of wrong designs,
//! [`limits`] what the guarantees rest on.
#![expect(clippy::expect_used, reason = "a test ends where it cannot go on")]

mod design;
mod designs;
mod limits;
mod protocol;
mod slices;
mod supervision;
mod world;

use crate::slices::{exhaust, fenced, late_attempts, races, repeated_claims, repeated_fields, repeats, reused_keys};

#[test]
fn every_change_raced_by_every_other_keeps_the_guarantees() {
    exhaust(races());
}

#[test]
fn repeats_with_a_key_keep_the_guarantees_whatever_comes_in_between() {
    exhaust(repeats());
}

#[test]
fn repeats_of_claims_keep_the_guarantees_whoever_claims_in_between() {
    exhaust(repeated_claims());
}

#[test]
fn a_key_with_two_bodies_keeps_the_guarantees() {
    exhaust(reused_keys());
}

#[test]
fn late_attempts_are_recognized_by_their_tokens_whatever_the_clocks_say() {
    exhaust(late_attempts());
}

#[test]
fn a_fenced_write_is_answered_truthfully_and_sent_again() {
    exhaust(fenced());
}

#[test]
fn repeats_of_fields_are_recognized_by_their_tokens_whatever_the_clocks_say() {
    exhaust(repeated_fields());
}
