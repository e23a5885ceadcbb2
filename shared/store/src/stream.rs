//! The table's stream: what a record of it says happened to an execution.
//!
//! A record has the item before and after a change. What happened between the two is in the transition log of the later one, so
//! that nothing is missed where a record is read twice, late, or not at all: the next one of the execution has it, too.

use std::collections::HashMap;

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ratchet_model::error::Error;
use ratchet_model::event::{Event, events_since};
use ratchet_model::execution::{Execution, Transition};
use serde_json::{Map, Value};

use crate::item::{Inputs, Item, read_execution, read_transitions, read_version};
use crate::schema as a;
use crate::table_keys as k;

/// A change of an execution's head.
#[derive(Debug, Clone)]
pub struct HeadChange {
    /// The record after it, without its inputs.
    pub execution: Execution,
    /// The version before it; `None`: it is the creation.
    pub seen: Option<i64>,
    /// The transitions up to it, oldest first.
    pub log: Vec<Transition>,
}

impl HeadChange {
    /// What is to be told of it: nothing where fields alone were changed, or nothing at all.
    ///
    /// # Errors
    ///
    /// [`Error::Internal`] for a stored text that is damaged.
    pub fn events(&self) -> Result<Vec<Event>, Error> {
        events_since(self.seen, &self.execution, &self.log)
            .map_err(|error| Error::internal(format!("a stored text is no JSON: {error}")))
    }

    /// The transition by which the execution ended, if it did in this change.
    #[must_use]
    pub fn end(&self) -> Option<&Transition> {
        let last = self.log.last().filter(|last| last.to.is_terminal())?;
        self.seen.is_none_or(|seen| last.version > seen).then_some(last)
    }
}

/// The sequence number of a record, by which Lambda is told from where on to repeat.
#[must_use]
pub fn sequence_number(record: &Value) -> Option<&str> {
    record.get("dynamodb")?.get("SequenceNumber")?.as_str()
}

/// Reads a record of the stream, as Lambda hands it to a function. `None` where it tells of no execution: another kind of item,
/// or a removal.
///
/// # Errors
///
/// [`Error::Internal`] for an image that is damaged, or not there. It will be so the next time, too.
pub fn read_record(record: &Value) -> Result<Option<HeadChange>, Error> {
    let change = record.get("dynamodb").ok_or_else(|| Error::internal("a record of the stream without its change"))?;
    let key = |name: &str| change.get("Keys")?.get(name)?.get("S")?.as_str();
    let is_head = key(a::SK) == Some(a::HEAD_SK) && key(a::PK).is_some_and(|pk| k::parse_execution_pk(pk).is_some());
    let created = match record.get("eventName").and_then(Value::as_str) {
        Some("INSERT") => true,
        Some("MODIFY") => false,
        _ => return Ok(None),
    };
    if !is_head {
        return Ok(None);
    }
    let damaged = || Error::internal("a record of the stream with a damaged image");
    let new = change.get("NewImage").and_then(Value::as_object).and_then(read_item).ok_or_else(damaged)?;
    let seen = (!created).then(|| {
        let old = change.get("OldImage").and_then(Value::as_object).and_then(read_item);
        // Where it cannot be read, all is told again: an event that comes twice is dropped, one that does not come is missed.
        old.and_then(|old| read_version(&old).ok()).unwrap_or(0)
    });
    Ok(Some(read_head(&new, seen)?))
}

/// What is to be told of an execution as its head says, when its version `seen` was told before.
///
/// # Errors
///
/// [`Error::Internal`] for a head that is damaged.
pub fn read_head(head: &Item, seen: Option<i64>) -> Result<HeadChange, Error> {
    let log = read_transitions(head)?.into_iter().map(|(_, transition)| transition).collect();
    Ok(HeadChange { execution: read_execution(head, Inputs::LeftOut)?, seen, log })
}

/// An item in DynamoDB's JSON. `None` where it is not in that form.
fn read_item(image: &Map<String, Value>) -> Option<Item> {
    image.iter().map(|(name, value)| Some((name.clone(), read_value(value)?))).collect()
}

fn read_value(value: &Value) -> Option<AttributeValue> {
    let mut members = value.as_object()?.iter();
    let (Some((kind, value)), None) = (members.next(), members.next()) else { return None };
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let bytes = |value: &Value| Some(Blob::new(STANDARD.decode(value.as_str()?).ok()?));
    let values = || value.as_array().map(|values| values.iter());
    Some(match kind.as_str() {
        "S" => AttributeValue::S(text(value)?),
        "N" => AttributeValue::N(text(value)?),
        "B" => AttributeValue::B(bytes(value)?),
        "BOOL" => AttributeValue::Bool(value.as_bool()?),
        "NULL" => AttributeValue::Null(value.as_bool()?),
        "L" => AttributeValue::L(values()?.map(read_value).collect::<Option<_>>()?),
        "M" => {
            let members = value.as_object()?.iter();
            let members = members.map(|(name, value)| Some((name.clone(), read_value(value)?)));
            AttributeValue::M(members.collect::<Option<HashMap<_, _>>>()?)
        }
        "SS" => AttributeValue::Ss(values()?.map(text).collect::<Option<_>>()?),
        "NS" => AttributeValue::Ns(values()?.map(text).collect::<Option<_>>()?),
        "BS" => AttributeValue::Bs(values()?.map(bytes).collect::<Option<_>>()?),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_type_of_an_attribute_is_read() {
        let values = json!({
            "s": { "S": "a" }, "n": { "N": "1.5" }, "b": { "B": "AQI=" }, "t": { "BOOL": true }, "z": { "NULL": true },
            "l": { "L": [{ "S": "a" }, { "M": {} }] }, "m": { "M": { "": { "N": "1" } } },
            "ss": { "SS": ["a"] }, "ns": { "NS": ["1"] }, "bs": { "BS": ["AQI="] }
        });
        let item = read_item(values.as_object().unwrap()).unwrap();
        assert_eq!(item.len(), 10);
        assert_eq!(item["b"], AttributeValue::B(Blob::new([1, 2])));
        assert_eq!(item["l"].as_l().unwrap()[1], AttributeValue::M(HashMap::new()));
        for wrong in [
            json!({ "a": { "S": 1 } }),
            json!({ "a": {} }),
            json!({ "a": "S" }),
            json!({ "a": { "S": "a", "N": "1" } }),
            json!({ "a": { "X": "a" } }),
            json!({ "a": { "B": "?" } }),
            json!({ "a": { "L": [{ "M": { "b": { "SS": [1] } } }] } }),
        ] {
            assert_eq!(read_item(wrong.as_object().unwrap()), None, "{wrong}");
        }
    }

    #[test]
    fn what_is_no_head_tells_nothing_and_what_is_damaged_is_an_error() {
        let record = |name: &str, pk: &str, sk: &str| {
            let keys = json!({ "pk": { "S": pk }, "sk": { "S": sk } });
            json!({ "eventName": name, "dynamodb": { "Keys": keys, "NewImage": {}, "SequenceNumber": "7" } })
        };
        let pk = "e#acme#9590e06b-a39e-4436-805b-57b9b56d0dea";
        for (name, pk, sk) in [
            ("INSERT", pk, "i"),
            ("MODIFY", pk, "s#1"),
            ("INSERT", "k#0123456789abcdef", "k"),
            ("INSERT", "k#0123456789abcdef", "h"),
            ("MODIFY", "c#acme#nightly", "c"),
            ("REMOVE", pk, "h"),
            ("OTHER", pk, "h"),
        ] {
            assert!(read_record(&record(name, pk, sk)).unwrap().is_none(), "{name} {pk} {sk}");
        }
        for damaged in [record("INSERT", pk, "h"), record("MODIFY", pk, "h"), json!({}), json!([])] {
            assert!(matches!(read_record(&damaged), Err(Error::Internal(_))), "{damaged}");
        }
        assert_eq!(sequence_number(&record("INSERT", pk, "h")), Some("7"));
        assert_eq!(sequence_number(&json!({ "dynamodb": {} })), None);
    }
}
