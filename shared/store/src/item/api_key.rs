//! The item of an API key.

use ratchet_model::api_key::ApiKeyRecord;
use ratchet_model::clock::Timestamp;
use ratchet_model::error::Error;
use ratchet_model::id::{KeyId, OrganizationId};
use ratchet_model::key_name::KeyName;
use ratchet_model::scope::Scopes;

use super::attributes::{Attributes, Item};
use crate::expression::{binary, number, text};
use crate::schema as a;
use crate::table_keys as k;

/// The item of an API key without the attributes by which keys are listed. The authorizer finds it. Keys that are older
/// than the list of keys have this form.
#[must_use]
pub fn api_key_item(key_id: &KeyId, record: &ApiKeyRecord) -> Item {
    let mut item: Item = [
        (a::PK, text(k::api_key_pk(key_id))),
        (a::SK, text(a::API_KEY_SK)),
        (a::API_KEY_DIGEST, binary(record.digest)),
        (a::API_KEY_ORGANIZATION, text(record.organization.as_str())),
        (a::API_KEY_SCOPES, text(record.scopes.to_string())),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .collect();
    if let Some(name) = &record.name {
        item.insert(a::API_KEY_NAME.to_owned(), text(name.as_str()));
    }
    if let Some(until) = record.valid_until {
        item.insert(a::API_KEY_VALID_UNTIL.to_owned(), number(until.millis()));
    }
    item
}

/// The item of an API key that is listed.
#[must_use]
pub fn listed_api_key_item(key_id: &KeyId, record: &ApiKeyRecord, created_at: Timestamp) -> Item {
    let mut item = api_key_item(key_id, record);
    item.extend(
        [
            (a::BY_ORGANIZATION, text(a::API_KEYS)),
            (a::ORDER, text(k::api_key_order(created_at, key_id))),
            (a::CREATED_AT, number(created_at.millis())),
        ]
        .map(|(name, value)| (name.to_owned(), value)),
    );
    item
}

/// The id of an API key, and when it was created: `None` for a key that is older than the list of keys.
///
/// # Errors
///
/// [`Error::Internal`] for an attribute that is missing or has another type.
pub fn read_api_key_origin(item: &Item) -> Result<(KeyId, Option<Timestamp>), Error> {
    let attributes = Attributes(item);
    let id = k::parse_api_key_pk(attributes.text(a::PK)?).ok_or_else(|| Attributes::damaged(a::PK))?;
    Ok((id, attributes.maybe_time(a::CREATED_AT)?))
}

/// Reads the item of an API key.
///
/// # Errors
///
/// [`Error::Internal`] for an attribute that is missing or has another type.
pub fn read_api_key(item: &Item) -> Result<ApiKeyRecord, Error> {
    let attributes = Attributes(item);
    let digest = item.get(a::API_KEY_DIGEST).and_then(|value| value.as_b().ok());
    Ok(ApiKeyRecord {
        digest: digest
            .and_then(|bytes| bytes.as_ref().try_into().ok())
            .ok_or_else(|| Attributes::damaged(a::API_KEY_DIGEST))?,
        organization: OrganizationId::parse(attributes.text(a::API_KEY_ORGANIZATION)?)
            .ok_or_else(|| Attributes::damaged(a::API_KEY_ORGANIZATION))?,
        name: attributes
            .maybe_text(a::API_KEY_NAME)?
            .map(|name| KeyName::parse(name).map_err(|_| Attributes::damaged(a::API_KEY_NAME)))
            .transpose()?,
        scopes: Scopes::parse(attributes.text(a::API_KEY_SCOPES)?)
            .map_err(|_| Attributes::damaged(a::API_KEY_SCOPES))?,
        valid_until: attributes.maybe_time(a::API_KEY_VALID_UNTIL)?,
    })
}
