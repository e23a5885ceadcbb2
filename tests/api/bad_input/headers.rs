//! Headers: Content-Type, keys, tags, names in any case, bytes that are not text.

use std::sync::atomic::Ordering;

use local::operations::{Endpoint, FunctionResponse, OPERATIONS as ENDPOINTS, Services};
use ratchet_model::limits::DEFAULT_TIMEOUT_SECONDS;
use reqwest::Method;
use serde_json::{Value, json};
use tests::BASE;
use tests::coverage::{OPTIONAL_BODY, assert_covers, assert_covers_those, operations};
use tests::events::event;

use super::{Cancel, Execute, Heartbeat, OPERATIONS, Operation, Steps, Update, UpdateStatus, World, call, running};

#[tokio::test(flavor = "multi_thread")]
async fn what_is_json_by_its_content_type_or_has_none_is_read() {
    let world = World::start().await;
    for operation in OPERATIONS {
        for content_type in [
            None,
            Some(""),
            Some("application/json"),
            Some("application/json; charset=utf-8"),
            Some("application/json;charset=UTF-8"),
            Some("Application/JSON ; Charset=\"Utf-8\""),
            Some("application/json; profile=\"x\"; charset=utf-8"),
            // API Gateway passes these on in base64.
            Some("application/vnd.acme.report+json"),
            Some("application/vnd.acme.run+json; charset=utf-8"),
        ] {
            let id = running(&world.api).await;
            let mut send = call(&world.api, operation, &id);
            if let Some(content_type) = content_type {
                send = send.header("content-type", content_type);
            }
            let answer = send.body(operation.body("")).send().await;
            assert_eq!(answer.status.as_u16(), 200, "{operation:?} {content_type:?}: {}", answer.text);
        }
    }
    // A body in base64 is read as the same body without.
    let send = world.call(Execute).header("content-type", "application/vnd.acme.run+json");
    let answer = send.body(Execute.body(r#""metadata":{"é":"😀\u0000","n":1.0}"#)).send().await;
    assert!(answer.assert_status(200).text.contains(r#""metadata":{"é":"😀\u0000","n":1.0},"#), "{}", answer.text);
    for (body, error) in [("", "body: missing"), ("[]", "body: model_attributes_type"), ("{", "body.1: json_invalid")] {
        let send = world.call(Execute).header("content-type", "application/vnd.acme.run+json");
        assert_eq!(send.body(body).send().await.validation_errors(), [error]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_json_by_its_content_type_is_refused() {
    let world = World::start().await;
    for operation in OPERATIONS {
        for content_type in [
            &b"text/plain"[..],
            b"text/json",
            b"application/xml",
            b"application/x-www-form-urlencoded",
            b"multipart/form-data; boundary=x",
            b"application/octet-stream",
            b"application/jsonp",
            b"application/x-json",
            b"application/json-seq",
            b"application/json; charset=latin1",
            b"application/json; charset=utf-16",
            b"application/json; charset=",
            b"application/json, text/plain",
            b"json",
            b"+json",
            b";",
            b"\xff\xfe",
            "application/jsön".as_bytes(),
            &[b'x'; 4_000],
        ] {
            let send = world.call(operation).header("content-type", content_type);
            let answer = send.body(operation.body("")).send().await;
            answer.assert_error(415, "UNSUPPORTED_MEDIA_TYPE");
            assert!(answer.text.len() < 1_024, "{}", answer.text);
        }
    }
    // Without a body the error is that the body is missing, whatever the Content-Type.
    for content_type in ["text/plain", "application/json", ""] {
        let answer = world.call(Execute).header("content-type", content_type).send().await;
        assert_eq!(answer.validation_errors(), ["body: missing"], "{content_type}");
    }
    world.assert_untouched().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idempotency_key_has_1_to_255_visible_characters() {
    let world = World::start().await;
    let keyed = || OPERATIONS.into_iter().filter(|operation| operation.takes_key());
    for operation in keyed() {
        for (key, kind) in [
            (&b""[..], "string_too_short"),
            (b"   ", "string_too_short"),
            (&[b'k'; 256], "string_too_long"),
            (&[b'k'; 8_000], "string_too_long"),
            (b"a b", "string_pattern_mismatch"),
            (b"a\tb", "string_pattern_mismatch"),
            ("schlüssel".as_bytes(), "string_pattern_mismatch"),
            (b"\xff", "string_pattern_mismatch"),
        ] {
            let send = world.call(operation).header("content-type", "application/json").header("idempotency-key", key);
            let answer = send.body(operation.body("")).send().await;
            assert_eq!(
                answer.validation_errors(),
                [format!("header.idempotency-key: {kind}")],
                "{operation:?} {key:?}"
            );
        }
    }
    world.assert_untouched().await;
    for operation in keyed() {
        for key in [&"k".repeat(255), "!", "~", "a,b", "\"quoted\"", "%00#{}"] {
            let id = running(&world.api).await;
            let send = || {
                let send = call(&world.api, operation, &id).header("content-type", "application/json");
                send.header("idempotency-key", key).body(operation.body("")).send()
            };
            send().await.assert_status(200);
            assert_eq!(send().await.assert_status(200).header("idempotency-replayed"), Some("true"), "{key}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_malformed_if_match_is_no_condition_that_could_hold_by_chance() {
    let world = World::start().await;
    let conditional = [Update, UpdateStatus, Cancel];
    assert_covers_those(
        "those that read If-Match",
        |operation| operation.headers.contains("if-match"),
        conditional.map(Operation::id),
    );
    for operation in conditional {
        for tags in [
            &b""[..],
            b"2",
            b"\"2",
            b"2\"",
            b"'2'",
            b"W/2",
            b"w/\"2\"",
            b"\"2\" \"3\"",
            b"\"2\";\"3\"",
            b"\"2\",3",
            b"*, \"2\"",
            b"**",
            b"\"2\"\xff",
            &[b'"'; 7_999],
        ] {
            let send = world.call(operation).header("content-type", "application/json").header("if-match", tags);
            let answer = send.body(operation.body("")).send().await;
            assert_eq!(answer.validation_errors(), ["header.if-match: string_pattern_mismatch"], "{tags:?}");
        }
        // Well-formed, and not the current tag: with other digits, of another service, too many to compare.
        let many: Vec<String> = (3..5_000).map(|version| format!("\"{version}\"")).collect();
        for tags in [
            "\"1\"",
            "W/\"2\"",
            "\"02\"",
            "\"+2\"",
            "\"2.0\"",
            "\"\"",
            "\"9223372036854775808\"",
            "\"é\"",
            &many.join(","),
        ] {
            let send = world.call(operation).header("content-type", "application/json").header("if-match", tags);
            send.body(operation.body("")).send().await.assert_error(412, "PRECONDITION_FAILED");
        }
    }
    world.assert_untouched().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn validation_errors_of_the_body_and_of_the_headers_are_answered_together() {
    let world = World::start().await;
    let mistakes = [
        (Execute, "{}", &["body.flow_id: missing", "body.trigger_type: missing"][..]),
        (Update, r#"{"tokens_used":-1,"x":1}"#, &["body.tokens_used: greater_than_equal", "body.x: extra_forbidden"]),
        (UpdateStatus, r#"{"status":"running"}"#, &["body.status: enum"]),
        (Heartbeat, r#"{"attempt":-1}"#, &["body.attempt: greater_than_equal"]),
        (Cancel, r#"{"grace_seconds":3601}"#, &["body.grace_seconds: less_than_equal"]),
        (Steps, r#"{"attempt":-1,"steps":[]}"#, &["body.attempt: greater_than_equal", "body.steps: too_short"]),
    ];
    assert_covers_those(
        "the mistakes in bodies and headers",
        |operation| operation.method != "GET",
        mistakes.map(|(operation, ..)| operation.id()),
    );
    for (operation, body, errors) in mistakes {
        let send = world.call(operation).header("content-type", "application/json").header("if-match", "2");
        let answer = send.header("idempotency-key", "a b").body(body).send().await;
        let mut expected = errors.to_vec();
        if operation.takes_key() {
            expected.push("header.idempotency-key: string_pattern_mismatch");
        }
        // An execution that is to be created has no tag yet, and heartbeats and steps change none.
        if ![Execute, Heartbeat, Steps].contains(&operation) {
            expected.push("header.if-match: string_pattern_mismatch");
        }
        assert_eq!(answer.validation_errors(), expected, "{operation:?}");
    }
    world.assert_untouched().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_request_is_named_as_its_caller_named_it() {
    let world = World::start().await;
    let missing = format!("/flows/executions/{}", uuid::Uuid::new_v4());
    for id in ["a", "run-7_A.b", &"x".repeat(128)] {
        let answer = world.api.request(Method::GET, &missing).header("x-correlation-id", id).send().await;
        answer.assert_error(404, "EXECUTION_NOT_FOUND");
        assert_eq!(answer.body["correlation_id"], id);
        let send = world.call(Update).header("content-type", "application/json").header("x-correlation-id", id);
        assert_eq!(send.body("[]").send().await.header("x-correlation-id"), Some(id));
    }
    let too_long = "x".repeat(129);
    for id in [&b""[..], b"a b", b"a:b", b"a/b", b"{\"a\":1}", b"\xff", "é".as_bytes(), b"a\tb", too_long.as_bytes()] {
        let answer = world.api.request(Method::GET, &missing).header("x-correlation-id", id).send().await;
        answer.assert_error(404, "EXECUTION_NOT_FOUND");
        // API Gateway's own id, for which `local` uses 32 digits.
        let given = answer.header("x-correlation-id").unwrap_or_default();
        assert!(given.len() == 32 && given.bytes().all(|byte| byte.is_ascii_hexdigit()), "{id:?}: {given}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_bytes_in_a_header_break_an_answer() {
    let world = World::start().await;
    // There is nothing to wait for.
    let ended = world.api.execution_in("completed").await;
    world.created.fetch_add(1, Ordering::Relaxed);
    let paths = operations().into_iter().map(|operation| {
        let id = if operation.path.ends_with("/wait") { &ended } else { &world.id };
        let path = operation.path.strip_prefix(BASE).expect("a path of the API").replace("{execution_id}", id);
        (operation.method.parse::<Method>().expect("a method"), path)
    });
    let hostile: [&[u8]; 6] =
        [b"\xff\xfe\x80", "é😀".as_bytes(), b"\xc3", b"\"\\\t\"", &[b'x'; 8_000], b"${jndi:x}%00%0d%0a{{}}"];
    for (method, path) in paths {
        for header in [
            "x-correlation-id",
            "idempotency-key",
            "if-match",
            "if-none-match",
            "prefer",
            "content-type",
            "accept",
            "user-agent",
            "authorization",
            "cookie",
            "x-forwarded-for",
            "x-amzn-trace-id",
        ] {
            for value in hostile {
                let mut send = world.api.request(method.clone(), &path).header(header, value);
                if method != Method::GET {
                    // The body is refused whatever the headers are, so that the execution stays as it is.
                    send = send.body(r#"{"unknown":1}"#);
                }
                let answer = send.send().await;
                let expected: &[u16] = if method == Method::GET { &[200] } else { &[415, 422] };
                assert!(
                    expected.contains(&answer.status.as_u16()),
                    "{method} {path} {header} {value:?}: {}",
                    answer.text
                );
                assert!(!answer.body.is_null(), "{method} {path} {header} {value:?}");
            }
        }
        for key in hostile {
            // A second key: API Gateway joins both, and the authorizer does not find such a key.
            let answer = world.api.request(method.clone(), &path).header("x-api-key", key).send().await;
            assert_eq!(answer.assert_status(403).body, json!({ "message": "Forbidden" }));
        }
    }
    world.assert_untouched().await;
}

/// An operation's answer to an event with these headers, names as they are.
async fn with_headers(world: &World, operation: &str, headers: Value, body: &str) -> FunctionResponse {
    let event = event(&json!({
        "headers": headers,
        "pathParameters": { "execution_id": world.id },
        "requestContext": {
            "requestId": "JKJaXmPLvHcESHA=",
            "authorizer": { "lambda": { "organization_id": "acme", "key_id": "k", "scopes": "admin" } },
        },
        "body": body,
    }));
    let endpoint = Endpoint::named(operation).unwrap_or_else(|| panic!("no route of {operation}"));
    let services = Services {
        store: world.api.store.clone(),
        cursors: world.api.cursors.clone(),
        default_timeout_seconds: DEFAULT_TIMEOUT_SECONDS,
    };
    endpoint.call(&services, &event.to_string()).await.expect("an event")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_name_of_a_header_counts_in_any_case() {
    let world = World::start().await;
    let spellings = |name: &str| {
        let title: Vec<String> = name.split('-').map(|part| part[..1].to_uppercase() + &part[1..]).collect();
        [name.to_owned(), name.to_uppercase(), title.join("-")]
    };
    let headers = [
        ("execute_flow", "content-type", "text/plain", 415),
        ("execute_flow", "idempotency-key", "a b", 422),
        ("update_execution", "content-type", "text/plain", 415),
        ("update_execution", "if-match", "\"9\"", 412),
        ("update_execution", "prefer", "return=minimal", 204),
        ("update_execution_status", "if-match", "\"9\"", 412),
        ("update_execution_status", "idempotency-key", "", 422),
        ("get_execution", "if-none-match", "\"2\"", 304),
        ("list_executions", "x-correlation-id", "run-7", 200),
        ("list_transitions", "x-correlation-id", "run-7", 200),
        ("get_heartbeat", "x-correlation-id", "run-7", 200),
        ("get_caller", "x-correlation-id", "run-7", 200),
        // At once, for it is no version of the record.
        ("wait_execution", "if-none-match", "\"9\"", 200),
        ("record_heartbeat", "content-type", "text/plain", 415),
        ("cancel_execution", "if-match", "\"9\"", 412),
        ("report_steps", "idempotency-key", "a b", 422),
        ("list_steps", "x-correlation-id", "run-7", 200),
    ];
    assert_covers("the headers whose names are tried in any case", headers.map(|(operation, ..)| operation));
    for (operation, name, value, status) in headers {
        let body = match operation {
            "execute_flow" => Execute.body(""),
            "update_execution" => Update.body(""),
            "record_heartbeat" => Heartbeat.body(""),
            "cancel_execution" => Cancel.body(""),
            "report_steps" => Steps.body(""),
            _ => UpdateStatus.body(""),
        };
        let shown = if name == "x-correlation-id" { value } else { "JKJaXmPLvHcESHA=" };
        for name in spellings(name) {
            let answer = with_headers(&world, operation, json!({ name.clone(): value }), &body).await;
            assert_eq!(answer.status_code, status, "{operation} {name}: {:?}", answer.body);
            assert_eq!(answer.headers.get("x-correlation-id").map(String::as_str), Some(shown), "{name}");
        }
    }
    world.assert_untouched().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_claims_to_be_base64_and_is_not_is_no_json() {
    let world = World::start().await;
    let services = Services {
        store: world.api.store.clone(),
        cursors: world.api.cursors.clone(),
        default_timeout_seconds: DEFAULT_TIMEOUT_SECONDS,
    };
    for body in ["%%%", "e30", "e30==", "e3 0=", "/w==", "", "====", "é"] {
        let event = event(&json!({
            "headers": { "content-type": "application/json" },
            "pathParameters": { "execution_id": world.id },
            "requestContext": { "authorizer": { "lambda": { "organization_id": "acme", "key_id": "k", "scopes": "admin" } } },
            "body": body,
            "isBase64Encoded": true,
        }));
        for endpoint in ENDPOINTS.iter().filter(|endpoint| endpoint.operation.method != "GET") {
            // No bytes are a body that some need not have.
            if body.is_empty() && OPTIONAL_BODY.contains(&endpoint.operation.name) {
                continue;
            }
            let answer = endpoint.call(&services, &event.to_string()).await.expect("an event");
            assert_eq!(answer.status_code, 422, "{} {body}: {:?}", endpoint.operation.name, answer.body);
        }
    }
    world.assert_untouched().await;
}

/// Events that API Gateway would never send: no function may end without an answer.
#[tokio::test(flavor = "multi_thread")]
async fn an_event_without_its_parts_is_answered() {
    let world = World::start().await;
    let services = Services {
        store: world.api.store.clone(),
        cursors: world.api.cursors.clone(),
        default_timeout_seconds: DEFAULT_TIMEOUT_SECONDS,
    };
    for endpoint in ENDPOINTS {
        let name = endpoint.operation.name;
        // Members that API Gateway always sets are missing: the runtime refuses the event, and API Gateway answers 500.
        assert!(endpoint.call(&services, "{}").await.is_err(), "{name}");
        // Without the authorizer's context no request is served: the deployment is wrong, and not the caller.
        let bare = endpoint.call(&services, &event(&json!({})).to_string()).await.expect("an event");
        assert_eq!(bare.status_code, 500, "{name}");
        let event = event(&json!({
            "requestContext": { "authorizer": { "lambda": { "organization_id": "acme", "key_id": "k", "scopes": "admin" } } },
        }));
        let answer = endpoint.call(&services, &event.to_string()).await.expect("an event");
        let expected = match name {
            "list_executions" | "get_caller" => 200,
            "get_execution" | "list_transitions" | "list_steps" | "get_heartbeat" | "record_heartbeat"
            | "cancel_execution" | "wait_execution" => 404,
            _ => 422,
        };
        assert_eq!(answer.status_code, expected, "{name}: {:?}", answer.body);
    }
    world.assert_untouched().await;
}

/// [`OPERATIONS`] has every operation with a body, so that what is tried on each of them is tried on all.
#[test]
fn every_route_with_a_body_is_tried() {
    let writes = OPERATIONS.map(Operation::id);
    assert_covers_those("OPERATIONS of tests/api/bad_input.rs", |operation| operation.method != "GET", writes);
}

/// A merge was expected, and fields were gone: what says that objects merge is not taken for what replaces them.
#[tokio::test(flavor = "multi_thread")]
async fn a_format_that_patches_is_refused_with_what_to_send() {
    let world = World::start().await;
    for format in
        ["application/merge-patch+json", "Application/Merge-Patch+JSON;charset=utf-8", "application/json-patch+json"]
    {
        for operation in OPERATIONS {
            let call = world.call(operation).header("content-type", format).body(operation.body(""));
            let answer = call.send().await;
            answer.assert_error(415, "UNSUPPORTED_MEDIA_TYPE");
            assert_eq!(answer.header("accept-patch"), Some("application/json"), "{format}");
            assert!(answer.text.contains("objects replace here, they do not merge"), "{}", answer.text);
        }
    }
    world.assert_untouched().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compressed_body_is_refused_by_its_encoding_and_plain_json_is_read_whatever_is_said() {
    let world = World::start().await;
    // The beginning of every gzip stream.
    let gzip = [0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00];
    for operation in OPERATIONS {
        for encoding in ["gzip", "br", "zstd"] {
            let call =
                world.call(operation).header("content-type", "application/json").header("content-encoding", encoding);
            let answer = call.body(gzip.to_vec()).send().await;
            answer.assert_error(415, "UNSUPPORTED_MEDIA_TYPE");
            assert_eq!(answer.header("accept-encoding"), Some("identity"));
            assert!(answer.text.contains(encoding) && answer.text.contains("uncompressed"), "{}", answer.text);
        }
        // Without an encoding it is what it looks like: no JSON.
        world.assert_refused_bytes(operation, &gzip).await;
    }
    world.assert_untouched().await;
    let plain = world.api.request(Method::PATCH, &format!("/flows/executions/{}", running(&world.api).await));
    let plain = plain.header("content-type", "application/json").header("content-encoding", "gzip").body("{}");
    plain.send().await.assert_status(200);
    let identity = world.api.request(Method::POST, "/flows/execute").header("content-encoding", "identity");
    let answer = identity.header("content-type", "application/json").body("{").send().await;
    assert_eq!(answer.validation_errors(), ["body.1: json_invalid"]);
}
