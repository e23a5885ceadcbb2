//! The error messages: one line each, with what happened and what to do.

use std::error::Error;
use std::fmt;

use ratchet_model::id::KeyId;
use ratchet_store::api_keys::ApiKeyError;

use crate::target::Target;

/// Why a command was not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CliError {
    text: String,
    /// Whether the command line itself is wrong.
    pub is_usage: bool,
}

impl CliError {
    /// An error that is not in the command line.
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), is_usage: false }
    }

    /// An error in the command line.
    pub fn usage(text: impl Into<String>) -> Self {
        Self { text: text.into(), is_usage: true }
    }
}

impl fmt::Display for CliError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Quoted messages of DynamoDB and the SDK may have line breaks in them.
        formatter.write_str(&self.text.split_whitespace().collect::<Vec<_>>().join(" "))
    }
}

impl Error for CliError {}

/// The action that failed.
#[derive(Debug, Clone, Copy)]
pub enum Action<'a> {
    /// Creating a key with this id.
    Create(&'a KeyId),
    /// Listing the keys.
    List,
    /// Revoking the key with this id.
    Revoke(&'a KeyId),
    /// Replacing a key.
    Rotate {
        /// The old key's id.
        old: &'a KeyId,
        /// The new key's id.
        new: &'a KeyId,
    },
}

impl Action<'_> {
    /// The message where it is unknown whether the action took effect.
    fn outcome_unknown(self, target: &Target, reason: &str) -> String {
        match self {
            Self::Create(id) => format!(
                "{target} did not confirm ({reason}) that key {id} is stored: it may be, and is not shown; wait a \
                 moment, `keys revoke {id}` (if there is no such key, that is fine), then create another"
            ),
            Self::Rotate { old, new } => format!(
                "{target} did not confirm ({reason}) that key {new} replaces key {old}: it may, and is not shown; wait \
                 a moment, `keys revoke {new}` (if there is no such key, that is fine), then rotate {old} again"
            ),
            Self::Revoke(id) => format!(
                "{target} did not confirm ({reason}) that key {id} is revoked: `keys revoke {id}` again, which does no \
                 harm if it is"
            ),
            Self::List => format!("{target} does not answer ({reason}): try again"),
        }
    }
}

/// Describes an error of the store: what happened and what to do.
#[must_use]
pub fn describe(error: &ApiKeyError, action: Action<'_>, target: &Target) -> CliError {
    let table = &target.table;
    let id = match action {
        Action::Create(id) | Action::Revoke(id) | Action::Rotate { old: id, .. } => id.as_str(),
        Action::List => "",
    };
    CliError::new(match error {
        ApiKeyError::Unknown => format!("there is no key {id} in table {table}: `keys list` shows those that are"),
        ApiKeyError::Ended { since } => {
            format!("key {id} is not valid any more, since {since}: create a new one with `keys create`")
        }
        ApiKeyError::TooLong => "the time is too long: a key ends before the year 10000".to_owned(),
        ApiKeyError::NoTable => {
            format!("there is no table {table} in {target}: check --table or RATCHET_TABLE, the region and the account")
        }
        ApiKeyError::OtherTable { reason } => {
            format!(
                "{target} refuses the request ({reason}): is {table} a table of Ratchet's, as template.yaml has it?"
            )
        }
        ApiKeyError::Denied { action } => format!(
            "the credentials do not allow {action} on table {table}: let their IAM policy allow it, for the table and \
             its index by_organization"
        ),
        ApiKeyError::Credentials { code } => format!(
            "{target} does not accept the credentials ({code}): log in again, or check AWS_PROFILE, the access key and \
             this machine's clock"
        ),
        ApiKeyError::Busy => format!("{target} is busy: nothing was changed; try again in a moment"),
        ApiKeyError::Away { reason } => format!(
            "{target} does not answer ({reason}): nothing was changed; check the endpoint, the region and the network"
        ),
        ApiKeyError::OutcomeUnknown { reason } => action.outcome_unknown(target, reason),
        ApiKeyError::Failed { reason } => format!("{target} or table {table} is not as expected: {reason}"),
    })
}

/// The message of an error, followed by those of its causes that it does not end with already.
#[must_use]
pub fn chain(error: &(dyn Error + 'static)) -> String {
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
