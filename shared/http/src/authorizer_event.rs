//! The event by which API Gateway invokes the authorizer.
//!
//! `lambda_http` does not read it, because it is not an HTTP request, and the type that `aws_lambda_events` has for it
//! fails on a header that HTTP does not allow. Here nothing that a caller sends can make the parse fail.

use std::collections::HashMap;

use serde::Deserialize;

/// The event by which API Gateway invokes the authorizer.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AuthorizerEvent {
    identity_source: Option<Vec<String>>,
    headers: Option<HashMap<String, String>>,
    request_context: RequestContext,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RequestContext {
    request_id: Option<String>,
}

impl AuthorizerEvent {
    /// The text of the `x-api-key` header, by which API Gateway also keys its cache.
    #[must_use]
    pub fn api_key(&self) -> Option<&str> {
        self.identity_source.as_ref()?.first().map(String::as_str)
    }

    /// The value of a header, by its name in any case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.as_ref()?.iter().find(|(candidate, _)| candidate.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// API Gateway's id of the request.
    #[must_use]
    pub fn request_id(&self) -> Option<&str> {
        self.request_context.request_id.as_deref()
    }
}
