//! Idempotency-Key on reports of steps: a repeat writes nothing and is answered as the first.

use std::time::Duration;

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::json;
use tests::Api;

use super::{listed, only, outcomes, path, report, reported, versions};

#[tokio::test(flavor = "multi_thread")]
async fn a_late_repeat_of_an_older_report_does_not_overwrite_a_newer_one() {
    let api = Api::start().await;
    let id = api.execution_in("running").await;
    let report = |progress: i64| {
        let steps = json!([{ "step_id": "01", "metadata": { "progress": progress } }, { "step_id": "02", "retry_count": progress }]);
        report(&api, &id, &steps, Some(&format!("at {progress}").replace(' ', "-"))).send()
    };
    let first = report(10).await;
    assert_eq!(outcomes(&first), ["created", "created"]);
    assert_eq!(first.header("idempotency-replayed"), None);
    assert_eq!(outcomes(&report(20).await), ["updated", "updated"]);
    let newer = listed(&api, &id).await;
    api.clock.advance(Duration::from_secs(23 * 3_600));
    for (progress, expected) in [(10, "created"), (20, "updated"), (10, "created")] {
        let repeat = report(progress).await;
        assert_eq!(outcomes(&repeat), [expected, expected]);
        assert_eq!(repeat.header("idempotency-replayed"), Some("true"));
        assert_eq!(listed(&api, &id).await, newer);
    }
    assert_eq!(versions(&api, &id).await, [2, 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_that_changed_nothing_changes_nothing_when_it_is_repeated_later() {
    let api = Api::start().await;
    let id = api.execution_in("running").await;
    reported(&api, &id, json!([{ "step_id": "01", "metadata": { "n": 1 } }, { "step_id": "02", "status": "running" }]))
        .await;
    // Both say nothing new now, and would if they came again after what follows.
    let same = json!([{ "step_id": "01", "metadata": { "n": 1 } }, { "step_id": "02", "status": "queued" }]);
    let send = || report(&api, &id, &same, Some("same")).send();
    assert_eq!(outcomes(&send().await), ["unchanged", "stale"]);
    assert_eq!(versions(&api, &id).await, [1, 1], "a mark is no change");
    reported(
        &api,
        &id,
        json!([{ "step_id": "01", "metadata": { "n": 2 } }, { "step_id": "02", "status": "retrying" }]),
    )
    .await;
    let after = listed(&api, &id).await;
    let repeat = send().await;
    assert_eq!(outcomes(&repeat), ["unchanged", "stale"]);
    assert_eq!(repeat.header("idempotency-replayed"), Some("true"));
    assert_eq!(listed(&api, &id).await, after);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_key_with_another_body_is_refused_and_writes_nothing() {
    let api = Api::start().await;
    let id = api.execution_in("running").await;
    assert_eq!(outcomes(&report(&api, &id, &json!([{ "step_id": "01" }]), Some("k")).send().await), ["created"]);
    let before = listed(&api, &id).await;
    for steps in [json!([{ "step_id": "01", "status": "failed" }]), json!([{ "step_id": "01", "tool_name": "t" }])] {
        report(&api, &id, &steps, Some("k")).send().await.assert_error(422, "IDEMPOTENCY_KEY_REUSED");
    }
    assert_eq!(listed(&api, &id).await, before);
    // Beside a step that the first request did not have, which is written: each has its own outcome.
    let mixed = report(&api, &id, &json!([{ "step_id": "02" }, { "step_id": "01", "status": "failed" }]), Some("k"));
    let mixed = mixed.send().await;
    assert_eq!(outcomes(&mixed), ["created", "refused"]);
    assert_eq!(mixed.body["outcomes"][1]["error_code"], "IDEMPOTENCY_KEY_REUSED");
    assert_eq!(listed(&api, &id).await[0], before[0]);
    // A key counts within its operation and execution.
    let other = api.execution_in("running").await;
    let answer = report(&api, &other, &json!([{ "step_id": "01", "status": "failed" }]), Some("k")).send().await;
    assert_eq!(outcomes(&answer), ["created"]);
    let patch = api.request(Method::PATCH, &format!("/flows/executions/{id}")).json(&json!({ "tokens_used": 1 }));
    let patched = patch.header("idempotency-key", "k").send().await;
    assert_eq!(patched.assert_status(200).header("idempotency-replayed"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_not_remembered_and_stays_one() {
    let api = Api::start().await;
    let id = api.execution_in("running").await;
    reported(&api, &id, json!([{ "step_id": "01", "status": "completed" }])).await;
    let steps = json!([{ "step_id": "01", "status": "failed" }, { "step_id": "02" }]);
    for (expected, replayed) in [(["refused", "created"], None), (["refused", "created"], Some("true"))] {
        let answer = report(&api, &id, &steps, Some("k")).send().await;
        assert_eq!(
            (outcomes(&answer), answer.header("idempotency-replayed")),
            (expected.map(str::to_owned).into(), replayed)
        );
    }
    assert_eq!(versions(&api, &id).await, [1, 1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_repeats_are_applied_once() {
    let api = Api::start().await;
    let id = api.execution_in("running").await;
    for (n, steps) in [
        json!([{ "step_id": "01" }]),
        json!([{ "step_id": "01", "metadata": { "a": 1 } }]),
        json!([{ "step_id": "01", "status": "completed", "output_data": {} }]),
    ]
    .into_iter()
    .enumerate()
    {
        let key = format!("k{n}");
        let answers = join_all((0..8).map(|_| report(&api, &id, &steps, Some(&key)).send())).await;
        let first = outcomes(&answers[0]);
        assert!(answers.iter().all(|answer| outcomes(answer) == first), "{first:?}");
        assert_eq!(answers.iter().filter(|answer| answer.header("idempotency-replayed").is_none()).count(), 1);
        assert_eq!(versions(&api, &id).await, [i64::try_from(n).expect("a number") + 1]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeat_for_an_attempt_that_is_over_is_the_success_that_it_was() {
    let api = Api::start().await;
    let id = api.execution_in("running").await;
    let body = json!({ "attempt": 1, "steps": [{ "step_id": "01", "status": "completed" }, { "step_id": "02" }] });
    let send = |body: &serde_json::Value, key: &str| {
        api.request(Method::POST, &path(&id)).json(body).header("idempotency-key", key).send()
    };
    assert_eq!(outcomes(&send(&body, "k").await), ["created", "created"]);
    for status in ["interrupted", "running"] {
        api.patch(&format!("/flows/executions/{id}"), &json!({ "status": status })).await.assert_status(200);
    }
    let before = listed(&api, &id).await;
    let repeat = send(&body, "k").await;
    assert_eq!(outcomes(&repeat), ["created", "created"]);
    assert_eq!((repeat.header("idempotency-replayed"), &repeat.body["action"]), (Some("true"), &json!("stop")));
    // Another request of that attempt is not, and neither is one without the key.
    send(&body, "other").await.assert_error(409, "ATTEMPT_SUPERSEDED");
    api.post(&path(&id), &body).await.assert_error(409, "ATTEMPT_SUPERSEDED");
    let reused = json!({ "attempt": 1, "steps": [{ "step_id": "02", "status": "failed" }] });
    send(&reused, "k").await.assert_error(422, "IDEMPOTENCY_KEY_REUSED");
    assert_eq!(listed(&api, &id).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_remembered_is_kept_for_a_day_and_bounded_in_time() {
    let api = Api::start().await;
    let id = api.execution_in("running").await;
    let first = json!([{ "step_id": "01", "metadata": { "first": true } }]);
    report(&api, &id, &first, Some("k")).send().await.assert_status(200);
    for hour in 0..24 {
        api.clock.advance(Duration::from_secs(if hour < 23 { 3_600 } else { 3_540 }));
        let other = json!([{ "step_id": "01", "retry_count": hour }]);
        report(&api, &id, &other, Some(&format!("other-{hour}"))).send().await.assert_status(200);
        reported(&api, &id, json!([{ "step_id": "01", "metadata": { "hour": hour } }])).await;
    }
    let repeat = report(&api, &id, &first, Some("k")).send().await;
    assert_eq!((outcomes(&repeat), repeat.header("idempotency-replayed")), (vec!["created".to_owned()], Some("true")));
    assert_eq!(only(&api, &id).await["metadata"], json!({ "hour": 23 }));
    // A worker that reports twice a second for two minutes pays for some of its marks, and then for none.
    let size = async || {
        let items = api.items().await;
        let step = items.iter().find(|item| item["sk"].as_s().is_ok_and(|sk| sk == "s#busy")).expect("a step");
        ratchet_store::item::size(step)
    };
    let mut largest = 0;
    for beat in 0..240 {
        reported(&api, &id, json!([{ "step_id": "busy", "retry_count": beat }])).await;
        api.clock.advance(Duration::from_millis(500));
        if beat % 10 == 0 {
            largest = largest.max(size().await);
        }
    }
    assert!(largest < 6 * 1_024, "{largest}");
    for beat in 0..2 {
        api.clock.advance(Duration::from_secs(60));
        reported(&api, &id, json!([{ "step_id": "busy", "retry_count": beat }])).await;
    }
    let left = size().await;
    assert!(left < 512, "{left}");
}
