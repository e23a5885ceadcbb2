//! `POST` and `GET /executions/{execution_id}/steps`, and the steps of a record.

mod bad_input;
mod exact;
mod in_doubt;
mod pages;
mod property;
mod races;
mod repeats;

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tests::step_table::TABLE;
use tests::{Answer, Api, Call, text};

fn path(id: &str) -> String {
    format!("/executions/{id}/steps")
}

/// A report of steps, with an Idempotency-Key or without.
fn report(api: &Api, id: &str, steps: &Value, key: Option<&str>) -> Call {
    let call = api.request(Method::POST, &path(id)).json(&json!({ "steps": steps }));
    key.into_iter().fold(call, |call, key| call.header("idempotency-key", key))
}

/// The outcomes of a report that is understood.
async fn reported(api: &Api, id: &str, steps: Value) -> Vec<String> {
    outcomes(&report(api, id, &steps, None).send().await)
}

/// The outcomes in an answer.
#[track_caller]
fn outcomes(answer: &Answer) -> Vec<String> {
    let list = answer.assert_status(200).body["outcomes"].as_array().cloned().unwrap_or_default();
    for outcome in &list {
        let is_refused = outcome["outcome"] == "refused";
        assert_eq!((outcome["error_code"].is_string(), outcome["detail"].is_string()), (is_refused, is_refused));
    }
    list.iter().map(|outcome| text(&outcome["outcome"])).collect()
}

/// Every step of an execution, by list steps.
async fn listed(api: &Api, id: &str) -> Vec<Value> {
    let answer = api.get(&path(id)).await;
    answer.assert_status(200).body["steps"].as_array().cloned().unwrap_or_default()
}

/// The one step of an execution.
async fn only(api: &Api, id: &str) -> Value {
    let steps = listed(api, id).await;
    let [step] = &steps[..] else { panic!("not one step: {steps:?}") };
    step.clone()
}

/// How often the item of each step was written.
async fn versions(api: &Api, id: &str) -> Vec<i64> {
    let key = tests::item_key(id);
    let is_step = |item: &ratchet_store::item::Item| {
        item["pk"].as_s() == Ok(&key) && item["sk"].as_s().is_ok_and(|sk| sk.starts_with("s#"))
    };
    let mut steps: Vec<_> = api.items().await.into_iter().filter(is_step).collect();
    steps.sort_by_key(|item| item["sk"].as_s().cloned().unwrap_or_default());
    steps.iter().map(|item| item["v"].as_n().expect("a number").parse().expect("a number")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_of_a_step_merge_and_its_end_is_kept() {
    let api = Api::start().await;
    let id = api.execution_in("running").await;
    let begin = json!([{ "step_id": "01", "tool_name": "crm.search", "input_data": { "customer": "C-17" } }]);
    let answer = report(&api, &id, &begin, None).send().await;
    let expected = json!({
        "execution_id": id,
        "status": "running",
        "action": "continue",
        "outcomes": [{ "step_id": "01", "outcome": "created" }],
    });
    assert_eq!(answer.assert_status(200).body, expected);
    assert_eq!(answer.header("etag"), None);
    let new = only(&api, &id).await;
    let started_at = new["started_at"].clone();
    let expected = json!({
        "step_id": "01",
        "step_name": "01",
        "step_type": "task",
        "tool_name": "crm.search",
        "status": "running",
        "input_data": { "customer": "C-17" },
        "output_data": null,
        "error_message": null,
        "started_at": started_at,
        "completed_at": null,
        "duration_ms": null,
        "retry_count": null,
        "metadata": {},
    });
    assert!(started_at.is_string());
    assert_eq!(new, expected);

    // What is absent or null is left as it is; an object replaces.
    let more = json!([{ "step_id": "01", "step_name": "Look up", "tool_name": null, "input_data": { "other": 1 } }]);
    assert_eq!(reported(&api, &id, more.clone()).await, ["updated"]);
    assert_eq!(reported(&api, &id, more).await, ["unchanged"]);
    let merged = only(&api, &id).await;
    assert_eq!((&merged["step_name"], &merged["tool_name"]), (&json!("Look up"), &json!("crm.search")));
    assert_eq!((&merged["input_data"], &merged["status"]), (&json!({ "other": 1 }), &json!("running")));
    assert_eq!(merged["started_at"], started_at);

    api.clock.advance(Duration::from_millis(1_500));
    let end = json!([{ "step_id": "01", "status": "completed", "output_data": { "n": 2 } }]);
    assert_eq!(reported(&api, &id, end.clone()).await, ["updated"]);
    let ended = only(&api, &id).await;
    assert!(ended["duration_ms"].as_i64().is_some_and(|millis| (1_500..10_000).contains(&millis)), "{ended}");
    // The same end again is safe to repeat, however late.
    api.clock.advance(Duration::from_secs(90_000));
    assert_eq!(reported(&api, &id, end).await, ["unchanged"]);
    assert_eq!(only(&api, &id).await, ended);
    for other in [
        json!({ "status": "failed" }),
        json!({ "status": "completed", "output_data": { "n": 3 } }),
        json!({ "error_message": "late" }),
        json!({ "completed_at": "2026-01-02T03:04:05Z" }),
        json!({ "duration_ms": 1 }),
    ] {
        let mut step = other.clone();
        step["step_id"] = json!("01");
        step["step_name"] = json!("Not this either");
        let answer = report(&api, &id, &json!([step]), None).send().await;
        assert_eq!(outcomes(&answer), ["refused"], "{other}");
        assert_eq!(answer.body["outcomes"][0]["error_code"], "EXECUTION_FINISHED", "{other}");
        assert_eq!(only(&api, &id).await, ended, "{other}: a report is refused whole");
    }
    // What is not the result may be corrected.
    let rest = json!([{ "step_id": "01", "status": "completed", "retry_count": 2, "metadata": { "model": "large" } }]);
    assert_eq!(reported(&api, &id, rest).await, ["updated"]);
    let corrected = only(&api, &id).await;
    assert_eq!((&corrected["retry_count"], &corrected["metadata"]), (&json!(2), &json!({ "model": "large" })));
    assert_eq!(corrected["output_data"], ended["output_data"]);
    assert_eq!(versions(&api, &id).await, [4]);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_pair_of_statuses_is_as_the_contract_says() {
    let api = Api::start().await;
    for (from, row) in TABLE {
        let id = api.execution_in("running").await;
        let all = |status: &dyn Fn(&str) -> String| -> Value {
            TABLE.iter().map(|(to, _)| json!({ "step_id": to, "status": status(to) })).collect()
        };
        // A first report may have any status.
        assert_eq!(reported(&api, &id, all(&|_| from.to_owned())).await, ["created"; 9], "{from}");
        let answer = report(&api, &id, &all(&str::to_owned), None).send().await;
        let expected: Vec<&str> = row
            .chars()
            .map(|letter| match letter {
                'E' => "updated",
                'U' => "unchanged",
                'S' => "stale",
                _ => "refused",
            })
            .collect();
        assert_eq!(outcomes(&answer), expected, "{from}");
        for step in listed(&api, &id).await {
            let column = TABLE.iter().position(|(to, _)| step["step_id"] == *to).expect("a status");
            let entered = row.as_bytes()[column] == b'E';
            assert_eq!(step["status"], if entered { step["step_id"].clone() } else { json!(from) }, "{from}: {step}");
        }
        for outcome in answer.body["outcomes"].as_array().into_iter().flatten() {
            if outcome["outcome"] == "refused" {
                let detail = text(&outcome["detail"]);
                assert!(detail.contains(&format!("The step is {from}")), "{detail}");
                assert_eq!(outcome["error_code"], "EXECUTION_FINISHED");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_report_fills_in_what_is_lacking() {
    let api = Api::start().await;
    let id = api.execution_in("running").await;
    let first = json!([
        { "step_id": "ended", "status": "completed", "completed_at": "2026-01-02T03:04:06Z", "tool_name": "a" },
        { "step_id": "runs", "status": "running", "tool_name": "a", "started_at": "2026-01-02T03:04:05Z" },
    ]);
    assert_eq!(reported(&api, &id, first).await, ["created", "created"]);
    let late = json!({
        "tool_name": "b",
        "started_at": "2026-01-02T03:04:05Z",
        "input_data": { "in": 1 },
        "output_data": { "partial": true },
        "error_message": "not yet",
    });
    let mut steps = Vec::new();
    for (step_id, status) in [("ended", "running"), ("runs", "queued")] {
        let mut step = late.clone();
        (step["step_id"], step["status"]) = (json!(step_id), json!(status));
        steps.push(step);
    }
    assert_eq!(reported(&api, &id, json!(steps)).await, ["stale", "stale"]);
    assert_eq!(reported(&api, &id, json!(steps)).await, ["stale", "stale"]);
    assert_eq!(versions(&api, &id).await, [2, 2], "once");
    let shown = listed(&api, &id).await;
    for step in &shown {
        assert_eq!((&step["tool_name"], &step["input_data"]), (&json!("a"), &json!({ "in": 1 })), "{step}");
        assert_eq!(step["started_at"], "2026-01-02T03:04:05.000Z");
    }
    // The result of a step that has ended is what it was reported with.
    assert_eq!((&shown[0]["status"], &shown[1]["status"]), (&json!("completed"), &json!("running")));
    assert_eq!((&shown[0]["output_data"], &shown[0]["error_message"]), (&Value::Null, &Value::Null));
    assert_eq!(shown[0]["duration_ms"], 1_000);
    assert_eq!((&shown[1]["output_data"], &shown[1]["error_message"]), (&late["output_data"], &json!("not yet")));
}

#[tokio::test(flavor = "multi_thread")]
async fn times_are_filled_in_as_for_executions_and_are_one_for_a_request() {
    let api = Api::start().await;
    let id = api.execution_in("running").await;
    let steps = |statuses: [&str; 3]| -> Value {
        let each = statuses.into_iter().enumerate();
        each.map(|(n, status)| json!({ "step_id": n.to_string(), "status": status })).collect()
    };
    assert_eq!(reported(&api, &id, steps(["pending", "running", "completed"])).await, ["created"; 3]);
    let shown = listed(&api, &id).await;
    assert_eq!(shown[0]["started_at"], Value::Null);
    assert_eq!(shown[1]["started_at"], shown[2]["completed_at"], "one time of the service for a whole request");
    // A step that was never seen running has no start, and so no duration.
    assert_eq!((&shown[2]["started_at"], &shown[2]["duration_ms"]), (&Value::Null, &Value::Null));
    api.clock.advance(Duration::from_secs(2));
    assert_eq!(
        reported(&api, &id, steps(["running", "retrying", "completed"])).await,
        ["updated", "updated", "unchanged"]
    );
    api.clock.advance(Duration::from_secs(2));
    assert_eq!(
        reported(&api, &id, steps(["failed", "running", "completed"])).await,
        ["updated", "updated", "unchanged"]
    );
    let later = listed(&api, &id).await;
    assert_eq!(later[1]["started_at"], shown[1]["started_at"], "the first time it ran");
    assert_eq!(later[0]["completed_at"].as_str().map(str::len), Some(24));
    assert!(later[0]["duration_ms"].as_i64().is_some_and(|millis| (2_000..10_000).contains(&millis)), "{}", later[0]);
    // What a worker says of its own clock is kept, and a duration is never below 0.
    let given = json!([{
        "step_id": "3",
        "status": "completed",
        "started_at": "2026-01-02T03:04:06+01:00",
        "completed_at": "2026-01-02T02:04:05Z",
    }]);
    assert_eq!(reported(&api, &id, given).await, ["created"]);
    let step = listed(&api, &id).await.pop().expect("a step");
    assert_eq!(
        (&step["started_at"], &step["completed_at"]),
        (&json!("2026-01-02T02:04:06.000Z"), &json!("2026-01-02T02:04:05.000Z"))
    );
    assert_eq!(step["duration_ms"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_worker_is_told_what_a_heartbeat_would_be_told_and_was_not_heard() {
    let api = Api::start().await;
    let step = json!([{ "step_id": "01" }]);
    for (status, action) in [
        ("pending", "claim"),
        ("queued", "claim"),
        ("running", "continue"),
        ("retrying", "claim"),
        ("interrupted", "continue"),
        ("completed", "stop"),
        ("failed", "stop"),
        ("cancelled", "stop"),
        ("timeout", "stop"),
    ] {
        let id = api.execution_in(status).await;
        let before = api.get(&format!("/flows/executions/{id}")).await;
        let heard = api.head(&id).await.get("hb").cloned();
        api.clock.advance(Duration::from_millis(20));
        let answer = report(&api, &id, &step, None).send().await;
        assert_eq!((&answer.body["status"], &answer.body["action"]), (&json!(status), &json!(action)));
        assert_eq!(outcomes(&answer), ["created"], "{status}: steps are accepted after the end, too");
        let after = api.get(&format!("/flows/executions/{id}")).await;
        for same in ["status", "version", "updated_at", "attempt"] {
            assert_eq!(before.body[same], after.body[same], "{status}: {same}");
        }
        assert_eq!(api.head(&id).await.get("hb").cloned(), heard, "{status}: a report is no heartbeat");
    }
    let id = api.execution_in("running").await;
    api.post(&format!("/executions/{id}/cancel"), &json!({})).await.assert_status(200);
    let answer = report(&api, &id, &step, None).send().await;
    assert_eq!((&answer.body["status"], &answer.body["action"]), (&json!("running"), &json!("cancel")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_of_another_attempt_is_told_and_nothing_is_written() {
    let api = Api::start().await;
    let id = api.execution_in("running").await;
    for status in ["interrupted", "running"] {
        api.patch(&format!("/flows/executions/{id}"), &json!({ "status": status })).await.assert_status(200);
    }
    for attempt in [0, 1, 3] {
        let body = json!({ "attempt": attempt, "steps": [{ "step_id": "01" }, { "step_id": "02" }] });
        let answer = api.post(&path(&id), &body).await;
        let detail = text(&answer.assert_error(409, "ATTEMPT_SUPERSEDED").body["detail"]);
        assert!(detail.contains("attempt 2 is the present one"), "{detail}");
        let keyed = api.request(Method::POST, &path(&id)).json(&body).header("idempotency-key", "k").send().await;
        keyed.assert_error(409, "ATTEMPT_SUPERSEDED");
    }
    assert!(listed(&api, &id).await.is_empty());
    assert_eq!(api.record(&id).await["steps"], json!([]));
    let answer = api.post(&path(&id), &json!({ "attempt": 2, "steps": [{ "step_id": "01" }] })).await;
    assert_eq!(outcomes(&answer), ["created"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_needs_an_execution_and_the_scope() {
    let api = Api::start().await;
    let id = api.execution_in("running").await;
    let body = json!({ "steps": [{ "step_id": "01" }] });
    let missing = path("6a1ed1a4-7ee7-4a8a-b1f0-4b21a3a5f3d9");
    api.post(&missing, &body).await.assert_error(404, "EXECUTION_NOT_FOUND");
    api.get(&missing).await.assert_error(404, "EXECUTION_NOT_FOUND");
    for stranger in
        [api.with_key("other-key").post(&path(&id), &body).await, api.with_key("other-key").get(&path(&id)).await]
    {
        stranger.assert_error(404, "EXECUTION_NOT_FOUND");
    }
    api.with_key("reader").post(&path(&id), &body).await.assert_error(403, "FORBIDDEN");
    api.with_key("writer").get(&path(&id)).await.assert_error(403, "FORBIDDEN");
    assert_eq!(
        api.items().await.iter().filter(|item| item["sk"].as_s().is_ok_and(|sk| sk.starts_with("s#"))).count(),
        0
    );
    assert_eq!(outcomes(&api.with_key("writer").post(&path(&id), &body).await), ["created"]);
    api.with_key("reader").get(&path(&id)).await.assert_status(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_is_one_read_and_a_write_for_each_step() {
    let api = Api::start().await;
    let id = api.execution_in("running").await;
    let _ = api.watch.requests();
    let steps: Value = (0..25).map(|n| json!({ "step_id": format!("{n:02}") })).collect();
    assert_eq!(reported(&api, &id, steps).await, ["created"; 25]);
    let requests = api.watch.requests();
    assert_eq!(requests[..2], ["GetItem", "UpdateItem"], "the first report says on the head that there are steps");
    assert_eq!(requests[2..], ["UpdateItem"; 25]);
    reported(&api, &id, json!([{ "step_id": "00", "status": "completed" }])).await;
    assert_eq!(api.watch.requests(), ["GetItem", "UpdateItem"]);
    // A report that another contradicts is one write as well, and so is one that says nothing new.
    reported(&api, &id, json!([{ "step_id": "00", "status": "failed" }])).await;
    reported(&api, &id, json!([{ "step_id": "00", "status": "completed" }])).await;
    assert_eq!(api.watch.requests(), ["GetItem", "UpdateItem", "GetItem", "UpdateItem"]);
    // What a stale one fills in is a second write.
    reported(&api, &id, json!([{ "step_id": "00", "status": "running", "tool_name": "t" }])).await;
    assert_eq!(api.watch.requests(), ["GetItem", "UpdateItem", "UpdateItem"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_shows_the_first_hundred_and_a_list_of_executions_none() {
    let api = Api::start().await;
    let id = api.execution_in("running").await;
    let record = format!("/flows/executions/{id}");
    for tens in 0..6 {
        let steps: Value = (0..20).map(|n| json!({ "step_id": format!("{:03}", 119 - tens * 20 - n) })).collect();
        assert_eq!(reported(&api, &id, steps).await, ["created"; 20]);
    }
    let _ = api.watch.requests();
    let shown = api.get(&record).await;
    assert_eq!(api.watch.requests(), ["Query"]);
    let ids = |record: &Value| -> Vec<String> {
        record["steps"].as_array().expect("steps").iter().map(|step| text(&step["step_id"])).collect()
    };
    let first: Vec<String> = (0..100).map(|n| format!("{n:03}")).collect();
    assert_eq!(ids(&shown.body), first);
    let patched = api.patch(&record, &json!({ "tokens_used": 1 })).await;
    assert_eq!(api.watch.requests(), ["UpdateItem", "Query"]);
    assert_eq!(ids(&patched.assert_status(200).body), first);
    assert_eq!(patched.body["steps"], shown.body["steps"]);
    for view in ["full", "summary"] {
        let list = api.get(&format!("/flows/executions?view={view}")).await;
        assert_eq!(list.assert_status(200).body["executions"][0].get("steps"), Some(&Value::Null), "{view}");
    }
    // Without steps an execution says so everywhere.
    let other = api.execution_in("running").await;
    assert_eq!(api.record(&other).await["steps"], json!([]));
    let list = api.get("/flows/executions?page_size=1").await;
    assert_eq!(list.body["executions"][0]["steps"], json!([]));
    let _ = api.watch.requests();
    api.patch(&format!("/flows/executions/{other}"), &json!({ "tokens_used": 1 })).await.assert_status(200);
    assert_eq!(api.watch.requests(), ["UpdateItem"], "nobody looks for items that are not there");
    assert_eq!(api.get(&path(&other)).await.assert_status(200).body["steps"], json!([]));
    assert_eq!(api.watch.requests(), ["GetItem"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_with_large_inputs_and_steps_has_both() {
    let api = Api::start().await;
    let variables = json!({ "text": "x".repeat(100_000) });
    let body = json!({ "flow_id": "demo", "trigger_type": "test", "variables": variables });
    let id = text(&api.execute(&body).await["id"]);
    assert_eq!(reported(&api, &id, json!([{ "step_id": "01" }, { "step_id": "02" }])).await, ["created", "created"]);
    let patched = api.patch(&format!("/flows/executions/{id}"), &json!({ "status": "running" })).await;
    let record = api.get(&format!("/flows/executions/{id}")).await;
    for shown in [&patched, &record] {
        assert_eq!(shown.assert_status(200).body["variables"], variables);
        assert_eq!(shown.body["steps"].as_array().map(Vec::len), Some(2));
    }
    assert_eq!((&patched.text, patched.header("etag")), (&record.text, record.header("etag")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeat_of_execute_flow_does_not_read_steps_and_says_null() {
    let api = Api::start().await;
    let body = json!({ "flow_id": "demo", "trigger_type": "test" });
    let execute = || api.request(Method::POST, "/flows/execute").json(&body).header("idempotency-key", "k").send();
    let made = execute().await;
    let id = text(&made.assert_status(200).body["execution"]["id"]);
    assert_eq!(made.body["execution"]["steps"], json!([]));
    reported(&api, &id, json!([{ "step_id": "01" }])).await;
    let again = execute().await;
    assert_eq!(again.assert_status(200).header("idempotency-replayed"), Some("true"));
    assert_eq!((&again.body["execution"]["steps"], again.header("etag")), (&Value::Null, Some("\"1\"")));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tag_of_a_record_changes_with_its_steps_and_a_write_looks_at_its_version() {
    let api = Api::start().await;
    let id = api.execution_in("running").await;
    let record = format!("/flows/executions/{id}");
    let tag = async || api.get(&record).await.header("etag").expect("a tag").to_owned();
    assert_eq!(tag().await, "\"2\"");
    let mut tags = vec![tag().await];
    for steps in [
        json!([{ "step_id": "b" }]),
        json!([{ "step_id": "b", "tool_name": "t" }]),
        json!([{ "step_id": "a" }]),
        json!([{ "step_id": "b", "status": "completed" }]),
    ] {
        reported(&api, &id, steps).await;
        let new = tag().await;
        let (version, hash) = new.trim_matches('"').split_once('.').expect("a version and a hash");
        assert!(version == "2" && hash.len() == 16, "{new}");
        assert!(!tags.contains(&new), "{new} again");
        let not_modified = api.request(Method::GET, &record).header("if-none-match", &new).send().await;
        assert_eq!(not_modified.assert_status(304).header("etag"), Some(new.as_str()));
        for old in &tags {
            api.request(Method::GET, &record).header("if-none-match", old).send().await.assert_status(200);
        }
        tags.push(new);
    }
    // What says nothing new changes no tag.
    let present = tag().await;
    assert_eq!(
        reported(&api, &id, json!([{ "step_id": "a" }, { "step_id": "b", "status": "running" }])).await,
        ["unchanged", "stale"]
    );
    assert_eq!(tag().await, present);
    // Steps leave the version: a write on any of these tags is a write on version 2.
    let patch =
        |tag: &str| api.request(Method::PATCH, &record).header("if-match", tag).json(&json!({ "tokens_used": 1 }));
    for wrong in ["\"3.0123456789abcdef\"", "\"2.\"", "\"2.xyz\"", "\"02.0123456789abcdef\"", "\"2.0123456789ABCDEF\""]
    {
        patch(wrong).send().await.assert_error(412, "PRECONDITION_FAILED");
    }
    let written = patch(&tags[1]).send().await;
    let after = written.assert_status(200).header("etag").expect("a tag").to_owned();
    assert!(after.starts_with("\"3."), "{after}");
    assert_eq!(tag().await, after);
    patch(&tags[1]).send().await.assert_error(412, "PRECONDITION_FAILED");
    let minimal = patch(&after).header("prefer", "return=minimal").send().await;
    assert_eq!(minimal.assert_status(204).header("etag"), Some("\"4\""));
    patch("\"4\"").send().await.assert_status(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn in_an_execution_that_has_ended_a_step_without_an_end_is_shown_as_interrupted() {
    let api = Api::start().await;
    let id = api.execution_in("running").await;
    let record = format!("/flows/executions/{id}");
    let steps =
        ["pending", "queued", "running", "retrying", "interrupted", "completed", "failed", "cancelled", "timeout"];
    let all: Value = steps.iter().map(|status| json!({ "step_id": status, "status": status })).collect();
    assert_eq!(reported(&api, &id, all).await, ["created"; 9]);
    let shown = |steps: &[Value]| -> Vec<String> { steps.iter().map(|step| text(&step["status"])).collect() };
    let mut sorted = steps;
    sorted.sort_unstable();
    assert_eq!(shown(&listed(&api, &id).await), sorted);
    let before = versions(&api, &id).await;
    let ended = api.patch(&record, &json!({ "status": "completed" })).await;
    let ended = ended.assert_status(200).body["steps"].as_array().cloned().expect("steps");
    let terminal = ["completed", "failed", "cancelled", "timeout"];
    let expected = sorted.map(|status| if terminal.contains(&status) { status } else { "interrupted" });
    assert_eq!(shown(&ended), expected);
    assert_eq!(shown(&listed(&api, &id).await), expected);
    assert_eq!(api.record(&id).await["steps"], json!(ended));
    assert_eq!(versions(&api, &id).await, before, "nothing is rewritten");
    // The end that comes after all is shown.
    assert_eq!(reported(&api, &id, json!([{ "step_id": "running", "status": "failed" }])).await, ["updated"]);
    let late = listed(&api, &id).await;
    assert_eq!(late.iter().find(|step| step["step_id"] == "running").expect("a step")["status"], "failed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_costs_its_size_and_the_first_one_a_unit_more() {
    let api = Api::start().await;
    for bytes in [0, 1_000, 100_000, 390_000] {
        let data = if bytes == 0 { json!({}) } else { json!({ "text": "x".repeat(bytes) }) };
        let body = json!({ "flow_id": "demo", "trigger_type": "test", "variables": data });
        let id = text(&api.execute(&body).await["id"]);
        api.patch(&format!("/flows/executions/{id}"), &json!({ "status": "running" })).await.assert_status(200);
        let _ = (api.watch.units(), api.watch.read_units());
        for (n, (step, units)) in [
            (json!({ "step_id": "01", "input_data": { "customer": "C-17" } }), 2.0),
            (json!({ "step_id": "01", "tool_name": "crm.search" }), 1.0),
            (json!({ "step_id": "01", "status": "completed", "output_data": { "n": 1 } }), 1.0),
            (json!({ "step_id": "02", "status": "completed", "output_data": { "text": "x".repeat(50_000) } }), 49.0),
            // Whatever the other steps weigh.
            (json!({ "step_id": "03" }), 1.0),
            (json!({ "step_id": "03", "status": "failed", "error_message": "no answer" }), 1.0),
        ]
        .into_iter()
        .enumerate()
        {
            reported(&api, &id, json!([step])).await;
            let spent = (api.watch.units(), api.watch.read_units());
            assert_eq!(spent, ((units, 0.0), 1.0), "report {n} with inputs of {bytes} bytes");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_with_a_hundred_steps_of_a_kilobyte_costs_27_units_and_a_list_of_heads_none_of_that() {
    let api = Api::start().await;
    let id = api.execution_in("running").await;
    for tens in 0..10 {
        let step =
            |n: i32| json!({ "step_id": format!("{:04}", tens * 10 + n), "input_data": { "text": "x".repeat(890) } });
        assert_eq!(reported(&api, &id, (0..10).map(step).collect()).await, ["created"; 10]);
    }
    let sizes = api.items().await.into_iter().filter(|item| item["sk"].as_s().is_ok_and(|sk| sk.starts_with("s#")));
    let sizes: Vec<usize> = sizes.map(|item| ratchet_store::item::size(&item)).collect();
    assert!(sizes.len() == 100 && sizes.iter().all(|size| (900..=1_024).contains(size)), "{sizes:?}");
    let _ = api.watch.read_units();
    let record = api.record(&id).await;
    assert_eq!(record["steps"].as_array().map(Vec::len), Some(100));
    let units = api.watch.read_units();
    assert!((23.0..=27.0).contains(&units), "{units}");
    api.get("/flows/executions?page_size=1&count_limit=0").await.assert_status(200);
    let units = api.watch.read_units();
    assert!(units <= 10.0, "{units}");
}
