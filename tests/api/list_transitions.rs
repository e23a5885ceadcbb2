//! `GET /executions/{execution_id}/transitions`

use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use ratchet_model::api_key::ApiKey;
use ratchet_model::key_name::KeyName;
use ratchet_model::scope::Scopes;
use ratchet_store::schema as attributes;
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
    let entry = |from: &str, to: &str, at: Value, by: &str, reason: Value, version: i64| json!({ "from": from, "to": to, "at": at, "by": by, "by_name": null, "reason": reason, "attempt": 1, "version": version });
    assert_eq!(
        answer.body["transitions"],
        json!([
            entry("pending", "running", at(&running), "local-1", Value::Null, 2),
            entry("running", "retrying", at(&retrying), "local-1", json!("rate limit"), 4),
            entry("retrying", "cancelled", at(&cancelled), "local-5", Value::Null, 5),
        ])
    );
}

/// A store's own item of an execution, changed as `change` says.
async fn rewrite_log(api: &Api, change: impl Fn(&mut Vec<AttributeValue>)) {
    let item = api.items().await.into_iter().find(|item| item.contains_key(attributes::TRANSITIONS));
    let mut item = item.expect("an execution");
    let Some(AttributeValue::M(log)) = item.get_mut(attributes::TRANSITIONS) else { panic!("no log") };
    for entry in log.values_mut() {
        let AttributeValue::L(parts) = entry else { panic!("no entry") };
        change(parts);
    }
    api.put_item(item).await;
}

/// The `by_name` and the reason of each transition.
async fn named(api: &Api, id: &str) -> Vec<(Value, Value)> {
    let answer = api.get(&format!("/executions/{id}/transitions")).await;
    let list = answer.assert_status(200).body["transitions"].as_array().expect("a list").clone();
    list.iter().map(|entry| (entry["by_name"].clone(), entry["reason"].clone())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn it_says_the_name_that_the_key_had_at_the_time() {
    let api = Api::start().await;
    let id = api.new_execution().await;
    let path = format!("/flows/executions/{id}");
    let name = KeyName::parse("Zoë 🦀, 100%").expect("a name");
    let first = ApiKey::generate().expect("random numbers");
    let organization = tests::organization("acme");
    api.store.create_key(&first, &organization, Some(&name), Scopes::ALL, None).await.expect("a key");
    api.with_key(first.reveal()).patch(&path, &json!({ "status": "running" })).await.assert_status(200);
    // A rotation keeps the name, under another id.
    let second = ApiKey::generate().expect("random numbers");
    api.store.rotate_key(&first.id(), Duration::from_secs(60), &second, None).await.expect("a rotation");
    let retrying = json!({ "status": "retrying", "error_message": "rate limit" });
    api.with_key(second.reveal()).patch(&path, &retrying).await.assert_status(200);
    // What becomes of the key afterwards changes nothing of what was.
    api.store.revoke_key(&second.id()).await.expect("a revocation");
    api.patch(&path, &json!({ "status": "failed", "error_message": "gave up" })).await.assert_status(200);

    let answer = api.get(&format!("/executions/{id}/transitions")).await;
    let list = answer.assert_status(200).body["transitions"].as_array().expect("a list").clone();
    let by: Vec<&Value> = list.iter().map(|entry| &entry["by"]).collect();
    assert_eq!(by, [&json!(first.id()), &json!(second.id()), &json!("local-1")]);
    let expected = [
        (json!("Zoë 🦀, 100%"), Value::Null),
        (json!("Zoë 🦀, 100%"), json!("rate limit")),
        (Value::Null, json!("gave up")),
    ];
    assert_eq!(named(&api, &id).await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_of_version_0_1_is_read_and_written_on() {
    let api = Api::start().await;
    for reason in [Value::Null, json!("no answer")] {
        let api = Api::start().await;
        let id = api.new_execution().await;
        let path = format!("/flows/executions/{id}");
        let failed = json!({ "status": "retrying", "error_message": reason });
        api.patch(&path, &failed).await.assert_status(200);
        // Without a name an entry is as version 0.1 wrote it: four parts, and a fifth for a reason.
        let length = if reason.is_null() { 4 } else { 5 };
        rewrite_log(&api, |parts| assert_eq!(parts.len(), length)).await;
        api.patch(&path, &json!({ "status": "running" })).await.assert_status(200);
        assert_eq!(named(&api, &id).await, [(Value::Null, reason), (Value::Null, Value::Null)]);
    }
    // What a later version may have added is passed over.
    let id = api.new_execution().await;
    api.patch(&format!("/flows/executions/{id}"), &json!({ "status": "running" })).await.assert_status(200);
    rewrite_log(&api, |parts| {
        parts.extend([
            AttributeValue::Null(true),
            AttributeValue::Null(true),
            AttributeValue::Null(true),
            AttributeValue::S("later".to_owned()),
        ]);
    })
    .await;
    assert_eq!(named(&api, &id).await, [(Value::Null, Value::Null)]);
    // A name that no key can have had is no name.
    rewrite_log(&api, |parts| parts[5] = AttributeValue::S("a\nb".to_owned())).await;
    api.get(&format!("/executions/{id}/transitions")).await.assert_error(500, "INTERNAL");
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
