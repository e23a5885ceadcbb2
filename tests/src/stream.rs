//! Records of the table's stream, as Lambda hands them to a function.

use aws_sdk_dynamodb::types::AttributeValue;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ratchet_store::item::Item;
use serde_json::{Value, json};

/// A record of a change from one item to another; of its creation, where there is none before, or its removal, where there is
/// none after.
///
/// # Panics
///
/// Without any item.
#[must_use]
pub fn record(number: u64, old: Option<&Item>, new: Option<&Item>) -> Value {
    let name = match (old, new) {
        (None, _) => "INSERT",
        (Some(_), Some(_)) => "MODIFY",
        (Some(_), None) => "REMOVE",
    };
    let item = new.or(old).expect("an item");
    let keys: Value = ["pk", "sk"]
        .iter()
        .map(|key| ((*key).to_owned(), attribute(&item[*key])))
        .collect::<serde_json::Map<_, _>>()
        .into();
    let mut change = json!({
        "ApproximateCreationDateTime": 1_795_000_000.0,
        "Keys": keys,
        "SequenceNumber": format!("{number:021}"),
        "SizeBytes": 500,
        "StreamViewType": "NEW_AND_OLD_IMAGES",
    });
    for (name, image) in [("OldImage", old), ("NewImage", new)] {
        if let Some(image) = image {
            change[name] = image_of(image);
        }
    }
    json!({
        "eventID": format!("{number:032x}"),
        "eventName": name,
        "eventVersion": "1.1",
        "eventSource": "aws:dynamodb",
        "awsRegion": "eu-central-1",
        "dynamodb": change,
        "eventSourceARN":
            "arn:aws:dynamodb:eu-central-1:123456789012:table/ratchet-executions/stream/2026-01-02T00:00:00.000",
    })
}

/// An item in DynamoDB's JSON.
#[must_use]
pub fn image_of(item: &Item) -> Value {
    item.iter().map(|(name, value)| (name.clone(), attribute(value))).collect::<serde_json::Map<_, _>>().into()
}

fn attribute(value: &AttributeValue) -> Value {
    match value {
        AttributeValue::S(text) => json!({ "S": text }),
        AttributeValue::N(number) => json!({ "N": number }),
        AttributeValue::Bool(flag) => json!({ "BOOL": flag }),
        AttributeValue::Null(is_null) => json!({ "NULL": is_null }),
        AttributeValue::B(bytes) => json!({ "B": STANDARD.encode(bytes) }),
        AttributeValue::L(list) => json!({ "L": list.iter().map(attribute).collect::<Vec<_>>() }),
        AttributeValue::M(members) => json!({ "M": image_of(members) }),
        other => panic!("no item of this service has a {other:?}"),
    }
}
