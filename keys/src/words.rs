//! What a person reads when something is in the way: one line, what happened and what to do.

use std::fmt;

use shared::auth::KeyId;
use shared::store::keys::KeyError;

use crate::connection::Place;

/// Why a command was not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    text: String,
    /// Whether the command line itself is wrong.
    pub is_usage: bool,
}

impl Failure {
    /// Something in the way.
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), is_usage: false }
    }

    /// A command line that cannot be done.
    pub fn usage(text: impl Into<String>) -> Self {
        Self { text: text.into(), is_usage: true }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What others say may have line breaks in it.
        formatter.write_str(&self.text.split_whitespace().collect::<Vec<_>>().join(" "))
    }
}

/// What was being done.
#[derive(Debug, Clone, Copy)]
pub enum Doing<'a> {
    /// Making a key with this id.
    Create(&'a KeyId),
    /// Listing.
    List,
    /// Revoking the key with this id.
    Revoke(&'a KeyId),
    /// Replacing a key.
    Rotate {
        /// The old one.
        old: &'a KeyId,
        /// The new one.
        new: &'a KeyId,
    },
}

impl Doing<'_> {
    /// What it means that nobody knows whether it was done.
    fn outcome_unknown(self, place: &Place, reason: &str) -> String {
        match self {
            Self::Create(id) => format!(
                "{place} did not confirm ({reason}) that key {id} is stored: it may be, and is not shown; wait a moment, \
                 `keys revoke {id}` (that there is no such key is fine), then create another"
            ),
            Self::Rotate { old, new } => format!(
                "{place} did not confirm ({reason}) that key {new} replaces key {old}: it may, and is not shown; wait a \
                 moment, `keys revoke {new}` (that there is no such key is fine), then rotate {old} again"
            ),
            Self::Revoke(id) => format!(
                "{place} did not confirm ({reason}) that key {id} is revoked: `keys revoke {id}` again, which does no \
                 harm if it is"
            ),
            Self::List => format!("{place} does not answer ({reason}): try again"),
        }
    }
}

/// What an error of the store means to a person.
#[must_use]
pub fn explain(error: &KeyError, doing: Doing<'_>, place: &Place) -> Failure {
    let table = &place.table;
    let id = match doing {
        Doing::Create(id) | Doing::Revoke(id) | Doing::Rotate { old: id, .. } => id.as_str(),
        Doing::List => "",
    };
    Failure::new(match error {
        KeyError::Unknown => format!("there is no key {id} in table {table}: `keys list` shows those that are"),
        KeyError::Ended { since } => {
            format!("key {id} is not valid any more, since {since}: make a new one with `keys create`")
        }
        KeyError::TooLong => "the time is too long: a key ends before the year 10000".to_owned(),
        KeyError::NoTable => {
            format!("there is no table {table} in {place}: check --table or RATCHET_TABLE, the region and the account")
        }
        KeyError::OtherTable { reason } => {
            format!("{place} refuses the request ({reason}): is {table} a table of Ratchet's, as template.yaml has it?")
        }
        KeyError::Denied { action } => format!(
            "the credentials do not allow {action} on table {table}: let their IAM policy allow it, for the table and \
             its index by_organization"
        ),
        KeyError::Credentials { code } => format!(
            "{place} does not accept the credentials ({code}): log in again, or check AWS_PROFILE, the access key and \
             this machine's clock"
        ),
        KeyError::Busy => format!("{place} is busy: nothing was changed; try again in a moment"),
        KeyError::Away { reason } => format!(
            "{place} does not answer ({reason}): nothing was changed; check the endpoint, the region and the network"
        ),
        KeyError::OutcomeUnknown { reason } => doing.outcome_unknown(place, reason),
        KeyError::Failed { reason } => format!("{place} or table {table} is not as expected: {reason}"),
    })
}

/// An error and its causes, each said once.
#[must_use]
pub fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let cause = error.to_string();
        if !text.ends_with(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
        source = error.source();
    }
    text
}
