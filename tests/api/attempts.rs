//! The present attempt: its number, what a new one clears, and writers that speak for another one.

use reqwest::Method;
use serde_json::{Value, json};
use tests::{Answer, Api};

async fn patch(api: &Api, id: &str, body: &Value) -> Answer {
    api.patch(&format!("/flows/executions/{id}"), body).await
}

async fn keyed(api: &Api, id: &str, key: &str, body: &Value) -> Answer {
    let call = api.request(Method::PATCH, &format!("/flows/executions/{id}"));
    call.json(body).header("idempotency-key", key).send().await
}

async fn attempts(api: &Api, id: &str) -> Vec<(String, i64)> {
    let log = api.get(&format!("/executions/{id}/transitions")).await;
    let transitions = log.body["transitions"].as_array().expect("a list");
    let number = |transition: &Value| transition["attempt"].as_i64().expect("a number");
    transitions.iter().map(|step| (step["to"].as_str().expect("a status").to_owned(), number(step))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_claim_begins_an_attempt_and_the_log_says_to_which_each_transition_belongs() {
    let api = Api::start().await;
    let id = api.execution_in("pending").await;
    assert_eq!(api.record(&id).await["attempt"], 0);
    let mut expected = Vec::new();
    for (to, attempt) in [
        ("queued", 0),
        ("running", 1),
        ("retrying", 1),
        ("running", 2),
        ("interrupted", 2),
        ("running", 3),
        ("completed", 3),
    ] {
        let answer = patch(&api, &id, &json!({ "status": to })).await;
        assert_eq!(answer.assert_status(200).body["attempt"], attempt, "{to}");
        assert_eq!(answer.header("etag"), Some(format!("\"{}\"", answer.body["version"]).as_str()));
        expected.push((to.to_owned(), attempt));
    }
    assert_eq!(attempts(&api, &id).await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_that_speaks_for_another_attempt_is_told_which_one_is_present() {
    let api = Api::start().await;
    let id = api.execution_in("running").await;
    for status in ["interrupted", "running"] {
        patch(&api, &id, &json!({ "status": status })).await.assert_status(200);
    }
    let before = api.record(&id).await;
    for attempt in [0, 1, 3] {
        for body in [
            json!({ "attempt": attempt, "status": "completed", "final_output": { "by": "the first worker" } }),
            json!({ "attempt": attempt, "tokens_used": 7 }),
            json!({ "attempt": attempt }),
            // The table would refuse it, too; the attempt comes first.
            json!({ "attempt": attempt, "status": "running" }),
        ] {
            let answer = patch(&api, &id, &body).await;
            let detail = answer.assert_error(409, "ATTEMPT_SUPERSEDED").body["detail"].to_string();
            assert!(detail.contains("attempt 2"), "{detail}");
            assert_eq!(api.record(&id).await, before, "{body}");
        }
    }
    patch(&api, &id, &json!({ "attempt": 2, "tokens_used": 7 })).await.assert_status(200);
    patch(&api, &id, &json!({ "attempt": 2, "status": "completed" })).await.assert_status(200);
    // After the end as well: a report for a superseded attempt is told that it is.
    patch(&api, &id, &json!({ "attempt": 1, "status": "failed" })).await.assert_error(409, "ATTEMPT_SUPERSEDED");
    let answer = patch(&api, &id, &json!({ "attempt": 2, "status": "failed" })).await;
    assert_eq!(answer.assert_error(400, "INVALID_STATUS_TRANSITION").body["current_status"], "completed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_after_an_attempt_is_applied_after_that_one_alone() {
    let api = Api::start().await;
    let id = api.execution_in("queued").await;
    patch(&api, &id, &json!({ "status": "running", "attempt": 1 })).await.assert_error(409, "ATTEMPT_SUPERSEDED");
    let claimed = patch(&api, &id, &json!({ "status": "running", "attempt": 0 })).await;
    assert_eq!(claimed.assert_status(200).body["attempt"], 1);
    patch(&api, &id, &json!({ "status": "interrupted", "attempt": 1 })).await.assert_status(200);
    // Two workers take over what the first has left: both saw attempt 1.
    let claim = json!({ "status": "running", "attempt": 1 });
    assert_eq!(patch(&api, &id, &claim).await.assert_status(200).body["attempt"], 2);
    patch(&api, &id, &claim).await.assert_error(409, "ATTEMPT_SUPERSEDED");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_repeat_of_a_claim_is_not_shown_anothers_attempt() {
    let api = Api::start().await;
    let id = api.execution_in("queued").await;
    let claim = json!({ "status": "running" });
    keyed(&api, &id, "first", &claim).await.assert_status(200);
    let interrupted = json!({ "status": "interrupted" });
    keyed(&api, &id, "silence", &interrupted).await.assert_status(200);
    // As long as nobody else has claimed, it is the success that it was.
    assert_eq!(keyed(&api, &id, "first", &claim).await.assert_status(200).body["attempt"], 1);
    keyed(&api, &id, "second", &claim).await.assert_status(200);
    let superseded = keyed(&api, &id, "first", &claim).await;
    let detail = superseded.assert_error(409, "ATTEMPT_SUPERSEDED").body["detail"].to_string();
    assert!(detail.contains("began attempt 1, which is over: attempt 2"), "{detail}");
    // Any other repeat is answered with the record as it now stands, and the second claim's own is its own.
    assert_eq!(keyed(&api, &id, "silence", &interrupted).await.assert_status(200).body["attempt"], 2);
    assert_eq!(keyed(&api, &id, "second", &claim).await.assert_status(200).body["attempt"], 2);
    keyed(&api, &id, "first", &interrupted).await.assert_error(422, "IDEMPOTENCY_KEY_REUSED");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_timeout_may_rise_until_the_end() {
    let api = Api::start().await;
    let id = api.execution_in("running").await;
    for (seconds, allowed) in [(300, true), (301, true), (300, false), (604_800, true), (1, false)] {
        let before = api.record(&id).await;
        let answer = patch(&api, &id, &json!({ "timeout_seconds": seconds })).await;
        if allowed {
            assert_eq!(answer.assert_status(200).body["timeout_seconds"], seconds);
        } else {
            let detail = answer.assert_error(400, "INVALID_TIMEOUT").body["detail"].to_string();
            assert!(detail.contains(&format!("is {} now", before["timeout_seconds"])), "{detail}");
            assert_eq!(api.record(&id).await, before);
        }
    }
    // Beside the report of the end it is one of its fields; after it, it is frozen.
    let end = json!({ "status": "completed", "timeout_seconds": 604_800 });
    patch(&api, &id, &end).await.assert_status(200);
    let answer = patch(&api, &id, &json!({ "timeout_seconds": 604_800 })).await;
    let detail = answer.assert_error(400, "EXECUTION_FINISHED").body["detail"].to_string();
    assert!(detail.contains("timeout_seconds cannot change"), "{detail}");
}

#[tokio::test(flavor = "multi_thread")]
async fn attempts_and_timeouts_beyond_their_bounds_are_refused_before_anything_is_read() {
    let api = Api::start().await;
    let id = api.execution_in("running").await;
    let _ = api.watch.requests();
    for (name, value, kind) in [
        ("attempt", json!(-1), "greater_than_equal"),
        ("attempt", json!(1i64 << 53), "less_than_equal"),
        ("attempt", json!("1"), "int_type"),
        ("attempt", json!(1.5), "int_from_float"),
        ("timeout_seconds", json!(0), "greater_than_equal"),
        ("timeout_seconds", json!(604_801), "less_than_equal"),
        ("timeout_seconds", json!(true), "int_type"),
    ] {
        let answer = patch(&api, &id, &json!({ name: value })).await;
        let error = &answer.assert_status(422).body["detail"][0];
        assert_eq!((&error["loc"], &error["type"]), (&json!(["body", name]), &json!(kind)), "{value}");
    }
    assert!(api.watch.requests().is_empty());
}
