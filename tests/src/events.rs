//! Gateway events, for tests that hand one to a function without API Gateway.

use ratchet_http::gateway_event::GatewayEvent;
use serde_json::{Value, json};

/// An event with all members that API Gateway always sets, merged with `parts`.
#[must_use]
pub fn event(parts: &Value) -> Value {
    let mut event = json!({
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": "/",
        "rawQueryString": "",
        "headers": {},
        "requestContext": {
            "accountId": "000000000000",
            "apiId": "tests",
            "domainName": "tests.execute-api.us-east-1.amazonaws.com",
            "domainPrefix": "tests",
            "http": { "method": "POST", "path": "/", "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1", "userAgent": "tests" },
            "routeKey": "$default",
            "stage": "$default",
            "time": "01/Jan/2026:00:00:00 +0000",
            "timeEpoch": 1_767_225_600_000_i64,
        },
        "isBase64Encoded": false,
    });
    merge(&mut event, parts);
    event
}

fn merge(value: &mut Value, parts: &Value) {
    match (value, parts) {
        (Value::Object(members), Value::Object(parts)) => {
            for (name, part) in parts {
                merge(members.entry(name).or_insert(Value::Null), part);
            }
        }
        (value, parts) => *value = parts.clone(),
    }
}

/// The request that a handler gets for an event.
#[must_use]
pub fn request(event: Value) -> lambda_http::Request {
    serde_json::from_value::<GatewayEvent>(event).expect("an event").into()
}
