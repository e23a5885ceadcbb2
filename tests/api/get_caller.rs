//! `GET /me`

use std::time::Duration;

use ratchet_model::api_key::ApiKey;
use ratchet_model::key_name::KeyName;
use ratchet_model::scope::Scopes;
use ratchet_store::api_keys::StoredApiKey;
use serde_json::{Value, json};
use tests::Api;

/// A key in the table, and what the table has of it.
async fn key(
    api: &Api,
    organization: &str,
    name: Option<&str>,
    scopes: &str,
    lifetime: Option<Duration>,
) -> (ApiKey, StoredApiKey) {
    let key = ApiKey::generate().expect("random numbers");
    let name = name.map(|name| KeyName::parse(name).expect("a name"));
    let (organization, scopes) = (tests::organization(organization), Scopes::parse(scopes).expect("scopes"));
    let stored = api.store.create_key(&key, &organization, name.as_ref(), scopes, lifetime).await.expect("a key");
    (key, stored)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_key_learns_who_it_speaks_for_and_what_it_may_do() {
    let api = Api::start().await;
    for (organization, scopes, expected) in [
        ("acme", "read", json!(["read"])),
        ("acme", "write", json!(["write"])),
        ("acme", "admin", json!(["admin"])),
        // In a fixed order, each once, and none that is only implied.
        ("acme", "admin,write,read,write", json!(["read", "write", "admin"])),
        ("other", "write,read", json!(["read", "write"])),
    ] {
        let (key, _) = key(&api, organization, None, scopes, None).await;
        let answer = api.with_key(key.reveal()).get("/me").await;
        let caller = json!({
            "organization_id": organization, "key_id": key.id(), "key_name": null, "scopes": expected, "expires_at": null,
        });
        assert_eq!(answer.assert_status(200).body, caller);
        assert_eq!(answer.header("content-type"), Some("application/json"));
    }
    // One of the development server's command line.
    let own = json!({
        "organization_id": "acme", "key_id": "local-4", "key_name": null, "scopes": ["write"], "expires_at": null,
    });
    assert_eq!(api.with_key("writer").get("/me").await.assert_status(200).body, own);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_and_an_end_pass_through_the_authorizer() {
    let api = Api::start().await;
    for name in ["CI deploy bot", "Zoë's \"laptop\" \\ 100%", "デプロイ 🦀", "מפתח", "%2541", &"🦀".repeat(64)]
    {
        let (key, stored) = key(&api, "acme", Some(name), "read", Some(Duration::from_secs(3600))).await;
        let caller = api.with_key(key.reveal()).get("/me").await.assert_status(200).body.clone();
        assert_eq!(caller["key_name"], name);
        assert_eq!(caller["expires_at"], json!(stored.record.valid_until.expect("an end")));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_that_a_rotation_or_a_revocation_has_set_is_the_one_that_is_shown() {
    let api = Api::start().await;
    let (old, _) = key(&api, "acme", Some("CI"), "read", None).await;
    let new = ApiKey::generate().expect("random numbers");
    let keep = Duration::from_secs(60);
    let rotation = api.store.rotate_key(&old.id(), keep, &new, None).await.expect("a rotation");
    let caller = api.with_key(old.reveal()).get("/me").await.assert_status(200).body.clone();
    assert_eq!((&caller["key_name"], &caller["expires_at"]), (&json!("CI"), &json!(rotation.old_until)));
    let caller = api.with_key(new.reveal()).get("/me").await.assert_status(200).body.clone();
    assert_eq!((&caller["key_name"], &caller["expires_at"]), (&json!("CI"), &Value::Null));
    // From its end on, a key learns nothing any more.
    api.clock.advance(keep);
    let answer = api.with_key(old.reveal()).get("/me").await;
    assert_eq!(answer.assert_status(403).body, json!({ "message": "Forbidden" }));
}

#[tokio::test(flavor = "multi_thread")]
async fn it_takes_no_query() {
    let api = Api::start().await;
    let answer = api.get("/me?key_id=local-2&x=").await;
    assert_eq!(answer.validation_errors(), ["query.key_id: extra_forbidden", "query.x: extra_forbidden"]);
    // Nothing after the question mark is no parameter.
    api.get("/me?").await.assert_status(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_sends_no_request_to_dynamodb() {
    let api = Api::start().await;
    let _ = api.watch.requests();
    let answer = api.get("/me").await;
    assert_eq!(answer.assert_status(200).body["organization_id"], "acme");
    assert_eq!(api.watch.requests(), Vec::<String>::new());
}
