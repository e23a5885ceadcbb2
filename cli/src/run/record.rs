//! What is reported: creating the execution, claiming it, ending it. In a task of its own, which goes on trying while the
//! command runs, always with the same Idempotency-Keys.

use std::time::Duration;

use nix::sys::signal::Signal;
use ratchet_client::client::Client;
use ratchet_client::error::Error;
use ratchet_client::idempotency::IdempotencyKey;
use ratchet_client::record::Transition;
use ratchet_client::request::{NewExecution, Update};
use ratchet_client::retry::RetryPolicy;
use ratchet_model::id::ExecutionId;
use ratchet_model::status::Status;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::bound::within;
use crate::arguments::Run;
use crate::values::{object_of, seconds};

/// How long one request may take while others wait for it.
const REQUEST: Duration = Duration::from_secs(10);

/// An execution that is ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Claimed {
    /// Its id.
    pub(super) id: ExecutionId,
    /// The attempt that is ours.
    pub(super) attempt: i64,
    /// How long it may be silent.
    pub(super) heartbeat_timeout_seconds: Option<i64>,
}

/// How far the report has come.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Progress {
    /// Nothing is known to be there.
    Begun,
    /// The execution is there, and not claimed.
    Created(ExecutionId),
    /// It is ours.
    Claimed(Claimed),
    /// It will not be: the service refused, and would again. With the id, if there is one.
    Refused(Option<ExecutionId>, Error),
}

/// The record of the command.
pub(super) struct Record {
    client: Client,
    progress: watch::Receiver<Progress>,
    task: JoinHandle<()>,
}

impl Record {
    /// Begins to create and claim the execution, or to claim the one that was named.
    pub(super) fn begin(client: &Client, arguments: &Run, patience: Duration) -> Self {
        let (sender, progress) = watch::channel(arguments.execution.map_or(Progress::Begun, Progress::Created));
        // While the command does not wait for it any more, it is tried for as long as that runs.
        let owned = arguments.execution.is_some() || arguments.require;
        let total = if owned { patience } else { Duration::from_secs(366 * 24 * 60 * 60) };
        let retry = RetryPolicy {
            request_timeout: REQUEST,
            longest_retry_after: Duration::from_secs(300),
            ..RetryPolicy::within(total)
        };
        let new = arguments.flow.as_ref().map(|flow| new_execution(flow, arguments));
        let patient = client.with_retry(retry);
        let task = tokio::spawn(async move {
            let outcome = create_and_claim(&patient, new, &sender).await;
            if let Err((id, error)) = outcome {
                let _ = sender.send(Progress::Refused(id, error));
            }
        });
        Self { client: client.clone(), progress, task }
    }

    /// The client.
    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// Waits until the execution is ours; `false`: it is not yet.
    pub(super) async fn claimed_within(&mut self, bound: Duration) -> Result<bool, Error> {
        let settled = self.progress.wait_for(|progress| !matches!(progress, Progress::Begun | Progress::Created(_)));
        match within(bound, settled).await {
            Some(Ok(progress)) => match &*progress {
                Progress::Refused(_, error) => Err(error.clone()),
                Progress::Claimed(_) | Progress::Begun | Progress::Created(_) => Ok(true),
            },
            Some(Err(_)) | None => Ok(false),
        }
    }

    /// The claim, if it is ours by now.
    pub(super) fn claimed(&self) -> Option<Claimed> {
        match &*self.progress.borrow() {
            Progress::Claimed(claimed) => Some(*claimed),
            Progress::Begun | Progress::Created(_) | Progress::Refused(..) => None,
        }
    }

    /// The execution, if it is there.
    pub(super) fn id(&self) -> Option<ExecutionId> {
        match &*self.progress.borrow() {
            Progress::Created(id) | Progress::Claimed(Claimed { id, .. }) => Some(*id),
            Progress::Refused(id, _) => *id,
            Progress::Begun => None,
        }
    }

    /// Why the execution is not ours, and whose it is.
    pub(super) async fn why_not_ours(&mut self) -> String {
        let progress = self.progress.borrow().clone();
        let (id, error) = match progress {
            Progress::Refused(id, error) => (id, error),
            Progress::Begun | Progress::Created(_) | Progress::Claimed(_) => {
                return "the service did not answer in time; whether the execution was claimed is not known".to_owned();
            }
        };
        let refused = error.refusal().is_some_and(|refusal| refusal.current_status.is_some() || refusal.status == 409);
        let Some(id) = id.filter(|_| refused) else { return error.to_string() };
        let once =
            self.client.with_retry(RetryPolicy { request_timeout: Duration::from_secs(3), ..RetryPolicy::once() });
        match once.transitions(id).await.ok().and_then(|transitions| transitions.last().cloned()) {
            Some(last) => format!("{error}; {}", winner(&last)),
            None => error.to_string(),
        }
    }

    /// Ends an execution that was created for a command which never started.
    pub(super) async fn give_up(&self, signal: Signal) {
        self.task.abort();
        let progress = self.progress.borrow().clone();
        let (id, attempt) = match progress {
            Progress::Claimed(claimed) => (claimed.id, Some(claimed.attempt)),
            // Not ours to end, if it was not created here: a claim that is in doubt is found by its silence.
            Progress::Begun | Progress::Created(_) | Progress::Refused(..) => return,
        };
        let message = format!("{} came before the command was started", signal.as_str());
        let update = Update { attempt, error_message: Some(message), ..Update::to(Status::Cancelled) };
        let brief = self.client.with_retry(RetryPolicy::within(Duration::from_secs(3)));
        let _ = brief.update(id, &update).await;
    }

    /// Reports the end.
    pub(super) async fn finish(mut self, update: Update, patience: Duration) -> Result<(), Error> {
        let begun = Instant::now();
        if !self.claimed_within(patience).await? {
            return Err(Error::Unusable(format!("the service did not answer within {} s", patience.as_secs())));
        }
        let Some(claimed) = self.claimed() else { return Ok(()) };
        let left = patience.saturating_sub(begun.elapsed()).max(Duration::from_secs(1));
        let client = self.client.with_retry(RetryPolicy { request_timeout: REQUEST, ..RetryPolicy::within(left) });
        let update =
            Update { attempt: Some(claimed.attempt), idempotency_key: Some(IdempotencyKey::random()?), ..update };
        match client.update(claimed.id, &update).await {
            Ok(_) => Ok(()),
            // What it says beside the status cannot be kept. That it ended can.
            Err(error) if error.refusal().is_some_and(|refusal| matches!(refusal.status, 413 | 422)) => {
                let bare = Update {
                    attempt: update.attempt,
                    duration_ms: update.duration_ms,
                    error_message: update.error_message,
                    status: update.status,
                    ..Update::default()
                };
                client.update(claimed.id, &bare).await?;
                Err(error)
            }
            Err(error) => Err(error),
        }
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Creates the execution, unless it is there, and claims it. What fails is tried again for as long as the client's policy says;
/// the error has the id, if there is one.
async fn create_and_claim(
    client: &Client,
    new: Option<NewExecution>,
    progress: &watch::Sender<Progress>,
) -> Result<(), (Option<ExecutionId>, Error)> {
    let named = match &*progress.borrow() {
        Progress::Created(id) => Some(*id),
        Progress::Begun | Progress::Claimed(_) | Progress::Refused(..) => None,
    };
    let id = match (named, new) {
        (Some(id), _) => id,
        (None, Some(new)) => {
            let created = client.execute(&new).await.map_err(|error| (None, error))?;
            let _ = progress.send(Progress::Created(created.id));
            created.id
        }
        (None, None) => return Ok(()),
    };
    let claim = Update::to(Status::Running);
    let claimed = client.update(id, &claim).await.map_err(|error| (Some(id), error))?;
    let _ = progress.send(Progress::Claimed(Claimed {
        id,
        attempt: claimed.attempt,
        heartbeat_timeout_seconds: claimed.heartbeat_timeout_seconds,
    }));
    Ok(())
}

/// The execution of a command that is monitored.
fn new_execution(flow: &str, arguments: &Run) -> NewExecution {
    let host = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok()).filter(|name| !name.is_empty());
    NewExecution {
        agent_id: arguments.agent.clone().or(host),
        // They were read from single values, and are no deeper than those.
        variables: object_of(&arguments.variables).ok().flatten(),
        metadata: object_of(&arguments.metadata).ok().flatten(),
        priority: arguments.priority,
        timeout_seconds: Some(seconds(arguments.timeout)),
        heartbeat_timeout_seconds: Some(seconds(arguments.heartbeat_timeout)),
        parent_execution_id: arguments.parent.map(|id| id.to_string()),
        ..NewExecution::new(flow, arguments.trigger)
    }
}

/// Who has an execution, as its last transition says.
fn winner(last: &Transition) -> String {
    let who = last.by_name.as_deref().map_or_else(|| last.by.clone(), |name| format!("{} ({name})", last.by));
    format!("{} by {who} at {}", last.to, last.at)
}
