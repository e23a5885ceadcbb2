//! Standard error, which has all that is no data; tables and colours.

use std::fmt::Write as _;
use std::io::{IsTerminal, Write};

use comfy_table::presets::NOTHING;
use comfy_table::{ContentArrangement, Table};
use ratchet_model::clock::Timestamp;
use ratchet_model::status::Status;

/// Says a line on standard error. A standard error that is closed does not matter.
pub fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Whether standard output is for a person who likes colours.
#[must_use]
pub fn is_coloured() -> bool {
    std::io::stdout().is_terminal()
        && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
        && std::env::var_os("TERM").is_none_or(|value| value != "dumb")
}

/// Makes tables: columns that line up, no lines between them.
#[derive(Debug)]
pub struct Columns {
    table: Table,
}

impl Columns {
    /// A table with this head.
    #[must_use]
    pub fn new(head: &[&str]) -> Self {
        let mut table = Table::new();
        table.load_style(NOTHING).set_content_arrangement(ContentArrangement::Disabled).set_header(head);
        Self { table }
    }

    /// Adds a row.
    pub fn row(&mut self, cells: Vec<String>) {
        self.table.add_row(cells.into_iter().map(|cell| one_line(&cell)));
    }

    /// The table as text, its statuses in colour.
    #[must_use]
    pub fn text(&self) -> String {
        let coloured = is_coloured();
        let mut text = String::new();
        for line in self.table.lines() {
            // Coloured once the columns are as wide as they are: an escape sequence has no width.
            let line = line.trim_end();
            let line = line.strip_prefix(' ').unwrap_or(line);
            let line = if coloured { with_colours(line) } else { line.to_owned() };
            let _ = writeln!(text, "{line}");
        }
        text.trim_end().to_owned()
    }
}

/// A line with the words that are statuses in their colours.
fn with_colours(line: &str) -> String {
    let mut out = String::with_capacity(line.len() + 16);
    for (index, word) in line.split(' ').enumerate() {
        if index > 0 {
            out.push(' ');
        }
        match Status::ALL.iter().find(|status| status.as_str() == word) {
            Some(status) => out.push_str(&coloured(*status)),
            None => out.push_str(word),
        }
    }
    out
}

/// The name of a status in its colour.
fn coloured(status: Status) -> String {
    let colour = match status {
        Status::Completed => 32,
        Status::Failed | Status::Timeout => 31,
        Status::Running => 36,
        Status::Interrupted | Status::Retrying => 33,
        Status::Pending | Status::Queued | Status::Cancelled => 2,
    };
    format!("\u{1b}[{colour}m{status}\u{1b}[0m")
}

/// A status for a person.
#[must_use]
pub fn status(status: Status) -> String {
    if is_coloured() { coloured(status) } else { status.to_string() }
}

/// A text in one line, without what a terminal would obey or a reader not see.
#[must_use]
pub fn one_line(text: &str) -> String {
    let text: String = text.chars().map(|c| if is_printable(c) { c } else { ' ' }).collect();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A text of several lines, without what a terminal would obey.
#[must_use]
pub fn lines(text: &str) -> String {
    text.chars().filter(|c| *c == '\n' || *c == '\t' || is_printable(*c)).collect()
}

/// Whether a terminal shows a character and does nothing else for it.
fn is_printable(character: char) -> bool {
    let reorders =
        matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{61c}');
    !character.is_control() && !reorders && !matches!(character, '\u{2028}' | '\u{2029}')
}

/// The first characters of a text.
#[must_use]
pub fn cut(text: &str, length: usize) -> String {
    if text.chars().count() <= length {
        return text.to_owned();
    }
    let mut cut: String = text.chars().take(length.saturating_sub(1)).collect();
    cut.push('…');
    cut
}

/// A number of milliseconds for a person.
#[must_use]
pub fn duration(millis: i64) -> String {
    let seconds = millis / 1_000;
    match seconds {
        _ if millis < 10_000 => format!("{}.{:01}s", seconds, (millis % 1_000) / 100),
        0..60 => format!("{seconds}s"),
        60..3_600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{}h{:02}m", seconds / 3_600, seconds % 3_600 / 60),
        _ => format!("{}d{:02}h", seconds / 86_400, seconds % 86_400 / 3_600),
    }
}

/// How long ago a moment was.
#[must_use]
pub fn ago(then: Timestamp, now: Timestamp) -> String {
    let millis = (now.millis() - then.millis()).max(0);
    format!("{} ago", duration(millis.max(1_000) / 1_000 * 1_000).replace(".0s", "s"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_short() {
        for (millis, text) in [
            (0, "0.0s"),
            (1_250, "1.2s"),
            (59_999, "59s"),
            (61_000, "1m01s"),
            (3_600_000, "1h00m"),
            (90_000_000, "1d01h"),
        ] {
            assert_eq!(duration(millis), text);
        }
    }

    #[test]
    fn nothing_that_a_terminal_obeys_is_shown() {
        assert_eq!(one_line("a\u{1b}[31mb\r\nc\u{202e}d\0"), "a [31mb c d");
        assert_eq!(lines("a\n\tb\u{1b}]0;x\u{7}"), "a\n\tb]0;x");
        assert_eq!(cut("abcdef", 4), "abc…");
        assert_eq!(cut("äöü", 3), "äöü");
    }

    #[test]
    fn columns_line_up_and_end_where_their_text_does() {
        let mut columns = Columns::new(&["ID", "STATUS"]);
        columns.row(vec!["日本".to_owned(), "failed".to_owned()]);
        columns.row(vec!["a\nb".to_owned(), String::new()]);
        assert_eq!(columns.text(), "ID    STATUS\n日本  failed\na b");
    }

    #[test]
    fn a_status_has_a_colour_and_words_like_it_have_none() {
        assert_eq!(with_colours("x failed  y"), "x \u{1b}[31mfailed\u{1b}[0m  y");
        assert_eq!(with_colours("failed!"), "failed!");
    }
}
