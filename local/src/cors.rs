//! Cross-origin resource sharing, as API Gateway does it for the `CorsConfiguration` of `template.yaml`: it answers
//! preflights by itself, and marks every other answer for the page that may read it.
//!
//! A preflight is answered with what the API allows, whatever method and headers it asks for: it is the browser that
//! compares. AWS documents when API Gateway adds its headers and which; of `vary` it says nothing, which is here because
//! an answer that names its caller's origin must not be taken from a cache for another's.

use std::fmt;
use std::str::FromStr;

use axum::body::Body;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, header};
use url::Url;

/// The methods that a page may send.
pub const ALLOW_METHODS: &str = "GET,POST,PATCH";

/// The headers that a page may send besides those that every page may.
pub const ALLOW_HEADERS: &str = "content-type,idempotency-key,if-match,if-none-match,prefer,x-api-key,x-correlation-id";

/// The headers that a page may read besides those that every page may.
pub const EXPOSE_HEADERS: &str = "etag,idempotency-replayed,preference-applied,retry-after,x-correlation-id";

/// How long a browser may keep the answer to a preflight, in seconds.
pub const MAX_AGE: &str = "3600";

/// Every header by which a server answers in this protocol.
const ANSWERS: [HeaderName; 6] = [
    header::ACCESS_CONTROL_ALLOW_CREDENTIALS,
    header::ACCESS_CONTROL_ALLOW_HEADERS,
    header::ACCESS_CONTROL_ALLOW_METHODS,
    header::ACCESS_CONTROL_ALLOW_ORIGIN,
    header::ACCESS_CONTROL_EXPOSE_HEADERS,
    header::ACCESS_CONTROL_MAX_AGE,
];

/// What the command line says of whose pages may call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AllowedOrigin {
    /// Every page.
    Any,
    /// The pages of one origin, written as browsers send it.
    One(String),
}

impl FromStr for AllowedOrigin {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "*" {
            return Ok(Self::Any);
        }
        if text.contains(',') {
            return Err("one origin at a time: give --cors-origin once for each".to_owned());
        }
        if text.contains('*') {
            return Err("an origin has no wildcard in it: give each origin, or * alone for any".to_owned());
        }
        let origin = as_browsers_send_it(text).ok_or(
            "expected http:// or https://, a host and, if it is not the usual one, a port, such as \
             http://localhost:5173, or * for any",
        )?;
        if origin == text {
            Ok(Self::One(origin))
        } else {
            Err(format!("browsers send this origin as {origin}: write it like that"))
        }
    }
}

impl fmt::Display for AllowedOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("any origin"),
            Self::One(origin) => f.write_str(origin),
        }
    }
}

/// The origin of a URL: in lower case, without path and usual port. `None` if it has none that the template would take.
fn as_browsers_send_it(url: &str) -> Option<String> {
    let url = Url::parse(url).ok()?;
    matches!(url.scheme(), "http" | "https").then(|| url.origin().ascii_serialization())
}

/// Whose pages may call. Without an origin the API knows nothing of this protocol.
#[derive(Debug, Clone, Default)]
pub struct Cors {
    origins: Vec<AllowedOrigin>,
}

impl Cors {
    /// For the pages of these origins.
    #[must_use]
    pub const fn new(origins: Vec<AllowedOrigin>) -> Self {
        Self { origins }
    }

    /// The answer to a preflight, and to any other OPTIONS request; `None` if it is for the routes to answer.
    #[must_use]
    pub fn preflight(&self, request: &Parts) -> Option<Response<Body>> {
        if self.origins.is_empty() || request.method != Method::OPTIONS {
            return None;
        }
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NO_CONTENT;
        if request.headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
            && self.allow_origin(&request.headers, response.headers_mut())
        {
            for (name, value) in [
                (header::ACCESS_CONTROL_ALLOW_METHODS, ALLOW_METHODS),
                (header::ACCESS_CONTROL_ALLOW_HEADERS, ALLOW_HEADERS),
                (header::ACCESS_CONTROL_MAX_AGE, MAX_AGE),
            ] {
                response.headers_mut().insert(name, HeaderValue::from_static(value));
            }
        }
        Some(response)
    }

    /// Marks the answer to a request for the page that may read it. What the function itself says of that is dropped.
    pub fn mark(&self, request: &HeaderMap, answer: &mut HeaderMap) {
        if self.origins.is_empty() {
            return;
        }
        for name in ANSWERS {
            answer.remove(name);
        }
        if self.allow_origin(request, answer) {
            answer.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSE_HEADERS));
        }
    }

    /// Says in the answer that the request's origin may read it, if it may.
    fn allow_origin(&self, request: &HeaderMap, answer: &mut HeaderMap) -> bool {
        let Some(origin) = request.get(header::ORIGIN) else { return false };
        if self.origins.contains(&AllowedOrigin::Any) {
            answer.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
            return true;
        }
        let is_origin = |allowed: &AllowedOrigin| matches!(allowed, AllowedOrigin::One(text) if *text == *origin);
        if !self.origins.iter().any(is_origin) {
            return false;
        }
        answer.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        answer.append(header::VARY, HeaderValue::from_static("origin"));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_written_as_browsers_send_it() {
        for origin in [
            "http://localhost:5173",
            "https://app.example.com",
            "http://127.0.0.1:3000",
            "http://[::1]:8080",
            "http://a",
        ] {
            assert_eq!(origin.parse(), Ok(AllowedOrigin::One(origin.to_owned())));
        }
        assert_eq!("*".parse(), Ok(AllowedOrigin::Any));
    }

    #[test]
    fn what_is_wrong_with_an_origin_is_said() {
        for (text, part) in [
            ("", "such as http://localhost:5173"),
            ("localhost", "such as http://localhost:5173"),
            ("localhost:5173", "such as http://localhost:5173"),
            ("null", "such as http://localhost:5173"),
            ("file:///index.html", "expected http:// or https://"),
            ("ftp://localhost", "expected http:// or https://"),
            ("http://", "such as http://localhost:5173"),
            ("http://a b", "such as http://localhost:5173"),
            ("http://localhost:99999", "such as http://localhost:5173"),
            ("http://a,http://b", "once for each"),
            ("https://*.example.com", "no wildcard"),
            ("http://localhost:5173/", "as http://localhost:5173:"),
            ("http://localhost:5173/app?x#y", "as http://localhost:5173:"),
            ("HTTP://LocalHost", "as http://localhost:"),
            ("http://localhost:80", "as http://localhost:"),
            ("https://me@example.com:443", "as https://example.com:"),
            (" http://localhost", "as http://localhost:"),
            ("https://b\u{fc}cher.example", "as https://xn--bcher-kva.example:"),
        ] {
            let error = text.parse::<AllowedOrigin>().unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn what_a_function_says_of_origins_is_dropped() {
        let cors = Cors::new(vec!["http://localhost:5173".parse().unwrap()]);
        for (origin, allowed) in [("http://localhost:5173", Some("http://localhost:5173")), ("http://other", None)] {
            let request = HeaderMap::from_iter([(header::ORIGIN, HeaderValue::from_static(origin))]);
            let mut answer: HeaderMap =
                ANSWERS.into_iter().map(|name| (name, HeaderValue::from_static("of-the-function"))).collect();
            answer.insert(header::VARY, HeaderValue::from_static("prefer"));
            cors.mark(&request, &mut answer);
            assert!(answer.values().all(|value| value != "of-the-function"), "{answer:?}");
            let said = answer.get(header::ACCESS_CONTROL_ALLOW_ORIGIN).map(|value| value.to_str().unwrap());
            assert_eq!(said, allowed);
            assert_eq!(answer.get(header::VARY).unwrap(), "prefer");
        }
    }
}
