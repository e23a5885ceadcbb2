//! The command line. What is wrong with it is said in one line, in which no key can be.

use std::str::FromStr;
use std::time::Duration;

use clap::{Parser, Subcommand};
use shared::auth::{KEY_PREFIX, KeyId, Scopes, is_organization};

use crate::words::Failure;

/// Makes, lists, rotates and revokes the API keys in a table of Ratchet's.
///
/// Region and credentials come from where the AWS CLI takes them. With `AWS_ENDPOINT_URL_DYNAMODB` or `AWS_ENDPOINT_URL`
/// set it calls the DynamoDB there.
#[derive(Debug, Parser)]
#[command(name = "keys")]
pub struct Arguments {
    /// The table; without it, that of the environment variable `RATCHET_TABLE`
    #[arg(long, global = true, value_name = "NAME")]
    pub table: Option<String>,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a key and print it to standard output, this once: the table keeps only its SHA-256
    Create {
        /// The organization that it speaks for
        #[arg(long, value_name = "ORG")]
        org: Organization,
        /// What it may do: read, write, admin, separated by commas
        #[arg(long, value_name = "SCOPES", value_parser = scopes)]
        scopes: Scopes,
        /// When it ends by itself, such as 90d; without it, when it is revoked
        #[arg(long, value_name = "TIME", value_parser = lifetime)]
        expires_in: Option<Duration>,
    },
    /// List the keys, oldest first
    ///
    /// It reads an index that follows the table within moments: a key that was made just now may be missing. What is
    /// said of a key is as of its last change. Keys that were put into the table by other means are not listed.
    List {
        /// The keys of this organization only
        #[arg(long, value_name = "ORG")]
        org: Option<Organization>,
        /// As a JSON array
        #[arg(long)]
        json: bool,
    },
    /// End a key now
    ///
    /// API Gateway keeps the authorizer's answers: a key that was in use may work for `AuthorizerCacheSeconds` longer, a
    /// parameter of the stack, 60 by default.
    Revoke {
        /// The id of the key, or the whole key
        #[arg(value_name = "KEY_ID")]
        key: String,
    },
    /// Make a new key with the organization and scopes of another one, and let that one end after a while
    Rotate {
        /// The id of the old key, or the whole key
        #[arg(value_name = "KEY_ID")]
        key: String,
        /// How long the old key works beside the new one, unless it ends earlier anyway
        #[arg(long, value_name = "TIME", default_value = "24h", value_parser = duration)]
        keep_old: Duration,
        /// When the new key ends by itself, such as 90d; without it, when it is revoked
        #[arg(long, value_name = "TIME", value_parser = lifetime)]
        expires_in: Option<Duration>,
    },
}

/// The name of an organization.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Organization(String);

impl Organization {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Organization {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if is_organization(text) {
            Ok(Self(text.to_owned()))
        } else {
            Err("an organization is 1 to 64 of A-Z, a-z, 0-9, '.', '_' and '-'".to_owned())
        }
    }
}

/// Reads scopes.
fn scopes(text: &str) -> Result<Scopes, String> {
    Scopes::parse(text).map_err(|name| {
        let what = if name.is_empty() { "there is no scope".to_owned() } else { format!("{name:?} is no scope") };
        format!("{what}: use read, write or admin, separated by commas")
    })
}

/// No time is longer: a hundred years, so that every end is a date that can be written.
const LONGEST: Duration = Duration::from_secs(100 * 365 * DAY);

const DAY: u64 = 24 * 60 * 60;

/// Reads a duration: a whole number and a unit.
fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || "a time is a whole number and s, m, h or d, such as 90d, and at most 36500d".to_owned();
    let unit = text.chars().next_back().ok_or_else(wrong)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 60 * 60,
        'd' => DAY,
        _ => return Err(wrong()),
    };
    let digits = text.strip_suffix(unit).unwrap_or_default();
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(wrong());
    }
    let count: u64 = digits.parse().map_err(|_| wrong())?;
    let duration = count.checked_mul(seconds).map(Duration::from_secs).ok_or_else(wrong)?;
    if duration > LONGEST { Err(wrong()) } else { Ok(duration) }
}

/// Reads how long a new key lives.
fn lifetime(text: &str) -> Result<Duration, String> {
    let duration = duration(text)?;
    if duration.is_zero() { Err("a key that ends at once is of no use".to_owned()) } else { Ok(duration) }
}

/// The id in a text that is one, or the whole key.
///
/// # Errors
///
/// That it is neither, without the text: it may be a key with a digit missing.
pub fn key_id(text: &str) -> Result<KeyId, Failure> {
    KeyId::parse(text).ok_or_else(|| {
        Failure::usage("KEY_ID is neither an id nor a key: give the 16 hexadecimal digits that `keys list` shows")
    })
}

/// The arguments of this process.
///
/// # Errors
///
/// What is wrong with them.
pub fn read() -> Result<Arguments, Failure> {
    Arguments::try_parse().map_err(|error| {
        if !error.use_stderr() {
            // Help was asked for.
            error.exit();
        }
        let text = error.to_string();
        if text.starts_with("error: ") {
            Failure::usage(format!("{} (`keys --help` tells more)", first_paragraph(&text)))
        } else {
            // No command at all: the help itself.
            error.exit();
        }
    })
}

/// The first paragraph of what the parser says, in one line and without anything that looks like a key.
fn first_paragraph(text: &str) -> String {
    let lines = text.trim_start_matches("error: ").lines().map(str::trim).take_while(|line| !line.is_empty());
    redacted(&lines.collect::<Vec<_>>().join(" "))
}

/// A text with every word cut out that may be a key or a part of one.
fn redacted(text: &str) -> String {
    let is_word = |character: char| character.is_ascii_alphanumeric() || character == '_';
    let mut clean = String::with_capacity(text.len());
    for part in text.split_inclusive(|character| !is_word(character)) {
        let word = part.trim_end_matches(|character| !is_word(character));
        let secret = word.contains(KEY_PREFIX.trim_end_matches('_')) || word.len() > 32;
        let end = part.get(word.len()..).unwrap_or_default();
        clean.push_str(if secret { "(not shown)" } else { word });
        clean.push_str(end);
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_a_number_and_a_unit() {
        for (text, seconds) in [("90d", 90 * DAY), ("24h", DAY), ("5m", 300), ("0s", 0), ("36500d", 36_500 * DAY)] {
            assert_eq!(duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "d", "90", "90x", "-1d", "+1d", "1.5h", "1 d", "36501d", "99999999999999999999d", "9é"] {
            assert!(duration(text).is_err(), "{text}");
        }
        assert!(lifetime("0d").is_err() && lifetime("1s").is_ok());
    }

    #[test]
    fn what_looks_like_a_key_is_cut_out_of_what_the_parser_says() {
        let key = shared::auth::ApiKey::generate().unwrap();
        let secret = &key.reveal()[25..];
        for text in [key.reveal(), &key.reveal()[..60], secret] {
            let line = first_paragraph(&format!("error: unexpected argument '{text}' found\n\nUsage: keys"));
            assert_eq!(line, "unexpected argument '(not shown)' found");
        }
        assert_eq!(first_paragraph("error: not given:\n  --org <ORG>\n\nUsage: x"), "not given: --org <ORG>");
    }
}
