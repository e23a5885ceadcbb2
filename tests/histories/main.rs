//! A part of the reliability suite: concurrent histories over HTTP, under faults that a seed decides. Each history is checked
//! against the contract as a sequential object.
//!
//! ```text
//! cargo test -p tests --test histories                                        500 histories of a new seed
//! RATCHET_HISTORIES=10000 RATCHET_SEED=7 cargo test -p tests --test histories more of them, of this seed
//! RATCHET_HISTORY=0x1234 cargo test -p tests --test histories                 one history's seed, again and again
//! ```
#![expect(clippy::expect_used, reason = "a test ends where it cannot go on")]

mod check;
mod faults;
mod model;
mod planted;
mod run;
mod workload;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream;
use tests::Api;
use tests::seeded::Random;
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::check::History;
use crate::model::{Answer, Request};

/// How many histories run at the same time, each on an execution of its own. With more, two processors are so busy that
/// requests time out without a fault: then the seed decides less of the history, and the run takes longer.
const AT_ONCE: usize = if cfg!(debug_assertions) { 4 } else { 16 };

/// A number in the environment, decimal or with `0x`.
fn variable(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    let number = match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => text.parse(),
    };
    Some(number.unwrap_or_else(|_| panic!("{name} must be a number, and is {text:?}")))
}

/// The result of a history.
struct Outcome {
    seed: u64,
    history: Arc<History>,
    checking: Duration,
    verdict: Result<(), String>,
}

/// Checks a history, in a thread of its own: to reject one, the checker may have to try every order.
async fn judge(seed: u64, history: History) -> Outcome {
    let history = Arc::new(history);
    let (sender, receiver) = oneshot::channel();
    let begun = Instant::now();
    let checked = history.clone();
    std::thread::spawn(move || sender.send(checked.check()));
    let verdict = match tokio::time::timeout(Duration::from_secs(60), receiver).await {
        Ok(verdict) => verdict.expect("a checker that does not panic"),
        Err(_) => Err("no order found in a minute; where there is one, it takes milliseconds".to_owned()),
    };
    Outcome { seed, history, checking: begun.elapsed(), verdict }
}

/// How often a run has met what, by name.
type Counts = BTreeMap<String, u64>;

fn count(history: &History, counts: &mut Counts) {
    for operation in &history.operations {
        let name = match (operation.answer.as_ref(), operation.request.as_ref()) {
            (Answer::Record(_), _) => "records read".to_owned(),
            (Answer::Log(_), _) => "logs read".to_owned(),
            (Answer::Changed { replayed: true, .. }, _) => "changes, replayed".to_owned(),
            (Answer::Changed { .. }, _) => "changes".to_owned(),
            (Answer::Refused { code, .. }, _) => code.clone(),
            (Answer::Unavailable, Request::Change(_)) => "STORE_UNAVAILABLE".to_owned(),
            (Answer::Unavailable | Answer::Unknown, Request::Read | Request::Log) => "reads without answer".to_owned(),
            (Answer::Unknown, _) => "OUTCOME_UNKNOWN, and changes without answer".to_owned(),
            (Answer::Wrong(_), _) => "wrong answers".to_owned(),
            (_, _) => continue,
        };
        *counts.entry(name).or_default() += 1;
    }
}

/// What every run of some length must have met. A run without one of these would prove less than it seems to.
const MUST_HAPPEN: [&str; 12] = [
    "changes",
    "changes, replayed",
    "records read",
    "logs read",
    "INVALID_STATUS_TRANSITION",
    "EXECUTION_FINISHED",
    "INVALID_RETRY_COUNT",
    "PRECONDITION_FAILED",
    "IDEMPOTENCY_KEY_REUSED",
    "STORE_UNAVAILABLE",
    "OUTCOME_UNKNOWN, and changes without answer",
    "reads without answer",
];

/// Writes the figures of a run to standard error, past the test runner, which shows nothing of a test that passes.
fn report(text: &str) {
    let _ = std::io::stderr().write_all(text.as_bytes());
}

#[tokio::test(flavor = "multi_thread")]
async fn every_history_is_one_that_the_contract_allows() {
    let seed = variable("RATCHET_SEED").unwrap_or_else(|| uuid::Uuid::new_v4().as_u64_pair().0);
    let again = variable("RATCHET_HISTORY");
    // DynamoDB Local takes several times as long for each request as the embedded one.
    let usual = if std::env::var(tests::ENDPOINT).is_ok() { 150 } else { 500 };
    let histories = variable("RATCHET_HISTORIES").unwrap_or(usual);
    match again {
        None => report(&format!("histories: RATCHET_SEED={seed:#x} RATCHET_HISTORIES={histories}\n")),
        Some(again) => report(&format!("histories: RATCHET_HISTORY={again:#x} RATCHET_HISTORIES={histories}\n")),
    }
    let begun = Instant::now();
    let api = Api::start_with(run::tune).await;
    let mut counts = Counts::new();
    let (mut operations, mut slowest, mut total) = (0, Duration::ZERO, Duration::ZERO);
    let outcomes = (0..histories).map(|number| {
        let seed = again.unwrap_or_else(|| Random::nth(seed, number).number());
        let api = &api;
        async move { judge(seed, run::run(api, seed).await).await }
    });
    let mut outcomes = stream::iter(outcomes).buffer_unordered(AT_ONCE);
    let mut done = 0;
    while let Some(Outcome { seed, history, checking, verdict }) = outcomes.next().await {
        done += 1;
        if let Err(wrong) = verdict {
            panic!(
                "history {seed:#x}, number {done} to end: {wrong}\n{}\nTo repeat it, each time with another timing:\n\
                 RATCHET_HISTORY={seed:#x} cargo test -p tests --test histories every_history",
                history.print()
            );
        }
        count(&history, &mut counts);
        operations += history.operations.len();
        slowest = slowest.max(checking);
        total += checking;
    }
    drop(outcomes);

    let mut text = format!(
        "histories: {histories} of {operations} operations in {:.1} s; checking took {:.1} s, the slowest {:.1} ms\n",
        begun.elapsed().as_secs_f64(),
        total.as_secs_f64(),
        slowest.as_secs_f64() * 1e3,
    );
    let faults = api.proxy.counts();
    for (kind, times) in &faults {
        let _ = writeln!(text, "{times:>8} {kind:?}");
    }
    for (name, times) in &counts {
        let _ = writeln!(text, "{times:>8} {name}");
    }
    report(&text);
    // A single history need not meet everything, and a short run may not.
    if again.is_none() && histories >= 100 {
        for (kind, times) in faults {
            assert!(times > 0, "no request met {kind:?}");
        }
        for name in MUST_HAPPEN {
            assert!(counts.contains_key(name), "no {name}");
        }
    }
}
