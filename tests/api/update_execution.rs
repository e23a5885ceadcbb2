//! `PATCH /flows/executions/{execution_id}`

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use tests::{Answer, Api, Call};

fn path(id: &str) -> String {
    format!("/flows/executions/{id}")
}

fn patch(api: &Api, id: &str, body: &Value) -> Call {
    api.request(Method::PATCH, &path(id)).json(body)
}

/// The contract's table, written by hand: the statuses that may follow each status.
const ALLOWED: [(&str, &[&str]); 9] = [
    ("pending", &["queued", "running", "retrying", "completed", "failed", "cancelled", "timeout"]),
    ("queued", &["running", "retrying", "completed", "failed", "cancelled", "timeout"]),
    ("running", &["retrying", "interrupted", "completed", "failed", "cancelled", "timeout"]),
    ("retrying", &["queued", "running", "completed", "failed", "cancelled", "timeout"]),
    ("interrupted", &["queued", "running", "retrying", "completed", "failed", "cancelled", "timeout"]),
    ("completed", &[]),
    ("failed", &[]),
    ("cancelled", &[]),
    ("timeout", &[]),
];

#[tokio::test(flavor = "multi_thread")]
async fn every_pair_of_statuses_is_allowed_or_refused_as_the_contract_says() {
    let api = Api::start().await;
    for (from, allowed) in ALLOWED {
        for (to, _) in ALLOWED {
            let id = api.execution_in(from).await;
            let before = api.record(&id).await;
            let answer = patch(&api, &id, &json!({ "status": to })).send().await;
            let after = api.record(&id).await;
            if allowed.contains(&to) {
                assert_eq!(answer.assert_status(200).body["status"], to, "{from} -> {to}");
                assert_eq!(answer.body, after, "{from} -> {to}");
            } else {
                answer.assert_error(400, "INVALID_STATUS_TRANSITION");
                let detail = answer.body["detail"].as_str().unwrap_or_default();
                assert!(detail.starts_with(&format!("The status cannot change from {from} to {to}: ")), "{detail}");
                assert_eq!(
                    (&answer.body["current_status"], &answer.body["requested_status"]),
                    (&json!(from), &json!(to))
                );
                assert_eq!(before, after, "{from} -> {to}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_sixteen_writers_one_wins_and_the_others_learn_who() {
    let api = Api::start().await;
    for _ in 0..5 {
        let id = api.execution_in("running").await;
        let _ = api.watch.requests();
        let targets = ["completed", "failed", "cancelled", "timeout"];
        let calls = (0..16usize).map(|writer| patch(&api, &id, &json!({ "status": targets[writer % 4] })).send());
        let answers = join_all(calls).await;
        let winners: Vec<&Answer> = answers.iter().filter(|answer| answer.status == 200).collect();
        assert_eq!(winners.len(), 1);
        let won = &winners[0].body["status"];
        for loser in answers.iter().filter(|answer| answer.status != 200) {
            let detail = loser.assert_error(400, "INVALID_STATUS_TRANSITION").body["detail"].to_string();
            assert!(detail.contains(&format!("from {} to", won.as_str().unwrap_or_default())), "{detail}");
        }
        assert_eq!(&api.record(&id).await["status"], won);
        assert_eq!(api.watch.requests().iter().filter(|request| *request == "UpdateItem").count(), 16);
        assert_eq!(api.transitions(&id).await.len(), 2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_workers_that_both_report_running_do_not_both_own_the_run() {
    let api = Api::start().await;
    let id = api.execution_in("queued").await;
    let answers = join_all((0..8).map(|_| patch(&api, &id, &json!({ "status": "running" })).send())).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_takes_one_request_whatever_becomes_of_it() {
    let api = Api::start().await;
    let id = api.execution_in("running").await;
    let missing = "6a1ed1a4-7ee7-4a8a-b1f0-4b21a3a5f3d9";
    let _ = api.watch.requests();
    for (id, body, status) in [
        (id.as_str(), json!({ "tokens_used": 1 }), 200),
        (&id, json!({}), 200),
        (&id, json!({ "status": "completed", "final_output": {} }), 200),
        (&id, json!({ "status": "completed" }), 400),
        (&id, json!({ "final_output": {} }), 400),
        (missing, json!({ "status": "running" }), 404),
        (missing, json!({}), 404),
    ] {
        patch(&api, id, &body).send().await.assert_status(status);
        assert_eq!(api.watch.requests(), ["UpdateItem"], "{body}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_update_changes_nothing_and_returns_the_record() {
    let api = Api::start().await;
    let id = api.execution_in("running").await;
    let before = api.record(&id).await;
    for body in [json!({}), json!({ "status": null, "metadata": null, "retry_count": null })] {
        let answer = patch(&api, &id, &body).send().await;
        assert_eq!(answer.assert_status(200).body, before);
        assert_eq!(answer.header("etag"), Some("\"2\""));
    }
    let keyed = || patch(&api, &id, &json!({})).header("idempotency-key", "nothing");
    assert_eq!(keyed().send().await.assert_status(200).body, before);
    assert_eq!(keyed().send().await.assert_status(200).header("idempotency-replayed"), Some("true"));
    let reused = patch(&api, &id, &json!({ "tokens_used": 1 })).header("idempotency-key", "nothing").send().await;
    reused.assert_error(422, "IDEMPOTENCY_KEY_REUSED");
    assert_eq!(api.record(&id).await, before);
    patch(&api, &id, &json!({})).header("if-match", "\"1\"").send().await.assert_error(412, "PRECONDITION_FAILED");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_field_is_written_and_objects_replace_what_was_there() {
    let api = Api::start().await;
    let id = api.execution_in("running").await;
    let all = json!({
        "completed_at": "2026-01-02T03:04:05.678Z",
        "duration_ms": 17,
        "final_output": { "a": 1 },
        "error_message": "",
        "error_details": { "code": 7 },
        "retry_count": 2,
        "tokens_used": 9_007_199_254_740_991_i64,
        "tool_calls_count": 5,
        "cost_estimate": 0.1,
        "performance_metrics": { "cpu": 0.5 },
        "metadata": { "k": "v" },
    });
    let answer = patch(&api, &id, &all).send().await;
    let record = &answer.assert_status(200).body;
    for (field, value) in all.as_object().into_iter().flatten() {
        assert_eq!(&record[field], value, "{field}");
    }
    assert_eq!(record["status"], "running");
    assert_eq!(*record, api.record(&id).await);

    let replaced = patch(&api, &id, &json!({ "metadata": { "other": 1 }, "final_output": null })).send().await;
    assert_eq!(replaced.assert_status(200).body["metadata"], json!({ "other": 1 }));
    assert_eq!(replaced.body["final_output"], json!({ "a": 1 }));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminal_status_freezes_the_result_and_not_the_accounts() {
    let api = Api::start().await;
    for terminal in ["completed", "failed", "cancelled", "timeout"] {
        let id = api.execution_in(terminal).await;
        let before = api.record(&id).await;
        for (field, value) in [
            ("final_output", json!({ "late": true })),
            ("error_message", json!("late")),
            ("error_details", json!({})),
            ("completed_at", json!("2026-01-02T03:04:05Z")),
            ("duration_ms", json!(1)),
            ("retry_count", json!(1)),
        ] {
            let body = json!({ "tokens_used": 1, field: value });
            let answer = patch(&api, &id, &body).send().await;
            answer.assert_error(400, "EXECUTION_FINISHED");
            let detail = answer.body["detail"].as_str().unwrap_or_default();
            assert_eq!(detail, format!("The execution is {terminal} and its result is final: {field} cannot change"));
        }
        assert_eq!(api.record(&id).await, before);
        let accounts = json!({
            "tokens_used": 7, "tool_calls_count": 3, "cost_estimate": 1.5,
            "performance_metrics": { "p": 1 }, "metadata": { "m": 1 },
        });
        let corrected = patch(&api, &id, &accounts).send().await;
        assert_eq!(corrected.assert_status(200).body["cost_estimate"], 1.5);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_service_dates_the_start_and_the_end_and_counts_the_time_between() {
    let api = Api::start().await;
    let id = api.new_execution().await;
    let created = api.record(&id).await;
    api.clock.advance(std::time::Duration::from_secs(60));
    let running = patch(&api, &id, &json!({ "status": "running" })).send().await;
    let started = &running.assert_status(200).body["started_at"];
    assert_ne!(*started, created["created_at"]);
    assert_eq!(*started, running.body["updated_at"]);
    // Only the first run sets `started_at`.
    api.clock.advance(std::time::Duration::from_secs(60));
    for status in ["interrupted", "running"] {
        let answer = patch(&api, &id, &json!({ "status": status })).send().await;
        assert_eq!(answer.assert_status(200).body["started_at"], *started);
    }
    let done = patch(&api, &id, &json!({ "status": "completed" })).send().await;
    let record = &done.assert_status(200).body;
    assert_eq!(record["completed_at"], record["updated_at"]);
    let duration = record["duration_ms"].as_i64().unwrap_or_default();
    assert!((60_000..70_000).contains(&duration), "{duration}");

    // An execution that never ran has taken no time.
    let id = api.new_execution().await;
    api.clock.advance(std::time::Duration::from_secs(30));
    let record = patch(&api, &id, &json!({ "status": "timeout" })).send().await.assert_status(200).body.clone();
    assert_eq!(record["started_at"], record["created_at"]);
    assert_eq!(record["duration_ms"], Value::Null, "{record}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_writer_gives_for_the_end_counts() {
    let api = Api::start().await;
    let given = json!({ "status": "completed", "completed_at": "2030-01-01T00:00:00Z", "duration_ms": 12 });
    let id = api.execution_in("running").await;
    let record = patch(&api, &id, &given).send().await.assert_status(200).body.clone();
    assert_eq!((&record["completed_at"], &record["duration_ms"]), (&json!("2030-01-01T00:00:00.000Z"), &json!(12)));
    // An end before the start does not make the duration negative.
    let id = api.execution_in("running").await;
    let early = json!({ "status": "failed", "completed_at": "2001-01-01T00:00:00Z" });
    let record = patch(&api, &id, &early).send().await.assert_status(200).body.clone();
    assert_eq!((&record["completed_at"], &record["duration_ms"]), (&json!("2001-01-01T00:00:00.000Z"), &json!(0)));
    assert_eq!(api.record(&id).await, record);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_counts_once_and_only_while_one_is_left() {
    let api = Api::start().await;
    let new =
        api.execute(&json!({ "flow_id": "f", "trigger_type": "test", "retry_config": { "max_retries": 2 } })).await;
    let id = tests::text(&new["id"]);
    let to = async |body: Value| patch(&api, &id, &body).send().await;
    to(json!({ "status": "running" })).await.assert_status(200);
    assert_eq!(to(json!({ "status": "retrying" })).await.assert_status(200).body["retry_count"], 1);
    to(json!({ "status": "retrying" })).await.assert_error(400, "INVALID_STATUS_TRANSITION");
    to(json!({ "status": "running" })).await.assert_status(200);
    // A retry whose number the worker sends is not counted twice.
    to(json!({ "status": "retrying", "retry_count": 1 })).await.assert_error(400, "INVALID_RETRY_COUNT");
    to(json!({ "status": "retrying", "retry_count": 3 })).await.assert_error(400, "INVALID_RETRY_COUNT");
    let second = to(json!({ "status": "retrying", "retry_count": 2 })).await;
    assert_eq!(second.assert_status(200).body["retry_count"], 2);
    to(json!({ "status": "running" })).await.assert_status(200);
    let spent = to(json!({ "status": "retrying" })).await;
    assert_eq!(
        spent.assert_error(400, "INVALID_STATUS_TRANSITION").body["detail"],
        "The status cannot change from running to retrying: 2 of 2 retries are used"
    );
    for count in [0, 1, 3] {
        let refused = to(json!({ "retry_count": count, "tokens_used": 1 })).await;
        refused.assert_error(400, "INVALID_RETRY_COUNT");
    }
    assert_eq!(to(json!({ "retry_count": 2 })).await.assert_status(200).body["tokens_used"], Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn if_match_makes_a_write_conditional_on_the_etag() {
    let api = Api::start().await;
    let id = api.execution_in("running").await;
    let attempt = |tag: &str| patch(&api, &id, &json!({ "tokens_used": 1 })).header("if-match", tag).send();
    for tag in ["\"1\"", "\"9\"", "W/\"2\"", "\"abc\"", "\"02\"", "\"\""] {
        attempt(tag).await.assert_error(412, "PRECONDITION_FAILED");
    }
    assert_eq!(api.record(&id).await["tokens_used"], Value::Null);
    assert_eq!(attempt("\"2\"").await.assert_status(200).header("etag"), Some("\"3\""));
    assert_eq!(attempt("\"1\", \"3\"").await.assert_status(200).header("etag"), Some("\"4\""));
    attempt("*").await.assert_status(200);
    let transition = patch(&api, &id, &json!({ "status": "failed" })).header("if-match", "\"4\"").send().await;
    transition.assert_error(412, "PRECONDITION_FAILED");
    let missing = patch(&api, "6a1ed1a4-7ee7-4a8a-b1f0-4b21a3a5f3d9", &json!({ "tokens_used": 1 }));
    missing.header("if-match", "\"1\"").send().await.assert_error(404, "EXECUTION_NOT_FOUND");
}

#[tokio::test(flavor = "multi_thread")]
async fn prefer_return_minimal_gets_the_etag_alone() {
    let api = Api::start().await;
    let id = api.execution_in("running").await;
    for preference in ["return=minimal", "respond-async, return=minimal", "Return = \"minimal\""] {
        let answer = patch(&api, &id, &json!({ "tokens_used": 1 })).header("prefer", preference).send().await;
        answer.assert_status(204);
        assert_eq!(answer.text, "");
        assert!(answer.header("etag").is_some() && answer.header("preference-applied").is_some());
    }
    let refused = patch(&api, &id, &json!({ "status": "running" })).header("prefer", "return=minimal").send().await;
    refused.assert_error(400, "INVALID_STATUS_TRANSITION");
    let whole = patch(&api, &id, &json!({})).header("prefer", "return=representation").send().await;
    assert_eq!(whole.assert_status(200).body["id"], id.as_str());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_may_only_read_changes_nothing() {
    let api = Api::start().await;
    let id = api.new_execution().await;
    let answer = api.with_key("reader").patch(&path(&id), &json!({ "status": "running" })).await;
    answer.assert_error(403, "FORBIDDEN");
    api.with_key("writer").patch(&path(&id), &json!({ "status": "running" })).await.assert_status(200);
    api.with_key("writer").get(&path(&id)).await.assert_error(403, "FORBIDDEN");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_that_comes_after_the_end_is_too_late_and_takes_nothing_away() {
    let api = Api::start().await;
    let id = api.new_execution().await;
    let end = json!({ "status": "completed", "final_output": { "answer": 42 }, "tokens_used": 7 });
    let done = patch(&api, &id, &end).send().await.assert_status(200).body.clone();
    assert_eq!((&done["duration_ms"], &done["final_output"]["answer"]), (&Value::Null, &json!(42)));
    let late = patch(&api, &id, &json!({ "status": "running" })).send().await;
    late.assert_error(400, "INVALID_STATUS_TRANSITION");
    assert_eq!(late.body["current_status"], "completed", "terminal: too late, and not too early");
    assert_eq!(api.record(&id).await, done);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_launch_that_fails_is_retried_before_the_first_running() {
    let api = Api::start().await;
    for from in ["pending", "queued"] {
        let id = api.execution_in(from).await;
        let retrying = json!({ "status": "retrying", "error_message": "no capacity" });
        let record = patch(&api, &id, &retrying).send().await.assert_status(200).body.clone();
        assert_eq!((&record["retry_count"], &record["error_message"]), (&json!(1), &json!("no capacity")));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_and_ends_speak_of_the_present_attempt() {
    let api = Api::start().await;
    let id = api.execution_in("running").await;
    let path = format!("/flows/executions/{id}");
    let failed = json!({
        "status": "retrying", "error_message": "first", "error_details": { "n": 1 },
        "completed_at": "2026-01-01T00:00:00Z", "duration_ms": 5,
    });
    let record = api.patch(&path, &failed).await.assert_status(200).body.clone();
    assert_eq!((&record["error_message"], &record["duration_ms"]), (&json!("first"), &json!(5)));
    // A new attempt begins without what the former one said.
    let record = api.patch(&path, &json!({ "status": "running" })).await.assert_status(200).body.clone();
    for name in ["error_message", "error_details", "completed_at", "duration_ms"] {
        assert_eq!(record[name], Value::Null, "{name}");
    }
    // What the write gives stays.
    api.patch(&path, &json!({ "status": "retrying", "error_message": "second" })).await.assert_status(200);
    let given = json!({ "status": "running", "error_message": "resumed" });
    assert_eq!(api.patch(&path, &given).await.assert_status(200).body["error_message"], "resumed");
    let done = api.patch(&path, &json!({ "status": "completed" })).await.assert_status(200).body.clone();
    assert_eq!((&done["error_message"], done["duration_ms"].is_i64()), (&Value::Null, true), "{done}");
    assert_eq!(api.record(&id).await, done);
    // The transitions keep what was said.
    let transitions = api.get(&format!("/executions/{id}/transitions")).await.assert_status(200).body.clone();
    let reasons: Vec<&Value> =
        transitions["transitions"].as_array().expect("a list").iter().map(|t| &t["reason"]).collect();
    assert_eq!(
        reasons,
        [&Value::Null, &json!("first"), &Value::Null, &json!("second"), &json!("resumed"), &Value::Null]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn long_errors_are_kept_whole_and_their_beginnings_in_the_log() {
    let api = Api::start().await;
    let id = api.execution_in("running").await;
    let path = format!("/flows/executions/{id}");
    let text = "é".repeat(65_536);
    // With three retries of 60 KB each the report of the end must still find room.
    for _ in 0..3 {
        let failed = json!({ "status": "retrying", "error_message": "x".repeat(60_000) });
        api.patch(&path, &failed).await.assert_status(200);
        api.patch(&path, &json!({ "status": "running" })).await.assert_status(200);
    }
    let record = api.patch(&path, &json!({ "status": "failed", "error_message": text })).await;
    assert_eq!(record.assert_status(200).body["error_message"], text);
    let transitions = api.get(&format!("/executions/{id}/transitions")).await.assert_status(200).body.clone();
    let last = transitions["transitions"].as_array().and_then(|list| list.last()).expect("a transition");
    assert_eq!(last["reason"], "é".repeat(1_024));
    let longer = api.patch(&path, &json!({ "error_message": "x".repeat(65_537) })).await;
    assert_eq!(longer.validation_errors(), ["body.error_message: string_too_long"]);
    let message = tests::text(&longer.body["detail"][0]["msg"]);
    assert_eq!(message, "String should have at most 65536 characters: send a longer text in error_details");
}
