//! docs/cli.md, made of the help, so that it says what the program says.

use std::fmt::Write as _;

use clap::{Command, CommandFactory};

use crate::arguments::Arguments;
use crate::errors::CliError;
use crate::print;

/// What stands before the commands.
const HEAD: &str = include_str!("reference.md");

/// The page.
#[must_use]
pub fn page() -> String {
    let mut page = HEAD.trim_end().to_owned();
    let mut root = Arguments::command().bin_name("ratchet");
    root.build();
    for command in root.get_subcommands().filter(|command| !command.is_hide_set()) {
        section(&mut page, command);
    }
    page.push('\n');
    page
}

fn section(page: &mut String, command: &Command) {
    let name = command.get_name();
    // As wide as the page, whatever terminal this is.
    let help = command.clone().term_width(110).render_long_help().to_string();
    let help: Vec<&str> = help.trim_end().lines().map(str::trim_end).collect();
    // A String takes whatever is written to it.
    let _ = write!(page, "\n\n## ratchet {name}\n\n```text\n{}\n```", help.join("\n"));
}

/// Prints the page.
///
/// # Errors
///
/// A standard output that cannot be written.
pub fn print() -> Result<u8, CliError> {
    print::print(page().trim_end())?;
    Ok(0)
}
