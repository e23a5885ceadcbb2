//! What went wrong, and the exit code that says so.

use std::process::ExitCode;

use ratchet_client::error::Error;

use crate::output;

/// It failed, or an execution did.
pub const FAILURE: u8 = 1;
/// The command line cannot be used.
pub const USAGE: u8 = 2;
/// `run`: its own usage. Not 2, which may be the command's.
pub const RUN_USAGE: u8 = 125;
/// `run`: the command is there and cannot be started.
pub const NOT_EXECUTABLE: u8 = 126;
/// `run`: there is no such command.
pub const NOT_FOUND: u8 = 127;
/// `run`: the execution is not ours (`EX_TEMPFAIL`: the caller may try again).
pub const NOT_OWNER: u8 = 75;
/// `wait`: waited in vain, as `timeout` of coreutils ends.
pub const IN_VAIN: u8 = 124;

/// What went wrong, for the person at the terminal.
#[derive(Debug)]
pub struct CliError {
    code: u8,
    message: String,
}

impl CliError {
    /// A command that failed.
    #[must_use]
    pub fn failure(message: impl Into<String>) -> Self {
        Self { code: FAILURE, message: message.into() }
    }

    /// A command line that cannot be used.
    #[must_use]
    pub fn usage(message: impl Into<String>) -> Self {
        Self { code: USAGE, message: message.into() }
    }

    /// The message.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Says it on standard error.
    #[must_use]
    pub fn report(&self) -> ExitCode {
        output::say(&format!("error: {}", self.message));
        ExitCode::from(self.code)
    }
}

impl From<Error> for CliError {
    fn from(error: Error) -> Self {
        match &error {
            Error::Unusable(_) => Self::usage(error.to_string()),
            Error::Refused(refusal) if refusal.status == 401 || (refusal.status == 403 && refusal.code.is_none()) => {
                Self::failure(format!("the service does not accept the API key: {error}"))
            }
            Error::Refused(_) | Error::Unavailable(_) | Error::NotUnderstood(_) => Self::failure(error.to_string()),
        }
    }
}
