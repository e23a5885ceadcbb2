//! `GET /executions/{execution_id}/heartbeat`

use std::time::Duration;

use serde_json::{Value, json};
use tests::{Api, text};

fn path(id: &str) -> String {
    format!("/executions/{id}/heartbeat")
}

/// What anybody who may read sees.
async fn seen(api: &Api, id: &str) -> Value {
    api.with_key("reader").get(&path(id)).await.assert_status(200).body.clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn it_says_when_the_worker_was_last_heard_and_changes_nothing_by_it() {
    let api = Api::start().await;
    let body = json!({
        "flow_id": "demo", "trigger_type": "test", "timeout_seconds": 600, "heartbeat_timeout_seconds": 100,
        "start_timeout_seconds": 60,
    });
    let created = api.execute(&body).await;
    let id = text(&created["id"]);
    let waiting = seen(&api, &id).await;
    assert_eq!(
        waiting,
        json!({
            "execution_id": id,
            "status": "pending",
            "attempt": 0,
            "last_heartbeat_at": null,
            "cancel_requested_at": null,
            "force_at": null,
            "deadline_at": waiting["deadline_at"],
        })
    );
    assert!(waiting["deadline_at"].is_string(), "that of the start");

    let running = json!({ "status": "running" });
    let claimed = api.patch(&format!("/flows/executions/{id}"), &running).await.assert_status(200).body.clone();
    let at_claim = seen(&api, &id).await;
    assert_eq!(at_claim["last_heartbeat_at"], claimed["started_at"], "a claim is the first heartbeat");
    assert_ne!(at_claim["deadline_at"], waiting["deadline_at"], "that of the run");

    api.clock.advance(Duration::from_secs(7));
    let told = api.post(&path(&id), &json!({ "attempt": 1 })).await.assert_status(200).body.clone();
    let (record, head) = (api.record(&id).await, api.head(&id).await);
    api.clock.advance(Duration::from_secs(5));
    let _ = api.watch.requests();
    let answer = api.with_key("reader").get(&path(&id)).await;
    assert_eq!(api.watch.requests(), ["GetItem"]);
    assert_eq!(answer.header("etag"), None, "a heartbeat makes no version");
    let shown = answer.assert_status(200).body.clone();
    assert!(text(&shown["last_heartbeat_at"]) > text(&at_claim["last_heartbeat_at"]), "{shown}");
    for same in ["execution_id", "status", "attempt", "deadline_at"] {
        assert_eq!(shown[same], told[same], "{same}");
    }
    assert_eq!(seen(&api, &id).await, shown, "asking is no heartbeat");
    assert_eq!((api.record(&id).await, api.head(&id).await), (record, head));
}

#[tokio::test(flavor = "multi_thread")]
async fn it_says_when_a_cancel_is_forced_until_that_is_over() {
    let api = Api::start().await;
    let id = api.execution_in("running").await;
    let cancel = api.post(&format!("/executions/{id}/cancel"), &json!({ "grace_seconds": 90 })).await;
    let cancel = cancel.assert_status(200).body.clone();
    let asked = seen(&api, &id).await;
    for same in ["cancel_requested_at", "force_at"] {
        assert!(asked[same].is_string(), "{same}");
        assert_eq!(asked[same], cancel[same], "{same}");
    }
    api.patch(&format!("/flows/executions/{id}"), &json!({ "status": "completed" })).await.assert_status(200);
    let ended = seen(&api, &id).await;
    assert_eq!(
        (&ended["status"], &ended["force_at"], &ended["deadline_at"]),
        (&json!("completed"), &Value::Null, &Value::Null)
    );
    assert_eq!(ended["last_heartbeat_at"], asked["last_heartbeat_at"], "what was heard stays known");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_needs_an_execution_and_the_scope() {
    let api = Api::start().await;
    api.get(&path("6a1ed1a4-7ee7-4a8a-b1f0-4b21a3a5f3d9")).await.assert_error(404, "EXECUTION_NOT_FOUND");
    let id = api.new_execution().await;
    api.with_key("writer").get(&path(&id)).await.assert_error(403, "FORBIDDEN");
}
