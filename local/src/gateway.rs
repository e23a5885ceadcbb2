//! API Gateway's HTTP API, as far as a caller can see it: routes, the authorizer, payload-2.0 events, and the answers
//! that it gives by itself, to preflights among them.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode, header};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::FutureExt;
use percent_encoding::percent_decode_str;
use ratchet_http::authorizer_event::AuthorizerEvent;
use ratchet_http::gateway_event::GatewayEvent;
use ratchet_model::caller::Caller;
use ratchet_model::clock::{Clock, SystemClock};
use serde_json::json;
use uuid::Uuid;

use crate::console;
use crate::cors::Cors;
use crate::operations::{FunctionResponse, Services, find};

/// The largest request body of an HTTP API, in bytes.
const MAX_REQUEST: usize = 10 * 1024 * 1024;

/// The largest answer of a Lambda function, in bytes.
const MAX_RESPONSE: usize = 6 * 1024 * 1024;

/// The functions' timeout in `template.yaml`.
pub const FUNCTION_TIMEOUT: Duration = Duration::from_secs(10);

/// The timeout of the function that waits, in `template.yaml`.
pub const WAIT_TIMEOUT: Duration = Duration::from_secs(28);

/// The timeout of an operation's function.
#[must_use]
pub fn function_timeout(operation: &str) -> Duration {
    if operation == wait_execution::OPERATION.name { WAIT_TIMEOUT } else { FUNCTION_TIMEOUT }
}

/// A local API Gateway in front of the functions.
#[derive(Debug)]
pub struct Gateway {
    services: Services,
    callers: HashMap<String, Caller>,
    cors: Cors,
}

type HttpResponse = axum::http::Response<Body>;

impl Gateway {
    /// A gateway that knows `callers` by their keys, and every other key that is in the table.
    #[must_use]
    pub fn new(services: Services, callers: HashMap<String, Caller>, cors: Cors) -> Arc<Self> {
        Arc::new(Self { services, callers, cors })
    }

    /// Answers one HTTP request.
    pub async fn answer(&self, request: Request<Body>) -> HttpResponse {
        let (parts, body) = request.into_parts();
        // Before the routes and the authorizer: a browser sends no key with a preflight.
        if let Some(preflight) = self.cors.preflight(&parts) {
            return preflight;
        }
        let mut response = self.route(&parts, body).await;
        self.cors.mark(&parts.headers, response.headers_mut());
        response
    }

    /// Answers a request by its route: with what the function says, or what API Gateway says in its place.
    async fn route(&self, parts: &Parts, body: Body) -> HttpResponse {
        if let Some((route, parameters)) = console::find(parts.method.as_str(), parts.uri.path()) {
            let event = event(route, parts, &parameters, None, &Bytes::new());
            return run(console::call, event, FUNCTION_TIMEOUT).await;
        }
        let Some((endpoint, parameters)) = find(parts.method.as_str(), parts.uri.path()) else {
            return message(StatusCode::NOT_FOUND, "Not Found");
        };
        // The header is the authorizer's identity source: without it API Gateway does not invoke the authorizer.
        let Some(key) = joined(&parts.headers).remove("x-api-key").filter(|key| !key.is_empty()) else {
            return message(StatusCode::UNAUTHORIZED, "Unauthorized");
        };
        let context = match self.authorize(&key).await {
            Ok(Some(context)) => context,
            Ok(None) => return message(StatusCode::FORBIDDEN, "Forbidden"),
            Err(()) => return message(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error"),
        };
        let Ok(body) = axum::body::to_bytes(body, MAX_REQUEST).await else {
            return message(StatusCode::PAYLOAD_TOO_LARGE, "Request Entity Too Large");
        };
        let event = event(&endpoint.operation.to_string(), parts, &parameters, Some(&context), &body);
        let timeout = function_timeout(endpoint.operation.name);
        run(|event| (endpoint.invoke)(&self.services, event), event, timeout).await
    }

    /// The authorizer's answer for a key: a context, `None` where the key may not pass, or an error where there is no
    /// answer.
    async fn authorize(&self, key: &str) -> Result<Option<HashMap<String, String>>, ()> {
        if let Some(caller) = self.callers.get(key) {
            return Ok(Some(caller.to_context()));
        }
        let event: AuthorizerEvent =
            serde_json::from_value(json!({ "version": "2.0", "type": "REQUEST", "identitySource": [key] }))
                .map_err(|_| ())?;
        let answer = authorizer::authorize(&self.services.store, event).await.map_err(|_| ())?;
        Ok(answer.is_authorized.then_some(answer.context))
    }
}

/// Runs a function with an event. Event and answer are JSON text, so that what Lambda would not transfer is not
/// transferred here either.
async fn run<F, Fut>(function: F, event: String, timeout: Duration) -> HttpResponse
where
    F: FnOnce(GatewayEvent) -> Fut,
    Fut: Future<Output = serde_json::Result<String>>,
{
    let failed = || message(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error");
    let function = async { function(serde_json::from_str::<GatewayEvent>(&event)?).await };
    let function = AssertUnwindSafe(function).catch_unwind();
    // A function that panics and one that runs out of time look the same from outside.
    let Ok(Ok(Ok(response))) = tokio::time::timeout(timeout, function).await else { return failed() };
    if response.len() > MAX_RESPONSE {
        tracing::error!(bytes = response.len(), "the answer is larger than Lambda allows");
        return failed();
    }
    serde_json::from_str(&response).ok().and_then(http_response).unwrap_or_else(failed)
}

/// The event, with every field that API Gateway sets.
fn event(
    route: &str,
    parts: &Parts,
    parameters: &[(&str, &str)],
    context: Option<&HashMap<String, String>>,
    body: &Bytes,
) -> String {
    let headers = joined(&parts.headers);
    let query = parts.uri.query().unwrap_or_default();
    let mut query_parameters: HashMap<String, String> = HashMap::new();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        query_parameters
            .entry(name.into_owned())
            .and_modify(|values| {
                values.push(',');
                values.push_str(&value);
            })
            .or_insert_with(|| value.into_owned());
    }
    let path_parameters: HashMap<&str, String> = parameters
        .iter()
        .map(|(name, value)| (*name, percent_decode_str(value).decode_utf8_lossy().into_owned()))
        .collect();
    let (body, is_base64_encoded) = encode(&headers, body);
    let now = SystemClock.now();
    let optional = |present: bool, value: serde_json::Value| if present { value } else { serde_json::Value::Null };
    let mut event = json!({
        "version": "2.0",
        "routeKey": route,
        "rawPath": parts.uri.path(),
        "rawQueryString": query,
        "headers": headers,
        "queryStringParameters": optional(!query_parameters.is_empty(), json!(query_parameters)),
        "pathParameters": optional(!path_parameters.is_empty(), json!(path_parameters)),
        "requestContext": {
            "accountId": "000000000000",
            "apiId": "local",
            "authorizer": { "lambda": context },
            "domainName": headers.get("host"),
            "domainPrefix": "local",
            "http": {
                "method": parts.method.as_str(),
                "path": parts.uri.path(),
                "protocol": "HTTP/1.1",
                "sourceIp": "127.0.0.1",
                "userAgent": headers.get("user-agent"),
            },
            "requestId": Uuid::new_v4().simple().to_string(),
            "routeKey": route,
            "stage": "$default",
            "time": now.to_string(),
            "timeEpoch": now.millis(),
        },
        "body": body,
        "isBase64Encoded": is_base64_encoded,
    });
    if let Some(fields) = event.as_object_mut() {
        fields.retain(|_, value| !value.is_null());
    }
    if let (None, Some(fields)) = (context, event["requestContext"].as_object_mut()) {
        fields.remove("authorizer");
    }
    event.to_string()
}

/// The headers with names in lower case, repeated ones joined by a comma.
fn joined(headers: &HeaderMap) -> HashMap<String, String> {
    let mut joined: HashMap<String, String> = HashMap::new();
    for (name, value) in headers {
        let value = String::from_utf8_lossy(value.as_bytes());
        joined
            .entry(name.as_str().to_owned())
            .and_modify(|values| {
                values.push(',');
                values.push_str(&value);
            })
            .or_insert_with(|| value.into_owned());
    }
    joined
}

/// The body as API Gateway passes it on: text where the Content-Type is one of text, else base64.
fn encode(headers: &HashMap<String, String>, body: &Bytes) -> (Option<String>, bool) {
    if body.is_empty() {
        return (None, false);
    }
    let content_type = headers.get("content-type").map(|content_type| content_type.to_ascii_lowercase());
    let is_text = content_type.is_none_or(|content_type| {
        ["text/", "application/json", "application/javascript", "application/xml"]
            .iter()
            .any(|text| content_type.starts_with(text))
    });
    match std::str::from_utf8(body) {
        Ok(text) if is_text => (Some(text.to_owned()), false),
        _ => (Some(STANDARD.encode(body)), true),
    }
}

fn http_response(response: FunctionResponse) -> Option<HttpResponse> {
    let body = response.body.unwrap_or_default();
    let body = if response.is_base64_encoded { STANDARD.decode(body).ok()? } else { body.into_bytes() };
    let mut http = axum::http::Response::new(Body::from(body));
    *http.status_mut() = StatusCode::from_u16(response.status_code).ok()?;
    for (name, value) in response.headers {
        http.headers_mut().insert(HeaderName::try_from(name).ok()?, HeaderValue::from_bytes(value.as_bytes()).ok()?);
    }
    Some(http)
}

/// An answer that API Gateway gives by itself.
fn message(status: StatusCode, text: &str) -> HttpResponse {
    let mut response = axum::http::Response::new(Body::from(json!({ "message": text }).to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
