//! The command's process, its group, and its end.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use ratchet_model::id::ExecutionId;
use tokio::sync::oneshot;

use super::ended::End;
use super::passing::Outputs;

/// How the command is started.
pub(super) struct Plan<'a> {
    /// The command and its arguments.
    pub(super) command: &'a [OsString],
    /// The execution, if it is known by now.
    pub(super) execution_id: Option<ExecutionId>,
    /// Where a result may be written.
    pub(super) result_file: Option<&'a Path>,
    /// Whether it leads a group of its own.
    pub(super) grouped: bool,
}

/// A process that was started.
pub(super) struct Child {
    pid: Pid,
    grouped: bool,
    /// Whether it is there: until it is reaped, no other process can have its id. Held while a signal is sent.
    there: Arc<Mutex<bool>>,
    end: oneshot::Receiver<End>,
}

impl Child {
    /// Starts the command.
    pub(super) fn spawn(plan: &Plan, outputs: &Outputs) -> io::Result<Self> {
        let (program, arguments) = plan.command.split_first().ok_or(io::ErrorKind::InvalidInput)?;
        let mut command = Command::new(program);
        command.args(arguments);
        if let Some(id) = plan.execution_id {
            command.env("RATCHET_EXECUTION_ID", id.to_string());
        } else {
            // That of an outer run would be taken for its own.
            command.env_remove("RATCHET_EXECUTION_ID");
        }
        match plan.result_file {
            Some(path) => command.env("RATCHET_OUTPUT", path),
            None => command.env_remove("RATCHET_OUTPUT"),
        };
        if plan.grouped {
            command.process_group(0);
        }
        outputs.attach(&mut command)?;
        let process = command.spawn()?;
        // The writing ends of the pipes are in it: with them open, the outputs would have no end.
        drop(command);
        let pid = Pid::from_raw(i32::try_from(process.id()).map_err(io::Error::other)?);
        let there = Arc::new(Mutex::new(true));
        let (sender, end) = oneshot::channel();
        let reaped = Arc::clone(&there);
        std::thread::Builder::new().name("reaper".to_owned()).spawn(move || {
            let _ = sender.send(reap(process, pid, &reaped));
        })?;
        Ok(Self { pid, grouped: plan.grouped, there, end })
    }

    /// How it ended, once it has.
    pub(super) async fn ended(&mut self) -> End {
        // The reaper sends before it ends.
        (&mut self.end).await.unwrap_or(End::Exited(1))
    }

    /// Sends a signal to it: to its group, where it has one of its own.
    pub(super) fn signal(&self, signal: Signal) {
        let there = self.there.lock().unwrap_or_else(PoisonError::into_inner);
        if *there {
            // One that has ended and is not reaped yet takes it, and does nothing.
            let _ = if self.grouped { killpg(self.pid, signal) } else { kill(self.pid, signal) };
        }
    }

    /// Sends a signal to what is left of its group.
    pub(super) fn signal_group_after_end(&self, signal: Signal) {
        if self.grouped {
            let _ = killpg(self.pid, signal);
        }
    }

    /// Whether nothing is left of its group. A group's id is given to nobody else while it has a member.
    pub(super) fn group_is_empty(&self) -> bool {
        !self.grouped || killpg(self.pid, None) == Err(Errno::ESRCH)
    }
}

/// Waits for the process, and reaps it. As the first process of a container it also reaps those whose parents have ended.
fn reap(mut process: std::process::Child, pid: Pid, there: &Mutex<bool>) -> End {
    #[cfg(target_os = "linux")]
    wait_without_reaping(pid);
    #[cfg(not(target_os = "linux"))]
    let _ = pid;
    let mut there = there.lock().unwrap_or_else(PoisonError::into_inner);
    #[cfg(not(target_os = "linux"))]
    drop(there);
    let status = process.wait();
    #[cfg(not(target_os = "linux"))]
    let mut there = there.lock().unwrap_or_else(PoisonError::into_inner);
    *there = false;
    match status {
        Ok(status) => match (status.code(), status.signal()) {
            (Some(code), _) => End::Exited(code),
            (None, signal) => End::Killed(signal.unwrap_or(0)),
        },
        Err(_) => End::Exited(1),
    }
}

/// Waits until the process has ended, and leaves it for [`std::process::Child::wait`].
#[cfg(target_os = "linux")]
fn wait_without_reaping(pid: Pid) {
    use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
    let is_init = nix::unistd::getpid() == Pid::from_raw(1);
    loop {
        let which = if is_init { Id::All } else { Id::Pid(pid) };
        match waitid(which, WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT) {
            Ok(WaitStatus::Exited(ended, _) | WaitStatus::Signaled(ended, _, _)) if ended != pid => {
                let _ = waitpid(ended, Some(WaitPidFlag::WNOHANG));
            }
            Err(Errno::EINTR) => {}
            // A real-time signal has no name here, and waiting tells it.
            Ok(_) | Err(_) => return,
        }
    }
}
