//! The caller of a request (contract, "Keys and scopes").

use std::collections::HashMap;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::clock::Timestamp;
use crate::error::Error;
use crate::id::{KeyId, OrganizationId};
use crate::key_name::KeyName;
use crate::scope::Scopes;

/// The caller of a request, as its API key identifies it. Created by the authorizer alone: nothing in a request can set
/// it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The organization of the key.
    pub organization: OrganizationId,
    /// The id of the key: the `by` of a transition.
    pub key_id: KeyId,
    /// The name of the key, if it has one: the `by_name` of a transition.
    pub key_name: Option<KeyName>,
    /// What the key may do.
    pub scopes: Scopes,
    /// From when on the key is refused, if it has an end, as of the authorizer's answer. API Gateway keeps that answer
    /// for a while, so that a caller may be older than a change of the key's end.
    pub expires_at: Option<Timestamp>,
}

/// The names in the authorizer's context.
const ORGANIZATION_ID: &str = "organization_id";
const KEY_ID: &str = "key_id";
const KEY_NAME: &str = "key_name";
const SCOPES: &str = "scopes";
const EXPIRES_AT: &str = "expires_at";

/// What is escaped in the name of a key: all but the characters that RFC 3986 calls unreserved. API Gateway does not say
/// what becomes of a character in the context that is not ASCII.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The id of the service itself as a writer: the `by` of the transitions of supervision. No key of the table has it.
pub const SERVICE: &str = "service";

impl Caller {
    /// The service itself, as it supervises the executions of an organization.
    #[must_use]
    pub fn service(organization: OrganizationId) -> Self {
        let key_id = KeyId::new_unchecked(SERVICE);
        Self { organization, key_id, key_name: None, scopes: Scopes::default(), expires_at: None }
    }

    /// Reads the caller from the authorizer's context in an event. `context` returns a field by its name.
    ///
    /// A context without a name and an end is read, too: the key has none, or the authorizer that answered was of a
    /// version that did not say.
    ///
    /// # Errors
    ///
    /// [`Error::Internal`]: without a context the route was deployed without its authorizer, and no request is served.
    pub fn from_context<'a>(context: impl Fn(&str) -> Option<&'a str>) -> Result<Self, Error> {
        let field = |name: &str| context(name).ok_or_else(|| Error::internal("no authorizer context in the event"));
        // The context cannot hold null, and an emulator may write it as an empty text.
        let optional = |name: &str| context(name).filter(|text| !text.is_empty());
        let key_name = |escaped: &str| KeyName::parse(&percent_decode_str(escaped).decode_utf8().ok()?).ok();
        Ok(Self {
            organization: OrganizationId::parse(field(ORGANIZATION_ID)?)
                .ok_or_else(|| Error::internal("the authorizer context names no organization"))?,
            key_id: KeyId::parse(field(KEY_ID)?)
                .ok_or_else(|| Error::internal("the authorizer context names no API key"))?,
            key_name: optional(KEY_NAME)
                .map(|text| {
                    key_name(text).ok_or_else(|| Error::internal("the authorizer context has no name of a key"))
                })
                .transpose()?,
            scopes: Scopes::parse(field(SCOPES)?)
                .map_err(|_| Error::internal("the authorizer context has no scopes"))?,
            expires_at: optional(EXPIRES_AT)
                .map(|text| {
                    Timestamp::parse(text).map_err(|_| Error::internal("the authorizer context has no end of a key"))
                })
                .transpose()?,
        })
    }

    /// The context by which API Gateway passes this caller to the functions.
    #[must_use]
    pub fn to_context(&self) -> HashMap<String, String> {
        let name = self.key_name.as_ref().map(|name| utf8_percent_encode(name.as_str(), ESCAPED).to_string());
        let fields = [
            (ORGANIZATION_ID, Some(self.organization.to_string())),
            (KEY_ID, Some(self.key_id.to_string())),
            (KEY_NAME, name),
            (SCOPES, Some(self.scopes.to_string())),
            (EXPIRES_AT, self.expires_at.map(|end| end.to_string())),
        ];
        fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(context: &HashMap<String, String>) -> Result<Caller, Error> {
        Caller::from_context(|name| context.get(name).map(String::as_str))
    }

    fn caller(name: Option<&str>, expires_at: Option<i64>) -> Caller {
        Caller {
            organization: OrganizationId::parse("acme").unwrap(),
            key_id: KeyId::parse("0123456789abcdef").unwrap(),
            key_name: name.map(|name| KeyName::parse(name).unwrap()),
            scopes: Scopes::parse("read,write").unwrap(),
            expires_at: expires_at.map(|millis| Timestamp::from_millis(millis).unwrap()),
        }
    }

    #[test]
    fn every_name_passes_through_a_context_of_ascii() {
        for name in ["CI deploy bot", "Zoë", "デプロイ 🦀", "100%", "%41", "a+b", "\"a\\u0062\"", "-._~"] {
            let (caller, context) =
                (caller(Some(name), Some(1_795_000_000_123)), caller(Some(name), None).to_context());
            assert!(context.values().all(|value| value.bytes().all(|byte| byte.is_ascii_graphic())), "{context:?}");
            assert_eq!(read(&caller.to_context()).unwrap(), caller);
        }
    }

    #[test]
    fn a_context_without_a_name_and_an_end_is_of_a_key_without_them() {
        let nameless = caller(None, None);
        let mut context = nameless.to_context();
        assert_eq!(context.len(), 3, "nothing stands for null: {context:?}");
        assert_eq!(read(&context).unwrap(), nameless);
        for name in [KEY_NAME, EXPIRES_AT] {
            context.insert(name.to_owned(), String::new());
        }
        assert_eq!(read(&context).unwrap(), nameless);
    }

    #[test]
    fn a_context_that_the_authorizer_cannot_have_made_serves_nobody() {
        for (name, value) in [(KEY_NAME, "%ff"), (KEY_NAME, "%0A"), (EXPIRES_AT, "soon"), (SCOPES, ""), (KEY_ID, "a b")]
        {
            let mut context = caller(Some("a"), Some(0)).to_context();
            context.insert(name.to_owned(), value.to_owned());
            assert!(matches!(read(&context), Err(Error::Internal(_))), "{name}: {value:?}");
        }
    }
}
