//! Inputs in an item of their own: created with the head or not at all, and shown as if they were in it.

use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::future::join_all;
use ratchet_store::client::ATTEMPT_TIMEOUT;
use reqwest::Method;
use serde_json::{Value, json};
use tests::proxy::Fault;
use tests::{Answer, Api, text};

fn large() -> Value {
    json!({
        "flow_id": "demo", "trigger_type": "test",
        "trigger_data": { "b": 1.0, "a": [1e300, ""] }, "variables": { "text": "x".repeat(5_000), "": {} },
    })
}

async fn execute(api: &Api, key: Option<&str>, body: &Value) -> Answer {
    let call = api.request(Method::POST, "/flows/execute").json(body);
    match key {
        Some(key) => call.header("idempotency-key", key).send().await,
        None => call.send().await,
    }
}

/// The sort keys of the items of executions.
async fn items(api: &Api) -> Vec<String> {
    let sort_key = |name: &str, item: &ratchet_store::item::Item| item[name].as_s().expect("a text").clone();
    let items = api.items().await.into_iter().filter(|item| sort_key("pk", item).starts_with("e#"));
    let mut keys: Vec<String> = items.map(|item| sort_key("sk", &item)).collect();
    keys.sort();
    keys
}

/// DynamoDB's answer where a transaction meets another one.
fn conflict() -> Fault {
    let body = json!({
        "__type": "com.amazonaws.dynamodb.v20120810#TransactionCanceledException",
        "Message": "Transaction cancelled, please refer cancellation reasons for specific reasons [TransactionConflict, None]",
        "CancellationReasons": [{ "Code": "TransactionConflict", "Message": "busy" }, { "Code": "None" }],
    });
    Fault::Answer(400, body.to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn large_inputs_have_an_item_of_their_own_and_every_answer_has_them() {
    let api = Api::start().await;
    let small = api.execute(&json!({ "flow_id": "demo", "trigger_type": "test", "variables": { "a": 1 } })).await;
    assert_eq!(items(&api).await, ["h"]);
    let created = execute(&api, None, &large()).await;
    let record = &created.assert_status(200).body["execution"];
    assert_eq!(items(&api).await, ["h", "h", "i"]);
    for name in ["trigger_data", "variables"] {
        assert_eq!(record[name], large()[name]);
    }
    let id = text(&record["id"]);
    assert_eq!(api.record(&id).await, *record);
    let listed = api.get("/flows/executions").await;
    assert_eq!(listed.assert_status(200).body["executions"], json!([record, small]));
    let path = format!("/flows/executions/{id}");
    for body in [json!({}), json!({ "status": "running" }), json!({ "status": "completed", "final_output": {} })] {
        let answer = api.patch(&path, &body).await;
        assert_eq!(answer.assert_status(200).body["variables"], large()["variables"]);
        assert_eq!(answer.body, api.record(&id).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_in_doubt_succeeds_and_creates_one_execution() {
    let api = Api::start_with_timeouts().await;
    for key in [None, Some("key")] {
        for fault in [
            Fault::drop_answer(),
            Fault::DropRequest,
            Fault::throttled(),
            Fault::internal(),
            Fault::ApplyAndAnswer(500, "{}".to_owned()),
            Fault::HalfAnswer,
            Fault::DeliverTwice,
            Fault::Delay(ATTEMPT_TIMEOUT),
            conflict(),
        ] {
            let before = items(&api).await.len();
            let key = key.map(|key| format!("{key}-{before}"));
            // The counter is the first request.
            api.proxy.plan([Fault::Delay(std::time::Duration::ZERO), fault]);
            let created = execute(&api, key.as_deref(), &large()).await;
            assert_eq!(created.assert_status(200).header("idempotency-replayed"), None, "it is this very request");
            assert_eq!(created.body["execution"]["variables"], large()["variables"]);
            assert_eq!(items(&api).await.len(), before + 2);
            let id = text(&created.body["execution"]["id"]);
            assert_eq!(api.record(&id).await, created.body["execution"]);
            let Some(key) = &key else { continue };
            // A repeat creates no second execution, and shows the first as it stands.
            api.patch(&format!("/flows/executions/{id}"), &json!({ "status": "running" })).await.assert_status(200);
            let again = execute(&api, Some(key), &large()).await;
            assert_eq!(again.assert_status(200).header("idempotency-replayed"), Some("true"));
            assert_eq!(again.body["execution"], api.record(&id).await);
            let mut other = large();
            other["variables"]["text"] = json!("y".repeat(5_000));
            execute(&api, Some(key), &other).await.assert_error(422, "IDEMPOTENCY_KEY_REUSED");
            assert_eq!(items(&api).await.len(), before + 2);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_whose_outcome_stays_unknown_is_found_by_its_repeat() {
    let api = Api::start().await;
    let lost = || Fault::ApplyAndAnswer(500, "{}".to_owned());
    api.proxy.plan([Fault::Delay(std::time::Duration::ZERO), lost(), lost(), lost()]);
    execute(&api, Some("key"), &large()).await.assert_error(503, "OUTCOME_UNKNOWN");
    assert_eq!(items(&api).await, ["h", "i"]);
    let again = execute(&api, Some("key"), &large()).await;
    assert_eq!(again.assert_status(200).header("idempotency-replayed"), Some("true"));
    assert_eq!(items(&api).await, ["h", "i"]);
    // And one that met other transactions only was not done, and says so.
    api.proxy.plan([Fault::Delay(std::time::Duration::ZERO)]);
    api.proxy.plan((0..6).map(|_| conflict()));
    execute(&api, Some("other"), &large()).await.assert_error(503, "STORE_UNAVAILABLE");
    assert_eq!((items(&api).await.len(), api.proxy.left()), (2, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_repeats_of_one_creation_create_one_execution() {
    let api = Api::start().await;
    let body = large();
    let answers = join_all((0..8).map(|_| execute(&api, Some("key"), &body))).await;
    let first = answers.iter().filter(|answer| answer.header("idempotency-replayed").is_none()).count();
    assert_eq!((first, items(&api).await.len()), (1, 2));
    for answer in &answers {
        assert_eq!(answer.assert_status(200).body["execution"]["id"], answers[0].body["execution"]["id"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn inputs_that_cannot_be_read_after_a_write_make_its_outcome_unknown_and_not_refused() {
    let api = Api::start().await;
    let id = text(&execute(&api, None, &large()).await.body["execution"]["id"]);
    let path = format!("/flows/executions/{id}");
    let claim =
        || api.request(Method::PATCH, &path).json(&json!({ "status": "running" })).header("idempotency-key", "k");
    // The write passes, and the reads after it do not.
    api.proxy.plan([Fault::Delay(std::time::Duration::ZERO), Fault::internal(), Fault::internal(), Fault::internal()]);
    claim().send().await.assert_error(503, "OUTCOME_UNKNOWN");
    let again = claim().send().await;
    assert_eq!(again.assert_status(200).header("idempotency-replayed"), Some("true"));
    assert_eq!((&again.body["attempt"], &again.body["variables"]), (&json!(1), &large()["variables"]));
    // A key is remembered by what changes nothing, too. Without one nothing was written.
    let nothing = || api.request(Method::PATCH, &path).json(&json!({})).header("idempotency-key", "nothing");
    api.proxy.plan([Fault::Delay(std::time::Duration::ZERO), Fault::internal(), Fault::internal(), Fault::internal()]);
    nothing().send().await.assert_error(503, "OUTCOME_UNKNOWN");
    assert_eq!(nothing().send().await.assert_status(200).header("idempotency-replayed"), Some("true"));
    api.proxy.plan([Fault::Delay(std::time::Duration::ZERO), Fault::internal(), Fault::internal(), Fault::internal()]);
    api.patch(&path, &json!({})).await.assert_error(503, "STORE_UNAVAILABLE");
}

#[tokio::test(flavor = "multi_thread")]
async fn inputs_that_are_not_visible_yet_are_not_taken_for_none() {
    let api = Api::start().await;
    let created = execute(&api, None, &large()).await;
    let id = text(&created.body["execution"]["id"]);
    let keys = [("pk", tests::item_key(&id)), ("sk", "i".to_owned())];
    api.delete(keys.map(|(name, value)| (name.to_owned(), AttributeValue::S(value)))).await;
    for path in [format!("/flows/executions/{id}"), "/flows/executions".to_owned()] {
        api.get(&path).await.assert_error(503, "STORE_UNAVAILABLE");
    }
    let claimed = api.patch(&format!("/flows/executions/{id}"), &json!({ "status": "running" })).await;
    claimed.assert_error(503, "OUTCOME_UNKNOWN");
    // What does not show inputs goes on.
    api.patch(&format!("/executions/{id}"), &json!({ "status": "failed" })).await.assert_status(200);
    assert_eq!(api.transitions(&id).await, ["pending>running", "running>failed"]);
}
