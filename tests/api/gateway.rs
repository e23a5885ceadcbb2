//! Access: API Gateway's own answers, and API keys from the table.

use std::time::Duration;

use local::operations::OPERATIONS;
use ratchet_model::api_key::{ApiKey, ApiKeyRecord};
use ratchet_model::clock::Clock;
use ratchet_model::scope::Scopes;
use reqwest::Method;
use serde_json::json;
use tests::{Api, below_base};

#[tokio::test(flavor = "multi_thread")]
async fn without_a_key_with_an_unknown_one_and_off_the_routes_api_gateway_answers() {
    let api = Api::start().await;
    let id = api.new_execution().await;
    for endpoint in OPERATIONS {
        let path = below_base(endpoint.operation).replace("{execution_id}", &id);
        let method: Method = endpoint.operation.method.parse().expect("a method");
        let anonymous =
            reqwest::Client::new().request(method.clone(), format!("{}/api/v1{path}", api.url)).send().await;
        let anonymous = anonymous.expect("an answer");
        assert_eq!(anonymous.status(), 401);
        assert_eq!(anonymous.text().await.ok().as_deref(), Some(r#"{"message":"Unauthorized"}"#));
        for key in ["wrong", "test-key2", "ratchet_0", "TEST-KEY"] {
            let answer = api.with_key(key).request(method.clone(), &path).send().await;
            assert_eq!(answer.assert_status(403).body, json!({ "message": "Forbidden" }), "{key}");
        }
    }
    for (method, path) in
        [(Method::DELETE, "/flows/executions"), (Method::GET, "/flows"), (Method::GET, "/flows/execute")]
    {
        let answer = api.request(method, path).send().await;
        assert_eq!(answer.assert_status(404).body, json!({ "message": "Not Found" }));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_of_the_table_lets_its_organization_in_until_it_is_revoked() {
    let api = Api::start().await;
    let key = ApiKey::generate().expect("random numbers");
    let mut record = ApiKeyRecord {
        digest: key.digest(),
        organization: tests::organization("acme"),
        name: None,
        scopes: Scopes::parse("read").expect("scopes"),
        valid_until: None,
    };
    let get = || async { api.with_key(key.reveal()).get("/flows/executions").await.status.as_u16() };
    assert_eq!(get().await, 403);
    api.put_key(&key.id(), &record).await;
    assert_eq!(get().await, 200);
    // The id of a key is public, its secret is not.
    let forged = ApiKey::generate().expect("random numbers");
    let mixed = format!("ratchet_{}_{}", key.id(), &forged.reveal()["ratchet_".len() + 17..]);
    assert_eq!(api.with_key(&mixed).get("/flows/executions").await.status.as_u16(), 403);

    record.valid_until = Some(api.clock.now().plus(Duration::from_secs(60)));
    api.put_key(&key.id(), &record).await;
    assert_eq!(get().await, 200);
    api.clock.advance(Duration::from_secs(61));
    assert_eq!(get().await, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_names_the_request() {
    let api = Api::start().await;
    let id = api.new_execution().await;
    let call = || api.request(Method::GET, &format!("/flows/executions/{id}"));
    let given = call().header("x-correlation-id", "run-7_a.b").send().await;
    assert_eq!(given.assert_status(200).header("x-correlation-id"), Some("run-7_a.b"));
    for hostile in ["", "a b", "a\"b", &"x".repeat(129), "a,b", "\u{e9}"] {
        let answer = call().header("x-correlation-id", hostile).send().await;
        let id = answer.assert_status(200).header("x-correlation-id").unwrap_or_default();
        assert!(id.len() >= 16 && id != hostile, "{hostile}: {id}");
    }
}
