//! Idempotency-Keys (contract, "Concurrency and repeats").

use sha2::{Digest, Sha256};

use crate::json::ParsedJson;

/// An Idempotency-Key and the body that came with it, both as hashes: neither is ever stored or logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdempotencyKey {
    /// Hash of the operation and the key.
    pub key: [u8; 32],
    /// Hash of the body.
    pub body: [u8; 32],
}

impl IdempotencyKey {
    /// Hashes a key and a body. Two bodies are the same if their members are, in any order and with any white space.
    #[must_use]
    pub fn new(operation: &str, key: &str, body: &ParsedJson) -> Self {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json;

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
