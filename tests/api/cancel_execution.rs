//! `POST /executions/{execution_id}/cancel`.

use std::time::Duration;

use ratchet_model::clock::Timestamp;
use reqwest::Method;
use serde_json::{Value, json};
use tests::proxy::Fault;
use tests::{Answer, Api, text};

fn path(id: &str) -> String {
    format!("/executions/{id}/cancel")
}

async fn cancel(api: &Api, id: &str, body: &Value) -> Answer {
    api.post(&path(id), body).await
}

async fn keyed(api: &Api, id: &str, key: &str, body: &Value) -> Answer {
    api.request(Method::POST, &path(id)).json(body).header("idempotency-key", key).send().await
}

fn millis(time: &Value) -> i64 {
    Timestamp::parse(&text(time)).expect("a time").millis()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_works_on_is_cancelled_at_once() {
    let api = Api::start().await;
    for status in ["pending", "queued", "retrying", "interrupted"] {
        for (body, reason) in [
            (json!({}), "Cancel requested"),
            (json!({ "reason": "not needed", "grace_seconds": 3600 }), "not needed"),
            (json!({ "reason": "" }), ""),
            (json!({ "reason": null, "grace_seconds": null }), "Cancel requested"),
        ] {
            let id = api.execution_in(status).await;
            let answer = cancel(&api, &id, &body).await;
            assert_eq!(
                answer.assert_status(200).body,
                json!({
                    "execution_id": id,
                    "outcome": "cancelled",
                    "previous_status": status,
                    "current_status": "cancelled",
                    "cancel_requested_at": null,
                    "force_at": null,
                }),
                "{body}"
            );
            let record = api.record(&id).await;
            assert_eq!((&record["status"], &record["cancel_requested_at"]), (&json!("cancelled"), &Value::Null));
            assert_eq!(record["error_message"], Value::Null, "a cancel leaves it as it is");
            assert!(record["completed_at"].is_string());
            assert_eq!(answer.header("etag"), Some(format!("\"{}\"", record["version"]).as_str()));
            let log = api.get(&format!("/executions/{id}/transitions")).await.body;
            let last = log["transitions"].as_array().and_then(|log| log.last()).expect("a transition").clone();
            assert_eq!(
                (&last["to"], &last["reason"], &last["by"]),
                (&json!("cancelled"), &json!(reason), &json!("local-1"))
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_is_asked_and_hears_of_it_by_its_heartbeat() {
    let api = Api::start().await;
    let id = api.execution_in("running").await;
    let answer = cancel(&api, &id, &json!({ "reason": "not needed", "grace_seconds": 90 })).await;
    let told = answer.assert_status(200).body.clone();
    assert_eq!((&told["outcome"], &told["previous_status"]), (&json!("requested"), &json!("running")));
    assert_eq!(told["current_status"], "running");
    assert_eq!(millis(&told["force_at"]), millis(&told["cancel_requested_at"]) + 90_000);
    assert_eq!(answer.header("etag"), Some("\"3\""));
    let record = api.record(&id).await;
    assert_eq!((&record["status"], &record["version"]), (&json!("running"), &json!(3)));
    assert_eq!(record["cancel_requested_at"], told["cancel_requested_at"]);
    assert_eq!(record["error_message"], Value::Null);
    let heard = api.post(&format!("/executions/{id}/heartbeat"), &json!({ "attempt": 1 })).await.body;
    assert_eq!((&heard["action"], &heard["reason"]), (&json!("cancel"), &json!("not needed")));
    assert_eq!((&heard["cancel_requested_at"], &heard["force_at"]), (&told["cancel_requested_at"], &told["force_at"]));
    // A requested cancel is no transition.
    assert_eq!(api.transitions(&id).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn asked_again_the_earlier_end_and_the_first_reason_stay() {
    let api = Api::start().await;
    let id = api.execution_in("running").await;
    let first = cancel(&api, &id, &json!({ "reason": "first", "grace_seconds": 60 })).await.body;
    api.clock.advance(Duration::from_secs(5));
    let later = cancel(&api, &id, &json!({ "reason": "second", "grace_seconds": 600 })).await;
    assert_eq!(later.assert_status(200).body, first);
    assert_eq!(later.header("etag"), Some("\"3\""), "nothing was written");
    let sooner = cancel(&api, &id, &json!({ "reason": "third", "grace_seconds": 0 })).await.body;
    assert_eq!(sooner["cancel_requested_at"], first["cancel_requested_at"]);
    assert!(millis(&sooner["force_at"]) < millis(&first["force_at"]));
    let heard = api.post(&format!("/executions/{id}/heartbeat"), &json!({})).await.body;
    assert_eq!((&heard["reason"], &heard["force_at"]), (&json!("first"), &sooner["force_at"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_ended_is_not_cancelled_and_says_how_it_ended() {
    let api = Api::start().await;
    for status in ["completed", "failed", "cancelled", "timeout"] {
        let id = api.execution_in(status).await;
        let before = api.record(&id).await;
        let answer = cancel(&api, &id, &json!({})).await;
        answer.assert_error(400, "INVALID_STATUS_TRANSITION");
        assert_eq!(
            (&answer.body["current_status"], &answer.body["requested_status"]),
            (&json!(status), &json!("cancelled"))
        );
        let detail = text(&answer.body["detail"]);
        assert_eq!(detail, format!("The status cannot change from {status} to cancelled: {status} is terminal"));
        assert_eq!(api.record(&id).await, before);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_a_cancel_is_requested_nobody_takes_the_execution_up_again_and_every_end_is_allowed() {
    let api = Api::start().await;
    for (to, refused) in [
        ("queued", false),
        ("retrying", true),
        ("interrupted", false),
        ("completed", false),
        ("failed", false),
        ("cancelled", false),
        ("timeout", false),
    ] {
        let id = api.execution_in("running").await;
        cancel(&api, &id, &json!({})).await.assert_status(200);
        let answer = api.patch(&format!("/flows/executions/{id}"), &json!({ "status": to })).await;
        if refused {
            answer.assert_error(400, "CANCEL_REQUESTED");
            assert_eq!(
                (&answer.body["current_status"], &answer.body["requested_status"]),
                (&json!("running"), &json!(to))
            );
        } else if to == "queued" {
            // The table refuses it first.
            answer.assert_error(400, "INVALID_STATUS_TRANSITION");
        } else {
            assert_eq!(answer.assert_status(200).body["status"], to);
            assert!(answer.body["cancel_requested_at"].is_string(), "what was asked stays: {to}");
        }
    }
    // From interrupted, too: neither a claim nor a way back into a queue.
    let id = api.execution_in("running").await;
    cancel(&api, &id, &json!({ "reason": "r" })).await.assert_status(200);
    let path = format!("/flows/executions/{id}");
    api.patch(&path, &json!({ "status": "interrupted" })).await.assert_status(200);
    for to in ["running", "queued", "retrying"] {
        api.patch(&path, &json!({ "status": to })).await.assert_error(400, "CANCEL_REQUESTED");
    }
    // But a worker that was alive after all is heard, and told.
    let heard = api.post(&format!("/executions/{id}/heartbeat"), &json!({ "attempt": 1 })).await.body;
    assert_eq!((&heard["status"], &heard["action"]), (&json!("running"), &json!("cancel")));
    // Fields may change: a partial result.
    api.patch(&path, &json!({ "final_output": { "half": true } })).await.assert_status(200);
    // Interrupted again and asked again: nobody works on it.
    api.patch(&path, &json!({ "status": "interrupted" })).await.assert_status(200);
    assert_eq!(cancel(&api, &id, &json!({})).await.assert_status(200).body["outcome"], "cancelled");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeat_with_its_key_gives_the_same_outcome_whatever_has_happened_since() {
    let api = Api::start().await;
    let body = json!({ "reason": "not needed", "grace_seconds": 30 });
    for status in ["running", "pending", "interrupted"] {
        let id = api.execution_in(status).await;
        let first = keyed(&api, &id, "c", &body).await;
        assert_eq!(first.assert_status(200).header("idempotency-replayed"), None);
        let outcome = if status == "running" { "requested" } else { "cancelled" };
        assert_eq!(first.body["outcome"], outcome);
        if status == "running" {
            api.patch(&format!("/flows/executions/{id}"), &json!({ "status": "completed" })).await.assert_status(200);
        }
        let record = api.record(&id).await;
        let repeat = keyed(&api, &id, "c", &body).await;
        assert_eq!(repeat.assert_status(200).header("idempotency-replayed"), Some("true"));
        assert_eq!(repeat.body, first.body);
        assert_eq!(api.record(&id).await, record);
        let reused = keyed(&api, &id, "c", &json!({ "reason": "another" })).await;
        reused.assert_error(422, "IDEMPOTENCY_KEY_REUSED");
        // Another key is another request.
        let other = keyed(&api, &id, "d", &body).await;
        other.assert_error(400, "INVALID_STATUS_TRANSITION");
    }
    // Asked again with a key of its own, and no sooner: nothing changes but that the repeat is known.
    let id = api.execution_in("running").await;
    cancel(&api, &id, &json!({ "reason": "first", "grace_seconds": 0 })).await.assert_status(200);
    let asked = keyed(&api, &id, "c", &body).await;
    assert_eq!(
        (asked.assert_status(200).body["outcome"].clone(), asked.header("etag")),
        (json!("requested"), Some("\"3\""))
    );
    api.patch(&format!("/flows/executions/{id}"), &json!({ "status": "failed" })).await.assert_status(200);
    let repeat = keyed(&api, &id, "c", &body).await;
    assert_eq!(repeat.assert_status(200).body, asked.body);
    assert_eq!(repeat.header("idempotency-replayed"), Some("true"));
}

#[tokio::test(flavor = "multi_thread")]
async fn if_match_counts_for_both_ways() {
    let api = Api::start().await;
    for status in ["running", "pending"] {
        let id = api.execution_in(status).await;
        let etag = api.get(&format!("/flows/executions/{id}")).await.header("etag").expect("an ETag").to_owned();
        let call = |tag: &str| api.request(Method::POST, &path(&id)).json(&json!({})).header("if-match", tag);
        let refused = call("\"9\"").send().await;
        refused.assert_error(412, "PRECONDITION_FAILED");
        call(&etag).send().await.assert_status(200);
        call(&etag).send().await.assert_error(412, "PRECONDITION_FAILED");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_in_doubt_is_done_once_by_whichever_way() {
    let api = Api::start().await;
    for key in [None, Some("c")] {
        for (status, faults) in [("running", 1), ("pending", 2), ("interrupted", 2)] {
            for lost in 0..faults {
                let id = api.execution_in(status).await;
                let before = api.transitions(&id).await.len();
                let plan = (0..=lost).map(|n| if n == lost { Fault::drop_answer() } else { Fault::Pass });
                api.proxy.plan(plan);
                let call = api.request(Method::POST, &path(&id)).json(&json!({ "reason": "r" }));
                let call = key.into_iter().fold(call, |call, key| call.header("idempotency-key", key));
                let answer = call.send().await;
                let outcome = if status == "running" { "requested" } else { "cancelled" };
                // A refusal that was lost is in doubt: it may have been refused for a status that has changed since.
                if answer.status.as_u16() == 503 {
                    answer.assert_error(503, "OUTCOME_UNKNOWN");
                    assert!(lost == 0 && status != "running", "{status}: {}", answer.text);
                    let again = keyed(&api, &id, "c", &json!({ "reason": "r" })).await;
                    assert_eq!(again.assert_status(200).body["outcome"], outcome);
                } else {
                    assert_eq!(answer.assert_status(200).body["outcome"], outcome, "{key:?} {status} {lost}");
                    assert_eq!(answer.header("idempotency-replayed"), None, "it is this very request");
                }
                let ended = usize::from(outcome == "cancelled");
                assert_eq!(api.transitions(&id).await.len(), before + ended, "{key:?} {status} {lost}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_that_meets_a_claim_asks_its_worker() {
    let api = Api::start().await;
    let id = api.execution_in("pending").await;
    let (store, other) = (api.store.clone(), id.clone());
    // The request is refused, for the execution is pending; then a worker claims it, before the end is written.
    api.proxy.plan([Fault::PassThen(Box::pin(async move {
        tests::write_directly(&store, &other, &json!({ "status": "running" })).await;
    }))]);
    let answer = cancel(&api, &id, &json!({ "reason": "r" })).await;
    assert_eq!(answer.assert_status(200).body["outcome"], "requested");
    assert_eq!(api.record(&id).await["status"], "running");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_that_was_asked_for_before_says_so_only_while_somebody_works_on_it() {
    let api = Api::start().await;
    for (meanwhile, key) in
        [("completed", None), ("completed", Some("again")), ("interrupted", None), ("interrupted", Some("on"))]
    {
        let id = api.execution_in("running").await;
        cancel(&api, &id, &json!({ "grace_seconds": 5 })).await.assert_status(200);
        let (store, other) = (api.store.clone(), id.clone());
        api.proxy.plan([Fault::PassThen(Box::pin(async move {
            tests::write_directly(&store, &other, &json!({ "status": meanwhile })).await;
        }))]);
        let body = json!({ "grace_seconds": 600 });
        let answer = match key {
            Some(key) => keyed(&api, &id, key, &body).await,
            None => cancel(&api, &id, &body).await,
        };
        assert_eq!(api.proxy.left(), 0);
        if meanwhile == "completed" {
            assert_eq!(
                (&answer.assert_status(400).body["error_code"], &answer.body["current_status"]),
                (&json!("INVALID_STATUS_TRANSITION"), &json!("completed"))
            );
        } else {
            assert_eq!(answer.assert_status(200).body["outcome"], "cancelled");
            assert_eq!(api.record(&id).await["status"], "cancelled");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_cancels_and_reports_at_once_each_learns_what_became_of_it() {
    let api = Api::start().await;
    for _ in 0..8 {
        let id = api.execution_in("running").await;
        let body = json!({ "status": "completed", "final_output": { "answer": 42 } });
        let report = format!("/flows/executions/{id}");
        let nothing = json!({});
        let cancels = (0..4).map(|_| cancel(&api, &id, &nothing));
        let (asked, reported) = tokio::join!(futures_util::future::join_all(cancels), api.patch(&report, &body));
        // A requested cancel does not stand in the way of what really happened.
        reported.assert_status(200);
        for answer in asked {
            match answer.status.as_u16() {
                200 => assert_eq!(answer.body["outcome"], "requested"),
                _ => assert_eq!(answer.body["current_status"], "completed", "{}", answer.text),
            }
        }
        assert_eq!(api.record(&id).await["final_output"], json!({ "answer": 42 }));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_first_1024_characters_of_a_reason_are_kept() {
    let api = Api::start().await;
    let long = "é".repeat(65_536);
    for status in ["running", "pending"] {
        let id = api.execution_in(status).await;
        cancel(&api, &id, &json!({ "reason": long })).await.assert_status(200);
        assert!(api.item_size(&id).await < 4_096, "{status}");
        let refused = cancel(&api, &id, &json!({ "reason": format!("{long}é") })).await;
        assert_eq!(refused.validation_errors(), ["body.reason: string_too_long"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_needs_the_scope_write_and_an_execution_of_its_organization() {
    let api = Api::start().await;
    let id = api.execution_in("running").await;
    api.with_key("reader").post(&path(&id), &json!({})).await.assert_error(403, "FORBIDDEN");
    api.with_key("other-key").post(&path(&id), &json!({})).await.assert_error(404, "EXECUTION_NOT_FOUND");
    assert_eq!(api.record(&id).await["cancel_requested_at"], Value::Null);
    api.with_key("writer").post(&path(&id), &json!({})).await.assert_status(200);
}
