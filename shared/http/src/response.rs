//! Answers, as API Gateway expects them.

use std::collections::BTreeMap;
use std::future::{Future, ready};
use std::pin::Pin;

use lambda_http::http::{HeaderName, HeaderValue, StatusCode};
use lambda_http::{Body, IntoResponse};
use ratchet_model::clock::Timestamp;
use ratchet_model::error::Error;
use serde::Serialize;

use crate::error::{ErrorResponse, HttpError};
use crate::headers::is_patch_format;
use crate::validation_error::ValidationErrors;

/// After how many seconds a caller may try again where the store is unavailable.
const RETRY_AFTER: &str = "1";

/// An answer. The body, where there is one, is text.
#[derive(Debug, Clone)]
pub struct Response {
    /// HTTP's status code.
    pub status_code: u16,
    /// The headers, names in lower case.
    pub headers: BTreeMap<&'static str, String>,
    /// The body; absent where the answer has none.
    pub body: Option<String>,
}

impl Response {
    fn new(status_code: u16) -> Self {
        Self { status_code, headers: BTreeMap::new(), body: None }
    }

    /// 200 with a body.
    ///
    /// # Errors
    ///
    /// [`Error::Internal`] where a stored text is damaged.
    pub fn ok<T: Serialize>(body: &T) -> Result<Self, Error> {
        let body = serde_json::to_string(body).map_err(|error| Error::internal(error.to_string()))?;
        Ok(Self { body: Some(body), ..Self::new(200) }.header("content-type", "application/json"))
    }

    /// 204: done, and the caller did not want the record back.
    #[must_use]
    pub fn minimal() -> Self {
        Self::new(204).header("preference-applied", "return=minimal")
    }

    /// 304: the caller has the record already.
    #[must_use]
    pub fn not_modified() -> Self {
        Self::new(304)
    }

    /// With a header.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.insert(name, value.into());
        self
    }

    /// With the validator of the record's version.
    #[must_use]
    pub fn etag(self, etag: String) -> Self {
        self.header("etag", etag)
    }

    /// With `Idempotency-Replayed` for a replay: nothing was written, because the first request had been applied.
    #[must_use]
    pub fn replayed(self, replayed: bool) -> Self {
        if replayed { self.header("idempotency-replayed", "true") } else { self }
    }

    /// The answer to a request that was not done (contract, "Errors").
    #[must_use]
    pub fn error(error: HttpError, correlation_id: &str, now: Timestamp) -> Self {
        let status = error.status();
        // What to send instead (RFC 5789, 3.1; RFC 9110, 12.5.3).
        let instead = match &error {
            HttpError::UnsupportedMediaType { content_type } if is_patch_format(content_type) => {
                Some(("accept-patch", "application/json"))
            }
            HttpError::UnsupportedContentEncoding { .. } => Some(("accept-encoding", "identity")),
            _ => None,
        };
        let body = match error {
            HttpError::Invalid(detail) => serde_json::to_string(&ValidationErrors { detail }),
            error => serde_json::to_string(&ErrorResponse::new(&error, correlation_id, now)),
        };
        let mut response = Self::new(status).header("content-type", "application/json");
        // Serializing does not fail: these bodies hold strings and checked JSON alone.
        response.body = Some(body.unwrap_or_else(|_| r#"{"detail":"Internal error"}"#.to_owned()));
        if let Some((name, value)) = instead {
            response = response.header(name, value);
        }
        if status == 503 {
            response = response.header("retry-after", RETRY_AFTER);
        }
        response
    }
}

impl IntoResponse for Response {
    // Not by lambda_http's conversion of an `http::Response<String>`: it decodes each body once more, for charsets that
    // this service does not have, and adds 190 KB to every function (docs/adr/0002).
    fn into_response(self) -> Pin<Box<dyn Future<Output = lambda_http::Response<Body>> + Send>> {
        let mut http = lambda_http::Response::new(self.body.map_or(Body::Empty, Body::Text));
        *http.status_mut() = StatusCode::from_u16(self.status_code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        for (name, value) in self.headers {
            if let Ok(value) = HeaderValue::try_from(value) {
                http.headers_mut().insert(HeaderName::from_static(name), value);
            }
        }
        Box::pin(ready(http))
    }
}
