//! `events/`: sample events, one file per function and outcome, for `sam local invoke`. Here each is handed to its function,
//! so that none becomes outdated. `events/cases.json` has the answer to each, and the events that must come before it.
//!
//! The events fit together. The id of an execution that is created with an Idempotency-Key follows from the key, so that
//! `execute_flow.accepted` creates the very execution that the other events name: no event has to be changed to be used.

use ratchet_model::limits::DEFAULT_TIMEOUT_SECONDS;
use std::collections::{BTreeMap, BTreeSet};

use lambda_http::{Context, LambdaEvent};
use local::events::Printer;
use local::operations::{Endpoint, FunctionResponse, OPERATIONS, Services};
use publish_events::Publisher;
use publish_events::bus::PAUSES;
use ratchet_model::api_key::{ApiKey, ApiKeyRecord};
use ratchet_model::key_name::KeyName;
use ratchet_model::scope::Scopes;
use serde_json::{Value, json};
use tests::cases::{FILE, cases};
pub use tests::coverage::{functions, root};
use tests::template::{self, Kind, template};
use tests::{Api, text};

/// The texts of the events, by their file names without `.json`.
pub fn events() -> BTreeMap<String, String> {
    let files = std::fs::read_dir(root().join("events")).expect("events/");
    files
        .map(|file| file.expect("a file").path())
        .filter(|path| !path.ends_with(FILE))
        .map(|path| {
            let name = path.file_name().and_then(|name| name.to_str()).expect("a name in UTF-8").to_owned();
            let name = name.strip_suffix(".json").unwrap_or_else(|| panic!("events/{name} is no JSON file"));
            (name.to_owned(), std::fs::read_to_string(&path).expect("a readable file"))
        })
        .collect()
}

/// The function that an event is for.
pub fn function_of(event: &str) -> &str {
    event.split_once('.').unwrap_or_else(|| panic!("events/{event}.json is not named <function>.<outcome>.json")).0
}

/// Hands an event to its function, as the runtime does.
async fn run(api: &Api, name: &str, event: &str) -> (u16, Value) {
    let function = function_of(name);
    if function == "authorizer" {
        let event = serde_json::from_str(event).expect("an authorizer's event");
        let answer = authorizer::authorize(&api.store, event).await.expect("an answer");
        let status = if answer.is_authorized { 200 } else { 403 };
        return (status, serde_json::to_value(answer).expect("JSON"));
    }
    if function == enforce_deadlines::NAME {
        let event = LambdaEvent::new(serde_json::from_str(event).expect("JSON"), Context::default());
        let report = enforce_deadlines::handle(&api.store, event, std::io::sink()).await.expect("a whole pass");
        return (200, serde_json::to_value(report).expect("JSON"));
    }
    if function == publish_events::NAME {
        let event = LambdaEvent::new(serde_json::from_str(event).expect("JSON"), Context::default());
        let printer = Printer::new(Vec::new());
        let clock = api.store.clock();
        let publisher = Publisher { bus: Some(&printer), clock, table: api.table(), pauses: &PAUSES };
        let answer = publisher.handle(event, std::io::sink()).await.unwrap_or_else(|never| match never {});
        return (200, serde_json::to_value(answer).expect("JSON"));
    }
    if function == console::NAME {
        let event = serde_json::from_str(event).expect("an event");
        let answer = local::console::call(event).await.expect("an answer");
        let answer: FunctionResponse = serde_json::from_str(&answer).expect("JSON");
        // Its answers are files. What is said of them is in their headers.
        return (answer.status_code, json!(answer.headers));
    }
    let endpoint =
        Endpoint::named(function).unwrap_or_else(|| panic!("events/{name}.json: no way to hand it to its function"));
    let services = Services {
        store: api.store.clone(),
        cursors: api.cursors.clone(),
        default_timeout_seconds: DEFAULT_TIMEOUT_SECONDS,
    };
    let answer = endpoint.call(&services, event).await.expect("an event");
    let body = answer.body.map_or(Value::Null, |body| serde_json::from_str(&body).expect("JSON"));
    (answer.status_code, body)
}

/// Puts the key of `authorizer.known_key` into the table.
async fn put_known_key(api: &Api) {
    let event: Value = serde_json::from_str(&events()["authorizer.known_key"]).expect("JSON");
    let key = ApiKey::parse(&text(&event["identitySource"][0])).expect("a key that could have been issued");
    let record = ApiKeyRecord {
        digest: key.digest(),
        organization: tests::organization("acme"),
        name: KeyName::parse("Nightly reports").ok(),
        scopes: Scopes::parse("read,write").expect("scopes"),
        valid_until: None,
    };
    api.put_key(&key.id(), &record).await;
}

/// Whether `actual` has everything that `expected` has; lists must be of the same length.
fn holds(actual: &Value, expected: &Value) -> bool {
    match (actual, expected) {
        (Value::Object(actual), Value::Object(expected)) => {
            expected.iter().all(|(name, value)| actual.get(name).is_some_and(|actual| holds(actual, value)))
        }
        (Value::Array(actual), Value::Array(expected)) => {
            actual.len() == expected.len()
                && actual.iter().zip(expected).all(|(actual, expected)| holds(actual, expected))
        }
        _ => actual == expected,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_event_gets_the_answer_that_its_name_promises() {
    let events = events();
    let cases = cases();
    let expected: BTreeSet<&str> = cases.iter().map(|case| case.event.as_str()).collect();
    assert_eq!(cases.len(), expected.len(), "events/cases.json has an event twice");
    let present: BTreeSet<&str> = events.keys().map(String::as_str).collect();
    assert_eq!(present, expected, "the files in events/ and the cases of events/cases.json");
    for case in cases {
        let api = Api::start().await;
        put_known_key(&api).await;
        for earlier in &case.after {
            let (status, body) = run(&api, earlier, &events[earlier]).await;
            assert!(status < 300, "{earlier} before {}: {status} {body}", case.event);
        }
        let (status, body) = run(&api, &case.event, &events[&case.event]).await;
        assert_eq!(status, case.status, "{}: {body}", case.event);
        assert!(holds(&body, &case.body), "{}: {body}\ndoes not hold\n{}", case.event, case.body);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_event_can_be_used_on_an_empty_table() {
    for (name, event) in events() {
        let api = Api::start().await;
        let (status, body) = run(&api, &name, &event).await;
        assert!(status < 500, "{name}: {status} {body}");
    }
}

#[test]
fn every_function_has_an_event_that_succeeds_and_one_that_is_refused() {
    // The statuses are what the functions answer: `every_event_gets_the_answer_that_its_name_promises`.
    let declared = template::functions(&template());
    for function in functions() {
        let statuses: Vec<u16> =
            cases().iter().filter(|case| function_of(&case.event) == function).map(|case| case.status).collect();
        assert!(statuses.iter().any(|status| *status < 300), "events/ has no success of {function}");
        // A schedule and a stream have no caller that could be refused.
        let has_caller = matches!(declared[&function].kind, Kind::Http { .. } | Kind::Public { .. } | Kind::Authorizer);
        assert!(!has_caller || statuses.iter().any(|status| *status >= 400), "events/ has no refusal of {function}");
    }
}

#[test]
fn every_event_is_one_that_api_gateway_could_send() {
    let functions = template::functions(&template());
    for (name, event) in events() {
        let function = function_of(&name);
        let kind = functions.get(function).map(|function| &function.kind);
        let kind = kind.unwrap_or_else(|| panic!("events/{name}.json is for no function"));
        if !matches!(kind, Kind::Http { .. } | Kind::Public { .. } | Kind::Authorizer) {
            // tests/api/template.rs checks those of schedules and streams.
            continue;
        }
        let event: Value = serde_json::from_str(&event).expect("JSON");
        let context = &event["requestContext"];
        let route_key = text(&event["routeKey"]);
        if *kind == Kind::Authorizer {
            let known = OPERATIONS.iter().any(|endpoint| endpoint.operation.to_string() == route_key);
            assert!(known, "{name}: {route_key} is no route");
            assert_eq!(event["identitySource"], json!([event["headers"]["x-api-key"]]), "{name}");
            let arn = text(&event["routeArn"]);
            let suffix = format!("/$default/{}{}", text(&context["http"]["method"]), text(&event["rawPath"]));
            assert!(arn.starts_with("arn:aws:execute-api:") && arn.ends_with(&suffix), "{name}: {arn}");
        } else if let Kind::Public { routes } = kind {
            assert!(routes.contains(&route_key), "{name}: {route_key} is no route of {function}");
            assert!(context["authorizer"].is_null() && event["body"].is_null(), "{name}");
        } else {
            let route = Endpoint::named(function).unwrap_or_else(|| panic!("{function} has no route")).operation;
            assert_eq!(route_key, route.to_string(), "{name}");
            let caller = context["authorizer"]["lambda"].as_object().expect("the context of the authorizer");
            assert_eq!(
                caller.keys().collect::<Vec<_>>(),
                ["key_id", "key_name", "organization_id", "scopes"],
                "{name}"
            );
            assert_eq!(event["headers"]["content-length"].is_string(), event["body"].is_string(), "{name}");
        }

        // Members that repeat each other agree.
        let (method, pattern) = route_key.split_once(' ').expect("a method and a path");
        let parameter = |name: &str| event["pathParameters"][name].as_str().unwrap_or_default();
        let path = pattern.replace("{execution_id}", parameter("execution_id")).replace("{file+}", parameter("file"));
        assert_eq!(event["rawPath"], path, "{name}");
        assert_eq!(pattern.starts_with(tests::BASE), !matches!(kind, Kind::Public { .. }), "{name}");
        assert_eq!(context["routeKey"], event["routeKey"], "{name}");
        assert_eq!(context["http"]["path"], event["rawPath"], "{name}");
        assert_eq!(context["http"]["method"], method, "{name}");
        assert_eq!(context["domainName"], event["headers"]["host"], "{name}");
        assert_eq!(context["http"]["userAgent"], event["headers"]["user-agent"], "{name}");

        assert_eq!(event["version"], "2.0", "{name}");
        assert_eq!(context["stage"], "$default", "{name}");
        for present in ["accountId", "apiId", "requestId", "time"] {
            assert!(context[present].is_string(), "{name}: {present}");
        }
        assert!(context["timeEpoch"].is_u64() && event["rawQueryString"].is_string(), "{name}");
        let headers = event["headers"].as_object().expect("headers");
        assert!(headers.keys().all(|header| *header == header.to_ascii_lowercase()), "{name}");
    }
}
