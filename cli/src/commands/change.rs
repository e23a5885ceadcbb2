//! `start`, `report`, `retry`: what creates and changes executions.

use ratchet_client::client::Client;
use ratchet_client::idempotency::IdempotencyKey;
use ratchet_client::record::Execution;
use ratchet_client::request::{NewExecution, Update, cost};
use ratchet_model::id::ExecutionId;

use crate::arguments::{Report, Start};
use crate::errors::CliError;
use crate::output::say;
use crate::print::print;
use crate::values::{execution_id, object_of, seconds};

/// Creates an execution.
pub(super) async fn start(client: &Client, start: Start) -> Result<u8, CliError> {
    let new = NewExecution {
        trigger_data: start.trigger_data,
        variables: match start.all_variables {
            Some(variables) => Some(variables),
            None => object_of(&start.variables).map_err(CliError::usage)?,
        },
        priority: start.priority,
        timeout_seconds: start.timeout.map(seconds),
        heartbeat_timeout_seconds: start.heartbeat_timeout.map(seconds),
        start_timeout_seconds: start.start_timeout.map(seconds),
        max_retries: start.max_retries,
        metadata: object_of(&start.metadata).map_err(CliError::usage)?,
        agent_id: start.agent,
        parent_execution_id: start.parent.map(|id| id.to_string()),
        idempotency_key: key(start.idempotency_key.as_deref())?,
        ..NewExecution::new(start.flow, start.trigger)
    };
    let created = client.execute(&new).await?;
    print_created(&created, start.json)
}

fn print_created(execution: &Execution, json: bool) -> Result<u8, CliError> {
    if json {
        print(execution.json.as_str())?;
    } else {
        print(&execution.id.to_string())?;
    }
    Ok(0)
}

fn key(text: Option<&str>) -> Result<Option<IdempotencyKey>, CliError> {
    Ok(text.map(IdempotencyKey::parse).transpose()?)
}

/// Reports on an execution.
pub(super) async fn report(client: &Client, report: Report) -> Result<u8, CliError> {
    let id = match report.id {
        Some(id) => id,
        None => of_environment()?,
    };
    let update = Update {
        status: report.status,
        attempt: report.attempt,
        timeout_seconds: report.timeout.map(seconds),
        final_output: report.output,
        error_message: report.error,
        error_details: report.error_details,
        tokens_used: report.tokens,
        tool_calls_count: report.tool_calls,
        cost_estimate: report.cost.as_deref().map(cost).transpose()?,
        performance_metrics: report.metrics,
        idempotency_key: key(report.idempotency_key.as_deref())?,
        ..Update::default()
    };
    let updated = client.update(id, &update).await?;
    if report.json {
        print(updated.json.as_str())?;
    } else {
        say(&format!("{} is {}, attempt {}", updated.id, updated.status, updated.attempt));
    }
    Ok(0)
}

fn of_environment() -> Result<ExecutionId, CliError> {
    let Ok(text) = std::env::var("RATCHET_EXECUTION_ID") else {
        return Err(CliError::usage("which execution? Give its ID: RATCHET_EXECUTION_ID is not set"));
    };
    execution_id(text.trim()).map_err(|error| CliError::usage(format!("RATCHET_EXECUTION_ID: {error}")))
}

/// Creates an execution like one that has ended.
pub(super) async fn retry(client: &Client, id: ExecutionId, json: bool) -> Result<u8, CliError> {
    let old = client.get(id).await?.record;
    if !old.status.is_terminal() {
        let status = old.status;
        return Err(CliError::failure(format!("{id} is {status}: only one that has ended is retried as a new one")));
    }
    let new = NewExecution {
        trigger_data: old.trigger_data,
        variables: old.variables,
        priority: Some(old.priority),
        timeout_seconds: Some(old.timeout_seconds),
        heartbeat_timeout_seconds: old.heartbeat_timeout_seconds,
        start_timeout_seconds: old.start_timeout_seconds,
        max_retries: Some(old.max_retries),
        metadata: old.metadata,
        agent_id: Some(old.agent_id),
        parent_execution_id: Some(id.to_string()),
        ..NewExecution::new(old.flow_id, old.trigger_type)
    };
    let created = client.execute(&new).await?;
    print_created(&created, json)
}
