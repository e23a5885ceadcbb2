//! The command line. An error in it has a message of one line, which never contains a key.

use std::time::Duration;

use clap::{Parser, Subcommand};
use ratchet_model::api_key::{ApiKey, KEY_PREFIX};
use ratchet_model::clock::parse_duration;
use ratchet_model::id::{KeyId, OrganizationId};
use ratchet_model::key_name::{KeyName, KeyNameError};
use ratchet_model::limits::MAX_KEY_NAME;
use ratchet_model::scope::{Scopes, ScopesError};

use crate::errors::CliError;

/// Creates, lists, rotates and revokes the API keys in a table of Ratchet's.
///
/// Region and credentials come from where the AWS CLI takes them. With `AWS_ENDPOINT_URL_DYNAMODB` or
/// `AWS_ENDPOINT_URL` set it calls the DynamoDB there.
#[derive(Debug, Parser)]
#[command(name = "keys")]
pub struct Arguments {
    /// The table; without it, that of the environment variable `RATCHET_TABLE`
    #[arg(long, global = true, value_name = "NAME")]
    pub table: Option<String>,
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

/// A command, with its arguments.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Create a key and print it to standard output, this once: the table keeps only its SHA-256
    Create {
        /// The organization that the key belongs to
        #[arg(long, value_name = "ORG", value_parser = organization)]
        org: OrganizationId,
        /// What people call the key, such as "CI deploy bot": 1 to 64 characters
        ///
        /// It is shown by `keys list`, by `GET /me`, and as `by_name` in the transitions that the key causes, to everyone
        /// who may read them. A rotation keeps it; nothing else changes it.
        #[arg(long, value_name = "NAME")]
        name: Option<String>,
        /// What the key may do: read, write, admin, separated by commas
        #[arg(long, value_name = "SCOPES", value_parser = scopes)]
        scopes: Scopes,
        /// How long the key is valid, such as 90d; without it, until it is revoked
        #[arg(long, value_name = "TIME", value_parser = lifetime)]
        expires_in: Option<Duration>,
    },
    /// List the keys, oldest first
    ///
    /// It reads an index that follows the table within moments: a key that was created just now may be missing. The
    /// rest is as of each key's last change. Keys that were put into the table by other means are not listed.
    List {
        /// The keys of this organization only
        #[arg(long, value_name = "ORG", value_parser = organization)]
        org: Option<OrganizationId>,
        /// As a JSON array
        #[arg(long)]
        json: bool,
    },
    /// End a key now
    ///
    /// API Gateway keeps the authorizer's answers: a key that was in use may work for `AuthorizerCacheSeconds` longer,
    /// a parameter of the stack, 60 by default.
    Revoke {
        /// The id of the key, or the whole key
        #[arg(value_name = "KEY_ID")]
        key: String,
    },
    /// Create a new key with the organization, name and scopes of an old one, and end the old one after a while
    Rotate {
        /// The id of the old key, or the whole key
        #[arg(value_name = "KEY_ID")]
        key: String,
        /// How long the old key works beside the new one, unless it ends earlier anyway
        #[arg(long, value_name = "TIME", default_value = "24h", value_parser = duration)]
        keep_old: Duration,
        /// How long the new key is valid, such as 90d; without it, until it is revoked
        #[arg(long, value_name = "TIME", value_parser = lifetime)]
        expires_in: Option<Duration>,
    },
}

/// Reads the id of an organization.
fn organization(text: &str) -> Result<OrganizationId, String> {
    OrganizationId::parse(text)
        .ok_or_else(|| "an organization is 1 to 64 of A-Z, a-z, 0-9, '.', '_' and '-'".to_owned())
}

/// Reads scopes.
fn scopes(text: &str) -> Result<Scopes, String> {
    Scopes::parse(text).map_err(|error| {
        let what = match error {
            ScopesError::Empty => "there is no scope".to_owned(),
            ScopesError::Unknown(name) => format!("{name:?} is no scope"),
        };
        format!("{what}: use read, write or admin, separated by commas")
    })
}

/// Reads a duration: a whole number and a unit.
fn duration(text: &str) -> Result<Duration, String> {
    parse_duration(text)
        .ok_or_else(|| "a time is a whole number and s, m, h or d, such as 90d, and at most 36500d".to_owned())
}

/// Reads how long a new key is valid.
fn lifetime(text: &str) -> Result<Duration, String> {
    let duration = duration(text)?;
    if duration.is_zero() { Err("a key that ends at once is of no use".to_owned()) } else { Ok(duration) }
}

/// Reads the id of a key, or takes that of a whole key.
///
/// # Errors
///
/// A text that is neither. The message does not quote it: it may be a key with a digit missing.
pub fn key_id(text: &str) -> Result<KeyId, CliError> {
    ApiKey::parse_id(text).ok_or_else(|| {
        CliError::usage("KEY_ID is neither an id nor a key: give the 16 hexadecimal digits that `keys list` shows")
    })
}

/// Reads the name of a key.
///
/// # Errors
///
/// A text that is not a name. Not a parser of the command line's own, whose message would quote the text: with a line
/// break in it the message would end there, and a control sequence would reach the terminal.
pub fn key_name(text: &str) -> Result<KeyName, CliError> {
    KeyName::parse(text).map_err(|error| {
        CliError::usage(match error {
            KeyNameError::Empty => {
                format!("--name is empty: give 1 to {MAX_KEY_NAME} characters, or leave --name out")
            }
            KeyNameError::TooLong(length) => {
                format!("--name has {length} characters: give at most {MAX_KEY_NAME}")
            }
            KeyNameError::BlankAtAnEnd => "--name begins or ends with a blank: give the name without it".to_owned(),
            KeyNameError::Character(character) => format!(
                "--name has the character U+{:04X} in it, which cannot be seen: give the name without it",
                u32::from(character)
            ),
        })
    })
}

/// The arguments of this process.
///
/// # Errors
///
/// What is wrong with the command line.
pub fn read() -> Result<Arguments, CliError> {
    Arguments::try_parse().map_err(|error| {
        if !error.use_stderr() {
            // Help was asked for.
            error.exit();
        }
        let text = error.to_string();
        if text.starts_with("error: ") {
            CliError::usage(format!("{} (see `keys --help`)", first_paragraph(&text)))
        } else {
            // Without a command, the parser's message is the help itself.
            error.exit();
        }
    })
}

/// The first paragraph of the parser's message, in one line and without anything that looks like a key.
fn first_paragraph(text: &str) -> String {
    let lines = text.trim_start_matches("error: ").lines().map(str::trim).take_while(|line| !line.is_empty());
    redacted(&lines.collect::<Vec<_>>().join(" "))
}

/// A text in which every word that may be a key or a part of one is replaced.
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
        const DAY: u64 = 24 * 60 * 60;
        for (text, seconds) in [("90d", 90 * DAY), ("24h", DAY), ("5m", 300), ("0s", 0), ("36500d", 36_500 * DAY)] {
            assert_eq!(duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "d", "90", "90x", "-1d", "+1d", "1.5h", "1 d", "36501d", "99999999999999999999d", "9é"] {
            assert!(duration(text).is_err(), "{text}");
        }
        assert!(lifetime("0d").is_err() && lifetime("1s").is_ok());
    }

    #[test]
    fn what_looks_like_a_key_is_cut_out_of_the_parsers_message() {
        let key = ApiKey::generate().unwrap();
        let secret = &key.reveal()[25..];
        for text in [key.reveal(), &key.reveal()[..60], secret] {
            let line = first_paragraph(&format!("error: unexpected argument '{text}' found\n\nUsage: keys"));
            assert_eq!(line, "unexpected argument '(not shown)' found");
        }
        assert_eq!(first_paragraph("error: not given:\n  --org <ORG>\n\nUsage: x"), "not given: --org <ORG>");
    }
}
