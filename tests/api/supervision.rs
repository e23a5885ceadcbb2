//! Supervision: what is overdue is ended, interrupted or cancelled, never early, and never against a report or a heartbeat
//! that came first.
//!
//! Time is a parameter, so that minutes pass at once. `tests/model` searches every order of events; here single ones are
//! played on a real table, with the faults of DynamoDB.

use std::time::{Duration, Instant};

use aws_sdk_dynamodb::types::AttributeValue;
use ratchet_model::change::WriteOptions;
use ratchet_model::id::ExecutionId;
use ratchet_store::cancel::Cancel;
use ratchet_store::deadlines::{LEFT_IN_PLACE, Pass};
use ratchet_store::table_keys::{DEADLINE_SHARDS, deadline_shard};
use serde_json::{Value, json};
use tests::proxy::Fault;
use tests::{Api, text};

/// A pass by the service's own store, which the proxy disturbs.
async fn pass(api: &Api) -> Pass {
    enforce_deadlines::pass(&api.proxied, Duration::from_secs(30)).await
}

fn ended(report: &Pass, status: &str) -> u64 {
    report.ended.get(status).copied().unwrap_or_default()
}

async fn new(api: &Api, fields: Value) -> String {
    let mut body = json!({ "flow_id": "demo", "trigger_type": "test" });
    body.as_object_mut().expect("an object").extend(fields.as_object().cloned().unwrap_or_default());
    text(&api.execute(&body).await["id"])
}

async fn patch(api: &Api, id: &str, body: Value) {
    api.patch(&format!("/flows/executions/{id}"), &body).await.assert_status(200);
}

/// A running execution with these timeouts.
async fn running(api: &Api, fields: Value) -> String {
    let id = new(api, fields).await;
    patch(api, &id, json!({ "status": "running" })).await;
    id
}

async fn beat(api: &Api, id: &str) -> Value {
    api.post(&format!("/executions/{id}/heartbeat"), &json!({})).await.assert_status(200).body.clone()
}

async fn status(api: &Api, id: &str) -> String {
    text(&api.record(id).await["status"])
}

fn later(api: &Api, seconds: u64) {
    api.clock.advance(Duration::from_secs(seconds));
}

async fn last_transition(api: &Api, id: &str) -> Value {
    let log = api.get(&format!("/executions/{id}/transitions")).await;
    log.assert_status(200).body["transitions"].as_array().and_then(|log| log.last()).cloned().expect("a transition")
}

/// The bound of an execution's entry in the index; `None`: it has none.
async fn bound(api: &Api, id: &str) -> Option<i64> {
    let head = api.head(id).await;
    assert_eq!(head.contains_key("dp"), head.contains_key("dd"), "both or none");
    Some(head.get("dd")?.as_n().expect("a number").parse().expect("a time"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_ends_what_has_started_in_every_status_and_not_a_moment_early() {
    let api = Api::start().await;
    for way in [&[][..], &["retrying"], &["retrying", "queued"], &["interrupted"]] {
        let id = running(&api, json!({ "timeout_seconds": 100 })).await;
        for to in way {
            patch(&api, &id, json!({ "status": to })).await;
        }
        let from = status(&api, &id).await;
        // Past its time, and within what clocks may differ by.
        later(&api, 101);
        pass(&api).await;
        assert_eq!(status(&api, &id).await, from, "not a moment early");
        later(&api, 2);
        let report = pass(&api).await;
        assert_eq!(ended(&report, "timeout"), 1, "{from}: {report:?}");
        let record = api.record(&id).await;
        assert_eq!(
            (&record["status"], &record["error_message"]),
            (&json!("timeout"), &json!("No result within timeout_seconds (100)"))
        );
        assert!(record["completed_at"].is_string() && record["duration_ms"].as_i64().is_some_and(|ms| ms >= 100_000));
        let last = last_transition(&api, &id).await;
        assert_eq!((&last["from"], &last["to"], &last["by"]), (&json!(from), &json!("timeout"), &json!("service")));
        assert_eq!((&last["reason"], &last["by_name"]), (&record["error_message"], &Value::Null));
        assert_eq!(bound(&api, &id).await, None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn before_the_first_running_only_a_start_timeout_ends_an_execution() {
    let api = Api::start().await;
    let free = new(&api, json!({ "timeout_seconds": 1 })).await;
    for way in [&[][..], &["queued"], &["retrying"]] {
        let id = new(&api, json!({ "start_timeout_seconds": 50 })).await;
        for to in way {
            patch(&api, &id, json!({ "status": to })).await;
        }
        later(&api, 49);
        pass(&api).await;
        assert_ne!(status(&api, &id).await, "timeout");
        later(&api, 4);
        assert_eq!(ended(&pass(&api).await, "timeout"), 1);
        let record = api.record(&id).await;
        assert_eq!(record["error_message"], "Not started within start_timeout_seconds (50)");
        assert_eq!(record["duration_ms"], Value::Null, "it never ran");
    }
    assert_eq!(status(&api, &free).await, "pending", "nobody said by when it must start");
    // Started in time: the start timeout is over.
    let started = running(&api, json!({ "start_timeout_seconds": 50, "timeout_seconds": 600 })).await;
    later(&api, 60);
    pass(&api).await;
    assert_eq!(status(&api, &started).await, "running");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_record_says_of_an_error_is_kept_by_a_timeout() {
    let api = Api::start().await;
    let id = running(&api, json!({ "timeout_seconds": 100 })).await;
    patch(&api, &id, json!({ "status": "retrying", "error_message": "rate limit" })).await;
    later(&api, 103);
    pass(&api).await;
    let record = api.record(&id).await;
    assert_eq!((&record["status"], &record["error_message"]), (&json!("timeout"), &json!("rate limit")));
    assert_eq!(last_transition(&api, &id).await["reason"], "No result within timeout_seconds (100)");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_worker_is_interrupted_and_a_heard_one_is_not() {
    let api = Api::start().await;
    let watch = json!({ "timeout_seconds": 600, "heartbeat_timeout_seconds": 60 });
    let (silent, heard) = (running(&api, watch.clone()).await, running(&api, watch).await);
    for _ in 0..3 {
        later(&api, 30);
        beat(&api, &heard).await;
    }
    let report = pass(&api).await;
    assert_eq!((ended(&report, "interrupted"), report.looked), (1, 2), "{report:?}");
    let record = api.record(&silent).await;
    assert_eq!((&record["status"], &record["error_message"]), (&json!("interrupted"), &Value::Null));
    let last = last_transition(&api, &silent).await;
    assert_eq!(
        (&last["reason"], &last["by"], &last["attempt"]),
        (&json!("No heartbeat for 60 seconds"), &json!("service"), &json!(1))
    );
    assert_eq!(status(&api, &heard).await, "running");
    // Alive after all: heard, revived, silent again, interrupted again.
    assert_eq!(beat(&api, &silent).await["status"], "running");
    later(&api, 40);
    pass(&api).await;
    assert_eq!(status(&api, &silent).await, "running");
    later(&api, 30);
    pass(&api).await;
    assert_eq!(status(&api, &silent).await, "interrupted");
    // Its deadline stands.
    later(&api, 600);
    pass(&api).await;
    assert_eq!(status(&api, &silent).await, "timeout");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_never_beats_is_found_for_the_claim_is_the_first_heartbeat() {
    let api = Api::start().await;
    let id = running(&api, json!({ "timeout_seconds": 600, "heartbeat_timeout_seconds": 15 })).await;
    // A second claim is one, too.
    patch(&api, &id, json!({ "status": "retrying" })).await;
    later(&api, 100);
    patch(&api, &id, json!({ "status": "running" })).await;
    later(&api, 14);
    pass(&api).await;
    assert_eq!(status(&api, &id).await, "running");
    later(&api, 5);
    pass(&api).await;
    assert_eq!(status(&api, &id).await, "interrupted");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_requested_cancel_is_forced_at_its_time_at_a_silence_or_at_the_deadline() {
    let api = Api::start().await;
    let watch = json!({ "timeout_seconds": 300, "heartbeat_timeout_seconds": 60 });
    for (before, grace, beats, early, late) in [
        // At the end of its grace, while the worker beats.
        (0, 30, true, 29, 4),
        // At a missed heartbeat.
        (50, 3_600, false, 9, 5),
        // At the deadline.
        (0, 3_600, true, 299, 5),
    ] {
        let id = running(&api, watch.clone()).await;
        later(&api, before);
        let asked = json!({ "reason": "not needed", "grace_seconds": grace });
        api.post(&format!("/executions/{id}/cancel"), &asked).await.assert_status(200);
        let mut left = early;
        while beats && left > 40 {
            later(&api, 40);
            left -= 40;
            assert_eq!(beat(&api, &id).await["action"], "cancel");
        }
        later(&api, left);
        pass(&api).await;
        assert_eq!(status(&api, &id).await, "running", "{grace}: not early");
        later(&api, late);
        let report = pass(&api).await;
        assert_eq!(ended(&report, "cancelled"), 1, "{grace}: {report:?}");
        let last = last_transition(&api, &id).await;
        assert_eq!(
            (&last["to"], &last["reason"], &last["by"]),
            (&json!("cancelled"), &json!("not needed"), &json!("service"))
        );
        assert_eq!(api.record(&id).await["error_message"], Value::Null);
    }
    // From interrupted, too; and what really happened is reported in time.
    let id = running(&api, watch.clone()).await;
    api.post(&format!("/executions/{id}/cancel"), &json!({ "grace_seconds": 10 })).await.assert_status(200);
    patch(&api, &id, json!({ "status": "interrupted" })).await;
    later(&api, 13);
    pass(&api).await;
    assert_eq!(status(&api, &id).await, "cancelled");
    let id = running(&api, watch).await;
    api.post(&format!("/executions/{id}/cancel"), &json!({ "grace_seconds": 10 })).await.assert_status(200);
    patch(&api, &id, json!({ "status": "completed", "final_output": { "half": true } })).await;
    later(&api, 13);
    pass(&api).await;
    assert_eq!(status(&api, &id).await, "completed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_to_cancel_hides_nothing_that_is_overdue_from_the_next_pass() {
    let api = Api::start().await;
    let id = running(&api, json!({ "timeout_seconds": 100 })).await;
    later(&api, 200);
    api.post(&format!("/executions/{id}/cancel"), &json!({ "grace_seconds": 600 })).await.assert_status(200);
    // At the same moment, so that the time of the request is not past by two seconds.
    assert_eq!(ended(&pass(&api).await, "cancelled"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revival_while_a_cancel_is_requested_does_not_delay_it() {
    let api = Api::start().await;
    let id = running(&api, json!({ "timeout_seconds": 3_600, "heartbeat_timeout_seconds": 600 })).await;
    api.post(&format!("/executions/{id}/cancel"), &json!({ "grace_seconds": 20 })).await.assert_status(200);
    patch(&api, &id, json!({ "status": "interrupted" })).await;
    later(&api, 5);
    assert_eq!(beat(&api, &id).await["action"], "cancel");
    // The claim's own bound would be looked at in ten minutes.
    later(&api, 18);
    assert_eq!(ended(&pass(&api).await, "cancelled"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_or_a_heartbeat_that_comes_between_look_and_write_wins() {
    let api = Api::start().await;
    for meanwhile in ["completed", "heartbeat", "retrying", "fields"] {
        let id = running(&api, json!({ "timeout_seconds": 600, "heartbeat_timeout_seconds": 60 })).await;
        later(&api, 63);
        let (store, other) = (api.store.clone(), id.clone());
        let shard = deadline_shard(&ExecutionId::parse(&id).expect("an id"));
        // The heads of the one shard that has an entry. It goes on while others are still asked what they have.
        let read = Fault::PassThen(Box::pin(async move {
            let caller = tests::caller("acme", "meanwhile", ratchet_model::scope::Scopes::ALL);
            let id = ExecutionId::parse(&other).expect("an id");
            match meanwhile {
                "heartbeat" => {
                    store.record_heartbeat(&caller, &id, Some(1)).await.expect("a heartbeat");
                }
                "fields" => {
                    tests::write_directly(&store, &other, &json!({ "tokens_used": 7 })).await;
                }
                to => tests::write_directly(&store, &other, &json!({ "status": to })).await,
            }
        }));
        api.proxy.plan_for("BatchGetItem", read);
        let report = pass(&api).await;
        assert_eq!(api.proxy.left(), 0, "{meanwhile}: shard {shard}");
        assert_eq!((report.lost, report.ended.len()), (1, 0), "{meanwhile}: {report:?}");
        let expected = if ["completed", "retrying"].contains(&meanwhile) { meanwhile } else { "running" };
        assert_eq!(status(&api, &id).await, expected, "{meanwhile}");
        patch(&api, &id, json!({ "metadata": {} })).await;
        if expected != "completed" {
            patch(&api, &id, json!({ "status": "failed" })).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_that_arrives_after_the_deadline_and_before_the_pass_counts() {
    let api = Api::start().await;
    let id = running(&api, json!({ "timeout_seconds": 10 })).await;
    later(&api, 1_000);
    patch(&api, &id, json!({ "status": "completed", "final_output": { "late": true } })).await;
    assert!(pass(&api).await.ended.is_empty());
    // And one after it learns what beat it.
    let id = running(&api, json!({ "timeout_seconds": 10 })).await;
    later(&api, 1_000);
    pass(&api).await;
    let refused = api.patch(&format!("/flows/executions/{id}"), &json!({ "status": "completed" })).await;
    refused.assert_error(400, "INVALID_STATUS_TRANSITION");
    assert_eq!(refused.body["current_status"], "timeout");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_is_filed_anew_where_it_is_due_much_later_and_left_where_it_is_due_soon() {
    let api = Api::start().await;
    let far = running(&api, json!({ "timeout_seconds": 86_400, "heartbeat_timeout_seconds": 3_600 })).await;
    let near = running(&api, json!({ "timeout_seconds": 86_400, "heartbeat_timeout_seconds": 60 })).await;
    let (first_far, first_near) = (bound(&api, &far).await, bound(&api, &near).await);
    for _ in 0..66 {
        later(&api, 55);
        beat(&api, &near).await;
    }
    beat(&api, &far).await;
    let report = pass(&api).await;
    assert_eq!((report.looked, report.refiled, report.ended.len()), (2, 1, 0), "{report:?}");
    assert!(bound(&api, &far).await > first_far && bound(&api, &near).await == first_near);
    // Out of the range now, and in it again when it is due.
    assert_eq!(pass(&api).await.looked, 1);
    later(&api, 3_605);
    assert_eq!(ended(&pass(&api).await, "interrupted"), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_that_is_sooner_is_not_put_off_by_an_entry_that_is_filed_anew() {
    let api = Api::start().await;
    let id = running(&api, json!({ "timeout_seconds": 86_400 })).await;
    api.post(&format!("/executions/{id}/cancel"), &json!({ "grace_seconds": 3_600 })).await.assert_status(200);
    // Due in an hour, so that the pass files it anew; its bound is that of every cancel, also of the one that comes meanwhile.
    let seen = bound(&api, &id).await;
    let (store, other) = (api.store.clone(), ExecutionId::parse(&id).expect("an id"));
    let read = Fault::PassThen(Box::pin(async move {
        let caller = tests::caller("acme", "meanwhile", ratchet_model::scope::Scopes::ALL);
        let sooner =
            Cancel { reason: "now".to_owned(), grace: Duration::from_secs(60), options: WriteOptions::default() };
        store.cancel(&caller, &other, &sooner).await.expect("a cancel");
    }));
    api.proxy.plan_for("BatchGetItem", read);
    let report = pass(&api).await;
    assert_eq!((report.lost, report.refiled), (1, 0), "{report:?}");
    assert_eq!(bound(&api, &id).await, seen);
    later(&api, 63);
    assert_eq!(ended(&pass(&api).await, "cancelled"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shard_leaves_a_bounded_number_in_place() {
    let api = Api::start().await;
    let count = LEFT_IN_PLACE + 50;
    let caller = tests::caller("acme", "seed", ratchet_model::scope::Scopes::ALL);
    // All in one shard, in front of one that is overdue.
    let mut heads = Vec::new();
    let now = ratchet_model::clock::Clock::now(api.clock.as_ref());
    for number in 0..count {
        let mut bytes = uuid::Uuid::new_v4().into_bytes();
        bytes[15] = 0;
        let id = ExecutionId::from_uuid(uuid::Uuid::from_bytes(bytes));
        heads.push((id, number));
    }
    let template = {
        let id = running(&api, json!({ "timeout_seconds": 86_400, "heartbeat_timeout_seconds": 600 })).await;
        api.head(&id).await
    };
    let number = |value: i64| AttributeValue::N(value.to_string());
    for chunk in heads.chunks(500) {
        futures_util::future::join_all(chunk.iter().map(|(id, place)| {
            let mut head = template.clone();
            let place = i64::try_from(*place).expect("a small number");
            let pk = ratchet_store::table_keys::execution_pk(&caller.organization, id);
            head.insert("pk".to_owned(), AttributeValue::S(pk));
            head.insert("dp".to_owned(), AttributeValue::S("d#0".to_owned()));
            head.insert("dd".to_owned(), number(now.millis() - 100_000 + place));
            api.put(head)
        }))
        .await;
    }
    let report = pass(&api).await;
    assert_eq!((report.looked, report.refiled), (count as u64, 50), "{report:?}");
    assert_eq!(pass(&api).await.looked, LEFT_IN_PLACE as u64, "the rest has gone out of the range");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mass_silence_waits_five_minutes_and_a_cancel_does_not() {
    let api = Api::start().await;
    let watch = json!({ "timeout_seconds": 3_600, "heartbeat_timeout_seconds": 60 });
    let mut silent = Vec::new();
    for _ in 0..22 {
        silent.push(running(&api, watch.clone()).await);
    }
    let deadline = running(&api, json!({ "timeout_seconds": 62 })).await;
    let asked = running(&api, watch.clone()).await;
    api.post(&format!("/executions/{asked}/cancel"), &json!({ "grace_seconds": 0 })).await.assert_status(200);
    later(&api, 65);
    let report = pass(&api).await;
    assert_eq!((report.held, ended(&report, "cancelled"), report.ended.len()), (23, 1, 1), "{report:?}");
    assert_eq!((status(&api, &silent[0]).await, status(&api, &deadline).await), ("running".into(), "running".into()));
    // Those that are heard in the meantime have lost nothing, and the others are interrupted five minutes late.
    later(&api, 240);
    beat(&api, &silent[0]).await;
    assert_eq!(pass(&api).await.held, 22, "still more that are silent than heard");
    later(&api, 58);
    beat(&api, &silent[0]).await;
    later(&api, 5);
    let report = pass(&api).await;
    assert_eq!((ended(&report, "interrupted"), ended(&report, "timeout"), report.held), (21, 1, 0), "{report:?}");
    assert_eq!(status(&api, &silent[0]).await, "running");
}

#[tokio::test(flavor = "multi_thread")]
async fn fewer_silent_ones_than_heard_ones_are_no_mass_silence() {
    let api = Api::start().await;
    let watch = json!({ "timeout_seconds": 3_600, "heartbeat_timeout_seconds": 60 });
    let mut heard = Vec::new();
    for number in 0..40 {
        let id = running(&api, watch.clone()).await;
        if number % 2 == 0 {
            heard.push(id);
        }
    }
    later(&api, 40);
    for id in &heard {
        beat(&api, id).await;
    }
    later(&api, 25);
    let report = pass(&api).await;
    assert_eq!((ended(&report, "interrupted"), report.held), (20, 0), "{report:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_interrupted_a_hundred_times_is_left_to_its_deadline() {
    let api = Api::start().await;
    let id = running(&api, json!({ "timeout_seconds": 86_400, "heartbeat_timeout_seconds": 15 })).await;
    for _ in 0..100 {
        later(&api, 20);
        assert_eq!(ended(&pass(&api).await, "interrupted"), 1);
        beat(&api, &id).await;
    }
    later(&api, 100);
    let report = pass(&api).await;
    assert_eq!((report.ended.len(), report.refiled), (0, 1), "{report:?}");
    assert_eq!(status(&api, &id).await, "running");
    assert!(api.item_size(&id).await < 32 * 1_024);
    later(&api, 86_400);
    assert_eq!(ended(&pass(&api).await, "timeout"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_execution_is_put_off_and_hides_no_other() {
    let api = Api::start().await;
    let damaged = running(&api, json!({ "timeout_seconds": 10 })).await;
    let other = running(&api, json!({ "timeout_seconds": 10 })).await;
    let mut head = api.head(&damaged).await;
    head.insert("tm".to_owned(), AttributeValue::S("ten".to_owned()));
    api.put(head).await;
    later(&api, 15);
    let report = pass(&api).await;
    assert_eq!((report.damaged, ended(&report, "timeout"), report.refiled), (1, 1, 1), "{report:?}");
    assert_eq!(status(&api, &other).await, "timeout");
    assert_eq!(pass(&api).await.looked, 0, "not before an hour has passed");
    later(&api, 3_605);
    assert_eq!(pass(&api).await.damaged, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_passes_at_once_change_each_execution_once() {
    let api = Api::start().await;
    let mut ids = Vec::new();
    for _ in 0..30 {
        ids.push(running(&api, json!({ "timeout_seconds": 10 })).await);
    }
    later(&api, 15);
    let passes = futures_util::future::join_all((0..3).map(|_| pass(&api))).await;
    let total: u64 = passes.iter().map(|report| ended(report, "timeout")).sum();
    assert_eq!(total, 30, "{passes:?}");
    for id in &ids {
        assert_eq!(api.transitions(id).await.len(), 2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_in_the_middle_of_a_pass_leaves_the_rest_to_the_next() {
    let api = Api::start_with_timeouts().await;
    for lost in ["all reads", "heads", "writes", "answers to writes"] {
        let mut ids = Vec::new();
        for _ in 0..5 {
            ids.push(running(&api, json!({ "timeout_seconds": 10 })).await);
        }
        later(&api, 15);
        match lost {
            "all reads" => api.proxy.plan((0..200).map(|_| Fault::internal())),
            "heads" => api.proxy.fail_matching("RequestItems", Fault::internal),
            "writes" => api.proxy.fail_matching("UpdateExpression", Fault::internal),
            _ => api.proxy.fail_matching("UpdateExpression", Fault::drop_answer),
        }
        let report = pass(&api).await;
        assert!(report.failed > 0 && !report.complete, "{lost}: {report:?}");
        while api.proxy.left() > 0 {
            api.get("/flows/executions?page_size=1&count_limit=0").await;
        }
        api.proxy.fail_matching("nothing has this text", Fault::internal);
        let report = pass(&api).await;
        assert!(report.complete && report.failed == 0, "{lost}: {report:?}");
        for id in &ids {
            assert_eq!((status(&api, id).await, api.transitions(id).await.len()), ("timeout".to_owned(), 2), "{lost}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_to_a_change_of_the_service_is_recognized() {
    let api = Api::start().await;
    let id = running(&api, json!({ "timeout_seconds": 10 })).await;
    later(&api, 15);
    let plan = (0..=DEADLINE_SHARDS).map(|_| Fault::Pass);
    api.proxy.plan(plan.chain([Fault::drop_answer()]));
    let report = pass(&api).await;
    assert_eq!((ended(&report, "timeout"), report.lost, report.failed), (1, 0, 0), "{report:?}");
    assert_eq!(api.transitions(&id).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pass_without_time_begins_nothing_and_says_so() {
    let api = Api::start().await;
    let id = running(&api, json!({ "timeout_seconds": 10 })).await;
    later(&api, 15);
    let pass = api.proxied.enforce_deadlines(Instant::now()).await;
    assert!(!pass.complete && pass.ended.is_empty(), "{pass:?}");
    assert_eq!(status(&api, &id).await, "running");
}

#[tokio::test(flavor = "multi_thread")]
async fn clocks_that_differ_by_two_seconds_end_nothing_early() {
    let api = Api::start().await;
    // Claimed by a function whose clock lags, judged by one whose clock is ahead: both within the tolerance together.
    api.clock.rewind(Duration::from_secs(1));
    let id = running(&api, json!({ "timeout_seconds": 100 })).await;
    api.clock.advance(Duration::from_secs(2 + 99));
    pass(&api).await;
    assert_eq!(status(&api, &id).await, "running", "99 seconds have passed by the true clock");
    later(&api, 4);
    pass(&api).await;
    assert_eq!(status(&api, &id).await, "timeout");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_whose_execution_is_gone_or_has_ended_is_passed_over() {
    let api = Api::start().await;
    let id = running(&api, json!({ "timeout_seconds": 10 })).await;
    patch(&api, &id, json!({ "status": "completed" })).await;
    // As the index shows it before it has heard of the end.
    let mut lagging = api.head(&id).await;
    lagging.insert(
        "dp".to_owned(),
        AttributeValue::S(format!("d#{}", deadline_shard(&ExecutionId::parse(&id).expect("an id")))),
    );
    lagging.insert("dd".to_owned(), AttributeValue::N("1".to_owned()));
    api.put(lagging).await;
    let report = pass(&api).await;
    assert_eq!((report.looked, report.ended.len(), report.refiled), (1, 0, 0), "{report:?}");
    assert_eq!(status(&api, &id).await, "completed");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_execution_that_was_claimed_by_version_0_1_is_watched_from_its_next_claim() {
    let api = Api::start().await;
    let id = running(&api, json!({ "timeout_seconds": 100 })).await;
    // As version 0.1 wrote it.
    let mut head = api.head(&id).await;
    for name in ["dp", "dd", "wt", "hb", "at"] {
        head.remove(name);
    }
    api.put(head).await;
    later(&api, 200);
    assert_eq!(pass(&api).await.looked, 0);
    assert_eq!(beat(&api, &id).await["attempt"], 0);
    patch(&api, &id, json!({ "status": "retrying" })).await;
    patch(&api, &id, json!({ "status": "running" })).await;
    // Its deadline counts from the first running, and is long over.
    assert_eq!(ended(&pass(&api).await, "timeout"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pass_reports_one_line_of_metrics_and_fails_where_requests_failed() {
    let api = Api::start().await;
    let overdue = running(&api, json!({ "timeout_seconds": 10 })).await;
    later(&api, 72);
    let event = || lambda_runtime_event();
    let mut metrics = Vec::new();
    let report = enforce_deadlines::handle(&api.proxied, event(), &mut metrics).await.expect("a whole pass");
    assert!(report.complete && report.overdue_seconds >= 59, "{report:?}");
    let line: Value = serde_json::from_slice(&metrics).expect("one line of JSON");
    assert_eq!((&line["TimedOut"], &line["Looked"], &line["Table"]), (&json!(1.0), &json!(1.0), &json!(api.table())));
    assert!(line["OverdueSeconds"].as_f64().is_some_and(|seconds| (59.0..65.0).contains(&seconds)), "{line}");
    assert_eq!(line["_aws"]["CloudWatchMetrics"][0]["Namespace"], "Ratchet");
    assert_eq!(status(&api, &overdue).await, "timeout");
    running(&api, json!({ "timeout_seconds": 10 })).await;
    later(&api, 15);
    api.proxy.fail_matching("UpdateExpression", Fault::internal);
    let mut metrics = Vec::new();
    assert!(enforce_deadlines::handle(&api.proxied, event(), &mut metrics).await.is_err());
    assert!(!metrics.is_empty(), "a pass that fails is measured all the same");
}

fn lambda_runtime_event() -> lambda_http::LambdaEvent<serde::de::IgnoredAny> {
    lambda_http::LambdaEvent::new(serde::de::IgnoredAny, lambda_http::Context::default())
}
