//! Waiting for an execution (contract, "Wait execution"): reads of its head with growing pauses, and of the whole record
//! where the head has news.
//!
//! A waiter costs what its reads cost, and a function for as long as it waits. So the head alone is read, at half the price
//! and with two of its attributes: half a read unit for each 4 KB of it. A read of the past can only be late, never wrong: the
//! record that is returned is read consistently, by [`Store::execution`]. A waiter that has a version of an execution with steps
//! reads all of it each time: steps leave the head as it is, and change the `ETag`.

use std::time::Duration;

use ratchet_model::caller::Caller;
use ratchet_model::error::Error;
use ratchet_model::execution::Execution;
use ratchet_model::id::ExecutionId;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use crate::Store;
use crate::item::Glance;

/// How long the last read may take, which follows when the time to wait is up: two attempts, and less than the function has
/// left after the longest wait.
pub const LAST_READ: Duration = Duration::from_millis(2_500);

/// The first pause between two reads. Each further one is twice as long, up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(250);

/// The longest pause between two reads.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// What a waiter waits for, and for how long.
#[derive(Clone, Copy)]
pub struct Wait<'a> {
    /// For how long, at most.
    pub time: Duration,
    /// Whether the waiter has the record of an `ETag` already: any other one ends the wait, besides the execution's end.
    /// `None`: the end alone does.
    pub known: Option<&'a (dyn Fn(&str) -> bool + Send + Sync)>,
}

impl std::fmt::Debug for Wait<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Wait").field("time", &self.time).field("known", &self.known.is_some()).finish()
    }
}

impl Wait<'_> {
    /// Whether a record ends the wait.
    fn is_over(&self, execution: &Execution) -> bool {
        execution.status.is_terminal() || self.known.is_some_and(|known| !known(&execution.etag()))
    }

    /// Whether a glance says that the record may end the wait, which did not when it had the version `seen`.
    fn has_news(&self, glance: &Glance, seen: i64) -> bool {
        // A replica that lags shows what was read already.
        let is_written = glance.version > seen && (glance.status.is_terminal() || self.known.is_some());
        // Of steps the head says only that there are some, and the `ETag` changes with each.
        is_written || glance.has_steps && self.known.is_some()
    }
}

/// The pauses between reads, each spread by a fifth to both sides: waiters that came together do not read together.
#[derive(Debug)]
struct Pauses {
    next: Duration,
}

impl Pauses {
    const fn new() -> Self {
        Self { next: FIRST_PAUSE }
    }

    fn take(&mut self, random: u8) -> Duration {
        let pause = self.next;
        self.next = (pause * 2).min(LONGEST_PAUSE);
        // From 0.8 to 1.2 in steps of 1/637.5.
        pause * 4 / 5 + pause * u32::from(random) * 2 / (5 * 255)
    }
}

/// A random byte. Without random numbers waiters keep step, and nothing else is wrong.
fn random() -> u8 {
    let mut byte = [128];
    let _ = getrandom::fill(&mut byte);
    let [byte] = byte;
    byte
}

impl Store {
    /// The record of an execution, as soon as it ends the wait or the time is up: whoever waits looks at which it is.
    ///
    /// A read that DynamoDB does not answer is no news; the last one is the answer. It takes no longer than the time to wait
    /// and [`LAST_READ`].
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`], at once. [`Error::StoreUnavailable`] where the last read is not answered.
    pub async fn wait(&self, caller: &Caller, id: &ExecutionId, wait: Wait<'_>) -> Result<Execution, Error> {
        let end = Instant::now() + wait.time;
        let mut pauses = Pauses::new();
        // The version that the record had when it was last read.
        let mut seen = None;
        loop {
            match timeout_at(end, self.news(caller, id, &wait, seen)).await {
                Ok(Ok(Some(execution))) if wait.is_over(&execution) => return Ok(execution),
                Ok(Ok(Some(execution))) => seen = Some(execution.version),
                Ok(Err(Error::StoreUnavailable { reason })) => tracing::debug!(reason, "a read of a wait failed"),
                Ok(Err(error)) => return Err(error),
                // No news, or none in time.
                Ok(Ok(None)) | Err(_) => {}
            }
            let pause = pauses.take(random());
            let left = end.saturating_duration_since(Instant::now());
            sleep(pause.min(left)).await;
            if pause >= left {
                break;
            }
        }
        timeout(LAST_READ, self.execution(caller, id)).await.unwrap_or_else(|_| {
            Err(Error::StoreUnavailable { reason: "the last read of a wait took too long".to_owned() })
        })
    }

    /// The record, if it may end the wait: the first time in any case.
    async fn news(
        &self,
        caller: &Caller,
        id: &ExecutionId,
        wait: &Wait<'_>,
        seen: Option<i64>,
    ) -> Result<Option<Execution>, Error> {
        if let Some(seen) = seen {
            let glance = self.glance(caller, id).await?;
            if !glance.is_some_and(|glance| wait.has_news(&glance, seen)) {
                return Ok(None);
            }
        }
        self.execution(caller, id).await.map(Some)
    }
}

#[cfg(test)]
mod tests {
    use ratchet_model::status::Status;

    use super::*;

    #[test]
    fn pauses_grow_to_a_second_and_are_spread() {
        let lengths = |random| {
            let mut pauses = Pauses::new();
            [0; 5].map(|_| pauses.take(random).as_millis())
        };
        assert_eq!(lengths(0), [200, 400, 800, 800, 800]);
        assert_eq!(lengths(255), [300, 600, 1_200, 1_200, 1_200]);
        let middle = lengths(128);
        assert!(middle.iter().zip([250, 500, 1_000, 1_000, 1_000]).all(|(is, of)| is.abs_diff(of) <= 1), "{middle:?}");
    }

    #[test]
    fn only_what_may_end_the_wait_is_news() {
        let any = |_: &str| false;
        let until_the_end = Wait { time: LAST_READ, known: None };
        let until_a_write = Wait { time: LAST_READ, known: Some(&any) };
        for (status, version, end, write) in [
            (Status::Running, 3, false, false),
            (Status::Running, 4, false, true),
            (Status::Failed, 4, true, true),
            // As a replica shows it that lags behind the record that was read.
            (Status::Running, 2, false, false),
            (Status::Failed, 3, false, false),
        ] {
            let glance = Glance { status, version, has_steps: false };
            assert_eq!(until_the_end.has_news(&glance, 3), end, "{glance:?}");
            assert_eq!(until_a_write.has_news(&glance, 3), write, "{glance:?}");
            // What became of its steps is not in the head.
            let glance = Glance { has_steps: true, ..glance };
            assert!(until_a_write.has_news(&glance, 3));
            assert_eq!(until_the_end.has_news(&glance, 3), end, "{glance:?}");
        }
    }
}
