//! Heartbeats from a task of their own, and what they are answered.

use std::time::Duration;

use ratchet_model::clock::Timestamp;
use ratchet_model::error_code::ErrorCode;
use ratchet_model::heartbeat::Action;
use ratchet_model::id::ExecutionId;
use ratchet_model::status::Status;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::client::Client;
use crate::error::Error;
use crate::record::Beat;
use crate::retry::RetryPolicy;

/// What the worker is to do, as the last answer said.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Notice {
    /// Go on. Also while the service does not answer: that it is away ends no work.
    #[default]
    Continue,
    /// Stop soon, and report.
    Cancel {
        /// Why.
        reason: Option<String>,
        /// From when on the service cancels by itself.
        force_at: Option<Timestamp>,
    },
    /// Stop: nothing that the attempt reports counts any more.
    Stop {
        /// Where the execution stands.
        status: Status,
        /// Why.
        reason: Option<String>,
    },
}

impl Notice {
    /// What an answer says.
    fn of(beat: &Beat) -> Self {
        match beat.action {
            Action::Continue | Action::Claim => Self::Continue,
            Action::Cancel => Self::Cancel { reason: beat.reason.clone(), force_at: beat.force_at },
            Action::Stop => Self::Stop { status: beat.status, reason: beat.reason.clone() },
        }
    }

    /// Whether the worker is to end its work.
    #[must_use]
    pub const fn ends_the_work(&self) -> bool {
        match self {
            Self::Continue => false,
            Self::Cancel { .. } | Self::Stop { .. } => true,
        }
    }
}

/// Heartbeats, sent until this is dropped.
#[derive(Debug)]
pub struct Heartbeats {
    notice: watch::Receiver<Notice>,
    task: JoinHandle<()>,
}

impl Heartbeats {
    /// Begins to send heartbeats, in a task of the present runtime. The claim was the first; the next is sent after a third of
    /// the execution's `heartbeat_timeout_seconds`, and those after it when the service asks for them.
    #[must_use]
    pub fn start(
        client: &Client,
        id: ExecutionId,
        attempt: Option<i64>,
        heartbeat_timeout_seconds: Option<i64>,
    ) -> Self {
        let every = ratchet_model::heartbeat::heartbeat_interval(heartbeat_timeout_seconds);
        Self::begin(client, id, attempt, Duration::from_secs(every.max(1).unsigned_abs()), None)
    }

    /// Begins to send heartbeats at an interval of the caller's own, whatever the service asks for.
    #[must_use]
    pub fn start_every(client: &Client, id: ExecutionId, attempt: Option<i64>, every: Duration) -> Self {
        Self::begin(client, id, attempt, every, Some(every))
    }

    fn begin(client: &Client, id: ExecutionId, attempt: Option<i64>, first: Duration, every: Option<Duration>) -> Self {
        let (sender, notice) = watch::channel(Notice::default());
        let client = client.clone();
        let task = tokio::spawn(async move { beat(&client, id, attempt, first, every, &sender).await });
        Self { notice, task }
    }

    /// What the last answer said, and each that follows.
    #[must_use]
    pub fn notice(&self) -> watch::Receiver<Notice> {
        self.notice.clone()
    }
}

impl Drop for Heartbeats {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Sends heartbeats until the attempt is over.
async fn beat(
    client: &Client,
    id: ExecutionId,
    attempt: Option<i64>,
    first: Duration,
    every: Option<Duration>,
    notice: &watch::Sender<Notice>,
) {
    let mut interval = first;
    let mut pause = first;
    loop {
        tokio::time::sleep(pause).await;
        // One heartbeat must not take the time of the next.
        let client = client
            .with_retry(RetryPolicy { request_timeout: Duration::from_secs(10), ..RetryPolicy::within(interval) });
        match client.heartbeat(id, attempt).await {
            Ok(answer) => {
                let said = Notice::of(&answer);
                let over = matches!(said, Notice::Stop { .. });
                notice.send_if_modified(|known| {
                    let changed = *known != said;
                    *known = said;
                    changed
                });
                if over {
                    return;
                }
                interval = every.unwrap_or_else(|| Duration::from_secs(answer.heartbeat_in_seconds.max(1)));
                pause = interval;
            }
            Err(error) if gone(&error) => return,
            // The service is away: the work goes on, and is heard of when it is back.
            Err(_) => pause = (interval / 4).max(Duration::from_secs(1)).min(interval),
        }
    }
}

/// Whether no heartbeat will ever be taken: there is no such execution. Any other refusal may be somebody's in between, and is
/// no order to stop.
fn gone(error: &Error) -> bool {
    error.code() == Some(ErrorCode::ExecutionNotFound)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_cancel_and_a_stop_end_the_work() {
        let beat = |action: &str| -> Beat {
            let text = format!(
                r#"{{"execution_id":"x","status":"running","attempt":1,"action":"{action}","reason":"why","cancel_requested_at":null,
                "force_at":null,"deadline_at":null,"heartbeat_in_seconds":40}}"#
            );
            serde_json::from_str(&text).unwrap()
        };
        for (action, ends) in [("continue", false), ("claim", false), ("cancel", true), ("stop", true)] {
            assert_eq!(Notice::of(&beat(action)).ends_the_work(), ends, "{action}");
        }
    }
}
