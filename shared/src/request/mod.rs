//! From an event to a request that can be trusted: who calls, with what, and everything that is wrong with it at once.

pub mod event;
pub mod execute;
pub mod fields;
pub mod list;
pub mod problems;
pub mod update;
pub mod update_status;

use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::auth::Caller;
use crate::error::{Error, Large};
use crate::json::{self, Document};
use event::Event;
use fields::Fields;
use problems::{Fault, Problems};

/// How large a body may be, in bytes (contract, "Errors").
pub const MAX_BODY: usize = 1024 * 1024;

/// The id of an execution: a UUID, in lower case with hyphens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExecutionId(Uuid);

impl ExecutionId {
    /// Reads an id as it stands in a path. `None` for everything that no execution can have as its id.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        // Of the forms that a UUID may take only the hyphenated one is ever given out.
        if text.len() == 36 { Uuid::try_parse(text).ok().map(Self) } else { None }
    }

    /// From 16 bytes with the version and variant of a UUID in place.
    #[must_use]
    pub const fn from_uuid(uuid: Uuid) -> Self {
        Self(uuid)
    }

    /// The bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }
}

impl std::fmt::Display for ExecutionId {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.as_hyphenated().fmt(formatter)
    }
}

/// An Idempotency-Key and the body that came with it, both as hashes: neither is ever stored or logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdempotencyKey {
    /// Of the operation and the key.
    pub key: [u8; 32],
    /// Of the body.
    pub body: [u8; 32],
}

impl IdempotencyKey {
    /// Hashes a key and a body. Two bodies are the same if their members are, in any order and with any white space.
    #[must_use]
    pub fn new(operation: &str, key: &str, body: &Document) -> Self {
        let mut members: Vec<(&str, &str)> = body.members().into_iter().flatten().collect();
        members.sort_unstable();
        let mut hash = Sha256::new();
        for (name, value) in members {
            for part in [name, value] {
                hash.update(part.len().to_be_bytes());
                hash.update(part.as_bytes());
            }
        }
        Self { key: Sha256::digest(format!("{operation}\n{key}")).into(), body: hash.finalize().into() }
    }
}

/// What If-Match asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IfMatch {
    /// `*`: that the execution exists, which every write asks anyway.
    Any,
    /// One of these versions. Tags that this service never gave out match nothing; the list may be empty.
    Versions(Vec<i64>),
}

/// What every write may carry besides its body.
#[derive(Debug, Clone, Default)]
pub struct WriteOptions {
    /// The Idempotency-Key, hashed with its body.
    pub idempotency_key: Option<IdempotencyKey>,
    /// The If-Match header.
    pub if_match: Option<IfMatch>,
}

/// A request by a known caller.
#[derive(Debug)]
pub struct Request {
    /// Who calls.
    pub caller: Caller,
    event: Event,
}

impl Request {
    /// Takes an event in.
    ///
    /// # Errors
    ///
    /// [`Error::Internal`] where no authorizer has spoken.
    pub fn new(event: Event) -> Result<Self, Error> {
        Ok(Self { caller: Caller::from_context(|name| event.authorizer(name))?, event })
    }

    /// A header's value.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.event.header(name)
    }

    /// The query's parameters.
    #[must_use]
    pub fn query(&self) -> Vec<(String, String)> {
        self.event.query()
    }

    /// The execution that the path names.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] for a text that no execution can have as its id: it is as missing as any other.
    pub fn execution_id(&self) -> Result<ExecutionId, Error> {
        self.event.path_parameter("execution_id").and_then(ExecutionId::parse).ok_or(Error::NotFound)
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
        // A header that is no list of tags names nothing: the caller gets the record.
        tags.trim() == "*" || entity_tags(tags).into_iter().flatten().any(|tag| etag.trim_matches('"') == tag.opaque)
    }

    /// Reads the body as JSON.
    ///
    /// # Errors
    ///
    /// [`Error::TooLarge`], [`Error::UnsupportedMediaType`], or what is wrong with the text.
    pub fn json(&self) -> Result<Document, Error> {
        let bytes = self.event.body();
        if bytes.len() > MAX_BODY {
            return Err(Error::TooLarge { what: Large::Body, size: bytes.len(), limit: MAX_BODY });
        }
        // Without a body there is nothing that could be of another type; an empty header says nothing.
        let content_type = self.header("content-type").filter(|content_type| !content_type.trim().is_empty());
        if let Some(content_type) = content_type.filter(|content_type| !bytes.is_empty() && !is_json(content_type)) {
            let content_type = content_type.chars().take(128).collect();
            return Err(Error::UnsupportedMediaType { content_type });
        }
        let body = || problems::Loc::from("body");
        let text = match std::str::from_utf8(&bytes) {
            Ok(text) => text,
            Err(error) => {
                let position = String::from_utf8_lossy(bytes.get(..error.valid_up_to()).unwrap_or_default());
                let loc = vec![body(), problems::Loc::Offset(position.chars().count())];
                return Err(Fault::NotJson("Invalid UTF-8").alone(loc, "{}"));
            }
        };
        if matches!(text.trim_matches([' ', '\t', '\r', '\n']), "" | "null") {
            return Err(Fault::Missing.alone(vec![body()], "null"));
        }
        let document = json::parse(text).map_err(|error| {
            let place = match (error.reason, error.member) {
                (json::TOO_DEEP, Some(member)) => problems::Loc::Name(member),
                _ => problems::Loc::Offset(error.position),
            };
            Fault::NotJson(error.reason).alone(vec![body(), place], "{}")
        })?;
        if document.members().is_none() {
            return Err(Fault::NotAModel.alone(vec![body()], document.text()));
        }
        Ok(document)
    }

    /// Reads If-Match and Idempotency-Key, the latter together with the body it stands for.
    pub fn write_options(&self, operation: &str, body: &Document, problems: &mut Problems) -> WriteOptions {
        WriteOptions {
            idempotency_key: self.idempotency_key(operation, body, problems),
            if_match: self.if_match(problems),
        }
    }

    /// Reads the Idempotency-Key together with the body that it stands for.
    pub fn idempotency_key(&self, operation: &str, body: &Document, problems: &mut Problems) -> Option<IdempotencyKey> {
        self.idempotency_key_text(problems).map(|key| IdempotencyKey::new(operation, key, body))
    }

    fn idempotency_key_text(&self, problems: &mut Problems) -> Option<&str> {
        const NAME: &str = "idempotency-key";
        let key = self.header(NAME)?;
        let fault = if key.is_empty() {
            Fault::TooShort(1)
        } else if key.chars().count() > 255 {
            Fault::TooLong(255)
        } else if key.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Some(key);
        } else {
            Fault::Pattern("visible ASCII characters, without spaces")
        };
        problems.add_text("header", NAME, &fault, key);
        None
    }

    fn if_match(&self, problems: &mut Problems) -> Option<IfMatch> {
        const NAME: &str = "if-match";
        let tags = self.header(NAME)?;
        if tags.trim() == "*" {
            return Some(IfMatch::Any);
        }
        let Some(list) = entity_tags(tags) else {
            problems.add_text("header", NAME, &Fault::Pattern("* or entity tags in quotes, such as \"7\""), tags);
            return None;
        };
        let mut versions: Vec<i64> = list
            .into_iter()
            // A weak tag never matches here (RFC 9110, 13.1.1), nor does one in another spelling than ours.
            .filter(|tag| !tag.weak)
            .filter_map(|tag| tag.opaque.parse().ok().filter(|version: &i64| version.to_string() == tag.opaque))
            .collect();
        // More than a condition can list; nobody has that many versions of one record at hand.
        versions.truncate(50);
        Some(IfMatch::Versions(versions))
    }
}

/// An entity tag (RFC 9110, 8.8.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct EntityTag<'a> {
    weak: bool,
    opaque: &'a str,
}

/// Reads a list of entity tags; `None` if it is none. What stands between the quotes may be anything but quotes, commas
/// included.
fn entity_tags(text: &str) -> Option<Vec<EntityTag<'_>>> {
    let mut tags = Vec::new();
    let mut rest = text.trim();
    loop {
        let (weak, quoted) = rest.strip_prefix("W/").map_or((false, rest), |rest| (true, rest));
        let (opaque, after) = quoted.strip_prefix('"')?.split_once('"')?;
        tags.push(EntityTag { weak, opaque });
        let after = after.trim_start();
        if after.is_empty() {
            return Some(tags);
        }
        rest = after.strip_prefix(',')?.trim_start();
    }
}

/// The fields of a body.
fn fields(body: &Document) -> Fields<'_> {
    Fields::new(vec!["body".into()], body.text(), body.members().into_iter().flatten())
}

/// `application/json` or `*+json`, in UTF-8 if it says a charset.
fn is_json(content_type: &str) -> bool {
    let mut parts = content_type.split(';').map(str::trim);
    let media_type = parts.next().unwrap_or_default().to_ascii_lowercase();
    let json = media_type == "application/json"
        || media_type.split_once('/').is_some_and(|(kind, subtype)| {
            !kind.is_empty() && subtype.len() > "+json".len() && subtype.ends_with("+json")
        });
    json && parts.all(|parameter| match parameter.split_once('=') {
        Some((name, value)) if name.trim().eq_ignore_ascii_case("charset") => {
            let charset = value.trim().trim_matches('"');
            charset.eq_ignore_ascii_case("utf-8") || charset.eq_ignore_ascii_case("utf8")
        }
        _ => true,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_known_by_its_content_type() {
        for json in [
            "application/json",
            "Application/JSON; charset=UTF-8",
            "application/json;charset=\"utf-8\"",
            "application/merge-patch+json",
            "application/json; profile=x",
        ] {
            assert!(is_json(json), "{json}");
        }
        for other in ["text/plain", "", "application/json; charset=latin1", "application/jsonx", "+json", "a/+json"] {
            assert!(!is_json(other), "{other}");
        }
    }

    #[test]
    fn only_the_form_that_is_given_out_is_an_execution_id() {
        let id = "0b8f2f4e-6a3b-4a54-9a3c-5f0f8f6b1d2e";
        assert_eq!(ExecutionId::parse(id).unwrap().to_string(), id);
        assert_eq!(ExecutionId::parse(&id.to_uppercase()).unwrap().to_string(), id);
        for other in ["", "0b8f2f4e6a3b4a549a3c5f0f8f6b1d2e", &format!("{{{id}}}"), &id[1..], "é".repeat(18).as_str()]
        {
            assert!(ExecutionId::parse(other).is_none(), "{other}");
        }
    }

    #[test]
    fn a_list_of_entity_tags_is_read_with_whatever_stands_in_the_quotes() {
        let tag = |weak: bool, opaque: &'static str| EntityTag { weak, opaque };
        for (text, tags) in [
            ("\"7\"", Some(vec![tag(false, "7")])),
            (" W/\"7\" , \"a,b\",\"\" ", Some(vec![tag(true, "7"), tag(false, "a,b"), tag(false, "")])),
            ("", None),
            ("7", None),
            ("\"7", None),
            ("\"7\" \"8\"", None),
            ("\"7\",", None),
            ("w/\"7\"", None),
            ("*, \"7\"", None),
        ] {
            assert_eq!(entity_tags(text), tags, "{text}");
        }
    }

    #[test]
    fn the_same_body_in_another_order_is_the_same() {
        let key = |body: &str| IdempotencyKey::new("op", "k", &json::parse(body).unwrap());
        assert_eq!(key(r#"{"a":1,"b":{"c":2}}"#), key("{ \"b\" : {\"c\": 2}, \"a\": 1 }"));
        assert_ne!(key(r#"{"a":1}"#), key(r#"{"a":1.0}"#));
        assert_ne!(key(r#"{"a":1}"#).body, key(r#"{"a":1,"b":1}"#).body);
        let other = IdempotencyKey::new("other", "k", &json::parse("{}").unwrap());
        assert_ne!(other.key, key("{}").key);
    }
}
