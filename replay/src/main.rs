//! `cargo run -p replay`: the events of executions, made again.

use std::io::Write;
use std::process::ExitCode;
use std::sync::Mutex;

use clap::Parser;
use keys::connection::{Access, access, connect};
use publish_events::bus::{Bus, Entry, Refusal};
use publish_events::eventbridge::EventBridge;
use ratchet_model::clock::Timestamp;
use ratchet_model::id::{ExecutionId, OrganizationId};
use ratchet_runtime::settings::Account;
use ratchet_store::Store;
use ratchet_store::trust_roots::TrustRoots;
use replay::{Report, Which, replay};

/// Makes the events of executions again from the table, with the ids that they had, and puts them on a bus.
///
/// Of one execution (`--organization`, `--execution`), or of all that happened since a time (`--since`, `--until`), which reads
/// the whole table. Region and credentials come from where the AWS CLI takes them; they need dynamodb:GetItem or dynamodb:Scan
/// on the table, and events:PutEvents on the bus.
#[derive(Debug, Parser)]
#[command(name = "replay")]
struct Arguments {
    /// The table; without it, that of the environment variable `RATCHET_TABLE`
    #[arg(long, value_name = "NAME")]
    table: Option<String>,
    /// The organization whose events are made again
    #[arg(long, value_name = "ORG", value_parser = organization, required_unless_present = "since")]
    organization: Option<OrganizationId>,
    /// The execution whose events are made again
    #[arg(long, value_name = "ID", value_parser = execution, required_unless_present = "since", conflicts_with_all = ["since", "until"])]
    execution: Option<ExecutionId>,
    /// From which moment on, such as 2026-11-21T18:00:00Z
    #[arg(long, value_name = "TIME", value_parser = time)]
    since: Option<Timestamp>,
    /// Before which moment; without it, all since
    #[arg(long, value_name = "TIME", value_parser = time, requires = "since")]
    until: Option<Timestamp>,
    /// The event bus
    #[arg(long, value_name = "NAME", required_unless_present = "print", conflicts_with = "print")]
    bus: Option<String>,
    /// Print the events, one line of JSON each, and put them nowhere
    #[arg(long)]
    print: bool,
}

fn organization(text: &str) -> Result<OrganizationId, String> {
    OrganizationId::parse(text).ok_or_else(|| "no organization has such an id".to_owned())
}

fn execution(text: &str) -> Result<ExecutionId, String> {
    ExecutionId::parse(text).ok_or_else(|| "no execution has such an id".to_owned())
}

fn time(text: &str) -> Result<Timestamp, String> {
    Timestamp::parse(text).map_err(|_| "a date and time with a zone is needed".to_owned())
}

/// Prints each event.
struct Printer(Mutex<std::io::Stdout>);

impl Bus for Printer {
    async fn put(&self, entries: &[Entry<'_>]) -> Vec<Result<(), Refusal>> {
        let later = |reason: String| Refusal::Later(reason);
        entries
            .iter()
            .map(|entry| {
                let mut out = self.0.lock().map_err(|error| later(error.to_string()))?;
                writeln!(out, "{}", entry.body).map_err(|error| later(error.to_string()))
            })
            .collect()
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Arguments::parse()).await {
        Ok(report) => {
            let Report { told, refused, executions, damaged } = report;
            let _ = writeln!(std::io::stderr(), "{told} events of {executions} executions.");
            if refused + damaged > 0 {
                let _ = writeln!(
                    std::io::stderr(),
                    "error: {refused} events were refused for good, and {damaged} executions cannot be read."
                );
                return ExitCode::FAILURE;
            }
            ExitCode::SUCCESS
        }
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<Report, String> {
    let which = match (arguments.execution, arguments.organization, arguments.since) {
        (Some(id), Some(organization), _) => Which::Execution(organization, id),
        (_, organization, Some(since)) => Which::Window { since, until: arguments.until, organization },
        _ => return Err("name an execution with its organization, or a time since when".to_owned()),
    };
    let (store, _) = connect(arguments.table).await.map_err(|error| error.to_string())?;
    match arguments.bus {
        Some(name) => on_a_bus(&store, name, &which).await,
        None => replay(&store, &Printer(Mutex::new(std::io::stdout())), &which).await,
    }
}

async fn on_a_bus(store: &Store, name: String, which: &Which) -> Result<Report, String> {
    let Access { region, credentials, endpoint, .. } =
        access("EVENTBRIDGE").await.map_err(|error| error.to_string())?;
    // As for the table: an operator's machine may be behind a proxy that inspects TLS.
    let account = Account { region, credentials, roots: TrustRoots::System };
    replay(store, &EventBridge::new(account, endpoint, name), which).await
}
