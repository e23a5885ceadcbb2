//! `PATCH /executions/{execution_id}`

use reqwest::Method;
use serde_json::{Value, json};
use tests::Api;

fn path(id: &str) -> String {
    format!("/executions/{id}")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_execution_is_ended_as_asked_in_one_request() {
    let api = Api::start().await;
    for target in ["cancelled", "failed", "completed"] {
        let id = api.execution_in("running").await;
        let _ = api.watch.requests();
        let answer = api.patch(&path(&id), &json!({ "status": target })).await;
        assert_eq!(
            answer.assert_status(200).body,
            json!({
                "success": true,
                "execution_id": id,
                "previous_status": "running",
                "current_status": target,
                "message": format!("Status changed from running to {target}"),
            })
        );
        assert_eq!(answer.header("etag"), Some("\"3\""));
        assert_eq!(api.watch.requests(), ["UpdateItem"]);
        let record = api.record(&id).await;
        assert_eq!(record["status"], target);
        assert!(record["completed_at"].is_string() && record["duration_ms"].is_i64());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_works_from_running_and_interrupted_only() {
    let api = Api::start().await;
    for from in ["pending", "queued", "retrying", "completed", "failed", "cancelled", "timeout"] {
        for target in ["cancelled", "failed", "completed"] {
            let id = api.execution_in(from).await;
            let answer = api.patch(&path(&id), &json!({ "status": target })).await;
            answer.assert_error(400, "INVALID_STATUS_TRANSITION");
            let detail = answer.body["detail"].as_str().unwrap_or_default();
            assert!(detail.contains(&format!("from {from} to {target}")), "{detail}");
            // Where the table allows it, the message names the operation that can.
            let open = ["pending", "queued", "retrying"].contains(&from);
            let other = match target {
                "cancelled" => "POST /api/v1/executions/{execution_id}/cancel",
                _ => "PATCH /api/v1/flows/executions/{execution_id}",
            };
            assert_eq!(detail.contains(other), open, "{detail}");
            assert_eq!(api.record(&id).await["status"], from);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn error_info_is_kept_and_its_message_is_the_error_message() {
    let api = Api::start().await;
    for (info, details, message) in [
        (json!({ "message": "lost", "code": 7 }), json!({ "message": "lost", "code": 7 }), json!("lost")),
        (json!({ "message": 7 }), json!({ "message": 7 }), Value::Null),
        (json!({}), json!({}), Value::Null),
        (Value::Null, Value::Null, Value::Null),
    ] {
        let id = api.execution_in("running").await;
        api.patch(&path(&id), &json!({ "status": "failed", "error_info": info })).await.assert_status(200);
        let record = api.record(&id).await;
        assert_eq!((&record["error_details"], &record["error_message"]), (&details, &message));
        let transitions = api.get(&format!("/executions/{id}/transitions")).await;
        assert_eq!(transitions.body["transitions"][1]["reason"], message);
    }
    // A message that is too long is cut: error_details has all of it.
    let id = api.execution_in("running").await;
    let info = json!({ "message": "é".repeat(65_537) });
    api.patch(&path(&id), &json!({ "status": "failed", "error_info": info })).await.assert_status(200);
    let record = api.record(&id).await;
    assert_eq!((&record["error_details"], &record["error_message"]), (&info, &json!("é".repeat(65_536))));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_cleans_up_what_was_interrupted() {
    let api = Api::start().await;
    for target in ["cancelled", "failed", "completed"] {
        let id = api.execution_in("interrupted").await;
        let answer = api.patch(&path(&id), &json!({ "status": target })).await;
        let body = &answer.assert_status(200).body;
        assert_eq!((&body["previous_status"], &body["current_status"]), (&json!("interrupted"), &json!(target)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelling_needs_write_and_the_rest_needs_admin() {
    let api = Api::start().await;
    let id = api.execution_in("running").await;
    for (key, target) in [("reader", "cancelled"), ("reader", "failed"), ("writer", "failed"), ("writer", "completed")]
    {
        let answer = api.with_key(key).patch(&path(&id), &json!({ "status": target })).await;
        answer.assert_error(403, "FORBIDDEN");
    }
    assert_eq!(api.record(&id).await["status"], "running");
    api.with_key("writer").patch(&path(&id), &json!({ "status": "cancelled" })).await.assert_status(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeat_is_answered_as_the_success_that_it_was() {
    let api = Api::start().await;
    let id = api.execution_in("running").await;
    let call = || {
        api.request(Method::PATCH, &path(&id)).json(&json!({ "status": "cancelled" })).header("idempotency-key", "c")
    };
    let first = call().send().await;
    first.assert_status(200);
    // Fields that are not frozen may still be corrected. That does not affect the replay.
    api.patch(&format!("/flows/executions/{id}"), &json!({ "tokens_used": 1 })).await.assert_status(200);
    let repeat = call().send().await;
    assert_eq!(repeat.assert_status(200).body, first.body);
    assert_eq!(repeat.header("idempotency-replayed"), Some("true"));
    let other = api.request(Method::PATCH, &path(&id)).json(&json!({ "status": "failed" }));
    other.header("idempotency-key", "c").send().await.assert_error(422, "IDEMPOTENCY_KEY_REUSED");
    // Without the key the repeat is a new change, which is not allowed.
    api.patch(&path(&id), &json!({ "status": "cancelled" })).await.assert_error(400, "INVALID_STATUS_TRANSITION");
    let unmatched = api.request(Method::PATCH, &path(&id)).json(&json!({ "status": "failed" }));
    unmatched.header("if-match", "\"1\"").send().await.assert_error(412, "PRECONDITION_FAILED");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_three_statuses_may_be_asked_for() {
    let api = Api::start().await;
    let id = api.execution_in("running").await;
    for status in [json!("timeout"), json!("running"), json!("Failed"), json!(1), Value::Null] {
        let answer = api.patch(&path(&id), &json!({ "status": status })).await;
        assert_eq!(answer.validation_errors(), ["body.status: enum"]);
        assert_eq!(answer.body["detail"][0]["msg"], "Input should be 'cancelled', 'failed' or 'completed'");
    }
    assert_eq!(api.patch(&path(&id), &json!({})).await.validation_errors(), ["body.status: missing"]);
}
