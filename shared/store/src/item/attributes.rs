//! Items, and typed reads of their attributes.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use ratchet_model::clock::Timestamp;
use ratchet_model::error::Error;
use ratchet_model::json::JsonText;
use ratchet_model::wire_name::WireName;

/// An item, as DynamoDB's SDK represents it.
pub type Item = HashMap<String, AttributeValue>;

/// Reads typed attributes. An error names the attribute that is missing or has another type.
pub(super) struct Attributes<'a>(pub(super) &'a Item);

impl<'a> Attributes<'a> {
    pub(super) fn damaged(name: &str) -> Error {
        Error::internal(format!("attribute {name} is missing or has another type"))
    }

    pub(super) fn maybe_text(&self, name: &str) -> Result<Option<&'a str>, Error> {
        let Some(value) = self.0.get(name) else { return Ok(None) };
        value.as_s().map(|text| Some(text.as_str())).map_err(|_| Self::damaged(name))
    }

    pub(super) fn text(&self, name: &str) -> Result<&'a str, Error> {
        self.maybe_text(name)?.ok_or_else(|| Self::damaged(name))
    }

    pub(super) fn maybe_number(&self, name: &str) -> Result<Option<i64>, Error> {
        let Some(value) = self.0.get(name) else { return Ok(None) };
        let digits = value.as_n().map_err(|_| Self::damaged(name))?;
        digits.parse().map(Some).map_err(|_| Self::damaged(name))
    }

    pub(super) fn number(&self, name: &str) -> Result<i64, Error> {
        self.maybe_number(name)?.ok_or_else(|| Self::damaged(name))
    }

    pub(super) fn maybe_time(&self, name: &str) -> Result<Option<Timestamp>, Error> {
        let Some(millis) = self.maybe_number(name)? else { return Ok(None) };
        Timestamp::from_millis(millis).map(Some).ok_or_else(|| Self::damaged(name))
    }

    pub(super) fn time(&self, name: &str) -> Result<Timestamp, Error> {
        self.maybe_time(name)?.ok_or_else(|| Self::damaged(name))
    }

    pub(super) fn named<T: WireName>(&self, name: &str) -> Result<T, Error> {
        T::parse(self.text(name)?).ok_or_else(|| Self::damaged(name))
    }

    pub(super) fn maybe_json(&self, name: &str) -> Result<Option<JsonText>, Error> {
        Ok(self.maybe_text(name)?.map(|text| JsonText::new_unchecked(text.to_owned())))
    }

    pub(super) fn object(&self, name: &str) -> Result<JsonText, Error> {
        Ok(self.maybe_json(name)?.unwrap_or_else(JsonText::empty_object))
    }
}
