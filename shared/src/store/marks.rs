//! The marks that writes leave on an execution, by which a repeat finds out that it is one.
//!
//! Each write has an id. A write with a transition leaves it as its key in the transition log, for good. A write of
//! fields alone leaves it in a *ring*: four maps for four stretches of time, of which the write
//!
//! - requires that its id is in none of those for the last, the present and the next stretch,
//! - puts its id into the present one, and
//! - empties the one after the next.
//!
//! So a mark is kept for at least one whole stretch and at most two of a writer's activity, in one `UpdateItem`, without
//! a read, and in bounded space. The next stretch is looked at and not emptied because another writer's clock may be
//! ahead: only clocks that disagree by a whole stretch, less what an attempt may be late, could drop a mark early
//! (`tests/model/limits.rs`).
//!
//! There are two rings. Ids made from an Idempotency-Key stay a day ([`KEYED`]): that is what callers are promised. Its
//! stretch is an hour longer, for attempts that are late and for clocks that disagree.
//! Ids of requests without a key serve the service's own retries only. They must outlive every attempt that may still
//! be under way; DynamoDB refuses a request whose signature is older than five minutes, so ten are enough
//! ([`UNKEYED`]).

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::attributes::{TRANSITION_VERSIONS, TRANSITIONS};
use super::expression::{Expression, binary, empty_map};
use crate::clock::Timestamp;
use crate::request::IdempotencyKey;

/// A ring of four maps.
#[derive(Debug, Clone, Copy)]
pub struct Ring {
    maps: [&'static str; 4],
    /// How long a stretch is, in milliseconds.
    stretch: i64,
}

/// For writes with an Idempotency-Key: "remembered for at least 24 hours" (contract, "Concurrency and repeats").
pub const KEYED: Ring = Ring { maps: ["k0", "k1", "k2", "k3"], stretch: 25 * 60 * 60 * 1000 };

/// For writes without one.
pub const UNKEYED: Ring = Ring { maps: ["u0", "u1", "u2", "u3"], stretch: 10 * 60 * 1000 };

impl Ring {
    /// The map for the stretch that is `ahead` of the one in which `now` lies.
    fn map(self, now: Timestamp, ahead: i64) -> &'static str {
        let slot = (now.millis().div_euclid(self.stretch) + ahead).rem_euclid(4);
        let [first, second, third, fourth] = self.maps;
        match slot {
            0 => first,
            1 => second,
            2 => third,
            _ => fourth,
        }
    }

    /// The maps in which a mark may stand at `now`: a write looks into them for its own.
    #[must_use]
    pub fn live(self, now: Timestamp) -> [&'static str; 3] {
        [self.map(now, -1), self.map(now, 0), self.map(now, 1)]
    }

    /// The map into which a write at `now` puts its mark.
    #[must_use]
    pub fn present(self, now: Timestamp) -> &'static str {
        self.map(now, 0)
    }

    /// The map that a write at `now` empties.
    #[must_use]
    pub fn emptied(self, now: Timestamp) -> &'static str {
        self.map(now, 2)
    }

    /// How long a stretch is, in milliseconds.
    #[must_use]
    pub const fn stretch(self) -> i64 {
        self.stretch
    }
}

/// Every map that a new record must have, so that a later write can put something into it.
pub fn maps() -> impl Iterator<Item = &'static str> {
    KEYED.maps.into_iter().chain(UNKEYED.maps).chain([TRANSITIONS, TRANSITION_VERSIONS])
}

/// What marks one write: an id, and what tells a repeat of it from another write with the same key.
#[derive(Debug, Clone)]
pub struct Mark {
    ring: Ring,
    id: String,
    /// Hash of the body, if there is a key. Without one the id is random, and nobody else has it.
    body: Option<[u8; 8]>,
    /// Random: tells this very request, retried by the SDK, from a repeat by the caller.
    nonce: [u8; 4],
}

/// Whose mark was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// Of this very request: its first try was applied, and the answer lost.
    Own,
    /// Of an earlier request with the same key and body.
    Repeat,
    /// Of an earlier request with the same key and another body.
    OtherBody,
}

impl Mark {
    /// The mark of a new request.
    ///
    /// # Errors
    ///
    /// Where the system has no random numbers.
    pub fn new(key: Option<&IdempotencyKey>) -> Result<Self, getrandom::Error> {
        let mut random = [0u8; 12];
        getrandom::fill(&mut random)?;
        let [n0, n1, n2, n3, id @ ..] = random;
        let nonce = [n0, n1, n2, n3];
        Ok(match key {
            Some(key) => {
                // 96 bits of the key's hash name the mark, 64 of the body's tell bodies apart: who makes them collide
                // fools nobody but their own organization.
                let [k0, k1, k2, k3, k4, k5, k6, k7, k8, k9, k10, k11, ..] = key.key;
                let [b0, b1, b2, b3, b4, b5, b6, b7, ..] = key.body;
                let id = URL_SAFE_NO_PAD.encode([k0, k1, k2, k3, k4, k5, k6, k7, k8, k9, k10, k11]);
                Self { ring: KEYED, id, body: Some([b0, b1, b2, b3, b4, b5, b6, b7]), nonce }
            }
            None => Self { ring: UNKEYED, id: URL_SAFE_NO_PAD.encode(id), body: None, nonce },
        })
    }

    /// The write's id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// What stands under the id.
    #[must_use]
    pub fn content(&self) -> AttributeValue {
        let mut content = self.nonce.to_vec();
        content.extend(self.body.iter().flatten());
        binary(content)
    }

    /// Requires that this write was not applied before.
    pub fn require_unseen(&self, now: Timestamp, expression: &mut Expression) {
        for map in self.ring.live(now).into_iter().chain([TRANSITIONS]) {
            let path = expression.member(map, &self.id);
            expression.require(format!("attribute_not_exists({path})"));
        }
    }

    /// Leaves the mark in its ring. A write with a transition does not need to: the log keeps its id.
    pub fn leave(&self, now: Timestamp, expression: &mut Expression) {
        let path = expression.member(self.ring.present(now), &self.id);
        let content = expression.value(self.content());
        expression.set(&path, &content);
        expression.assign(self.ring.emptied(now), empty_map());
    }

    /// Looks for the mark on an item.
    #[must_use]
    pub fn seen(&self, now: Timestamp, item: &HashMap<String, AttributeValue>) -> Option<Seen> {
        let entry = |map: &str| item.get(map)?.as_m().ok()?.get(&self.id);
        if let Some(content) = self.ring.live(now).into_iter().find_map(entry) {
            return Some(self.compare(content));
        }
        let transition = entry(TRANSITIONS)?;
        Some(transition.as_l().ok().and_then(|parts| parts.first()).map_or(Seen::OtherBody, |mark| self.compare(mark)))
    }

    /// Whose mark `content` is, given that it stands under this id.
    #[must_use]
    pub fn compare(&self, content: &AttributeValue) -> Seen {
        let content = content.as_b().map(AsRef::as_ref).unwrap_or_default();
        let (nonce, body) = content.split_at_checked(4).unwrap_or_default();
        if body != self.body.as_ref().map_or(&[][..], |body| body) {
            Seen::OtherBody
        } else if nonce == self.nonce {
            Seen::Own
        } else {
            Seen::Repeat
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis).unwrap()
    }

    #[test]
    fn what_a_write_empties_is_never_where_a_mark_may_still_be_looked_for() {
        for ring in [KEYED, UNKEYED] {
            for stretch in 0..9 {
                let start = stretch * ring.stretch;
                let end = start + ring.stretch - 1;
                let emptied = ring.emptied(at(start));
                assert_eq!(emptied, ring.emptied(at(end)));
                assert!(!ring.live(at(start)).contains(&emptied));
                // A mark left at the very end is found for a whole stretch, whoever writes in between.
                let left = ring.present(at(end));
                for later in [end, end + 1, end + ring.stretch / 2, end + ring.stretch] {
                    assert!(ring.live(at(later)).contains(&left), "{later}");
                    assert_ne!(ring.emptied(at(later)), left, "{later}");
                }
                // A writer whose clock is one stretch ahead or behind empties nothing of it either.
                assert_ne!(ring.emptied(at(end + ring.stretch)), left);
                if stretch > 0 {
                    assert_ne!(ring.emptied(at(end - ring.stretch)), left);
                }
            }
        }
    }

    #[test]
    fn the_rings_keep_what_is_promised() {
        // What a mark is found for at least: the stretch, less how late an attempt may be, twice the clocks' disagreement.
        const LATE: i64 = 15 * 60 * 1000;
        const SKEW: i64 = 10 * 60 * 1000;
        const { assert!(KEYED.stretch - LATE - 2 * SKEW >= 24 * 60 * 60 * 1000) };
        const { assert!(UNKEYED.stretch >= 5 * 60 * 1000) };
    }

    #[test]
    fn own_repeat_and_another_body_are_told_apart() {
        let key = |body: u8| IdempotencyKey { key: [1; 32], body: [body; 32] };
        let first = Mark::new(Some(&key(1))).unwrap();
        let repeat = Mark::new(Some(&key(1))).unwrap();
        let other = Mark::new(Some(&key(2))).unwrap();
        assert_eq!(first.id(), repeat.id());
        assert_eq!(first.compare(&first.content()), Seen::Own);
        assert_eq!(repeat.compare(&first.content()), Seen::Repeat);
        assert_eq!(other.compare(&first.content()), Seen::OtherBody);
        assert_ne!(Mark::new(None).unwrap().id(), Mark::new(None).unwrap().id());
    }
}
