//! Runs histories: real HTTP requests to the running service, with a proxy between it and its DynamoDB that injects the
//! faults of the seed.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_sdk_dynamodb::config::Builder;
use aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use tests::seeded::Disturbance;
use tests::{Api, item_key};
use tokio::time::Instant;

use crate::check::{History, Operation};
use crate::model::{Answer, Change, Record, Request, Route, Transition, View};
use crate::workload::{Plan, Worker, Workload};

/// How long one attempt of the store may take here. In production it is 1.2 s. It matters only that a late request is later
/// than this, and a history must not take a minute.
pub const ATTEMPT_TIMEOUT: Duration = Duration::from_millis(300);

/// How long all attempts may take, in the same proportion as in production.
const OPERATION_TIMEOUT: Duration = Duration::from_millis(1_000);

/// How often a request with a key is repeated while its outcome is unknown.
const REPEATS: usize = 12;

/// The API keys that the workers use in turns, and their ids in the transition log.
const KEYS: [(&str, &str); 2] = [("test-key", "local-1"), ("second-key", "local-5")];

/// The timeouts with which the store of these tests calls DynamoDB.
pub fn tune(config: Builder) -> Builder {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(ATTEMPT_TIMEOUT)
        .operation_attempt_timeout(ATTEMPT_TIMEOUT)
        .operation_timeout(OPERATION_TIMEOUT)
        .build();
    config.timeout_config(timeouts)
}

/// A history while it runs.
struct Run<'a> {
    api: &'a Api,
    id: String,
    begun: Instant,
    /// Counts invocations and returns, which puts them in order.
    moments: AtomicU64,
    done: Mutex<Vec<Operation>>,
}

/// Runs the history of a seed.
pub async fn run(api: &Api, seed: u64) -> History {
    let workload = Workload::new(seed);
    let begun = Instant::now();
    let body = json!({
        "flow_id": "histories", "trigger_type": "test", "retry_config": { "max_retries": workload.max_retries },
        "variables": { "text": "x".repeat(workload.inputs) },
    });
    let record = create(api, &body, seed).await;
    let id = tests::text(&record["id"]);
    let item = item_key(&id);
    let run = Run { api, id, begun, moments: AtomicU64::new(2), done: Mutex::default() };
    let answer = Record::read(&record, 1).map_or_else(|| Answer::Wrong(record.to_string()), Answer::Record);
    run.done.lock().expect("no worker panics while it holds this").push(Operation {
        worker: 0,
        request: Arc::new(Request::Create),
        answer: Arc::new(answer),
        body: record,
        invoked: 0,
        returned: 1,
        time: (Duration::ZERO, begun.elapsed()),
    });

    api.proxy.disturb(&item, Disturbance { seed, odds: workload.odds, attempt_timeout: ATTEMPT_TIMEOUT });
    join_all(workload.workers.iter().enumerate().map(|(number, worker)| run.work(number + 1, worker))).await;
    // Requests that were held back are applied before the last look: nothing may change after the history is checked.
    api.proxy.settle(&item).await;
    run.send(0, Request::Read, None).await;
    run.send(0, Request::Log, None).await;

    let mut operations = run.done.into_inner().expect("no worker panicked");
    operations.sort_by_key(|operation| operation.invoked);
    History { operations }
}

/// Creates the execution. Its requests meet no faults, but on a busy machine one may take too long.
async fn create(api: &Api, body: &Value, seed: u64) -> Value {
    let key = format!("{seed:x}-{}", uuid::Uuid::new_v4());
    for _ in 0..REPEATS {
        let call = api.request(Method::POST, "/flows/execute").json(body).header("idempotency-key", &key);
        let answer = call.send().await;
        if answer.status == 200 {
            return answer.body["execution"].clone();
        }
    }
    panic!("no execution can be created");
}

impl Run<'_> {
    async fn work(&self, worker: usize, plans: &Worker) {
        let mut version = 1;
        for (pause, plan) in plans {
            tokio::time::sleep(*pause).await;
            let (route, body, key, if_match, patience) = match plan {
                Plan::Read => {
                    self.send(worker, Request::Read, None).await.remember(&mut version);
                    continue;
                }
                Plan::Log => {
                    self.send(worker, Request::Log, None).await;
                    continue;
                }
                Plan::Change { route, body, key, if_match, patience } => (route, body, key, if_match, patience),
            };
            let change = Change {
                route: *route,
                body: body.clone(),
                key: key.clone(),
                if_match: if_match.then_some(version),
                by: KEYS[worker % KEYS.len()].1,
            };
            let mut patience = *patience;
            for _ in 0..REPEATS {
                let answer = self.send(worker, Request::Change(change.clone()), patience.take()).await;
                answer.remember(&mut version);
                // Without a key a repeat would be another change, so the outcome stays unknown.
                let answered = !matches!(*answer.0, Answer::Unknown | Answer::Unavailable);
                if answered || change.key.is_none() {
                    break;
                }
            }
        }
    }

    /// Sends a request and records its answer.
    async fn send(&self, worker: usize, request: Request, patience: Option<Duration>) -> Received {
        let (method, path) = match &request {
            Request::Log => (Method::GET, format!("/executions/{}/transitions", self.id)),
            Request::Change(Change { route: Route::UpdateStatus, .. }) => {
                (Method::PATCH, format!("/executions/{}", self.id))
            }
            Request::Change(_) => (Method::PATCH, format!("/flows/executions/{}", self.id)),
            _ => (Method::GET, format!("/flows/executions/{}", self.id)),
        };
        let mut call = self.api.with_key(KEYS[worker % KEYS.len()].0).request(method, &path);
        if let Request::Change(change) = &request {
            call = call.json(&change.body);
            if let Some(key) = &change.key {
                call = call.header("idempotency-key", key);
            }
            if let Some(version) = change.if_match {
                call = call.header("if-match", format!("\"{version}\""));
            }
        }
        if let Some(patience) = patience {
            call = call.timeout(patience);
        }
        let (invoked, from) = (self.moments.fetch_add(1, Ordering::SeqCst), self.begun.elapsed());
        let received = call.try_send().await;
        let (returned, to) = (self.moments.fetch_add(1, Ordering::SeqCst), self.begun.elapsed());
        let (answer, body) = match received {
            Ok(answer) => (read(&request, &answer), answer.body),
            Err(_) => (Answer::Unknown, Value::Null),
        };
        let answer = Arc::new(answer);
        self.done.lock().expect("no worker panics while it holds this").push(Operation {
            worker,
            request: Arc::new(request),
            answer: answer.clone(),
            body,
            invoked,
            returned,
            time: (from, to),
        });
        Received(answer)
    }
}

/// The answer that a worker received.
struct Received(Arc<Answer>);

impl Received {
    /// Keeps the version for the next If-Match.
    fn remember(&self, version: &mut i64) {
        *version = match self.0.as_ref() {
            Answer::Record(record) | Answer::Changed { view: View::Record(record), .. } => record.version,
            Answer::Changed { view: View::Statuses { version, .. }, .. } => *version,
            _ => return,
        };
    }
}

/// Reads an answer. One that the contract does not have is [`Answer::Wrong`].
fn read(request: &Request, answer: &tests::Answer) -> Answer {
    let body = &answer.body;
    let version = || answer.header("etag")?.strip_prefix('"')?.strip_suffix('"')?.parse().ok();
    let replayed = answer.header("idempotency-replayed") == Some("true");
    let status =
        |name: &str| <ratchet_model::status::Status as ratchet_model::wire_name::WireName>::parse(body[name].as_str()?);
    let understood = match (answer.status.as_u16(), request) {
        (200, Request::Read) => version().and_then(|version| Record::read(body, version)).map(Answer::Record),
        (200, Request::Log) => {
            body["transitions"].as_array().and_then(|list| list.iter().map(Transition::read).collect()).map(Answer::Log)
        }
        (200, Request::Change(Change { route: Route::Update, .. })) => version()
            .and_then(|version| Record::read(body, version))
            .map(|record| Answer::Changed { view: View::Record(record), replayed }),
        (200, Request::Change(_)) => match (status("previous_status"), status("current_status"), version()) {
            (Some(previous), Some(current), Some(version)) if body["success"] == true => {
                Some(Answer::Changed { view: View::Statuses { previous, current, version }, replayed })
            }
            _ => None,
        },
        (503, _) if body["error_code"] == "STORE_UNAVAILABLE" => Some(Answer::Unavailable),
        (503, Request::Change(_)) if body["error_code"] == "OUTCOME_UNKNOWN" => Some(Answer::Unknown),
        (409, Request::Change(_)) if superseded(body).is_some() => superseded(body),
        (code @ (400 | 409 | 412 | 422), Request::Change(_)) => {
            match (body["error_code"].as_str(), body["detail"].as_str()) {
                (Some(name), Some(detail)) => {
                    Some(Answer::Refused { status: code, code: name.to_owned(), detail: detail.to_owned() })
                }
                _ => None,
            }
        }
        _ => None,
    };
    understood.unwrap_or_else(|| Answer::Wrong(format!("{} {:?} {}", answer.status, answer.headers, answer.text)))
}

/// Reads the refusal of a claim that took effect and was superseded.
fn superseded(body: &Value) -> Option<Answer> {
    let detail = body["detail"].as_str().filter(|_| body["error_code"] == "ATTEMPT_SUPERSEDED")?;
    let rest = detail.strip_prefix("This claim took effect and began attempt ")?;
    let (begun, rest) = rest.split_once(", which is over: attempt ")?;
    let (current, _) = rest.split_once(" is the present one")?;
    Some(Answer::Superseded { begun: begun.parse().ok()?, current: current.parse().ok()? })
}
