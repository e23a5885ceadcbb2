//! The key by which the service recognizes a repeat.

use std::fmt::{self, Write};

use ratchet_model::limits::MAX_IDEMPOTENCY_KEY;

use crate::error::Error;

/// An Idempotency-Key: 1 to 255 visible ASCII characters.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    /// A new one, of 128 random bits.
    ///
    /// # Errors
    ///
    /// [`Error::Unusable`] where the machine has no random numbers.
    pub fn random() -> Result<Self, Error> {
        let mut bytes = [0u8; 16];
        getrandom::fill(&mut bytes).map_err(|error| Error::Unusable(format!("no random numbers: {error}")))?;
        let mut text = String::with_capacity(32);
        for byte in bytes {
            // A String takes whatever is written to it.
            let _ = write!(text, "{byte:02x}");
        }
        Ok(Self(text))
    }

    /// One of the caller's own.
    ///
    /// # Errors
    ///
    /// [`Error::Unusable`] for a text that is not 1 to 255 visible ASCII characters.
    pub fn parse(text: &str) -> Result<Self, Error> {
        if (1..=MAX_IDEMPOTENCY_KEY).contains(&text.len()) && text.bytes().all(|byte| (0x21..=0x7e).contains(&byte)) {
            Ok(Self(text.to_owned()))
        } else {
            Err(Error::Unusable("an Idempotency-Key is 1 to 255 visible ASCII characters".to_owned()))
        }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for IdempotencyKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_key_is_another_each_time() {
        let keys: std::collections::HashSet<IdempotencyKey> =
            (0..100).map(|_| IdempotencyKey::random().unwrap()).collect();
        assert_eq!(keys.len(), 100);
        assert!(keys.iter().all(|key| IdempotencyKey::parse(key.as_str()).as_ref() == Ok(key)));
    }

    #[test]
    fn what_the_service_would_refuse_is_refused_here() {
        for text in ["a", "report-1-done", &"k".repeat(255)] {
            assert!(IdempotencyKey::parse(text).is_ok(), "{text}");
        }
        for text in ["", "a b", "é", "a\n", &"k".repeat(256)] {
            assert!(IdempotencyKey::parse(text).is_err(), "{text}");
        }
    }
}
