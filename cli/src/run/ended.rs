//! How the command ended, as an exit code and as a report.

use std::ffi::OsString;
use std::io::{self, ErrorKind};
use std::time::Duration;

use nix::sys::signal::Signal;
use ratchet_client::request::{Update, to_json_object};
use ratchet_model::status::Status;
use serde::Serialize;

use super::passing::Tails;
use super::result_file::ResultObject;
use crate::errors::{NOT_EXECUTABLE, NOT_FOUND};

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum End {
    /// With this exit code.
    Exited(i32),
    /// By this signal.
    Killed(i32),
    /// It could not be started: the exit code that shells have for it, and why.
    NotStarted(u8, String),
}

impl End {
    /// How it ended, for people.
    pub(super) fn message(&self) -> String {
        match self {
            Self::Exited(code) => format!("exit code {code}"),
            Self::Killed(signal) => match Signal::try_from(*signal) {
                Ok(name) => format!("killed by signal {signal} ({})", name.as_str()),
                Err(_) => format!("killed by signal {signal}"),
            },
            Self::NotStarted(_, why) => why.clone(),
        }
    }
}

/// The end of a command that could not be started.
pub(super) fn not_started(command: &[OsString], error: &io::Error) -> End {
    let name = command.first().map(|name| name.to_string_lossy()).unwrap_or_default();
    match error.kind() {
        ErrorKind::NotFound => End::NotStarted(NOT_FOUND, format!("{name}: there is no such command")),
        _ => End::NotStarted(NOT_EXECUTABLE, format!("{name} cannot be executed: {error}")),
    }
}

/// All that is known of the end.
pub(super) struct Ended {
    pub(super) end: End,
    pub(super) duration: Duration,
    pub(super) tails: Tails,
    /// Whether it was stopped because a cancel was requested.
    pub(super) cancelled: bool,
}

/// What is reported of an end that is not a success.
#[derive(Serialize)]
struct Details<'a> {
    exit_code: Option<i32>,
    signal: Option<i32>,
    duration_ms: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    stdout_tail: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stderr_tail: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_tail: Option<&'a str>,
}

impl Ended {
    /// The exit code of `ratchet run`: that of a shell that ran the command.
    pub(super) fn exit_code(&self) -> u8 {
        let code = match self.end {
            Exited(code) => code,
            End::Killed(signal) => 128 + signal,
            End::NotStarted(code, _) => i32::from(code),
        };
        // The system keeps eight bits of it.
        u8::try_from(code & 0xff).unwrap_or(u8::MAX)
    }

    /// The report. An exit code of 0 is a success, a cancel that was requested meanwhile or not: that is what happened.
    pub(super) fn update(&self, result: Option<ResultObject>) -> Update {
        let success = self.end == End::Exited(0);
        let status = match (success, self.cancelled) {
            (true, _) => Status::Completed,
            (false, true) => Status::Cancelled,
            (false, false) => Status::Failed,
        };
        let duration_ms = i64::try_from(self.duration.as_millis()).unwrap_or(i64::MAX);
        let mut update = Update { duration_ms: Some(duration_ms), ..Update::to(status) };
        if let Some(result) = result {
            update.final_output = Some(result.output);
            update.tokens_used = result.tokens_used;
            update.tool_calls_count = result.tool_calls_count;
            update.cost_estimate = result.cost_estimate;
        }
        if !success {
            let (exit_code, signal) = match self.end {
                Exited(code) => (Some(code), None),
                End::Killed(signal) => (None, Some(signal)),
                End::NotStarted(code, _) => (Some(i32::from(code)), None),
            };
            let Tails { stdout, stderr, both } = &self.tails;
            let (stdout, output) = if *both { (None, stdout.as_deref()) } else { (stdout.as_deref(), None) };
            let details = Details {
                exit_code,
                signal,
                duration_ms,
                stdout_tail: stdout,
                stderr_tail: stderr.as_deref(),
                output_tail: output,
            };
            update.error_message = Some(self.end.message());
            // It is an object, with text alone in it.
            update.error_details = to_json_object(&details).ok();
        }
        update
    }
}

use End::Exited;

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(end: End, cancelled: bool) -> Ended {
        let tails = Tails { stdout: Some("out".to_owned()), stderr: Some("err".to_owned()), both: false };
        Ended { end, duration: Duration::from_millis(1_234), tails, cancelled }
    }

    #[test]
    fn the_exit_code_is_that_of_a_shell() {
        for (end, code) in [
            (End::Exited(0), 0),
            (End::Exited(3), 3),
            (End::Exited(255), 255),
            (End::Killed(9), 137),
            (End::Killed(15), 143),
            (End::Killed(64), 192),
            (End::NotStarted(127, String::new()), 127),
        ] {
            assert_eq!(ended(end.clone(), false).exit_code(), code, "{end:?}");
        }
    }

    #[test]
    fn a_failure_says_what_happened_and_a_success_does_not() {
        let update = ended(End::Exited(3), false).update(None);
        assert_eq!((update.status, update.error_message.as_deref()), (Some(Status::Failed), Some("exit code 3")));
        assert_eq!(
            update.error_details.unwrap().as_str(),
            r#"{"exit_code":3,"signal":null,"duration_ms":1234,"stdout_tail":"out","stderr_tail":"err"}"#
        );
        let update = ended(End::Killed(9), true).update(None);
        assert_eq!(update.status, Some(Status::Cancelled));
        assert_eq!(update.error_message.as_deref(), Some("killed by signal 9 (SIGKILL)"));
        for cancelled in [false, true] {
            let update = ended(End::Exited(0), cancelled).update(None);
            assert_eq!((update.status, update.error_message), (Some(Status::Completed), None));
            assert!(update.error_details.is_none());
        }
    }
}
