//! `ratchet run`: a command, and what is reported of it.
//!
//! | module | responsibility |
//! | --- | --- |
//! | `bound` | a future with a bound |
//! | `child` | the command's process, its group, and its end |
//! | `passing` | its output: passed on, its end kept |
//! | `result_file` | `RATCHET_OUTPUT` |
//! | `signals` | the signals that are passed on |
//! | `record` | what is reported: creating, claiming, ending |
//! | `ended` | how the command ended, as an exit code and as a report |
//!
//! The job is what matters: while it monitors, nothing that the service does or leaves undone keeps the command from starting,
//! and nothing but an execution that is over ends it.

mod bound;
mod child;
mod ended;
mod passing;
mod record;
mod result_file;
mod signals;

use std::io::IsTerminal;
use std::time::Duration;

use nix::sys::signal::Signal;
use ratchet_client::client::Client;
use ratchet_client::error::Error;
use ratchet_client::heartbeats::{Heartbeats, Notice};
use ratchet_client::request::Update;
use ratchet_model::error_code::ErrorCode;
use ratchet_model::status::Status;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use self::child::{Child, Plan};
use self::ended::{End, Ended};
use self::passing::Outputs;
use self::record::{Claimed, Record};
use self::result_file::ResultFile;
use self::signals::Signals;
use crate::arguments::{Run, Service};
use crate::errors::{NOT_OWNER, RUN_USAGE};
use crate::output::say;
use crate::settings;

/// How long the end of an execution that was never created is waited for: nothing is left open where it is not.
const UNKNOWN_REPORT: Duration = Duration::from_secs(10);

/// How long an output may stay silent after the command's end before it is left to whoever still holds it.
const SILENCE: Duration = Duration::from_secs(1);

/// Runs the command, and returns the exit code.
pub async fn run(arguments: Run, service: &Service) -> u8 {
    let warn = Warn { quiet: arguments.quiet };
    let client = match settings::client(service) {
        Ok(client) => Some(client),
        Err(error) if arguments.execution.is_some() || arguments.require => {
            say(&format!("error: {}", error.message()));
            return RUN_USAGE;
        }
        Err(error) => {
            warn.say(&format!("{}: nothing is reported", error.message()));
            None
        }
    };
    let terminal = std::io::stdin().is_terminal() || std::io::stdout().is_terminal() || std::io::stderr().is_terminal();
    // Before the command starts: a signal that comes meanwhile is not lost.
    let mut signals = match Signals::listen(terminal) {
        Ok(signals) => signals,
        Err(error) => {
            say(&format!("error: no signals can be received: {error}"));
            return RUN_USAGE;
        }
    };

    let mut record = match begin(client.as_ref(), &arguments, &mut signals, &warn).await {
        Ok(record) => record,
        Err(code) => return code,
    };

    let result_file = match ResultFile::create() {
        Ok(file) => Some(file),
        Err(error) => {
            warn.say(&format!("RATCHET_OUTPUT cannot be created: {error}"));
            None
        }
    };
    let begun = Instant::now();
    let outputs = Outputs::plan(arguments.tail);
    let plan = Plan {
        command: &arguments.command,
        execution_id: record.as_ref().and_then(Record::id),
        result_file: result_file.as_ref().map(ResultFile::path),
        grouped: !terminal,
    };
    let (end, tails, notice) = match Child::spawn(&plan, &outputs) {
        Ok(child) => {
            let passing = outputs.pass_on();
            let supervised = supervise(child, &arguments, record.as_mut(), &mut signals, &warn).await;
            (supervised.end, passing.finish(SILENCE).await, supervised.notice)
        }
        Err(error) => {
            let end = ended::not_started(&arguments.command, &error);
            say(&format!("ratchet: {}", end.message()));
            (end, passing::Tails::default(), Notice::Continue)
        }
    };
    let ended = Ended { end, duration: begun.elapsed(), tails, cancelled: matches!(notice, Notice::Cancel { .. }) };
    let code = ended.exit_code();

    let result = result_file.and_then(|file| {
        file.read().unwrap_or_else(|why| {
            warn.say(&format!("RATCHET_OUTPUT is not reported: {why}"));
            None
        })
    });
    if let Some(record) = record {
        signals.forget(terminal).await;
        let update = ended.update(result);
        finish(record, update, &notice, arguments.report_timeout, &mut signals, &warn).await;
    }
    code
}

/// Creates and claims the execution; `None`: the command runs unreported.
///
/// # Errors
///
/// The exit code, where the command is not to be started.
async fn begin(
    client: Option<&Client>,
    arguments: &Run,
    signals: &mut Signals,
    warn: &Warn,
) -> Result<Option<Record>, u8> {
    let Some(client) = client else { return Ok(None) };
    let owned = arguments.execution.is_some() || arguments.require;
    let patience = if owned { arguments.claim_timeout } else { arguments.start_timeout };
    let mut record = Record::begin(client, arguments, patience);
    tokio::select! {
        claimed = record.claimed_within(patience) => match claimed {
            Ok(true) => Ok(Some(record)),
            _ if owned => {
                say(&format!("error: the command was not started: {}", record.why_not_ours().await));
                Err(NOT_OWNER)
            }
            Ok(false) => {
                let seconds = patience.as_secs();
                warn.say(&format!(
                    "the service did not answer within {seconds} s: the command starts, and the report follows"
                ));
                Ok(Some(record))
            }
            Err(error) => {
                warn.say(&format!("{error}: the command runs unreported"));
                Ok(None)
            }
        },
        // Nothing runs yet that the signal could be passed on to.
        signal = signals.next_that_ends() => {
            record.give_up(signal).await;
            Err(128 + u8::try_from(signal as i32).unwrap_or(0))
        }
    }
}

/// Reports the end of the command, unless its execution was over before.
async fn finish(
    record: Record,
    update: Update,
    notice: &Notice,
    patience: Duration,
    signals: &mut Signals,
    warn: &Warn,
) {
    if let Notice::Stop { status, reason } = notice {
        let reason = reason.as_deref().unwrap_or("nobody said why");
        warn.say(&format!("the execution is {status} ({reason}): the end of the command is not reported"));
        return;
    }
    let patience = if record.id().is_some() { patience } else { patience.min(UNKNOWN_REPORT) };
    tokio::select! {
        reported = record.finish(update, patience) => match reported {
            Ok(()) => {}
            Err(error) => warn.say(&unreported(&error)),
        },
        signal = signals.next_that_ends() => {
            warn.say(&format!("the end of the command was not reported: {} came first", signal.as_str()));
        }
    }
}

/// What is said of an end that could not be reported.
fn unreported(error: &Error) -> String {
    match error.refusal() {
        Some(refusal) if refusal.code == Some(ErrorCode::AttemptSuperseded) => {
            format!("the end of the command is not kept: another worker has the execution ({error})")
        }
        Some(refusal) if refusal.is_too_late() => {
            let status = refusal.current_status.map_or("over", Status::as_str);
            format!("the end of the command is not kept: the execution was {status} before")
        }
        _ => format!("the end of the command could not be reported: {error}"),
    }
}

/// Says what could not be reported.
struct Warn {
    quiet: bool,
}

impl Warn {
    fn say(&self, text: &str) {
        if !self.quiet {
            say(&format!("ratchet: {text}"));
        }
    }
}

/// What became of a command that was started.
struct Supervised {
    end: End,
    /// What the service said last.
    notice: Notice,
}

/// Waits for the command's end. Passes signals on to it, and ends it when its execution is over.
async fn supervise(
    mut child: Child,
    arguments: &Run,
    mut record: Option<&mut Record>,
    signals: &mut Signals,
    warn: &Warn,
) -> Supervised {
    let mut beats: Option<Beats> = None;
    let mut kill_at: Option<Instant> = None;
    let mut last = Notice::Continue;
    let end = loop {
        // The first time that the claim is known, be it long after the start.
        if beats.is_none()
            && let Some(record) = record.as_deref_mut()
            && let Some(claimed) = record.claimed()
        {
            beats = Some(Beats::start(record.client(), claimed));
        }
        tokio::select! {
            end = child.ended() => break end,
            signal = signals.next() => child.signal(signal),
            () = claimed(record.as_deref_mut()), if beats.is_none() => {}
            notice = said(beats.as_mut()), if beats.is_some() => {
                if notice.ends_the_work() && kill_at.is_none() {
                    warn.say(&format!("{}: the command is stopped", because(&notice)));
                    child.signal(Signal::SIGTERM);
                    kill_at = Some(Instant::now() + arguments.grace);
                }
                last = notice;
            }
            () = until(kill_at), if kill_at.is_some() => {
                child.signal(Signal::SIGKILL);
                // Until it is gone, and what it has started meanwhile.
                kill_at = Some(Instant::now() + Duration::from_millis(200));
            }
        }
    };
    // What the command has started has until the same moment.
    if let Some(kill_at) = kill_at {
        while !child.group_is_empty() {
            if Instant::now() >= kill_at {
                child.signal_group_after_end(Signal::SIGKILL);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    Supervised { end, notice: last }
}

/// Why the command is stopped.
fn because(notice: &Notice) -> String {
    match notice {
        Notice::Continue => String::new(),
        Notice::Cancel { reason, .. } => {
            format!("the execution is to be cancelled ({})", reason.as_deref().unwrap_or("nobody said why"))
        }
        Notice::Stop { status, reason } => {
            format!("the execution is over ({})", reason.as_deref().unwrap_or(status.as_str()))
        }
    }
}

/// Heartbeats and what they are answered.
struct Beats {
    notice: watch::Receiver<Notice>,
    _heartbeats: Heartbeats,
}

impl Beats {
    fn start(client: &Client, claimed: Claimed) -> Self {
        let heartbeats =
            Heartbeats::start(client, claimed.id, Some(claimed.attempt), claimed.heartbeat_timeout_seconds);
        Self { notice: heartbeats.notice(), _heartbeats: heartbeats }
    }
}

/// The next thing that the service says.
async fn said(beats: Option<&mut Beats>) -> Notice {
    let Some(beats) = beats else { return std::future::pending().await };
    if beats.notice.changed().await.is_err() {
        // No more heartbeats: there is nothing that they could say.
        return std::future::pending().await;
    }
    beats.notice.borrow_and_update().clone()
}

/// Until the claim is known.
async fn claimed(record: Option<&mut Record>) {
    match record {
        Some(record) => {
            if record.claimed_within(Duration::MAX).await != Ok(true) {
                std::future::pending::<()>().await;
            }
        }
        None => std::future::pending().await,
    }
}

async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
    }
}
