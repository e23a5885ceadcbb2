//! The requests of the workers of a history. The seed alone decides them, before the first is sent.

use std::time::Duration;

use serde_json::{Map, Value, json};
use tests::seeded::{Kind, Odds, Random};

use crate::model::{Limits, Route};
use crate::overdue::SKEW;

/// The attempt for which a heartbeat speaks.
#[derive(Debug, Clone, Copy)]
pub enum Spoken {
    /// It names none.
    Unnamed,
    /// The one that its worker knows.
    Known,
    /// Some other one.
    Other(i64),
}

/// The next request of a worker.
#[derive(Debug, Clone)]
pub enum Plan {
    /// Get execution.
    Read,
    /// List transitions.
    Log,
    /// Record heartbeat.
    Heartbeat {
        /// For which attempt.
        spoken: Spoken,
        /// How long the worker waits for an answer, if not for ever.
        patience: Option<Duration>,
    },
    /// A pass of supervision.
    Pass,
    /// So many milliseconds pass.
    Advance(i64),
    /// Either PATCH, or cancel execution.
    Change {
        /// The operation.
        route: Route,
        /// The body.
        body: Value,
        /// The Idempotency-Key.
        key: Option<String>,
        /// Whether If-Match names the last version that the worker received.
        if_match: bool,
        /// How long the worker waits for an answer, if not for ever.
        patience: Option<Duration>,
    },
}

/// One worker's requests, each with the pause before it.
pub type Worker = Vec<(Duration, Plan)>;

/// The plan of a whole history.
#[derive(Debug, Clone)]
pub struct Workload {
    /// The limits of the execution.
    pub limits: Limits,
    /// How many bytes of inputs it has. From a kilobyte on they are in an item of their own, and an answer with the record
    /// takes a second request.
    pub inputs: usize,
    /// Two to eight.
    pub workers: Vec<Worker>,
    /// Those that let time pass and supervise: one to three.
    pub supervisors: Vec<Worker>,
    /// What the clocks are wrong by, in milliseconds: of both instances of the service, and of supervision.
    pub skews: [i64; 3],
    /// How likely each fault of the network is.
    pub odds: Odds,
}

/// The usual faults: a fifth of the requests.
const USUAL: [(Kind, u64); 11] = [
    (Kind::Slow, 60),
    (Kind::DropRequest, 15),
    (Kind::DropAnswer, 30),
    (Kind::Late, 15),
    (Kind::Reset, 15),
    (Kind::Broken, 15),
    (Kind::ThroughputExceeded, 10),
    (Kind::Throttling, 10),
    (Kind::HalfAnswer, 15),
    (Kind::AnswerTwice, 10),
    (Kind::DeliverTwice, 15),
];

/// What the requests of a history have in common.
struct Theme {
    limits: Limits,
    /// How many of a hundred requests are heartbeats, and how many cancels.
    heartbeats: u64,
    cancels: u64,
    /// Whether no worker ends the execution, so that supervision has to.
    endless: bool,
}

impl Workload {
    /// The workload of a seed.
    pub fn new(seed: u64) -> Self {
        let mut numbers = Random::new(seed);
        let limits = Limits {
            max_retries: numbers.weighted(&[(0, 1), (1, 2), (2, 2)]),
            // The longest is more than half an hour: then the bound of an interrupted execution is filed anew.
            timeout: numbers.weighted(&[(300, 2), (100, 1), (40, 2), (4_000, 2)]),
            heartbeat_timeout: numbers.weighted(&[(None, 2), (Some(15), 3), (Some(30), 2), (Some(60), 1)]),
            start_timeout: numbers.weighted(&[(None, 3), (Some(20), 1), (Some(45), 1)]),
        };
        let heartbeats = if limits.heartbeat_timeout.is_some() { 20 } else { 5 };
        let cancels = numbers.weighted(&[(0, 3), (4, 1), (9, 1)]);
        let theme = Theme { limits, heartbeats, cancels, endless: numbers.chance(450) };
        let inputs = numbers.weighted(&[(0, 1), (2_000, 1)]);
        let odds = odds(&mut numbers);
        let workers = 2 + numbers.below(7);
        // Few workers send more requests each. The longer a history, the more the checker has to remember.
        let most = if workers <= 4 { 7 } else { 4 };
        let mut keyed = Vec::new();
        let mut workers: Vec<Worker> = (0..workers)
            .map(|_| {
                let requests = 2 + numbers.below(most - 1);
                (0..requests).map(|_| (pause(&mut numbers), plan(&mut numbers, &theme, &mut keyed))).collect()
            })
            .collect();
        if limits.heartbeat_timeout.is_some() && numbers.chance(600) {
            // One that does as workers should: it claims, sends heartbeats and, perhaps, ends.
            workers.pop();
            workers.push(dutiful(&mut numbers, limits));
        }
        let skews = [0; 3].map(|_: i64| skew(&mut numbers));
        let supervisors = supervisors(&mut numbers, limits);
        Self { limits, inputs, workers, supervisors, skews, odds }
    }
}

/// What a clock is wrong by: as often as not by all that it may be.
fn skew(numbers: &mut Random) -> i64 {
    let within = i64::try_from(numbers.below(SKEW.unsigned_abs())).expect("a second");
    numbers.weighted(&[(-SKEW, 2), (SKEW, 2), (-within, 1), (within, 1), (0, 2)])
}

/// The requests of a worker as it should be.
fn dutiful(numbers: &mut Random, limits: Limits) -> Worker {
    let claim = json!({ "status": "running" });
    let key = numbers.chance(700).then(|| "claim".to_owned());
    let mut plans = vec![(Duration::ZERO, change(numbers, Route::Update, claim, key))];
    for _ in 0..=numbers.below(5) {
        let spoken = if numbers.chance(800) { Spoken::Known } else { Spoken::Unnamed };
        plans.push((Duration::from_millis(numbers.below(60)), Plan::Heartbeat { spoken, patience: None }));
    }
    if numbers.chance(500) {
        let end = json!({ "status": "completed", "final_output": { "limits": limits.timeout } });
        plans.push((pause(numbers), change(numbers, Route::Update, end, Some("end".to_owned()))));
    }
    plans
}

/// Those that let time pass and make passes.
fn supervisors(numbers: &mut Random, limits: Limits) -> Vec<Worker> {
    let mut first = Worker::new();
    for _ in 0..numbers.weighted(&[(1, 3), (2, 2), (3, 1)]) {
        for _ in 0..numbers.weighted(&[(1, 3), (2, 1)]) {
            first.push((Duration::from_millis(numbers.below(40)), advance(numbers, limits)));
        }
        first.push((Duration::from_millis(numbers.below(8)), Plan::Pass));
    }
    let mut supervisors = vec![first];
    if numbers.chance(200) {
        // Two passes at once are harmless.
        supervisors.push(vec![(pause(numbers), Plan::Pass)]);
    }
    if numbers.chance(200) {
        // Time passes while they look.
        supervisors.push(vec![(Duration::from_millis(numbers.below(80)), advance(numbers, limits))]);
    }
    supervisors
}

/// A time that is about one of those at which something is due.
fn advance(numbers: &mut Random, limits: Limits) -> Plan {
    let Limits { timeout, heartbeat_timeout, start_timeout, .. } = limits;
    let or = |limit: Option<i64>| limit.unwrap_or(timeout);
    let (heartbeat, start) = (or(heartbeat_timeout), or(start_timeout));
    let seconds = numbers.weighted(&[
        (heartbeat / 3, 4),
        (heartbeat, 3),
        (heartbeat + 1, 1),
        (heartbeat + 2, 2),
        (heartbeat + 5, 6),
        (start, 1),
        (start + 5, 2),
        (timeout, 1),
        (timeout + 5, 2),
        (3, 2),
        (65, 1),
    ]);
    let less = i64::try_from(numbers.below(1_000)).expect("a second");
    Plan::Advance(seconds * 1_000 - less)
}

fn odds(numbers: &mut Random) -> Odds {
    let times = |factor: u64| USUAL.map(|(kind, per_mille)| (kind, per_mille * factor));
    match numbers.below(20) {
        0 => Odds::CALM,
        1..=10 => Odds::of(&USUAL),
        11..=14 => Odds::of(&times(3)),
        15..=16 => Odds::of(&[(Kind::ThroughputExceeded, 300), (Kind::Throttling, 300), (Kind::DropAnswer, 50)]),
        17 => Odds::of(&[(Kind::Late, 250), (Kind::Slow, 250)]),
        18 => Odds::of(&[(Kind::DropAnswer, 400), (Kind::HalfAnswer, 100)]),
        _ => Odds::of(&[(Kind::DeliverTwice, 400), (Kind::AnswerTwice, 200), (Kind::Late, 100)]),
    }
}

fn pause(numbers: &mut Random) -> Duration {
    match numbers.below(4) {
        0 | 1 => Duration::ZERO,
        2 => Duration::from_micros(numbers.below(3_000)),
        _ => Duration::from_millis(numbers.below(30)),
    }
}

/// A change that another request may repeat.
type Keyed = (Route, Value, String);

fn plan(numbers: &mut Random, theme: &Theme, keyed: &mut Vec<Keyed>) -> Plan {
    if numbers.below(100) < theme.heartbeats {
        let other = i64::try_from(numbers.below(4)).expect("a small number");
        let spoken = numbers.weighted(&[(Spoken::Unnamed, 3), (Spoken::Known, 3), (Spoken::Other(other), 2)]);
        return Plan::Heartbeat { spoken, patience: patience(numbers) };
    }
    if numbers.below(100) < theme.cancels {
        let body = body(numbers, Route::Cancel, theme);
        let key = numbers.chance(500).then(|| format!("key-{}", keyed.len()));
        keyed.extend(key.clone().map(|key| (Route::Cancel, body.clone(), key)));
        return change(numbers, Route::Cancel, body, key);
    }
    match numbers.below(100) {
        0..=9 => Plan::Read,
        10..=15 => Plan::Log,
        16..=23 if !keyed.is_empty() => {
            let (route, body, key) = earlier(numbers, keyed);
            change(numbers, route, body, Some(key))
        }
        24..=27 if !keyed.is_empty() => {
            // Another body with a key that an earlier request has used.
            let (route, _, key) = earlier(numbers, keyed);
            let body = body(numbers, route, theme);
            change(numbers, route, body, Some(key))
        }
        other => {
            let route = if other < 36 && !theme.endless { Route::UpdateStatus } else { Route::Update };
            let body = body(numbers, route, theme);
            let key = numbers.chance(600).then(|| format!("key-{}", keyed.len()));
            keyed.extend(key.clone().map(|key| (route, body.clone(), key)));
            change(numbers, route, body, key)
        }
    }
}

fn earlier(numbers: &mut Random, keyed: &[Keyed]) -> Keyed {
    let most = u64::try_from(keyed.len()).expect("few keys");
    let index = usize::try_from(numbers.below(most)).expect("few keys");
    keyed.get(index).expect("an index below the length").clone()
}

fn change(numbers: &mut Random, route: Route, body: Value, key: Option<String>) -> Plan {
    let if_match = numbers.chance(150);
    Plan::Change { route, body, key, if_match, patience: patience(numbers) }
}

fn patience(numbers: &mut Random) -> Option<Duration> {
    numbers.chance(60).then(|| Duration::from_millis(1 + numbers.below(60)))
}

fn body(numbers: &mut Random, route: Route, theme: &Theme) -> Value {
    let n = numbers.below(1_000_000);
    if route == Route::Cancel {
        let mut body = Map::new();
        let grace = numbers.weighted(&[(None, 1), (Some(0), 2), (Some(10), 2), (Some(30), 1), (Some(3_600), 1)]);
        body.extend(grace.map(|seconds| ("grace_seconds".to_owned(), json!(seconds))));
        if numbers.chance(600) {
            body.insert("reason".to_owned(), json!(format!("because of {n}")));
        }
        return Value::Object(body);
    }
    if route == Route::UpdateStatus {
        let status = numbers.weighted(&[("completed", 2), ("failed", 1), ("cancelled", 2)]);
        return match numbers.below(3) {
            0 => json!({ "status": status }),
            1 => json!({ "status": status, "error_info": { "n": n } }),
            _ => json!({ "status": status, "error_info": { "message": format!("because of {n}") } }),
        };
    }
    let mut body = Map::new();
    let mut put = |name: &str, value: Value| body.insert(name.to_owned(), value);
    let change_status = numbers.chance(650);
    if change_status {
        let ends = u64::from(!theme.endless);
        let status = numbers.weighted(&[
            ("running", 10),
            ("retrying", if theme.endless { 3 } else { 8 }),
            ("interrupted", if theme.endless { 4 } else { 8 }),
            ("queued", if theme.endless { 2 } else { 5 }),
            ("completed", 2 * ends),
            ("failed", ends),
            ("cancelled", ends),
            ("timeout", ends),
            ("pending", 1),
        ]);
        put("status", json!(status));
    }
    if numbers.chance(120) {
        put("attempt", json!(numbers.below(4)));
    }
    // A change of status has a field in half the cases, a change of fields one or two; a few have none.
    let fields = if change_status { numbers.below(2) } else { numbers.weighted(&[(0, 1), (1, 8), (2, 5)]) };
    for _ in 0..fields {
        match numbers.below(13) {
            0..=1 => put("metadata", json!({ "n": n })),
            2 => put("performance_metrics", json!({ "n": n })),
            3..=4 => put("tokens_used", json!(n)),
            5 => put("tool_calls_count", json!(n)),
            6..=7 => put("final_output", json!({ "n": n })),
            8 => put("error_message", json!(format!("message {n}"))),
            9 => put("error_details", json!({ "n": n })),
            10 => put("retry_count", json!(numbers.below(4))),
            11 => put("timeout_seconds", json!(theme.limits.timeout.unsigned_abs() - 1 + numbers.below(4))),
            _ if numbers.chance(500) => put("duration_ms", json!(n)),
            _ => put("completed_at", json!(format!("2026-01-01T00:00:00.{:03}Z", n % 1_000))),
        };
    }
    Value::Object(body)
}
