//! `GET /flows/executions/{execution_id}/wait`

use std::time::{Duration, Instant};

use aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use local::gateway::{WAIT_TIMEOUT, function_timeout};
use ratchet_model::limits::MAX_WAIT_SECONDS;
use ratchet_store::Store;
use ratchet_store::wait::LAST_READ;
use reqwest::Method;
use serde_json::json;
use tests::proxy::Fault;
use tests::{Answer, Api, text, write_directly};
use tokio::task::JoinSet;

/// How long after its cause a wait may end: the longest pause, its spread, and two reads on a busy machine. Far below the time
/// that would be up else.
const SOON: Duration = Duration::from_secs(6);

fn path(id: &str, seconds: u64) -> String {
    format!("/flows/executions/{id}/wait?timeout={seconds}")
}

/// The answer, and how long it took.
async fn timed(answer: impl Future<Output = Answer>) -> (Answer, Duration) {
    let begun = Instant::now();
    let answer = answer.await;
    (answer, begun.elapsed())
}

async fn wait(api: &Api, id: &str, seconds: u64, tag: Option<&str>) -> (Answer, Duration) {
    let call = api.request(Method::GET, &path(id, seconds));
    let call = match tag {
        Some(tag) => call.header("if-none-match", tag),
        None => call,
    };
    timed(call.send()).await
}

/// Another writer changes the execution after a while.
fn write_later(store: &Store, id: &str, after: Duration, body: serde_json::Value) -> tokio::task::JoinHandle<()> {
    let (store, id) = (store.clone(), id.to_owned());
    tokio::spawn(async move {
        tokio::time::sleep(after).await;
        write_directly(&store, &id, &body).await;
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_ended_is_answered_at_once_in_one_request() {
    let api = Api::start().await;
    for status in ["completed", "failed", "cancelled", "timeout"] {
        let id = api.execution_in(status).await;
        let record = api.record(&id).await;
        let _ = api.watch.requests();
        let (answer, took) = wait(&api, &id, 25, None).await;
        assert_eq!(answer.assert_status(200).body, record);
        assert_eq!(answer.header("etag"), Some(format!("\"{}\"", record["version"]).as_str()));
        assert_eq!(api.watch.requests(), ["Query"]);
        assert!(took < SOON, "{took:?}");
        // The caller has it already: nothing will change any more that could be waited for.
        for tag in [format!("\"{}\"", record["version"]), "*".to_owned()] {
            let (answer, took) = wait(&api, &id, 25, Some(&tag)).await;
            answer.assert_status(304);
            assert_eq!(answer.text, "");
            assert!(took < SOON, "{took:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_tag_only_the_end_is_waited_for() {
    let api = Api::start().await;
    let id = api.execution_in("running").await;
    let fields = write_later(&api.store, &id, Duration::from_millis(300), json!({ "tokens_used": 1 }));
    let retry = write_later(&api.store, &id, Duration::from_millis(600), json!({ "status": "retrying" }));
    let end = write_later(&api.store, &id, Duration::from_millis(1_500), json!({ "status": "failed" }));
    let (answer, took) = wait(&api, &id, 25, None).await;
    for write in [fields, retry, end] {
        write.await.expect("a write");
    }
    assert_eq!(answer.assert_status(200).body["status"], "failed");
    assert_eq!((answer.body["tokens_used"].clone(), answer.header("etag")), (json!(1), Some("\"5\"")));
    assert!(took >= Duration::from_millis(1_500) && took < Duration::from_millis(1_500) + SOON, "{took:?}");
    assert_eq!(answer.body, api.record(&id).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_tag_any_write_ends_the_wait() {
    let api = Api::start().await;
    for body in [json!({ "tokens_used": 1 }), json!({ "status": "interrupted" }), json!({ "status": "completed" })] {
        let id = api.execution_in("running").await;
        let write = write_later(&api.store, &id, Duration::from_millis(400), body.clone());
        let (answer, took) = wait(&api, &id, 25, Some("\"2\"")).await;
        write.await.expect("a write");
        assert_eq!(answer.assert_status(200).header("etag"), Some("\"3\""), "{body}");
        assert!(took >= Duration::from_millis(400) && took < Duration::from_millis(400) + SOON, "{took:?}");
    }
    // A tag that it does not have any more, and one that names none.
    let id = api.execution_in("running").await;
    for tag in ["\"1\"", "\"7\"", "W/\"1\", \"9\"", "2", ""] {
        let (answer, took) = wait(&api, &id, 25, Some(tag)).await;
        assert_eq!(answer.assert_status(200).header("etag"), Some("\"2\""), "{tag}");
        assert!(took < SOON, "{tag}: {took:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_tag_a_step_ends_the_wait_too() {
    let api = Api::start().await;
    let id = api.execution_in("running").await;
    let record = format!("/flows/executions/{id}");
    // The first step, a further one, and a change of one.
    for step in [json!({ "step_id": "1" }), json!({ "step_id": "2" }), json!({ "step_id": "1", "status": "completed" })]
    {
        let tag = api.get(&record).await.header("etag").expect("an ETag").to_owned();
        let report = async {
            tokio::time::sleep(Duration::from_millis(400)).await;
            api.post(&format!("/executions/{id}/steps"), &json!({ "steps": [step] })).await.assert_status(200);
        };
        let ((answer, took), ()) = tokio::join!(wait(&api, &id, 25, Some(&tag)), report);
        assert_eq!(answer.assert_status(200).body["version"], 2, "a step is no write of the record");
        assert_ne!(answer.header("etag"), Some(tag.as_str()));
        assert_eq!(answer.header("etag"), api.get(&record).await.header("etag"), "{step}");
        assert!(took >= Duration::from_millis(400) && took < Duration::from_millis(400) + SOON, "{took:?}");
    }
    // Who waits for the end is not told of steps.
    let (answer, took) = wait(&api, &id, 1, None).await;
    assert_eq!(answer.assert_status(200).body["status"], "running");
    assert!(took >= Duration::from_secs(1), "{took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn when_the_time_is_up_the_answer_is_that_of_get_execution() {
    let api = Api::start().await;
    let id = api.execution_in("running").await;
    let record = api.record(&id).await;
    let _ = api.watch.requests();
    let (answer, took) = wait(&api, &id, 2, None).await;
    assert_eq!(answer.assert_status(200).body, record);
    assert_eq!(answer.header("etag"), Some("\"2\""));
    assert!(took >= Duration::from_secs(2) && took < Duration::from_secs(2) + SOON, "{took:?}");
    let requests = api.watch.requests();
    let glances = requests.iter().filter(|request| *request == "GetItem").count();
    // One whole read at the beginning and one at the end; between them after 0.25, 0.75 and perhaps 1.75 seconds.
    assert_eq!(requests.iter().filter(|request| *request == "Query").count(), 2, "{requests:?}");
    assert!((1..=4).contains(&glances), "{requests:?}");

    for tag in ["\"2\"", "W/\"2\"", "*", "\"1\", \"2\""] {
        let (answer, took) = wait(&api, &id, 1, Some(tag)).await;
        answer.assert_status(304);
        assert_eq!((answer.text.as_str(), answer.header("etag")), ("", Some("\"2\"")), "{tag}");
        assert!(took >= Duration::from_secs(1), "{took:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_reads_little_however_much_the_inputs_hold() {
    let api = Api::start().await;
    let large = json!({ "flow_id": "demo", "trigger_type": "test", "variables": { "text": "x".repeat(100_000) } });
    let id = text(&api.execute(&large).await["id"]);
    let _ = api.watch.read_units();
    api.record(&id).await;
    let whole = api.watch.read_units();
    let _ = api.watch.requests();
    let (answer, _) = wait(&api, &id, 2, None).await;
    answer.assert_status(200);
    let glances = api.watch.requests().iter().filter(|request| *request == "GetItem").count();
    let glances = f64::from(u32::try_from(glances).expect("a few"));
    let expected = 2.0 * whole + glances * 0.5;
    assert_eq!((api.watch.read_units(), ()), (expected, ()), "two whole reads, and half a unit for each glance");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_not_waited_for() {
    let api = Api::start().await;
    let id = api.execution_in("running").await;
    let missing = "6a1ed1a4-7ee7-4a8a-b1f0-4b21a3a5f3d9";
    for (key, id) in [("test-key", missing), ("test-key", "x"), ("other-key", &id)] {
        for tag in [None, Some("*"), Some("\"2\"")] {
            let call = api.with_key(key).request(Method::GET, &path(id, 25));
            let call = if let Some(tag) = tag { call.header("if-none-match", tag) } else { call };
            let (answer, took) = timed(call.send()).await;
            answer.assert_error(404, "EXECUTION_NOT_FOUND");
            assert!(took < SOON, "{took:?}");
        }
    }
    let (answer, took) = timed(api.with_key("writer").get(&path(&id, 25))).await;
    answer.assert_error(403, "FORBIDDEN");
    assert!(took < SOON, "{took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_execution_that_is_deleted_meanwhile_is_missing_at_the_end() {
    let api = Api::start().await;
    let id = api.execution_in("running").await;
    let waiting = wait(&api, &id, 2, None);
    let deleting = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let head = api.head(&id).await;
        api.delete(["pk", "sk"].map(|name| (name.to_owned(), head[name].clone()))).await;
    };
    let ((answer, took), ()) = tokio::join!(waiting, deleting);
    answer.assert_error(404, "EXECUTION_NOT_FOUND");
    assert!(took < Duration::from_secs(2) + SOON, "{took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_time_has_bounds_and_nothing_else_may_be_asked() {
    let api = Api::start().await;
    let id = api.execution_in("completed").await;
    for (query, errors) in [
        ("timeout=0", vec!["query.timeout: greater_than_equal"]),
        ("timeout=26", vec!["query.timeout: less_than_equal"]),
        ("timeout=-1", vec!["query.timeout: greater_than_equal"]),
        ("timeout=", vec!["query.timeout: int_parsing"]),
        ("timeout=1.5", vec!["query.timeout: int_parsing"]),
        ("timeout=5&timeout=6", vec!["query.timeout: multiple_argument_values"]),
        ("timeout=99999999999999999999", vec!["query.timeout: less_than_equal"]),
        ("timeout=0&view=full", vec!["query.timeout: greater_than_equal", "query.view: extra_forbidden"]),
    ] {
        let answer = api.get(&format!("/flows/executions/{id}/wait?{query}")).await;
        assert_eq!(answer.validation_errors(), errors, "{query}");
    }
    for query in ["", "?timeout=1", "?timeout=25", "?timeout=025"] {
        api.get(&format!("/flows/executions/{id}/wait{query}")).await.assert_status(200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dynamodb_that_is_away_for_a_part_of_the_time_is_waited_out() {
    // Quick to give an attempt up, so that the faults of several reads fit into the test.
    let timeouts = TimeoutConfig::builder()
        .operation_attempt_timeout(Duration::from_millis(1_000))
        .operation_timeout(Duration::from_millis(3_000));
    let api = Api::start_with(|config| config.timeout_config(timeouts.build())).await;
    let id = api.execution_in("running").await;
    // Away from the beginning: not even that the execution exists is known.
    api.proxy.plan((0..6).map(|n| match n % 3 {
        0 => Fault::DropRequest,
        1 => Fault::internal(),
        _ => Fault::throttled(),
    }));
    let end = write_later(&api.store, &id, Duration::from_millis(1_200), json!({ "status": "completed" }));
    let (answer, took) = wait(&api, &id, 25, None).await;
    end.await.expect("a write");
    assert_eq!(answer.assert_status(200).body["status"], "completed");
    assert!(took < Duration::from_secs(20), "{took:?}");
    assert_eq!(api.proxy.left(), 0);

    // In the middle, and answers that never come.
    let id = api.execution_in("running").await;
    let faults = [Fault::Pass, Fault::internal(), Fault::internal(), Fault::internal()];
    let held = (0..3).map(|_| Fault::Delay(Duration::from_secs(5)));
    api.proxy.plan(faults.into_iter().chain(held));
    let end = write_later(&api.store, &id, Duration::from_millis(1_000), json!({ "status": "completed" }));
    let (answer, took) = wait(&api, &id, 25, Some("\"2\"")).await;
    end.await.expect("a write");
    assert_eq!(answer.assert_status(200).header("etag"), Some("\"3\""));
    assert!(took < Duration::from_secs(20), "{took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dynamodb_that_is_away_at_the_end_is_said_to_be() {
    let api = Api::start().await;
    let id = api.execution_in("running").await;
    api.proxy.fail_matching(Box::leak(id.clone().into_boxed_str()), Fault::throttled);
    for tag in [None, Some("\"2\"")] {
        let (answer, took) = wait(&api, &id, 1, tag).await;
        answer.assert_error(503, "STORE_UNAVAILABLE");
        assert!(took >= Duration::from_secs(1) && took < Duration::from_secs(1) + SOON, "{took:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_dynamodb_is_answered_before_the_function_is_ended() {
    // With the timeouts of production, which are longer than the time that the last read has.
    let api = Api::start_with_timeouts().await;
    let id = api.execution_in("running").await;
    api.proxy.fail_matching(Box::leak(id.clone().into_boxed_str()), || Fault::Delay(Duration::from_secs(60)));
    let (answer, took) = wait(&api, &id, 1, None).await;
    answer.assert_error(503, "STORE_UNAVAILABLE");
    assert!(took < Duration::from_secs(1) + LAST_READ + Duration::from_secs(1), "{took:?}");
    let longest = Duration::from_secs(MAX_WAIT_SECONDS.unsigned_abs()) + LAST_READ;
    assert!(longest < WAIT_TIMEOUT, "{longest:?}");
    assert_eq!(function_timeout("wait_execution"), WAIT_TIMEOUT);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_record_is_no_reason_to_wait() {
    let api = Api::start().await;
    let id = api.execution_in("running").await;
    let mut head = api.head(&id).await;
    head.remove("st");
    api.put_item(head).await;
    let (answer, took) = wait(&api, &id, 25, None).await;
    answer.assert_error(500, "INTERNAL");
    assert!(took < SOON, "{took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_is_gone_harms_nobody() {
    let api = Api::start().await;
    let id = api.execution_in("running").await;
    for _ in 0..20 {
        let call = api.request(Method::GET, &path(&id, 25)).timeout(Duration::from_millis(50));
        assert!(call.try_send().await.is_err(), "it waits");
    }
    let (answer, took) =
        timed(async { api.patch(&format!("/flows/executions/{id}"), &json!({ "status": "completed" })).await }).await;
    answer.assert_status(200);
    assert!(took < SOON, "{took:?}");
    let (answer, _) = wait(&api, &id, 25, None).await;
    assert_eq!(answer.assert_status(200).body["status"], "completed");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_waiters_are_told_and_writers_go_on_meanwhile() {
    let api = std::sync::Arc::new(Api::start().await);
    let id = api.execution_in("running").await;
    let other = api.execution_in("running").await;
    let mut waiters = JoinSet::new();
    for number in 0..200 {
        let (api, id) = (api.clone(), id.clone());
        // Half of them wait for the end, half for any write.
        let tag = (number % 2 == 0).then_some("\"2\"");
        waiters.spawn(async move { wait(&api, &id, 25, tag).await.0 });
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    for tokens in 0..3 {
        let body = json!({ "tokens_used": tokens });
        api.patch(&format!("/flows/executions/{other}"), &body).await.assert_status(200);
    }
    assert_eq!(waiters.try_join_next().map(|answer| answer.map(|answer| answer.text).ok()), None, "all wait");
    let end = json!({ "status": "completed", "final_output": { "answer": 42 } });
    api.patch(&format!("/flows/executions/{id}"), &end).await.assert_status(200);
    while let Some(answer) = waiters.join_next().await {
        let answer = answer.expect("a waiter");
        // Whose time had been up would have seen it run.
        assert_eq!(answer.assert_status(200).body["final_output"], json!({ "answer": 42 }));
        assert_eq!(answer.header("etag"), Some("\"3\""));
    }
}
