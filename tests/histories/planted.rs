//! Whether the checker can fail: histories with a planted violation, each beside the same history without it.

use std::sync::Arc;
use std::time::Duration;

use ratchet_model::status::Status;
use ratchet_model::wire_name::WireName;
use serde_json::{Value, json};

use crate::check::{History, Operation};
use crate::model::{Answer, Change, Limits, Record, Request, Route, State, Transition, View};
use crate::overdue::Span;

#[path = "planted/supervision.rs"]
mod supervision;

/// A history that is written by hand, and the state of the execution by the contract.
struct Script {
    state: State,
    history: History,
    moment: u64,
    /// The time, in milliseconds. It passes when a test says so.
    clock: i64,
}

/// The limits of an execution of which a test says nothing else.
const LIMITS: Limits = Limits { max_retries: 2, timeout: 300, heartbeat_timeout: None, start_timeout: None };

/// The time at which a script begins.
const BEGINNING: i64 = 1_800_000_000_000;

fn change(body: Value) -> Change {
    Change { route: Route::Update, body, key: None, if_match: None, by: "local-1" }
}

fn keyed(body: Value) -> Change {
    Change { key: Some("key".to_owned()), ..change(body) }
}

fn end(status: &str) -> Change {
    Change { route: Route::UpdateStatus, ..change(json!({ "status": status })) }
}

fn refused(status: u16, code: &str, detail: &str) -> Answer {
    Answer::Refused { status, code: code.to_owned(), detail: detail.to_owned() }
}

fn refused_transition(from: Status, to: &str) -> Answer {
    refused(400, "INVALID_STATUS_TRANSITION", &format!("The status cannot change from {from} to {to}: "))
}

impl Script {
    /// An execution with two retries in `running`: version 2.
    fn running() -> Self {
        let mut script = Self::pending(LIMITS);
        script.perform(change(json!({ "status": "running" })));
        script
    }

    /// An execution with these limits in `pending`: version 1.
    fn pending(limits: Limits) -> Self {
        let state = State::new(limits, Span { from: BEGINNING, to: BEGINNING });
        let mut script = Self { state, history: History::default(), moment: 0, clock: BEGINNING };
        let created = script.due(&Request::Create(limits));
        script.record(Request::Create(limits), created);
        script
    }

    /// The answer of the contract. The execution changes accordingly.
    fn due(&mut self, request: &Request) -> Answer {
        let (answer, next) = self.state.answer(request, self.clock).expect("the contract has an answer");
        self.state = next;
        answer
    }

    /// A request that begins now. Its answer is unknown until [`Script::back`] sets it.
    fn out(&mut self, request: Request) -> usize {
        self.history.operations.push(Operation {
            worker: self.history.operations.len(),
            request: Arc::new(request),
            answer: Arc::new(Answer::Unknown),
            body: Value::Null,
            invoked: self.moment,
            returned: self.moment + 1_000,
            time: (Duration::from_millis(self.moment), Duration::from_millis(self.moment)),
            // Long enough for every limit of these tests.
            clock: Span { from: self.clock, to: self.clock + 10_000_000 },
        });
        self.moment += 1;
        self.history.operations.len() - 1
    }

    /// The answer to a request.
    fn back(&mut self, operation: usize, answer: Answer) {
        let operation = self.history.operations.get_mut(operation).expect("an operation");
        operation.answer = Arc::new(answer);
        operation.returned = self.moment;
        operation.clock.to = self.clock;
        self.moment += 1;
    }

    /// A request and its answer, with nothing in between.
    fn record(&mut self, request: Request, answer: Answer) {
        let operation = self.out(request);
        self.back(operation, answer);
    }

    /// A change that is answered by the contract.
    fn perform(&mut self, change: Change) -> Answer {
        self.answered(Request::Change(change))
    }

    /// A request that is answered by the contract.
    fn answered(&mut self, request: Request) -> Answer {
        let answer = self.due(&request);
        self.record(request, answer.clone());
        answer
    }

    /// A look at the record, and one at the log.
    fn look(&mut self) {
        for request in [Request::Read, Request::Log] {
            let answer = self.due(&request);
            self.record(request, answer);
        }
    }

    /// The record as the contract has it now.
    fn now(&mut self) -> Record {
        match self.due(&Request::Read) {
            Answer::Record(record) => record,
            other => panic!("no record: {other:?}"),
        }
    }

    #[track_caller]
    fn allowed(&self) {
        assert_eq!(self.history.check(), Ok(()), "{}", self.history.print());
    }

    #[track_caller]
    fn rejected(&self) {
        assert!(self.history.check().is_err(), "{}", self.history.print());
    }
}

#[test]
fn a_history_as_the_contract_has_it_is_allowed() {
    let mut script = Script::running();
    script.perform(keyed(json!({ "metadata": { "n": 1 } })));
    script.perform(keyed(json!({ "metadata": { "n": 1 } })));
    script.perform(keyed(json!({ "metadata": { "n": 2 } })));
    script.perform(Change { if_match: Some(2), ..change(json!({ "tokens_used": 1 })) });
    for status in ["retrying", "running", "running", "retrying", "queued", "running", "retrying"] {
        script.perform(change(json!({ "status": status })));
    }
    script.perform(change(json!({ "retry_count": 1 })));
    script.perform(Change { key: Some("end".to_owned()), ..end("completed") });
    script.perform(Change { key: Some("end".to_owned()), ..end("completed") });
    script.perform(change(json!({ "final_output": {}, "tokens_used": 2 })));
    script.perform(change(json!({ "tokens_used": 2 })));
    script.look();
    script.allowed();
}

#[test]
fn a_refused_write_that_took_effect_is_rejected() {
    let refusal = || refused(412, "PRECONDITION_FAILED", "which is \"3\"");
    let stale = Change { if_match: Some(2), ..change(json!({ "tokens_used": 2 })) };
    let mut script = Script::running();
    script.perform(change(json!({ "tokens_used": 1 })));
    script.record(Request::Change(stale.clone()), refusal());
    script.look();
    script.allowed();

    let mut script = Script::running();
    script.perform(change(json!({ "tokens_used": 1 })));
    script.record(Request::Change(stale), refusal());
    script.due(&Request::Change(change(json!({ "tokens_used": 2 }))));
    script.look();
    script.rejected();
}

#[test]
fn a_transition_that_was_refused_by_its_own_effect_is_rejected() {
    // The first attempt was applied and its answer lost; the effect of the first refused the second.
    let completed = Request::Change(change(json!({ "status": "completed" })));
    let mut script = Script::running();
    script.due(&completed);
    script.record(completed, refused_transition(Status::Completed, "completed"));
    script.look();
    script.rejected();
}

#[test]
fn a_write_that_was_not_done_by_its_answer_and_shows_all_the_same_is_rejected() {
    let write = Request::Change(change(json!({ "tokens_used": 1 })));
    for (done, unknown) in [(false, false), (true, false), (false, true), (true, true)] {
        let mut script = Script::running();
        let answer = if unknown { Answer::Unknown } else { Answer::Unavailable };
        script.record(write.clone(), answer);
        if done {
            script.due(&write);
        }
        script.look();
        if done && !unknown { script.rejected() } else { script.allowed() }
    }
}

#[test]
fn a_write_without_an_answer_may_take_effect_late_and_only_once() {
    let write = Request::Change(change(json!({ "metadata": { "n": 1 } })));
    let mut script = Script::running();
    script.record(write.clone(), Answer::Unknown);
    script.look();
    script.perform(change(json!({ "metadata": { "n": 2 } })));
    script.due(&write);
    script.look();
    script.allowed();
    script.perform(change(json!({ "metadata": { "n": 3 } })));
    script.due(&write);
    script.look();
    script.rejected();
}

#[test]
fn a_field_write_that_was_applied_twice_is_rejected() {
    let ours = keyed(json!({ "metadata": { "by": "us" } }));
    let mut script = Script::running();
    script.perform(ours.clone());
    script.perform(change(json!({ "metadata": { "by": "them" } })));
    // A repeat shows theirs...
    script.perform(ours.clone());
    script.look();
    script.allowed();
    // ...and must not write ours again.
    script.due(&Request::Change(Change { key: None, ..ours }));
    script.look();
    script.rejected();
}

#[test]
fn a_repeat_that_was_done_again_is_rejected() {
    let ours = keyed(json!({ "metadata": { "by": "us" } }));
    let mut script = Script::running();
    script.perform(ours.clone());
    let again = script.due(&Request::Change(Change { key: None, ..ours.clone() }));
    script.record(Request::Change(ours), again);
    script.rejected();
}

#[test]
fn a_transition_that_the_table_does_not_allow_is_rejected() {
    for (to, allowed) in [("interrupted", true), ("queued", false), ("pending", false), ("running", false)] {
        let mut script = Script::running();
        let mut record = script.now();
        record.status = Status::parse(to).expect("a status");
        record.version = 3;
        let view = View::Record(record);
        let answer = Answer::Changed { view, replayed: false };
        script.record(Request::Change(change(json!({ "status": to }))), answer);
        if allowed { script.allowed() } else { script.rejected() }
    }
}

#[test]
fn a_retry_more_than_there_are_is_rejected() {
    let mut script = Script::running();
    for status in ["retrying", "running", "retrying", "running"] {
        script.perform(change(json!({ "status": status })));
    }
    script.allowed();
    let mut record = script.now();
    (record.status, record.version, record.retry_count) = (Status::Retrying, 7, 3);
    let answer = Answer::Changed { view: View::Record(record), replayed: false };
    script.record(Request::Change(change(json!({ "status": "retrying" }))), answer);
    script.rejected();
}

#[test]
fn a_write_for_another_attempt_that_is_accepted_is_rejected() {
    for (attempt, allowed) in [(1, true), (0, false), (2, false)] {
        let mut script = Script::running();
        let mut record = script.now();
        (record.status, record.version) = (Status::Interrupted, 3);
        let answer = Answer::Changed { view: View::Record(record), replayed: false };
        script.record(Request::Change(change(json!({ "status": "interrupted", "attempt": attempt }))), answer);
        if allowed { script.allowed() } else { script.rejected() }
    }
}

#[test]
fn a_claim_that_does_not_begin_an_attempt_is_rejected() {
    for (attempt, allowed) in [(2, true), (1, false)] {
        let mut script = Script::running();
        script.perform(change(json!({ "status": "interrupted" })));
        let mut record = script.now();
        (record.status, record.version, record.attempt) = (Status::Running, 4, attempt);
        let answer = Answer::Changed { view: View::Record(record), replayed: false };
        script.record(Request::Change(change(json!({ "status": "running" }))), answer);
        if allowed { script.allowed() } else { script.rejected() }
    }
}

#[test]
fn a_repeated_claim_that_is_shown_anothers_attempt_is_rejected() {
    let claim = keyed(json!({ "status": "running" }));
    let mut script = Script::running();
    script.perform(change(json!({ "status": "interrupted" })));
    script.perform(claim.clone());
    script.perform(change(json!({ "status": "interrupted" })));
    script.perform(claim.clone());
    script.allowed();
    script.perform(change(json!({ "status": "running" })));
    let record = script.now();
    // Another worker has claimed since, and the repeat learns it...
    let superseded = script.perform(claim.clone());
    assert_eq!(superseded, Answer::Superseded { begun: 2, current: 3 });
    script.look();
    script.allowed();
    // ...and must not be shown the other's attempt as its own.
    script.record(Request::Change(claim), Answer::Changed { view: View::Record(record), replayed: true });
    script.rejected();
}

#[test]
fn a_claim_whose_answer_was_lost_may_learn_that_it_was_superseded() {
    for (begun, allowed) in [(2, true), (1, false)] {
        let mut script = Script::running();
        script.perform(change(json!({ "status": "interrupted" })));
        let claim = Request::Change(change(json!({ "status": "running" })));
        let ours = script.out(claim.clone());
        script.due(&claim);
        script.perform(change(json!({ "status": "interrupted" })));
        script.perform(change(json!({ "status": "running" })));
        script.back(ours, Answer::Superseded { begun, current: 3 });
        script.look();
        if allowed { script.allowed() } else { script.rejected() }
    }
}

#[test]
fn a_timeout_that_falls_is_rejected() {
    for (timeout, allowed) in [(301, true), (299, false)] {
        let mut script = Script::running();
        let mut record = script.now();
        (record.timeout, record.version) = (timeout, 3);
        let answer = Answer::Changed { view: View::Record(record), replayed: false };
        script.record(Request::Change(change(json!({ "timeout_seconds": timeout }))), answer);
        if allowed { script.allowed() } else { script.rejected() }
    }
}

#[test]
fn a_write_after_the_end_that_changes_the_result_is_rejected() {
    for (field, allowed) in [("tokens_used", true), ("final_output", false)] {
        let mut script = Script::running();
        script.perform(end("failed"));
        let mut record = script.now();
        record.version += 1;
        let value = if field == "tokens_used" { json!(1) } else { json!({ "n": 1 }) };
        let index = if field == "tokens_used" { 3 } else { 0 };
        *record.fields.get_mut(index).expect("a field") = value.to_string();
        let answer = Answer::Changed { view: View::Record(record), replayed: false };
        script.record(Request::Change(change(json!({ field: value }))), answer);
        if allowed { script.allowed() } else { script.rejected() }
    }
}

#[test]
fn a_stale_read_is_rejected() {
    let mut script = Script::running();
    let before = script.now();
    let read = script.out(Request::Read);
    script.perform(change(json!({ "tokens_used": 1 })));
    // While it overlaps the write it may show either.
    script.back(read, Answer::Record(before.clone()));
    script.allowed();
    script.record(Request::Read, Answer::Record(before));
    script.rejected();
}

#[test]
fn a_log_without_its_last_transition_is_rejected() {
    let mut script = Script::running();
    let before = script.due(&Request::Log);
    script.perform(change(json!({ "status": "interrupted" })));
    script.allowed();
    script.record(Request::Log, before);
    script.rejected();
}

#[test]
fn a_log_that_names_another_writer_is_rejected() {
    for (by, allowed) in [("local-1", true), ("local-5", false)] {
        let mut script = Script::running();
        let (from, to) = (Status::Pending, Status::Running);
        let entry = Transition { from, to, by: by.to_owned(), reason: "null".to_owned(), attempt: 1, version: 2 };
        script.record(Request::Log, Answer::Log(vec![entry]));
        if allowed { script.allowed() } else { script.rejected() }
    }
}

#[test]
fn a_loser_that_is_answered_with_the_wrong_status_is_rejected() {
    for (named, allowed) in [(Status::Completed, true), (Status::Running, false), (Status::Failed, false)] {
        let mut script = Script::running();
        let loser = script.out(Request::Change(change(json!({ "status": "cancelled" }))));
        script.perform(change(json!({ "status": "completed" })));
        script.back(loser, refused_transition(named, "cancelled"));
        script.look();
        if allowed { script.allowed() } else { script.rejected() }
    }
}

#[test]
fn two_winners_are_rejected() {
    let mut script = Script::running();
    let other = script.out(Request::Change(end("failed")));
    let answer = script.perform(end("completed"));
    let Answer::Changed { view: View::Statuses { previous, version, .. }, replayed } = answer else {
        panic!("no success: {answer:?}")
    };
    let view = View::Statuses { previous, current: Status::Failed, version };
    script.back(other, Answer::Changed { view, replayed });
    script.rejected();
}

#[test]
fn a_repeat_with_another_body_that_is_accepted_is_rejected() {
    let mut script = Script::running();
    script.perform(keyed(json!({ "tokens_used": 1 })));
    let other = Request::Change(keyed(json!({ "tokens_used": 2 })));
    let fresh = script.due(&Request::Change(change(json!({ "tokens_used": 2 }))));
    script.record(other, fresh);
    script.rejected();

    // Nor may it pass for the first one.
    let mut script = Script::running();
    script.perform(keyed(json!({ "tokens_used": 1 })));
    let view = View::Record(script.now());
    let other = Request::Change(keyed(json!({ "tokens_used": 2 })));
    script.record(other, Answer::Changed { view, replayed: true });
    script.rejected();
}

#[test]
fn a_repeat_that_reports_another_previous_status_is_rejected() {
    for (named, allowed) in [(Status::Running, true), (Status::Interrupted, false)] {
        let mut script = Script::running();
        let failed = Change { key: Some("key".to_owned()), ..end("failed") };
        script.perform(failed.clone());
        let view = View::Statuses { previous: named, current: Status::Failed, version: 3 };
        script.record(Request::Change(failed), Answer::Changed { view, replayed: true });
        if allowed { script.allowed() } else { script.rejected() }
    }
}

#[test]
fn a_first_success_that_says_it_is_a_repeat_is_rejected() {
    let mut script = Script::running();
    let write = Request::Change(keyed(json!({ "tokens_used": 1 })));
    let Answer::Changed { view, .. } = script.due(&write) else { panic!("no success") };
    script.record(write, Answer::Changed { view, replayed: true });
    script.rejected();
}

#[test]
fn a_success_may_show_what_came_after_it_and_never_what_came_before() {
    let mut script = Script::running();
    let before = script.now();
    let write = Request::Change(change(json!({ "tokens_used": 1 })));
    let ours = script.out(write.clone());
    script.due(&write);
    script.perform(change(json!({ "metadata": { "n": 1 } })));
    let view = View::Record(script.now());
    script.back(ours, Answer::Changed { view, replayed: false });
    script.look();
    script.allowed();
    script.back(ours, Answer::Changed { view: View::Record(before), replayed: false });
    script.rejected();
}

#[test]
fn a_version_that_stays_the_same_or_skips_one_is_rejected() {
    for (version, allowed) in [(2, false), (3, true), (4, false)] {
        let mut script = Script::running();
        script.perform(change(json!({ "tokens_used": 1 })));
        let mut record = script.now();
        record.version = version;
        script.record(Request::Read, Answer::Record(record));
        if allowed { script.allowed() } else { script.rejected() }
    }
}

#[test]
fn one_version_that_is_two_records_is_rejected() {
    let mut script = Script::running();
    script.look();
    script.look();
    script.allowed();
    let last = script.history.operations.len() - 2;
    script.history.operations.get_mut(last).expect("a read").body = json!({ "updated_at": "another time" });
    script.rejected();
}

#[test]
fn an_internal_error_is_rejected() {
    let mut script = Script::running();
    script.record(Request::Change(change(json!({}))), Answer::Wrong("500".to_owned()));
    script.rejected();
}
