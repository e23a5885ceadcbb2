//! Cursors: whatever is sent as one, only what this service sealed for this organization and query opens.
#![no_main]

use std::collections::BTreeSet;

use arbitrary::Arbitrary;
use fuzz::{Operation, Read, SECRET, event, plain_id};
use libfuzzer_sys::fuzz_target;
use ratchet_http::cursor::CursorKey;
use ratchet_model::clock::Timestamp;
use ratchet_model::execution::TriggerType;
use ratchet_model::id::{ExecutionId, OrganizationId};
use ratchet_model::list::{Filter, Position, Start};
use ratchet_model::status::Status;
use ratchet_model::wire_name::WireName;
use serde_json::json;

/// A query, where its walk is, and what is done to its cursor.
#[derive(Debug, Arbitrary)]
struct Input {
    flow_id: Option<String>,
    status: u16,
    trigger_type: Option<u8>,
    agent_id: Option<String>,
    created_after: Option<i64>,
    created_before: Option<i64>,
    created_at: i64,
    id: [u8; 16],
    page: u64,
    total_count: Option<u16>,
    other_organization: String,
    other_secret: Vec<u8>,
    tampering: Tampering,
    text: String,
}

#[derive(Debug, Arbitrary)]
enum Tampering {
    Flip { at: usize, bits: u8 },
    Truncate(usize),
    Append(String),
    Insert { at: usize, text: String },
    Replace { at: usize, text: String },
}

impl Tampering {
    fn apply(&self, cursor: &str) -> Option<String> {
        let mut bytes = cursor.as_bytes().to_vec();
        let at = |at: usize| at % bytes.len();
        match self {
            Self::Flip { at: place, bits } => {
                let place = at(*place);
                bytes[place] ^= bits;
            }
            Self::Truncate(length) => bytes.truncate(at(*length)),
            Self::Append(text) => bytes.extend(text.bytes()),
            Self::Insert { at: place, text } => {
                let place = at(*place);
                bytes.splice(place..place, text.bytes());
            }
            Self::Replace { at: place, text } => {
                let place = at(*place);
                let end = bytes.len().min(place + text.len());
                bytes.splice(place..end, text.bytes());
            }
        }
        String::from_utf8(bytes).ok()
    }
}

fn pick<T: WireName>(index: Option<u8>) -> Option<T> {
    index.map(|index| T::ALL[usize::from(index) % T::ALL.len()])
}

/// The statuses whose bits are set.
fn statuses(bits: u16) -> BTreeSet<Status> {
    Status::ALL.into_iter().enumerate().filter(|(index, _)| bits >> index & 1 == 1).map(|(_, status)| status).collect()
}

/// As the parameter has it.
fn joined(statuses: &BTreeSet<Status>) -> Option<String> {
    let names: Vec<&str> = statuses.iter().map(|status| status.as_str()).collect();
    (!names.is_empty()).then(|| names.join(","))
}

fuzz_target!(|input: Input| {
    let time = |millis: Option<i64>| millis.and_then(Timestamp::from_millis);
    let name = |name: Option<String>| name.filter(|name| !name.is_empty() && name.chars().count() <= 256);
    let filter = Filter {
        flow_id: name(input.flow_id),
        status: statuses(input.status),
        trigger_type: pick::<TriggerType>(input.trigger_type),
        agent_id: name(input.agent_id),
        created_after: time(input.created_after),
        created_before: time(input.created_before),
    };
    let key = CursorKey::new(SECRET);
    let acme = OrganizationId::parse("acme").expect("an organization");

    // A text that came from nowhere opens only if it is what sealing makes.
    if let Some(position) = key.open(&acme, &filter, &input.text) {
        assert_eq!(key.seal(&acme, &filter, &position), input.text, "a cursor of two spellings");
    }

    let Some(created_at) = Timestamp::from_millis(input.created_at) else { return };
    let id = ExecutionId::parse(&uuid::Uuid::from_bytes(input.id).to_string()).expect("an id");
    let position = Position { created_at, id, page: input.page, total_count: input.total_count.map(u32::from) };
    let cursor = key.seal(&acme, &filter, &position);
    assert_eq!(key.open(&acme, &filter, &cursor), Some(position));
    if input.text != cursor {
        assert_eq!(key.open(&acme, &filter, &input.text), None, "forged");
    }
    if let Some(tampered) = input.tampering.apply(&cursor).filter(|tampered| *tampered != cursor) {
        assert_eq!(key.open(&acme, &filter, &tampered), None, "tampered with");
    }
    let other_organization = OrganizationId::parse(&plain_id(&input.other_organization)).expect("an organization");
    if other_organization != acme {
        assert_eq!(key.open(&other_organization, &filter, &cursor), None, "another organization's");
    }
    if !same_key(&input.other_secret) {
        let other = CursorKey::new(&input.other_secret);
        assert_eq!(other.open(&acme, &filter, &cursor), None, "another secret's");
        let forged = other.seal(&acme, &filter, &position);
        assert_eq!(key.open(&acme, &filter, &forged), None, "made with another secret");
    }
    for other in others(&filter) {
        assert_eq!(key.open(&acme, &other, &cursor), None, "another query's");
    }
    check_over_http(&filter, &position, &cursor);
});

/// HMAC pads a short key with zeros: secrets that differ in zeros at their end are one.
fn same_key(secret: &[u8]) -> bool {
    let end = secret.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    &secret[..end] == SECRET
}

/// The filters that differ in one part, one moving a text into the place of another among them.
fn others(filter: &Filter) -> Vec<Filter> {
    let with = |change: fn(&mut Filter)| {
        let mut other = filter.clone();
        change(&mut other);
        other
    };
    let changed = [
        with(|filter| filter.flow_id = Some(filter.flow_id.clone().unwrap_or_default() + "x")),
        with(|filter| filter.flow_id = None),
        with(|filter| filter.flow_id = joined(&filter.status)),
        with(|filter| filter.status.clear()),
        with(|filter| filter.status = [Status::Running].into()),
        with(|filter| {
            filter.status.insert(Status::Timeout);
        }),
        with(|filter| {
            filter.status.pop_last();
        }),
        with(|filter| filter.agent_id = None),
        with(|filter| std::mem::swap(&mut filter.flow_id, &mut filter.agent_id)),
        with(|filter| filter.trigger_type = None),
        with(|filter| filter.trigger_type = Some(TriggerType::Test)),
        with(|filter| std::mem::swap(&mut filter.created_after, &mut filter.created_before)),
        with(|filter| filter.created_after = Timestamp::from_millis(7)),
        with(|filter| filter.created_before = None),
    ];
    changed.into_iter().filter(|other| other != filter).collect()
}

/// The same through the query of a request: the walk goes on where the cursor says.
fn check_over_http(filter: &Filter, position: &Position, cursor: &str) {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("cursor", cursor);
    let time = |time: Option<Timestamp>| time.map(|time| time.to_string());
    let parameters = [
        ("flow_id", filter.flow_id.clone()),
        ("status", joined(&filter.status)),
        ("trigger_type", filter.trigger_type.map(|trigger_type| trigger_type.as_str().to_owned())),
        ("agent_id", filter.agent_id.clone()),
        ("created_after", time(filter.created_after)),
        ("created_before", time(filter.created_before)),
    ];
    query.extend_pairs(parameters.iter().filter_map(|(name, value)| Some((name, value.as_ref()?))));
    let query = query.finish();
    let by = |organization: &str| {
        let caller = json!({ "organization_id": organization, "key_id": "k", "scopes": "read" });
        event(&json!({ "rawQueryString": query }), &caller)
    };
    let Some(Read::Page(page)) = Operation::List.check(by("acme"), true) else { panic!("refused: {query}") };
    assert_eq!(page.start, Start::Cursor(*position));
    assert!(Operation::List.check(by("other"), true).is_none(), "another organization's");
}
