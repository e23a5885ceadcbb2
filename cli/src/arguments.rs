//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, CommandFactory, Parser, Subcommand};
use clap_complete::Shell;
use ratchet_model::clock::Timestamp;
use ratchet_model::execution::{Priority, TriggerType};
use ratchet_model::id::ExecutionId;
use ratchet_model::json::JsonText;
use ratchet_model::status::Status;

use crate::errors::RUN_USAGE;
use crate::values::{Pair, duration, execution_id, moment, named, object, pair};

/// Reports what a command does, and looks at executions.
///
/// Data goes to standard output, everything else to standard error. Exit codes: 0 done; 1 failed or refused; 2 the command line
/// cannot be used. `run` and `wait` have codes of their own.
#[derive(Debug, Parser)]
#[command(name = "ratchet", version, disable_help_subcommand = true, max_term_width = 120)]
pub struct Arguments {
    /// Which service.
    #[command(flatten)]
    pub service: Service,
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

/// Which service, and which key.
#[derive(Debug, Args)]
pub struct Service {
    /// The service, such as <http://127.0.0.1:3000> or the stack's output `ApiUrl`; else `RATCHET_URL`, else the file's
    ///
    /// The API key is that of `RATCHET_API_KEY`, or of the file; no flag takes it, because others see the arguments of a
    /// process.
    #[arg(long, global = true, value_name = "URL", help_heading = "Service")]
    pub url: Option<String>,
    /// The profile of the file; else `RATCHET_PROFILE`, else `default`
    #[arg(long, global = true, value_name = "NAME", help_heading = "Service")]
    pub profile: Option<String>,
    /// The file, which nobody else may read (mode 0600); else ~/.config/ratchet/config.toml
    ///
    /// Each profile is a table: `[default]`, `[staging]`, with `url` and `api_key`. A key of the file is sent to the URL that
    /// stands beside it, and to no other.
    #[arg(long, global = true, value_name = "FILE", help_heading = "Service")]
    pub config: Option<PathBuf>,
}

/// A command, with its arguments.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a command and report what becomes of it
    ///
    /// With --flow it monitors: it creates an execution, reports that it runs, sends heartbeats, and reports how it ended. The
    /// command runs whatever the service does; what could not be reported is said on standard error.
    ///
    /// With --execution it works: it claims an execution that exists, and runs the command only if the claim is its own.
    ///
    /// The command gets its arguments as they are, without a shell, and in its environment `RATCHET_EXECUTION_ID` and
    /// `RATCHET_OUTPUT`, the path of a file: a JSON object that it writes there becomes the execution's `final_output`, and
    /// its members `tokens_used`, `tool_calls_count` and `cost_estimate` go to those fields, too.
    ///
    /// Its output is passed on at once, and the last 4 KB of it are reported if it fails. Where this is not a terminal, it
    /// leads a process group of its own, to which INT, TERM, HUP, QUIT, USR1 and USR2 are passed on. When the execution is
    /// cancelled, the group is sent TERM, and after --grace KILL.
    #[command(after_long_help = RUN_NOTES)]
    Run(Box<Run>),
    /// Create an execution and print its id
    Start(Box<Start>),
    /// Report on an execution: a status, a result, figures
    #[command(after_long_help = "Examples:\n  ratchet report $ID --status running\n  \
        ratchet report $ID --status completed --output @result.json --tokens 1200\n  \
        ratchet report $ID --status failed --error 'no space left'")]
    Report(Box<Report>),
    /// List executions, newest first
    #[command(after_long_help = "Examples:\n  ratchet ls --status failed,timeout --since 24h\n  \
        ratchet ls --flow nightly-report --watch\n  ratchet ls --all --json | jq -r .id")]
    Ls(Ls),
    /// Show an execution with its steps
    Show {
        /// Its id
        #[arg(value_name = "ID", value_parser = execution_id)]
        id: ExecutionId,
        /// As the JSON that the service answers
        #[arg(long)]
        json: bool,
        /// Show it again whenever it changes, until it has ended
        #[arg(long)]
        watch: bool,
    },
    /// Show the transitions of an execution: what changed, when, by whom and why
    History {
        /// Its id
        #[arg(value_name = "ID", value_parser = execution_id)]
        id: ExecutionId,
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// List the steps of an execution
    Steps {
        /// Its id
        #[arg(value_name = "ID", value_parser = execution_id)]
        id: ExecutionId,
        /// One JSON object a line, with what went in and out
        #[arg(long)]
        json: bool,
    },
    /// Wait until an execution has ended
    ///
    /// That the time is up does nothing to the execution.
    #[command(after_long_help = "Exit codes:\n  0    completed\n  1    failed, or the service refused\n  \
        3    cancelled\n  4    timeout: the execution's own time was up\n  124  waited in vain")]
    Wait {
        /// Its id
        #[arg(value_name = "ID", value_parser = execution_id)]
        id: ExecutionId,
        /// At most so long, such as 30m; else as long as it takes
        #[arg(long, value_name = "TIME", value_parser = duration)]
        timeout: Option<Duration>,
        /// The record as JSON, instead of its status
        #[arg(long)]
        json: bool,
    },
    /// Cancel executions: those named, or all that a filter finds
    ///
    /// What nobody works on is cancelled at once; the worker of a running one is asked to stop, and has --grace for it. Each
    /// outcome is printed: cancelled, requested, too late (it had ended), failed.
    #[command(after_long_help = "Examples:\n  ratchet cancel $ID\n  \
        ratchet cancel --flow ocr --status pending,queued --reason 'wrong input' --dry-run\n\n\
        Exit code: 0 if each is cancelled, asked to stop, or had ended before; else 1.")]
    Cancel(Cancel),
    /// Run a finished execution again, as a new one with its inputs, and print the new id
    ///
    /// Flow, trigger, trigger data, variables, priority, timeouts, metadata and agent are those of the old one, which becomes
    /// the new one's `parent_execution_id`.
    Retry {
        /// The id of the old one
        #[arg(value_name = "ID", value_parser = execution_id)]
        id: ExecutionId,
        /// The whole new record as JSON, instead of its id
        #[arg(long)]
        json: bool,
    },
    /// Say whose the API key is, and what it may do
    Whoami {
        /// As the JSON that the service answers
        #[arg(long)]
        json: bool,
    },
    /// Print the completions of a shell
    #[command(
        after_long_help = "Example:\n  ratchet completions bash > ~/.local/share/bash-completion/completions/ratchet"
    )]
    Completions {
        /// The shell
        #[arg(value_name = "SHELL")]
        shell: Shell,
    },
    /// Print docs/cli.md
    #[command(hide = true)]
    Reference,
}

/// What the help of `run` says at its end.
const RUN_NOTES: &str = "Exit codes:\n  \
    the command's own; 128 + n where signal n ended it\n  \
    75   the execution is not ours: the command was not started (with --execution or --require)\n  \
    125  this command line cannot be used\n  \
    126  the command cannot be executed\n  \
    127  there is no such command\n\n\
    Examples:\n  \
    ratchet run --flow nightly-report -- ./report.sh --all\n  \
    ratchet run --flow train --timeout 3d --var epochs=20 -- python3 train.py\n  \
    ratchet run --execution $ID -- ./worker";

/// The arguments of `run`.
#[derive(Debug, Args)]
pub struct Run {
    /// Monitor: create an execution of this flow; the command runs whatever the service does
    #[arg(long, value_name = "FLOW", required_unless_present = "execution", conflicts_with = "execution")]
    pub flow: Option<String>,
    /// Work: claim this execution, and run the command only if that succeeds
    #[arg(long, value_name = "ID", value_parser = execution_id)]
    pub execution: Option<ExecutionId>,
    /// Start the command only once the execution is created and reported as running
    #[arg(long, conflicts_with = "execution")]
    pub require: bool,
    /// The agent that runs it; else the name of this host
    #[arg(long, value_name = "NAME", conflicts_with = "execution")]
    pub agent: Option<String>,
    /// What set it off: manual, event, scheduled, api, webhook, test
    #[arg(long, value_name = "TRIGGER", default_value = "manual", value_parser = named::<TriggerType>)]
    pub trigger: TriggerType,
    /// A variable; a value that is JSON is kept as it is, any other as a string; may be repeated
    #[arg(long = "var", value_name = "NAME=VALUE", value_parser = pair, conflicts_with = "execution")]
    pub variables: Vec<Pair>,
    /// A member of metadata, likewise; may be repeated
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair, conflicts_with = "execution")]
    pub metadata: Vec<Pair>,
    /// How urgent it is: low, normal, high, urgent
    #[arg(long, value_name = "PRIORITY", value_parser = named::<Priority>, conflicts_with = "execution")]
    pub priority: Option<Priority>,
    /// How long it may take: after that the service ends it with `timeout`, and the command is stopped
    #[arg(long, value_name = "TIME", default_value = "1d", value_parser = duration)]
    pub timeout: Duration,
    /// After how long a silence the service says `interrupted`; a heartbeat is sent three times as often
    #[arg(long, value_name = "TIME", default_value = "2m", value_parser = duration)]
    pub heartbeat_timeout: Duration,
    /// The execution that this one retries
    #[arg(long, value_name = "ID", value_parser = execution_id, conflicts_with = "execution")]
    pub parent: Option<ExecutionId>,
    /// How long the command has between TERM and KILL when its execution is over
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = duration)]
    pub grace: Duration,
    /// How many bytes of each output are reported if it fails; 0: none, and the output is not passed through
    #[arg(long, value_name = "BYTES", default_value_t = 4096)]
    pub tail: usize,
    /// How long the command waits for the service before it starts
    #[arg(long, value_name = "TIME", default_value = "3s", value_parser = duration)]
    pub start_timeout: Duration,
    /// How long to try to claim the execution, with --execution or --require
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = duration)]
    pub claim_timeout: Duration,
    /// How long to try to report the end
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = duration)]
    pub report_timeout: Duration,
    /// Say nothing of what could not be reported
    #[arg(long, short)]
    pub quiet: bool,
    /// The command and its arguments, after `--`
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,
}

/// The arguments of `start`.
#[derive(Debug, Args)]
pub struct Start {
    /// The flow
    #[arg(long, value_name = "FLOW")]
    pub flow: String,
    /// What sets it off: manual, event, scheduled, api, webhook, test
    #[arg(long, value_name = "TRIGGER", default_value = "manual", value_parser = named::<TriggerType>)]
    pub trigger: TriggerType,
    /// A variable; a value that is JSON is kept as it is, any other as a string; may be repeated
    #[arg(long = "var", value_name = "NAME=VALUE", value_parser = pair)]
    pub variables: Vec<Pair>,
    /// All variables: a JSON object, or @FILE, or @- for standard input
    #[arg(long = "variables", value_name = "JSON", value_parser = object, conflicts_with = "variables")]
    pub all_variables: Option<JsonText>,
    /// What came with the trigger: a JSON object, or @FILE, or @-
    #[arg(long, value_name = "JSON", value_parser = object)]
    pub trigger_data: Option<JsonText>,
    /// A member of metadata, as a variable; may be repeated
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    pub metadata: Vec<Pair>,
    /// How urgent it is: low, normal, high, urgent
    #[arg(long, value_name = "PRIORITY", value_parser = named::<Priority>)]
    pub priority: Option<Priority>,
    /// The agent that is to run it
    #[arg(long, value_name = "NAME")]
    pub agent: Option<String>,
    /// How long it may take from its first `running` on
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub timeout: Option<Duration>,
    /// After how long a silence of its worker it is `interrupted`
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub heartbeat_timeout: Option<Duration>,
    /// How long it may take to start
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub start_timeout: Option<Duration>,
    /// How often it may be retried
    #[arg(long, value_name = "N")]
    pub max_retries: Option<i64>,
    /// The execution that it retries
    #[arg(long, value_name = "ID", value_parser = execution_id)]
    pub parent: Option<ExecutionId>,
    /// Makes a repeat of this command harmless: the same key gives the same execution
    #[arg(long, value_name = "KEY")]
    pub idempotency_key: Option<String>,
    /// The whole record as JSON, instead of its id
    #[arg(long)]
    pub json: bool,
}

/// The arguments of `report`.
#[derive(Debug, Args)]
pub struct Report {
    /// The execution; else that of `RATCHET_EXECUTION_ID`, which `run` sets for its command
    #[arg(value_name = "ID", value_parser = execution_id)]
    pub id: Option<ExecutionId>,
    /// The status to enter
    #[arg(long, value_name = "STATUS", value_parser = named::<Status>)]
    pub status: Option<Status>,
    /// The attempt for which this speaks, as `running` was answered
    #[arg(long, value_name = "N")]
    pub attempt: Option<i64>,
    /// The result: a JSON object, or @FILE, or @- for standard input
    #[arg(long, value_name = "JSON", value_parser = object)]
    pub output: Option<JsonText>,
    /// What went wrong, for people
    #[arg(long, value_name = "TEXT")]
    pub error: Option<String>,
    /// What went wrong, for programs: a JSON object, or @FILE, or @-
    #[arg(long, value_name = "JSON", value_parser = object)]
    pub error_details: Option<JsonText>,
    /// Tokens that models used, in all
    #[arg(long, value_name = "N")]
    pub tokens: Option<i64>,
    /// Calls of tools, in all
    #[arg(long, value_name = "N")]
    pub tool_calls: Option<i64>,
    /// What it cost, in USD, in all
    #[arg(long, value_name = "USD")]
    pub cost: Option<String>,
    /// Measurements: a JSON object, or @FILE, or @-
    #[arg(long, value_name = "JSON", value_parser = object)]
    pub metrics: Option<JsonText>,
    /// A new timeout, which may only be longer
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub timeout: Option<Duration>,
    /// Makes a repeat of this command harmless
    #[arg(long, value_name = "KEY")]
    pub idempotency_key: Option<String>,
    /// The whole record as JSON
    #[arg(long)]
    pub json: bool,
}

/// Which executions.
#[derive(Debug, Clone, Args)]
pub struct Filter {
    /// Of this flow
    #[arg(long, value_name = "FLOW", help_heading = "Filter")]
    pub flow: Option<String>,
    /// In one of these statuses, with commas between them
    #[arg(long, value_name = "STATUS", value_parser = named::<Status>, value_delimiter = ',', help_heading = "Filter")]
    pub status: Vec<Status>,
    /// Set off by this
    #[arg(long, value_name = "TRIGGER", value_parser = named::<TriggerType>, help_heading = "Filter")]
    pub trigger: Option<TriggerType>,
    /// Of this agent
    #[arg(long, value_name = "NAME", help_heading = "Filter")]
    pub agent: Option<String>,
    /// Created since: how long ago, such as 2h, or a time
    #[arg(long, value_name = "WHEN", value_parser = moment, help_heading = "Filter")]
    pub since: Option<Timestamp>,
    /// Created before
    #[arg(long, value_name = "WHEN", value_parser = moment, help_heading = "Filter")]
    pub until: Option<Timestamp>,
}

impl Filter {
    /// Whether it finds all executions there are.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.flow.is_none()
            && self.status.is_empty()
            && self.trigger.is_none()
            && self.agent.is_none()
            && self.since.is_none()
            && self.until.is_none()
    }
}

/// The arguments of `ls`.
#[derive(Debug, Args)]
pub struct Ls {
    /// Which.
    #[command(flatten)]
    pub filter: Filter,
    /// How many
    #[arg(long, short = 'n', value_name = "N", default_value_t = 20)]
    pub limit: usize,
    /// All of them, however many
    #[arg(long, conflicts_with_all = ["limit", "watch"])]
    pub all: bool,
    /// One JSON object a line, without the large objects
    #[arg(long)]
    pub json: bool,
    /// Show the list again every few seconds
    #[arg(long, conflicts_with = "json")]
    pub watch: bool,
}

/// The arguments of `cancel`.
#[derive(Debug, Args)]
pub struct Cancel {
    /// Their ids
    #[arg(value_name = "ID", value_parser = execution_id)]
    pub ids: Vec<ExecutionId>,
    /// Which, instead of ids; those that have ended are left out.
    #[command(flatten)]
    pub filter: Filter,
    /// Why; required for more than one
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    /// How long the worker of a running one has to stop and report
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub grace: Option<Duration>,
    /// Say what would be cancelled, and cancel nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Each outcome as a JSON object
    #[arg(long)]
    pub json: bool,
}

/// The command line of this process.
///
/// # Errors
///
/// The exit code where there is nothing more to do: what is wrong was said, or the help was.
pub fn read() -> Result<Arguments, ExitCode> {
    Arguments::try_parse().map_err(|error| {
        let is_usage = error.use_stderr();
        // Whoever reads the help may have closed it.
        let _ = error.print();
        match (is_usage, is_run(std::env::args_os())) {
            (false, _) => ExitCode::SUCCESS,
            (true, true) => ExitCode::from(RUN_USAGE),
            (true, false) => ExitCode::from(crate::errors::USAGE),
        }
    })
}

/// Whether the command of a command line that cannot be read is `run`.
fn is_run(arguments: impl Iterator<Item = OsString>) -> bool {
    let names: Vec<String> =
        Arguments::command().get_subcommands().map(|command| command.get_name().to_owned()).collect();
    arguments
        .skip(1)
        .take_while(|argument| argument != "--")
        .find(|argument| names.iter().any(|name| argument == name.as_str()))
        .is_some_and(|command| command == "run")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn a_usage_error_of_run_is_told_from_those_of_others() {
        let is = |line: &str| is_run(line.split(' ').map(OsString::from));
        assert!(is("ratchet run --flow"));
        assert!(is("ratchet --profile x run"));
        assert!(!is("ratchet ls run"));
        assert!(!is("ratchet -- run"));
        assert!(!is("ratchet"));
    }

    #[test]
    fn the_command_of_run_is_taken_as_it_is() {
        let line = ["ratchet", "run", "--flow", "f", "--", "sh", "-c", "exit 3", "--flow", "--help", "--"];
        let Command::Run(run) = Arguments::try_parse_from(line).unwrap().command else { panic!("not run") };
        assert_eq!(run.command, ["sh", "-c", "exit 3", "--flow", "--help", "--"].map(OsString::from));
        assert_eq!((run.timeout.as_secs(), run.heartbeat_timeout.as_secs()), (86_400, 120));
        for line in ["ratchet run -- true", "ratchet run --flow f", "ratchet run --flow f --execution x -- true"] {
            assert!(Arguments::try_parse_from(line.split(' ')).is_err(), "{line}");
        }
    }
}
