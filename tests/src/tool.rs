//! A tool of the operator's, run as a real process for the table of a running service.

use std::process::Stdio;

use tokio::process::Command;

use crate::Api;

/// The environment variable that names the DynamoDB endpoint.
pub const ENDPOINT: &str = "AWS_ENDPOINT_URL_DYNAMODB";

/// How a run ended, and what it printed.
#[derive(Debug)]
pub struct Output {
    /// The exit status; `None`: a signal ended it.
    pub code: Option<i32>,
    /// Its standard output.
    pub out: String,
    /// Its standard error.
    pub err: String,
}

/// The tool in an environment that has nothing of this machine's, set up for the table of `api`.
#[must_use]
pub fn command(binary: &str, api: &Api, arguments: &[&str]) -> Command {
    let mut command = Command::new(binary);
    command.args(arguments).env_clear().stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.env("HOME", "/nowhere").env("AWS_EC2_METADATA_DISABLED", "true");
    command.env(ENDPOINT, &api.proxy.endpoint).env("RATCHET_TABLE", api.table());
    // The same as the service's, for DynamoDB Local keeps the tables of every access key and region apart.
    for (name, default) in
        [("AWS_ACCESS_KEY_ID", "local"), ("AWS_SECRET_ACCESS_KEY", "local"), ("AWS_REGION", "us-east-1")]
    {
        command.env(name, std::env::var(name).unwrap_or_else(|_| default.to_owned()));
    }
    command
}

/// Runs it to its end.
///
/// # Panics
///
/// Where it does not start, or prints what is no text.
#[expect(clippy::expect_used, reason = "a test ends where it cannot go on")]
pub async fn run(mut command: Command) -> Output {
    let output = command.spawn().expect("it starts").wait_with_output().await.expect("it ends");
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text");
    Output { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) }
}

impl Output {
    /// The standard output of a successful run.
    ///
    /// # Panics
    ///
    /// Where it failed.
    #[track_caller]
    pub fn printed(&self) -> &str {
        assert_eq!(self.code, Some(0), "{self:?}");
        self.out.trim_end()
    }

    /// The error message of a failed run: one line, with these parts in it. Standard output is empty.
    ///
    /// # Panics
    ///
    /// Where it is otherwise.
    #[track_caller]
    pub fn refused(&self, code: i32, parts: &[&str]) -> &str {
        assert_eq!((self.code, self.out.as_str()), (Some(code), ""), "{self:?}");
        assert_eq!(self.err.lines().count(), 1, "{self:?}");
        assert!(self.err.starts_with("error: "), "{self:?}");
        for part in parts {
            assert!(self.err.contains(part), "{part:?} is not in {self:?}");
        }
        self.err.trim_end()
    }

    /// Asserts how it ended, and that it said this.
    ///
    /// # Panics
    ///
    /// Where it did not.
    #[track_caller]
    pub fn ended(&self, code: i32, said: &str) -> &Self {
        assert_eq!(self.code, Some(code), "{self:?}");
        assert!(self.err.contains(said), "{said:?} is not in {self:?}");
        self
    }
}
