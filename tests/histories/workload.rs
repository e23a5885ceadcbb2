//! The requests of the workers of a history. The seed alone decides them, before the first is sent.

use std::time::Duration;

use serde_json::{Map, Value, json};
use tests::seeded::{Kind, Odds, Random};

use crate::model::Route;

/// The next request of a worker.
#[derive(Debug, Clone)]
pub enum Plan {
    /// Get execution.
    Read,
    /// List transitions.
    Log,
    /// Either PATCH.
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
    /// The `max_retries` of the execution.
    pub max_retries: i64,
    /// How many bytes of inputs it has. From a kilobyte on they are in an item of their own, and an answer with the record
    /// takes a second request.
    pub inputs: usize,
    /// Two to eight.
    pub workers: Vec<Worker>,
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

impl Workload {
    /// The workload of a seed.
    pub fn new(seed: u64) -> Self {
        let mut numbers = Random::new(seed);
        let max_retries = numbers.weighted(&[(0, 1), (1, 2), (2, 2)]);
        let inputs = numbers.weighted(&[(0, 1), (2_000, 1)]);
        let odds = odds(&mut numbers);
        let workers = 2 + numbers.below(7);
        // Few workers send more requests each. The longer a history, the more the checker has to remember.
        let most = if workers <= 4 { 7 } else { 4 };
        let mut keyed = Vec::new();
        let workers = (0..workers)
            .map(|_| {
                let requests = 2 + numbers.below(most - 1);
                (0..requests).map(|_| (pause(&mut numbers), plan(&mut numbers, &mut keyed))).collect()
            })
            .collect();
        Self { max_retries, inputs, workers, odds }
    }
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

fn plan(numbers: &mut Random, keyed: &mut Vec<Keyed>) -> Plan {
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
            let body = body(numbers, route);
            change(numbers, route, body, Some(key))
        }
        other => {
            let route = if other < 36 { Route::UpdateStatus } else { Route::Update };
            let body = body(numbers, route);
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
    let patience = numbers.chance(60).then(|| Duration::from_millis(1 + numbers.below(60)));
    Plan::Change { route, body, key, if_match, patience }
}

fn body(numbers: &mut Random, route: Route) -> Value {
    let n = numbers.below(1_000_000);
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
        let status = numbers.weighted(&[
            ("running", 10),
            ("retrying", 8),
            ("interrupted", 8),
            ("queued", 5),
            ("completed", 2),
            ("failed", 1),
            ("cancelled", 1),
            ("timeout", 1),
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
            11 => put("timeout_seconds", json!(299 + numbers.below(4))),
            _ if numbers.chance(500) => put("duration_ms", json!(n)),
            _ => put("completed_at", json!(format!("2026-01-01T00:00:00.{:03}Z", n % 1_000))),
        };
    }
    Value::Object(body)
}
