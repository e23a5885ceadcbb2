//! The service as a process of its own, and helpers of the tests that run it.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};

/// The API key of these tests.
pub const KEY: &str = "k";

/// A number from the environment.
pub fn setting(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
}

/// Numbers from a seed (`SplitMix64`).
pub struct Dice(pub u64);

impl Dice {
    /// One below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}

/// The service as a process of its own.
pub struct Service {
    /// Its process.
    pub child: Child,
    /// Where it listens.
    pub url: String,
    /// Kept open: the service prints a few lines more.
    _output: BufReader<ChildStdout>,
}

impl Service {
    /// Starts it; `data` sets where its executions are stored. Port 0 picks a free port.
    pub fn start(port: u16, data: impl FnOnce(&mut Command)) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_local"));
        command
            .args(["--port", &port.to_string(), "--api-key", &format!("{KEY}=acme")])
            .stdout(Stdio::piped())
            // One line per request.
            .stderr(Stdio::null())
            .env_remove("AWS_ENDPOINT_URL_DYNAMODB")
            .env_remove("RATCHET_TABLE")
            .env_remove("RATCHET_CURSOR_KEY");
        data(&mut command);
        let mut child = command.spawn().expect("the server starts");
        let mut output = BufReader::new(child.stdout.take().expect("its output"));
        let mut line = String::new();
        output.read_line(&mut line).expect("a line");
        let url = line.split(' ').find(|word| word.starts_with("http://"));
        let url = url.unwrap_or_else(|| panic!("it does not start: {line:?} {:?}", child.try_wait())).to_owned();
        Self { child, url, _output: output }
    }

    /// SIGKILL: no handler runs, nothing is flushed.
    pub fn kill(&mut self) {
        self.child.kill().expect("it can be killed");
        self.child.wait().expect("it ends");
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
