//! An HTTP request with its caller, and the readers of its parts, which collect all validation errors.

use lambda_http::RequestExt;
use lambda_http::request::RequestContext;
use ratchet_model::caller::Caller;
use ratchet_model::change::{IfMatch, WriteOptions};
use ratchet_model::error::Error;
use ratchet_model::execution::version_of_etag;
use ratchet_model::id::ExecutionId;
use ratchet_model::idempotency::IdempotencyKey;
use ratchet_model::json::{self, ParsedJson};
use ratchet_model::limits::{MAX_BODY, MAX_IDEMPOTENCY_KEY};
use ratchet_model::scope::Scope;

use crate::error::HttpError;
use crate::headers::{entity_tags, is_json};
use crate::operation::Operation;
use crate::parameters::Parameters;
use crate::validation::Validation;
use crate::validation_error::{Location, ValidationErrorKind};

/// A header's value. API Gateway joins repeated ones with a comma.
#[must_use]
pub fn header<'a>(http: &'a lambda_http::Request, name: &str) -> Option<&'a str> {
    // Not `HeaderValue::to_str`: it refuses text that is not ASCII, and then the request would be served without the
    // header instead of getting a validation error.
    std::str::from_utf8(http.headers().get(name)?.as_bytes()).ok()
}

/// API Gateway's id of the request.
#[must_use]
pub fn request_id(http: &lambda_http::Request) -> Option<&str> {
    match http.request_context_ref()? {
        RequestContext::ApiGatewayV2(context) => context.request_id.as_deref(),
        // Events of other sources, which this build does not read.
        _ => None,
    }
}

/// A field of the authorizer's context; `None` where the route has no authorizer.
#[must_use]
pub fn authorizer<'a>(http: &'a lambda_http::Request, name: &str) -> Option<&'a str> {
    http.request_context_ref()?.authorizer()?.fields.get(name)?.as_str()
}

/// A request with a known caller.
#[derive(Debug)]
pub struct Request {
    /// The caller.
    pub caller: Caller,
    operation: &'static Operation,
    http: lambda_http::Request,
}

impl Request {
    /// Wraps an HTTP request whose caller the authorizer has identified.
    ///
    /// # Errors
    ///
    /// [`Error::Internal`] where the event has no authorizer context.
    pub fn new(operation: &'static Operation, http: lambda_http::Request) -> Result<Self, Error> {
        Ok(Self { caller: Caller::from_context(|name| authorizer(&http, name))?, operation, http })
    }

    /// Refuses a key whose scopes do not cover `scope`.
    ///
    /// # Errors
    ///
    /// [`HttpError::Forbidden`], which names the scope that is missing.
    pub fn require(&self, scope: Scope) -> Result<(), HttpError> {
        let held = self.caller.scopes;
        if held.allow(scope) { Ok(()) } else { Err(HttpError::Forbidden { needed: scope, held }) }
    }

    /// A header's value.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.http, name)
    }

    /// The query's parameters, decoded, in order.
    #[must_use]
    pub fn query(&self) -> Vec<(String, String)> {
        form_urlencoded::parse(self.http.uri().query().unwrap_or_default().as_bytes()).into_owned().collect()
    }

    /// The query's parameters, to be read.
    #[must_use]
    pub fn parameters(&self) -> Parameters {
        Parameters::new(self.query())
    }

    /// The start of the validation of an operation that has no query parameters: each that was sent is a validation error.
    #[must_use]
    pub fn without_query(&self) -> Validation {
        let mut validation = Validation::default();
        self.parameters().finish(&mut validation);
        validation
    }

    /// The execution that the path names.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] for a text that cannot be the id of an execution: it is answered as any missing id.
    pub fn execution_id(&self) -> Result<ExecutionId, Error> {
        let id = self.http.path_parameters_ref().and_then(|parameters| parameters.first("execution_id"));
        id.and_then(ExecutionId::parse).ok_or(Error::NotFound)
    }

    /// Whether the caller asked for an answer without a body (`Prefer: return=minimal`, RFC 7240).
    #[must_use]
    pub fn prefers_minimal(&self) -> bool {
        let preferences = self.header("prefer").unwrap_or_default();
        preferences.split([',', ';']).any(|preference| {
            let mut parts = preference.splitn(2, '=').map(|part| part.trim().trim_matches('"'));
            let name = parts.next().unwrap_or_default();
            let value = parts.next().unwrap_or_default();
            name.eq_ignore_ascii_case("return") && value.eq_ignore_ascii_case("minimal")
        })
    }

    /// Whether If-None-Match names this tag, by weak comparison as RFC 9110 asks.
    #[must_use]
    pub fn none_match(&self, etag: &str) -> bool {
        let tags = self.header("if-none-match").unwrap_or_default();
        // A header that is not a list of tags names no tag: the caller gets the record.
        tags.trim() == "*" || entity_tags(tags).into_iter().flatten().any(|tag| etag.trim_matches('"') == tag.opaque)
    }

    /// Reads the body as JSON.
    ///
    /// # Errors
    ///
    /// [`HttpError::BodyTooLarge`], [`HttpError::UnsupportedMediaType`], or [`HttpError::Invalid`] for a text that is
    /// not a JSON object.
    pub fn json(&self) -> Result<ParsedJson, HttpError> {
        self.json_around(1)
    }

    /// Reads the body as JSON, in which the objects of the caller's own stand `around` levels deep
    /// ([`json::parse_around`]).
    ///
    /// # Errors
    ///
    /// Those of [`Request::json`].
    pub fn json_around(&self, around: usize) -> Result<ParsedJson, HttpError> {
        let bytes: &[u8] = self.http.body();
        if bytes.len() > MAX_BODY {
            return Err(HttpError::BodyTooLarge { size: bytes.len(), limit: MAX_BODY });
        }
        // Without a body there is no content that could have another type. An empty header names no type.
        let content_type = self.header("content-type").filter(|content_type| !content_type.trim().is_empty());
        if let Some(content_type) = content_type.filter(|content_type| !bytes.is_empty() && !is_json(content_type)) {
            let content_type = content_type.chars().take(128).collect();
            return Err(HttpError::UnsupportedMediaType { content_type });
        }
        read_json(bytes, around).map_err(|error| match self.content_encoding() {
            // A proxy or a client has compressed it: that is to be said, and not that the bytes are no JSON.
            Some(encoding) => {
                HttpError::UnsupportedContentEncoding { content_encoding: encoding.chars().take(128).collect() }
            }
            None => error,
        })
    }

    /// Reads the body as JSON, where no body is as good as `{}`: of whatever type an empty one is said to be.
    ///
    /// # Errors
    ///
    /// Those of [`Request::json`].
    pub fn optional_json(&self) -> Result<ParsedJson, HttpError> {
        let bytes: &[u8] = self.http.body();
        if bytes.len() <= MAX_BODY && bytes.iter().all(u8::is_ascii_whitespace) {
            read_json(b"{}", 1)
        } else {
            self.json()
        }
    }

    /// The encoding of the body, if it is said to have one.
    fn content_encoding(&self) -> Option<&str> {
        self.header("content-encoding")
            .filter(|encoding| !encoding.trim().is_empty() && !encoding.trim().eq_ignore_ascii_case("identity"))
    }

    /// Reads If-Match and Idempotency-Key, the latter with the body that it belongs to.
    pub fn write_options(&self, body: &ParsedJson, validation: &mut Validation) -> WriteOptions {
        WriteOptions { idempotency_key: self.idempotency_key(body, validation), if_match: self.if_match(validation) }
    }

    /// Reads the Idempotency-Key with the body that it belongs to.
    pub fn idempotency_key(&self, body: &ParsedJson, validation: &mut Validation) -> Option<IdempotencyKey> {
        self.idempotency_key_text(validation).map(|key| IdempotencyKey::new(self.operation.name, key, body))
    }

    fn idempotency_key_text(&self, validation: &mut Validation) -> Option<&str> {
        const NAME: &str = "idempotency-key";
        let key = self.header(NAME)?;
        let kind = if key.is_empty() {
            ValidationErrorKind::TooShort(1)
        } else if key.chars().count() > MAX_IDEMPOTENCY_KEY {
            ValidationErrorKind::TooLong(MAX_IDEMPOTENCY_KEY)
        } else if key.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Some(key);
        } else {
            ValidationErrorKind::Pattern("visible ASCII characters, without spaces")
        };
        validation.add_text("header", NAME, &kind, key);
        None
    }

    fn if_match(&self, validation: &mut Validation) -> Option<IfMatch> {
        const NAME: &str = "if-match";
        let tags = self.header(NAME)?;
        if tags.trim() == "*" {
            return Some(IfMatch::Any);
        }
        let Some(list) = entity_tags(tags) else {
            validation.add_text(
                "header",
                NAME,
                &ValidationErrorKind::Pattern("* or entity tags in quotes, such as \"7\""),
                tags,
            );
            return None;
        };
        let mut versions: Vec<i64> = list
            .into_iter()
            // A weak tag never matches here (RFC 9110, 13.1.1), nor does one in a form that this service does not
            // issue.
            .filter(|tag| !tag.weak)
            .filter_map(|tag| version_of_etag(tag.opaque))
            .collect();
        // A condition cannot list any number of versions, and no real request names so many of one record.
        versions.truncate(50);
        Some(IfMatch::Versions(versions))
    }
}

/// Reads bytes as a JSON object.
fn read_json(bytes: &[u8], around: usize) -> Result<ParsedJson, HttpError> {
    let body = || Location::from("body");
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let position = String::from_utf8_lossy(bytes.get(..error.valid_up_to()).unwrap_or_default());
            let loc = vec![body(), Location::Offset(position.chars().count() as u64)];
            return Err(HttpError::invalid(loc, &ValidationErrorKind::NotJson("Invalid UTF-8"), "{}"));
        }
    };
    // A byte order mark, which editors and shells on Windows write before a text (RFC 8259, 8.1).
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if matches!(text.trim_matches([' ', '\t', '\r', '\n']), "" | "null") {
        return Err(HttpError::invalid(vec![body()], &ValidationErrorKind::Missing, "null"));
    }
    let parsed = json::parse_around(text, around).map_err(|error| {
        let location = Location::Offset(error.position as u64);
        let foreign = error.reason == json::LONE_SURROGATE
            || json::FOREIGN_VALUES.iter().any(|(_, reason)| *reason == error.reason);
        let (location, kind) = match error.member {
            Some(member) if error.reason == json::TOO_DEEP => {
                (Location::Name(member), ValidationErrorKind::NotJson(error.reason))
            }
            Some(member) if foreign => (location, ValidationErrorKind::NotJsonIn(error.reason, member)),
            _ => (location, ValidationErrorKind::NotJson(error.reason)),
        };
        HttpError::invalid(vec![body(), location], &kind, "{}")
    })?;
    if parsed.members().is_none() {
        return Err(HttpError::invalid(vec![body()], &ValidationErrorKind::NotAModel, parsed.text()));
    }
    Ok(parsed)
}
