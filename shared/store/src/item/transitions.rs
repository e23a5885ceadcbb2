//! The transition log of an execution: two maps in its head item.

use aws_sdk_dynamodb::types::AttributeValue;
use ratchet_model::caller::Caller;
use ratchet_model::change::RequestedTransition;
use ratchet_model::clock::Timestamp;
use ratchet_model::error::Error;
use ratchet_model::execution::Transition;
use ratchet_model::id::KeyId;
use ratchet_model::key_name::KeyName;
use ratchet_model::limits::MAX_LOGGED_REASON;
use ratchet_model::status::Status;
use ratchet_model::wire_name::WireName;

use super::attributes::{Attributes, Item};
use crate::dedup::WriteToken;
use crate::expression::{number, text};
use crate::schema as a;

/// One entry of the transition log: write token, status, time, key id, and of each that there is: reason, name of the
/// key, how many attempts it begins (1). A later version may add to the end.
///
/// In the place of one that there is not stands NULL, and nothing where none follows it: an entry without any is as
/// short as version 0.1 wrote it.
///
/// `from` is not in it: it is the status to which the previous transition led. Neither is the version: DynamoDB counts
/// it, and a map beside this one keeps it. The number of the attempt is counted where the log is read, for an entry
/// cannot hold the result of an expression. Version 0.1 did not mark the entries that begin an attempt, and counted none.
pub fn transition_entry(
    token: &WriteToken,
    transition: RequestedTransition,
    at: Timestamp,
    caller: &Caller,
    reason: Option<&str>,
) -> AttributeValue {
    let mut parts =
        vec![token.content(), text(transition.to().as_str()), number(at.millis()), text(caller.key_id.as_str())];
    let reason = reason.map(logged_reason);
    let by_name = caller.key_name.as_ref().map(KeyName::as_str);
    let begun = transition.begins_an_attempt().then(|| number(1));
    let optional = [reason.map(text), by_name.map(text), begun];
    let length = optional.iter().rposition(Option::is_some).map_or(0, |last| last + 1);
    parts.extend(optional.into_iter().take(length).map(|part| part.unwrap_or(AttributeValue::Null(true))));
    AttributeValue::L(parts)
}

/// A reason, as the log keeps it.
#[must_use]
pub fn logged_reason(reason: &str) -> String {
    reason.chars().take(MAX_LOGGED_REASON).collect()
}

/// An optional part of an entry; `None` where it is absent or NULL.
fn optional_part(parts: &[AttributeValue], index: usize) -> Option<&AttributeValue> {
    parts.get(index).filter(|part| !part.is_null())
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
            let [_token, to, at, by, optional @ ..] = entry.as_l().ok()?.as_slice() else { return None };
            Some(Transition {
                from: Status::Pending,
                to: Status::parse(to.as_s().ok()?)?,
                at: Timestamp::from_millis(at.as_n().ok()?.parse().ok()?)?,
                by: KeyId::parse(by.as_s().ok()?)?,
                by_name: match optional_part(optional, BY_NAME) {
                    Some(name) => Some(KeyName::parse(name.as_s().ok()?).ok()?),
                    None => None,
                },
                reason: match optional_part(optional, REASON) {
                    Some(reason) => Some(reason.as_s().ok()?.clone()),
                    None => None,
                },
                // Counted below.
                attempt: i64::from(begins_an_attempt(optional)),
                version: versions.get(id)?.as_n().ok()?.parse().ok()?,
            })
        };
        transitions.push((id.clone(), read().ok_or_else(|| Attributes::damaged(a::TRANSITIONS))?));
    }
    transitions.sort_by_key(|(_, transition)| transition.version);
    let (mut from, mut attempt) = (Status::Pending, 0);
    for (_, transition) in &mut transitions {
        transition.from = std::mem::replace(&mut from, transition.to);
        attempt += transition.attempt;
        transition.attempt = attempt;
    }
    Ok(transitions)
}

/// The attempt that the transition of a write began or belongs to, by the log; `None` where the log does not have it.
///
/// Entries of other writes that cannot be read are passed over: they must not turn a write that took effect into an
/// error.
#[must_use]
pub fn attempt_of(item: &Item, write_id: &str) -> Option<i64> {
    let versions = item.get(a::TRANSITION_VERSIONS)?.as_m().ok()?;
    let version = |id: &str| versions.get(id)?.as_n().ok()?.parse::<i64>().ok();
    let own = version(write_id)?;
    let begun = item.get(a::TRANSITIONS)?.as_m().ok()?.iter().filter(|(id, entry)| {
        let optional = entry.as_l().ok().and_then(|parts| parts.get(FIXED_PARTS..)).unwrap_or_default();
        begins_an_attempt(optional) && version(id).is_some_and(|version| version <= own)
    });
    i64::try_from(begun.count()).ok()
}

/// How many parts every entry has.
const FIXED_PARTS: usize = 4;
/// Where the reason is among the other parts.
const REASON: usize = 0;
/// Where the name of the key is among them.
const BY_NAME: usize = 1;
/// Where it is said among them that the entry begins an attempt.
const BEGUN: usize = 2;

fn begins_an_attempt(optional: &[AttributeValue]) -> bool {
    optional.get(BEGUN).is_some_and(AttributeValue::is_n)
}
