//! Reading and writing JSON exactly: objects stay text, names become values of the model.

use std::borrow::Cow;

use ratchet_model::clock::Timestamp;
use ratchet_model::id::ExecutionId;
use ratchet_model::json::JsonText;
use ratchet_model::status::Status;
use ratchet_model::wire_name::WireName;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

/// A text, borrowed where it can be.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// Reads the name of a value.
pub(crate) fn named<'de, T: WireName, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    let Text(name) = Text::deserialize(deserializer)?;
    T::parse(&name).ok_or_else(|| D::Error::custom(format!("a name that this client does not know: {name:?}")))
}

/// Reads the name of a value, or null.
pub(crate) fn maybe_named<'de, T: WireName, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    let Some(Text(name)) = Option::<Text>::deserialize(deserializer)? else { return Ok(None) };
    T::parse(&name)
        .map(Some)
        .ok_or_else(|| D::Error::custom(format!("a name that this client does not know: {name:?}")))
}

/// Reads the id of an execution.
pub(crate) fn id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ExecutionId, D::Error> {
    let Text(text) = Text::deserialize(deserializer)?;
    ExecutionId::parse(&text).ok_or_else(|| D::Error::custom(format!("not the id of an execution: {text:?}")))
}

/// Reads a time.
pub(crate) fn time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
    let Text(text) = Text::deserialize(deserializer)?;
    Timestamp::parse(&text).map_err(|_| D::Error::custom(format!("not a time: {text:?}")))
}

/// Reads a time, or null.
pub(crate) fn maybe_time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
    let Some(Text(text)) = Option::<Text>::deserialize(deserializer)? else { return Ok(None) };
    Timestamp::parse(&text).map(Some).map_err(|_| D::Error::custom(format!("not a time: {text:?}")))
}

/// Keeps a value as the text that it is, or null.
pub(crate) fn maybe_json<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<JsonText>, D::Error> {
    let value = Option::<Box<RawValue>>::deserialize(deserializer)?;
    Ok(value.map(|value| JsonText::new_unchecked(value.get().to_owned())))
}

/// Writes the name of a value.
pub(crate) fn write_named<T: WireName, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(value.as_str())
}

/// Writes the name of a value that is there.
#[expect(clippy::ref_option, reason = "serde passes a reference to the field")]
pub(crate) fn write_maybe_named<T: WireName, S: Serializer>(
    value: &Option<T>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    value.map(WireName::as_str).serialize(serializer)
}

/// Reads a status.
pub(crate) fn status<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Status, D::Error> {
    named(deserializer)
}
