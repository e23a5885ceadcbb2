//! Everything that a caller chooses of a request to any operation: headers, query, id and body.
//!
//! An input is text for people and for the dictionary: the operation's tag, header lines, a query, an id and the body,
//! parted by 0xFF, which is in no UTF-8 text. The body takes the rest, so that it may be anything.
#![no_main]

use std::collections::{BTreeSet, HashMap};

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
use ratchet_model::limits::{MAX_COUNT_LIMIT, MAX_ERROR_MESSAGE, MAX_GRACE_SECONDS, MAX_HEARTBEAT_TIMEOUT_SECONDS, MAX_INTEGER, MAX_NAME, MAX_PAGE_SIZE, MAX_RETRIES, MAX_SHOWN_STEPS, MAX_START_TIMEOUT_SECONDS, MAX_STEPS, MAX_STEP_ID, MAX_TIMEOUT_SECONDS, MAX_WAIT_SECONDS, MIN_HEARTBEAT_TIMEOUT_SECONDS};
use ratchet_model::list::{ListQuery, Start};
use ratchet_model::new_execution::NewExecution;
use ratchet_model::scope::Scope;
use ratchet_model::step::{StepFields, StepReport, StepReports};
use ratchet_model::wire_name::WireName;
use ratchet_store::cancel::Cancel;
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
        Some(Read::Heartbeat(id, attempt)) => {
            check_id(&input.id, id);
            assert!(attempt.is_none_or(|attempt| (0..=MAX_INTEGER).contains(&attempt)), "{attempt:?}");
            let event = event_with(&json!({ "attempt": attempt }));
            let Some(Read::Heartbeat(_, again)) = Operation::Heartbeat.check(event, true) else { panic!("{attempt:?}") };
            assert_eq!(again, attempt);
        }
        Some(Read::Cancel(id, cancel)) => {
            check_id(&input.id, id);
            check_cancel(&cancel);
        }
        Some(Read::Wait(id, time, _)) => {
            check_id(&input.id, id);
            assert!((1..=MAX_WAIT_SECONDS.unsigned_abs()).contains(&time.as_secs()), "{time:?}");
        }
        Some(Read::Report(id, reports)) => {
            check_id(&input.id, id);
            check_reports(&reports);
        }
        Some(Read::Steps(id, query)) => {
            check_id(&input.id, id);
            assert!((1..=MAX_SHOWN_STEPS).contains(&query.page_size), "{query:?}");
            // Only a cursor that was sealed opens.
            assert!(query.after.is_none(), "{query:?}");
        }
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
    let heartbeat = MIN_HEARTBEAT_TIMEOUT_SECONDS..=MAX_HEARTBEAT_TIMEOUT_SECONDS;
    assert!(new.heartbeat_timeout_seconds.is_none_or(|seconds| heartbeat.contains(&seconds)), "{new:?}");
    let start = 1..=MAX_START_TIMEOUT_SECONDS;
    assert!(new.start_timeout_seconds.is_none_or(|seconds| start.contains(&seconds)), "{new:?}");
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
        "heartbeat_timeout_seconds": new.heartbeat_timeout_seconds,
        "start_timeout_seconds": new.start_timeout_seconds,
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

fn check_cancel(cancel: &Cancel) {
    let grace = i64::try_from(cancel.grace.as_secs()).expect("an hour");
    assert!((0..=MAX_GRACE_SECONDS).contains(&grace), "{grace}");
    assert!(cancel.reason.chars().count() <= MAX_ERROR_MESSAGE);
    if let Some(IfMatch::Versions(versions)) = &cancel.options.if_match {
        assert!(versions.len() <= 50, "{versions:?}");
    }
    let event = event_with(&json!({ "reason": cancel.reason, "grace_seconds": grace }));
    let Some(Read::Cancel(_, again)) = Operation::Cancel.check(event, true) else { panic!("refused: {cancel:?}") };
    assert_eq!((again.reason, again.grace), (cancel.reason.clone(), cancel.grace));
}

/// What was read of steps is within bounds, each step is there once, and written again it reads as the same.
fn check_reports(reports: &StepReports) {
    assert!((1..=MAX_STEPS).contains(&reports.reports.len()), "{}", reports.reports.len());
    assert!(reports.attempt.is_none_or(|attempt| (0..=MAX_INTEGER).contains(&attempt)), "{:?}", reports.attempt);
    let ids: BTreeSet<&str> = reports.reports.iter().map(|report| report.step_id.as_str()).collect();
    assert_eq!(ids.len(), reports.reports.len(), "one step twice");
    let steps: Vec<String> = reports.reports.iter().map(written).collect();
    let attempt = reports.attempt.map_or("null".to_owned(), |attempt| attempt.to_string());
    let body = format!("{{\"attempt\":{attempt},\"steps\":[{}]}}", steps.join(","));
    let event = event_of(&HashMap::new(), "", "0b8f2f4e-6a3b-4a54-9a3c-5f0f8f6b1d2e", &body, false, "write");
    let Some(Read::Report(_, again)) = Operation::Report.check(event, true) else { panic!("refused: {body}") };
    assert_eq!((&again.reports, again.attempt), (&reports.reports, reports.attempt));
}

/// A report of a step as JSON.
fn written(report: &StepReport) -> String {
    let StepFields {
        step_name,
        step_type,
        tool_name,
        input_data,
        output_data,
        error_message,
        started_at,
        completed_at,
        duration_ms,
        retry_count,
        metadata,
    } = &report.fields;
    assert!((1..=MAX_STEP_ID).contains(&report.step_id.as_str().chars().count()), "{report:?}");
    let names = [step_name, step_type, tool_name].into_iter().flatten();
    assert!(names.into_iter().all(|name| (1..=MAX_NAME).contains(&name.chars().count())), "{report:?}");
    assert!(error_message.as_ref().is_none_or(|text| text.chars().count() <= MAX_ERROR_MESSAGE));
    for count in [duration_ms, retry_count].into_iter().flatten() {
        assert!((0..=MAX_INTEGER).contains(count), "{count}");
    }
    let objects = [("input_data", input_data), ("output_data", output_data), ("metadata", metadata)];
    let objects = objects.into_iter().filter_map(|(name, object)| {
        let object = object.as_ref()?;
        exact_object(object);
        Some(format!(",\"{name}\":{}", object.as_str()))
    });
    let objects: String = objects.collect();
    let rest = json!({
        "step_id": report.step_id.as_str(),
        "status": report.status.map(|status| status.as_str()),
        "step_name": step_name,
        "step_type": step_type,
        "tool_name": tool_name,
        "error_message": error_message,
        "started_at": started_at.map(|time| time.to_string()),
        "completed_at": completed_at.map(|time| time.to_string()),
        "duration_ms": duration_ms,
        "retry_count": retry_count,
    });
    let rest = rest.to_string();
    format!("{}{objects}}}", rest.strip_suffix('}').expect("an object"))
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
