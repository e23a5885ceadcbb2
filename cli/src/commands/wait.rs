//! `wait`: until an execution has ended.

use std::time::Duration;

use ratchet_client::client::Client;
use ratchet_client::record::Execution;
use ratchet_client::wait::{self, Waited};
use ratchet_model::id::ExecutionId;
use ratchet_model::status::Status;

use crate::errors::{CliError, IN_VAIN};
use crate::output::{lines, say};
use crate::print::print;

/// Waits until an execution has ended.
pub(super) async fn wait(
    client: &Client,
    id: ExecutionId,
    timeout: Option<Duration>,
    json: bool,
) -> Result<u8, CliError> {
    match wait::wait(client, id, timeout).await? {
        Waited::Ended(execution) => {
            show(&execution, json)?;
            if let Some(error) = execution.error_message.as_deref().filter(|_| !json) {
                say(&lines(error));
            }
            Ok(exit_code(execution.status))
        }
        Waited::InVain(last) => {
            if let Some(execution) = last {
                show(&execution, json)?;
            }
            say("the time is up, and the execution has not ended");
            Ok(IN_VAIN)
        }
    }
}

fn show(execution: &Execution, json: bool) -> Result<(), CliError> {
    if json { print(execution.json.as_str()) } else { print(execution.status.as_str()) }
}

/// How an execution ended, as an exit code.
fn exit_code(status: Status) -> u8 {
    match status {
        Status::Completed => 0,
        Status::Failed => 1,
        Status::Cancelled => 3,
        Status::Timeout => 4,
        Status::Pending | Status::Queued | Status::Running | Status::Retrying | Status::Interrupted => IN_VAIN,
    }
}
