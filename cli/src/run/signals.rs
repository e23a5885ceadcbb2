//! The signals that are passed on to the command.

use std::io;
use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

/// Those that are passed on.
const PASSED_ON: [Signal; 6] =
    [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT, Signal::SIGUSR1, Signal::SIGUSR2];

/// Those that the terminal sends to the command itself, which is in our group there.
const OF_THE_TERMINAL: [Signal; 2] = [Signal::SIGINT, Signal::SIGQUIT];

/// How long a signal may be on its way from the terminal.
const ON_THE_WAY: Duration = Duration::from_millis(20);

/// Signals that were received.
pub(super) struct Signals {
    received: mpsc::UnboundedReceiver<Signal>,
    terminal: bool,
}

impl Signals {
    /// Begins to receive. A signal that is ignored stays so, for the command, too: `nohup` and a shell's `&` mean it.
    pub(super) fn listen(terminal: bool) -> io::Result<Self> {
        let ignored = ignored();
        let (sender, received) = mpsc::unbounded_channel();
        for kind in PASSED_ON.into_iter().filter(|kind| ignored >> (*kind as u32 - 1) & 1 == 0) {
            let mut arrivals = signal(SignalKind::from_raw(kind as i32))?;
            let sender = sender.clone();
            tokio::spawn(async move { while arrivals.recv().await.is_some() && sender.send(kind).is_ok() {} });
        }
        Ok(Self { received, terminal })
    }

    /// The next one to pass on.
    pub(super) async fn next(&mut self) -> Signal {
        loop {
            match self.received.recv().await {
                Some(kind) if self.terminal && OF_THE_TERMINAL.contains(&kind) => {}
                Some(kind) => return kind,
                // All are ignored.
                None => return std::future::pending().await,
            }
        }
    }

    /// Forgets those that came while the command ran: they were its own. On a terminal the command may have ended by one before
    /// it is known here.
    pub(super) async fn forget(&mut self, terminal: bool) {
        if terminal {
            tokio::time::sleep(ON_THE_WAY).await;
        }
        while self.received.try_recv().is_ok() {}
    }

    /// The next one that ends a process.
    pub(super) async fn next_that_ends(&mut self) -> Signal {
        loop {
            match self.received.recv().await {
                Some(Signal::SIGUSR1 | Signal::SIGUSR2) => {}
                Some(kind) => return kind,
                None => return std::future::pending().await,
            }
        }
    }
}

/// The signals that were ignored when this process began, as a mask. Where the system does not say: none.
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}
