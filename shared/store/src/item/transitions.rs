//! The transition log of an execution: two maps in its head item.

use aws_sdk_dynamodb::types::AttributeValue;
use ratchet_model::caller::Caller;
use ratchet_model::clock::Timestamp;
use ratchet_model::error::Error;
use ratchet_model::execution::Transition;
use ratchet_model::id::KeyId;
use ratchet_model::limits::MAX_LOGGED_REASON;
use ratchet_model::status::Status;
use ratchet_model::wire_name::WireName;

use super::attributes::{Attributes, Item};
use crate::dedup::WriteToken;
use crate::expression::{number, text};
use crate::schema as a;

/// One entry of the transition log: write token, status, time, key id and, if there was one, reason.
///
/// `from` is not in it: it is the status to which the previous transition led. Neither is the version: DynamoDB counts
/// it, and a map beside this one keeps it.
pub fn transition_entry(
    token: &WriteToken,
    to: Status,
    at: Timestamp,
    caller: &Caller,
    reason: Option<&str>,
) -> AttributeValue {
    let mut parts = vec![token.content(), text(to.as_str()), number(at.millis()), text(caller.key_id.as_str())];
    let reason = reason.map(|reason| reason.chars().take(MAX_LOGGED_REASON).collect::<String>());
    parts.extend(reason.map(text));
    AttributeValue::L(parts)
}

/// Reads the transitions, oldest first, each with the id of its write.
///
/// # Errors
///
/// [`Error::Internal`] for an attribute that is missing or has another type.
pub fn read_transitions(item: &Item) -> Result<Vec<(String, Transition)>, Error> {
    let map = |name: &str| item.get(name).and_then(|value| value.as_m().ok()).ok_or_else(|| Attributes::damaged(name));
    let versions = map(a::TRANSITION_VERSIONS)?;
    let mut transitions = Vec::new();
    for (id, entry) in map(a::TRANSITIONS)? {
        let read = || {
            let [_token, to, at, by, reason @ ..] = entry.as_l().ok()?.as_slice() else { return None };
            Some(Transition {
                from: Status::Pending,
                to: Status::parse(to.as_s().ok()?)?,
                at: Timestamp::from_millis(at.as_n().ok()?.parse().ok()?)?,
                by: KeyId::parse(by.as_s().ok()?)?,
                reason: reason.first().and_then(|reason| reason.as_s().ok()).cloned(),
                version: versions.get(id)?.as_n().ok()?.parse().ok()?,
            })
        };
        transitions.push((id.clone(), read().ok_or_else(|| Attributes::damaged(a::TRANSITIONS))?));
    }
    transitions.sort_by_key(|(_, transition)| transition.version);
    let mut from = Status::Pending;
    for (_, transition) in &mut transitions {
        transition.from = std::mem::replace(&mut from, transition.to);
    }
    Ok(transitions)
}
