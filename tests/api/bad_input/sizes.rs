//! Bodies and records that are too large.

use reqwest::Method;
use serde_json::json;
use tests::{Answer, text};

use super::{Execute, OBJECTS, OPERATIONS, Update, UpdateStatus, World, call, padded, running, state};

const MIB: usize = 1024 * 1024;

/// The most that DynamoDB stores in one item.
const ITEM: usize = 400 * 1024;

/// An object of exactly this many bytes.
fn object(bytes: usize) -> String {
    let frame = r#"{"a":""}"#.len();
    format!(r#"{{"a":"{}"}}"#, "x".repeat(bytes - frame))
}

/// Ends the test unless the answer is 413 and its detail names a size of at least `min`, and this limit.
#[track_caller]
fn assert_too_large(answer: &Answer, min: usize, limit: usize) {
    answer.assert_error(413, "PAYLOAD_TOO_LARGE");
    let detail = text(&answer.body["detail"]);
    let numbers: Vec<usize> =
        detail.split(|character: char| !character.is_ascii_digit()).filter_map(|digits| digits.parse().ok()).collect();
    let [size, stated] = numbers[..] else { panic!("no two sizes: {detail}") };
    // The parts of a record or an update that do not come from the caller are small.
    assert!((min..min + 2_048).contains(&size) && stated == limit, "{detail}: expected {min} and {limit}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_may_have_1_mib_and_not_a_byte_more() {
    let world = World::start().await;
    for operation in OPERATIONS {
        for content_type in ["application/json", "application/vnd.acme.run+json"] {
            let send = async |body: String| {
                let call = world.call(operation).header("content-type", content_type);
                call.body(body).send().await
            };
            let over = send(padded(&operation.body(""), MIB + 1)).await;
            over.assert_error(413, "PAYLOAD_TOO_LARGE");
            assert_eq!(over.body["detail"], "The body has 1048577 bytes; at most 1048576 are allowed");
            // Bytes count, not characters.
            let wide = format!(r#"{{"a":"{}"}}"#, "é".repeat(MIB / 2));
            assert_too_large(&send(wide).await, MIB + 8, MIB);
            // It is refused for its size before it is read.
            assert_too_large(&send("[".repeat(2 * MIB)).await, 2 * MIB, MIB);
        }
    }
    world.assert_untouched().await;

    for operation in OPERATIONS {
        let id = running(&world.api).await;
        let send = call(&world.api, operation, &id).header("content-type", "application/json");
        send.body(padded(&operation.body(""), MIB)).send().await.assert_status(200);
        // The decoded size counts, not that of the base64 that API Gateway passes on.
        let id = running(&world.api).await;
        let send = call(&world.api, operation, &id).header("content-type", "application/vnd.acme.run+json");
        send.body(padded(&operation.body(""), MIB)).send().await.assert_status(200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_of_1_mib_whose_record_does_not_fit_is_refused_for_the_record() {
    let world = World::start().await;
    for (operation, field, _) in OBJECTS {
        let frame = operation.body(&format!("\"{field}\":")).len();
        let body = operation.body(&format!("\"{field}\":{}", object(MIB - frame)));
        assert_eq!(body.len(), MIB);
        assert_too_large(&world.send(operation, body).await, MIB - frame, ITEM);
    }
    world.assert_untouched().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_of_399_kb_is_kept_and_one_of_401_kb_is_refused_with_both_sizes() {
    let world = World::start().await;
    for (operation, field, name) in OBJECTS {
        let kept = object(399 * 1024);
        let record = world.accepted(operation, &format!("\"{field}\":{kept}")).await;
        assert!(record.text.contains(&format!("\"{name}\":{kept},")), "{field}");
        let body = operation.body(&format!("\"{field}\":{}", object(401 * 1024)));
        assert_too_large(&world.send(operation, body).await, 401 * 1024, ITEM);
        // DynamoDB counts the bytes of UTF-8: this has 205,000 characters.
        let wide = format!("\"{field}\":{{\"a\":\"{}\"}}", "é".repeat(205_000));
        assert_too_large(&world.send(operation, operation.body(&wide)).await, 410_008, ITEM);
    }
    world.assert_untouched().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_that_a_large_record_does_not_hold_is_refused_whole() {
    let world = World::start().await;
    let large = json!({ "flow_id": "demo", "trigger_type": "test", "metadata": { "a": "x".repeat(398 * 1024) } });
    let id = text(&world.api.execute(&large).await["id"]);
    let path = format!("/flows/executions/{id}");
    world.api.patch(&path, &json!({ "status": "running" })).await.assert_status(200);
    let before = state(&world.api, &id).await;
    let more = object(3 * 1024);
    for (operation, members) in [
        (Update, format!("\"final_output\":{more}")),
        (Update, format!("\"tokens_used\":7,\"performance_metrics\":{more}")),
        (Update, format!("\"status\":\"completed\",\"final_output\":{more}")),
        (Update, format!("\"status\":\"failed\",\"error_message\":\"{}\"", "x".repeat(3 * 1024))),
        (UpdateStatus, format!("\"error_info\":{more}")),
    ] {
        for key in [None, Some("k")] {
            let mut send = call(&world.api, operation, &id).header("content-type", "application/json");
            if let Some(key) = key {
                send = send.header("idempotency-key", key);
            }
            let answer = send.body(operation.body(&members)).send().await;
            // The size of the stored record is not known here. The size of what was sent is.
            assert_too_large(&answer, 3 * 1024, ITEM);
            assert_eq!(state(&world.api, &id).await, before, "{operation:?}");
        }
    }
    // The refused write did not use up the key, and an update that fits is written.
    let call = world.api.request(Method::PATCH, &path).header("idempotency-key", "k");
    call.json(&json!({ "tokens_used": 7 })).send().await.assert_status(200);
    // Objects replace: another object of that size replaces the first.
    let other = json!({ "metadata": { "b": "y".repeat(398 * 1024) } });
    assert_eq!(world.api.patch(&path, &other).await.assert_status(200).body["metadata"], other["metadata"]);
    world.api.patch(&path, &json!({ "status": "completed" })).await.assert_status(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_that_are_too_large_together_create_no_execution() {
    let world = World::start().await;
    let part = object(210 * 1024);
    let members = format!("\"variables\":{part},\"trigger_data\":{part}");
    for _ in 0..2 {
        let send = world.call(Execute).header("content-type", "application/json").header("idempotency-key", "k");
        assert_too_large(&send.body(Execute.body(&members)).send().await, 420 * 1024, ITEM);
    }
    let members = format!("\"final_output\":{part},\"performance_metrics\":{part}");
    assert_too_large(&world.send(Update, Update.body(&members)).await, 420 * 1024, ITEM);
    world.assert_untouched().await;
    // Its key was not used up either.
    let send = world.call(Execute).header("content-type", "application/json").header("idempotency-key", "k");
    let created = send.body(Execute.body("")).send().await;
    assert_eq!(created.assert_status(200).header("idempotency-replayed"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_largest_inputs_leave_room_for_the_largest_result() {
    let world = World::start().await;
    let inputs = object(399 * 1024);
    let members = format!("\"variables\":{inputs},\"metadata\":{}", object(1024));
    let created = world.send(Execute, Execute.body(&members)).await;
    let id = text(&created.assert_status(200).body["execution"]["id"]);
    let path = format!("/flows/executions/{id}");
    world.api.patch(&path, &json!({ "status": "running" })).await.assert_status(200);
    let end = Update.body(&format!("\"status\":\"completed\",\"final_output\":{}", object(390 * 1024)));
    let call = call(&world.api, Update, &id).header("content-type", "application/json");
    let ended = call.body(end).send().await;
    assert!(ended.assert_status(200).text.contains(&format!("\"variables\":{inputs},")));
    assert_eq!(world.api.get(&path).await.text, ended.text);
}
