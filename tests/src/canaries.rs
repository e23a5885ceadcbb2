//! Requests to every operation with a canary in every place that a caller can fill: a text that a search finds wherever it
//! appears.
//!
//! `local/tests/canaries.rs` includes this file, too, so it must not use anything of this crate.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

/// The canary: part of every text of a caller.
pub const CANARY: &str = "canary-7f3a";

/// The name of a request that calls no operation.
pub const NO_ROUTE: &str = "no route";

/// A request.
#[derive(Debug, Clone)]
pub struct Planted {
    /// The operation that it calls, or [`NO_ROUTE`].
    pub name: &'static str,
    /// The method.
    pub method: &'static str,
    /// The path after the base path, with its query.
    pub path: String,
    /// Headers besides those of [`headers`].
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: Option<Vec<u8>>,
    /// The status of the answer while nothing fails.
    pub status: u16,
}

impl Planted {
    fn new(name: &'static str, method: &'static str, path: String, status: u16) -> Self {
        Self { name, method, path, headers: Vec::new(), body: None, status }
    }

    fn json(self, body: &Value) -> Self {
        self.header("content-type", "application/json").raw(body.to_string())
    }

    fn raw(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = Some(body.into());
        self
    }

    fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

/// The headers of every request. The correlation id is not a valid one: API Gateway's request id takes its place.
#[must_use]
pub fn headers() -> Vec<(&'static str, String)> {
    [
        "user-agent",
        "cookie",
        "authorization",
        "referer",
        "x-forwarded-for",
        "x-amzn-trace-id",
        "x-custom",
        "accept-language",
    ]
    .map(|name| (name, format!("{CANARY} {name}")))
    .into_iter()
    .chain([("x-correlation-id", format!("{CANARY} with spaces"))])
    .collect()
}

/// An object of the caller, with canaries as its keys and values.
#[must_use]
pub fn object() -> Value {
    let mut members = Map::new();
    members.insert(CANARY.to_owned(), json!([CANARY, { CANARY: CANARY }]));
    Value::Object(members)
}

/// Execute flow with every field that it takes.
#[must_use]
pub fn execute(key: usize) -> Planted {
    let body = json!({
        "flow_id": CANARY,
        "trigger_type": "webhook",
        "trigger_data": object(),
        "variables": object(),
        "retry_config": { "max_retries": 2 },
        "metadata": object(),
        "agent_id": CANARY,
        "parent_execution_id": CANARY,
    });
    Planted::new("execute_flow", "POST", "/flows/execute".to_owned(), 200)
        .json(&body)
        .header("idempotency-key", format!("{CANARY}-{key}"))
}

/// Accepted requests to each of the other operations, for an execution that runs. The last one ends it.
#[must_use]
pub fn accepted(id: &str) -> Vec<Planted> {
    let update = json!({
        "status": "retrying",
        "error_message": CANARY,
        "error_details": object(),
        "final_output": object(),
        "performance_metrics": object(),
        "metadata": object(),
    });
    let end = json!({ "status": "failed", "error_info": { "message": CANARY, CANARY: object() } });
    let step = json!({
        "step_id": CANARY,
        "step_name": CANARY,
        "step_type": CANARY,
        "tool_name": CANARY,
        "status": "running",
        "input_data": object(),
        "output_data": object(),
        "error_message": CANARY,
        "metadata": object(),
    });
    let key = |operation: &str| format!("{CANARY}-{operation}");
    vec![
        Planted::new("get_execution", "GET", format!("/flows/executions/{id}"), 200)
            .header("if-none-match", format!("\"{CANARY}\"")),
        Planted::new("list_executions", "GET", format!("/flows/executions?flow_id={CANARY}&page_size=5"), 200),
        Planted::new("list_transitions", "GET", format!("/executions/{id}/transitions"), 200),
        Planted::new("get_heartbeat", "GET", format!("/executions/{id}/heartbeat"), 200),
        Planted::new("get_caller", "GET", "/me".to_owned(), 200),
        // At once: the caller has no version of the record.
        Planted::new("wait_execution", "GET", format!("/flows/executions/{id}/wait?timeout=1"), 200)
            .header("if-none-match", format!("\"{CANARY}\"")),
        Planted::new("record_heartbeat", "POST", format!("/executions/{id}/heartbeat"), 200)
            .json(&json!({ "attempt": 1 }))
            .header("idempotency-key", key("beat")),
        Planted::new("report_steps", "POST", format!("/executions/{id}/steps"), 200)
            .json(&json!({ "attempt": 1, "steps": [step, { "step_id": format!("{CANARY} 2"), "status": "failed" }] }))
            .header("idempotency-key", key("steps")),
        Planted::new("list_steps", "GET", format!("/executions/{id}/steps?view=summary&page_size=1"), 200),
        Planted::new("update_execution", "PATCH", format!("/flows/executions/{id}"), 200)
            .json(&update)
            .header("idempotency-key", key("update"))
            .header("prefer", CANARY),
        Planted::new("update_execution", "PATCH", format!("/flows/executions/{id}"), 200)
            .json(&json!({ "status": "running" })),
        Planted::new("cancel_execution", "POST", format!("/executions/{id}/cancel"), 200)
            .json(&json!({ "reason": CANARY, "grace_seconds": 600 }))
            .header("idempotency-key", key("cancel")),
        Planted::new("update_execution_status", "PATCH", format!("/executions/{id}"), 200)
            .json(&end)
            .header("idempotency-key", key("end")),
    ]
}

/// Requests that are refused, each for another reason. The execution has ended.
#[must_use]
pub fn refused(id: &str) -> Vec<Planted> {
    let execute = |status| Planted::new("execute_flow", "POST", "/flows/execute".to_owned(), status);
    let update = |status| Planted::new("update_execution", "PATCH", format!("/flows/executions/{id}"), status);
    let end = |status| Planted::new("update_execution_status", "PATCH", format!("/executions/{id}"), status);
    let steps = |status| Planted::new("report_steps", "POST", format!("/executions/{id}/steps"), status);
    let good = json!({ "flow_id": "f", "trigger_type": "api", "metadata": object() });
    let large = json!({ "flow_id": "f", "trigger_type": "api", "metadata": { "a": CANARY.repeat(40_000) } });
    let missing = "00000000-0000-4000-8000-000000000000";
    vec![
        execute(422).json(&json!({ "flow_id": [CANARY], "trigger_type": CANARY, CANARY: CANARY, "priority": CANARY })),
        execute(422).raw(format!("{{\"{CANARY}\": {CANARY}")),
        execute(422).raw([CANARY.as_bytes(), b"\xff\xfe"].concat()),
        execute(422).json(&good).header("idempotency-key", format!("{CANARY} with spaces")),
        execute(415).raw(format!("a={CANARY}")).header("content-type", format!("text/{CANARY}")),
        execute(413).json(&large),
        execute(413).raw(CANARY.repeat(110_000)),
        // The key of the first accepted request.
        execute(422).json(&good).header("idempotency-key", format!("{CANARY}-0")),
        update(400).json(&json!({ "status": "running", "error_message": CANARY })),
        update(400).json(&json!({ "error_message": CANARY, "final_output": object() })),
        update(400).json(&json!({ "retry_count": 99, "metadata": object() })),
        update(412).json(&json!({ "metadata": object() })).header("if-match", format!("\"{CANARY}\"")),
        update(422).json(&json!({ "metadata": object() })).header("if-match", CANARY),
        update(422).json(&json!({ "status": CANARY, "metadata": CANARY, "error_message": object(), CANARY: CANARY })),
        update(422).json(&json!({ "metadata": {} })).header("idempotency-key", format!("{CANARY}-update")),
        update(413).json(&json!({ "metadata": { "a": CANARY.repeat(40_000) } })),
        end(400).json(&json!({ "status": "cancelled", "error_info": { "message": CANARY } })),
        end(412)
            .json(&json!({ "status": "cancelled", "error_info": object() }))
            .header("if-match", format!("\"{CANARY}\"")),
        end(422).json(&json!({ "status": CANARY, "error_info": CANARY, CANARY: object() })),
        Planted::new("record_heartbeat", "POST", format!("/executions/{id}/heartbeat"), 422)
            .json(&json!({ "attempt": CANARY, CANARY: object() })),
        Planted::new("record_heartbeat", "POST", format!("/executions/{CANARY}/heartbeat"), 404),
        steps(422).json(
            &json!({ "attempt": CANARY, "steps": [{ "step_id": [CANARY], "status": CANARY, CANARY: object() }] }),
        ),
        steps(422).json(&json!({ "steps": [{ "step_id": CANARY }, { "step_id": CANARY }] })),
        steps(422).json(&json!({ "steps": [{ "step_id": "s" }] })).header("idempotency-key", format!("{CANARY} s")),
        steps(409).json(&json!({ "attempt": 99, "steps": [{ "step_id": CANARY, "output_data": object() }] })),
        steps(413).json(&json!({ "steps": [{ "step_id": CANARY, "output_data": { "a": CANARY.repeat(40_000) } }] })),
        Planted::new("report_steps", "POST", format!("/executions/{CANARY}/steps"), 404)
            .json(&json!({ "steps": [{ "step_id": CANARY }] })),
        Planted::new("list_steps", "GET", format!("/executions/{id}/steps?cursor={CANARY}&{CANARY}={CANARY}"), 422),
        Planted::new("list_steps", "GET", format!("/executions/{CANARY}/steps"), 404),
        Planted::new("cancel_execution", "POST", format!("/executions/{id}/cancel"), 400)
            .json(&json!({ "reason": CANARY })),
        Planted::new("cancel_execution", "POST", format!("/executions/{id}/cancel"), 412)
            .json(&json!({ "reason": CANARY }))
            .header("if-match", format!("\"{CANARY}\"")),
        Planted::new("cancel_execution", "POST", format!("/executions/{id}/cancel"), 422)
            .json(&json!({ "reason": object(), "grace_seconds": CANARY, CANARY: CANARY })),
        Planted::new("cancel_execution", "POST", format!("/executions/{missing}/cancel?{CANARY}={CANARY}"), 422),
        Planted::new("update_execution", "PATCH", format!("/flows/executions/{missing}"), 404)
            .json(&json!({ "metadata": object() })),
        Planted::new("update_execution_status", "PATCH", format!("/executions/{CANARY}"), 404)
            .json(&json!({ "status": "failed", "error_info": object() })),
        Planted::new("get_execution", "GET", format!("/flows/executions/{id}?{CANARY}={CANARY}"), 422),
        Planted::new("list_transitions", "GET", format!("/executions/{id}/transitions?{CANARY}={CANARY}"), 422),
        Planted::new("update_execution", "PATCH", format!("/flows/executions/{id}?{CANARY}={CANARY}"), 422)
            .json(&json!({ "metadata": object() })),
        Planted::new("get_execution", "GET", format!("/flows/executions/{CANARY}"), 404),
        Planted::new("list_transitions", "GET", format!("/executions/{CANARY}/transitions"), 404),
        Planted::new("get_heartbeat", "GET", format!("/executions/{id}/heartbeat?{CANARY}={CANARY}"), 422),
        Planted::new("get_caller", "GET", format!("/me?{CANARY}={CANARY}"), 422),
        Planted::new(
            "wait_execution",
            "GET",
            format!("/flows/executions/{id}/wait?timeout={CANARY}&{CANARY}={CANARY}"),
            422,
        ),
        Planted::new("wait_execution", "GET", format!("/flows/executions/{CANARY}/wait"), 404),
        Planted::new(
            "list_executions",
            "GET",
            format!("/flows/executions?cursor={CANARY}&{CANARY}={CANARY}&page={CANARY}"),
            422,
        ),
        Planted::new(NO_ROUTE, "GET", format!("/{CANARY}/{CANARY}"), 404),
        Planted::new(NO_ROUTE, "DELETE", format!("/flows/executions/{id}?{CANARY}"), 404),
    ]
}

/// The operations that requests call.
#[must_use]
pub fn called<'a>(planted: impl IntoIterator<Item = &'a Planted>) -> BTreeSet<&'static str> {
    planted.into_iter().map(|planted| planted.name).filter(|name| *name != NO_ROUTE).collect()
}

/// An error text if an answer shows something that it must not. An answer may show what its caller sent in a record, in a
/// list of validation errors (the contract's `input`), and as the type of a body that is not read. No answer may show keys or
/// internal names.
#[must_use]
pub fn complaint(status: u16, text: &str, inside: &[&str]) -> Option<String> {
    let shown = inside.iter().find(|secret| text.contains(**secret));
    if let Some(secret) = shown {
        return Some(format!("{secret} is in the answer: {status} {text}"));
    }
    let validation_errors = text.starts_with(r#"{"detail":[{"#);
    let own = matches!(status, 200 | 415) || (status == 422 && validation_errors);
    (!own && text.contains(CANARY)).then(|| format!("what was sent is in the answer: {status} {text}"))
}
