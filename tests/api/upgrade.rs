//! Items as version 0.1 wrote them, under the code of today. `upgrade/version-0.1.json` is what that version's development
//! server had in its table after a few requests, and the records that it showed.

use std::collections::HashMap;

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use serde_json::{Value, json};
use tests::{Answer, Api, text};

/// An attribute in DynamoDB's JSON.
fn attribute(value: &Value) -> AttributeValue {
    let (kind, value) = value.as_object().and_then(|value| value.iter().next()).expect("a value with its type");
    match kind.as_str() {
        "S" => AttributeValue::S(text(value)),
        "N" => AttributeValue::N(text(value)),
        "B" => AttributeValue::B(Blob::new(STANDARD.decode(text(value)).expect("base64"))),
        "L" => AttributeValue::L(value.as_array().expect("a list").iter().map(attribute).collect()),
        "M" => AttributeValue::M(item(value)),
        other => panic!("a type that version 0.1 did not write: {other}"),
    }
}

fn item(value: &Value) -> HashMap<String, AttributeValue> {
    let attributes = value.as_object().expect("a map").iter();
    attributes.map(|(name, value)| (name.clone(), attribute(value))).collect()
}

struct Old {
    api: Api,
    written: Value,
}

impl Old {
    async fn start() -> Self {
        let api = Api::start().await;
        let written: Value = serde_json::from_str(include_str!("upgrade/version-0.1.json")).expect("JSON");
        for each in written["items"].as_array().expect("items") {
            api.put(item(each)).await;
        }
        Self { api, written }
    }

    fn id(&self, name: &str) -> String {
        text(&self.written["ids"][name])
    }

    async fn patch(&self, name: &str, body: &Value, key: Option<&str>) -> Answer {
        let call = self.api.request(Method::PATCH, &format!("/flows/executions/{}", self.id(name))).json(body);
        match key {
            Some(key) => call.header("idempotency-key", key).send().await,
            None => call.send().await,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn records_read_and_list_as_they_did_and_have_the_new_fields() {
    let old = Old::start().await;
    let mut shown = Vec::new();
    for (name, before) in old.written["records"].as_object().expect("records") {
        let record = old.api.record(&old.id(name)).await;
        for (field, value) in before.as_object().expect("a record") {
            assert_eq!(record[field], *value, "{name}: {field}");
        }
        // Claims were not counted then.
        assert_eq!(record["attempt"], 0, "{name}");
        assert!(record["version"].as_i64() >= Some(1), "{name}");
        shown.push(record);
    }
    let listed = old.api.get("/flows/executions?page_size=100").await;
    let listed = listed.assert_status(200).body["executions"].as_array().expect("executions").clone();
    assert_eq!(listed.len(), shown.len());
    assert!(shown.iter().all(|record| listed.contains(record)));
    let log = old.api.get(&format!("/executions/{}/transitions", old.id("retried"))).await;
    let reasons: Vec<Value> = log.assert_status(200).body["transitions"]
        .as_array()
        .expect("transitions")
        .iter()
        .map(|step| json!([step["from"], step["to"], step["attempt"], step["reason"], step["by"]]))
        .collect();
    let expected = json!([
        ["pending", "running", 0, null, "local-1"],
        ["running", "retrying", 0, "rate limit", "local-1"],
        ["retrying", "running", 0, null, "local-1"],
    ]);
    assert_eq!(json!(reasons), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn repeats_of_requests_from_before_are_recognized() {
    let old = Old::start().await;
    let create = json!({
        "flow_id": "old", "trigger_type": "api",
        "variables": { "a": 1.0, "text": "x".repeat(1_500) }, "metadata": { "old": true },
    });
    let call = old.api.request(Method::POST, "/flows/execute").json(&create);
    let created = call.header("idempotency-key", "create-pending").send().await;
    assert_eq!(created.assert_status(200).header("idempotency-replayed"), Some("true"));
    assert_eq!(text(&created.body["execution"]["id"]), old.id("pending"));
    assert_eq!(created.body["execution"]["variables"], create["variables"]);
    let end = json!({ "status": "completed", "final_output": { "one": 1.0 } });
    let ended = old.patch("completed", &end, Some("end")).await;
    assert_eq!(ended.assert_status(200).header("idempotency-replayed"), Some("true"));
    // A claim from before is answered as the success that it was, until somebody claims anew.
    let claim = json!({ "status": "running" });
    let claimed = old.patch("running", &claim, Some("claim")).await;
    assert_eq!(claimed.assert_status(200).header("idempotency-replayed"), Some("true"));
    for status in ["interrupted", "running"] {
        old.patch("running", &json!({ "status": status }), None).await.assert_status(200);
    }
    old.patch("running", &claim, Some("claim")).await.assert_error(409, "ATTEMPT_SUPERSEDED");
}

#[tokio::test(flavor = "multi_thread")]
async fn executions_go_on_to_their_end_and_count_attempts_from_the_next_claim() {
    let old = Old::start().await;
    // A worker that claimed before the upgrade speaks for attempt 0.
    old.patch("running", &json!({ "tokens_used": 6, "attempt": 0 }), None).await.assert_status(200);
    old.patch("retried", &json!({ "tokens_used": 6, "attempt": 2 }), None)
        .await
        .assert_error(409, "ATTEMPT_SUPERSEDED");
    let retrying = old.patch("retried", &json!({ "status": "retrying" }), None).await;
    assert_eq!(retrying.assert_status(200).body["retry_count"], 2);
    let claimed = old.patch("retried", &json!({ "status": "running", "attempt": 0 }), None).await;
    let record = &claimed.assert_status(200).body;
    assert_eq!((&record["attempt"], &record["error_message"]), (&json!(1), &Value::Null));
    assert_eq!(record["started_at"], old.written["records"]["retried"]["started_at"]);
    let first = old.patch("pending", &json!({ "status": "running", "timeout_seconds": 301 }), None).await;
    assert_eq!(first.assert_status(200).body["variables"], old.written["records"]["pending"]["variables"]);
    for name in ["pending", "running", "retried"] {
        let ended = old.patch(name, &json!({ "status": "completed", "final_output": {} }), None).await;
        assert!(ended.assert_status(200).body["duration_ms"].is_i64(), "{name}");
    }
    for name in ["completed", "cancelled"] {
        let before = old.api.record(&old.id(name)).await;
        let late = old.patch(name, &json!({ "status": "running" }), None).await;
        assert_eq!(late.assert_error(400, "INVALID_STATUS_TRANSITION").body["current_status"], name);
        assert_eq!(old.api.record(&old.id(name)).await, before);
        old.patch(name, &json!({ "tokens_used": 9 }), None).await.assert_status(200);
    }
}
