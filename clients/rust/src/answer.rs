//! What a call is answered: a record, and what stands in the headers.

use std::fmt;
use std::ops::Deref;

/// An `ETag`: the state of a record, as the service names it, with its quotes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ETag(String);

impl ETag {
    /// From its text, with its quotes, such as an earlier answer had.
    #[must_use]
    pub fn from_text(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// That of a version of a record, for `if_match`: what steps are reported meanwhile does not matter there.
    #[must_use]
    pub fn of_version(version: i64) -> Self {
        Self(ratchet_model::execution::etag(version))
    }

    /// The text, with its quotes.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The version of the record; `None` where the text is not of this service's form.
    #[must_use]
    pub fn version(&self) -> Option<i64> {
        let inner = self.0.strip_prefix('"')?.strip_suffix('"')?;
        // With steps, a hash of theirs follows after a dot.
        inner.split('.').next()?.parse().ok()
    }
}

impl fmt::Display for ETag {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// A record, and what the headers of its answer say.
#[derive(Debug, Clone)]
pub struct Answer<T> {
    /// The record.
    pub record: T,
    /// Its state, for `if_match` and for [`crate::client::Client::get_if_changed`].
    pub etag: Option<ETag>,
    /// Whether the service had done this before: a repeat by Idempotency-Key, the client's own included.
    pub replayed: bool,
    /// The name of the request in the service's log.
    pub correlation_id: Option<String>,
    /// How many requests it took.
    pub requests: u32,
}

impl<T> Answer<T> {
    /// The same answer with what is made of its record.
    #[must_use]
    pub fn map<U>(self, make: impl FnOnce(T) -> U) -> Answer<U> {
        let Self { record, etag, replayed, correlation_id, requests } = self;
        Answer { record: make(record), etag, replayed, correlation_id, requests }
    }
}

impl<T> Deref for Answer<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.record
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_what_stands_before_the_dot() {
        for (text, version) in [("\"7\"", Some(7)), ("\"12.a1b2c3\"", Some(12)), ("7", None), ("\"x\"", None)] {
            assert_eq!(ETag::from_text(text).version(), version, "{text}");
        }
        assert_eq!(ETag::of_version(3).as_str(), "\"3\"");
    }
}
