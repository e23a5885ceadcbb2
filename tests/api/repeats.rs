//! Idempotency-Key: a replay writes nothing and is answered as the first success.

use std::time::Duration;

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use tests::{Api, Call};

fn keyed(api: &Api, id: &str, key: &str, body: &Value) -> Call {
    api.request(Method::PATCH, &format!("/flows/executions/{id}")).json(body).header("idempotency-key", key)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_repeat_of_an_older_report_does_not_overwrite_a_newer_one() {
    let api = Api::start().await;
    let id = api.execution_in("running").await;
    let older = json!({ "metadata": { "progress": 10 } });
    keyed(&api, &id, "ten", &older).send().await.assert_status(200);
    let newer = keyed(&api, &id, "twenty", &json!({ "metadata": { "progress": 20 } })).send().await;
    let repeat = keyed(&api, &id, "ten", &older).send().await;
    assert_eq!(repeat.assert_status(200).header("idempotency-replayed"), Some("true"));
    assert_eq!(repeat.body, newer.body);
    assert_eq!(repeat.header("etag"), newer.header("etag"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeat_of_a_transition_succeeds_whatever_has_happened_since() {
    let api = Api::start().await;
    let id = api.execution_in("queued").await;
    let running = json!({ "status": "running" });
    keyed(&api, &id, "run", &running).send().await.assert_status(200);
    keyed(&api, &id, "int", &json!({ "status": "interrupted" })).send().await.assert_status(200);
    // The status is `interrupted` and would allow `running`: a replay must not enter it again.
    let repeat = keyed(&api, &id, "run", &running).send().await;
    assert_eq!(repeat.assert_status(200).body["status"], "interrupted");
    assert_eq!(api.transitions(&id).await, ["pending>queued", "queued>running", "running>interrupted"]);
    keyed(&api, &id, "end", &json!({ "status": "failed" })).send().await.assert_status(200);
    assert_eq!(keyed(&api, &id, "run", &running).send().await.assert_status(200).body["status"], "failed");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_key_with_another_body_is_refused_and_writes_nothing() {
    let api = Api::start().await;
    let id = api.execution_in("running").await;
    keyed(&api, &id, "k", &json!({ "tokens_used": 1 })).send().await.assert_status(200);
    keyed(&api, &id, "t", &json!({ "status": "interrupted" })).send().await.assert_status(200);
    let before = api.record(&id).await;
    for (key, body) in [
        ("k", json!({ "tokens_used": 2 })),
        ("k", json!({ "status": "completed" })),
        ("t", json!({ "tokens_used": 2 })),
        ("t", json!({ "status": "running" })),
        ("k", json!({})),
    ] {
        keyed(&api, &id, key, &body).send().await.assert_error(422, "IDEMPOTENCY_KEY_REUSED");
    }
    assert_eq!(api.record(&id).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_counts_within_its_operation_execution_and_organization() {
    let api = Api::start().await;
    let id = api.execution_in("running").await;
    keyed(&api, &id, "k", &json!({ "tokens_used": 1 })).send().await.assert_status(200);
    let another = api.execution_in("running").await;
    let answer = keyed(&api, &another, "k", &json!({ "tokens_used": 2 })).send().await;
    assert_eq!(answer.assert_status(200).header("idempotency-replayed"), None);
    let operation = api.request(Method::PATCH, &format!("/executions/{id}"));
    let answer = operation.json(&json!({ "status": "failed" })).header("idempotency-key", "k").send().await;
    assert_eq!(answer.assert_status(200).header("idempotency-replayed"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_not_remembered() {
    let api = Api::start().await;
    let id = api.execution_in("queued").await;
    let done = json!({ "status": "interrupted" });
    keyed(&api, &id, "k", &done).send().await.assert_error(400, "INVALID_STATUS_TRANSITION");
    keyed(&api, &id, "r", &json!({ "status": "running" })).send().await.assert_status(200);
    assert_eq!(keyed(&api, &id, "k", &done).send().await.assert_status(200).header("idempotency-replayed"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeat_wins_over_if_match() {
    let api = Api::start().await;
    let id = api.execution_in("running").await;
    let call = || keyed(&api, &id, "k", &json!({ "tokens_used": 1 })).header("if-match", "\"2\"").send();
    call().await.assert_status(200);
    // The record is at version 3 now. The write that the replay asks for did take effect.
    assert_eq!(call().await.assert_status(200).header("idempotency-replayed"), Some("true"));
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_repeats_are_applied_once() {
    let api = Api::start().await;
    let id = api.execution_in("running").await;
    for body in [json!({ "metadata": { "a": 1 } }), json!({ "status": "retrying" })] {
        let key = body.to_string().replace(' ', "");
        let answers = join_all((0..8).map(|_| keyed(&api, &id, &key, &body).send())).await;
        let fresh = answers.iter().filter(|answer| answer.assert_status(200).header("idempotency-replayed").is_none());
        assert_eq!(fresh.count(), 1);
    }
    let answer = api.get(&format!("/flows/executions/{id}")).await;
    assert_eq!((answer.header("etag"), &answer.body["retry_count"]), (Some("\"4\""), &json!(1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_remembered_for_a_day_of_activity() {
    let api = Api::start().await;
    let id = api.execution_in("running").await;
    let body = json!({ "metadata": { "first": true } });
    keyed(&api, &id, "k", &body).send().await.assert_status(200);
    // Other writers, keyed and not, over 23 hours and 59 minutes: their tokens must not clear this one.
    for hour in 0..24 {
        api.clock.advance(if hour < 23 { Duration::from_secs(3600) } else { Duration::from_secs(3540) });
        keyed(&api, &id, &format!("other-{hour}"), &json!({ "tokens_used": hour })).send().await.assert_status(200);
        api.patch(&format!("/flows/executions/{id}"), &json!({ "tool_calls_count": hour })).await.assert_status(200);
    }
    assert_eq!(keyed(&api, &id, "k", &body).send().await.header("idempotency-replayed"), Some("true"));
    // The tokens of transitions are kept as long as the execution.
    let interrupt = json!({ "status": "interrupted" });
    keyed(&api, &id, "t", &interrupt).send().await.assert_status(200);
    api.clock.advance(Duration::from_secs(40 * 24 * 3600));
    assert_eq!(keyed(&api, &id, "t", &interrupt).send().await.header("idempotency-replayed"), Some("true"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_whose_clock_lags_does_not_clear_the_token_of_a_key() {
    let api = Api::start().await;
    let id = api.execution_in("running").await;
    // The length of a bucket.
    let bucket = Duration::from_secs(25 * 3600);
    let body = json!({ "metadata": { "first": true } });
    // One writer is a whole bucket ahead of the other. That is far more than clocks ever disagree.
    api.clock.advance(bucket);
    keyed(&api, &id, "k", &body).send().await.assert_status(200);
    api.clock.rewind(bucket);
    keyed(&api, &id, "other", &json!({ "tokens_used": 1 })).send().await.assert_status(200);
    let behind = keyed(&api, &id, "k", &body).send().await;
    assert_eq!(behind.assert_status(200).header("idempotency-replayed"), Some("true"));
    api.clock.advance(bucket);
    let ahead = keyed(&api, &id, "k", &body).send().await;
    assert_eq!(ahead.assert_status(200).header("idempotency-replayed"), Some("true"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_remembered_is_bounded_in_time() {
    let api = Api::start().await;
    let id = api.execution_in("running").await;
    let path = format!("/flows/executions/{id}");
    // A heartbeat twice a second for five minutes.
    let body = json!({ "tool_calls_count": 1 });
    let mut largest = 0;
    for beat in 0..600 {
        api.patch(&path, &body).await.assert_status(200);
        api.clock.advance(Duration::from_millis(500));
        if beat % 10 == 0 {
            largest = largest.max(api.item_size(&id).await);
        }
    }
    assert!(largest < 3_072, "{largest}");
    // Minutes later two more writes have cleared nearly all tokens.
    for _ in 0..2 {
        api.clock.advance(Duration::from_secs(60));
        api.patch(&path, &body).await.assert_status(200);
    }
    let left = api.item_size(&id).await;
    assert!(left < 1_024, "{left}");
}
