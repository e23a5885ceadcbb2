//! `ratchet`: reports what a command does, and looks at executions.

use std::process::ExitCode;

fn main() -> ExitCode {
    ratchet_cli::main()
}
