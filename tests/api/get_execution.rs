//! `GET /flows/executions/{execution_id}`

use reqwest::Method;
use serde_json::json;
use tests::{Api, text};

#[tokio::test(flavor = "multi_thread")]
async fn a_record_comes_back_whole_with_its_etag_in_one_request() {
    let api = Api::start().await;
    let created = api.execute(&json!({ "flow_id": "demo", "trigger_type": "test" })).await;
    let _ = api.watch.requests();
    let answer = api.get(&format!("/flows/executions/{}", text(&created["id"]))).await;
    answer.assert_status(200);
    assert_eq!(answer.body, created);
    assert_eq!(answer.header("etag"), Some("\"1\""));
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(api.watch.requests(), ["Query"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_the_caller_has_already_is_not_sent_again() {
    let api = Api::start().await;
    let id = api.new_execution().await;
    let path = format!("/flows/executions/{id}");
    for tag in ["\"1\"", "W/\"1\"", "\"7\", \"1\"", "*"] {
        let answer = api.request(Method::GET, &path).header("if-none-match", tag).send().await;
        answer.assert_status(304);
        assert_eq!((answer.text.as_str(), answer.header("etag")), ("", Some("\"1\"")), "{tag}");
    }
    for tag in ["\"2\"", "1", ""] {
        api.request(Method::GET, &path).header("if-none-match", tag).send().await.assert_status(200);
    }
    api.patch(&path, &json!({ "tokens_used": 1 })).await.assert_status(200);
    let answer = api.request(Method::GET, &path).header("if-none-match", "\"1\"").send().await;
    assert_eq!(answer.assert_status(200).header("etag"), Some("\"2\""));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_that_no_execution_has_is_not_found() {
    let api = Api::start().await;
    for id in ["6a1ed1a4-7ee7-4a8a-b1f0-4b21a3a5f3d9", "x", "%20", "e%23acme%23x", "%C3%A9", &"a".repeat(256), "%ff"] {
        let answer = api.get(&format!("/flows/executions/{id}")).await;
        answer.assert_error(404, "EXECUTION_NOT_FOUND");
    }
}
