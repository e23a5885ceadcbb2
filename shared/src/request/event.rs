//! The event by which API Gateway's HTTP API (payload format 2.0) hands a request to a function.
//!
//! Only what the service uses is read, and nothing in it can fail the parse: a header that is no ASCII, a path that is
//! no URL or a body that is no base64 is the caller's mistake and gets an answer (docs/adr/0002).

use std::borrow::Cow;
use std::collections::HashMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

/// A request as API Gateway sends it.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Event {
    raw_query_string: Option<String>,
    headers: Option<HashMap<String, String>>,
    path_parameters: Option<HashMap<String, String>>,
    request_context: RequestContext,
    body: Option<String>,
    is_base64_encoded: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RequestContext {
    request_id: Option<String>,
    authorizer: Option<Authorizer>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Authorizer {
    lambda: Option<HashMap<String, serde_json::Value>>,
}

impl Event {
    /// The value of a header, by its name in any case. API Gateway joins repeated ones with a comma.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        header(self.headers.as_ref()?, name)
    }

    /// A part of the path, by its name in the route.
    #[must_use]
    pub fn path_parameter(&self, name: &str) -> Option<&str> {
        self.path_parameters.as_ref()?.get(name).map(String::as_str)
    }

    /// The query's parameters, decoded, in order.
    #[must_use]
    pub fn query(&self) -> Vec<(String, String)> {
        form_urlencoded::parse(self.raw_query_string.as_deref().unwrap_or_default().as_bytes()).into_owned().collect()
    }

    /// API Gateway's id of the request.
    #[must_use]
    pub fn request_id(&self) -> Option<&str> {
        self.request_context.request_id.as_deref()
    }

    /// What the authorizer said of the caller under this name; nothing where the route has no authorizer.
    #[must_use]
    pub fn authorizer(&self, name: &str) -> Option<&str> {
        self.request_context.authorizer.as_ref()?.lambda.as_ref()?.get(name)?.as_str()
    }

    /// The body's bytes. A body that claims to be base64 and is not is taken as it stands: it will not be JSON either.
    #[must_use]
    pub fn body(&self) -> Cow<'_, [u8]> {
        let body = self.body.as_deref().unwrap_or_default().as_bytes();
        let decoded = if self.is_base64_encoded { STANDARD.decode(body).ok() } else { None };
        decoded.map_or(Cow::Borrowed(body), Cow::Owned)
    }
}

/// The event by which API Gateway asks the authorizer.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AuthorizerEvent {
    identity_source: Option<Vec<String>>,
    headers: Option<HashMap<String, String>>,
    request_context: RequestContext,
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
        header(self.headers.as_ref()?, name)
    }

    /// API Gateway's id of the request.
    #[must_use]
    pub fn request_id(&self) -> Option<&str> {
        self.request_context.request_id.as_deref()
    }
}

fn header<'a>(headers: &'a HashMap<String, String>, name: &str) -> Option<&'a str> {
    let found = headers.iter().find(|(candidate, _)| candidate.eq_ignore_ascii_case(name));
    found.map(|(_, value)| value.as_str())
}
