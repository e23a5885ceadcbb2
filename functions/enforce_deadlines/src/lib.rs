//! Supervision, on a schedule: ends the executions whose deadline has passed, interrupts those whose worker is silent, and
//! forces the cancels that are due (contract, "Supervision").
//!
//! It is one more writer of executions, and has no other right than they have: `ratchet_store::deadlines`.

use std::io::Write;
use std::time::{Duration, Instant};

use lambda_runtime::LambdaEvent;
use ratchet_model::clock::Clock;
use ratchet_runtime::metrics::{self, Unit};
use ratchet_store::Store;
use ratchet_store::deadlines::Pass;
use serde::de::IgnoredAny;

/// The function's name, in logs.
pub const NAME: &str = "enforce_deadlines";

/// How long before the function's own timeout a pass begins no write any more: longer than the last of them can take.
const RESERVE: Duration = Duration::from_secs(10);

/// How long a pass may take where nobody says when it is ended.
const LONGEST: Duration = Duration::from_secs(50);

/// A pass in which requests failed. What they were about is overdue still, and the next pass does it.
#[derive(Debug)]
pub struct Unfinished(u64);

impl From<Unfinished> for lambda_runtime::Diagnostic {
    fn from(Unfinished(failed): Unfinished) -> Self {
        Self { error_type: "Unfinished".to_owned(), error_message: format!("{failed} requests to the store failed") }
    }
}

/// Makes one pass, whatever the event says, and returns what it saw and did. Its metrics line goes to `metrics`.
///
/// # Errors
///
/// [`Unfinished`] where requests failed.
pub async fn handle(
    store: &Store,
    event: LambdaEvent<IgnoredAny>,
    metrics: impl Write + Send,
) -> Result<Pass, Unfinished> {
    let report = pass(store, time_left(store.clock(), event.context.deadline)).await;
    tracing::info!(
        operation = NAME,
        looked = report.looked,
        ended = report.ended.values().sum::<u64>(),
        refiled = report.refiled,
        held = report.held,
        lost = report.lost,
        damaged = report.damaged,
        failed = report.failed,
        overdue_seconds = report.overdue_seconds,
        complete = report.complete,
        request_id = event.context.request_id,
    );
    metrics::write(metrics, store.clock().now(), &[("Table", store.table())], &metrics_of(&report), &[]);
    if report.failed > 0 { Err(Unfinished(report.failed)) } else { Ok(report) }
}

/// Makes one pass that takes no longer than `time`.
pub async fn pass(store: &Store, time: Duration) -> Pass {
    store.enforce_deadlines(Instant::now() + time).await
}

/// How long a pass may take that Lambda ends at `deadline`, in epoch milliseconds; 0: it does not say.
fn time_left(clock: &dyn Clock, deadline: u64) -> Duration {
    let now = clock.now().millis().unsigned_abs();
    let left = deadline.checked_sub(now).map(Duration::from_millis).and_then(|left| left.checked_sub(RESERVE));
    left.filter(|_| deadline > 0).map_or(LONGEST, |left| left.min(LONGEST))
}

/// The metrics of a pass: those that the alarms and the dashboard of the stack read.
fn metrics_of(report: &Pass) -> Vec<(&'static str, Unit, f64)> {
    #[expect(clippy::cast_precision_loss, reason = "counts of one pass are far below 2^52")]
    let count = |count: u64| count as f64;
    let ended = |status: &str| count(report.ended.get(status).copied().unwrap_or_default());
    #[expect(clippy::cast_precision_loss, reason = "a time of seconds is far below 2^52")]
    let overdue = report.overdue_seconds as f64;
    vec![
        ("OverdueSeconds", Unit::Seconds, overdue),
        ("Looked", Unit::Count, count(report.looked)),
        ("Refiled", Unit::Count, count(report.refiled)),
        ("Held", Unit::Count, count(report.held)),
        ("TimedOut", Unit::Count, ended("timeout")),
        ("Interrupted", Unit::Count, ended("interrupted")),
        ("Cancelled", Unit::Count, ended("cancelled")),
        ("Damaged", Unit::Count, count(report.damaged)),
    ]
}

#[cfg(test)]
mod tests {
    use ratchet_model::clock::SystemClock;

    use super::*;

    #[test]
    fn a_pass_stops_before_the_function_is_ended() {
        let now = SystemClock.now().millis().unsigned_abs();
        let left = |millis: u64| time_left(&SystemClock, now + millis);
        assert_eq!(time_left(&SystemClock, 0), LONGEST);
        assert_eq!(left(3_600_000), LONGEST);
        let short = left(30_000);
        assert!(short <= Duration::from_secs(20) && short > Duration::from_secs(15), "{short:?}");
    }
}
