//! The log of a function: one line per request, with its correlation id, and never what a caller sent.

use std::io::Write;
use std::sync::{Arc, Mutex};

use ratchet_http::authorizer_event::AuthorizerEvent;
use ratchet_model::scope::Scopes;
use serde_json::{Value, json};
use tests::proxy::Fault;
use tests::{Api, caller, events};
use tracing::level_filters::LevelFilter;

/// A text that no log line may show, wherever a caller puts it.
const CANARY: &str = "canary-7f3a";

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("no test panics while it holds this").extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Lines {
    /// The lines since the last call. None may show the canary.
    fn take(&self) -> Vec<Value> {
        let bytes = std::mem::take(&mut *self.0.lock().expect("no test panics while it holds this"));
        let text = String::from_utf8(bytes).expect("UTF-8");
        assert!(!text.contains(CANARY), "{text}");
        text.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
    }
}

fn request(id: &str, body: &Value, scopes: &str, query: &str) -> lambda_http::Request {
    let caller = caller("acme", "key-1", Scopes::parse(scopes).expect("scopes"));
    events::request(events::event(&json!({
        "headers": {
            "content-type": "application/json",
            "x-api-key": CANARY,
            "idempotency-key": CANARY,
            "x-correlation-id": "request-1",
            "user-agent": CANARY,
        },
        "rawQueryString": query,
        "pathParameters": { "execution_id": id },
        "body": body.to_string(),
        "requestContext": { "requestId": "gateway-1", "authorizer": { "lambda": caller.to_context() } },
    })))
}

// On one thread, so that the log of this test is its own.
#[tokio::test]
async fn a_request_logs_one_line_that_names_it_and_nothing_that_was_sent() {
    let api = Api::start().await;
    let id = api.execution_in("running").await;
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber =
        ratchet_runtime::logging::subscriber("update_execution", LevelFilter::TRACE, move || writer.clone());
    let _guard = tracing::subscriber::set_default(subscriber);

    let canary = json!({ "metadata": { CANARY: CANARY }, "error_message": CANARY });
    let unknown = json!({ CANARY: CANARY, "status": CANARY });
    let thrice = |fault: fn() -> Fault| (0..3).map(move |_| fault()).collect::<Vec<_>>();
    for (body, scopes, faults, status, levels) in [
        (&canary, "write", vec![], 200, vec!["INFO"]),
        (&unknown, "write", vec![], 422, vec!["INFO"]),
        (&canary, "read", vec![], 403, vec!["INFO"]),
        (&json!({ "status": "pending" }), "write", vec![], 422, vec!["INFO"]),
        (&canary, "write", thrice(Fault::throttled), 503, vec!["WARN", "INFO"]),
        (&canary, "write", thrice(Fault::internal), 503, vec!["WARN", "INFO"]),
    ] {
        api.proxy.plan(faults);
        // Nothing but a request that is refused may have a query.
        let query = if status == 422 { format!("x={CANARY}") } else { String::new() };
        let response = update_execution::handle(&api.proxied, request(&id, body, scopes, &query)).await;
        let response = response.unwrap_or_else(|never| match never {});
        assert_eq!(response.status_code, status, "{:?}", response.body);
        let logged = lines.take();
        assert_eq!(logged.iter().map(|line| line["level"].as_str().unwrap_or_default()).collect::<Vec<_>>(), levels);
        for line in &logged {
            assert_eq!(line["correlation_id"], "request-1", "{line}");
            assert!(line["timestamp"].is_string(), "{line}");
        }
        let line = logged.last().expect("a line");
        assert_eq!((&line["operation"], &line["status"]), (&json!("update_execution"), &json!(status)));
        assert_eq!((&line["organization"], &line["key"]), (&json!("acme"), &json!("key-1")));
        assert_eq!(line["request_id"], "gateway-1", "the name of the request in the access log");
        assert!(line.to_string().len() <= 300, "{line}");
    }
}

#[tokio::test]
async fn the_authorizer_logs_the_id_of_a_key_and_never_its_secret() {
    let api = Api::start().await;
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = ratchet_runtime::logging::subscriber(authorizer::NAME, LevelFilter::TRACE, move || writer.clone());
    let _guard = tracing::subscriber::set_default(subscriber);
    let key = ratchet_model::api_key::ApiKey::generate().expect("random numbers");
    for text in [CANARY, key.reveal()] {
        let event: AuthorizerEvent = serde_json::from_value(json!({
            "identitySource": [text], "headers": { "X-Api-Key": text }, "requestContext": { "requestId": "gateway-1" },
        }))
        .expect("an event");
        assert!(!authorizer::authorize(&api.proxied, event).await.expect("an answer").is_authorized);
        let logged = lines.take();
        assert_eq!(logged.len(), 1);
        assert_eq!((&logged[0]["correlation_id"], &logged[0]["authorized"]), (&json!("gateway-1"), &json!(false)));
        assert!(!logged[0].to_string().contains(&key.reveal()["ratchet_".len() + 17..]));
    }
}
