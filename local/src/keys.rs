//! API keys given on the command line: `KEY=ORG[:scopes]`.

use std::collections::HashMap;
use std::str::FromStr;

use ratchet_model::caller::Caller;
use ratchet_model::id::{KeyId, OrganizationId};
use ratchet_model::scope::{Scopes, ScopesError};

/// One key of the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalKey {
    /// The key, any text.
    pub key: String,
    /// The organization that it speaks for.
    pub organization: OrganizationId,
    /// What it may do.
    pub scopes: Scopes,
}

impl FromStr for LocalKey {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // The key itself may have an equals sign in it, the rest cannot.
        let (key, rest) = text.rsplit_once('=').ok_or("expected KEY=ORG or KEY=ORG:scopes, such as demo=acme:read")?;
        let (organization, scopes) = rest.split_once(':').map_or((rest, None), |(name, scopes)| (name, Some(scopes)));
        if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("a key has at least one visible ASCII character and no spaces".to_owned());
        }
        let organization = OrganizationId::parse(organization).ok_or_else(|| {
            format!("{organization:?} is no organization: use 1 to 64 of A-Z, a-z, 0-9, '.', '_' and '-'")
        })?;
        let scopes = scopes.map_or(Ok(Scopes::ALL), Scopes::parse).map_err(|error| match error {
            ScopesError::Empty => "no scopes after the colon: use read, write or admin, separated by commas".to_owned(),
            ScopesError::Unknown(name) => {
                format!("{name:?} is no scope: use read, write or admin, separated by commas")
            }
        })?;
        Ok(Self { key: key.to_owned(), organization, scopes })
    }
}

/// The keys of the command line, each with its caller.
#[must_use]
pub fn callers(keys: &[LocalKey]) -> HashMap<String, Caller> {
    keys.iter()
        .enumerate()
        .filter_map(|(index, key)| {
            let key_id = KeyId::parse(&format!("local-{}", index + 1))?;
            let organization = key.organization.clone();
            let caller = Caller { organization, key_id, key_name: None, scopes: key.scopes, expires_at: None };
            Some((key.key.clone(), caller))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_names_its_organization_and_its_scopes() {
        let key: LocalKey = "a=b=acme:read,write".parse().unwrap();
        assert_eq!((key.key.as_str(), key.organization.as_str()), ("a=b", "acme"));
        assert_eq!(key.scopes.to_string(), "read,write");
        assert_eq!("k=acme".parse::<LocalKey>().unwrap().scopes, Scopes::ALL);
    }

    #[test]
    fn what_is_wrong_with_a_key_is_reported() {
        for (text, part) in [
            ("key", "KEY=ORG"),
            ("=acme", "visible ASCII"),
            ("a key=acme", "visible ASCII"),
            ("k=", "no organization"),
            ("k=a#b", "no organization"),
            ("k=acme:", "no scopes"),
            ("k=acme:root", "\"root\" is no scope"),
        ] {
            let error = text.parse::<LocalKey>().unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
