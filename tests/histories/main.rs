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
mod overdue;
mod planted;
mod run;
mod steps;
mod workload;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream;
use tests::seeded::{Kind, Random};
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::check::History;
use crate::model::{Answer, Request, View};
use crate::run::World;

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
    let mut counted = |name: &str| *counts.entry(name.to_owned()).or_default() += 1;
    let log = history.operations.iter().rev().find_map(|operation| match operation.answer.as_ref() {
        Answer::Log(log) => Some(log),
        _ => None,
    });
    for transition in log.into_iter().flatten() {
        match transition.by.as_str() {
            "service" => counted(&format!("transitions of the service: {}", transition.to)),
            _ if transition.reason == "\"heartbeat\"" => counted("transitions by heartbeat"),
            _ => {}
        }
    }
    for operation in &history.operations {
        let name = match (operation.answer.as_ref(), operation.request.as_ref()) {
            (Answer::Record(_), _) => "records read".to_owned(),
            (Answer::Log(_), _) => "logs read".to_owned(),
            (Answer::Changed { replayed: true, .. }, _) => "changes, replayed".to_owned(),
            (Answer::Changed { view: View::Cancelled { asked, .. }, .. }, _) => {
                if asked.is_some() { "cancels, requested" } else { "cancels, at once" }.to_owned()
            }
            (Answer::Changed { .. }, _) => "changes".to_owned(),
            (Answer::Refused { code, .. }, _) => code.clone(),
            (Answer::Heard(heard), _) => format!("heartbeats: {}", heard.action),
            (Answer::Passed { entered: Some(to), .. }, _) => format!("passes: {to}"),
            (Answer::Passed { entered: None, lost: true, .. }, _) => "passes: somebody was faster".to_owned(),
            (Answer::Passed { entered: None, certain: true, .. }, _) => "passes: nothing to do".to_owned(),
            (Answer::Passed { entered: None, certain: false, .. }, _) => "passes in which requests failed".to_owned(),
            (Answer::Unavailable, Request::Change(_)) => "STORE_UNAVAILABLE".to_owned(),
            (Answer::Unavailable | Answer::Unknown, Request::Read | Request::Log) => "reads without answer".to_owned(),
            (Answer::Unavailable | Answer::Unknown, Request::Heartbeat { .. }) => {
                "heartbeats without answer".to_owned()
            }
            (_, Request::Advance(_)) => "leaps of time".to_owned(),
            (Answer::Unknown, _) => "OUTCOME_UNKNOWN, and changes without answer".to_owned(),
            (Answer::Wrong(_), _) => "wrong answers".to_owned(),
            (_, _) => continue,
        };
        counted(&name);
    }
}

/// What every run of some length must have met. A run without one of these would prove less than it seems to.
const MUST_HAPPEN: [&str; 30] = [
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
    "ATTEMPT_SUPERSEDED",
    "CANCEL_REQUESTED",
    "cancels, at once",
    "cancels, requested",
    "heartbeats without answer",
    "heartbeats: cancel",
    "heartbeats: claim",
    "heartbeats: continue",
    "heartbeats: stop",
    "passes in which requests failed",
    "passes: nothing to do",
    "passes: somebody was faster",
    "transitions by heartbeat",
    "transitions of the service: cancelled",
    "transitions of the service: interrupted",
    "transitions of the service: timeout",
    "leaps of time",
    "INVALID_TIMEOUT",
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
    let worlds: Vec<World> = stream::iter(0..AT_ONCE).then(|_| World::start()).collect().await;
    let mut counts = Counts::new();
    let (mut operations, mut slowest, mut total) = (0, Duration::ZERO, Duration::ZERO);
    // Each world takes the next history when it is done with one.
    let next = AtomicU64::new(0);
    let next = || {
        let number = next.fetch_add(1, Ordering::Relaxed);
        (number < histories).then(|| again.unwrap_or_else(|| Random::nth(seed, number).number()))
    };
    let of_a_world = |world| {
        stream::unfold((), move |()| async move {
            let seed = next()?;
            Some((judge(seed, run::run(world, seed).await).await, ()))
        })
        .boxed_local()
    };
    let mut outcomes = stream::select_all(worlds.iter().map(of_a_world));
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
    let of_worlds: Vec<_> = worlds.iter().map(World::faults).collect();
    let faults: Vec<(Kind, u64)> = Kind::ALL
        .into_iter()
        .map(|kind| {
            (kind, of_worlds.iter().flatten().filter(|(other, _)| *other == kind).map(|(_, times)| times).sum())
        })
        .collect();
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
