//! Standard output, which has data alone.

use std::io::{ErrorKind, Write};

use crate::errors::CliError;

/// Prints a line on standard output.
///
/// # Errors
///
/// A standard output that cannot be written. One that is closed ends the process in silence, as a `head` expects.
pub fn print(text: &str) -> Result<(), CliError> {
    let mut out = std::io::stdout().lock();
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => std::process::exit(0),
        Err(error) => Err(CliError::failure(format!("standard output cannot be written: {error}"))),
    }
}
