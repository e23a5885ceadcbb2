//! An EventBridge that answers as a test says, and keeps what it was sent.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// The entries of each request, in the order of the requests.
pub type Requests = Arc<Mutex<Vec<Vec<Value>>>>;

/// Starts one that answers as `answer` says to the entries of a request: where it is, and what it was sent.
///
/// # Panics
///
/// Where it is sent anything else than `PutEvents`.
#[expect(clippy::expect_used, reason = "a test ends where it cannot go on")]
pub async fn start(answer: impl Fn(&[Value]) -> (u16, Value) + Clone + Send + Sync + 'static) -> (String, Requests) {
    let seen = Requests::default();
    let requests = Arc::clone(&seen);
    let router = Router::new().fallback(move |headers: HeaderMap, body: String| {
        assert_eq!(headers["x-amz-target"], "AWSEvents.PutEvents");
        let body: Value = serde_json::from_str(&body).expect("JSON");
        let entries = body["Entries"].as_array().expect("a list").clone();
        let (status, body) = answer(&entries);
        requests.lock().expect("no panic").push(entries);
        let status = StatusCode::from_u16(status).expect("a status");
        async move { (status, [("content-type", "application/x-amz-json-1.1")], body.to_string()) }
    });
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
    tokio::spawn(async move { axum::serve(listener, router).await });
    (endpoint, seen)
}

/// What it answers where it took all but those with these numbers.
#[must_use]
pub fn took_all_but(refused: &[(usize, &str)], entries: &[Value]) -> (u16, Value) {
    let outcome = |place: usize| match refused.iter().find(|(one, _)| *one == place) {
        Some((_, code)) => json!({ "ErrorCode": code, "ErrorMessage": "about account 123456789012" }),
        None => json!({ "EventId": "17793124-05d4-b198-2fde-7ededc63b103" }),
    };
    let outcomes: Vec<Value> = (0..entries.len()).map(outcome).collect();
    (200, json!({ "FailedEntryCount": refused.len(), "Entries": outcomes }))
}
