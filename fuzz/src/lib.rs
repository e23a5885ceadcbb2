//! What the fuzz targets have in common: every operation's way from an event to the store's door, and what must hold of
//! the answer.
//!
//! An event goes through a whole function but for its store: through the guard and `lambda_http`, [`endpoint::respond`] with
//! the function's own operation, and the function's own reader, and the answer back through `lambda_http` to the text that
//! Lambda returns.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::sync::OnceLock;
use std::time::Duration;

use futures_util::FutureExt;
use get_caller::CallerDetails;
use lambda_http::http::HeaderValue;
use lambda_http::request::LambdaRequest;
use lambda_http::{Context, LambdaEvent, Service, service_fn};
use ratchet_http::cursor::CursorKey;
use ratchet_http::endpoint;
use ratchet_http::error::HttpError;
use ratchet_http::gateway_event::GatewayEvent;
use ratchet_http::operation;
use ratchet_http::request::Request;
use ratchet_http::response::Response;
use ratchet_model::change::Change;
use ratchet_model::clock::{Clock, Timestamp};
use ratchet_model::id::ExecutionId;
use ratchet_model::limits::DEFAULT_TIMEOUT_SECONDS;
use ratchet_model::list::ListQuery;
use ratchet_model::new_execution::NewExecution;
use ratchet_model::step::StepReports;
use ratchet_runtime::serve::adapt;
use ratchet_store::cancel::Cancel;
use ratchet_store::steps::StepQuery;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};

/// The secret of the targets' cursors.
pub const SECRET: &[u8] = b"a secret of the fuzz targets, long enough to be one";

/// The longest input that is tried as an event or a part of one, in bytes.
///
/// `lambda_http` panics at a URL of more than 65,534 bytes and at 32,768 headers, which its guard lets pass: API Gateway
/// delivers neither, it takes 10,240 bytes of request line and headers together. An input of this length has neither: a byte
/// of a path or a query becomes three at most, and a header takes three at least.
pub const MAX_LENGTH: usize = 20_000;

/// A clock that stands still: what an input does must not depend on when it runs.
#[derive(Debug)]
pub struct Stopped;

impl Clock for Stopped {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(1_795_000_000_000).expect("a time of this age")
    }
}

/// The operations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// `POST /flows/execute`
    Execute,
    /// `GET /flows/executions`
    List,
    /// `GET /flows/executions/{execution_id}`
    Get,
    /// `PATCH /flows/executions/{execution_id}`
    Update,
    /// `PATCH /executions/{execution_id}`
    UpdateStatus,
    /// `GET /executions/{execution_id}/transitions`
    Transitions,
    /// `GET /me`
    Caller,
    /// `POST /executions/{execution_id}/heartbeat`
    Heartbeat,
    /// `GET /executions/{execution_id}/heartbeat`
    Heard,
    /// `POST /executions/{execution_id}/cancel`
    Cancel,
    /// `GET /flows/executions/{execution_id}/wait`
    Wait,
    /// `POST /executions/{execution_id}/steps`
    Report,
    /// `GET /executions/{execution_id}/steps`
    Steps,
}

/// What an operation made of a request.
#[derive(Debug)]
pub enum Read {
    /// An execution to make.
    New(NewExecution),
    /// A page to list.
    Page(ListQuery),
    /// An execution to show, and whether the caller has its version 7 already.
    Id(ExecutionId, bool),
    /// A change to make, and whether the answer shall have no body.
    Change(ExecutionId, Change, bool),
    /// The caller, to say who it is.
    Caller(CallerDetails),
    /// A worker to hear, and the attempt that it speaks for.
    Heartbeat(ExecutionId, Option<i64>),
    /// An execution to cancel.
    Cancel(ExecutionId, Cancel),
    /// An execution to wait for, for how long, and whether the caller has its version 7 already.
    Wait(ExecutionId, Duration, bool),
    /// Steps to report.
    Report(ExecutionId, StepReports),
    /// A page of steps to list.
    Steps(ExecutionId, StepQuery),
}

impl Operation {
    /// Every operation: [`assert_all_operations`].
    pub const ALL: [Self; 13] = [
        Self::Execute,
        Self::List,
        Self::Get,
        Self::Update,
        Self::UpdateStatus,
        Self::Transitions,
        Self::Caller,
        Self::Heartbeat,
        Self::Heard,
        Self::Cancel,
        Self::Wait,
        Self::Report,
        Self::Steps,
    ];

    /// What its function's crate says of it.
    const fn declared(self) -> &'static operation::Operation {
        match self {
            Self::Execute => &execute_flow::OPERATION,
            Self::List => &list_executions::OPERATION,
            Self::Get => &get_execution::OPERATION,
            Self::Update => &update_execution::OPERATION,
            Self::UpdateStatus => &update_execution_status::OPERATION,
            Self::Transitions => &list_transitions::OPERATION,
            Self::Caller => &get_caller::OPERATION,
            Self::Heartbeat => &record_heartbeat::OPERATION,
            Self::Heard => &get_heartbeat::OPERATION,
            Self::Cancel => &cancel_execution::OPERATION,
            Self::Wait => &wait_execution::OPERATION,
            Self::Report => &report_steps::OPERATION,
            Self::Steps => &list_steps::OPERATION,
        }
    }

    /// The first byte of the inputs that are for it. The seeds hold these: another operation gets a byte of its own, and
    /// none is ever given away again, or the seeds would be for other operations than those that they were found with.
    const fn tag(self) -> u8 {
        match self {
            Self::Execute => b'0',
            Self::List => b'1',
            Self::Get => b'2',
            Self::Update => b'3',
            Self::UpdateStatus => b'4',
            Self::Transitions => b'5',
            Self::Caller => b'6',
            Self::Heartbeat => b'7',
            Self::Cancel => b'8',
            Self::Wait => b'9',
            Self::Heard => b'h',
            Self::Report => b'r',
            Self::Steps => b's',
        }
    }

    /// The operation that inputs with this first byte are for.
    #[must_use]
    pub fn tagged(tag: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|operation| operation.tag() == tag)
    }

    /// Reads a request as the operation's handler does, up to the call of the store.
    fn read(self, request: &Request) -> Result<Read, HttpError> {
        Ok(match self {
            Self::Execute => Read::New(execute_flow::request::read(request, DEFAULT_TIMEOUT_SECONDS)?),
            Self::List => Read::Page(list_executions::request::read(request, &CursorKey::new(SECRET))?),
            Self::Get | Self::Transitions | Self::Heard => {
                request.without_query().finish()?;
                Read::Id(request.execution_id()?, request.none_match("\"7\""))
            }
            Self::Update => {
                let change = update_execution::request::read(request)?;
                Read::Change(request.execution_id()?, change, request.prefers_minimal())
            }
            Self::Caller => {
                request.without_query().finish()?;
                Read::Caller(request.caller.clone().into())
            }
            Self::Heartbeat => {
                let attempt = record_heartbeat::request::read(request)?;
                Read::Heartbeat(request.execution_id()?, attempt)
            }
            Self::Cancel => {
                let cancel = cancel_execution::request::read(request)?;
                Read::Cancel(request.execution_id()?, cancel)
            }
            Self::Wait => {
                let time = wait_execution::request::read(request)?;
                Read::Wait(request.execution_id()?, time, request.none_match("\"7\""))
            }
            Self::Report => {
                let reports = report_steps::request::read(request)?;
                Read::Report(request.execution_id()?, reports)
            }
            Self::Steps => {
                let asked = list_steps::request::read(request, &CursorKey::new(SECRET))?;
                Read::Steps(asked.execution_id, asked.query)
            }
            Self::UpdateStatus => {
                let change = update_execution_status::request::read(request)?;
                Read::Change(request.execution_id()?, change, false)
            }
        })
    }

    /// Hands an event to the function, and checks the answer. `trusted`: the event has a good authorizer context.
    pub fn check(self, event: GatewayEvent, trusted: bool) -> Option<Read> {
        let name = correlation_id(&event);
        let read = OnceLock::new();
        let handler = service_fn(|request| {
            let read = &read;
            async move {
                let respond = endpoint::respond(self.declared(), &Stopped, request, async |request| {
                    read.set(self.read(&request)?).expect("one request");
                    // In the place of the record, which only a table has.
                    Ok(Response::minimal())
                });
                Ok(respond.await)
            }
        });
        let text = invoke(adapt(handler), event);
        let read = read.into_inner();
        check_answer(&text, &name, read.is_some(), trusted);
        read
    }
}

/// Calls a function as Lambda's runtime does; the text that it returns.
fn invoke<S>(mut function: S, event: GatewayEvent) -> String
where
    S: Service<LambdaEvent<GatewayEvent>, Response: Serialize, Error = Infallible>,
{
    let answer = function.call(LambdaEvent::new(event, Context::default()));
    let Ok(answer) = answer.now_or_never().expect("nothing to wait for");
    serde_json::to_string(&answer).expect("an answer is JSON")
}

/// By which name an event's request is answered.
fn correlation_id(event: &GatewayEvent) -> String {
    let GatewayEvent(LambdaRequest::ApiGatewayV2(event)) = event else { panic!("read as another event: {event:?}") };
    let requested = event.headers.get(endpoint::CORRELATION_ID).and_then(|value| value.to_str().ok());
    endpoint::correlation_id(requested, event.request_context.request_id.as_deref())
}

/// Ends a target unless [`Operation::ALL`] has every operation of the OpenAPI document and nothing else, and each has a tag
/// of its own: what is not in it is not fuzzed.
pub fn assert_all_operations() {
    let document: Value = serde_json::from_str(include_str!("../../openapi/openapi.json")).expect("JSON");
    let methods = document["paths"].as_object().expect("paths").values().filter_map(Value::as_object);
    let there_are: BTreeSet<&str> =
        methods.flat_map(|methods| methods.values()).filter_map(|method| method["operationId"].as_str()).collect();
    assert!(!there_are.is_empty(), "openapi/openapi.json has no operation");
    let listed: BTreeSet<&str> = Operation::ALL.into_iter().map(|operation| operation.declared().name).collect();
    let missing: Vec<_> = there_are.difference(&listed).collect();
    let unknown: Vec<_> = listed.difference(&there_are).collect();
    assert!(
        missing.is_empty() && unknown.is_empty(),
        "`Operation` of fuzz/src/lib.rs: missing: {missing:?}; unknown: {unknown:?}"
    );
    for operation in Operation::ALL {
        assert_eq!(Operation::tagged(operation.tag()), Some(operation), "two operations with one tag");
    }
}

/// An event with all that API Gateway always sets, and these parts of its own.
///
/// `context` is what the authorizer says of the caller; a JSON object, as `parts`.
#[must_use]
pub fn event(parts: &Value, context: &Value) -> GatewayEvent {
    let mut event = json!({
        "version": "2.0",
        "rawPath": "/",
        "rawQueryString": "",
        "headers": {},
        "requestContext": {
            "authorizer": { "lambda": context },
            "domainName": "fuzz.execute-api.eu-central-1.amazonaws.com",
            "http": { "method": "POST", "path": "/", "protocol": "HTTP/1.1", "sourceIp": "203.0.113.7" },
            "requestId": "gateway-1",
            "stage": "$default",
            "timeEpoch": 1_795_000_000_000_i64,
        },
        "isBase64Encoded": false,
    });
    for (name, value) in parts.as_object().expect("an object") {
        event[name] = value.clone();
    }
    serde_json::from_value(event).expect("an event")
}

/// An id as organizations and keys have them, of any text: hardly a text is one.
#[must_use]
pub fn plain_id(text: &str) -> String {
    const ALLOWED: &[u8] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    let allowed = |byte: u8| if ALLOWED.contains(&byte) { byte } else { ALLOWED[usize::from(byte) % ALLOWED.len()] };
    let id: String = text.bytes().take(64).map(|byte| char::from(allowed(byte))).collect();
    if id.is_empty() { "-".to_owned() } else { id }
}

/// What Lambda returns to API Gateway.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Answer {
    status_code: u16,
    headers: BTreeMap<String, String>,
    multi_value_headers: BTreeMap<String, Vec<String>>,
    body: Option<String>,
    is_base64_encoded: bool,
    cookies: Vec<String>,
}

/// What must hold of an answer to anything at all.
fn check_answer(text: &str, name: &str, read: bool, trusted: bool) {
    // Lambda returns 6 MB at most.
    assert!(text.len() < 6 * 1024 * 1024, "{} bytes", text.len());
    let answer: Answer = serde_json::from_str(text).expect("an answer as API Gateway takes it");
    assert!(answer.multi_value_headers.is_empty() && answer.cookies.is_empty() && !answer.is_base64_encoded, "{text}");
    let known: &[u16] = if read { &[204] } else { &[403, 404, 413, 415, 422] };
    // Without an authorizer nobody is served, and that is not the caller's mistake.
    let known = known.contains(&answer.status_code) || (!trusted && !read && answer.status_code == 500);
    assert!(known, "{text}");
    // Every answer names its request; an id that is no header value, which API Gateway never makes, is in the body alone.
    let shown = HeaderValue::try_from(name).is_ok().then_some(name);
    assert_eq!(answer.headers.get(endpoint::CORRELATION_ID).map(String::as_str), shown);
    if read {
        return;
    }
    assert_eq!(answer.headers.get("content-type").map(String::as_str), Some("application/json"));
    let body = answer.body.as_deref().expect("a refusal has a body");
    let members: BTreeMap<String, Box<RawValue>> = serde_json::from_str(body).expect("a refusal is a JSON object");
    let names: Vec<&str> = members.keys().map(String::as_str).collect();
    if answer.status_code == 422 {
        assert_eq!(names, ["detail"], "{body}");
        check_validation_errors(members["detail"].get());
    } else {
        assert_eq!(names, ["correlation_id", "detail", "error_code", "timestamp"], "{body}");
        assert_eq!(serde_json::from_str::<String>(members["correlation_id"].get()).ok().as_deref(), Some(name));
        let time: String = serde_json::from_str(members["timestamp"].get()).expect("a string");
        assert!(Timestamp::parse(&time).is_ok(), "{time}");
    }
}

/// Every validation error says where, what and of which type, and shows what was sent.
fn check_validation_errors(detail: &str) {
    let errors: Vec<BTreeMap<String, Box<RawValue>>> =
        serde_json::from_str(detail).expect("a list of validation errors");
    assert!(!errors.is_empty(), "a refusal without a reason");
    assert!(errors.len() <= 1_001, "{} validation errors", errors.len());
    for error in errors {
        let loc: Vec<Value> = serde_json::from_str(error["loc"].get()).expect("loc is a list");
        let place = loc.first().and_then(Value::as_str).expect("loc starts with a place");
        assert!(["body", "query", "path", "header"].contains(&place), "{place}");
        assert!(loc.iter().all(|step| step.is_string() || step.is_u64()), "{loc:?}");
        for name in ["msg", "type"] {
            let text: String = serde_json::from_str(error[name].get()).expect("a string");
            assert!(!text.is_empty(), "{name}");
        }
        assert!(error.contains_key("input"), "no input in {error:?}");
        assert!(error.keys().all(|name| ["loc", "msg", "type", "input", "ctx"].contains(&name.as_str())));
    }
}
