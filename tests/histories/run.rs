//! Runs histories: real HTTP requests to the running service, with a proxy between it and its DynamoDB that injects the
//! faults of the seed.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_sdk_dynamodb::config::Builder;
use aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use futures_util::future::join_all;
use ratchet_model::clock::{Clock, SystemClock, Timestamp};
use ratchet_model::id::ExecutionId;
use ratchet_model::status::Status;
use ratchet_model::wire_name::WireName;
use ratchet_store::Store;
use ratchet_store::deadlines::Pass;
use ratchet_store::table_keys::{deadline_partition, deadline_shard};
use reqwest::Method;
use serde_json::{Value, json};
use tests::seeded::{Disturbance, Kind};
use tests::{Api, Instance, item_key};
use tokio::sync::RwLock;
use tokio::time::Instant;

use crate::check::{History, Operation};
use crate::model::{Answer, Change, Heard, Limits, Record, Request, Route, Transition, View};
use crate::overdue::Span;
use crate::workload::{Plan, Spoken, Worker, Workload};

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

/// The time of a world: the machine's, and what was passed over.
#[derive(Debug, Default)]
struct Time(AtomicI64);

impl Time {
    /// The true time, in epoch milliseconds.
    fn now(&self) -> i64 {
        SystemClock.now().millis() + self.0.load(Ordering::SeqCst)
    }

    fn advance(&self, millis: i64) {
        self.0.fetch_add(millis, Ordering::SeqCst);
    }
}

/// A clock that is wrong by so many milliseconds.
#[derive(Debug, Default)]
struct Skewed {
    time: Arc<Time>,
    by: AtomicI64,
}

impl Clock for Skewed {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.time.now() + self.by.load(Ordering::SeqCst)).expect("a time of this age")
    }
}

/// A service on a table of its own, with a time of its own: two instances and supervision, each with its own clock. One
/// history runs in it after the other.
pub struct World {
    api: Api,
    time: Arc<Time>,
    clocks: [Arc<Skewed>; 3],
    instances: [Instance; 2],
    supervisor: Store,
    /// An instance and supervision for the beginning and the end of a history. They wait for DynamoDB as long as it takes:
    /// nothing is to fail there, however busy the machine is.
    patient: (Instance, Store),
}

impl World {
    /// Starts one.
    pub async fn start() -> Self {
        let api = Api::start_with(tune).await;
        let time = Arc::new(Time::default());
        let clocks = [(); 3].map(|()| Arc::new(Skewed { time: time.clone(), by: AtomicI64::default() }));
        let [one, other, own] = clocks.clone();
        let instances = [api.instance(one, tune).await, api.instance(other, tune).await];
        let supervisor = api.instance(own.clone(), tune).await.store;
        let patient = api.instance(own, tests::patient).await;
        let patient = (api.instance(clocks[0].clone(), tests::patient).await, patient.store);
        Self { api, time, clocks, instances, supervisor, patient }
    }

    /// How many requests met each kind of fault.
    pub fn faults(&self) -> Vec<(Kind, u64)> {
        self.api.proxy.counts()
    }
}

/// A history while it runs.
struct Run<'a> {
    world: &'a World,
    limits: Limits,
    id: String,
    begun: Instant,
    /// Counts invocations and returns, which puts them in order.
    moments: AtomicU64,
    /// Held by an update of fields without a key, so that no minutes pass meanwhile. All attempts at it take seconds, by
    /// every clock, and its token is kept for no longer: one that is delivered twice, minutes apart and with later writes in
    /// between, is none that there can be.
    steady: RwLock<()>,
    done: Mutex<Vec<Operation>>,
}

/// By how much later than everything it is looked at once more, at the end of a history: longer than all its limits.
const LATER: i64 = 5_000_000;

/// The number in the place of a worker's, of what comes before and after all of them.
const NOBODY: usize = 0;

/// How long a pass may take.
const LONGEST_PASS: Duration = Duration::from_secs(50);

/// Runs the history of a seed.
pub async fn run(world: &World, seed: u64) -> History {
    let workload = Workload::new(seed);
    for (clock, skew) in world.clocks.iter().zip(workload.skews) {
        clock.by.store(skew, Ordering::SeqCst);
    }
    let (begun, from) = (Instant::now(), world.time.now());
    let limits = workload.limits;
    let body = json!({
        "flow_id": "histories", "trigger_type": "test", "retry_config": { "max_retries": limits.max_retries },
        "timeout_seconds": limits.timeout, "heartbeat_timeout_seconds": limits.heartbeat_timeout,
        "start_timeout_seconds": limits.start_timeout, "variables": { "text": "x".repeat(workload.inputs) },
    });
    let record = create(world, &body, seed).await;
    let id = tests::text(&record["id"]);
    let parsed = ExecutionId::parse(&id).expect("an id");
    // The execution, and the partition of the index by deadline that has it.
    let items = [item_key(&id), deadline_partition(deadline_shard(&parsed))];
    let run =
        Run { world, limits, id, begun, moments: AtomicU64::new(2), steady: RwLock::default(), done: Mutex::default() };
    let answer = Record::read(&record, 1).map_or_else(|| Answer::Wrong(record.to_string()), Answer::Record);
    run.done.lock().expect("no worker panics while it holds this").push(Operation {
        worker: NOBODY,
        request: Arc::new(Request::Create(limits)),
        answer: Arc::new(answer),
        body: record,
        invoked: 0,
        returned: 1,
        time: (Duration::ZERO, begun.elapsed()),
        clock: Span { from, to: world.time.now() },
    });

    for (seed, item) in [seed, !seed].into_iter().zip(&items) {
        let disturbance = Disturbance { seed, odds: workload.odds, attempt_timeout: ATTEMPT_TIMEOUT };
        world.api.proxy.disturb(item, disturbance);
    }
    let everybody = workload.workers.iter().chain(&workload.supervisors);
    join_all(everybody.enumerate().map(|(number, worker)| run.work(number + 1, worker))).await;
    // Requests that were held back are applied before the last look: nothing may change after the history is checked.
    for item in &items {
        world.api.proxy.settle(item).await;
    }
    let settled = world.time.now();
    run.send_calmly(Request::Log).await;
    let wrong = run.end().await;

    let mut operations = run.done.into_inner().expect("no worker panicked");
    operations.sort_by_key(|operation| operation.invoked);
    for clock in operations.iter_mut().map(|operation| &mut operation.clock).filter(|clock| clock.to == i64::MAX) {
        clock.to = settled.max(clock.from);
    }
    History { operations, wrong }
}

/// Creates the execution. Its requests meet no faults, but on a busy machine one may take too long.
async fn create(world: &World, body: &Value, seed: u64) -> Value {
    let key = format!("{seed:x}-{}", uuid::Uuid::new_v4());
    for _ in 0..REPEATS {
        let caller = world.api.at(&world.patient.0, KEYS[0].0);
        let call = caller.request(Method::POST, "/flows/execute").json(body).header("idempotency-key", &key);
        let answer = call.send().await;
        if answer.status == 200 {
            return answer.body["execution"].clone();
        }
    }
    panic!("no execution can be created");
}

/// What a worker knows from its answers.
struct Known {
    /// The version of the record, for If-Match.
    version: i64,
    /// The attempt, for heartbeats.
    attempt: i64,
}

impl Run<'_> {
    async fn work(&self, worker: usize, plans: &Worker) {
        let mut known = Known { version: 1, attempt: 0 };
        for (pause, plan) in plans {
            tokio::time::sleep(*pause).await;
            let by = self.key(worker).1;
            let (request, mut patience, repeats) = match plan {
                Plan::Read => (Request::Read, None, 1),
                Plan::Log => (Request::Log, None, 1),
                Plan::Pass => (Request::Pass, None, 1),
                Plan::Advance(millis) => (Request::Advance(*millis), None, 1),
                Plan::Heartbeat { spoken, patience } => {
                    let attempt = match spoken {
                        Spoken::Unnamed => None,
                        Spoken::Known => Some(known.attempt),
                        Spoken::Other(attempt) => Some(*attempt),
                    };
                    (Request::Heartbeat { attempt, by }, *patience, 1)
                }
                Plan::Change { route, body, key, if_match, patience } => {
                    let if_match = if_match.then_some(known.version);
                    // Without a key a repeat would be another change, so the outcome stays unknown.
                    let repeats = if key.is_some() { REPEATS } else { 1 };
                    let change = Change { route: *route, body: body.clone(), key: key.clone(), if_match, by };
                    (Request::Change(change), *patience, repeats)
                }
            };
            for turn in 0..repeats {
                // A repeat meets another instance.
                let instance = &self.world.instances[(worker + turn) % self.world.instances.len()];
                let answer = self.send(worker, instance, request.clone(), patience.take()).await;
                answer.remember(&mut known);
                if !matches!(*answer.0, Answer::Unknown | Answer::Unavailable) {
                    break;
                }
            }
        }
    }

    /// The API key of a worker, and its id.
    fn key(&self, worker: usize) -> (&'static str, &'static str) {
        KEYS[worker / self.world.instances.len() % KEYS.len()]
    }

    /// Sends a request to one of the instances, or has time pass or a pass made, and records its answer.
    async fn send(&self, worker: usize, instance: &Instance, request: Request, patience: Option<Duration>) -> Received {
        let (invoked, from) = (self.moments.fetch_add(1, Ordering::SeqCst), self.begun.elapsed());
        let mut clock = Span { from: self.world.time.now(), to: i64::MAX };
        let (answer, body) = match &request {
            Request::Advance(millis) => {
                let _steady = self.steady.write().await;
                self.world.time.advance(*millis);
                (Answer::Unavailable, Value::Null)
            }
            Request::Pass => {
                let World { supervisor, patient, .. } = self.world;
                let store = if worker == NOBODY { &patient.1 } else { supervisor };
                let report = enforce_deadlines::pass(store, LONGEST_PASS).await;
                (read_report(&report), json!(format!("{report:?}")))
            }
            _ => {
                let _steady = if request.is_unkeyed_update() { Some(self.steady.read().await) } else { None };
                match self.ask(worker, instance, &request, patience).await {
                    Ok(answer) => (read(&request, &answer), answer.body),
                    Err(_) => (Answer::Unknown, Value::Null),
                }
            }
        };
        // Whoever got no answer does not know when the service was done with the request.
        if answer != Answer::Unknown || !body.is_null() {
            clock.to = self.world.time.now();
        }
        let (returned, to) = (self.moments.fetch_add(1, Ordering::SeqCst), self.begun.elapsed());
        let answer = Arc::new(answer);
        self.done.lock().expect("no worker panics while it holds this").push(Operation {
            worker,
            request: Arc::new(request),
            answer: answer.clone(),
            body,
            invoked,
            returned,
            time: (from, to),
            clock,
        });
        Received(answer)
    }

    /// Sends a request over HTTP.
    async fn ask(
        &self,
        worker: usize,
        instance: &Instance,
        request: &Request,
        patience: Option<Duration>,
    ) -> Result<tests::Answer, reqwest::Error> {
        let execution = |rest: &str| format!("/executions/{}{rest}", self.id);
        let (method, path) = match request {
            Request::Log => (Method::GET, execution("/transitions")),
            Request::Heartbeat { .. } => (Method::POST, execution("/heartbeat")),
            Request::Change(change) => match change.route {
                Route::Update => (Method::PATCH, format!("/flows{}", execution(""))),
                Route::UpdateStatus => (Method::PATCH, execution("")),
                Route::Cancel => (Method::POST, execution("/cancel")),
            },
            _ => (Method::GET, format!("/flows{}", execution(""))),
        };
        let mut call = self.world.api.at(instance, self.key(worker).0).request(method, &path);
        match request {
            Request::Heartbeat { attempt: Some(attempt), .. } => call = call.json(&json!({ "attempt": attempt })),
            Request::Change(change) => {
                call = call.json(&change.body);
                if let Some(key) = &change.key {
                    call = call.header("idempotency-key", key);
                }
                if let Some(version) = change.if_match {
                    call = call.header("if-match", format!("\"{version}\""));
                }
            }
            _ => {}
        }
        if let Some(patience) = patience {
            call = call.timeout(patience);
        }
        call.try_send().await
    }

    /// Ends the execution, without faults: time passes, and supervision ends what ran. What nobody began is cancelled.
    /// Returns what is wrong about that beside the answers.
    async fn end(&self) -> Option<String> {
        let mut late = false;
        for _ in 0..REPEATS {
            let Some((status, attempt)) = self.look().await else { continue };
            if status.is_terminal() {
                if late {
                    self.send_calmly(Request::Log).await;
                }
                let left = self.world.api.deadlines().await;
                return (!left.is_empty()).then(|| format!("it has ended, and is watched still: {left:?}"));
            }
            let request = if !std::mem::replace(&mut late, true) {
                Request::Advance(LATER)
            } else if attempt == 0 && self.limits.start_timeout.is_none() {
                let (key, body) = (Some("nobody-began-it".to_owned()), json!({ "reason": "nobody began it" }));
                Request::Change(Change { route: Route::Cancel, body, key, if_match: None, by: self.key(NOBODY).1 })
            } else {
                Request::Pass
            };
            self.send_calmly(request).await;
        }
        Some("it does not end".to_owned())
    }

    /// Sends a request without faults.
    async fn send_calmly(&self, request: Request) -> Received {
        self.send(NOBODY, &self.world.patient.0, request, None).await
    }

    /// The status and the attempt, if they can be read.
    async fn look(&self) -> Option<(Status, i64)> {
        match self.send_calmly(Request::Read).await.0.as_ref() {
            Answer::Record(record) => Some((record.status, record.attempt)),
            _ => None,
        }
    }
}

/// The answer that a worker received.
struct Received(Arc<Answer>);

impl Received {
    /// Keeps the version for the next If-Match, and the attempt for the next heartbeat.
    fn remember(&self, known: &mut Known) {
        match self.0.as_ref() {
            Answer::Record(record) | Answer::Changed { view: View::Record(record), .. } => {
                *known = Known { version: record.version, attempt: record.attempt };
            }
            Answer::Changed { view: View::Statuses { version, .. } | View::Cancelled { version, .. }, .. } => {
                known.version = *version;
            }
            _ => {}
        }
    }
}

/// Reads what a pass did. There is one execution: it changes no more than that, and no silence is one of many.
fn read_report(report: &Pass) -> Answer {
    let entered: Vec<Status> = report.ended.keys().filter_map(|status| Status::parse(status)).collect();
    let changes: u64 = report.ended.values().sum();
    if entered.len() != report.ended.len() || changes > 1 || report.held + report.damaged > 0 {
        return Answer::Wrong(format!("{report:?}"));
    }
    let certain = report.failed == 0 && report.complete;
    Answer::Passed { entered: entered.first().copied(), certain, lost: report.lost > 0 }
}

/// Reads an answer. One that the contract does not have is [`Answer::Wrong`].
fn read(request: &Request, answer: &tests::Answer) -> Answer {
    let body = &answer.body;
    let version = || answer.header("etag")?.strip_prefix('"')?.strip_suffix('"')?.parse().ok();
    let replayed = answer.header("idempotency-replayed") == Some("true");
    let status = |name: &str| Status::parse(body[name].as_str()?);
    let time = |name: &str| Timestamp::parse(body[name].as_str()?).ok().map(Timestamp::millis);
    let understood = match (answer.status.as_u16(), request) {
        (200, Request::Read) => version().and_then(|version| Record::read(body, version)).map(Answer::Record),
        (200, Request::Log) => {
            body["transitions"].as_array().and_then(|list| list.iter().map(Transition::read).collect()).map(Answer::Log)
        }
        (200, Request::Change(Change { route: Route::Update, .. })) => version()
            .and_then(|version| Record::read(body, version))
            .map(|record| Answer::Changed { view: View::Record(record), replayed }),
        (200, Request::Heartbeat { .. }) => read_heard(body).map(Answer::Heard),
        (200, Request::Change(Change { route: Route::Cancel, .. })) => {
            let asked = time("cancel_requested_at").zip(time("force_at"));
            match (status("previous_status"), status("current_status"), version()) {
                (Some(previous), Some(current), Some(version))
                    if body["outcome"] == if asked.is_some() { "requested" } else { "cancelled" } =>
                {
                    Some(Answer::Changed { view: View::Cancelled { previous, current, asked, version }, replayed })
                }
                _ => None,
            }
        }
        (200, Request::Change(_)) => match (status("previous_status"), status("current_status"), version()) {
            (Some(previous), Some(current), Some(version)) if body["success"] == true => {
                Some(Answer::Changed { view: View::Statuses { previous, current, version }, replayed })
            }
            _ => None,
        },
        (503, _) if body["error_code"] == "STORE_UNAVAILABLE" => Some(Answer::Unavailable),
        (503, Request::Change(_) | Request::Heartbeat { .. }) if body["error_code"] == "OUTCOME_UNKNOWN" => {
            Some(Answer::Unknown)
        }
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

/// Reads what a worker is told.
fn read_heard(body: &Value) -> Option<Heard> {
    let time = |name: &str| match &body[name] {
        Value::Null => Some(None),
        value => Timestamp::parse(value.as_str()?).ok().map(|time| Some(time.millis())),
    };
    Some(Heard {
        status: Status::parse(body["status"].as_str()?)?,
        attempt: body["attempt"].as_i64()?,
        action: body["action"].as_str()?.to_owned(),
        reason: body["reason"].as_str().map(str::to_owned),
        asked: time("cancel_requested_at")?.zip(time("force_at")?),
        deadline_at: time("deadline_at")?,
        next: body["heartbeat_in_seconds"].as_i64()?,
    })
}

/// Reads the refusal of a claim that took effect and was superseded.
fn superseded(body: &Value) -> Option<Answer> {
    let detail = body["detail"].as_str().filter(|_| body["error_code"] == "ATTEMPT_SUPERSEDED")?;
    let rest = detail.strip_prefix("This claim took effect and began attempt ")?;
    let (begun, rest) = rest.split_once(", which is over: attempt ")?;
    let (current, _) = rest.split_once(" is the present one")?;
    Some(Answer::Superseded { begun: begun.parse().ok()?, current: current.parse().ok()? })
}
