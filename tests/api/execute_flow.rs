//! `POST /flows/execute`

use std::collections::HashSet;

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use tests::proxy::Fault;
use tests::{Api, text};

const PATH: &str = "/flows/execute";

fn smallest() -> Value {
    json!({ "flow_id": "demo", "trigger_type": "test" })
}

#[tokio::test(flavor = "multi_thread")]
async fn the_smallest_request_creates_a_pending_execution_with_every_default() {
    let api = Api::start().await;
    let answer = api.post(PATH, &smallest()).await;
    answer.assert_status(200);
    assert_eq!(answer.header("etag"), Some("\"1\""));
    assert_eq!(answer.body["message"], "Execution 1 of flow demo accepted");
    let record = &answer.body["execution"];
    let created_at = &record["created_at"];
    assert_eq!(
        *record,
        json!({
            "id": record["id"],
            "flow_id": "demo",
            "agent_id": "unassigned",
            "organization_id": "acme",
            "execution_number": 1,
            "trigger_type": "test",
            "trigger_data": {},
            "variables": {},
            "priority": "normal",
            "status": "pending",
            "version": 1,
            "attempt": 0,
            "started_at": created_at,
            "completed_at": null,
            "duration_ms": null,
            "timeout_seconds": 300,
            "heartbeat_timeout_seconds": null,
            "start_timeout_seconds": null,
            "cancel_requested_at": null,
            "steps": [],
            "final_output": null,
            "error_message": null,
            "error_details": null,
            "retry_count": 0,
            "max_retries": 3,
            "parent_execution_id": null,
            "tokens_used": null,
            "tool_calls_count": 0,
            "cost_estimate": null,
            "performance_metrics": {},
            "metadata": {},
            "created_at": created_at,
            "updated_at": created_at,
        })
    );
    assert!(uuid::Uuid::parse_str(&text(&record["id"])).is_ok());
    assert_eq!(api.record(&text(&record["id"])).await, *record);
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_that_was_sent_is_in_the_record() {
    let api = Api::start().await;
    let record = api
        .execute(&json!({
            "flow_id": "flöw",
            "trigger_type": "webhook",
            "trigger_data": { "b": 1, "a": [] },
            "variables": { "": "" },
            "priority": "urgent",
            "timeout_seconds": 604_800,
            "retry_config": { "max_retries": 0 },
            "metadata": { "x": { "y": 1.0 } },
            "scheduled_at": "2026-01-02T03:04:05+01:00",
            "agent_id": "agent-7",
            "parent_execution_id": "0b8f2f4e-6a3b-4a54-9a3c-5f0f8f6b1d2e",
        }))
        .await;
    for (field, value) in [
        ("flow_id", json!("flöw")),
        ("trigger_type", json!("webhook")),
        ("trigger_data", json!({ "b": 1, "a": [] })),
        ("variables", json!({ "": "" })),
        ("priority", json!("urgent")),
        ("timeout_seconds", json!(604_800)),
        ("max_retries", json!(0)),
        ("metadata", json!({ "x": { "y": 1.0 } })),
        ("scheduled_at", json!("2026-01-02T02:04:05.000Z")),
        ("agent_id", json!("agent-7")),
        ("parent_execution_id", json!("0b8f2f4e-6a3b-4a54-9a3c-5f0f8f6b1d2e")),
    ] {
        assert_eq!(record[field], value, "{field}");
    }
    assert_eq!(api.record(&text(&record["id"])).await, record);
}

#[tokio::test(flavor = "multi_thread")]
async fn executions_are_numbered_by_flow_and_organization_without_repeats() {
    let api = Api::start().await;
    let body = smallest();
    let records = join_all((0..16).map(|_| api.execute(&body))).await;
    let numbers: HashSet<i64> = records.iter().filter_map(|record| record["execution_number"].as_i64()).collect();
    assert_eq!(numbers, (1..=16).collect());
    let other_flow = api.execute(&json!({ "flow_id": "other", "trigger_type": "test" })).await;
    assert_eq!(other_flow["execution_number"], 1);
    let other_organization = api.with_key("other-key").post(PATH, &body).await;
    assert_eq!(other_organization.assert_status(200).body["execution"]["execution_number"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_takes_two_requests_with_and_without_a_key() {
    let api = Api::start().await;
    for key in [None, Some("k"), Some("k")] {
        let mut call = api.request(Method::POST, PATH).json(&smallest());
        if let Some(key) = key {
            call = call.header("idempotency-key", key);
        }
        call.send().await.assert_status(200);
        assert_eq!(api.watch.requests(), ["UpdateItem", "PutItem"], "{key:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeat_with_its_key_creates_no_second_execution_and_shows_the_first_as_it_is_now() {
    let api = Api::start().await;
    let call = || api.request(Method::POST, PATH).json(&smallest()).header("idempotency-key", "order-17");
    let first = call().send().await;
    assert_eq!(first.assert_status(200).header("idempotency-replayed"), None);
    let id = text(&first.body["execution"]["id"]);
    api.patch(&format!("/flows/executions/{id}"), &json!({ "status": "running" })).await.assert_status(200);

    let repeat = call().send().await;
    assert_eq!(repeat.assert_status(200).header("idempotency-replayed"), Some("true"));
    assert_eq!(repeat.body["execution"], api.record(&id).await);
    assert_eq!(repeat.header("etag"), Some("\"2\""));
    assert_eq!(api.get("/flows/executions").await.body["total_count"], 1);

    let other = api
        .request(Method::POST, PATH)
        .json(&json!({ "flow_id": "demo", "trigger_type": "api" }))
        .header("idempotency-key", "order-17")
        .send()
        .await;
    other.assert_error(422, "IDEMPOTENCY_KEY_REUSED");
    // The same text as a key of another organization is another key.
    let elsewhere = api
        .with_key("other-key")
        .request(Method::POST, PATH)
        .json(&smallest())
        .header("idempotency-key", "order-17")
        .send()
        .await;
    assert_eq!(elsewhere.assert_status(200).header("idempotency-replayed"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_repeats_create_one_execution() {
    let api = Api::start().await;
    let calls = (0..8).map(|_| api.request(Method::POST, PATH).json(&smallest()).header("idempotency-key", "k").send());
    let answers = join_all(calls).await;
    let ids: HashSet<String> =
        answers.iter().map(|answer| text(&answer.assert_status(200).body["execution"]["id"])).collect();
    assert_eq!(ids.len(), 1);
    let fresh = answers.iter().filter(|answer| answer.header("idempotency-replayed").is_none());
    assert_eq!(fresh.count(), 1);
    assert_eq!(api.get("/flows/executions").await.body["total_count"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_in_doubt_leaves_one_execution_and_a_success() {
    let api = Api::start().await;
    for key in [None, Some("k")] {
        let mut call = api.request(Method::POST, PATH).json(&smallest());
        if let Some(key) = key {
            call = call.header("idempotency-key", key);
        }
        // The counter's request passes; the put is applied and its answer lost.
        api.proxy.plan([Fault::Pass, Fault::drop_answer()]);
        let answer = call.send().await;
        // The execution was created by this very request, so that the answer is not a replay.
        assert_eq!(answer.assert_status(200).header("idempotency-replayed"), None);
        assert_eq!(api.proxy.left(), 0);
    }
    assert_eq!(api.get("/flows/executions").await.body["total_count"], 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_counter_update_in_doubt_leaves_a_gap_and_no_repeat() {
    let api = Api::start().await;
    api.proxy.plan([Fault::drop_answer()]);
    let _ = api.watch.requests();
    let number = api.execute(&smallest()).await["execution_number"].as_i64().expect("a number");
    assert_eq!(api.watch.requests(), ["UpdateItem", "UpdateItem", "PutItem"]);
    assert_eq!(number, 2, "each attempt that was applied took a number");
    assert_eq!(api.execute(&smallest()).await["execution_number"], 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unavailable_store_is_distinguished_from_an_unknown_outcome() {
    let api = Api::start().await;
    api.proxy.plan([Fault::throttled(), Fault::throttled(), Fault::throttled()]);
    api.post(PATH, &smallest()).await.assert_error(503, "STORE_UNAVAILABLE");
    // The outcome of the counter's update is unknown, but no execution was created.
    api.proxy.plan([Fault::DropRequest, Fault::DropRequest, Fault::DropRequest]);
    api.post(PATH, &smallest()).await.assert_error(503, "STORE_UNAVAILABLE");
    assert_eq!(api.get("/flows/executions").await.body["total_count"], 0);

    api.proxy.plan([Fault::Pass, Fault::drop_answer(), Fault::DropRequest, Fault::DropRequest]);
    let call = || api.request(Method::POST, PATH).json(&smallest()).header("idempotency-key", "k");
    call().send().await.assert_error(503, "OUTCOME_UNKNOWN");
    // The caller repeats its request, as the answer says, and finds that the execution was created.
    assert_eq!(call().send().await.assert_status(200).header("idempotency-replayed"), Some("true"));
    assert_eq!(api.get("/flows/executions").await.body["total_count"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_may_only_read_creates_nothing() {
    let api = Api::start().await;
    let answer = api.with_key("reader").post(PATH, &smallest()).await;
    answer.assert_error(403, "FORBIDDEN");
    assert_eq!(answer.body["detail"], "This API key has the scopes read; this needs write or admin");
    assert_eq!(api.watch.requests(), [""; 0]);
}
