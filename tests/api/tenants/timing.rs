//! How long an answer takes does not show whether another organization has the execution.
//!
//! Requests for an id that exists elsewhere and for one that exists nowhere are sent in pairs (in both orders, so that drift
//! affects both alike), in process, through the functions' own handlers to a real DynamoDB. The test evaluates the median of
//! the pairs' differences, with an interval from their order statistics: this assumes no distribution of the times, and a
//! machine that is busy with other things makes the interval wider and does not move it. More pairs are measured until the
//! interval lies within [`RESOLVED`] or beyond it.

use ratchet_model::limits::DEFAULT_TIMEOUT_SECONDS;
use std::time::{Duration, Instant};

use local::operations::{Endpoint, FunctionResponse, Services};
use ratchet_model::scope::Scopes;
use serde_json::{Value, json};
use tests::events::event;
use tests::seeded::Random;
use tests::{Api, caller};

use super::routes;

/// The smallest difference that the test must find, in microseconds.
const RESOLVED: f64 = 100.0;

/// How many pairs are measured before the first evaluation, and between evaluations.
const PAIRS: usize = 200;

/// The most evaluations.
const LOOKS: usize = 60;

/// The result of a measurement.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Verdict {
    /// No difference of [`RESOLVED`] or more.
    Same,
    /// A difference of more than that.
    Different,
    /// The interval is too wide to decide.
    Unclear,
}

/// The median of differences, and an interval that holds the true one in all but about 1 of 100,000 cases: the order
/// statistics 4.4 standard deviations of a fair coin to both sides of the middle (the sign test, turned round).
fn median(differences: &mut [f64]) -> (f64, f64, f64) {
    differences.sort_unstable_by(f64::total_cmp);
    let count = differences.len();
    #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small")]
    let reach = (4.4 * (count as f64).sqrt() / 2.0).ceil() as usize;
    let middle = count / 2;
    let at = |place: usize| differences[place.min(count - 1)];
    (at(middle.saturating_sub(reach)), at(middle), at(middle + reach))
}

fn verdict(low: f64, high: f64) -> Verdict {
    if low > -RESOLVED && high < RESOLVED {
        Verdict::Same
    } else if low > 0.0 && high > RESOLVED || high < 0.0 && low < -RESOLVED {
        Verdict::Different
    } else {
        Verdict::Unclear
    }
}

/// One route, called by another organization.
struct MeasuredRoute<'a> {
    services: &'a Services,
    endpoint: &'static Endpoint,
    body: Value,
    /// A delay that is added for an execution that exists elsewhere: the difference that the test must find.
    planted: Duration,
}

impl MeasuredRoute<'_> {
    /// How long an answer takes, in microseconds.
    async fn time(&self, id: &str, exists: bool) -> f64 {
        let caller = caller("other", "stranger", Scopes::ALL);
        let event = event(&json!({
            "headers": { "content-type": "application/json" },
            "pathParameters": { "execution_id": id },
            "body": self.body.to_string(),
            "requestContext": { "authorizer": { "lambda": caller.to_context() } },
        }));
        let event = serde_json::from_value(event).expect("an event");
        let begun = Instant::now();
        let answer = (self.endpoint.invoke)(self.services, event).await;
        if exists && !self.planted.is_zero() {
            let until = Instant::now() + self.planted;
            while Instant::now() < until {
                std::hint::spin_loop();
            }
        }
        let took = begun.elapsed().as_secs_f64() * 1e6;
        let answer: FunctionResponse = serde_json::from_str(&answer.expect("JSON")).expect("an answer");
        assert_eq!(answer.status_code, 404, "{:?}", answer.body);
        took
    }

    /// Measures until the result is clear, or the last evaluation.
    async fn measure(&self, existing: &[String], random: &mut Random) -> (Verdict, String) {
        let mut differences = Vec::new();
        let mut summary = String::new();
        for _ in 0..LOOKS {
            for _ in 0..PAIRS {
                let exists = &existing[usize::try_from(random.below(existing.len() as u64)).expect("a place")];
                let missing = uuid::Uuid::new_v4().to_string();
                let (there, nowhere) = if random.below(2) == 0 {
                    let there = self.time(exists, true).await;
                    (there, self.time(&missing, false).await)
                } else {
                    let nowhere = self.time(&missing, false).await;
                    (self.time(exists, true).await, nowhere)
                };
                differences.push(there - nowhere);
            }
            let (low, middle, high) = median(&mut differences);
            summary = format!("{middle:+.1} us [{low:+.1}, {high:+.1}] of {} pairs", differences.len());
            let verdict = verdict(low, high);
            if verdict != Verdict::Unclear {
                return (verdict, summary);
            }
        }
        (Verdict::Unclear, summary)
    }
}

/// Measures routes with a planted difference or none. The results.
async fn measure(operations: &[&str], planted: Duration) -> Vec<(&'static str, Verdict, String)> {
    let api = Api::start().await;
    let services = Services {
        store: api.store.clone(),
        cursors: api.cursors.clone(),
        default_timeout_seconds: DEFAULT_TIMEOUT_SECONDS,
    };
    let mut existing = Vec::new();
    for number in 0..20 {
        let status = ["pending", "running", "retrying", "completed"][number % 4];
        let id = api.execution_in(status).await;
        // Small ones and large ones: an unnecessary read would take measurable time.
        let body = json!({ "metadata": { "text": "x".repeat(number * 1_000) } });
        api.patch(&format!("/flows/executions/{id}"), &body).await.assert_status(200);
        existing.push(id);
    }
    let mut random = Random::new(0x7e4a);
    let mut found = Vec::new();
    for route in routes().filter(|route| operations.contains(&route.name)) {
        let body = match route.name {
            "update_execution" => json!({ "metadata": {} }),
            "update_execution_status" => json!({ "status": "cancelled" }),
            "record_heartbeat" => json!({ "attempt": 1 }),
            "cancel_execution" => json!({}),
            "report_steps" => json!({ "steps": [{ "step_id": "s" }] }),
            _ => Value::Null,
        };
        let endpoint = Endpoint::named(route.name).expect("an operation");
        let asked = MeasuredRoute { services: &services, endpoint, body, planted };
        let (verdict, summary) = asked.measure(&existing, &mut random).await;
        println!("tenants: {}, {} us planted: {verdict:?}, {summary}", route.name, planted.as_micros());
        found.push((route.name, verdict, summary));
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn how_long_an_answer_takes_does_not_distinguish_another_organizations_execution_from_a_missing_one() {
    let operations: Vec<&str> = routes().map(|route| route.name).collect();
    for (operation, verdict, summary) in measure(&operations, Duration::ZERO).await {
        assert_eq!(verdict, Verdict::Same, "{operation}: {summary}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_microseconds_more_would_be_found() {
    for (operation, verdict, summary) in measure(&["get_execution"], Duration::from_micros(200)).await {
        assert_eq!(verdict, Verdict::Different, "{operation}: {summary}");
    }
}

#[test]
fn an_interval_says_what_it_can() {
    assert_eq!(verdict(-3.0, 5.0), Verdict::Same);
    assert_eq!(verdict(40.0, 99.0), Verdict::Same);
    assert_eq!(verdict(150.0, 250.0), Verdict::Different);
    assert_eq!(verdict(-250.0, -50.0), Verdict::Different);
    assert_eq!(verdict(-150.0, 150.0), Verdict::Unclear);
    let mut differences: Vec<f64> = (0..1_001).map(|number| f64::from(number) - 500.0).collect();
    let (low, middle, high) = median(&mut differences);
    assert!((middle - 0.0).abs() < 1e-9 && low < -60.0 && high > 60.0 && low > -80.0, "{low} {middle} {high}");
}
