//! Everything that a caller chooses of a request to any operation: headers, query, id and body.
//!
//! An input is text for people and for the dictionary: the operation's tag, header lines, a query, an id and the body,
//! parted by 0xFF, which is in no UTF-8 text. The body takes the rest, so that it may be anything.
#![no_main]

use std::collections::HashMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use fuzz::{MAX_LENGTH, Operation, Read, event};
use libfuzzer_sys::{Corpus, fuzz_target};
use ratchet_http::gateway_event::GatewayEvent;
use ratchet_model::change::{Change, FieldUpdates, IfMatch};
use ratchet_model::clock::Timestamp;
use ratchet_model::id::ExecutionId;
use ratchet_model::idempotency::IdempotencyKey;
use ratchet_model::json::{self as exact, JsonText};
use ratchet_model::limits::{
    MAX_COUNT_LIMIT, MAX_ERROR_MESSAGE, MAX_INTEGER, MAX_NAME, MAX_PAGE_SIZE, MAX_RETRIES, MAX_TIMEOUT_SECONDS,
};
use ratchet_model::list::{ListQuery, Start};
use ratchet_model::new_execution::NewExecution;
use ratchet_model::scope::Scope;
use ratchet_model::wire_name::WireName;
use serde::de::IgnoredAny;
use serde_json::{Map, Value, json};

const SEPARATOR: u8 = 0xFF;

/// One request.
struct Input<'a> {
    operation: Operation,
    headers: HashMap<String, String>,
    query: String,
    id: String,
    body: &'a [u8],
}

impl<'a> Input<'a> {
    fn parse(bytes: &'a [u8]) -> Option<Self> {
        let mut parts = bytes.splitn(5, |byte| *byte == SEPARATOR);
        let mut text = || parts.next().map(String::from_utf8_lossy);
        let operation = Operation::tagged(text()?.bytes().next()?)?;
        let headers = text()?
            .lines()
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.trim().to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        let (query, id) = (text()?.into_owned(), text()?.into_owned());
        Some(Self { operation, headers, query, id, body: parts.next()? })
    }

    /// The event, with the body as it is, or in base64 where it is no text.
    fn event(&self, scopes: &str) -> GatewayEvent {
        let (body, is_base64) = match std::str::from_utf8(self.body) {
            Ok(text) => (text.to_owned(), false),
            Err(_) => (STANDARD.encode(self.body), true),
        };
        event_of(&self.headers, &self.query, &self.id, &body, is_base64, scopes)
    }
}

fn event_of(
    headers: &HashMap<String, String>,
    query: &str,
    id: &str,
    body: &str,
    is_base64: bool,
    scopes: &str,
) -> GatewayEvent {
    let caller = json!({ "organization_id": "acme", "key_id": "0123456789abcdef", "scopes": scopes });
    let parts = json!({
        "rawQueryString": query,
        "headers": headers,
        "pathParameters": { "execution_id": id },
        "body": body,
        "isBase64Encoded": is_base64,
    });
    event(&parts, &caller)
}

/// A body without anything else.
fn event_with(body: &Value) -> GatewayEvent {
    event_of(&HashMap::new(), "", "0b8f2f4e-6a3b-4a54-9a3c-5f0f8f6b1d2e", &body.to_string(), false, "admin")
}

fuzz_target!(init: fuzz::assert_all_operations(), |bytes: &[u8]| -> Corpus {
    let input = Input::parse(bytes).filter(|_| bytes.len() <= MAX_LENGTH);
    let Some(input) = input else { return Corpus::Reject };
    check_json(input.body);
    let operation = input.operation;
    let admin = operation.check(input.event("admin"), true);
    // What a key may do decides over nothing else: with less, it is refused, or the same is read, but for the scopes
    // themselves.
    for scopes in ["read", "write"] {
        if let Some(mut read) = operation.check(input.event(scopes), true) {
            if let Read::Caller(caller) = &mut read {
                assert_eq!(caller.scopes.iter().map(|scope| scope.as_str()).collect::<Vec<_>>(), [scopes]);
                caller.scopes = vec![Scope::Admin];
            }
            assert_eq!(format!("{:?}", Some(read)), format!("{admin:?}"), "{scopes}");
        }
    }
    match admin {
        Some(Read::New(new)) => check_new(&new),
        Some(Read::Page(page)) => check_page(&page),
        Some(Read::Id(id, _)) => check_id(&input.id, id),
        Some(Read::Caller(caller)) => assert_eq!(
            (caller.organization_id.as_str(), caller.key_id.as_str(), caller.key_name, caller.expires_at),
            ("acme", "0123456789abcdef", None, None)
        ),
        Some(Read::Change(id, change, _)) => {
            check_id(&input.id, id);
            check_change(operation, &change);
        }
        None => {}
    }
    Corpus::Keep
});

/// The reader of JSON against another one: the same texts are JSON, and mean the same.
fn check_json(body: &[u8]) {
    let Ok(text) = std::str::from_utf8(body) else { return };
    let other = serde_json::from_str::<IgnoredAny>(text);
    match exact::parse(text) {
        Ok(document) => {
            assert!(other.is_ok(), "not JSON: {text}");
            let again = exact::parse(document.text()).expect("what was written reads");
            assert_eq!(again.text(), document.text(), "compact is compact");
            // A number beyond a double has no Value.
            if let Ok(value) = serde_json::from_str::<Value>(text) {
                assert_eq!(serde_json::from_str::<Value>(document.text()).ok(), Some(value));
            }
            let members: Option<Vec<_>> = document.members().map(Iterator::collect);
            for (_, value) in members.iter().flatten() {
                assert_eq!(exact::parse(value).expect("a member is JSON").text(), *value);
            }
            let key = IdempotencyKey::new("op", "key", &document);
            assert_eq!(key, IdempotencyKey::new("op", "key", &again), "white space is no other body");
        }
        Err(error) => {
            assert!(error.position <= text.chars().count(), "{error:?}");
            // What the other one takes: deeper levels, and half of a surrogate pair where it only skips the text.
            let stricter = error.reason == exact::TOO_DEEP || error.reason == exact::LONE_SURROGATE;
            assert!(other.is_err() || stricter, "{}: {text}", error.reason);
        }
    }
}

fn check_id(text: &str, id: ExecutionId) {
    assert_eq!(id.to_string(), text.to_ascii_lowercase());
    assert_eq!(ExecutionId::parse(&id.to_string()), Some(id));
}

fn value(text: &JsonText) -> Value {
    // A number beyond a double cannot be shown this way; it is kept as text all the same.
    serde_json::from_str(text.as_str()).unwrap_or(Value::Null)
}

fn exact_object(text: &JsonText) {
    assert!(text.as_str().starts_with('{'), "{text:?}");
    assert_eq!(exact::parse(text.as_str()).expect("an object").text(), text.as_str());
}

fn check_new(new: &NewExecution) {
    let names = [Some(&new.flow_id), Some(&new.agent_id), new.parent_execution_id.as_ref()];
    assert!(names.into_iter().flatten().all(|name| (1..=MAX_NAME).contains(&name.chars().count())), "{new:?}");
    assert!((1..=MAX_TIMEOUT_SECONDS).contains(&new.timeout_seconds), "{new:?}");
    assert!((0..=MAX_RETRIES).contains(&new.max_retries), "{new:?}");
    for object in [&new.trigger_data, &new.variables, &new.metadata] {
        exact_object(object);
    }
    let objects = [("trigger_data", &new.trigger_data), ("variables", &new.variables), ("metadata", &new.metadata)];
    // As text: an object may hold what a `Value` rounds.
    let objects = objects.map(|(name, text)| format!(",\"{name}\":{}", text.as_str())).concat();
    let body = json!({
        "flow_id": new.flow_id,
        "trigger_type": new.trigger_type.as_str(),
        "priority": new.priority.as_str(),
        "timeout_seconds": new.timeout_seconds,
        "retry_config": { "max_retries": new.max_retries },
        "scheduled_at": new.scheduled_at.map(|time| time.to_string()),
        "agent_id": new.agent_id,
        "parent_execution_id": new.parent_execution_id,
    });
    let body = body.to_string();
    let body = format!("{}{objects}}}", body.strip_suffix('}').expect("an object"));
    let event = event_of(&HashMap::new(), "", "", &body, false, "write");
    let Some(Read::New(again)) = Operation::Execute.check(event, true) else { panic!("refused: {body}") };
    let without_key = |new: &NewExecution| format!("{new:?}").split("idempotency_key").next().map(str::to_owned);
    assert_eq!(without_key(&again), without_key(new));
}

fn check_page(page: &ListQuery) {
    assert!((1..=usize::try_from(MAX_PAGE_SIZE).expect("100")).contains(&page.page_size), "{page:?}");
    assert!(page.count_limit <= usize::try_from(MAX_COUNT_LIMIT).expect("10000"), "{page:?}");
    let filter = &page.filter;
    let time = |time: Option<Timestamp>| time.map(|time| time.to_string());
    let number = match page.start {
        Start::Page(number) => {
            assert!((1..=MAX_INTEGER.unsigned_abs()).contains(&number), "{page:?}");
            Some(number.to_string())
        }
        Start::Beginning => None,
        // Only a cursor that was sealed opens: the target `cursor` is about it.
        Start::Cursor(_) => return,
    };
    let parameters = [
        ("flow_id", filter.flow_id.clone()),
        ("trigger_type", filter.trigger_type.map(|trigger_type| trigger_type.as_str().to_owned())),
        ("agent_id", filter.agent_id.clone()),
        ("created_after", time(filter.created_after)),
        ("created_before", time(filter.created_before)),
        ("page", number),
        ("page_size", Some(page.page_size.to_string())),
        ("count_limit", Some(page.count_limit.to_string())),
        ("view", Some(page.view.as_str().to_owned())),
    ];
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(filter.status.iter().map(|status| ("status", status.as_str())));
    query.extend_pairs(parameters.iter().filter_map(|(name, value)| Some((name, value.as_ref()?))));
    let query = query.finish();
    let event = event_of(&HashMap::new(), &query, "", "", false, "read");
    let Some(Read::Page(again)) = Operation::List.check(event, true) else { panic!("refused: {query}") };
    let read = |page: &ListQuery| (page.filter.clone(), page.start, page.page_size, page.count_limit, page.view);
    assert_eq!(read(&again), read(page));
}

fn check_change(operation: Operation, change: &Change) {
    if let Some(IfMatch::Versions(versions)) = &change.options.if_match {
        assert!(versions.len() <= 50, "{versions:?}");
    }
    let FieldUpdates {
        completed_at,
        duration_ms,
        timeout_seconds,
        final_output,
        error_message,
        error_details,
        retry_count,
        tokens_used,
        tool_calls_count,
        cost_estimate,
        performance_metrics,
        metadata,
    } = &change.fields;
    for count in [duration_ms, tokens_used, tool_calls_count].into_iter().flatten() {
        assert!((0..=MAX_INTEGER).contains(count), "{count}");
    }
    assert!(change.attempt.is_none_or(|attempt| (0..=MAX_INTEGER).contains(&attempt)), "{:?}", change.attempt);
    assert!(timeout_seconds.is_none_or(|seconds| (1..=MAX_TIMEOUT_SECONDS).contains(&seconds)), "{timeout_seconds:?}");
    assert!(retry_count.is_none_or(|count| (0..=MAX_RETRIES).contains(&count)), "{retry_count:?}");
    assert!(error_message.as_ref().is_none_or(|text| text.chars().count() <= MAX_ERROR_MESSAGE));
    for object in [final_output, error_details, performance_metrics, metadata].into_iter().flatten() {
        exact_object(object);
    }
    if let Some(cost) = cost_estimate {
        let number: f64 = cost.as_str().parse().expect("a number");
        assert!(number.is_finite() && number >= 0.0, "{cost:?}");
    }
    if operation != Operation::Update {
        assert_eq!(change.attempt, None);
        let transition = change.transition.expect("a status is required");
        assert!(update_targets(transition.to().as_str()), "{transition:?}");
        return;
    }
    let mut body = Map::new();
    let mut put = |name: &str, value: Option<Value>| value.map(|value| body.insert(name.to_owned(), value));
    put("status", change.transition.map(|transition| transition.to().as_str().into()));
    put("completed_at", completed_at.map(|time| time.to_string().into()));
    put("duration_ms", duration_ms.map(Value::from));
    put("error_message", error_message.clone().map(Value::from));
    put("timeout_seconds", timeout_seconds.map(Value::from));
    put("attempt", change.attempt.map(Value::from));
    put("retry_count", retry_count.map(Value::from));
    put("tokens_used", tokens_used.map(Value::from));
    put("tool_calls_count", tool_calls_count.map(Value::from));
    let Some(Read::Change(_, again, _)) = Operation::Update.check(event_with(&Value::Object(body)), true) else {
        panic!("refused: {change:?}")
    };
    let numbers = |change: &Change| {
        let fields = &change.fields;
        let counts = (fields.duration_ms, fields.retry_count, fields.tokens_used, fields.tool_calls_count);
        let counts = (counts, fields.timeout_seconds, change.attempt);
        let to = change.transition.map(|transition| (transition.to(), transition.allowed_sources()));
        (to, fields.completed_at, fields.error_message.clone(), counts)
    };
    assert_eq!(numbers(&again), numbers(change));
    // Objects and costs are their own text.
    for (name, text) in [("metadata", metadata), ("cost_estimate", cost_estimate)] {
        let Some(text) = text else { continue };
        let body = format!("{{\"{name}\":{}}}", text.as_str());
        let event = event_of(&HashMap::new(), "", "0b8f2f4e-6a3b-4a54-9a3c-5f0f8f6b1d2e", &body, false, "write");
        let Some(Read::Change(_, again, _)) = Operation::Update.check(event, true) else { panic!("refused: {body}") };
        let fields = again.fields;
        let back = if name == "metadata" { fields.metadata } else { fields.cost_estimate };
        assert_eq!(back.as_ref(), Some(text), "{}", value(text));
    }
}

fn update_targets(name: &str) -> bool {
    ["cancelled", "failed", "completed"].contains(&name)
}
