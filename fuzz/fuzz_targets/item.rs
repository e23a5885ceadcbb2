//! Any item that the table may hold, read as an execution, its transitions and an API key.
//!
//! Items start as those that the service writes, and are then damaged: an item of noise alone would fail at its first
//! attribute and try nothing.
#![no_main]

use std::collections::HashMap;

use arbitrary::{Arbitrary, Result, Unstructured};
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use fuzz::{event, plain_id};
use libfuzzer_sys::fuzz_target;
use ratchet_http::response::Response;
use ratchet_model::api_key::ApiKeyRecord;
use ratchet_model::caller::Caller;
use ratchet_model::change::RequestedTransition;
use ratchet_model::clock::Timestamp;
use ratchet_model::error::Error;
use ratchet_model::execution::{Execution, Priority, Transition, TriggerType};
use ratchet_model::id::{ExecutionId, KeyId, OrganizationId};
use ratchet_model::idempotency::IdempotencyKey;
use ratchet_model::json::{self, JsonText};
use ratchet_model::key_name::KeyName;
use ratchet_model::limits::{MAX_KEY_NAME, MAX_LOGGED_REASON};
use ratchet_model::new_execution::NewExecution;
use ratchet_model::scope::Scopes;
use ratchet_model::status::Status;
use ratchet_model::wire_name::WireName;
use ratchet_store::dedup::WriteToken;
use ratchet_store::item::{
    self, Inputs, Item, NewItems, api_key_item, has_inputs_apart, listed_api_key_item, new_execution_items,
    read_api_key, read_api_key_origin, read_execution, read_state, read_transitions, transition_entry,
};
use ratchet_store::schema as a;
use ratchet_store::table_keys::{self as k, ListShards};
use serde_json::Value;

/// In every text that stands for something of a caller's: no error may repeat it, for errors are logged.
const CANARY: &str = "canary-7f3a";

/// Every attribute that an item may have.
const NAMES: [&str; 43] = [
    a::PK,
    a::SK,
    a::ORDER,
    a::BY_ORGANIZATION,
    a::BY_STATUS,
    a::BY_FLOW,
    a::STATUS,
    a::VERSION,
    a::ATTEMPT,
    a::FLOW_ID,
    a::AGENT_ID,
    a::NUMBER,
    a::TRIGGER_TYPE,
    a::TRIGGER_DATA,
    a::VARIABLES,
    a::INPUTS_APART,
    a::PRIORITY,
    a::STARTED_AT,
    a::COMPLETED_AT,
    a::DURATION,
    a::TIMEOUT,
    a::FINAL_OUTPUT,
    a::ERROR_MESSAGE,
    a::ERROR_DETAILS,
    a::RETRY_COUNT,
    a::MAX_RETRIES,
    a::PARENT,
    a::TOKENS,
    a::TOOL_CALLS,
    a::COST,
    a::METRICS,
    a::METADATA,
    a::CREATED_AT,
    a::UPDATED_AT,
    a::SCHEDULED_AT,
    a::TRANSITIONS,
    a::TRANSITION_VERSIONS,
    a::API_KEY_DIGEST,
    a::API_KEY_ORGANIZATION,
    a::API_KEY_NAME,
    a::API_KEY_SCOPES,
    a::API_KEY_VALID_UNTIL,
    a::CREATED_BY,
];

/// Texts that some attribute may have, and some that none may.
const TEXTS: [&str; 24] = [
    "running",
    "completed",
    "interrupted",
    "timeout",
    "retrying",
    "Running",
    "",
    "h",
    "api",
    "urgent",
    "{}",
    "{\"canary-7f3a\":1e400}",
    "{\"a\":",
    "[1,2]",
    "canary-7f3a",
    "\"canary-7f3a\"",
    "1.50",
    "read,write",
    "admin",
    "e#acme#0b8f2f4e-6a3b-4a54-9a3c-5f0f8f6b1d2e",
    "e#acme",
    "k#0123456789abcdef",
    "e##",
    "##",
];

/// Numbers as DynamoDB writes them, and as it never does.
const NUMBERS: [&str; 16] = [
    "0",
    "1",
    "-1",
    "1.5",
    "1E+37",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775808",
    "1795000000000",
    "253402300799999",
    "253402300800000",
    "-62167219200000",
    "-62167219200001",
    "+5",
    "",
    "canary-7f3a",
];

#[derive(Debug)]
struct Input {
    item: Item,
    inputs: Option<Item>,
    damage: Vec<(usize, Option<AttributeValue>)>,
    noise: HashMap<String, AttributeValue>,
}

fn text(bytes: &mut Unstructured<'_>) -> Result<String> {
    Ok(if bytes.ratio(2, 3)? { (*bytes.choose(&TEXTS)?).to_owned() } else { String::arbitrary(bytes)? })
}

fn number(bytes: &mut Unstructured<'_>) -> Result<String> {
    Ok(match bytes.int_in_range(0..=2)? {
        0 => (*bytes.choose(&NUMBERS)?).to_owned(),
        1 => i64::arbitrary(bytes)?.to_string(),
        _ => String::arbitrary(bytes)?,
    })
}

fn value(bytes: &mut Unstructured<'_>, levels: u8) -> Result<AttributeValue> {
    let kinds = if levels == 0 { 7 } else { 9 };
    Ok(match bytes.int_in_range(0..=kinds)? {
        0 | 1 => AttributeValue::S(text(bytes)?),
        2 | 3 => AttributeValue::N(number(bytes)?),
        4 => AttributeValue::B(Blob::new(Vec::<u8>::arbitrary(bytes)?)),
        5 => AttributeValue::Bool(bool::arbitrary(bytes)?),
        6 => AttributeValue::Null(true),
        7 => AttributeValue::Ss(Vec::<String>::arbitrary(bytes)?),
        8 => {
            let length = bytes.int_in_range(0..=6)?;
            AttributeValue::L((0..length).map(|_| value(bytes, levels - 1)).collect::<Result<_>>()?)
        }
        _ => {
            let length = bytes.int_in_range(0..=4)?;
            let entry = |bytes: &mut Unstructured<'_>| Ok((text(bytes)?, value(bytes, levels - 1)?));
            AttributeValue::M((0..length).map(|_| entry(bytes)).collect::<Result<_>>()?)
        }
    })
}

fn time(bytes: &mut Unstructured<'_>) -> Result<Timestamp> {
    let millis = bytes.int_in_range(-62_167_219_200_000..=253_402_300_799_999)?;
    Timestamp::from_millis(millis).ok_or(arbitrary::Error::IncorrectFormat)
}

/// An object as the service stores it: by way of a request, the only one there is.
fn object(bytes: &mut Unstructured<'_>) -> Result<JsonText> {
    if bool::arbitrary(bytes)? {
        return Ok(JsonText::empty_object());
    }
    let body =
        serde_json::json!({ "flow_id": "f", "trigger_type": "api", "metadata": { CANARY: String::arbitrary(bytes)? } });
    let caller = serde_json::json!({ "organization_id": "acme", "key_id": "k", "scopes": "write" });
    let event = event(&serde_json::json!({ "body": body.to_string() }), &caller);
    match fuzz::Operation::Execute.check(event, true) {
        Some(fuzz::Read::New(new)) => Ok(new.metadata),
        other => panic!("a good body was refused: {other:?}"),
    }
}

fn new_execution(bytes: &mut Unstructured<'_>) -> Result<NewExecution> {
    let name = |bytes: &mut Unstructured<'_>| Ok(format!("{CANARY}#{}", String::arbitrary(bytes)?));
    Ok(NewExecution {
        flow_id: name(bytes)?,
        trigger_type: *bytes.choose(TriggerType::ALL)?,
        trigger_data: object(bytes)?,
        variables: object(bytes)?,
        priority: *bytes.choose(Priority::ALL)?,
        timeout_seconds: bytes.int_in_range(1..=604_800)?,
        max_retries: bytes.int_in_range(0..=100)?,
        metadata: object(bytes)?,
        scheduled_at: if bool::arbitrary(bytes)? { Some(time(bytes)?) } else { None },
        agent_id: name(bytes)?,
        parent_execution_id: if bool::arbitrary(bytes)? { Some(name(bytes)?) } else { None },
        heartbeat_timeout_seconds: if bool::arbitrary(bytes)? { Some(bytes.int_in_range(15..=86_400)?) } else { None },
        start_timeout_seconds: if bool::arbitrary(bytes)? { Some(bytes.int_in_range(1..=2_592_000)?) } else { None },
        idempotency_key: None,
    })
}

fn token(name: &str, now: Timestamp) -> WriteToken {
    let body = json::parse("{}").expect("an object");
    WriteToken::new(Some(&IdempotencyKey::new("update_execution", name, &body)), now).expect("random numbers")
}

impl<'a> Arbitrary<'a> for Input {
    fn arbitrary(bytes: &mut Unstructured<'a>) -> Result<Self> {
        let (item, inputs) = if bytes.ratio(1, 5)? { (key(bytes)?, None) } else { execution(bytes)? };
        let mut damage = Vec::new();
        for _ in 0..bytes.int_in_range(0..=3)? {
            let at = bytes.choose_index(NAMES.len())?;
            damage.push((at, if bytes.ratio(1, 6)? { None } else { Some(value(bytes, 3)?) }));
        }
        let mut noise = HashMap::new();
        while noise.len() < 12 && !bytes.is_empty() {
            let name =
                if bytes.ratio(9, 10)? { (*bytes.choose(&NAMES)?).to_owned() } else { String::arbitrary(bytes)? };
            noise.insert(name, value(bytes, 3)?);
        }
        Ok(Self { item, inputs, damage, noise })
    }
}

/// The name of a key, or none.
fn key_name(bytes: &mut Unstructured<'_>) -> Result<Option<KeyName>> {
    if bool::arbitrary(bytes)? {
        return Ok(None);
    }
    // Nearly all texts are names; of one that is not, there is none.
    let text: String = format!("{CANARY}{}", String::arbitrary(bytes)?).chars().take(MAX_KEY_NAME).collect();
    Ok(KeyName::parse(&text).ok())
}

/// The item of an API key, checked.
fn key(bytes: &mut Unstructured<'_>) -> Result<Item> {
    let record = ApiKeyRecord {
        digest: <[u8; 32]>::arbitrary(bytes)?,
        organization: OrganizationId::parse(&plain_id(&format!("{CANARY}{}", String::arbitrary(bytes)?)))
            .expect("an organization"),
        name: key_name(bytes)?,
        scopes: Scopes::parse(bytes.choose(&["read", "write", "read,write", "admin"])?).expect("scopes"),
        valid_until: if bool::arbitrary(bytes)? { Some(time(bytes)?) } else { None },
    };
    let id = KeyId::parse(&format!("{:016x}", u64::arbitrary(bytes)?)).expect("a key's id");
    let item = if bool::arbitrary(bytes)? {
        let made = time(bytes)?;
        let item = listed_api_key_item(&id, &record, made);
        assert_eq!(read_api_key_origin(&item).expect("its origin").1, Some(made));
        item
    } else {
        api_key_item(&id, &record)
    };
    assert_eq!(read_api_key(&item).expect("what was written reads"), record);
    assert_eq!(read_api_key_origin(&item).expect("its origin").0, id);
    Ok(item)
}

/// The items of an execution with a log, checked.
fn execution(bytes: &mut Unstructured<'_>) -> Result<(Item, Option<Item>)> {
    let mut caller = Caller {
        organization: OrganizationId::parse("acme").expect("an organization"),
        key_id: KeyId::parse("key-1").expect("a key's id"),
        key_name: None,
        scopes: Scopes::ALL,
        expires_at: None,
    };
    let new = new_execution(bytes)?;
    let mut id = <[u8; 16]>::arbitrary(bytes)?;
    // A UUID of version 4, as the service makes them.
    id[6] = id[6] & 0x0F | 0x40;
    id[8] = id[8] & 0x3F | 0x80;
    let id = ExecutionId::from_uuid(uuid::Uuid::from_bytes(id));
    let made = time(bytes)?;
    let number = i64::from(u32::arbitrary(bytes)?);
    let NewItems { head: mut item, inputs } =
        new_execution_items(&caller, &new, &id, number, made, &token("made", made), ListShards::EIGHT);
    check_new(&item, inputs.as_ref(), &new, &id, number, made);

    let mut log = HashMap::new();
    let mut versions = HashMap::new();
    let mut written: Vec<Transition> = Vec::new();
    for version in 2..2 + bytes.int_in_range(0..=4)? {
        let to = *bytes.choose(&Status::ALL)?;
        let reason =
            if bool::arbitrary(bytes)? { Some(format!("{CANARY}{}", String::arbitrary(bytes)?)) } else { None };
        let at = time(bytes)?;
        let token = token(&version.to_string(), at);
        caller.key_name = key_name(bytes)?;
        log.insert(
            token.id().to_owned(),
            transition_entry(&token, RequestedTransition::report(to), at, &caller, reason.as_deref()),
        );
        versions.insert(token.id().to_owned(), AttributeValue::N(version.to_string()));
        let (from, attempt) = written.last().map_or((Status::Pending, 0), |last| (last.to, last.attempt));
        let attempt = attempt + i64::from(to == Status::Running);
        // The log keeps its beginning.
        let reason = reason.map(|reason| reason.chars().take(MAX_LOGGED_REASON).collect());
        let (by, by_name) = (caller.key_id.clone(), caller.key_name.clone());
        written.push(Transition { from, to, at, by, by_name, reason, attempt, version });
    }
    item.insert(a::TRANSITIONS.to_owned(), AttributeValue::M(log));
    item.insert(a::TRANSITION_VERSIONS.to_owned(), AttributeValue::M(versions));
    let read: Vec<Transition> = read_transitions(&item)
        .expect("what was written reads")
        .into_iter()
        .map(|(_, transition)| transition)
        .collect();
    assert_eq!(read, written);
    Ok((item, inputs))
}

fn check_new(item: &Item, inputs: Option<&Item>, new: &NewExecution, id: &ExecutionId, number: i64, made: Timestamp) {
    assert_eq!(has_inputs_apart(item), inputs.is_some());
    if inputs.is_some() {
        let missing = read_execution(item, Inputs::Read(None));
        assert!(matches!(missing, Err(Error::StoreUnavailable { .. })), "inputs were made up: {missing:?}");
    }
    let read = read_execution(item, Inputs::Read(inputs)).expect("what was written reads");
    assert_eq!((read.id, read.organization_id.as_str()), (*id, "acme"));
    assert_eq!((&read.flow_id, &read.agent_id), (&new.flow_id, &new.agent_id));
    assert_eq!(read.parent_execution_id, new.parent_execution_id);
    assert_eq!((read.execution_number, read.version, read.retry_count), (number, 1, 0));
    assert_eq!((read.timeout_seconds, read.max_retries), (new.timeout_seconds, new.max_retries));
    assert_eq!((read.trigger_type, read.priority, read.status), (new.trigger_type, new.priority, Status::Pending));
    assert_eq!(
        (&read.trigger_data, &read.variables, &read.metadata),
        (&new.trigger_data, &new.variables, &new.metadata)
    );
    assert_eq!((read.created_at, read.updated_at, read.started_at), (made, made, made));
    assert_eq!((read.scheduled_at, read.completed_at, read.duration_ms), (new.scheduled_at, None, None));
    let order = k::order(made, id);
    // Orders are of times that executions are made at.
    if made.millis() >= 0 {
        assert_eq!(k::parse_order(&order), Some((made, *id)));
    }
}

/// An error about an item says which attribute, and nothing of what is in it: it goes into the log.
fn check_error(error: &Error) {
    let (Error::Internal(reason) | Error::StoreUnavailable { reason }) = error else {
        panic!("not an internal error: {error:?}")
    };
    assert!(!reason.contains(CANARY), "{reason}");
    assert!(reason.len() <= 100, "{reason}");
}

fn check(item: &Item, inputs: Option<&Item>) {
    assert!(item::size(item) >= item.keys().map(String::len).sum());
    let state = read_state(item);
    if let Err(error) = read_execution(item, Inputs::LeftOut) {
        check_error(&error);
    }
    match read_execution(item, Inputs::Read(inputs)) {
        Ok(execution) => {
            let state = state.expect("what decides over a write is part of the record");
            assert_eq!((state.status, state.version), (execution.status, execution.version));
            assert_eq!((state.attempt, state.timeout_seconds), (execution.attempt, execution.timeout_seconds));
            assert_eq!((state.retry_count, state.max_retries), (execution.retry_count, execution.max_retries));
            check_record(&execution);
        }
        Err(error) => check_error(&error),
    }
    match read_transitions(item) {
        Ok(transitions) => {
            let mut from = Status::Pending;
            let mut last = i64::MIN;
            for (_, transition) in transitions {
                assert!(transition.version >= last);
                assert_eq!(transition.from, from);
                serde_json::to_string(&transition).expect("a transition is JSON");
                (from, last) = (transition.to, transition.version);
            }
        }
        Err(error) => check_error(&error),
    }
    if let Err(error) = read_api_key(item) {
        check_error(&error);
    }
    match read_api_key_origin(item) {
        Ok((id, _)) => assert_eq!(id.as_str().len(), 16),
        Err(error) => check_error(&error),
    }
    for name in [a::PK, a::ORDER] {
        let Some(Ok(text)) = item.get(name).map(AttributeValue::as_s) else { continue };
        if let Some((time, id)) = k::parse_order(text) {
            assert_eq!(k::parse_order(&k::order(time, &id)).map(|(_, id)| id), Some(id));
        }
    }
}

fn check_record(execution: &Execution) {
    assert!(execution.duration_ms.is_none_or(|millis| millis >= 0));
    assert_eq!(execution.etag(), format!("\"{}\"", execution.version));
    match Response::ok(execution) {
        Ok(response) => {
            let body = response.body.expect("a record has a body");
            // Numbers beyond a double are kept as text; everything else must be a record again.
            let record: HashMap<String, Box<serde_json::value::RawValue>> = serde_json::from_str(&body).expect("JSON");
            let text = |name: &str| serde_json::from_str::<Value>(record[name].get()).expect("a string");
            assert_eq!(text("status"), execution.status.as_str());
            assert_eq!(text("flow_id"), execution.flow_id.as_str());
            assert_eq!(record["metadata"].get(), execution.metadata.as_str().trim_ascii());
            for name in ["created_at", "updated_at", "started_at"] {
                let time = text(name);
                let time = Timestamp::parse(time.as_str().expect("a text")).expect("a time");
                let fields = [
                    ("created_at", execution.created_at),
                    ("updated_at", execution.updated_at),
                    ("started_at", execution.started_at),
                ];
                assert!(fields.contains(&(name, time)), "{name} {time}");
            }
        }
        // Only a stored text that is no JSON cannot be shown.
        Err(error) => check_error(&error),
    }
}

fuzz_target!(|input: Input| {
    check(&input.item, input.inputs.as_ref());
    let mut damaged = input.item;
    for (at, value) in input.damage {
        match value {
            Some(value) => damaged.insert(NAMES[at].to_owned(), value),
            None => damaged.remove(NAMES[at]),
        };
    }
    check(&damaged, input.inputs.as_ref());
    check(&damaged, Some(&input.noise));
    check(&input.noise, Some(&damaged));
});
