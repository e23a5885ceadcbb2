//! No organization can read, change or detect another's executions.

mod influence;
mod timing;

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::AttributeValue;
use local::operations::OPERATIONS;
use ratchet_http::operation::Operation;
use reqwest::Method;
use serde_json::{Value, json};
use tests::{Answer, Api, Call, below_base, text};

/// The key of another organization than that of the executions that are asked for.
const STRANGER: &str = "other-key";

/// An answer without what names the request: its status, its bytes, its headers.
fn comparable(answer: &Answer) -> (u16, String, Vec<String>) {
    let mut text = answer.text.clone();
    let names_the_request = [answer.body["timestamp"].as_str(), answer.header("x-correlation-id")];
    for name in names_the_request.into_iter().flatten() {
        text = text.replace(name, "-");
    }
    let mut headers: Vec<String> = answer
        .headers
        .iter()
        .filter(|(name, _)| !["date", "x-correlation-id"].contains(&name.as_str()))
        .map(|(name, value)| format!("{name}: {value:?}"))
        .collect();
    headers.sort();
    (answer.status.as_u16(), text, headers)
}

/// The routes that name an execution.
fn routes() -> impl Iterator<Item = &'static Operation> {
    OPERATIONS.iter().map(|endpoint| endpoint.operation).filter(|route| route.path.contains("{execution_id}"))
}

/// The bodies that are tried on a route: changes that some status allows and some do not, and no changes.
fn bodies(route: &Operation) -> Vec<&'static str> {
    match route.name {
        "update_execution" => vec![
            r#"{"status":"running"}"#,
            r#"{"status":"pending"}"#,
            r#"{"status":"failed","error_message":"mine"}"#,
            r#"{"status":"retrying"}"#,
            r#"{"final_output":{}}"#,
            r#"{"metadata":{"mine":1},"retry_count":100}"#,
            r#"{"tokens_used":1}"#,
            "{}",
            r#"{"status":"running","status_":1}"#,
            "[",
            "",
        ],
        "update_execution_status" => {
            vec![r#"{"status":"cancelled"}"#, r#"{"status":"completed"}"#, r#"{"status":"running"}"#, "{}", ""]
        }
        "record_heartbeat" => vec!["", "{}", r#"{"attempt":1}"#, r#"{"attempt":7}"#, r#"{"attempt":"1"}"#, "["],
        "cancel_execution" => {
            vec!["", "{}", r#"{"reason":"mine","grace_seconds":0}"#, r#"{"grace_seconds":3601}"#, "["]
        }
        "report_steps" => vec![
            r#"{"steps":[{"step_id":"s"}]}"#,
            r#"{"attempt":1,"steps":[{"step_id":"s","status":"completed"},{"step_id":"t"}]}"#,
            r#"{"attempt":7,"steps":[{"step_id":"s"}]}"#,
            r#"{"steps":[]}"#,
            "[",
            "",
        ],
        "get_execution" | "list_transitions" | "wait_execution" | "list_steps" | "get_heartbeat" => vec![""],
        // Without bodies that it accepts, a new operation would refuse for another reason than the organization.
        other => panic!("{other} has no bodies in tests/api/tenants.rs"),
    }
}

/// The whole table, in the order of its keys.
async fn table(api: &Api) -> BTreeMap<(String, String), BTreeMap<String, AttributeValue>> {
    let text = |item: &ratchet_store::item::Item, name: &str| item[name].as_s().expect("a text").clone();
    let items = api.items().await;
    items.into_iter().map(|item| ((text(&item, "pk"), text(&item, "sk")), item.into_iter().collect())).collect()
}

/// The answers to the owner about an execution.
async fn owners_view(api: &Api, id: &str) -> [(u16, String, Vec<String>); 2] {
    let record = api.get(&format!("/flows/executions/{id}")).await;
    let log = api.get(&format!("/executions/{id}/transitions")).await;
    [comparable(&record), comparable(&log)]
}

#[tokio::test(flavor = "multi_thread")]
async fn another_organizations_execution_is_as_missing_as_one_that_never_was() {
    let api = Api::start().await;
    let stranger = api.with_key(STRANGER);
    let mut tried = 0;
    for status in ["pending", "running", "completed"] {
        let id = api.execution_in(status).await;
        // The headers of an owner's write whose token is on the record.
        let (key, correlation) = (format!("key-of-{status}"), format!("request-of-{status}"));
        let path = format!("/flows/executions/{id}");
        let owners = json!({ "tokens_used": 7 });
        let keyed = || {
            let call = api.request(Method::PATCH, &path).json(&owners);
            call.header("idempotency-key", &key).header("x-correlation-id", &correlation)
        };
        let etag = keyed().send().await.assert_status(200).header("etag").expect("an ETag").to_owned();
        let (before, view) = (table(&api).await, owners_view(&api, &id).await);

        let mut never = uuid::Uuid::new_v4().to_string();
        // Also an id that differs in a single digit and belongs to the same shard.
        let near = format!("{}{}", if id.starts_with('0') { '1' } else { '0' }, &id[1..]);
        let upper = id.to_uppercase();
        let header_sets: [&[(&str, &str)]; 8] = [
            &[],
            &[("if-match", "*"), ("if-none-match", "*")],
            &[("if-match", &etag), ("if-none-match", &etag)],
            &[("if-match", "\"999\"")],
            &[("idempotency-key", &key)],
            &[("idempotency-key", &key), ("if-match", &etag), ("x-correlation-id", &correlation)],
            &[("prefer", "return=minimal"), ("x-correlation-id", &correlation)],
            &[("content-type", "text/plain")],
        ];
        for route in routes() {
            for body in bodies(route) {
                let bodies = [body.to_owned()];
                // Also the owner's own request, whose replay by the owner would be answered as a success.
                let own = (route.name == "update_execution").then(|| owners.to_string());
                for body in bodies.into_iter().chain(own) {
                    for headers in header_sets {
                        let send = async |id: &str| {
                            let method: Method = route.method.parse().expect("a method");
                            let call = stranger.request(method, &below_base(route).replace("{execution_id}", id));
                            let typed = headers.iter().any(|(name, _)| *name == "content-type");
                            let call = if body.is_empty() { call } else { call.body(body.clone()) };
                            let call = if typed { call } else { call.header("content-type", "application/json") };
                            headers.iter().fold(call, |call: Call, (name, value)| call.header(name, value)).send().await
                        };
                        let missing = send(&never).await;
                        let expected = comparable(&missing);
                        // The similar id is tried without headers only: it is one more that does not exist.
                        let near = headers.is_empty().then_some(&near);
                        for id in [&id, &upper].into_iter().chain(near) {
                            let answer = send(id).await;
                            assert_eq!(comparable(&answer), expected, "{} {id} {headers:?} {body}", route.name);
                            tried += 1;
                        }
                        assert!(matches!(missing.status.as_u16(), 404 | 415 | 422), "{}", missing.text);
                        never = uuid::Uuid::new_v4().to_string();
                    }
                }
            }
        }
        assert_eq!(table(&api).await, before, "something was written");
        assert_eq!(owners_view(&api, &id).await, view);
        // The owner's idempotency key still works for the owner.
        let repeat = keyed().send().await;
        assert_eq!(repeat.assert_status(200).header("idempotency-replayed"), Some("true"));
    }
    assert!(tried > 800, "{tried}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_of_dynamodb_is_the_same_for_another_organizations_execution_and_none() {
    let api = Api::start().await;
    let stranger = api.with_key(STRANGER);
    let id = api.execution_in("running").await;
    for route in routes() {
        for body in bodies(route) {
            let mut asked = Vec::new();
            for id in [&id, &uuid::Uuid::new_v4().to_string()] {
                let _ = (api.watch.requests(), api.watch.units(), api.watch.read_units());
                let method: Method = route.method.parse().expect("a method");
                let call = stranger.request(method, &below_base(route).replace("{execution_id}", id));
                let call =
                    if body.is_empty() { call } else { call.body(body).header("content-type", "application/json") };
                call.send().await;
                asked.push((api.watch.requests(), api.watch.units(), api.watch.read_units()));
            }
            assert_eq!(asked[0], asked[1], "{} {body}", route.name);
            assert!(asked[0].0.len() <= 1, "{} {body}: {:?}", route.name, asked[0].0);
        }
    }
    // The owner's read does consume units: the comparison above is one of measured values.
    let _ = api.watch.read_units();
    api.get(&format!("/flows/executions/{id}")).await.assert_status(200);
    assert!(api.watch.read_units() >= 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idempotency_key_of_another_organization_is_just_a_key() {
    let api = Api::start().await;
    let stranger = api.with_key(STRANGER);
    let body = json!({ "flow_id": "demo", "trigger_type": "test" });
    let execute = |call: Call| call.json(&body).header("idempotency-key", "shared");
    let path = "/flows/execute";
    let first = execute(api.request(Method::POST, path)).send().await;
    let theirs = execute(stranger.request(Method::POST, path)).send().await;
    assert_eq!(theirs.assert_status(200).header("idempotency-replayed"), None);
    assert_ne!(theirs.body["execution"]["id"], first.assert_status(200).body["execution"]["id"]);
    // The same key with another body is refused within an organization, and only there.
    let another = json!({ "flow_id": "demo", "trigger_type": "api" });
    let call = stranger.request(Method::POST, path).json(&another).header("idempotency-key", "second");
    call.send().await.assert_status(200);
    let call = api.request(Method::POST, path).json(&body).header("idempotency-key", "second");
    assert_eq!(call.send().await.assert_status(200).header("idempotency-replayed"), None);
    let repeat = execute(api.request(Method::POST, path)).send().await;
    assert_eq!(repeat.assert_status(200).header("idempotency-replayed"), Some("true"));
    assert_eq!(repeat.body["execution"], first.body["execution"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_counts_and_numbers_are_independent_of_other_organizations() {
    let api = Api::start().await;
    let stranger = api.with_key(STRANGER);
    for _ in 0..3 {
        api.execution_in("running").await;
    }
    for query in ["", "?status=running", "?flow_id=demo", "?trigger_type=test", "?status=running&flow_id=demo"] {
        let list = stranger.get(&format!("/flows/executions{query}")).await;
        assert_eq!(list.assert_status(200).body["total_count"], 0, "{query}");
        assert_eq!(list.body["executions"], json!([]), "{query}");
    }
    let created = stranger.post("/flows/execute", &json!({ "flow_id": "demo", "trigger_type": "test" })).await;
    assert_eq!(created.assert_status(200).body["execution"]["execution_number"], 1);
    assert_eq!(created.body["execution"]["organization_id"], "other");
    assert_eq!(api.get("/flows/executions").await.body["total_count"], 3);
    // A body cannot name an organization.
    let claimed = json!({ "flow_id": "demo", "trigger_type": "test", "organization_id": "acme" });
    let answer = stranger.post("/flows/execute", &claimed).await;
    assert_eq!(answer.validation_errors(), ["body.organization_id: extra_forbidden"]);
}

/// The id of a new execution in an answer.
fn id_of(answer: &Answer) -> String {
    text(&answer.assert_status(200).body["execution"]["id"])
}

/// A value as JSON text where it is one.
fn field<'a>(value: &'a Value, name: &str) -> Option<&'a str> {
    value.get(name).and_then(Value::as_str)
}
