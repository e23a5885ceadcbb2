//! Nothing that API Gateway can deliver may panic or be refused unread: events past the gateway, which a request over HTTP
//! does not reach. `hostile.rs` is about what a caller sends by HTTP.
//!
//! `RATCHET_HOSTILE_EVENTS` says how many are generated (200,000), `RATCHET_SEED` which ones.

use ratchet_model::limits::DEFAULT_TIMEOUT_SECONDS;
use std::sync::atomic::{AtomicU64, Ordering};

use lambda_http::RequestExt;
use lambda_http::http::HeaderValue;
use local::operations::{Endpoint, Services};
use ratchet_http::gateway_event::GatewayEvent;
use ratchet_http::request::{Request, authorizer, request_id};
use serde_json::{Value, json};
use tests::events::{event, request};
use tests::hostile_events::{HostileEvent, base64};
use tests::seeded::Random;
use tests::{Api, text};

fn variable(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
}

/// The function that the events are for.
fn endpoint() -> &'static Endpoint {
    Endpoint::named("update_execution_status").expect("an operation")
}

/// Ends the test unless the guard reads an event, and a function reads of it what was sent.
fn assert_read(sent: &HostileEvent, json: &str) {
    let event: GatewayEvent = serde_json::from_str(json).unwrap_or_else(|error| panic!("refused: {error}: {json}"));
    let http = lambda_http::Request::from(event);
    assert!(http.uri().scheme().is_none() && http.uri().authority().is_none(), "{}: {json}", http.uri());
    assert_eq!(&http.body()[..], sent.body_bytes(), "{json}");
    let path = if sent.path.starts_with('/') { sent.path.clone() } else { format!("/{}", sent.path) };
    assert_eq!(http.raw_http_path(), path, "{json}");
    let id = http.path_parameters_ref().and_then(|parameters| parameters.first("execution_id"));
    assert_eq!(id, Some(sent.execution_id.as_str()), "{json}");
    assert_eq!(request_id(&http), Some(sent.request_id.as_str()), "{json}");
    for (name, value) in [("organization_id", "acme"), ("key_id", "k"), ("scopes", "admin")] {
        assert_eq!(authorizer(&http, name), Some(value), "{json}");
    }
    // Cookies and Host aside, every header that HTTP allows is there, and no other.
    let headers = sent.legal_headers();
    for (name, value) in &headers {
        let read = http.headers().get(*name).map(HeaderValue::as_bytes);
        assert_eq!(read, Some(value.as_bytes()), "{name:?}: {json}");
    }
    assert_eq!(http.headers().len(), headers.len() + usize::from(sent.cookie_header().is_some()), "{json}");
    let request = Request::new(endpoint().operation, http).unwrap_or_else(|error| panic!("no caller: {error}: {json}"));
    assert_eq!(request.query(), sent.query_pairs(), "{json}");
}

/// Whether an event has something.
type Has = fn(&HostileEvent) -> bool;

/// What `lambda_http` does not take without the guard: of each there are some among the events.
const NOT_TAKEN: [(&str, Has); 4] = [
    ("a header that HTTP does not allow", HostileEvent::has_illegal_headers),
    ("a body that claims to be base64 and is not", HostileEvent::is_base64_by_mistake),
    ("a path without a slash", |event| !event.path.starts_with('/')),
    ("a query that no URL may have", |event| event.query.contains([' ', '"', '<', '>', '\n'])),
];

#[test]
fn every_hostile_event_is_read_as_it_was_sent() {
    let count = variable("RATCHET_HOSTILE_EVENTS").unwrap_or(200_000);
    let seed = variable("RATCHET_SEED").unwrap_or_else(|| uuid::Uuid::new_v4().as_u64_pair().0);
    println!("RATCHET_SEED={seed} RATCHET_HOSTILE_EVENTS={count}");
    let met = NOT_TAKEN.map(|(what, has)| (what, has, AtomicU64::new(0)));
    let next = AtomicU64::new(0);
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= count {
                        return;
                    }
                    // Each event follows from the seed and its own number.
                    let event = HostileEvent::roll(&mut Random::nth(seed, number));
                    for (_, has, times) in &met {
                        times.fetch_add(u64::from(has(&event)), Ordering::Relaxed);
                    }
                    assert_read(&event, &event.to_json());
                }
            });
        }
    });
    for (what, _, times) in met {
        let times = times.into_inner();
        println!("{times} of {count} have {what}");
        assert!(times >= count / 100, "{times} of {count} have {what}");
    }
}

/// In the place of the id of an execution, until there is one.
const ID: &str = "00000000-0000-4000-8000-000000000000";

/// An event and the answer to it: a status, with the error code or the type of the first validation error after it where
/// there is one, or `refused`, where the text is no event and the runtime makes a 500 of it.
struct Row {
    what: String,
    event: String,
    expected: &'static str,
}

fn base() -> Value {
    event(&json!({
        "rawPath": format!("/api/v1/executions/{ID}"),
        "headers": {
            "content-type": "application/json",
            "host": "tests.execute-api.us-east-1.amazonaws.com",
            "user-agent": "tests",
            "x-forwarded-proto": "https",
        },
        "pathParameters": { "execution_id": ID },
        "requestContext": {
            "http": { "method": "PATCH" },
            "requestId": "JKJaXmPLvHcESHA=",
            "authorizer": { "lambda": { "organization_id": "acme", "key_id": "k", "scopes": "write" } },
        },
        "body": r#"{"status":"cancelled"}"#,
    }))
}

/// The object that holds what a JSON pointer names, and the name.
fn place<'a>(event: &'a mut Value, pointer: &'static str) -> (&'a mut serde_json::Map<String, Value>, &'static str) {
    let (parent, name) = pointer.rsplit_once('/').expect("a pointer");
    (event.pointer_mut(parent).and_then(Value::as_object_mut).expect("an object"), name)
}

/// The base event with other values in these places.
fn with(what: impl Into<String>, values: &[(&'static str, Value)], expected: &'static str) -> Row {
    let mut event = base();
    for (pointer, value) in values {
        let (parent, name) = place(&mut event, pointer);
        parent.insert(name.to_owned(), value.clone());
    }
    Row { what: what.into(), event: event.to_string(), expected }
}

/// The base event without what is in these places.
fn without(pointers: &[&'static str], expected: &'static str) -> Row {
    let mut event = base();
    for pointer in pointers {
        let (parent, name) = place(&mut event, pointer);
        assert!(parent.remove(name).is_some(), "{pointer}");
    }
    Row { what: format!("without {}", pointers.join(", ")), event: event.to_string(), expected }
}

/// The base event with another text in the place of a part of its JSON.
fn replaced(what: &str, part: &str, text: &str, expected: &'static str) -> Row {
    let event = base().to_string();
    assert_eq!(event.matches(part).count(), 1, "{part}");
    Row { what: what.to_owned(), event: event.replace(part, text), expected }
}

/// One row for each of some texts in one place.
fn each<'a>(
    pointer: &'static str,
    texts: &'a [&'a str],
    expected: &'static str,
) -> impl Iterator<Item = Row> + use<'a> {
    texts.iter().map(move |text| {
        let shown: String = text.chars().take(40).collect();
        with(format!("{pointer} {shown:?}"), &[(pointer, json!(text))], expected)
    })
}

/// Host, X-Forwarded-Proto, and the name of the domain: of what `lambda_http` makes a URL by itself.
fn urls() -> Vec<Row> {
    let hosts = [
        "a b",
        "exämple.com",
        "x:99999",
        "[::1",
        "",
        "/",
        "a..b",
        "%zz",
        "xn--a",
        "xn--a.example.com",
        "256.1.1.1",
        "1.2.3.4.5",
        "a.b.c.7",
        "a@b:c",
        "x\ny",
        &"a".repeat(300),
        "h?q",
        "h#f",
        "tests.execute-api.us-east-1.amazonaws.com:443",
    ];
    let protocols =
        ["ht tp", "http, https", "http,https", "", "é", "javascript", &"x".repeat(70), "1http", "https://evil/"];
    let mut rows = vec![
        without(&["/headers/host"], "200"),
        without(&["/headers/host", "/requestContext/domainName"], "200"),
        with("a domain that is none", &[("/requestContext/domainName", json!("a b"))], "200"),
    ];
    rows.extend(each("/headers/host", &hosts, "200"));
    rows.extend(each("/headers/x-forwarded-proto", &protocols, "200"));
    rows
}

fn headers() -> Vec<Row> {
    let values = ["é", "\u{1}", "\0", "\n", "\r\n", "\u{7f}", "\t", "\u{1b}"];
    let names =
        ["/headers/", "/headers/a b", "/headers/x:y", "/headers/é", "/headers/x\0y", "/headers/()", "/headers/X-UPPER"];
    let mut rows = vec![
        with("a header without a value", &[("/headers/x", Value::Null)], "refused"),
        with("a header with a number", &[("/headers/x", json!(7))], "refused"),
        with("a header with a list", &[("/headers/x", json!(["a", "b"]))], "200"),
        with("a header with an object", &[("/headers/x", json!({}))], "refused"),
        with("headers null", &[("/headers", Value::Null)], "200"),
        without(&["/headers"], "200"),
        with("headers []", &[("/headers", json!([]))], "refused"),
        replaced(
            "two spellings of a header: the last one counts",
            r#""content-type":"application/json""#,
            r#""content-type":"application/json","Content-Type":"text/plain""#,
            "415 UNSUPPORTED_MEDIA_TYPE",
        ),
        replaced("half a surrogate pair in a header", r#""user-agent":"tests""#, r#""user-agent":"\ud800""#, "refused"),
        with("cookies", &[("/cookies", json!(["a=b", "é=\n", ""]))], "200"),
        with("cookies null", &[("/cookies", Value::Null)], "200"),
    ];
    rows.extend(each("/headers/user-agent", &values, "200"));
    rows.extend(each("/headers/x-correlation-id", &["é", "a\nb"], "200"));
    rows.extend(each("/headers/idempotency-key", &["é", "a\u{1}", "a\nb"], "422 string_pattern_mismatch"));
    rows.extend(names.into_iter().map(|name| with(format!("{name:?}"), &[(name, json!("x"))], "200")));
    rows
}

fn bodies() -> Vec<Row> {
    let encoded =
        |what: &str, body: Value, expected| with(what, &[("/body", body), ("/isBase64Encoded", json!(true))], expected);
    vec![
        encoded("no base64", json!("%%%"), "422 json_invalid"),
        encoded("base64 without its padding", json!("e30"), "422 json_invalid"),
        encoded("base64 of nothing", json!(""), "422 missing"),
        encoded("no ASCII as base64", json!("é"), "422 json_invalid"),
        encoded("base64", json!(base64(br#"{"status":"cancelled"}"#)), "200"),
        encoded("base64 of no text", json!("/w=="), "422 json_invalid"),
        encoded("base64 without a body", Value::Null, "422 missing"),
        with("isBase64Encoded null", &[("/isBase64Encoded", Value::Null)], "refused"),
        without(&["/body"], "422 missing"),
    ]
}

fn paths_and_queries() -> Vec<Row> {
    let paths = [
        "/api/%zz",
        "//evil.example/x",
        "/a b/é/😀",
        "/a\0b",
        "/a\nb",
        "",
        "no-slash",
        "?x#y",
        "/x?y#z",
        ":99999",
        "@x",
        "/../../..",
        "/\"<>`{}/\\^",
        &format!("/{}", "é".repeat(3_000)),
    ];
    let queries = [
        "a=%zz&b=%",
        "a=b c",
        "a=\"<>\"",
        "x#frag",
        "a=é",
        "a=\0",
        "a=\u{7f}",
        "a=\n",
        "a={}/\\^`[]",
        "?????",
        &format!("a={}", "x".repeat(8_192)),
        &format!("a={}", "%zz".repeat(2_700)),
    ];
    let mut rows = vec![
        without(&["/rawPath"], "200"),
        without(&["/rawQueryString"], "200"),
        with("a parameter without a value", &[("/queryStringParameters", json!({ "a": null }))], "refused"),
        without(&["/pathParameters"], "404 EXECUTION_NOT_FOUND"),
        with("pathParameters null", &[("/pathParameters", Value::Null)], "404 EXECUTION_NOT_FOUND"),
        with("pathParameters {}", &[("/pathParameters", json!({}))], "404 EXECUTION_NOT_FOUND"),
        with("an id that is null", &[("/pathParameters/execution_id", Value::Null)], "refused"),
        with("an id that is none", &[("/pathParameters/execution_id", json!("é\0"))], "404 EXECUTION_NOT_FOUND"),
        replaced(
            "half a surrogate pair in the id",
            &format!(r#""execution_id":"{ID}""#),
            r#""execution_id":"\ud800""#,
            "refused",
        ),
        with("a path beside rawPath", &[("/path", json!("/"))], "refused"),
    ];
    rows.extend(each("/rawPath", &paths, "200"));
    // No operation but the list has parameters: what is read of these is refused.
    rows.extend(each("/rawQueryString", &queries, "422 extra_forbidden"));
    rows
}

/// What only a gateway writes: where it is wrong, the deployment is, and nobody's request is served.
fn contexts() -> Vec<Row> {
    const AUTHORIZER: &str = "/requestContext/authorizer";
    let numbers = json!({ "organization_id": 7, "key_id": null, "scopes": [] });
    let certificate = json!({ "clientCert": {
        "clientCertPem": "-----BEGIN CERTIFICATE-----\n",
        "subjectDN": "CN=\u{1}é\n",
        "issuerDN": "CN=a",
        "serialNumber": "1",
        "validity": { "notBefore": "May 28 12:30:02 2019 GMT", "notAfter": "Aug  5 09:36:04 2021 GMT" },
    } });
    vec![
        without(&["/requestContext"], "refused"),
        without(&["/requestContext/http"], "refused"),
        with("no method", &[("/requestContext/http/method", json!("A B"))], "refused"),
        with("a method that is not ASCII", &[("/requestContext/http/method", json!("é"))], "refused"),
        without(&["/requestContext/requestId"], "200"),
        without(&[AUTHORIZER], "500 INTERNAL"),
        with("authorizer null", &[(AUTHORIZER, Value::Null)], "500 INTERNAL"),
        with("an authorizer that said nothing", &[(AUTHORIZER, json!({ "lambda": null }))], "500 INTERNAL"),
        with("an authorizer of numbers", &[(AUTHORIZER, json!({ "lambda": numbers }))], "500 INTERNAL"),
        with("a JWT", &[(AUTHORIZER, json!({ "jwt": { "claims": {}, "scopes": [] } }))], "500 INTERNAL"),
        with("IAM", &[(AUTHORIZER, json!({ "iam": { "accessKey": "A", "accountId": "0" } }))], "500 INTERNAL"),
        with("timeEpoch as text", &[("/requestContext/timeEpoch", json!("1767225600000"))], "refused"),
        with("a stage with a name", &[("/requestContext/stage", json!("dev"))], "200"),
        with("a stage that is no path", &[("/requestContext/stage", json!("a b/?#\n"))], "200"),
        with("stage variables", &[("/stageVariables", json!({ "a": "b\n" }))], "200"),
        with("a client's certificate", &[("/requestContext/authentication", certificate)], "200"),
        with("members that nobody knows", &[("/x", json!([{}])), ("/requestContext/y", json!({ "z": null }))], "200"),
    ]
}

/// Events of others than the HTTP API with payload format 2.0, and no events at all.
fn others() -> Vec<Row> {
    let rest = json!({
        "resource": "/executions/{execution_id}",
        "path": format!("/executions/{ID}"),
        "httpMethod": "PATCH",
        "headers": { "content-type": "application/json" },
        "multiValueHeaders": {},
        "queryStringParameters": null,
        "pathParameters": { "execution_id": ID },
        "requestContext": {
            "accountId": "0",
            "stage": "v1",
            "requestId": "r",
            "httpMethod": "PATCH",
            "identity": {},
            "authorizer": { "organization_id": "acme", "key_id": "k", "scopes": "write" },
        },
        "body": r#"{"status":"cancelled"}"#,
        "isBase64Encoded": false,
    });
    let mut version_1 = rest.clone();
    version_1["version"] = json!("1.0");
    let load_balancer = json!({
        "requestContext": { "elb": { "targetGroupArn": "arn:aws:elasticloadbalancing:us-east-1:0:targetgroup/a/b" } },
        "httpMethod": "PATCH",
        "path": format!("/executions/{ID}"),
        "queryStringParameters": {},
        "headers": { "content-type": "application/json" },
        "body": r#"{"status":"cancelled"}"#,
        "isBase64Encoded": false,
    });
    let lattice = json!({
        "version": "2.0",
        "path": format!("/executions/{ID}"),
        "method": "PATCH",
        "headers": { "content-type": ["application/json"] },
        "body": r#"{"status":"cancelled"}"#,
        "isBase64Encoded": false,
        "requestContext": { "serviceNetworkArn": "a", "serviceArn": "b", "targetGroupArn": "c", "timeEpoch": "1" },
    });
    let mut function_url = base();
    function_url["requestContext"]["authorizer"] = json!({ "iam": { "userId": "u" } });
    function_url.as_object_mut().expect("an object").remove("pathParameters");
    let texts = ["{}", "[]", "null", "\"x\"", "7", ""].map(|text| (text.to_owned(), "refused"));
    let events = [
        (rest.to_string(), "refused"),
        (version_1.to_string(), "refused"),
        (load_balancer.to_string(), "refused"),
        (lattice.to_string(), "refused"),
        (function_url.to_string(), "500 INTERNAL"),
    ];
    let rows = texts.into_iter().chain(events);
    rows.map(|(event, expected)| Row { what: event.clone(), event, expected }).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_hostile_event_gets_the_answer_of_the_table() {
    let api = Api::start().await;
    let services = Services {
        store: api.store.clone(),
        cursors: api.cursors.clone(),
        default_timeout_seconds: DEFAULT_TIMEOUT_SECONDS,
    };
    let bystander = api.execution_in("running").await;
    let usual = with("as API Gateway sends it", &[], "200");
    let rows = [vec![usual], urls(), headers(), bodies(), paths_and_queries(), contexts(), others()];
    for Row { what, event, expected } in rows.into_iter().flatten() {
        // What is accepted ends its execution; nothing else touches one.
        let id = if expected == "200" { api.execution_in("running").await } else { bystander.clone() };
        let answered = match endpoint().call(&services, &event.replace(ID, &id)).await {
            Err(_) => "refused".to_owned(),
            Ok(answer) => {
                let body: Value = serde_json::from_str(&answer.body.unwrap_or_default()).unwrap_or_default();
                let reason = body["error_code"].as_str().or_else(|| body["detail"][0]["type"].as_str());
                reason.map_or(answer.status_code.to_string(), |reason| format!("{} {reason}", answer.status_code))
            }
        };
        assert_eq!(answered, expected, "{what}: {event}");
        let status = if expected == "200" { "cancelled" } else { "running" };
        assert_eq!(text(&api.record(&id).await["status"]), status, "{what}: {event}");
    }
}

#[test]
fn the_uri_of_a_request_is_a_path_and_a_query() {
    let request = request(event(&json!({
        "rawPath": "/api/v1/flows/executions",
        "rawQueryString": "page=2",
        "headers": { "host": "evil.example", "x-forwarded-proto": "gopher" },
    })));
    assert_eq!(request.uri(), "/api/v1/flows/executions?page=2");
    assert!(request.uri().scheme().is_none() && request.uri().authority().is_none(), "{}", request.uri());
    assert_eq!(request.headers().get("host"), None);
}

/// The reason for the guard, one event for each of its parts. All of them are read with it.
#[test]
fn lambda_http_still_needs_its_guard() {
    for row in [
        with("a Host that is no URL host", &[("/headers/host", json!("xn--a.example.com"))], "200"),
        with("two protocols", &[("/headers/x-forwarded-proto", json!("http, https"))], "200"),
        with("a header with a control character", &[("/headers/user-agent", json!("\u{1}"))], "200"),
        with("a header whose name is none", &[("/headers/a b", json!("x"))], "200"),
        with("a query with a space", &[("/rawQueryString", json!("a=b c"))], "200"),
        with("a path without a slash", &[("/rawPath", json!(":99999"))], "200"),
        with("base64 that is none", &[("/isBase64Encoded", json!(true))], "200"),
    ] {
        let Row { what, event, .. } = row;
        serde_json::from_str::<GatewayEvent>(&event).map(lambda_http::Request::from).expect("an event");
        let plain = std::panic::catch_unwind(|| lambda_http::request::from_str(&event).is_ok());
        assert!(
            !plain.unwrap_or(false),
            "lambda_http reads {what} by itself: when this holds for all of these, the guard may go \
             (shared/http/src/gateway_event.rs, docs/adr/0002)"
        );
    }
}
