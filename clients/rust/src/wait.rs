//! Waiting for the end of an execution: the service holds the request where it can, else the client asks again and again.

use std::time::Duration;

use ratchet_model::id::ExecutionId;
use tokio::time::Instant;

use crate::answer::Answer;
use crate::client::Client;
use crate::error::Error;
use crate::record::Execution;
use crate::retry::RetryPolicy;

/// How long the service is asked to hold a request, in seconds.
const HOLD: u64 = 20;

/// The pauses between two questions, in seconds; the last one is repeated.
const PAUSES: [f64; 6] = [1.0, 2.0, 3.0, 5.0, 8.0, 10.0];

/// How long a service that does not answer is waited for, where the caller names no end.
const PATIENCE: Duration = Duration::from_secs(300);

/// How a wait ended.
#[derive(Debug)]
pub enum Waited {
    /// The execution has ended.
    Ended(Answer<Execution>),
    /// It has not; as it was seen last.
    InVain(Option<Answer<Execution>>),
}

/// How the client asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// The service holds the request.
    Hold,
    /// Once without being held, after a request that was cut: the next may be held again.
    Once,
    /// Again and again, without being held.
    Poll,
}

/// Waits until the execution has ended, at most for `timeout`.
///
/// A connection that is cut in the middle, and a service that is away for a while, are no end. That the time is up is no
/// error, and does nothing to the execution.
///
/// # Errors
///
/// A refusal, such as that there is no such execution, at once. [`Error::Unavailable`] where there is no timeout and the
/// service is away for five minutes, or a timeout and it was away for all of that.
pub async fn wait(client: &Client, id: ExecutionId, timeout: Option<Duration>) -> Result<Waited, Error> {
    wait_with(client, id, timeout, 1.0).await
}

/// [`wait`] with pauses between two questions that are `scale` times as long, for tests.
///
/// # Errors
///
/// As [`wait`].
pub async fn wait_with(
    client: &Client,
    id: ExecutionId,
    timeout: Option<Duration>,
    scale: f64,
) -> Result<Waited, Error> {
    let begun = Instant::now();
    let left = || timeout.map(|timeout| timeout.saturating_sub(begun.elapsed()));
    let mut way = Way::Hold;
    let mut cut_in_a_row = 0;
    let mut last: Option<Answer<Execution>> = None;
    let mut away_since: Option<Instant> = None;
    let mut asked = 0;
    loop {
        let asked_at = Instant::now();
        // The service holds for whole seconds: less than one is not worth a request of its own.
        let hold = left().map_or(HOLD, |left| left.as_secs() + u64::from(left.subsec_nanos() > 0)).clamp(1, HOLD);
        let answer = match (way, last.as_ref().and_then(|last| last.etag.as_ref())) {
            // Each of these once: the loop itself is the repeat. A wait of no time only looks.
            (Way::Hold, _) if left() != Some(Duration::ZERO) => {
                client.with_retry(held(client.retry(), left())).hold(id, hold).await.map(Some)
            }
            (_, Some(seen)) => client.with_retry(plain(client.retry(), left())).get_if_changed(id, seen).await,
            (_, None) => client.with_retry(plain(client.retry(), left())).get(id).await.map(Some),
        };
        match answer {
            Ok(answer) => {
                away_since = None;
                if let Some(answer) = answer {
                    if answer.status.is_terminal() {
                        return Ok(Waited::Ended(answer));
                    }
                    last = Some(answer);
                }
                match way {
                    Way::Hold => cut_in_a_row = 0,
                    Way::Once => way = Way::Hold,
                    Way::Poll => {}
                }
            }
            Err(error) => {
                let Some(next) = next_way(&error, way, cut_in_a_row) else { return Err(error) };
                if way == Way::Hold && next != Way::Poll {
                    cut_in_a_row += 1;
                }
                // Whatever was throttled or is not there answers a plain read at once.
                let at_once = way == Way::Hold && !matches!(next, Way::Hold);
                way = next;
                let since = *away_since.get_or_insert(asked_at);
                let is_over = left() == Some(Duration::ZERO);
                if (timeout.is_none() && since.elapsed() > PATIENCE) || (is_over && last.is_none()) {
                    return Err(error);
                }
                if at_once && left() != Some(Duration::ZERO) && way == Way::Once {
                    continue;
                }
            }
        }
        // A result in hand beats a clock that has run out: this is asked after the answer was looked at.
        let left = left();
        if left == Some(Duration::ZERO) {
            return Ok(Waited::InVain(last));
        }
        // A held request that comes back early would be asked for in a circle.
        if way == Way::Hold && asked_at.elapsed() >= Duration::from_secs(hold).mul_f64(0.9) {
            continue;
        }
        let pause = pause(asked, getrandom::u32().unwrap_or(0)).mul_f64(scale);
        asked += 1;
        tokio::time::sleep(left.map_or(pause, |left| pause.min(left))).await;
    }
}

/// How a held request is sent: once, and read for 10 s longer than it is held, but not beyond the end of the wait.
fn held(policy: &RetryPolicy, left: Option<Duration>) -> RetryPolicy {
    let longer = Duration::from_secs(10).min(policy.request_timeout);
    let longer = left.map_or(longer, |left| longer.min(left.max(Duration::from_secs(1))));
    RetryPolicy { request_timeout: longer, total: longer, ..RetryPolicy::once() }
}

/// How a plain read is sent: once, and for at least a second.
fn plain(policy: &RetryPolicy, left: Option<Duration>) -> RetryPolicy {
    let total = left.map_or(policy.total, |left| left.max(Duration::from_secs(1)));
    RetryPolicy { request_timeout: policy.request_timeout, total, ..RetryPolicy::once() }
}

/// How to go on after an error; `None`: not at all.
fn next_way(error: &Error, way: Way, cut_in_a_row: u32) -> Option<Way> {
    let unfinished = match way {
        Way::Hold if cut_in_a_row >= 1 => Way::Poll,
        Way::Hold | Way::Once => Way::Once,
        Way::Poll => Way::Poll,
    };
    match error {
        // Held requests have a rate limit of their own: plain reads do not count against it.
        Error::Unavailable(unavailable) if unavailable.status == Some(429) => Some(Way::Poll),
        // Cut in the middle, or away.
        Error::Unavailable(_) => Some(unfinished),
        // Not a refusal of the service's: it has no such route.
        Error::Refused(refusal) if refusal.status == 404 && refusal.code.is_none() && way == Way::Hold => {
            Some(Way::Poll)
        }
        Error::Refused(refusal) if refusal.status >= 500 => Some(unfinished),
        Error::Refused(_) | Error::Unusable(_) | Error::NotUnderstood(_) => None,
    }
}

/// The pause after this many questions: 20 percent more or less, so that waiters drift apart.
fn pause(asked: usize, random: u32) -> Duration {
    let seconds = PAUSES.get(asked).or(PAUSES.last()).copied().unwrap_or(1.0);
    let share = f64::from(random) / f64::from(u32::MAX);
    Duration::from_secs_f64(seconds * (0.8 + 0.4 * share))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_drift_apart() {
        for (asked, least, most) in [(0, 0.8, 1.2), (1, 1.6, 2.4), (5, 8.0, 12.0), (1000, 8.0, 12.0)] {
            assert!((pause(asked, 0).as_secs_f64() - least).abs() < 1e-6, "{asked}");
            assert!((pause(asked, u32::MAX).as_secs_f64() - most).abs() < 1e-6, "{asked}");
        }
    }
}
