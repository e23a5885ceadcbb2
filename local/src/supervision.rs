//! Supervision in process: the pass of the function `enforce_deadlines`, each second and not each minute.

use std::time::Duration;

use ratchet_store::Store;
use tokio::time::MissedTickBehavior;

/// How long after one pass the next one begins.
const EVERY: Duration = Duration::from_secs(1);

/// How long a pass may take.
const LONGEST: Duration = Duration::from_secs(50);

/// Makes one pass after the other, for ever. A pass that changed something, or could not, is a line of the log.
pub async fn run(store: Store) {
    let mut ticks = tokio::time::interval(EVERY);
    // After a pause of the whole machine one pass does, and not one for each second of it.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let report = enforce_deadlines::pass(&store, LONGEST).await;
        if !report.ended.is_empty() || report.held + report.damaged + report.failed > 0 {
            tracing::info!(
                operation = enforce_deadlines::NAME,
                ended = ?report.ended,
                held = report.held,
                damaged = report.damaged,
                failed = report.failed,
            );
        }
    }
}
