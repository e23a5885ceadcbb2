//! Execution ids that are not valid.

use reqwest::Method;
use serde_json::{Value, json};
use tests::coverage::{assert_covers_those, operations};
use tests::{Answer, BASE};

use super::{Cancel, Heartbeat, Steps, Update, UpdateStatus, World};

/// The answers of every route with an id in it, each with a valid body.
async fn ask_all(world: &World, id: &str) -> Vec<Answer> {
    let bodies = [
        ("get_execution", None),
        ("list_transitions", None),
        ("get_heartbeat", None),
        ("update_execution", Some(Update.body(r#""tokens_used":1"#))),
        ("update_execution_status", Some(UpdateStatus.body(""))),
        ("record_heartbeat", Some(Heartbeat.body(""))),
        ("cancel_execution", Some(Cancel.body(""))),
        ("wait_execution", None),
        ("report_steps", Some(Steps.body(""))),
        ("list_steps", None),
    ];
    let has_an_id = |path: &str| path.contains("{execution_id}");
    assert_covers_those(
        "ask_all of tests/api/bad_input/ids.rs",
        |operation| has_an_id(&operation.path),
        bodies.each_ref().map(|(operation, _)| *operation),
    );
    let mut answers = Vec::new();
    for operation in operations().iter().filter(|operation| has_an_id(&operation.path)) {
        let method: Method = operation.method.parse().expect("a method");
        let path = operation.path.replace("{execution_id}", id);
        let call = world.api.request(method, path.strip_prefix(BASE).expect("the base path"));
        let body = bodies.iter().find(|(name, _)| *name == operation.id).and_then(|(_, body)| body.clone());
        let call = match body {
            Some(body) => call.header("content-type", "application/json").body(body),
            None => call,
        };
        answers.push(call.send().await);
    }
    answers
}

/// The answer without what differs from request to request.
fn anonymous(answer: &Answer) -> Value {
    let mut body = answer.body.clone();
    body["correlation_id"].take();
    body["timestamp"].take();
    body
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_stands_in_the_place_of_an_id_is_as_missing_as_any_other() {
    let world = World::start().await;
    let id = &world.id;
    let absent = anonymous(&world.api.get(&format!("/flows/executions/{}", uuid::Uuid::new_v4())).await);
    assert_eq!(absent["error_code"], "EXECUTION_NOT_FOUND");
    for hostile in [
        // The delimiter of the table's keys, and whole keys.
        format!("e%23acme%23{id}"),
        format!("acme%23{id}"),
        format!("other%23{id}"),
        format!("{id}%23h"),
        format!("%23{id}"),
        "c%23acme%23demo".to_owned(),
        "k%230123456789abcdef".to_owned(),
        // Nearly the id, or the id in a form that the service never writes.
        format!("{id}%00"),
        format!("%20{id}"),
        format!("{id}%0a"),
        format!("{id}%2Ftransitions"),
        format!("..%2F{id}"),
        format!("{id},{id}"),
        format!("urn:uuid:{id}"),
        format!("%7B{id}%7D"),
        id.replace('-', ""),
        id.replace('-', "%E2%80%90"),
        id[..35].to_owned(),
        format!("{id}0"),
        // Arbitrary texts.
        "0".to_owned(),
        "-1".to_owned(),
        "null".to_owned(),
        "%00".to_owned(),
        "%20".to_owned(),
        "%25".to_owned(),
        "%".to_owned(),
        "%zz".to_owned(),
        "%ff%fe".to_owned(),
        "%C3%A9".repeat(36),
        "%F0%9F%98%80".repeat(9),
        "{execution_id}".to_owned(),
        "a".repeat(36),
        "a".repeat(255),
        "a".repeat(256),
        "a".repeat(257),
        "a".repeat(2_049),
        "%C3%A9".repeat(256),
        "%27%20OR%201%3D1".to_owned(),
    ] {
        for answer in ask_all(&world, &hostile).await {
            answer.assert_error(404, "EXECUTION_NOT_FOUND");
            assert_eq!(anonymous(&answer), absent, "{hostile}");
        }
    }
    world.assert_untouched().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_without_an_id_is_no_route() {
    let world = World::start().await;
    for answer in ask_all(&world, "").await {
        assert_eq!(answer.assert_status(404).body, json!({ "message": "Not Found" }));
    }
    for answer in ask_all(&world, &format!("{}/{}", world.id, world.id)).await {
        assert_eq!(answer.assert_status(404).body, json!({ "message": "Not Found" }));
    }
    world.assert_untouched().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_body_is_answered_before_a_missing_execution_and_neither_is_written() {
    let world = World::start().await;
    for id in ["x", "6a1ed1a4-7ee7-4a8a-b1f0-4b21a3a5f3d9"] {
        let answer = world.api.patch(&format!("/flows/executions/{id}"), &json!({ "tokens": 1 })).await;
        assert_eq!(answer.validation_errors(), ["body.tokens: extra_forbidden"]);
        let answer = world.api.patch(&format!("/executions/{id}"), &json!({})).await;
        assert_eq!(answer.validation_errors(), ["body.status: missing"]);
    }
    world.assert_untouched().await;
}
