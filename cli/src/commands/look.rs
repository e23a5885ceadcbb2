//! `ls`, `show`, `history`, `steps`, `whoami`: what only looks.

use std::fmt::Write as _;
use std::io::IsTerminal;
use std::time::Duration;

use ratchet_client::client::Client;
use ratchet_client::error::Error;
use ratchet_client::record::{Execution, LastBeat, Step};
use ratchet_client::request::{ListQuery, StepsQuery};
use ratchet_client::walk::Walk;
use ratchet_model::clock::{Clock, SystemClock, Timestamp};
use ratchet_model::id::ExecutionId;
use ratchet_model::json::JsonText;
use ratchet_model::limits::MAX_PAGE_SIZE;
use ratchet_model::list::View;
use ratchet_model::wire_name::WireName;

use super::display::show_again;
use crate::arguments::{Filter, Ls};
use crate::errors::CliError;
use crate::output::{self, Columns, ago, cut, duration, say};
use crate::print::print;

/// How often a list that is watched is asked for.
const LIST_EVERY: Duration = Duration::from_secs(5);

/// How often an execution that is watched is asked for.
const SHOW_EVERY: Duration = Duration::from_secs(2);

/// How much of an error message a list shows, in characters.
const ERROR_WIDTH: usize = 60;

/// The query of a filter. Summaries alone, and not counted: neither costs more than it shows.
pub(super) fn query(filter: &Filter, limit: usize) -> ListQuery {
    let most = u64::try_from(MAX_PAGE_SIZE).unwrap_or(100);
    ListQuery {
        flow_id: filter.flow.clone(),
        status: filter.status.clone(),
        trigger_type: filter.trigger,
        agent_id: filter.agent.clone(),
        created_after: filter.since,
        created_before: filter.until,
        page_size: Some(u64::try_from(limit).unwrap_or(most).clamp(1, most)),
        count_limit: Some(0),
        view: View::Summary,
        cursor: None,
    }
}

/// Says on a terminal how far a long walk has come.
pub(super) fn progress(found: usize) {
    if std::io::stderr().is_terminal() && found > 1_000 && found.is_multiple_of(1_000) {
        say(&format!("{found} so far"));
    }
}

/// Lists executions.
pub(super) async fn list(client: &Client, ls: &Ls) -> Result<u8, CliError> {
    if ls.watch {
        return watch_list(client, ls).await;
    }
    let limit = if ls.all { usize::MAX } else { ls.limit };
    if ls.json {
        // Each at once: a reader of a long list need not wait for its end.
        let mut walk = Walk::new(client, query(&ls.filter, limit));
        let mut found = 0;
        while let Some(page) = walk.next().await? {
            for execution in page {
                if found == limit {
                    return Ok(0);
                }
                print(execution.json.as_str())?;
                found += 1;
                progress(found);
            }
            if found >= limit {
                break;
            }
        }
        return Ok(0);
    }
    let executions = read(client, &ls.filter, limit).await?;
    if executions.is_empty() {
        say("No executions.");
        return Ok(0);
    }
    print(&table(&executions, SystemClock.now()))?;
    Ok(0)
}

/// The first executions that a filter finds.
pub(super) async fn read(client: &Client, filter: &Filter, limit: usize) -> Result<Vec<Execution>, Error> {
    let mut walk = Walk::new(client, query(filter, limit));
    let mut found = Vec::new();
    while found.len() < limit
        && let Some(page) = walk.next().await?
    {
        for execution in page.into_iter().take(limit - found.len()) {
            found.push(execution);
            progress(found.len());
        }
    }
    Ok(found)
}

async fn watch_list(client: &Client, ls: &Ls) -> Result<u8, CliError> {
    let mut first = true;
    loop {
        match read(client, &ls.filter, ls.limit).await {
            Ok(executions) => {
                let now = SystemClock.now();
                show_again(&format!("{}\n{}", now, table(&executions, now)), first)?;
                first = false;
            }
            // It may be back for the next one.
            Err(error) if error.may_pass() && !first => say(&error.to_string()),
            Err(error) => return Err(error.into()),
        }
        tokio::time::sleep(LIST_EVERY).await;
    }
}

/// The table of a list.
fn table(executions: &[Execution], now: Timestamp) -> String {
    let mut columns =
        Columns::new(&["STATUS", "FLOW", "#", "AGENT", "CREATED", "DURATION", "TOKENS", "COST", "ID", "ERROR"]);
    for execution in executions {
        let or_empty = |value: Option<String>| value.unwrap_or_default();
        columns.row(vec![
            execution.status.to_string(),
            cut(&execution.flow_id, 40),
            execution.execution_number.to_string(),
            cut(&execution.agent_id, 30),
            ago(execution.created_at, now),
            or_empty(took(execution, now).map(duration)),
            or_empty(execution.tokens_used.map(|tokens| tokens.to_string())),
            or_empty(execution.cost_estimate.as_ref().map(|cost| cost.as_str().to_owned())),
            execution.id.to_string(),
            or_empty(execution.error_message.as_deref().map(|error| cut(error, ERROR_WIDTH))),
        ]);
    }
    columns.text()
}

/// How long an execution has taken, or takes so far, in milliseconds.
fn took(execution: &Execution, now: Timestamp) -> Option<i64> {
    execution.duration_ms.or_else(|| {
        let runs = !execution.status.is_terminal() && execution.attempt > 0;
        runs.then(|| (now.millis() - execution.started_at.millis()).max(0))
    })
}

/// Shows an execution.
pub(super) async fn show(client: &Client, id: ExecutionId, json: bool, watch: bool) -> Result<u8, CliError> {
    let mut seen = client.get(id).await?;
    if !watch {
        print(&text(client, &seen, json).await)?;
        return Ok(0);
    }
    let mut first = true;
    loop {
        let shown = text(client, &seen, json).await;
        if json {
            print(&shown)?;
        } else {
            show_again(&shown, first)?;
        }
        first = false;
        loop {
            if seen.status.is_terminal() {
                return Ok(0);
            }
            tokio::time::sleep(SHOW_EVERY).await;
            let answer = match &seen.etag {
                Some(etag) => client.get_if_changed(id, etag).await,
                None => client.get(id).await.map(Some),
            };
            match answer {
                Ok(None) => {}
                Ok(Some(changed)) => {
                    seen = changed;
                    break;
                }
                Err(error) if error.may_pass() => say(&error.to_string()),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// An execution as it is shown.
async fn text(client: &Client, execution: &Execution, json: bool) -> String {
    if json {
        return execution.json.as_str().to_owned();
    }
    // Only where somebody is to be heard. Without it the rest is shown all the same.
    let beat = if !execution.status.is_terminal() && execution.attempt > 0 {
        client.last_heartbeat(execution.id).await.ok()
    } else {
        None
    };
    described(execution, beat.as_ref().map(|beat| &beat.record), SystemClock.now())
}

/// An execution for a person.
fn described(execution: &Execution, beat: Option<&LastBeat>, now: Timestamp) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            let _ = writeln!(text, "{name:<14} {value}");
        }
    };
    let shown = |text: &str| output::one_line(text);
    let time = |time: Timestamp| format!("{time} ({})", ago(time, now));
    let json = |json: &JsonText| shown(json.as_str());
    let some = |json: &Option<JsonText>| json.as_ref().filter(|json| json.as_str() != "{}").map(json_line);
    line("id", Some(execution.id.to_string()));
    line("flow", Some(format!("{} #{}", shown(&execution.flow_id), execution.execution_number)));
    line("status", Some(output::status(execution.status)));
    line("agent", Some(shown(&execution.agent_id)));
    line("trigger", Some(execution.trigger_type.as_str().to_owned()));
    line("priority", Some(execution.priority.as_str().to_owned()));
    line(
        "attempt",
        Some(format!("{} (retries {} of {})", execution.attempt, execution.retry_count, execution.max_retries)),
    );
    line("version", Some(execution.version.to_string()));
    line("created", Some(time(execution.created_at)));
    line("scheduled", execution.scheduled_at.map(time));
    line("started", (execution.attempt > 0).then(|| time(execution.started_at)));
    line("ended", execution.completed_at.map(time));
    line("duration", took(execution, now).map(duration));
    line("timeout", Some(format!("{} s", execution.timeout_seconds)));
    line("heartbeat", execution.heartbeat_timeout_seconds.map(|seconds| format!("within {seconds} s")));
    line("last heard", beat.and_then(|beat| beat.last_heartbeat_at).map(time));
    line("deadline", beat.and_then(|beat| beat.deadline_at).map(|deadline| deadline.to_string()));
    line("cancel asked", execution.cancel_requested_at.map(time));
    line("cancel forced", beat.and_then(|beat| beat.force_at).map(|force| force.to_string()));
    line("retries", execution.parent_execution_id.as_deref().map(shown));
    line("tokens", execution.tokens_used.map(|tokens| tokens.to_string()));
    line("tool calls", (execution.tool_calls_count > 0).then(|| execution.tool_calls_count.to_string()));
    line("cost", execution.cost_estimate.as_ref().map(|cost| format!("{} USD", json(cost))));
    line("trigger data", some(&execution.trigger_data));
    line("variables", some(&execution.variables));
    line("metadata", some(&execution.metadata));
    line("metrics", some(&execution.performance_metrics));
    line("output", execution.final_output.as_ref().map(json));
    line("error", execution.error_message.as_deref().map(|error| indented(&output::lines(error))));
    line("error details", execution.error_details.as_ref().map(json));
    if let Some(steps) = execution.steps.as_ref().filter(|steps| !steps.is_empty()) {
        let _ = write!(text, "\n{}\n", steps_table(steps));
        if steps.len() >= 100 {
            let _ = writeln!(text, "and maybe more: ratchet steps {}", execution.id);
        }
    }
    text.trim_end().to_owned()
}

fn json_line(json: &JsonText) -> String {
    output::one_line(json.as_str())
}

/// A text whose further lines stand below the first.
fn indented(text: &str) -> String {
    text.trim_end().replace('\n', &format!("\n{:<15}", ""))
}

/// The table of steps.
fn steps_table(steps: &[Step]) -> String {
    let mut columns = Columns::new(&["STEP", "STATUS", "NAME", "TYPE", "TOOL", "DURATION", "ERROR"]);
    for step in steps {
        let text = |value: &Option<String>, width| value.as_deref().map(|text| cut(text, width)).unwrap_or_default();
        let name = step.step_name.as_ref().filter(|name| **name != step.step_id).cloned();
        columns.row(vec![
            cut(&step.step_id, 40),
            step.status.map(|status| status.to_string()).unwrap_or_default(),
            text(&name, 40),
            text(&step.step_type, 20),
            text(&step.tool_name, 30),
            step.duration_ms.map(duration).unwrap_or_default(),
            text(&step.error_message, ERROR_WIDTH),
        ]);
    }
    columns.text()
}

/// Shows the transitions of an execution.
pub(super) async fn history(client: &Client, id: ExecutionId, json: bool) -> Result<u8, CliError> {
    let transitions = client.transitions(id).await?;
    if json {
        for transition in &transitions {
            print(transition.json.as_str())?;
        }
        return Ok(0);
    }
    if transitions.is_empty() {
        say("No transitions: it is as it was created.");
        return Ok(0);
    }
    let mut columns = Columns::new(&["AT", "FROM", "TO", "ATTEMPT", "BY", "REASON"]);
    for transition in &transitions {
        let by = match &transition.by_name {
            Some(name) => format!("{name} ({})", transition.by),
            None => transition.by.clone(),
        };
        columns.row(vec![
            transition.at.to_string(),
            transition.from.to_string(),
            transition.to.to_string(),
            transition.attempt.to_string(),
            cut(&by, 40),
            transition.reason.as_deref().map(|reason| cut(reason, 2 * ERROR_WIDTH)).unwrap_or_default(),
        ]);
    }
    print(&columns.text())?;
    Ok(0)
}

/// Lists the steps of an execution.
pub(super) async fn steps(client: &Client, id: ExecutionId, json: bool) -> Result<u8, CliError> {
    let view = if json { View::Full } else { View::Summary };
    let mut query = StepsQuery { view, ..StepsQuery::default() };
    let mut steps = Vec::new();
    loop {
        let page = client.steps(id, &query).await?.record;
        if json {
            for step in &page.steps {
                print(step.json.as_str())?;
            }
        } else {
            steps.extend(page.steps);
        }
        query.cursor = page.next_cursor;
        if query.cursor.is_none() {
            break;
        }
    }
    if json {
        return Ok(0);
    }
    if steps.is_empty() {
        say("No steps.");
        return Ok(0);
    }
    print(&steps_table(&steps))?;
    Ok(0)
}

/// Says whose the API key is.
pub(super) async fn whoami(client: &Client, json: bool) -> Result<u8, CliError> {
    let caller = client.caller().await?;
    if json {
        print(caller.json.as_str())?;
        return Ok(0);
    }
    let name = caller.key_name.as_deref().map_or_else(String::new, |name| format!(" ({name})"));
    let until = caller.expires_at.map_or_else(|| "until it is revoked".to_owned(), |until| format!("until {until}"));
    print(&format!(
        "organization {}\nkey          {}{name}\nscopes       {}\nvalid        {until}\nservice      {}",
        caller.organization_id,
        caller.key_id,
        caller.scopes.join(","),
        client.base()
    ))?;
    Ok(0)
}
