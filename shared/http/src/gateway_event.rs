//! A guard in front of `lambda_http`: it reads every event that API Gateway's HTTP API (payload format 2.0) can
//! deliver.
//!
//! `lambda_http` converts an event to an `http::Request`. It fails or panics on a header that HTTP does not allow, on a
//! Host, a path or a query that form no URL, and on a body that claims to be base64 and is not. The guard converts such
//! an event to an equivalent one that `lambda_http` accepts: what a caller sends must not decide whether there is an
//! answer (docs/adr/0002).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use lambda_http::aws_lambda_events::apigw::ApiGatewayV2httpRequest;
use lambda_http::http::header::{HOST, HeaderName};
use lambda_http::request::LambdaRequest;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde::de::Error;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;

/// What must be percent-encoded in a query: the URL standard's query percent-encode set.
const QUERY: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'#').add(b'<').add(b'>');

/// A request as API Gateway sends it, for `lambda_http`.
#[derive(Debug)]
pub struct GatewayEvent(pub LambdaRequest);

impl<'de> Deserialize<'de> for GatewayEvent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Box::<RawValue>::deserialize(deserializer)?;
        let event = serde_json::from_str(text.get()).or_else(|_| with_legal_headers(text.get()));
        let mut event = event.map_err(D::Error::custom)?;
        replace_unsafe_parts(&mut event);
        Ok(Self(LambdaRequest::ApiGatewayV2(event)))
    }
}

impl From<GatewayEvent> for lambda_http::Request {
    fn from(event: GatewayEvent) -> Self {
        event.0.into()
    }
}

/// Reads an event whose headers HTTP does not allow: without those whose name is no token, and with spaces in the place
/// of control characters, as RFC 9110 (5.5) asks of a recipient.
fn with_legal_headers(text: &str) -> serde_json::Result<ApiGatewayV2httpRequest> {
    let mut event: Value = serde_json::from_str(text)?;
    if let Some(headers) = event.get_mut("headers").and_then(Value::as_object_mut) {
        headers.retain(|name, _| name.parse::<HeaderName>().is_ok());
        for value in headers.values_mut() {
            if let Value::String(text) = value {
                *text = text.replace(|character: char| character.is_ascii_control() && character != '\t', " ");
            }
        }
    }
    // Through text: deserializing from a `Value` would be a second copy of all of serde's code, 90 KB in every
    // function.
    serde_json::from_str(&event.to_string())
}

/// Replaces the parts on which `lambda_http` would panic.
fn replace_unsafe_parts(event: &mut ApiGatewayV2httpRequest) {
    // lambda_http would build a URL from both. API Gateway has routed by them already, and the service reads neither.
    event.headers.remove(HOST);
    event.request_context.domain_name = None;
    if let Some(path) = event.raw_path.as_mut().filter(|path| !path.starts_with('/')) {
        path.insert(0, '/');
    }
    if let Some(query) = &mut event.raw_query_string {
        *query = utf8_percent_encode(query, QUERY).to_string();
    }
    // A body that is not base64 is read unchanged: it is not JSON either, and is refused as such.
    event.is_base64_encoded &= event.body.as_ref().is_none_or(|body| STANDARD.decode(body).is_ok());
}
