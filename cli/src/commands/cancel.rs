//! `cancel`: executions by their ids, or all that a filter finds, with an outcome for each.

use ratchet_client::client::Client;
use ratchet_client::error::Error;
use ratchet_client::record::CancelOutcome;
use ratchet_client::request;
use ratchet_model::error_code::ErrorCode;
use ratchet_model::id::ExecutionId;
use ratchet_model::status::Status;
use ratchet_model::wire_name::WireName;
use serde::Serialize;
use tokio::task::JoinSet;

use super::look;
use crate::arguments::Cancel;
use crate::errors::{CliError, FAILURE};
use crate::output::{one_line, say};
use crate::print::print;
use crate::values::seconds;

/// How many are cancelled at once.
const AT_ONCE: usize = 8;

/// What became of one.
#[derive(Debug, Serialize)]
struct Outcome {
    execution_id: ExecutionId,
    #[serde(rename = "outcome")]
    result: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    current_status: Option<Status>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

impl Outcome {
    fn of(id: ExecutionId, result: Result<(CancelOutcome, Status), Error>) -> Self {
        let (result, current_status, error) = match result {
            Ok((outcome, status)) => (outcome.as_str(), Some(status), None),
            // What was wanted, or something else, came first.
            Err(Error::Refused(refusal)) if refusal.code == Some(ErrorCode::InvalidStatusTransition) => {
                ("too_late", refusal.current_status, None)
            }
            Err(error) => ("failed", None, Some(error.to_string())),
        };
        Self { execution_id: id, result, current_status, error }
    }

    fn line(&self, json: bool) -> Result<String, CliError> {
        if json {
            return serde_json::to_string(self).map_err(|error| CliError::failure(error.to_string()));
        }
        let what = match (self.result, self.current_status) {
            ("too_late", Some(status)) => format!("too late: {status}"),
            ("requested", _) => "asked to stop".to_owned(),
            (outcome, _) => outcome.replace('_', " "),
        };
        let error = self.error.as_deref().map_or_else(String::new, |error| format!(": {}", one_line(error)));
        Ok(format!("{}  {what}{error}", self.execution_id))
    }
}

/// Cancels executions.
pub(super) async fn cancel(client: &Client, cancel: &Cancel) -> Result<u8, CliError> {
    let ids = chosen(client, cancel).await?;
    if cancel.dry_run {
        for id in &ids {
            print(&id.to_string())?;
        }
        say(&format!("{} would be cancelled", ids.len()));
        return Ok(0);
    }
    if ids.len() > 1 && cancel.reason.is_none() {
        return Err(CliError::usage(format!("--reason is required to cancel {} executions", ids.len())));
    }
    let request = request::Cancel {
        reason: cancel.reason.clone(),
        grace_seconds: cancel.grace.map(seconds),
        ..request::Cancel::default()
    };
    let mut counts: std::collections::BTreeMap<&'static str, usize> = std::collections::BTreeMap::new();
    let mut running: JoinSet<Outcome> = JoinSet::new();
    let mut left = ids.iter().copied();
    loop {
        while running.len() < AT_ONCE
            && let Some(id) = left.next()
        {
            let (client, request) = (client.clone(), request.clone());
            running.spawn(async move {
                let answer = client.cancel(id, &request).await;
                Outcome::of(id, answer.map(|answer| (answer.outcome, answer.current_status)))
            });
        }
        let Some(outcome) = running.join_next().await else { break };
        let outcome = outcome.map_err(|error| CliError::failure(error.to_string()))?;
        *counts.entry(outcome.result).or_default() += 1;
        print(&outcome.line(cancel.json)?)?;
    }
    if ids.len() != 1 {
        let summary: Vec<String> =
            counts.iter().map(|(outcome, count)| format!("{count} {}", outcome.replace('_', " "))).collect();
        say(&if summary.is_empty() { "nothing to cancel".to_owned() } else { summary.join(", ") });
    }
    Ok(if counts.contains_key("failed") { FAILURE } else { 0 })
}

/// The executions to cancel.
async fn chosen(client: &Client, cancel: &Cancel) -> Result<Vec<ExecutionId>, CliError> {
    match (cancel.ids.is_empty(), cancel.filter.is_empty()) {
        (false, false) => Err(CliError::usage("either ids or a filter")),
        (true, true) => Err(CliError::usage("which executions? Give ids, or a filter such as --flow")),
        (false, true) => Ok(cancel.ids.clone()),
        (true, false) => {
            let mut filter = cancel.filter.clone();
            let open = |status: &Status| !status.is_terminal();
            if filter.status.is_empty() {
                filter.status = Status::ALL.into_iter().filter(open).collect();
            }
            if let Some(ended) = filter.status.iter().find(|status| status.is_terminal()) {
                return Err(CliError::usage(format!("--status {ended}: what has ended cannot be cancelled")));
            }
            // All are found before the first is cancelled: what is changed meanwhile does not move the walk.
            let found = look::read(client, &filter, usize::MAX).await?;
            Ok(found.iter().map(|execution| execution.id).collect())
        }
    }
}
