//! API keys (contract, "Keys and scopes").
//!
//! A key is `ratchet_<id>_<secret><checksum>`: an id of 64 random bits by which its item is found, a secret of 256
//! random bits, and a CRC-32 of all before it. By the checksum a mistyped key, or text that a secret scanner mistakes
//! for a key, is recognized without a request. The table holds the SHA-256 of the whole key, and never the key.

use std::fmt;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::caller::Caller;
use crate::clock::Timestamp;
use crate::id::{KeyId, OrganizationId};
use crate::key_name::KeyName;
use crate::scope::Scopes;

/// The prefix of every key, for people and secret scanners.
pub const KEY_PREFIX: &str = "ratchet_";

const ID_DIGITS: usize = 16;
const SECRET_DIGITS: usize = 64;
const CHECKSUM_DIGITS: usize = 8;

/// A key as its owner holds it.
pub struct ApiKey(String);

impl fmt::Debug for ApiKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "ApiKey({})", self.id_digits())
    }
}

impl ApiKey {
    /// A new key.
    ///
    /// # Errors
    ///
    /// Where the system has no random numbers.
    pub fn generate() -> Result<Self, getrandom::Error> {
        let mut random = [0u8; usize::midpoint(ID_DIGITS, SECRET_DIGITS)];
        getrandom::fill(&mut random)?;
        let digits = hex(&random);
        let (id, secret) = digits.split_at(ID_DIGITS);
        let without_checksum = format!("{KEY_PREFIX}{id}_{secret}");
        let checksum = checksum(&without_checksum);
        Ok(Self(without_checksum + &checksum))
    }

    /// Parses a key; `None` for text that this service cannot have issued.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let rest = text.strip_prefix(KEY_PREFIX)?;
        let (id, secret_and_checksum) = rest.split_once('_')?;
        let lengths = id.len() == ID_DIGITS && secret_and_checksum.len() == SECRET_DIGITS + CHECKSUM_DIGITS;
        if !lengths || !is_digits(id) || !is_digits(secret_and_checksum) {
            return None;
        }
        let (without_checksum, given) = text.split_at_checked(text.len() - CHECKSUM_DIGITS)?;
        (checksum(without_checksum) == given).then(|| Self(text.to_owned()))
    }

    /// The public part, by which its item is found: 16 hexadecimal digits.
    #[must_use]
    pub fn id(&self) -> KeyId {
        KeyId::new_unchecked(self.id_digits())
    }

    fn id_digits(&self) -> &str {
        self.0.get(KEY_PREFIX.len()..KEY_PREFIX.len() + ID_DIGITS).unwrap_or_default()
    }

    /// Parses the id of a key, or a whole key for its id; `None` for anything else.
    #[must_use]
    pub fn parse_id(text: &str) -> Option<KeyId> {
        let is_id = text.len() == ID_DIGITS && is_digits(text);
        if is_id { Some(KeyId::new_unchecked(text)) } else { Self::parse(text).map(|key| key.id()) }
    }

    /// The whole key, to be shown once.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// The SHA-256 of the whole key, which the table holds.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        Sha256::digest(self.0.as_bytes()).into()
    }
}

fn is_digits(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn checksum(text: &str) -> String {
    hex(&crc32fast::hash(text.as_bytes()).to_be_bytes())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        for digit in [byte >> 4, byte & 15] {
            text.push(char::from_digit(u32::from(digit), 16).unwrap_or('0'));
        }
        text
    })
}

/// Whether a key is valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyState {
    /// Valid, without an end.
    Active,
    /// Valid up to this moment, and not from it on.
    Until(Timestamp),
    /// Not valid since this moment: it was revoked or replaced, or has expired.
    Revoked(Timestamp),
}

/// The record of a key in the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKeyRecord {
    /// SHA-256 of the key.
    pub digest: [u8; 32],
    /// The organization that it speaks for.
    pub organization: OrganizationId,
    /// Its name; `None` for a key that was created without one.
    pub name: Option<KeyName>,
    /// What it may do.
    pub scopes: Scopes,
    /// From when on it is refused: revoked, or replaced by a newer key.
    pub valid_until: Option<Timestamp>,
}

impl ApiKeyRecord {
    /// Whether the key is valid at `now`.
    #[must_use]
    pub fn state(&self, now: Timestamp) -> KeyState {
        match self.valid_until {
            None => KeyState::Active,
            Some(until) if now < until => KeyState::Until(until),
            Some(since) => KeyState::Revoked(since),
        }
    }

    /// The caller, if `key` is the key of this record and is valid at `now`.
    #[must_use]
    pub fn admit(&self, key: &ApiKey, now: Timestamp) -> Option<Caller> {
        let same: bool = self.digest.ct_eq(&key.digest()).into();
        let valid = !matches!(self.state(now), KeyState::Revoked(_));
        (same && valid).then(|| Caller {
            organization: self.organization.clone(),
            key_id: key.id(),
            key_name: self.name.clone(),
            scopes: self.scopes,
            expires_at: self.valid_until,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_key_reads_back_and_any_other_digit_does_not() {
        let key = ApiKey::generate().unwrap();
        let text = key.reveal().to_owned();
        assert_eq!(text.len(), 97);
        assert_eq!(ApiKey::parse(&text).unwrap().id(), key.id());
        for position in 0..text.len() {
            let mut other = text.clone().into_bytes();
            other[position] = if other[position] == b'0' { b'1' } else { b'0' };
            assert!(ApiKey::parse(&String::from_utf8(other).unwrap()).is_none(), "position {position}");
        }
        for hostile in ["", "ratchet_", "ratchet__", "ratchet_é_é", "local-dev-key", &text[..96], &format!("{text}0")]
        {
            assert!(ApiKey::parse(hostile).is_none(), "{hostile}");
        }
    }

    #[test]
    fn a_key_is_named_by_its_id_or_by_all_of_it() {
        let key = ApiKey::generate().unwrap();
        assert_eq!(ApiKey::parse_id(key.id().as_str()), Some(key.id()));
        assert_eq!(ApiKey::parse_id(key.reveal()), Some(key.id()));
        let text = key.reveal();
        for other in ["", "0123", "0123456789ABCDEF", "0123456789abcdeg", "00123456789abcdef", &text[..96], &text[8..]]
        {
            assert_eq!(ApiKey::parse_id(other), None, "{other}");
        }
    }

    #[test]
    fn a_debug_line_does_not_show_the_secret() {
        let key = ApiKey::generate().unwrap();
        assert_eq!(format!("{key:?}"), format!("ApiKey({})", key.id()));
    }

    #[test]
    fn only_the_very_key_is_admitted_and_only_while_it_is_valid() {
        let key = ApiKey::generate().unwrap();
        let at = |millis| Timestamp::from_millis(millis).unwrap();
        let mut record = ApiKeyRecord {
            digest: key.digest(),
            organization: OrganizationId::parse("acme").unwrap(),
            name: KeyName::parse("CI").ok(),
            scopes: Scopes::parse("read").unwrap(),
            valid_until: None,
        };
        let caller = record.admit(&key, at(5)).unwrap();
        assert_eq!(
            (caller.organization.as_str(), caller.key_name, caller.expires_at),
            ("acme", record.name.clone(), None)
        );
        assert!(record.admit(&ApiKey::generate().unwrap(), at(5)).is_none());
        record.valid_until = Some(at(5));
        assert_eq!(record.admit(&key, at(4)).unwrap().expires_at, Some(at(5)));
        assert!(record.admit(&key, at(5)).is_none());
    }
}
