//! A request is answered with all of its validation errors at once, as a 4xx, and nothing of it is stored.

mod bodies;
mod fields;
mod headers;
mod ids;
mod queries;
mod sizes;

use std::sync::atomic::{AtomicU64, Ordering};

use reqwest::Method;
use serde_json::{Value, json};
use tests::coverage::{OPTIONAL_BODY, WITHOUT_KEY};
use tests::{Answer, Api, Call, text};

/// The operations that take a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operation {
    Execute,
    Update,
    UpdateStatus,
    Heartbeat,
    Cancel,
    Steps,
}

use Operation::{Cancel, Execute, Heartbeat, Steps, Update, UpdateStatus};

const OPERATIONS: [Operation; 6] = [Execute, Update, UpdateStatus, Heartbeat, Cancel, Steps];

/// The fields that take any object, each with its name in the record. Those of steps: `steps/exact.rs`.
const OBJECTS: [(Operation, &str, &str); 8] = [
    (Execute, "trigger_data", "trigger_data"),
    (Execute, "variables", "variables"),
    (Execute, "metadata", "metadata"),
    (Update, "final_output", "final_output"),
    (Update, "error_details", "error_details"),
    (Update, "performance_metrics", "performance_metrics"),
    (Update, "metadata", "metadata"),
    (UpdateStatus, "error_info", "error_details"),
];

impl Operation {
    /// Its id in the OpenAPI document.
    fn id(self) -> &'static str {
        match self {
            Execute => "execute_flow",
            Update => "update_execution",
            UpdateStatus => "update_execution_status",
            Heartbeat => "record_heartbeat",
            Cancel => "cancel_execution",
            Steps => "report_steps",
        }
    }

    /// Whether it takes an Idempotency-Key.
    fn takes_key(self) -> bool {
        !WITHOUT_KEY.contains(&self.id())
    }

    /// Whether a request without a body is refused.
    fn needs_body(self) -> bool {
        !OPTIONAL_BODY.contains(&self.id())
    }

    /// A body that is accepted, with additional `members` (as JSON text, may be empty).
    fn body(self, members: &str) -> String {
        let required = match self {
            Execute => r#""flow_id":"demo","trigger_type":"test""#,
            Update | Heartbeat | Cancel => "",
            UpdateStatus => r#""status":"failed""#,
            Steps => r#""steps":[{"step_id":"s"}]"#,
        };
        let comma = if required.is_empty() || members.is_empty() { "" } else { "," };
        format!("{{{required}{comma}{members}}}")
    }
}

/// The service with one running execution, which the bad requests name.
struct World {
    api: Api,
    id: String,
    before: Value,
    created: AtomicU64,
}

impl World {
    async fn start() -> Self {
        let api = Api::start().await;
        let id = running(&api).await;
        let before = state(&api, &id).await;
        Self { api, id, before, created: AtomicU64::new(1) }
    }

    /// A request of an operation, without a body yet.
    fn call(&self, operation: Operation) -> Call {
        call(&self.api, operation, &self.id)
    }

    /// Sends a body as JSON.
    async fn send(&self, operation: Operation, body: impl Into<Vec<u8>>) -> Answer {
        self.call(operation).header("content-type", "application/json").body(body.into()).send().await
    }

    /// Sends a body and ends the test unless it is refused with exactly these validation errors, in any order.
    async fn assert_refused(&self, operation: Operation, body: &str, errors: &[String]) -> Answer {
        let answer = readable(self.send(operation, body).await);
        let shown: String = body.chars().take(300).collect();
        assert_eq!(answer.status.as_u16(), 422, "{operation:?} {shown}: {}", answer.text);
        let (mut found, mut expected) = (answer.validation_errors(), errors.to_vec());
        found.sort_unstable();
        expected.sort_unstable();
        assert_eq!(found, expected, "{operation:?} {shown}");
        answer
    }

    /// Sends bytes that are no JSON and ends the test unless they are refused as such.
    async fn assert_refused_bytes(&self, operation: Operation, bytes: &[u8]) {
        let answer = self.send(operation, bytes.to_vec()).await;
        let found = answer.validation_errors();
        assert!(matches!(&found[..], [error] if error.ends_with(": json_invalid")), "{operation:?} {found:?}");
    }

    /// Lets an operation succeed on a new execution. The record afterwards, as GET shows it.
    async fn accepted(&self, operation: Operation, members: &str) -> Answer {
        let body = operation.body(members);
        let shown: String = body.chars().take(300).collect();
        self.created.fetch_add(1, Ordering::Relaxed);
        let id = if operation == Execute { String::new() } else { running(&self.api).await };
        let call = call(&self.api, operation, &id).header("content-type", "application/json");
        let answer = call.body(body).send().await;
        assert_eq!(answer.status.as_u16(), 200, "{operation:?} {shown}: {}", answer.text);
        let id = if operation == Execute { text(&answer.body["execution"]["id"]) } else { id };
        let record = self.api.get(&format!("/flows/executions/{id}")).await;
        record.assert_status(200);
        record
    }

    /// Ends the test unless the execution is as it was at the start, and no other execution exists but the accepted ones.
    async fn assert_untouched(&self) {
        assert_eq!(state(&self.api, &self.id).await, self.before);
        let list = self.api.get("/flows/executions?page_size=1").await;
        assert_eq!(list.assert_status(200).body["total_count"], self.created.load(Ordering::Relaxed));
    }
}

fn call(api: &Api, operation: Operation, id: &str) -> Call {
    match operation {
        Execute => api.request(Method::POST, "/flows/execute"),
        Update => api.request(Method::PATCH, &format!("/flows/executions/{id}")),
        UpdateStatus => api.request(Method::PATCH, &format!("/executions/{id}")),
        Heartbeat => api.request(Method::POST, &format!("/executions/{id}/heartbeat")),
        Cancel => api.request(Method::POST, &format!("/executions/{id}/cancel")),
        Steps => api.request(Method::POST, &format!("/executions/{id}/steps")),
    }
}

/// A running execution with the most retries that are allowed.
async fn running(api: &Api) -> String {
    let body = json!({ "flow_id": "demo", "trigger_type": "test", "retry_config": { "max_retries": 100 } });
    let id = text(&api.execute(&body).await["id"]);
    api.patch(&format!("/flows/executions/{id}"), &json!({ "status": "running" })).await.assert_status(200);
    id
}

/// Everything of an execution that a request could change: the record with its version, and its transitions.
async fn state(api: &Api, id: &str) -> Value {
    let record = api.get(&format!("/flows/executions/{id}")).await;
    let transitions = api.get(&format!("/executions/{id}/transitions")).await;
    json!({
        "record": record.assert_status(200).text,
        "etag": record.header("etag"),
        "transitions": transitions.assert_status(200).text,
    })
}

/// `"a":1` for `a` and `"a":{"b":1}` for `a.b`.
fn member(path: &str, value: &str) -> String {
    match path.split_once('.') {
        Some((outer, inner)) => format!("\"{outer}\":{{{}}}", member(inner, value)),
        None => format!("\"{path}\":{value}"),
    }
}

/// `text` with blanks after it, up to this many bytes.
fn padded(text: &str, bytes: usize) -> String {
    text.to_owned() + &" ".repeat(bytes - text.len())
}

/// The answer with its body as JSON, also if it echoes a number that no double can represent: `serde_json` refuses to read
/// that.
fn readable(mut answer: Answer) -> Answer {
    if answer.body.is_null() {
        let tamed =
            answer.text.replace("e400", "").replace("E+400", "").replace("e308", "").replace(&"0".repeat(400), "");
        answer.body = serde_json::from_str(&tamed).unwrap_or(Value::Null);
    }
    answer
}
