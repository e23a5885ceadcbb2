//! The ids of executions, organizations and API keys: one type each, so that one cannot be used in the place of
//! another.

use std::fmt;

use serde::{Serialize, Serializer};
use uuid::Uuid;

/// The longest id of an organization or an API key, in bytes.
const MAX_LENGTH: usize = 64;

/// Whether a text is 1 to 64 of `[A-Za-z0-9._-]`.
fn is_plain(text: &str) -> bool {
    (1..=MAX_LENGTH).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
}

/// The id of an execution: a UUID, in lower case with hyphens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ExecutionId(Uuid);

impl ExecutionId {
    /// Parses an id from a path. `None` for text that cannot be the id of an execution.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        // Of the forms of a UUID the service issues only the hyphenated one.
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

impl fmt::Display for ExecutionId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_hyphenated().fmt(formatter)
    }
}

impl Serialize for ExecutionId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.as_hyphenated().encode_lower(&mut [0; 36]))
    }
}

/// The id of an organization: 1 to 64 of `[A-Za-z0-9._-]`.
///
/// The organization is part of the table's keys. Because it cannot contain the table's delimiter, it cannot form the
/// key of another organization's item.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OrganizationId(String);

impl OrganizationId {
    /// Parses an id; `None` for text that is not one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        is_plain(text).then(|| Self(text.to_owned()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for OrganizationId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl Serialize for OrganizationId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// The public part of an API key: 1 to 64 of `[A-Za-z0-9._-]`. Keys in the table have 16 hexadecimal digits
/// ([`ApiKey::parse_id`](crate::api_key::ApiKey::parse_id)), those of a development server's command line a name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId(String);

impl KeyId {
    /// Parses an id; `None` for text that is not one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        is_plain(text).then(|| Self(text.to_owned()))
    }

    /// From digits that were checked.
    pub(crate) fn new_unchecked(digits: &str) -> Self {
        Self(digits.to_owned())
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl Serialize for KeyId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_form_that_is_issued_is_an_execution_id() {
        let id = "0b8f2f4e-6a3b-4a54-9a3c-5f0f8f6b1d2e";
        assert_eq!(ExecutionId::parse(id).unwrap().to_string(), id);
        assert_eq!(ExecutionId::parse(&id.to_uppercase()).unwrap().to_string(), id);
        for other in ["", "0b8f2f4e6a3b4a549a3c5f0f8f6b1d2e", &format!("{{{id}}}"), &id[1..], "é".repeat(18).as_str()]
        {
            assert!(ExecutionId::parse(other).is_none(), "{other}");
        }
    }

    #[test]
    fn no_organization_and_no_key_has_the_tables_delimiter() {
        for id in ["acme", "A.b_c-9", "local-1", &"a".repeat(64)] {
            assert_eq!(OrganizationId::parse(id).unwrap().as_str(), id);
            assert_eq!(KeyId::parse(id).unwrap().as_str(), id);
        }
        for other in ["", "a#b", "a b", "é", "a/b", &"a".repeat(65)] {
            assert!(OrganizationId::parse(other).is_none(), "{other}");
            assert!(KeyId::parse(other).is_none(), "{other}");
        }
    }
}
