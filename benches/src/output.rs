//! The output of the bench, and its errors.

use std::io::Write;

/// An error ends the bench, and its text is the message.
pub type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Writes a line to standard output. A closed output is no reason to stop measuring.
pub fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}
