//! API keys in their table, as the key tool writes and reads them. The tool itself: keys/tests/keys.rs.

use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use ratchet_model::api_key::{ApiKey, ApiKeyRecord, KeyState};
use ratchet_model::clock::Clock;
use ratchet_model::error::Error;
use ratchet_model::id::KeyId;
use ratchet_model::scope::Scopes;
use ratchet_store::api_keys::ApiKeyError;
use ratchet_store::schema as attributes;
use serde_json::{Value, json};
use serde_norway::Value as Yaml;
use tests::proxy::Fault;
use tests::{Api, organization};

use crate::events::root;

const HOUR: Duration = Duration::from_secs(60 * 60);

fn new_key() -> ApiKey {
    ApiKey::generate().expect("random numbers")
}

/// A new key in the table, created past the proxy.
async fn stored(api: &Api) -> ApiKey {
    let key = new_key();
    api.store.create_key(&key, &organization("acme"), None, Scopes::ALL, None).await.expect("a key");
    key
}

/// The key of an item, as DynamoDB's JSON.
fn primary_key(key: &ApiKey) -> Value {
    json!({ "pk": { "S": format!("k#{}", key.id()) }, "sk": { "S": "k" } })
}

/// An answer in the place of DynamoDB's.
fn answer(body: &Value) -> Fault {
    Fault::Answer(200, body.to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_reads_keys_alone_and_a_hundred_at_a_time() {
    let api = Api::start().await;
    for _ in 0..3 {
        api.new_execution().await;
    }
    let mut created = Vec::new();
    for _ in 0..105 {
        created.push(stored(&api).await.id());
    }
    let _ = api.watch.requests();
    let keys = api.proxied.keys(None).await.expect("keys");
    assert_eq!(api.watch.requests(), ["Query", "BatchGetItem", "BatchGetItem"]);
    let mut ids: Vec<KeyId> = keys.iter().map(|key| key.id.clone()).collect();
    assert!(keys.windows(2).all(|pair| pair[0].created_at <= pair[1].created_at), "oldest first");
    ids.sort();
    created.sort();
    assert_eq!(ids, created);
    // A list of executions has no key in it.
    assert_eq!(api.get("/flows/executions").await.body["total_count"], 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_goes_on_after_a_page_and_asks_again_for_what_was_left_out() {
    let api = Api::start().await;
    let (first, second) = (stored(&api).await, stored(&api).await);
    let keys = api.store.keys(None).await.expect("keys");
    let entry = {
        let order = format!("{:015}#{}", keys[0].created_at.expect("a time").millis(), keys[0].id);
        let mut entry = primary_key(if keys[0].id == first.id() { &first } else { &second });
        entry["go"] = json!({ "S": "k#" });
        entry["t"] = json!({ "S": order });
        entry
    };
    let page = json!({ "Items": [entry], "Count": 1, "ScannedCount": 1, "LastEvaluatedKey": entry });
    let left_out = || {
        let keys = json!({ "Keys": [primary_key(&first), primary_key(&second)], "ConsistentRead": true });
        answer(&json!({ "Responses": { api.table(): [] }, "UnprocessedKeys": { api.table(): keys } }))
    };
    api.proxy.plan([answer(&page), Fault::Pass, left_out(), left_out()]);
    let _ = api.watch.requests();
    assert_eq!(api.proxied.keys(None).await.expect("keys"), keys);
    assert_eq!(api.watch.requests(), ["Query", "Query", "BatchGetItem", "BatchGetItem", "BatchGetItem"]);
    // The repeats end.
    api.proxy.plan([Fault::Pass, left_out(), left_out(), left_out()]);
    assert!(matches!(api.proxied.keys(None).await, Err(ApiKeyError::Busy)));
    assert_eq!(api.proxy.left(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_and_a_revocation_at_once_leave_no_key_behind() {
    let api = Api::start().await;
    let old = stored(&api).await;
    let old_id = old.id();
    let item = api.items().await.remove(0);
    // The rotation reads the item as it was before the revocation.
    let mut read = primary_key(&old);
    for (name, value) in item.iter().filter_map(|(name, value)| Some((name, value.as_s().ok()?))) {
        read[name.as_str()] = json!({ "S": value });
    }
    read["hs"] = json!({ "B": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=" });
    let revocation = api.store.revoke_key(&old_id).await.expect("a revocation");
    api.proxy.plan([answer(&json!({ "Item": read }))]);
    let _ = api.watch.requests();
    let outcome = api.proxied.rotate_key(&old_id, HOUR, &new_key(), None).await;
    assert!(
        matches!(outcome, Err(ApiKeyError::Ended { since }) if since == revocation.since),
        "{outcome:?} {:?}",
        api.watch.requests()
    );
    let keys = api.store.keys(None).await.expect("keys");
    assert_eq!(keys.len(), 1, "no new key was created");
    assert_eq!(keys[0].record.state(api.clock.now()), KeyState::Revoked(revocation.since));
    let requests = api.watch.requests();
    assert_eq!(requests.iter().filter(|request| *request == "TransactWriteItems").count(), 1, "{requests:?}");
}

/// DynamoDB's refusal of a transaction, as when another one is under way.
fn cancelled() -> Fault {
    let reasons = json!([{ "Code": "None" }, { "Code": "TransactionConflict", "Message": "busy" }]);
    let kind = "com.amazonaws.dynamodb.v20120810#TransactionCanceledException";
    Fault::Answer(400, json!({ "__type": kind, "message": "cancelled", "CancellationReasons": reasons }).to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_in_doubt_whose_old_key_was_revoked_is_done() {
    let api = Api::start().await;
    // DynamoDB recognizes the next attempt by its token, or refuses it and the new key is found in the table.
    for repeat in [Fault::Pass, cancelled()] {
        let (old, new) = (stored(&api).await, new_key());
        let (store, id) = (api.store.clone(), old.id());
        let meanwhile = {
            let id = id.clone();
            Box::pin(async move {
                store.revoke_key(&id).await.expect("a revocation");
            })
        };
        api.proxy.plan([Fault::Pass, Fault::DropAnswer(meanwhile), repeat]);
        let rotation = api.proxied.rotate_key(&id, HOUR, &new, None).await.expect("a rotation");
        assert_eq!(rotation.new.id, new.id());
        assert_eq!(api.with_key(new.reveal()).get("/flows/executions").await.status.as_u16(), 200);
        assert_eq!(api.with_key(old.reveal()).get("/flows/executions").await.status.as_u16(), 403);
    }
    assert_eq!(api.proxy.left(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_that_others_keep_from_happening_gives_up_and_says_whether_it_may_happen_yet() {
    let api = Api::start().await;
    let id = stored(&api).await.id();
    // The old key is read, and after the first refusal the new one is looked for.
    let refusals = || (0..3).flat_map(|_| [Fault::Pass, Fault::Pass, cancelled()]);
    api.proxy.plan([Fault::Pass, cancelled()].into_iter().chain(refusals()));
    let outcome = api.proxied.rotate_key(&id, HOUR, &new_key(), None).await;
    assert!(matches!(outcome, Err(ApiKeyError::Busy)), "{outcome:?}");
    // One attempt is in doubt: it may still be on its way.
    api.proxy.plan([Fault::Pass, Fault::DropRequest, cancelled()].into_iter().chain(refusals()));
    let outcome = api.proxied.rotate_key(&id, HOUR, &new_key(), None).await;
    assert!(matches!(outcome, Err(ApiKeyError::OutcomeUnknown { .. })), "{outcome:?}");
    assert_eq!(api.proxy.left(), 0);
    assert_eq!(api.store.keys(None).await.expect("keys").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_replaces_no_other_key() {
    let api = Api::start().await;
    let key = stored(&api).await;
    // The same key again is a repeat; another one with its id is not.
    api.store.create_key(&key, &organization("acme"), None, Scopes::ALL, None).await.expect("a repeat");
    let other = new_key();
    let other_organization = organization("other");
    let record = ApiKeyRecord {
        digest: key.digest(),
        organization: other_organization.clone(),
        name: None,
        scopes: Scopes::ALL,
        valid_until: None,
    };
    api.put_key(&other.id(), &record).await;
    let outcome = api.store.create_key(&other, &organization("acme"), None, Scopes::ALL, None).await;
    assert!(matches!(outcome, Err(ApiKeyError::Failed { .. })), "{outcome:?}");
    assert_eq!(
        api.store.api_key(&other.id()).await.expect("an answer").expect("a key").organization,
        other_organization
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_of_version_0_1_has_no_name_and_a_damaged_name_lets_nobody_in() {
    let api = Api::start().await;
    let key = stored(&api).await;
    let mut item = api.items().await.remove(0);
    assert!(!item.contains_key(attributes::API_KEY_NAME), "absent, as in version 0.1");
    assert_eq!(api.store.api_key(&key.id()).await.expect("an answer").expect("a key").name, None);
    // Only the key tool writes names. What is no name was put there by other means.
    item.insert(attributes::API_KEY_NAME.to_owned(), AttributeValue::S(String::new()));
    api.put_item(item).await;
    assert!(matches!(api.store.api_key(&key.id()).await, Err(Error::Internal(_))));
    let answer = api.with_key(key.reveal()).get("/me").await;
    assert_eq!(answer.assert_status(500).body, json!({ "message": "Internal Server Error" }));
}

/// Every policy statement anywhere below `part` that is about this action.
fn statements<'a>(part: &'a Yaml, action: &str) -> Vec<&'a Yaml> {
    let own = (part["Action"].as_str() == Some(action)).then_some(part);
    let list = part.as_sequence().into_iter().flatten();
    let members = part.as_mapping().into_iter().flatten().map(|(_, value)| value);
    own.into_iter().chain(list.chain(members).flat_map(|part| statements(part, action))).collect()
}

#[test]
fn no_function_may_read_the_keys_in_their_index() {
    let text = std::fs::read_to_string(root().join("template.yaml")).expect("template.yaml");
    let template: Yaml = serde_norway::from_str(&text).expect("YAML");
    let queries = statements(&template["Resources"], "dynamodb:Query");
    assert!(!queries.is_empty(), "no function may query anything");
    for statement in queries {
        let patterns = &statement["Condition"]["ForAllValues:StringLike"]["dynamodb:LeadingKeys"];
        for pattern in patterns.as_sequence().expect("patterns") {
            let prefix = pattern.as_str().and_then(|pattern| pattern.strip_suffix('*')).expect("a prefix");
            assert!(!prefix.is_empty() && !attributes::API_KEYS.starts_with(prefix), "{prefix}");
        }
    }
}
