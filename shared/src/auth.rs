//! Who calls: API keys, and the caller that the authorizer made of one (contract, "Keys and scopes").
//!
//! A key is `ratchet_<id>_<secret><checksum>`: an id of 64 random bits by which its item is found, a secret of 256, and
//! a CRC-32 of all before it, so that a mistyped key, or text that a secret scanner takes for one, is told apart without
//! a request. The table holds the SHA-256 of the whole and never the key.

use std::collections::HashMap;
use std::fmt;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::clock::Timestamp;
use crate::error::Error;

/// What every key starts with, for people and secret scanners.
pub const KEY_PREFIX: &str = "ratchet_";

const ID_DIGITS: usize = 16;
const SECRET_DIGITS: usize = 64;
const CHECKSUM_DIGITS: usize = 8;

/// What a key may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// The GETs.
    Read,
    /// Execute, update execution, and `cancelled` on update execution status.
    Write,
    /// All.
    Admin,
}

impl Scope {
    const ALL: [Self; 3] = [Self::Read, Self::Write, Self::Admin];

    /// The scope's name, as in the `scopes` of a key.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Admin => "admin",
        }
    }
}

/// The scopes of one key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Scopes {
    read: bool,
    write: bool,
    admin: bool,
}

impl Scopes {
    /// Every scope.
    pub const ALL: Self = Self { read: true, write: true, admin: true };

    /// Reads names separated by commas or spaces.
    ///
    /// # Errors
    ///
    /// The first name that is no scope, or an empty string where there is no name at all.
    pub fn parse(names: &str) -> Result<Self, String> {
        let mut scopes = Self::default();
        for name in names.split([',', ' ']).filter(|name| !name.is_empty()) {
            match Scope::ALL.into_iter().find(|scope| scope.as_str() == name) {
                Some(Scope::Read) => scopes.read = true,
                Some(Scope::Write) => scopes.write = true,
                Some(Scope::Admin) => scopes.admin = true,
                None => return Err(name.to_owned()),
            }
        }
        if scopes == Self::default() { Err(String::new()) } else { Ok(scopes) }
    }

    /// Whether these scopes allow what `scope` allows. `admin` allows all.
    #[must_use]
    pub const fn allow(self, scope: Scope) -> bool {
        self.admin
            || match scope {
                Scope::Read => self.read,
                Scope::Write => self.write,
                Scope::Admin => false,
            }
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let held = [(self.read, Scope::Read), (self.write, Scope::Write), (self.admin, Scope::Admin)];
        let names: Vec<&str> = held.iter().filter(|(holds, _)| *holds).map(|(_, scope)| scope.as_str()).collect();
        formatter.write_str(&names.join(","))
    }
}

/// Whether a text can be an organization: 1 to 64 of `[A-Za-z0-9._-]`.
///
/// The organization is part of the table's keys; without the table's delimiter in it, no organization can spell the key
/// of another one's item.
#[must_use]
pub fn is_organization(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
}

/// Who makes a request. Made by the authorizer alone: nothing in a request can set it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The organization of the key.
    pub organization: String,
    /// The id of the key: the `by` of a transition.
    pub key_id: String,
    /// What the key may do.
    pub scopes: Scopes,
}

/// The names in the authorizer's context.
const ORGANIZATION_ID: &str = "organization_id";
const KEY_ID: &str = "key_id";
const SCOPES: &str = "scopes";

impl Caller {
    /// From the authorizer's context in an event, by the names in it.
    ///
    /// # Errors
    ///
    /// [`Error::Internal`]: without a context the route was deployed without its authorizer, and nobody is served.
    pub fn from_context<'a>(context: impl Fn(&str) -> Option<&'a str>) -> Result<Self, Error> {
        let field = |name: &str| context(name).ok_or_else(|| Error::internal("no authorizer context in the event"));
        let organization = field(ORGANIZATION_ID)?;
        if !is_organization(organization) {
            return Err(Error::internal("the authorizer context names no organization"));
        }
        Ok(Self {
            organization: organization.to_owned(),
            key_id: field(KEY_ID)?.to_owned(),
            scopes: Scopes::parse(field(SCOPES)?)
                .map_err(|_| Error::internal("the authorizer context has no scopes"))?,
        })
    }

    /// The context by which API Gateway hands this caller to the functions.
    #[must_use]
    pub fn to_context(&self) -> HashMap<String, String> {
        HashMap::from([
            (ORGANIZATION_ID.to_owned(), self.organization.clone()),
            (KEY_ID.to_owned(), self.key_id.clone()),
            (SCOPES.to_owned(), self.scopes.to_string()),
        ])
    }

    /// Lets only a key with `scope` pass.
    ///
    /// # Errors
    ///
    /// [`Error::Forbidden`], which names the scope that is missing.
    pub fn require(&self, scope: Scope) -> Result<(), Error> {
        if self.scopes.allow(scope) { Ok(()) } else { Err(Error::Forbidden { needed: scope, held: self.scopes }) }
    }
}

/// A key as its owner holds it.
pub struct ApiKey(String);

impl fmt::Debug for ApiKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "ApiKey({})", self.id())
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
        let unsealed = format!("{KEY_PREFIX}{id}_{secret}");
        let checksum = checksum(&unsealed);
        Ok(Self(unsealed + &checksum))
    }

    /// Reads a key; `None` for anything that this service cannot have issued.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let rest = text.strip_prefix(KEY_PREFIX)?;
        let (id, sealed) = rest.split_once('_')?;
        let lengths = id.len() == ID_DIGITS && sealed.len() == SECRET_DIGITS + CHECKSUM_DIGITS;
        if !lengths || !is_digits(id) || !is_digits(sealed) {
            return None;
        }
        let (unsealed, claimed) = text.split_at_checked(text.len() - CHECKSUM_DIGITS)?;
        (checksum(unsealed) == claimed).then(|| Self(text.to_owned()))
    }

    /// The public part, by which its item is found.
    #[must_use]
    pub fn id(&self) -> &str {
        self.0.get(KEY_PREFIX.len()..KEY_PREFIX.len() + ID_DIGITS).unwrap_or_default()
    }

    /// The whole key, to be shown once.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// What the table keeps.
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

/// The public part of a key: 16 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId(String);

impl KeyId {
    /// Reads an id, or takes that of a whole key; `None` for anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let is_id = text.len() == ID_DIGITS && is_digits(text);
        if is_id { Some(Self(text.to_owned())) } else { ApiKey::parse(text).map(|key| Self::of(&key)) }
    }

    /// The id of a key.
    #[must_use]
    pub fn of(key: &ApiKey) -> Self {
        Self(key.id().to_owned())
    }

    /// Its digits.
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

/// Whether a key is admitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyState {
    /// Without an end.
    Active,
    /// Up to this moment, and from it on no more.
    Until(Timestamp),
    /// No more since this moment: it was revoked, replaced, or has expired.
    Revoked(Timestamp),
}

/// What the table says of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRecord {
    /// SHA-256 of the key.
    pub digest: [u8; 32],
    /// The organization that it speaks for.
    pub organization: String,
    /// What it may do.
    pub scopes: Scopes,
    /// From when on it is refused: revoked, or replaced by a newer key.
    pub valid_until: Option<Timestamp>,
}

impl KeyRecord {
    /// Whether the key is admitted at `now`.
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
            key_id: key.id().to_owned(),
            scopes: self.scopes,
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
        assert_eq!(KeyId::parse(key.id()), Some(KeyId::of(&key)));
        assert_eq!(KeyId::parse(key.reveal()), Some(KeyId::of(&key)));
        let text = key.reveal();
        for other in ["", "0123", "0123456789ABCDEF", "0123456789abcdeg", "00123456789abcdef", &text[..96], &text[8..]]
        {
            assert_eq!(KeyId::parse(other), None, "{other}");
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
        let mut record = KeyRecord {
            digest: key.digest(),
            organization: "acme".to_owned(),
            scopes: Scopes::parse("read").unwrap(),
            valid_until: None,
        };
        assert_eq!(record.admit(&key, at(5)).unwrap().organization, "acme");
        assert!(record.admit(&ApiKey::generate().unwrap(), at(5)).is_none());
        record.valid_until = Some(at(5));
        assert!(record.admit(&key, at(4)).is_some());
        assert!(record.admit(&key, at(5)).is_none());
    }

    #[test]
    fn scopes_are_read_and_admin_allows_all() {
        let read = Scopes::parse("read").unwrap();
        assert!(read.allow(Scope::Read) && !read.allow(Scope::Write) && !read.allow(Scope::Admin));
        let write = Scopes::parse("write").unwrap();
        assert!(!write.allow(Scope::Read) && write.allow(Scope::Write) && !write.allow(Scope::Admin));
        let admin = Scopes::parse("admin").unwrap();
        assert!(Scope::ALL.into_iter().all(|scope| admin.allow(scope)));
        assert_eq!(Scopes::parse("write, read").unwrap().to_string(), "read,write");
        assert_eq!(Scopes::parse("read,root"), Err("root".to_owned()));
        assert_eq!(Scopes::parse(" "), Err(String::new()));
    }
}
