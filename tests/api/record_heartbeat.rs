//! `POST /executions/{execution_id}/heartbeat`.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tests::proxy::Fault;
use tests::{Answer, Api, text};

fn path(id: &str) -> String {
    format!("/executions/{id}/heartbeat")
}

async fn beat(api: &Api, id: &str, body: &Value) -> Answer {
    api.post(&path(id), body).await
}

/// An execution that is watched for silence, claimed once.
async fn watched(api: &Api) -> String {
    let body = json!({
        "flow_id": "demo", "trigger_type": "test", "timeout_seconds": 600, "heartbeat_timeout_seconds": 100
    });
    let id = text(&api.execute(&body).await["id"]);
    api.patch(&format!("/flows/executions/{id}"), &json!({ "status": "running" })).await.assert_status(200);
    id
}

/// When the worker was last heard, as the table has it.
async fn last_heard(api: &Api, id: &str) -> i64 {
    let head = api.head(id).await;
    head["hb"].as_n().expect("a number").parse().expect("a time")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_status_is_answered_with_what_to_do_and_only_a_running_one_is_written() {
    let api = Api::start().await;
    for (status, attempt, action, reason) in [
        ("pending", 0, "claim", Value::Null),
        ("queued", 0, "claim", Value::Null),
        ("running", 1, "continue", Value::Null),
        ("retrying", 1, "claim", Value::Null),
        ("completed", 1, "stop", json!("The execution is completed")),
        ("failed", 0, "stop", json!("The execution is failed")),
        ("cancelled", 0, "stop", json!("The execution is cancelled")),
        ("timeout", 0, "stop", json!("The execution is timeout")),
    ] {
        for body in [json!({}), json!({ "attempt": attempt }), json!({ "attempt": null })] {
            let id = api.execution_in(status).await;
            let (record, head) = (api.record(&id).await, api.head(&id).await);
            api.clock.advance(Duration::from_millis(5));
            let answer = beat(&api, &id, &body).await;
            let told = &answer.assert_status(200).body;
            let started = attempt > 0;
            assert_eq!(
                *told,
                json!({
                    "execution_id": id,
                    "status": status,
                    "attempt": attempt,
                    "action": action,
                    "reason": reason,
                    "cancel_requested_at": null,
                    "force_at": null,
                    "deadline_at": if started { told["deadline_at"].clone() } else { Value::Null },
                    "heartbeat_in_seconds": 60,
                }),
                "{status} {body}"
            );
            assert_eq!(told["deadline_at"].is_string(), started, "{status}");
            assert_eq!(answer.header("etag"), None, "a heartbeat makes no version");
            assert_eq!(api.record(&id).await, record, "{status}: a heartbeat is in no record");
            assert_eq!(api.head(&id).await == head, status != "running", "{status} {body}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_of_another_attempt_is_told_to_stop_whatever_the_status_is_and_writes_nothing() {
    let api = Api::start().await;
    for status in ["running", "interrupted", "retrying", "completed"] {
        let id = watched(&api).await;
        for status in ["interrupted", "running"].into_iter().chain((status != "running").then_some(status)) {
            api.patch(&format!("/flows/executions/{id}"), &json!({ "status": status })).await.assert_status(200);
        }
        let head = api.head(&id).await;
        api.clock.advance(Duration::from_secs(1));
        for (attempt, reason) in [
            (0, "Attempt 0 is over: attempt 2 is the present one"),
            (1, "Attempt 1 is over: attempt 2 is the present one"),
            (3, "There is no attempt 3 yet: attempt 2 is the present one"),
        ] {
            let answer = beat(&api, &id, &json!({ "attempt": attempt })).await;
            let told = &answer.assert_status(200).body;
            assert_eq!((&told["action"], &told["reason"]), (&json!("stop"), &json!(reason)), "{status}");
            assert_eq!((&told["status"], &told["attempt"]), (&json!(status), &json!(2)));
        }
        assert_eq!(api.head(&id).await, head, "{status}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_heartbeat_says_until_when_and_when_to_send_the_next() {
    let api = Api::start().await;
    let id = watched(&api).await;
    let started = api.record(&id).await["started_at"].clone();
    let told = beat(&api, &id, &json!({ "attempt": 1 })).await.body;
    assert_eq!(told["heartbeat_in_seconds"], 33);
    let millis = |time: &Value| ratchet_model::clock::Timestamp::parse(&text(time)).expect("a time").millis();
    assert_eq!(millis(&told["deadline_at"]), millis(&started) + 600_000);
    api.patch(&format!("/flows/executions/{id}"), &json!({ "timeout_seconds": 700 })).await.assert_status(200);
    let told = beat(&api, &id, &json!({})).await.body;
    assert_eq!(millis(&told["deadline_at"]), millis(&started) + 700_000);

    let body = json!({
        "flow_id": "demo", "trigger_type": "test", "start_timeout_seconds": 50, "scheduled_at": "2099-01-01T00:00:00Z"
    });
    let waiting = text(&api.execute(&body).await["id"]);
    let told = beat(&api, &waiting, &json!({})).await.body;
    assert_eq!((&told["action"], &told["deadline_at"]), (&json!("claim"), &json!("2099-01-01T00:00:50.000Z")));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_execution_whose_worker_is_heard_runs_again_in_the_same_attempt() {
    let api = Api::start().await;
    let id = watched(&api).await;
    let path = format!("/flows/executions/{id}");
    let said = json!({ "status": "interrupted", "error_message": "no sign of it", "error_details": { "host": "a" } });
    api.patch(&path, &said).await.assert_status(200);
    let before = api.record(&id).await;
    api.clock.advance(Duration::from_secs(1));
    let told = beat(&api, &id, &json!({ "attempt": 1 })).await;
    let told = &told.assert_status(200).body;
    assert_eq!(
        (&told["status"], &told["attempt"], &told["action"]),
        (&json!("running"), &json!(1), &json!("continue"))
    );
    // It clears nothing, and is the same attempt.
    let mut expected = before.clone();
    let after = api.record(&id).await;
    for (name, value) in
        [("status", json!("running")), ("version", json!(4)), ("updated_at", after["updated_at"].clone())]
    {
        expected[name] = value;
    }
    assert_eq!(after, expected);
    let log = api.get(&format!("/executions/{id}/transitions")).await.body;
    let revival = &log["transitions"][2];
    assert_eq!((&revival["from"], &revival["to"]), (&json!("interrupted"), &json!("running")));
    assert_eq!((&revival["reason"], &revival["attempt"]), (&json!("heartbeat"), &json!(1)));
    assert_eq!((&revival["by"], &revival["version"]), (&json!("local-1"), &json!(4)));
    // The next claim begins the second attempt.
    api.patch(&path, &json!({ "status": "retrying" })).await.assert_status(200);
    let claimed = api.patch(&path, &json!({ "status": "running" })).await;
    assert_eq!(claimed.assert_status(200).body["attempt"], 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revival_in_doubt_is_done_once_and_one_that_somebody_forestalls_looks_again() {
    let api = Api::start().await;
    // The answer to the revival is lost: its own transition is found.
    let id = watched(&api).await;
    api.patch(&format!("/flows/executions/{id}"), &json!({ "status": "interrupted" })).await.assert_status(200);
    api.proxy.plan([Fault::Pass, Fault::drop_answer()]);
    let told = beat(&api, &id, &json!({ "attempt": 1 })).await;
    assert_eq!(told.assert_status(200).body["status"], "running");
    assert_eq!(api.transitions(&id).await.len(), 3);
    // Between the refused heartbeat and the revival somebody else acts.
    for (meanwhile, status, action) in [
        (json!({ "status": "completed" }), "completed", "stop"),
        (json!({ "status": "running" }), "running", "stop"),
        (json!({ "status": "queued" }), "queued", "claim"),
        (json!({ "tokens_used": 7 }), "running", "continue"),
    ] {
        let id = watched(&api).await;
        api.patch(&format!("/flows/executions/{id}"), &json!({ "status": "interrupted" })).await.assert_status(200);
        let (store, other) = (api.store.clone(), id.clone());
        let change = meanwhile.clone();
        // The heartbeat is refused; before its answer arrives the other writer writes.
        api.proxy.plan([Fault::PassThen(Box::pin(async move {
            tests::write_directly(&store, &other, &change).await;
        }))]);
        let told = beat(&api, &id, &json!({ "attempt": 1 })).await;
        let told = &told.assert_status(200).body;
        assert_eq!((&told["status"], &told["action"]), (&json!(status), &json!(action)), "{meanwhile}");
        assert_eq!(api.record(&id).await["status"], status);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_heartbeat_only_rises_whatever_the_clock_says() {
    let api = Api::start().await;
    let id = watched(&api).await;
    api.clock.advance(Duration::from_secs(10));
    beat(&api, &id, &json!({ "attempt": 1 })).await.assert_status(200);
    let heard = last_heard(&api, &id).await;
    // A function whose clock is behind.
    api.clock.rewind(Duration::from_secs(5));
    let told = beat(&api, &id, &json!({ "attempt": 1 })).await;
    assert_eq!(told.assert_status(200).body["action"], "continue");
    assert_eq!(last_heard(&api, &id).await, heard);
    api.clock.advance(Duration::from_secs(6));
    beat(&api, &id, &json!({})).await.assert_status(200);
    assert!(last_heard(&api, &id).await > heard);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_heartbeat_is_sent_again_and_a_store_that_is_away_says_so() {
    let api = Api::start_with_timeouts().await;
    let id = watched(&api).await;
    for fault in [Fault::DropRequest, Fault::drop_answer(), Fault::throttled(), Fault::internal()] {
        api.proxy.plan([fault]);
        let told = beat(&api, &id, &json!({ "attempt": 1 })).await;
        assert_eq!(told.assert_status(200).body["action"], "continue");
    }
    api.proxy.plan((0..3).map(|_| Fault::internal()));
    let answer = beat(&api, &id, &json!({ "attempt": 1 })).await;
    answer.assert_error(503, "STORE_UNAVAILABLE");
    assert_eq!(answer.header("retry-after"), Some("1"));
    api.record(&id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_heartbeat_needs_the_scope_write_and_an_execution_of_its_organization() {
    let api = Api::start().await;
    let id = watched(&api).await;
    api.with_key("reader").post(&path(&id), &json!({})).await.assert_error(403, "FORBIDDEN");
    assert_eq!(api.with_key("writer").post(&path(&id), &json!({})).await.assert_status(200).body["action"], "continue");
    api.with_key("other-key").post(&path(&id), &json!({})).await.assert_error(404, "EXECUTION_NOT_FOUND");
    let missing = path(&uuid::Uuid::new_v4().to_string());
    api.post(&missing, &json!({})).await.assert_error(404, "EXECUTION_NOT_FOUND");
    // An Idempotency-Key is neither needed nor read: two heartbeats with one key are two.
    for body in [json!({ "attempt": 1 }), json!({})] {
        let call = api.request(Method::POST, &path(&id)).json(&body).header("idempotency-key", "k");
        let answer = call.send().await;
        assert_eq!(answer.assert_status(200).header("idempotency-replayed"), None);
    }
}
