//! Planted violations of what the contract says of heartbeats, cancels and supervision.

use ratchet_model::status::Status;
use serde_json::{Value, json};

use super::{LIMITS, Script, change, end, keyed, refused};
use crate::model::{Answer, Change, Heard, Limits, Record, Request, Route, Transition, View};

/// An execution whose worker may be silent for a minute.
const WATCHED: Limits = Limits { heartbeat_timeout: Some(60), ..LIMITS };

fn heartbeat(attempt: Option<i64>) -> Request {
    Request::Heartbeat { attempt, by: "local-1" }
}

fn cancel(body: Value) -> Change {
    Change { route: Route::Cancel, ..change(body) }
}

fn passed(entered: Option<Status>) -> Answer {
    Answer::Passed { entered, certain: true, lost: false }
}

impl Script {
    /// A watched execution in `running`: version 2, attempt 1.
    fn watched() -> Self {
        let mut script = Self::pending(WATCHED);
        script.perform(change(json!({ "status": "running" })));
        script
    }

    /// So many milliseconds pass.
    fn wait(&mut self, millis: i64) {
        self.clock += millis;
    }

    /// A pass that does what is due.
    fn pass(&mut self) -> Answer {
        self.answered(Request::Pass)
    }

    /// A pass that enters `to`, due or not, and that all later answers show.
    fn pass_enters(&mut self, to: Status) {
        let now = std::mem::replace(&mut self.clock, i64::MAX / 2);
        let state = self.state.clone();
        self.state = state.supervise(to, self.clock).expect("a status that supervision may enter at some time");
        self.clock = now;
        self.record(Request::Pass, passed(Some(to)));
    }

    /// What a worker that speaks for the attempt is told.
    fn told(&mut self, attempt: Option<i64>) -> Heard {
        match self.due(&heartbeat(attempt)) {
            Answer::Heard(heard) => heard,
            other => panic!("no heartbeat: {other:?}"),
        }
    }

    /// Is allowed with one answer to the last operation, and rejected with another.
    #[track_caller]
    fn rejected_with(&mut self, answer: Answer) {
        self.allowed();
        let last = self.history.operations.len() - 1;
        self.back(last, answer);
        self.rejected();
    }

    /// A look at the record as it should be, and then with a change.
    #[track_caller]
    fn rejected_if(&mut self, wrong: impl FnOnce(&mut Record)) {
        let mut record = self.now();
        self.record(Request::Read, Answer::Record(record.clone()));
        wrong(&mut record);
        self.rejected_with(Answer::Record(record));
    }

    /// A look at the log as it should be, and then with a change of its last entry.
    #[track_caller]
    fn rejected_if_logged(&mut self, wrong: impl FnOnce(&mut Transition)) {
        let Answer::Log(mut log) = self.answered(Request::Log) else { panic!("no log") };
        wrong(log.last_mut().expect("an entry"));
        self.rejected_with(Answer::Log(log));
    }
}

/// The index of a field in a record.
fn error_message(record: &mut Record) -> &mut String {
    record.fields.get_mut(1).expect("the error message")
}

#[test]
fn a_supervised_history_as_the_contract_has_it_is_allowed() {
    let mut script = Script::watched();
    script.wait(50_000);
    script.answered(heartbeat(Some(1)));
    script.wait(50_000);
    assert_eq!(script.pass(), passed(None));
    script.wait(20_000);
    assert_eq!(script.pass(), passed(Some(Status::Interrupted)));
    script.answered(heartbeat(Some(0)));
    script.answered(heartbeat(Some(1)));
    script.perform(change(json!({ "error_message": "half way" })));
    script.perform(cancel(json!({ "grace_seconds": 50, "reason": "enough" })));
    script.perform(cancel(json!({ "grace_seconds": 3_600 })));
    script.answered(heartbeat(None));
    script.perform(change(json!({ "status": "retrying" })));
    script.perform(change(json!({ "status": "interrupted" })));
    script.look();
    script.wait(55_000);
    assert_eq!(script.pass(), passed(Some(Status::Cancelled)));
    script.answered(heartbeat(None));
    script.perform(cancel(json!({})));
    script.look();
    script.allowed();
}

#[test]
fn an_interruption_before_its_time_is_rejected() {
    // The heartbeat was sent after half a minute, so that the silence ends half a minute later than without it.
    for (at, heard, allowed) in
        [(59_999, false, false), (60_000, false, true), (60_000, true, false), (90_000, true, true)]
    {
        let mut script = Script::watched();
        script.wait(30_000);
        if heard {
            script.answered(heartbeat(None));
        }
        script.wait(at - 30_000);
        script.pass_enters(Status::Interrupted);
        script.look();
        if allowed { script.allowed() } else { script.rejected() }
    }
}

#[test]
fn an_interruption_over_a_heartbeat_that_came_in_between_is_rejected() {
    for answered_before in [true, false] {
        let mut script = Script::watched();
        script.wait(70_000);
        let pass = script.out(Request::Pass);
        let told = script.told(Some(1));
        let ours = script.out(heartbeat(Some(1)));
        if answered_before {
            script.back(ours, Answer::Heard(told.clone()));
        }
        // The worker was told to go on, and no second time since.
        script.state = script.state.supervise(Status::Interrupted, script.clock + 100_000).expect("an interruption");
        script.back(pass, passed(Some(Status::Interrupted)));
        if !answered_before {
            script.back(ours, Answer::Heard(told));
        }
        script.look();
        script.rejected();
    }
}

#[test]
fn a_heartbeat_of_another_attempt_counts_for_nothing() {
    let mut script = Script::watched();
    script.wait(50_000);
    script.answered(heartbeat(Some(2)));
    script.wait(20_000);
    assert_eq!(script.pass(), passed(Some(Status::Interrupted)));
    script.look();
    script.allowed();
}

#[test]
fn supervision_over_a_report_that_came_first_is_rejected() {
    for report in [change(json!({ "status": "completed" })), end("failed"), cancel(json!({}))] {
        let mut script = Script::watched();
        script.perform(change(json!({ "status": "interrupted" })));
        script.wait(400_000);
        let before = script.state.clone();
        script.perform(report);
        script.look();
        script.allowed();
        let mut record = script.now();
        // The service writes by what it read before the report.
        script.state = before.supervise(Status::Timeout, script.clock).expect("a timeout");
        script.record(Request::Pass, passed(Some(Status::Timeout)));
        (record.status, record.version) = (Status::Timeout, record.version + 1);
        script.record(Request::Read, Answer::Record(record));
        script.rejected();
    }
}

#[test]
fn an_end_before_its_time_is_rejected() {
    for (limits, runs, to, seconds) in [
        (LIMITS, true, Status::Timeout, 300),
        (Limits { timeout: 7, ..LIMITS }, true, Status::Timeout, 7),
        (Limits { start_timeout: Some(20), ..LIMITS }, false, Status::Timeout, 20),
    ] {
        for (millis, allowed) in [(seconds * 1_000 - 1, false), (seconds * 1_000, true)] {
            let mut script = Script::pending(limits);
            if runs {
                script.perform(change(json!({ "status": "running" })));
            }
            script.wait(millis);
            script.pass_enters(to);
            script.look();
            if allowed { script.allowed() } else { script.rejected() }
        }
    }
}

#[test]
fn an_end_of_what_was_never_due_is_rejected() {
    let mut script = Script::pending(LIMITS);
    script.wait(1_000_000);
    let mut record = script.now();
    (record.status, record.version) = (Status::Timeout, 2);
    script.record(Request::Pass, passed(Some(Status::Timeout)));
    script.record(Request::Read, Answer::Record(record));
    script.rejected();
}

#[test]
fn a_deadline_that_was_raised_counts_from_the_raise_on() {
    for (raised, allowed) in [(false, true), (true, false)] {
        let mut script = Script::running();
        if raised {
            script.perform(change(json!({ "timeout_seconds": 400 })));
        }
        script.wait(350_000);
        script.pass_enters(Status::Timeout);
        script.look();
        if allowed { script.allowed() } else { script.rejected() }
    }
}

#[test]
fn a_cancel_that_is_forced_before_its_time_is_rejected() {
    for (grace, millis, allowed) in [(10, 9_999, false), (10, 10_000, true), (0, 0, true), (100, 59_999, false)] {
        let mut script = Script::watched();
        script.perform(cancel(json!({ "grace_seconds": grace })));
        script.wait(millis);
        script.pass_enters(Status::Cancelled);
        script.look();
        if allowed { script.allowed() } else { script.rejected() }
    }
    // Silence comes before the grace is over.
    let mut script = Script::watched();
    script.perform(cancel(json!({ "grace_seconds": 100 })));
    script.wait(60_000);
    script.pass_enters(Status::Cancelled);
    script.allowed();
}

#[test]
fn a_cancel_that_nobody_asked_for_is_rejected() {
    let mut script = Script::watched();
    script.wait(1_000_000);
    let mut record = script.now();
    (record.status, record.version) = (Status::Cancelled, 3);
    script.record(Request::Pass, passed(Some(Status::Cancelled)));
    script.record(Request::Read, Answer::Record(record));
    script.rejected();
}

#[test]
fn another_end_than_the_one_that_was_due_first_is_rejected() {
    for (timeout, asked, due) in [
        (300, false, Status::Interrupted),
        (30, false, Status::Timeout),
        (300, true, Status::Cancelled),
        (30, true, Status::Cancelled),
    ] {
        for to in [Status::Interrupted, Status::Timeout, Status::Cancelled] {
            let mut script = Script::pending(Limits { timeout, ..WATCHED });
            script.perform(change(json!({ "status": "running" })));
            if asked {
                script.perform(cancel(json!({})));
            }
            script.wait(500_000);
            script.state = script.state.supervise(due, script.clock).expect("it is due");
            let Answer::Log(mut log) = script.due(&Request::Log) else { panic!("no log") };
            log.last_mut().expect("an entry").to = to;
            script.record(Request::Pass, passed(Some(to)));
            script.record(Request::Log, Answer::Log(log));
            if to == due { script.allowed() } else { script.rejected() }
        }
    }
}

#[test]
fn a_pass_that_leaves_what_is_overdue_is_rejected() {
    // Silent for longer than the minute and what clocks may differ by, both ways.
    for (millis, allowed) in [(63_999, true), (64_000, false)] {
        let mut script = Script::watched();
        script.wait(millis);
        script.record(Request::Pass, passed(None));
        if allowed {
            script.allowed();
        } else {
            script.rejected();
        }
        // Another one that fails, or loses, says nothing.
        for answer in [
            Answer::Passed { entered: None, certain: false, lost: false },
            Answer::Passed { entered: None, certain: true, lost: true },
        ] {
            let last = script.history.operations.len() - 1;
            script.back(last, answer);
            script.allowed();
        }
    }
    let mut asked = Script::running();
    asked.perform(cancel(json!({ "grace_seconds": 10 })));
    asked.wait(14_000);
    asked.record(Request::Pass, passed(None));
    asked.rejected();
    let mut ended = Script::running();
    ended.wait(304_000);
    ended.record(Request::Pass, passed(None));
    ended.rejected();
    let mut waiting = Script::pending(Limits { start_timeout: Some(20), ..LIMITS });
    waiting.wait(24_000);
    waiting.record(Request::Pass, passed(None));
    waiting.rejected();
}

#[test]
fn a_heartbeat_without_an_answer_may_have_been_heard() {
    for (answer, allowed) in
        [(Answer::Unknown, true), (Answer::Unavailable, true), (Answer::Wrong("never sent".to_owned()), false)]
    {
        let mut script = Script::watched();
        script.wait(50_000);
        script.record(heartbeat(Some(1)), answer.clone());
        if !allowed {
            script.history.operations.pop();
        }
        script.wait(50_000);
        script.record(Request::Pass, passed(None));
        if allowed { script.allowed() } else { script.rejected() }
    }
}

#[test]
fn a_heartbeat_without_an_answer_may_have_put_the_silence_behind_the_deadline() {
    for (answer, allowed) in
        [(Answer::Unknown, true), (Answer::Unavailable, true), (Answer::Wrong("never sent".to_owned()), false)]
    {
        let mut script = Script::watched();
        script.wait(250_000);
        script.record(heartbeat(Some(1)), answer);
        // As if it was heard.
        script.due(&heartbeat(Some(1)));
        if !allowed {
            script.history.operations.pop();
        }
        // Silent from 310 s on; the deadline is at 300.
        script.wait(100_000);
        assert_eq!(script.pass(), passed(Some(Status::Timeout)));
        script.look();
        if allowed { script.allowed() } else { script.rejected() }
    }
}

#[test]
fn a_worker_that_is_told_something_else_is_rejected() {
    let wrongs: [fn(&mut Heard); 8] = [
        |heard| "stop".clone_into(&mut heard.action),
        |heard| "claim".clone_into(&mut heard.action),
        |heard| heard.attempt = 2,
        |heard| heard.status = Status::Interrupted,
        |heard| heard.reason = Some("why not".to_owned()),
        |heard| heard.deadline_at = heard.deadline_at.map(|at| at + 2_000),
        |heard| heard.next = 60,
        |heard| heard.asked = Some((super::BEGINNING, super::BEGINNING)),
    ];
    for wrong in wrongs {
        let mut script = Script::watched();
        let mut told = script.told(Some(1));
        script.record(heartbeat(Some(1)), Answer::Heard(told.clone()));
        wrong(&mut told);
        script.rejected_with(Answer::Heard(told));
    }
}

#[test]
fn a_worker_of_another_attempt_that_is_told_to_go_on_is_rejected() {
    for attempt in [0, 2] {
        let mut script = Script::watched();
        let ours = script.told(Some(1));
        let told = script.told(Some(attempt));
        assert_eq!(told.action, "stop");
        script.record(heartbeat(Some(attempt)), Answer::Heard(told));
        script.rejected_with(Answer::Heard(ours));
    }
}

#[test]
fn a_worker_that_does_not_hear_of_the_cancel_is_rejected() {
    let wrongs: [fn(&mut Heard); 5] = [
        |heard| ("continue".clone_into(&mut heard.action), heard.reason = None).1,
        |heard| heard.reason = Some("Cancel requested".to_owned()),
        |heard| heard.asked = None,
        |heard| heard.asked = heard.asked.map(|(at, force)| (at, force + 2_000)),
        |heard| heard.asked = heard.asked.map(|(at, force)| (at - 2_000, force)),
    ];
    for wrong in wrongs {
        let mut script = Script::watched();
        script.perform(cancel(json!({ "reason": "enough" })));
        let mut told = script.told(Some(1));
        assert_eq!((told.action.as_str(), told.reason.as_deref()), ("cancel", Some("enough")));
        script.record(heartbeat(Some(1)), Answer::Heard(told.clone()));
        wrong(&mut told);
        script.rejected_with(Answer::Heard(told));
    }
}

#[test]
fn a_heartbeat_that_changes_the_record_is_rejected() {
    let mut script = Script::watched();
    script.answered(heartbeat(Some(1)));
    script.rejected_if(|record| record.version += 1);
}

/// An execution that supervision has interrupted, and whose worker is heard again.
fn revived() -> Script {
    let mut script = Script::watched();
    script.perform(change(json!({ "error_message": "half way", "duration_ms": 5 })));
    script.wait(70_000);
    assert_eq!(script.pass(), passed(Some(Status::Interrupted)));
    script.look();
    script.answered(heartbeat(Some(1)));
    script
}

#[test]
fn a_revival_that_is_more_than_that_is_rejected() {
    let wrongs: [fn(&mut Record); 4] = [
        |record| record.attempt = 2,
        |record| "null".clone_into(error_message(record)),
        |record| record.duration_ms = crate::model::Ended::Not,
        |record| record.version -= 1,
    ];
    for wrong in wrongs {
        revived().rejected_if(wrong);
    }
    let wrongs: [fn(&mut Transition); 4] = [
        |entry| entry.attempt = 2,
        |entry| "null".clone_into(&mut entry.reason),
        |entry| "service".clone_into(&mut entry.by),
        |entry| "local-5".clone_into(&mut entry.by),
    ];
    for wrong in wrongs {
        revived().rejected_if_logged(wrong);
    }
}

#[test]
fn a_revival_by_a_worker_of_another_attempt_is_rejected() {
    for (attempt, allowed) in [(Some(1), true), (None, true), (Some(0), false), (Some(2), false)] {
        let mut script = Script::watched();
        script.perform(change(json!({ "status": "interrupted" })));
        let told = script.told(Some(1));
        script.record(heartbeat(attempt), Answer::Heard(told));
        script.look();
        if allowed { script.allowed() } else { script.rejected() }
    }
}

#[test]
fn a_revival_that_did_not_happen_by_its_answer_is_rejected() {
    for (answer, times, allowed) in [
        (Answer::Unavailable, 0, true),
        (Answer::Unavailable, 1, false),
        (Answer::Unknown, 0, true),
        (Answer::Unknown, 1, true),
        (Answer::Unknown, 2, false),
    ] {
        let mut script = Script::watched();
        script.perform(change(json!({ "status": "interrupted" })));
        script.record(heartbeat(None), answer);
        for time in 0..times {
            if time > 0 {
                script.perform(change(json!({ "status": "interrupted" })));
            }
            script.told(None);
        }
        script.look();
        if allowed { script.allowed() } else { script.rejected() }
    }
}

#[test]
fn a_revival_may_be_told_of_a_later_state() {
    // Its answer was lost; the next attempt at the same heartbeat finds that it took effect, and that the run has ended since.
    let mut script = Script::watched();
    script.perform(change(json!({ "status": "interrupted" })));
    let ours = script.out(heartbeat(Some(1)));
    script.told(Some(1));
    script.perform(change(json!({ "status": "completed" })));
    let told = script.told(Some(1));
    assert_eq!(told.action, "stop");
    script.back(ours, Answer::Heard(told));
    script.look();
    script.allowed();
}

#[test]
fn a_log_that_says_something_else_of_supervision_is_rejected() {
    let wrongs: [fn(&mut Transition); 4] = [
        |entry| "local-1".clone_into(&mut entry.by),
        |entry| "null".clone_into(&mut entry.reason),
        |entry| json!("No heartbeat for 61 seconds").to_string().clone_into(&mut entry.reason),
        |entry| entry.attempt = 0,
    ];
    for wrong in wrongs {
        let mut script = Script::watched();
        script.wait(70_000);
        script.pass();
        script.rejected_if_logged(wrong);
    }
}

#[test]
fn a_timeout_says_why_unless_somebody_has() {
    let due = json!("No result within timeout_seconds (300)").to_string();
    for (said, kept) in [(json!(null), due), (json!("stuck"), json!("stuck").to_string())] {
        let mut script = Script::running();
        script.perform(change(json!({ "error_message": said })));
        script.wait(400_000);
        assert_eq!(script.pass(), passed(Some(Status::Timeout)));
        assert_eq!(*error_message(&mut script.now()), kept);
        script.rejected_if(|record| json!("another").to_string().clone_into(error_message(record)));
    }
    // Neither an interruption nor a cancel is an error.
    for asked in [false, true] {
        let mut script = Script::watched();
        if asked {
            script.perform(cancel(json!({ "reason": "enough" })));
        }
        script.wait(100_000);
        script.pass();
        script.rejected_if(|record| json!("enough").to_string().clone_into(error_message(record)));
    }
}

#[test]
fn a_pass_that_changed_nothing_by_its_answer_is_rejected_where_it_did() {
    for (answer, allowed) in [
        (passed(Some(Status::Interrupted)), true),
        (passed(None), false),
        (Answer::Passed { entered: None, certain: true, lost: true }, false),
        (Answer::Passed { entered: None, certain: false, lost: false }, true),
        (passed(Some(Status::Timeout)), false),
    ] {
        let mut script = Script::watched();
        script.wait(62_000);
        script.due(&Request::Pass);
        script.record(Request::Pass, answer);
        script.look();
        if allowed { script.allowed() } else { script.rejected() }
    }
}

#[test]
fn a_pass_that_changed_something_by_its_answer_is_rejected_where_it_did_not() {
    let mut script = Script::watched();
    script.wait(62_000);
    script.record(Request::Pass, passed(Some(Status::Interrupted)));
    script.look();
    script.rejected();
}

#[test]
fn a_pass_whose_requests_failed_may_take_effect_late_and_only_once() {
    let mut script = Script::watched();
    script.wait(62_000);
    script.record(Request::Pass, Answer::Passed { entered: None, certain: false, lost: false });
    script.look();
    script.due(&Request::Pass);
    script.look();
    script.allowed();
    script.answered(heartbeat(None));
    script.wait(62_000);
    script.due(&Request::Pass);
    script.look();
    script.rejected();
}

#[test]
fn two_passes_that_both_end_it_are_rejected() {
    let mut script = Script::running();
    script.wait(400_000);
    let other = script.out(Request::Pass);
    assert_eq!(script.pass(), passed(Some(Status::Timeout)));
    script.back(other, Answer::Passed { entered: None, certain: true, lost: true });
    script.look();
    script.allowed();
    script.back(other, passed(Some(Status::Timeout)));
    script.rejected();
}

#[test]
fn a_start_after_a_cancel_was_requested_is_rejected() {
    for (to, refusable) in [
        ("retrying", true),
        ("interrupted", false),
        ("completed", false),
        ("failed", false),
        ("cancelled", false),
        ("timeout", false),
    ] {
        let mut script = Script::running();
        script.perform(cancel(json!({})));
        let detail = format!("The status cannot change from running to {to}: a cancel is requested");
        script.record(Request::Change(change(json!({ "status": to }))), refused(400, "CANCEL_REQUESTED", &detail));
        if refusable { script.allowed() } else { script.rejected() }
    }
    // One that is accepted all the same, beside one that may be.
    for (to, allowed) in [(Status::Retrying, false), (Status::Interrupted, true)] {
        let mut script = Script::running();
        script.perform(cancel(json!({})));
        let mut record = script.now();
        (record.status, record.version) = (to, 4);
        record.retry_count = i64::from(to == Status::Retrying);
        let answer = Answer::Changed { view: View::Record(record), replayed: false };
        script.record(Request::Change(change(json!({ "status": to.as_str() }))), answer);
        if allowed { script.allowed() } else { script.rejected() }
    }
}

#[test]
fn a_refusal_for_a_cancel_that_nobody_requested_is_rejected() {
    let mut script = Script::running();
    let request = Request::Change(change(json!({ "status": "retrying" })));
    let detail = "The status cannot change from running to retrying: a cancel is requested";
    script.record(request, refused(400, "CANCEL_REQUESTED", detail));
    script.rejected();
}

/// The answer to a cancel with another content.
fn cancelled_otherwise(answer: Answer, wrong: impl FnOnce(&mut View)) -> Answer {
    match answer {
        Answer::Changed { mut view, replayed } => {
            wrong(&mut view);
            Answer::Changed { view, replayed }
        }
        other => panic!("no success: {other:?}"),
    }
}

#[test]
fn a_cancel_with_another_outcome_is_rejected() {
    // Of one that runs: at once.
    let mut script = Script::running();
    let answer = script.perform(cancel(json!({})));
    script.rejected_with(cancelled_otherwise(answer, |view| {
        let (previous, current) = (Status::Running, Status::Cancelled);
        *view = View::Cancelled { previous, current, asked: None, version: 3 };
    }));
    // Of one that waits: requested.
    let mut script = Script::pending(LIMITS);
    let answer = script.perform(cancel(json!({})));
    script.rejected_with(cancelled_otherwise(answer, |view| {
        let asked = Some((super::BEGINNING, super::BEGINNING + 60_000));
        *view = View::Cancelled { previous: Status::Running, current: Status::Running, asked, version: 2 };
    }));
    // Of one that waits, with the status before it.
    let mut script = Script::pending(LIMITS);
    let answer = script.perform(cancel(json!({})));
    script.rejected_with(cancelled_otherwise(answer, |view| {
        let (previous, current) = (Status::Queued, Status::Cancelled);
        *view = View::Cancelled { previous, current, asked: None, version: 2 };
    }));
    // Of one that has ended.
    let mut script = Script::running();
    script.perform(change(json!({ "status": "completed" })));
    let refusal = script.perform(cancel(json!({})));
    assert!(matches!(&refusal, Answer::Refused { code, .. } if code == "INVALID_STATUS_TRANSITION"), "{refusal:?}");
    let view = View::Cancelled { previous: Status::Running, current: Status::Cancelled, asked: None, version: 4 };
    script.rejected_with(Answer::Changed { view, replayed: false });
}

#[test]
fn a_cancel_that_leaves_the_record_as_it_was_is_rejected() {
    let mut script = Script::running();
    script.perform(cancel(json!({})));
    script.rejected_if(|record| record.cancel_requested = false);
    // It is no error, and no transition.
    let mut script = Script::running();
    script.perform(cancel(json!({ "reason": "enough" })));
    script.rejected_if(|record| json!("enough").to_string().clone_into(error_message(record)));
}

#[test]
fn a_cancel_that_is_asked_for_again_keeps_the_first_reason_and_the_earlier_end() {
    for (first, second, force) in [(10, 3_600, 10), (3_600, 10, 10)] {
        let mut script = Script::watched();
        script.perform(cancel(json!({ "grace_seconds": first, "reason": "first" })));
        let answer = script.perform(cancel(json!({ "grace_seconds": second, "reason": "second" })));
        let at = super::BEGINNING + force * 1_000;
        let Answer::Changed { view: View::Cancelled { asked, .. }, .. } = &answer else { panic!("{answer:?}") };
        assert_eq!(*asked, Some((super::BEGINNING, at)));
        script.look();
        let told = script.told(Some(1));
        assert_eq!(told.reason.as_deref(), Some("first"));
        let told_otherwise = Heard { reason: Some("second".to_owned()), ..told.clone() };
        script.record(heartbeat(Some(1)), Answer::Heard(told.clone()));
        script.rejected_with(Answer::Heard(told_otherwise));
        let last = script.history.operations.len() - 1;
        let later = Heard { asked: Some((super::BEGINNING, super::BEGINNING + 3_600_000)), ..told };
        script.back(last, Answer::Heard(later));
        script.rejected();
    }
}

#[test]
fn a_repeated_cancel_is_answered_as_the_first_and_does_nothing() {
    let ours = Change { route: Route::Cancel, ..keyed(json!({ "grace_seconds": 10 })) };
    let mut script = Script::pending(LIMITS);
    script.perform(ours.clone());
    let again = script.perform(ours.clone());
    script.look();
    // With another outcome than the first.
    script.allowed();
    let (previous, current) = (Status::Running, Status::Running);
    let asked = Some((super::BEGINNING, super::BEGINNING + 10_000));
    let other = View::Cancelled { previous, current, asked, version: 2 };
    let place = script.history.operations.len() - 3;
    script.back(place, Answer::Changed { view: other, replayed: true });
    script.rejected();
    script.back(place, again);
    // With another body.
    let mut script = Script::running();
    script.perform(ours.clone());
    let answer = script.perform(Change { body: json!({ "grace_seconds": 20 }), ..ours });
    assert!(matches!(&answer, Answer::Refused { code, .. } if code == "IDEMPOTENCY_KEY_REUSED"), "{answer:?}");
    script.allowed();
}

#[test]
fn two_cancels_at_once_are_forced_by_either() {
    // Their times are known to the second only, so that either may be the earlier one.
    for same in [true, false] {
        let mut script = Script::running();
        let one = script.out(Request::Change(cancel(json!({ "grace_seconds": 10 }))));
        let other = script.out(Request::Change(cancel(json!({ "grace_seconds": if same { 10 } else { 11 } }))));
        let first = script.due(&Request::Change(cancel(json!({ "grace_seconds": 10 }))));
        script.back(one, first.clone());
        // The second is forced a moment sooner, by a clock that lags: so it was written, too.
        let again = cancelled_otherwise(first, |view| {
            if let View::Cancelled { version, .. } = view {
                *version = 4;
            }
        });
        script.back(other, again);
        script.allowed();
    }
}

#[test]
fn a_time_that_was_set_and_changes_is_rejected() {
    for name in ["created_at", "started_at", "cancel_requested_at"] {
        let mut script = Script::running();
        script.perform(change(json!({ "tokens_used": 1 })));
        let show = |script: &mut Script, place: usize, time: &str| {
            let body = json!({ "attempt": 1, name: time });
            script.history.operations.get_mut(place).expect("a change").body = body;
        };
        show(&mut script, 1, "2026-01-01T00:00:00.000Z");
        show(&mut script, 2, "2026-01-01T00:00:00.000Z");
        script.allowed();
        show(&mut script, 2, "2026-01-01T00:00:00.001Z");
        let wrong = script.history.check().expect_err("two times");
        assert!(wrong.starts_with(&format!("{name} is two: ")), "{wrong}");
    }
}

#[test]
fn what_is_watched_after_its_end_is_rejected() {
    let mut script = Script::running();
    script.perform(change(json!({ "status": "completed" })));
    script.allowed();
    script.history.wrong = Some("it has ended, and is watched still".to_owned());
    script.rejected();
}
