//! Between the record and its item.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;

use super::attributes as a;
use super::expression::{binary, empty_map, number, text};
use super::marks::{self, Mark};
use crate::auth::{Caller, KeyId, KeyRecord, Scopes};
use crate::clock::Timestamp;
use crate::error::Error;
use crate::execution::{Execution, Named, Priority, Transition, TriggerType, UNASSIGNED};
use crate::json::JsonText;
use crate::request::ExecutionId;
use crate::request::execute::NewExecution;
use crate::status::Status;

/// An item as DynamoDB gives and takes it.
pub type Item = HashMap<String, AttributeValue>;

/// The head item of a new execution. What equals its default is left out: the item is billed by its size.
#[must_use]
pub fn new_head(
    caller: &Caller,
    new: &NewExecution,
    id: &ExecutionId,
    execution_number: i64,
    now: Timestamp,
    mark: &Mark,
) -> Item {
    let organization = &caller.organization;
    let shard = a::shard(id);
    let mut item: Item = [
        (a::PK, text(a::execution_pk(organization, id))),
        (a::SK, text(a::HEAD)),
        (a::ORDER, text(a::order(now, id))),
        (a::BY_ORGANIZATION, text(a::organization_partition(organization, shard))),
        (a::BY_STATUS, text(a::status_partition(organization, shard, Status::Pending))),
        (a::BY_FLOW, text(a::flow_partition(organization, shard, &new.flow_id))),
        (a::STATUS, text(Status::Pending.as_str())),
        (a::VERSION, number(1)),
        (a::CREATED_AT, number(now.millis())),
        (a::UPDATED_AT, number(now.millis())),
        (a::FLOW_ID, text(&new.flow_id)),
        (a::NUMBER, number(execution_number)),
        (a::TRIGGER_TYPE, text(new.trigger_type.name())),
        (a::TIMEOUT, number(new.timeout_seconds)),
        (a::RETRY_COUNT, number(0)),
        (a::MAX_RETRIES, number(new.max_retries)),
        (a::MADE_BY, mark.content()),
    ]
    .into_iter()
    .chain(marks::maps().map(|map| (map, empty_map())))
    .map(|(name, value)| (name.to_owned(), value))
    .collect();

    let mut put = |name: &str, value: AttributeValue| item.insert(name.to_owned(), value);
    for (name, object) in
        [(a::TRIGGER_DATA, &new.trigger_data), (a::VARIABLES, &new.variables), (a::METADATA, &new.metadata)]
    {
        if *object != JsonText::empty_object() {
            put(name, text(object.as_str()));
        }
    }
    if new.priority != Priority::default() {
        put(a::PRIORITY, text(new.priority.name()));
    }
    if new.agent_id != UNASSIGNED {
        put(a::AGENT_ID, text(&new.agent_id));
    }
    if let Some(parent) = &new.parent_execution_id {
        put(a::PARENT, text(parent));
    }
    if let Some(time) = new.scheduled_at {
        put(a::SCHEDULED_AT, number(time.millis()));
    }
    item
}

/// How many bytes an item has, by DynamoDB's rules.
#[must_use]
pub fn size(item: &Item) -> usize {
    item.iter().map(|(name, value)| name.len() + value_size(value)).sum()
}

fn value_size(value: &AttributeValue) -> usize {
    match value {
        AttributeValue::S(text) => text.len(),
        // Two digits a byte, and one more.
        AttributeValue::N(digits) => digits.len() / 2 + 1,
        AttributeValue::B(bytes) => bytes.as_ref().len(),
        AttributeValue::L(list) => 3 + list.iter().map(|value| 1 + value_size(value)).sum::<usize>(),
        AttributeValue::M(map) => 3 + map.iter().map(|(name, value)| 1 + name.len() + value_size(value)).sum::<usize>(),
        _ => 1,
    }
}

/// Reads typed attributes, and says which one is not as it must be.
struct Attributes<'a>(&'a Item);

impl<'a> Attributes<'a> {
    fn damaged(name: &str) -> Error {
        Error::internal(format!("attribute {name} is missing or has another type"))
    }

    fn maybe_text(&self, name: &str) -> Result<Option<&'a str>, Error> {
        let Some(value) = self.0.get(name) else { return Ok(None) };
        value.as_s().map(|text| Some(text.as_str())).map_err(|_| Self::damaged(name))
    }

    fn text(&self, name: &str) -> Result<&'a str, Error> {
        self.maybe_text(name)?.ok_or_else(|| Self::damaged(name))
    }

    fn maybe_number(&self, name: &str) -> Result<Option<i64>, Error> {
        let Some(value) = self.0.get(name) else { return Ok(None) };
        let digits = value.as_n().map_err(|_| Self::damaged(name))?;
        digits.parse().map(Some).map_err(|_| Self::damaged(name))
    }

    fn number(&self, name: &str) -> Result<i64, Error> {
        self.maybe_number(name)?.ok_or_else(|| Self::damaged(name))
    }

    fn maybe_time(&self, name: &str) -> Result<Option<Timestamp>, Error> {
        let Some(millis) = self.maybe_number(name)? else { return Ok(None) };
        Timestamp::from_millis(millis).map(Some).ok_or_else(|| Self::damaged(name))
    }

    fn time(&self, name: &str) -> Result<Timestamp, Error> {
        self.maybe_time(name)?.ok_or_else(|| Self::damaged(name))
    }

    fn named<T: Named>(&self, name: &str) -> Result<T, Error> {
        T::from_name(self.text(name)?).ok_or_else(|| Self::damaged(name))
    }

    fn maybe_json(&self, name: &str) -> Result<Option<JsonText>, Error> {
        Ok(self.maybe_text(name)?.map(|text| JsonText::from_trusted(text.to_owned())))
    }

    fn object(&self, name: &str) -> Result<JsonText, Error> {
        Ok(self.maybe_json(name)?.unwrap_or_else(JsonText::empty_object))
    }
}

/// What decides over a write.
#[derive(Debug, Clone, Copy)]
pub struct State {
    /// The status.
    pub status: Status,
    /// How often the record was written.
    pub version: i64,
    /// How often it was retried.
    pub retry_count: i64,
    /// How often it may be.
    pub max_retries: i64,
}

/// Reads what decides over a write.
///
/// # Errors
///
/// [`Error::Internal`] for an attribute that is missing or has another type.
pub fn read_state(item: &Item) -> Result<State, Error> {
    let attributes = Attributes(item);
    Ok(State {
        status: attributes.named(a::STATUS)?,
        version: attributes.number(a::VERSION)?,
        retry_count: attributes.number(a::RETRY_COUNT)?,
        max_retries: attributes.number(a::MAX_RETRIES)?,
    })
}

/// Reads a record.
///
/// # Errors
///
/// [`Error::Internal`] for an attribute that is missing or has another type.
pub fn read_execution(item: &Item) -> Result<Execution, Error> {
    let attributes = Attributes(item);
    let mut key = attributes.text(a::PK)?.splitn(3, '#').skip(1);
    let mut part = || key.next().map(str::to_owned).ok_or_else(|| Attributes::damaged(a::PK));
    let organization_id = part()?;
    let id = part()?;
    let created_at = attributes.time(a::CREATED_AT)?;
    let priority = match attributes.maybe_text(a::PRIORITY)? {
        Some(_) => attributes.named(a::PRIORITY)?,
        None => Priority::default(),
    };
    Ok(Execution {
        id,
        flow_id: attributes.text(a::FLOW_ID)?.to_owned(),
        agent_id: attributes.maybe_text(a::AGENT_ID)?.unwrap_or(UNASSIGNED).to_owned(),
        organization_id,
        execution_number: attributes.number(a::NUMBER)?,
        trigger_type: attributes.named::<TriggerType>(a::TRIGGER_TYPE)?,
        trigger_data: attributes.object(a::TRIGGER_DATA)?,
        variables: attributes.object(a::VARIABLES)?,
        priority,
        status: attributes.named(a::STATUS)?,
        started_at: attributes.maybe_time(a::STARTED_AT)?.unwrap_or(created_at),
        completed_at: attributes.maybe_time(a::COMPLETED_AT)?,
        // The store subtracts: a completed_at from before the start, or a clock that lags, must not go below 0.
        duration_ms: attributes.maybe_number(a::DURATION)?.map(|millis| millis.max(0)),
        timeout_seconds: attributes.number(a::TIMEOUT)?,
        steps: Vec::new(),
        final_output: attributes.maybe_json(a::FINAL_OUTPUT)?,
        error_message: attributes.maybe_text(a::ERROR_MESSAGE)?.map(str::to_owned),
        error_details: attributes.maybe_json(a::ERROR_DETAILS)?,
        retry_count: attributes.number(a::RETRY_COUNT)?,
        max_retries: attributes.number(a::MAX_RETRIES)?,
        parent_execution_id: attributes.maybe_text(a::PARENT)?.map(str::to_owned),
        tokens_used: attributes.maybe_number(a::TOKENS)?,
        tool_calls_count: attributes.maybe_number(a::TOOL_CALLS)?.unwrap_or(0),
        cost_estimate: attributes.maybe_json(a::COST)?,
        performance_metrics: attributes.object(a::METRICS)?,
        metadata: attributes.object(a::METADATA)?,
        created_at,
        updated_at: attributes.time(a::UPDATED_AT)?,
        scheduled_at: attributes.maybe_time(a::SCHEDULED_AT)?,
        version: attributes.number(a::VERSION)?,
    })
}

/// One entry of the transition log: mark, status, time, key id and, if there was one, reason.
///
/// `from` is not in it: it is the status that the transition before led to. Nor is the version, which the store counts
/// and keeps in a map beside this one.
pub fn log_entry(mark: &Mark, to: Status, at: Timestamp, caller: &Caller, reason: Option<&str>) -> AttributeValue {
    let mut parts = vec![mark.content(), text(to.as_str()), number(at.millis()), text(&caller.key_id)];
    parts.extend(reason.map(text));
    AttributeValue::L(parts)
}

/// Reads the transitions, oldest first, each with the id of its write.
///
/// # Errors
///
/// [`Error::Internal`] for an attribute that is missing or has another type.
pub fn read_transitions(item: &Item) -> Result<Vec<(String, Transition)>, Error> {
    let map = |name: &str| item.get(name).and_then(|value| value.as_m().ok()).ok_or_else(|| Attributes::damaged(name));
    let versions = map(a::TRANSITION_VERSIONS)?;
    let mut transitions = Vec::new();
    for (id, entry) in map(a::TRANSITIONS)? {
        let read = || {
            let [_mark, to, at, by, reason @ ..] = entry.as_l().ok()?.as_slice() else { return None };
            Some(Transition {
                from: Status::Pending,
                to: Status::from_name(to.as_s().ok()?)?,
                at: Timestamp::from_millis(at.as_n().ok()?.parse().ok()?)?,
                by: by.as_s().ok()?.clone(),
                reason: reason.first().and_then(|reason| reason.as_s().ok()).cloned(),
                version: versions.get(id)?.as_n().ok()?.parse().ok()?,
            })
        };
        transitions.push((id.clone(), read().ok_or_else(|| Attributes::damaged(a::TRANSITIONS))?));
    }
    transitions.sort_by_key(|(_, transition)| transition.version);
    let mut from = Status::Pending;
    for (_, transition) in &mut transitions {
        transition.from = std::mem::replace(&mut from, transition.to);
    }
    Ok(transitions)
}

/// The item of an API key that the authorizer finds and no list shows: what it had before there was a list.
#[must_use]
pub fn key_item(key_id: &str, record: &KeyRecord) -> Item {
    let mut item: Item = [
        (a::PK, text(a::key_pk(key_id))),
        (a::SK, text(a::KEY)),
        (a::KEY_DIGEST, binary(record.digest)),
        (a::KEY_ORGANIZATION, text(&record.organization)),
        (a::KEY_SCOPES, text(record.scopes.to_string())),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .collect();
    if let Some(until) = record.valid_until {
        item.insert(a::KEY_VALID_UNTIL.to_owned(), number(until.millis()));
    }
    item
}

/// The item of an API key that is listed.
#[must_use]
pub fn listed_key_item(key_id: &str, record: &KeyRecord, created_at: Timestamp) -> Item {
    let mut item = key_item(key_id, record);
    item.extend(
        [
            (a::BY_ORGANIZATION, text(a::KEYS)),
            (a::ORDER, text(a::key_order(created_at, key_id))),
            (a::CREATED_AT, number(created_at.millis())),
        ]
        .map(|(name, value)| (name.to_owned(), value)),
    );
    item
}

/// The id of an API key, and when it was made: `None` for a key that is older than lists.
///
/// # Errors
///
/// [`Error::Internal`] for an attribute that is missing or has another type.
pub fn read_key_origin(item: &Item) -> Result<(KeyId, Option<Timestamp>), Error> {
    let attributes = Attributes(item);
    let id = a::parse_key_pk(attributes.text(a::PK)?).ok_or_else(|| Attributes::damaged(a::PK))?;
    Ok((id, attributes.maybe_time(a::CREATED_AT)?))
}

/// Reads the item of an API key.
///
/// # Errors
///
/// [`Error::Internal`] for an attribute that is missing or has another type.
pub fn read_key(item: &Item) -> Result<KeyRecord, Error> {
    let attributes = Attributes(item);
    let digest = item.get(a::KEY_DIGEST).and_then(|value| value.as_b().ok());
    Ok(KeyRecord {
        digest: digest
            .and_then(|bytes| bytes.as_ref().try_into().ok())
            .ok_or_else(|| Attributes::damaged(a::KEY_DIGEST))?,
        organization: attributes.text(a::KEY_ORGANIZATION)?.to_owned(),
        scopes: Scopes::parse(attributes.text(a::KEY_SCOPES)?).map_err(|_| Attributes::damaged(a::KEY_SCOPES))?,
        valid_until: attributes.maybe_time(a::KEY_VALID_UNTIL)?,
    })
}
