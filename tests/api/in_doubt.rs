//! Attempts in doubt: lost, late and refused requests between the service and DynamoDB. A write that took effect is never
//! answered as refused, and never applied twice, with or without a key.

use std::time::Duration;

use aws_sdk_dynamodb::config::retry::TokenBucket;
use ratchet_model::clock::Clock;
use ratchet_store::Store;
use ratchet_store::client::ATTEMPT_TIMEOUT;
use ratchet_store::dedup::UNKEYED;
use reqwest::Method;
use serde_json::{Value, json};
use tests::coverage::{WITHOUT_STORE, operations};
use tests::proxy::Fault;
use tests::{Api, Call, OffsetClock};
use tokio::sync::oneshot;

fn path(id: &str) -> String {
    format!("/flows/executions/{id}")
}

/// A change, with an Idempotency-Key or without.
fn change(api: &Api, id: &str, body: &Value, key: Option<&str>) -> Call {
    let call = api.request(Method::PATCH, &path(id)).json(body);
    match key {
        Some(key) => call.header("idempotency-key", key),
        None => call,
    }
}

/// The write is applied and its answer lost. Before the next attempt another writer changes the execution.
fn drop_answer_while(api: &Api, id: &str, body: Value) -> Fault {
    let store = api.store.clone();
    let id = id.to_owned();
    Fault::DropAnswer(Box::pin(async move { tests::write_directly(&store, &id, &body).await }))
}

const KEYS: [Option<&str>; 2] = [None, Some("key")];

#[tokio::test(flavor = "multi_thread")]
async fn a_write_in_doubt_succeeds_and_is_applied_once() {
    let api = Api::start().await;
    for key in KEYS {
        for body in [json!({ "status": "retrying" }), json!({ "metadata": { "a": 1 } })] {
            let id = api.execution_in("running").await;
            api.proxy.plan([Fault::drop_answer()]);
            let _ = api.watch.requests();
            let answer = change(&api, &id, &body, key).send().await;
            assert_eq!(answer.assert_status(200).header("etag"), Some("\"3\""), "{body}");
            assert_eq!(answer.header("idempotency-replayed"), None, "it is this very request");
            assert_eq!(api.watch.requests(), ["UpdateItem", "UpdateItem"]);
            assert_eq!(answer.body, api.record(&id).await);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_in_doubt_succeeds_even_if_another_writer_came_in_between() {
    let api = Api::start().await;
    for key in KEYS {
        for (body, meanwhile) in [
            (json!({ "status": "interrupted" }), json!({ "status": "running" })),
            (json!({ "status": "completed" }), json!({ "tokens_used": 1 })),
            (json!({ "metadata": { "by": "us" } }), json!({ "metadata": { "by": "them" } })),
            (json!({ "metadata": { "by": "us" } }), json!({ "status": "failed" })),
            (json!({ "final_output": {} }), json!({ "status": "failed" })),
        ] {
            let id = api.execution_in("running").await;
            api.proxy.plan([drop_answer_while(&api, &id, meanwhile.clone())]);
            let answer = change(&api, &id, &body, key).send().await;
            // Ours is version 3, theirs 4. Ours was not applied again after theirs.
            assert_eq!(answer.assert_status(200).header("etag"), Some("\"4\""), "{body} {meanwhile}");
            let record = api.record(&id).await;
            assert_eq!(answer.body, record);
            for (field, value) in meanwhile.as_object().into_iter().flatten() {
                assert_eq!(&record[field], value, "{body} {meanwhile}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_status_change_in_doubt_reports_what_it_did_and_not_what_came_after() {
    let api = Api::start().await;
    let id = api.execution_in("running").await;
    api.proxy.plan([drop_answer_while(&api, &id, json!({ "tokens_used": 1 }))]);
    let answer = api.patch(&format!("/executions/{id}"), &json!({ "status": "cancelled" })).await;
    let body = &answer.assert_status(200).body;
    assert_eq!((&body["previous_status"], &body["current_status"]), (&json!("running"), &json!("cancelled")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_request_is_sent_again() {
    let api = Api::start().await;
    for fault in [Fault::DropRequest, Fault::throttled(), Fault::internal()] {
        let id = api.execution_in("running").await;
        api.proxy.plan([fault]);
        let answer = change(&api, &id, &json!({ "status": "completed" }), None).send().await;
        assert_eq!(answer.assert_status(200).header("etag"), Some("\"3\""));
    }
    // Applied, and answered with a 500 all the same.
    let id = api.execution_in("running").await;
    api.proxy.plan([Fault::ApplyAndAnswer(500, "{}".to_owned())]);
    let answer = change(&api, &id, &json!({ "status": "completed" }), None).send().await;
    assert_eq!(answer.assert_status(200).header("etag"), Some("\"3\""));
    assert_eq!(api.transitions(&id).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_delivered_after_its_repeat_is_not_applied_twice() {
    let api = Api::start_with_timeouts().await;
    for key in KEYS {
        let id = api.execution_in("running").await;
        let (go, held) = oneshot::channel();
        let (done, applied) = oneshot::channel();
        api.proxy.plan([Fault::Hold(held, done)]);
        // The first attempt hangs until its timeout, the second one is applied.
        let answer = change(&api, &id, &json!({ "status": "interrupted" }), key).send().await;
        assert_eq!(answer.assert_status(200).header("etag"), Some("\"3\""));
        // Another writer sets a status from which the first attempt is allowed, then that attempt arrives.
        tests::write_directly(&api.store, &id, &json!({ "status": "running" })).await;
        go.send(()).expect("the proxy holds the request");
        applied.await.expect("it was delivered");
        let expected = ["pending>running", "running>interrupted", "interrupted>running"];
        assert_eq!(api.transitions(&id).await, expected, "{key:?}");
    }
}

/// A bucket of the ring of writes without a key (`shared/store/src/dedup.rs`).
const BUCKET: Duration = Duration::from_millis(UNKEYED.bucket_ms().cast_unsigned());

/// Moves the service's clock to the beginning of a bucket, so that no bucket ends by itself while a test counts them.
fn begin_bucket(clock: &OffsetClock) {
    let left = UNKEYED.bucket_ms() - clock.now().millis().rem_euclid(UNKEYED.bucket_ms());
    clock.advance(Duration::from_millis(left.cast_unsigned()));
}

/// Another writer's updates without a key, one in each of the next `buckets` buckets.
async fn others_write(clock: &OffsetClock, store: &Store, id: &str, buckets: u32) {
    for _ in 0..buckets {
        clock.advance(BUCKET);
        tests::write_directly(store, id, &json!({ "metadata": { "by": "them" } })).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_is_not_applied_twice_however_late_it_comes() {
    let api = Api::start_with_timeouts().await;
    // When it arrives, its token has been cleared, and the map that held the token is in use again, or is not.
    for later in 0..8 {
        let id = api.execution_in("running").await;
        let (go, held) = oneshot::channel();
        let (done, applied) = oneshot::channel();
        api.proxy.plan([Fault::Hold(held, done)]);
        let answer = change(&api, &id, &json!({ "metadata": { "by": "us" } }), None).send().await;
        assert_eq!(answer.assert_status(200).header("etag"), Some("\"3\""));
        tests::write_directly(&api.store, &id, &json!({ "metadata": { "by": "them" } })).await;
        others_write(&api.clock, &api.store, &id, later).await;
        let before = api.record(&id).await;
        go.send(()).expect("the proxy holds the request");
        applied.await.expect("it was delivered");
        assert_eq!(api.record(&id).await, before, "{later} buckets later");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_whose_clock_lags_is_fenced_and_applied_once() {
    let api = Api::start().await;
    let body = json!({ "tokens_used": 1 });
    for ahead in [1, 2, 3, 4, 1_000] {
        let id = api.execution_in("running").await;
        begin_bucket(&api.clock);
        api.clock.advance(BUCKET * ahead);
        tests::write_directly(&api.store, &id, &json!({ "metadata": { "by": "them" } })).await;
        api.clock.rewind(BUCKET * ahead);
        let _ = api.watch.requests();
        let answer = change(&api, &id, &body, None).send().await;
        assert_eq!(answer.assert_status(200).header("etag"), Some("\"4\""));
        assert_eq!(api.watch.requests(), ["UpdateItem", "UpdateItem"]);
        // A write with a key is not fenced, and neither is a change of status.
        change(&api, &id, &body, Some("key")).send().await.assert_status(200);
        change(&api, &id, &json!({ "status": "completed" }), None).send().await.assert_status(200);
        assert_eq!(api.watch.requests(), ["UpdateItem", "UpdateItem"]);
        // A rule refuses this one as well, so that it is not sent again.
        change(&api, &id, &json!({ "final_output": {} }), None).send().await.assert_error(400, "EXECUTION_FINISHED");
        assert_eq!(api.watch.requests(), ["UpdateItem"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_in_doubt_that_was_fenced_is_found_or_sent_again_or_answered_as_unknown() {
    let api = Api::start_with_timeouts().await;
    let body = json!({ "tool_calls_count": 1 });
    for (buckets, known) in [(1, true), (2, false), (3, false)] {
        // The attempt was applied, and its answer lost.
        let id = api.execution_in("running").await;
        begin_bucket(&api.clock);
        let (clock, store, of) = (api.clock.clone(), api.store.clone(), id.clone());
        let meanwhile = async move { others_write(&clock, &store, &of, buckets).await };
        api.proxy.plan([Fault::DropAnswer(Box::pin(meanwhile))]);
        let answer = change(&api, &id, &body, None).send().await;
        if known {
            assert_eq!(answer.assert_status(200).body["tool_calls_count"], 1);
        } else {
            answer.assert_error(503, "OUTCOME_UNKNOWN");
        }
        assert_eq!(api.get(&path(&id)).await.header("etag"), Some(&*format!("\"{}\"", 3 + buckets)), "once");

        // The attempt is still on its way.
        let id = api.execution_in("running").await;
        begin_bucket(&api.clock);
        let (go, held) = oneshot::channel();
        let (done, applied) = oneshot::channel();
        api.proxy.plan([Fault::Hold(held, done)]);
        let call = change(&api, &id, &body, None);
        let (answer, ()) = tokio::join!(call.send(), async {
            tokio::time::sleep(ATTEMPT_TIMEOUT / 2).await;
            others_write(&api.clock, &api.store, &id, buckets).await;
        });
        let applied_now = if known {
            answer.assert_status(200);
            1
        } else {
            answer.assert_error(503, "OUTCOME_UNKNOWN");
            0
        };
        let before = api.get(&path(&id)).await;
        assert_eq!(before.header("etag"), Some(&*format!("\"{}\"", 2 + buckets + applied_now)));
        go.send(()).expect("the proxy holds the request");
        applied.await.expect("it was delivered");
        assert_eq!(api.get(&path(&id)).await.header("etag"), before.header("etag"), "it was fenced for good");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_not_answered_while_an_earlier_attempt_may_still_be_applied() {
    let api = Api::start_with_timeouts().await;
    let id = api.execution_in("queued").await;
    let (go, held) = oneshot::channel();
    let (done, applied) = oneshot::channel();
    api.proxy.plan([Fault::Hold(held, done)]);
    // The second attempt is refused, `queued` allows no `interrupted`. But the first is still on its way.
    let answer = change(&api, &id, &json!({ "status": "interrupted" }), None).send().await;
    answer.assert_error(503, "OUTCOME_UNKNOWN");
    tests::write_directly(&api.store, &id, &json!({ "status": "running" })).await;
    go.send(()).expect("the proxy holds the request");
    applied.await.expect("it was delivered");
    assert_eq!(api.record(&id).await["status"], "interrupted");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_that_no_later_state_can_lift_is_answered_at_once() {
    let api = Api::start().await;
    for (status, body, code) in [
        ("completed", json!({ "status": "failed" }), "INVALID_STATUS_TRANSITION"),
        ("completed", json!({ "final_output": {} }), "EXECUTION_FINISHED"),
        ("running", json!({ "retry_count": 4 }), "INVALID_RETRY_COUNT"),
    ] {
        let id = api.execution_in(status).await;
        api.proxy.plan([Fault::DropRequest]);
        change(&api, &id, &body, None).send().await.assert_error(400, code);
    }
    let id = api.execution_in("running").await;
    api.proxy.plan([Fault::DropRequest]);
    let stale = change(&api, &id, &json!({ "tokens_used": 1 }), None).header("if-match", "\"1\"").send().await;
    stale.assert_error(412, "PRECONDITION_FAILED");
    api.proxy.plan([Fault::DropRequest]);
    let missing = change(&api, "6a1ed1a4-7ee7-4a8a-b1f0-4b21a3a5f3d9", &json!({ "tokens_used": 1 }), None).send().await;
    missing.assert_error(404, "EXECUTION_NOT_FOUND");
}

#[tokio::test(flavor = "multi_thread")]
async fn throttling_is_distinguished_from_an_unknown_outcome() {
    let api = Api::start().await;
    let id = api.execution_in("running").await;
    let body = json!({ "status": "completed" });
    api.proxy.plan([Fault::throttled(), Fault::throttled(), Fault::throttled()]);
    change(&api, &id, &body, None).send().await.assert_error(503, "STORE_UNAVAILABLE");
    assert_eq!(api.record(&id).await["status"], "running");

    // The last attempt was throttled, but one before it is in doubt: it may have been applied. It was.
    api.proxy.plan([Fault::drop_answer(), Fault::throttled(), Fault::throttled()]);
    change(&api, &id, &body, Some("k")).send().await.assert_error(503, "OUTCOME_UNKNOWN");
    assert_eq!(api.record(&id).await["status"], "completed");
    let repeat = change(&api, &id, &body, Some("k")).send().await;
    assert_eq!(repeat.assert_status(200).header("idempotency-replayed"), Some("true"));

    let id = api.execution_in("running").await;
    api.proxy.plan([Fault::internal(), Fault::internal(), Fault::internal()]);
    change(&api, &id, &body, None).send().await.assert_error(503, "OUTCOME_UNKNOWN");
}

/// In a long outage the SDK stops retrying: each retry that fails takes 14 of the 500 tokens that a function begins with, each
/// success returns one. What is reported about the one attempt that is left must be true all the same.
#[tokio::test(flavor = "multi_thread")]
async fn without_a_retry_quota_a_failure_is_reported_as_what_it_is() {
    let none = || TokenBucket::builder().capacity(0).retry_cost(14).timeout_retry_cost(14).throttling_retry_cost(5);
    let api = Api::start_with(|config| tests::patient(config).retry_partition(tests::retries(none().build()))).await;
    let id = api.execution_in("running").await;
    let body = json!({ "status": "completed" });
    for (fault, code) in [
        (Fault::throttled(), "STORE_UNAVAILABLE"),
        (Fault::DropRequest, "OUTCOME_UNKNOWN"),
        (Fault::internal(), "OUTCOME_UNKNOWN"),
        (Fault::drop_answer(), "OUTCOME_UNKNOWN"),
    ] {
        assert_eq!(api.record(&id).await["status"], "running");
        let _ = api.watch.requests();
        api.proxy.plan([fault]);
        change(&api, &id, &body, Some("k")).send().await.assert_error(503, code);
        assert_eq!(api.watch.requests(), ["UpdateItem"]);
    }
    // The last one was applied.
    let repeat = change(&api, &id, &body, Some("k")).send().await;
    assert_eq!(repeat.assert_status(200).header("idempotency-replayed"), Some("true"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_hangs_is_given_up_before_the_function_is() {
    let api = Api::start_with_timeouts().await;
    let id = api.execution_in("running").await;
    let hang = || Fault::Delay(Duration::from_secs(30));
    let begun = tokio::time::Instant::now();
    api.proxy.plan([hang(), hang(), hang()]);
    change(&api, &id, &json!({ "status": "completed" }), None).send().await.assert_error(503, "OUTCOME_UNKNOWN");
    api.proxy.plan([hang(), hang(), hang()]);
    api.get(&path(&id)).await.assert_error(503, "STORE_UNAVAILABLE");
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_are_repeated_and_then_given_up() {
    let api = Api::start().await;
    let id = api.new_execution().await;
    // A list sends several requests at once, which share no plan: `list_executions::a_store_that_throttles_is_answered_as_unavailable`.
    // A wait takes an answer that does not come for no news: `wait_execution::a_dynamodb_that_is_away_at_the_end_is_said_to_be`.
    let apart = |id: &str| ["list_executions", "wait_execution"].contains(&id) || WITHOUT_STORE.contains(&id);
    let reads = operations().into_iter().filter(|operation| operation.method == "GET" && !apart(&operation.id));
    let routes: Vec<String> = reads.map(|operation| operation.path.replace("{execution_id}", &id)).collect();
    assert!(routes.len() >= 2, "{routes:?}");
    for route in routes.iter().filter_map(|route| route.strip_prefix(tests::BASE)) {
        api.proxy.plan([Fault::drop_answer(), Fault::throttled()]);
        api.get(route).await.assert_status(200);
        api.proxy.plan([Fault::internal(), Fault::DropRequest, Fault::throttled()]);
        api.get(route).await.assert_error(503, "STORE_UNAVAILABLE");
    }
}
