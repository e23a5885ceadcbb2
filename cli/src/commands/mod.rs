//! All commands but `run`.
//!
//! | module | responsibility |
//! | --- | --- |
//! | `change` | `start`, `report`, `retry` |
//! | `look` | `ls`, `show`, `history`, `steps`, `whoami` |
//! | `display` | what is shown again and again |
//! | `wait` | `wait` |
//! | `cancel` | `cancel` |

mod cancel;
mod change;
mod display;
mod look;
mod wait;

use std::io::Write;

use clap::CommandFactory;
use clap_complete::Shell;

use crate::arguments::{Arguments, Command, Service};
use crate::errors::CliError;
use crate::settings;

/// Does a command, and returns its exit code.
///
/// # Errors
///
/// Why it could not be done.
pub async fn execute(command: Command, service: &Service) -> Result<u8, CliError> {
    let client = settings::client(service)?;
    match command {
        Command::Start(start) => change::start(&client, *start).await,
        Command::Report(report) => change::report(&client, *report).await,
        Command::Retry { id, json } => change::retry(&client, id, json).await,
        Command::Ls(ls) => look::list(&client, &ls).await,
        Command::Show { id, json, watch } => look::show(&client, id, json, watch).await,
        Command::History { id, json } => look::history(&client, id, json).await,
        Command::Steps { id, json } => look::steps(&client, id, json).await,
        Command::Whoami { json } => look::whoami(&client, json).await,
        Command::Wait { id, timeout, json } => wait::wait(&client, id, timeout, json).await,
        Command::Cancel(cancel) => cancel::cancel(&client, &cancel).await,
        Command::Run(_) | Command::Completions { .. } | Command::Reference => Ok(0),
    }
}

/// Prints the completions of a shell.
///
/// # Errors
///
/// A standard output that cannot be written.
pub fn completions(shell: Shell) -> Result<u8, CliError> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "ratchet", &mut script);
    std::io::stdout()
        .write_all(&script)
        .map_err(|error| CliError::failure(format!("standard output cannot be written: {error}")))?;
    Ok(0)
}
