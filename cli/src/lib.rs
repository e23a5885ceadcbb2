//! The command line of Ratchet.
//!
//! | module | responsibility |
//! | --- | --- |
//! | `arguments` | the command line, as it is typed |
//! | `values` | values in it: durations, times, variables |
//! | `settings` | which service, which key: flags, environment, file |
//! | `errors` | what went wrong, and the exit code |
//! | `output` | standard error, tables, colours |
//! | `print` | standard output |
//! | `run` | `ratchet run`: a command, and what is reported of it |
//! | `commands` | all other commands |
//! | `reference` | docs/cli.md, made of the help |

#[cfg(not(unix))]
compile_error!("`ratchet run` needs the processes and signals of Unix");

pub mod arguments;
pub mod commands;
pub mod errors;
pub mod output;
pub mod print;
pub mod reference;
pub mod run;
pub mod settings;
pub mod values;

use std::process::ExitCode;

use arguments::Command;
use errors::CliError;

/// Does what the command line says.
#[must_use]
pub fn main() -> ExitCode {
    let arguments = match arguments::read() {
        Ok(arguments) => arguments,
        Err(code) => return code,
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return CliError::failure(format!("this machine has no runtime: {error}")).report(),
    };
    let outcome = match arguments.command {
        // Not blocked on at its end: a thread that still reads the output of a grandchild must not hold it up.
        Command::Run(run) => {
            let code = runtime.block_on(run::run(*run, &arguments.service));
            runtime.shutdown_background();
            return ExitCode::from(code);
        }
        Command::Completions { shell } => commands::completions(shell),
        Command::Reference => reference::print(),
        command => runtime.block_on(commands::execute(command, &arguments.service)),
    };
    runtime.shutdown_background();
    match outcome {
        Ok(code) => ExitCode::from(code),
        Err(error) => error.report(),
    }
}
