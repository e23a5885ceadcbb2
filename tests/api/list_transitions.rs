//! `GET /executions/{execution_id}/transitions`

use reqwest::Method;
use serde_json::{Value, json};
use tests::Api;

#[tokio::test(flavor = "multi_thread")]
async fn it_says_who_changed_what_when_and_why() {
    let api = Api::start().await;
    let id = api.new_execution().await;
    let path = format!("/flows/executions/{id}");
    let list = format!("/executions/{id}/transitions");
    let none = api.get(&list).await;
    assert_eq!(none.assert_status(200).body, json!({ "execution_id": id, "transitions": [] }));

    let running = api.patch(&path, &json!({ "status": "running" })).await;
    api.patch(&path, &json!({ "tokens_used": 5 })).await.assert_status(200);
    let retrying = api
        .request(Method::PATCH, &path)
        .json(&json!({ "status": "retrying", "error_message": "rate limit" }))
        .header("idempotency-key", "k")
        .send()
        .await;
    let refused = api.patch(&path, &json!({ "status": "interrupted" })).await;
    refused.assert_error(400, "INVALID_STATUS_TRANSITION");
    let cancelled = api.with_key("second-key").patch(&path, &json!({ "status": "cancelled" })).await;

    let _ = api.watch.requests();
    let answer = api.get(&list).await;
    assert_eq!(api.watch.requests(), ["GetItem"]);
    let at = |answer: &tests::Answer| answer.assert_status(200).body["updated_at"].clone();
    let entry = |from: &str, to: &str, at: Value, by: &str, reason: Value, version: i64| json!({ "from": from, "to": to, "at": at, "by": by, "reason": reason, "attempt": 1, "version": version });
    assert_eq!(
        answer.body["transitions"],
        json!([
            entry("pending", "running", at(&running), "local-1", Value::Null, 2),
            entry("running", "retrying", at(&retrying), "local-1", json!("rate limit"), 4),
            entry("retrying", "cancelled", at(&cancelled), "local-5", Value::Null, 5),
        ])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn it_needs_an_execution_and_the_scope() {
    let api = Api::start().await;
    let missing = api.get("/executions/6a1ed1a4-7ee7-4a8a-b1f0-4b21a3a5f3d9/transitions").await;
    missing.assert_error(404, "EXECUTION_NOT_FOUND");
    let id = api.new_execution().await;
    api.with_key("writer").get(&format!("/executions/{id}/transitions")).await.assert_error(403, "FORBIDDEN");
    api.with_key("reader").get(&format!("/executions/{id}/transitions")).await.assert_status(200);
}
