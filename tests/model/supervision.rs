//! A model of supervision: what a pass finds, and what it changes. It is searched exhaustively for a way to lose an execution,
//! to change one too early, or to overwrite a report or a heartbeat that came first.
//!
//! **The service's own code:** when an execution is due and why, the bound of a revival and the watch interval
//! (`shared/model/src/supervision.rs`); what a heartbeat is answered (`shared/model/src/heartbeat.rs`); the rules of each
//! change, and when a rejection may be answered (`shared/store/src/rules.rs`); the allowed transitions. **What is modelled:**
//! the part of the record on which they depend, and what each write sets in it ([`store`]); the two writes of a heartbeat that
//! revives and of a cancel, the reads and the write of a pass ([`service`]); the network, the clocks, the callers ([`steps`]).
//!
//! A tick is the tolerance of the clocks, two seconds. `time` is what the slowest clock says, and any other is at most a tick
//! ahead: a true duration is one between two moments of `time`. A timeout is one to four ticks, for nothing depends on its
//! length but its order among the other moments.
//!
//! `RATCHET_GIVE_UPS=1` lets one more attempt be given up in each search.
//!
//! These simplifications make the model small, and hide no behaviour:
//!
//! - An attempt and its answer are one step, unless the attempt is given up. Then the service sends another one or answers
//!   that it does not know, and the attempt may arrive at any later step, any number of times. How many are given up in one
//!   search is bounded.
//! - A change that was applied is recognized by its token for ever. That tokens are kept is shown by the other slices.
//! - A pass decides by whatever clock lets it do the most, and however long ago it began. What it read may be as old.
//! - An entry that is not due yet may be left or filed anew, whenever that will be. The service does the latter where it is
//!   due much later, and where a shard leaves too many.
//! - `queued` stands for what takes an execution from its worker, `completed` for what ends it.
//! - Versions and counts are numbered by their order among those that somebody has read.
//! - Requests for the same are interchangeable, and sent in order.
//! - After the end nothing is told apart but what the condition of a late write looks at.
//!
//! **What is not modelled:** a mass silence and a pass that ends early, both of which only leave to the next pass what this one
//! could do; a damaged record; pages and shards; other executions.
//!
//! [`slices`] says what each search covers. [`mistakes`] shows that the same properties find the faults of wrong designs.

mod event;
mod mistakes;
mod properties;
mod record;
mod service;
mod slices;
mod steps;
mod store;
mod world;

use self::slices::{
    attempts, cancels, claims, deadlines, exhaust, heard_cancels, heartbeats, lagging_reads, often_interrupted, starts,
};

#[test]
fn silent_workers_are_found_whoever_claims_meanwhile() {
    exhaust(claims());
}

#[test]
fn a_heartbeat_that_comes_first_wins_and_a_late_one_revives_nothing() {
    exhaust(heartbeats());
}

#[test]
fn a_worker_that_was_superseded_is_heard_no_more() {
    exhaust(attempts());
}

#[test]
fn a_pass_that_reads_the_past_is_held_back_by_its_condition() {
    exhaust(lagging_reads());
}

#[test]
fn a_requested_cancel_is_forced_in_time_and_undone_by_nobody() {
    exhaust(cancels());
}

#[test]
fn a_worker_that_is_asked_to_stop_is_heard_until_the_grace_is_over() {
    exhaust(heard_cancels());
}

#[test]
fn an_execution_that_does_not_start_in_time_is_ended() {
    exhaust(starts());
}

#[test]
fn a_deadline_that_is_put_off_is_kept() {
    exhaust(deadlines());
}

#[test]
fn a_run_that_was_interrupted_too_often_has_its_deadline() {
    exhaust(often_interrupted());
}
