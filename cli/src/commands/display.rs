//! What is shown again and again.

use std::io::IsTerminal;

use crate::errors::CliError;
use crate::print::print;

/// Shows a text in the place of what was shown before, on a terminal; below it, elsewhere.
pub(super) fn show_again(text: &str, first: bool) -> Result<(), CliError> {
    if std::io::stdout().is_terminal() {
        // The cursor to the upper left corner, and what is below it away.
        print(&format!("\u{1b}[H\u{1b}[J{text}"))
    } else if first {
        print(text)
    } else {
        print(&format!("\n{text}"))
    }
}
