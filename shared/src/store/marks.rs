//! The marks that writes leave on an execution, by which a repeat finds out that it is one.
//!
//! Each write has an id. A write with a transition leaves it as its key in the transition log, for good. A write of
//! fields alone leaves it in a *ring*: a few maps that take turns, one for each stretch of time. All attempts at a request
//! carry the stretch in which it began. There are two rings, because there are two kinds of ids.
//!
//! **Made from an Idempotency-Key** ([`KEYED`]): remembered for a day, that is what callers are promised. Repeats are
//! requests of their own, begun in other stretches and by other clocks. Of four maps a write
//!
//! - requires that its id is in none of those for the last, the present and the next stretch,
//! - puts its id into the present one, and
//! - empties the one after the next.
//!
//! So a mark is kept for at least one whole stretch and at most two of a writer's activity. The next stretch is looked at
//! and not emptied because another writer's clock may be ahead: only clocks that disagree by a whole stretch, less what an
//! attempt may be late, could drop a mark early (`tests/model/limits.rs`). A stretch is an hour longer than a day for that.
//!
//! **Of requests without a key** ([`UNKEYED`]): nobody else has such an id, it serves the service's own retries. They would
//! have to be remembered for as long as an attempt may still be under way, and nobody promises how long that is. A *fence*
//! makes that unnecessary: the record keeps the last stretch that any of these writes began in, and a write requires that
//! this is not after its own. It never falls, whatever the clocks say, so that the marks of the stretch before are all that is needed.
//! An attempt from before that is refused, however late it comes. A request that finds itself *overtaken* begins again in the stretch that
//! it was told: its earlier attempts cannot be applied any more ([`Mark::overtaken`]).
//!
//! Either way it is one `UpdateItem`, without a read, and in bounded space.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::attributes::{FENCE, TRANSITION_VERSIONS, TRANSITIONS};
use super::expression::{Expression, binary, empty_map, number};
use crate::clock::Timestamp;
use crate::request::IdempotencyKey;

/// A few maps that take turns.
#[derive(Debug, Clone, Copy)]
pub struct Ring {
    maps: &'static [&'static str],
    /// How long a stretch is, in milliseconds.
    stretch: i64,
    /// The stretches, from a write's own, in whose maps its id must not be.
    live: &'static [i64],
    /// The stretch, from a write's own, whose map it empties.
    emptied: i64,
    /// Whether a write is refused after one of a later stretch.
    fenced: bool,
}

/// For writes with an Idempotency-Key: "remembered for at least 24 hours" (contract, "Concurrency and repeats").
pub const KEYED: Ring = Ring {
    maps: &["k0", "k1", "k2", "k3"],
    stretch: 25 * 60 * 60 * 1000,
    live: &[-1, 0, 1],
    emptied: 2,
    fenced: false,
};

/// For writes without one.
///
/// A stretch is longer than all attempts at a request take, so that only clocks that disagree make a request miss two
/// changes of stretch. It is no longer than that by much: a busy reporter pays for its marks with every write. And it is a prime number of
/// milliseconds, so that nobody who writes to a rhythm meets the same map each time and never empties it.
pub const UNKEYED: Ring = Ring { maps: &["u0", "u1", "u2"], stretch: 17_389, live: &[0], emptied: 1, fenced: true };

impl Ring {
    /// The stretch in which `now` lies.
    #[must_use]
    pub const fn stretch_at(self, now: Timestamp) -> i64 {
        now.millis().div_euclid(self.stretch)
    }

    /// The map of a stretch.
    fn map(self, stretch: i64) -> &'static str {
        let count = i64::try_from(self.maps.len()).unwrap_or(i64::MAX);
        let turn = usize::try_from(stretch.rem_euclid(count)).unwrap_or_default();
        self.maps.get(turn).copied().unwrap_or_default()
    }

    /// The maps in which the mark of a write that begins in `stretch` must not stand yet.
    pub fn live(self, stretch: i64) -> impl Iterator<Item = &'static str> {
        self.live.iter().map(move |ahead| self.map(stretch + ahead))
    }

    /// The map into which a write that begins in `stretch` puts its mark.
    #[must_use]
    pub fn present(self, stretch: i64) -> &'static str {
        self.map(stretch)
    }

    /// The map that a write that begins in `stretch` empties.
    #[must_use]
    pub fn emptied(self, stretch: i64) -> &'static str {
        self.map(stretch + self.emptied)
    }

    /// Whether a write is refused after one of a later stretch.
    #[must_use]
    pub const fn is_fenced(self) -> bool {
        self.fenced
    }

    /// How long a stretch is, in milliseconds.
    #[must_use]
    pub const fn stretch(self) -> i64 {
        self.stretch
    }

    /// What a write that began in stretch `own` has to make of a record whose fence says `fence`, if its mark is not there.
    #[must_use]
    pub const fn overtaken(self, own: i64, fence: i64) -> Option<Overtaken> {
        if !self.fenced || fence <= own {
            return None;
        }
        // The map of a stretch is emptied by the write that comes as many stretches later as there are maps, less one.
        Some(Overtaken { by: fence, mark_kept: fence <= own + 1 })
    }
}

/// A write was refused because one of a later stretch came before it: no attempt at it can be applied from now on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Overtaken {
    /// The stretch of the other one.
    pub by: i64,
    /// Whether a mark of an attempt would still be there: then it was not applied. If not, it may have been.
    pub mark_kept: bool,
}

/// Every map that a new record must have, so that a later write can put something into it.
pub fn maps() -> impl Iterator<Item = &'static str> {
    KEYED.maps.iter().chain(UNKEYED.maps).copied().chain([TRANSITIONS, TRANSITION_VERSIONS])
}

/// What marks one write: an id, and what tells a repeat of it from another write with the same key.
#[derive(Debug, Clone)]
pub struct Mark {
    ring: Ring,
    /// In which stretch of the ring the request began.
    stretch: i64,
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
    /// The mark of a request that begins `now`.
    ///
    /// # Errors
    ///
    /// Where the system has no random numbers.
    pub fn new(key: Option<&IdempotencyKey>, now: Timestamp) -> Result<Self, getrandom::Error> {
        let mut random = [0u8; 12];
        getrandom::fill(&mut random)?;
        let [n0, n1, n2, n3, id @ ..] = random;
        let nonce = [n0, n1, n2, n3];
        let Some(key) = key else {
            let stretch = UNKEYED.stretch_at(now);
            return Ok(Self { ring: UNKEYED, stretch, id: URL_SAFE_NO_PAD.encode(id), body: None, nonce });
        };
        // 96 bits of the key's hash name the mark, 64 of the body's tell bodies apart: who makes them collide fools nobody
        // but their own organization.
        let [k0, k1, k2, k3, k4, k5, k6, k7, k8, k9, k10, k11, ..] = key.key;
        let [b0, b1, b2, b3, b4, b5, b6, b7, ..] = key.body;
        let id = URL_SAFE_NO_PAD.encode([k0, k1, k2, k3, k4, k5, k6, k7, k8, k9, k10, k11]);
        let body = Some([b0, b1, b2, b3, b4, b5, b6, b7]);
        Ok(Self { ring: KEYED, stretch: KEYED.stretch_at(now), id, body, nonce })
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
    pub fn require_unseen(&self, expression: &mut Expression) {
        for map in self.ring.live(self.stretch).chain([TRANSITIONS]) {
            let path = expression.member(map, &self.id);
            expression.require(format!("attribute_not_exists({path})"));
        }
    }

    /// Leaves the mark in its ring. A write with a transition does not need to: the log keeps its id.
    pub fn leave(&self, expression: &mut Expression) {
        let path = expression.member(self.ring.present(self.stretch), &self.id);
        let content = expression.value(self.content());
        expression.set(&path, &content);
        expression.assign(self.ring.emptied(self.stretch), empty_map());
        if self.ring.fenced {
            let fence = expression.name(FENCE);
            let own = expression.value(number(self.stretch));
            // Before the first of these writes there is no fence; a comparison with what is not there is not true.
            expression.require(format!("(NOT {fence} > {own})"));
            expression.set(&fence, &own);
        }
    }

    /// Looks for the mark on an item.
    #[must_use]
    pub fn seen(&self, item: &HashMap<String, AttributeValue>) -> Option<Seen> {
        let entry = |map: &str| item.get(map)?.as_m().ok()?.get(&self.id);
        if let Some(content) = self.ring.live(self.stretch).find_map(entry) {
            return Some(self.compare(content));
        }
        let transition = entry(TRANSITIONS)?;
        Some(transition.as_l().ok().and_then(|parts| parts.first()).map_or(Seen::OtherBody, |mark| self.compare(mark)))
    }

    /// Whether a write of fields that is not [seen](Self::seen) on an item was overtaken there.
    #[must_use]
    pub fn overtaken(&self, item: &HashMap<String, AttributeValue>) -> Option<Overtaken> {
        let fence = item.get(FENCE)?.as_n().ok()?.parse().ok()?;
        self.ring.overtaken(self.stretch, fence)
    }

    /// Begins again in the stretch of the write that overtook it.
    pub const fn catch_up(&mut self, overtaken: Overtaken) {
        self.stretch = overtaken.by;
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
                let left = ring.present(stretch);
                assert!(ring.live(stretch).any(|map| map == left));
                assert!(!ring.live(stretch).any(|map| map == ring.emptied(stretch)));
                // Neither by the next stretch's writes.
                assert_ne!(ring.emptied(stretch + 1), left);
            }
        }
    }

    #[test]
    fn a_mark_with_a_key_is_found_for_a_whole_stretch_whoever_writes_in_between() {
        for stretch in 0..9 {
            let left = KEYED.present(stretch);
            assert!(KEYED.live(stretch + 1).any(|map| map == left));
            // A writer whose clock is one stretch ahead or behind empties nothing of it either.
            assert!(KEYED.live(stretch - 1).any(|map| map == left));
            assert_ne!(KEYED.emptied(stretch - 1), left);
        }
    }

    #[test]
    fn a_fence_says_whether_the_mark_of_an_overtaken_write_would_still_be_there() {
        for own in 0..9 {
            assert_eq!(UNKEYED.overtaken(own, own), None);
            assert_eq!(UNKEYED.overtaken(own, own - 1), None);
            for later in own + 1..own + 9 {
                let kept = (own + 1..=later).all(|stretch| UNKEYED.emptied(stretch) != UNKEYED.present(own));
                assert_eq!(UNKEYED.overtaken(own, later), Some(Overtaken { by: later, mark_kept: kept }));
            }
        }
        assert_eq!(KEYED.overtaken(1, 7), None);
    }

    #[test]
    fn the_rings_keep_what_is_promised() {
        // What a mark is found for at least: the stretch, less how late an attempt may be, twice the clocks' disagreement.
        const LATE: i64 = 15 * 60 * 1000;
        const SKEW: i64 = 10 * 60 * 1000;
        const { assert!(KEYED.stretch - LATE - 2 * SKEW >= 24 * 60 * 60 * 1000) };
        // An unkeyed request whose clock is right lives through one change of stretch at most.
        const { assert!(UNKEYED.stretch as u128 > 2 * crate::store::OPERATION_TIMEOUT.as_millis()) };
    }

    #[test]
    fn no_rhythm_of_whole_seconds_within_half_a_day_meets_one_map_each_time() {
        let turn = UNKEYED.stretch * 3;
        assert!((1..12 * 3600).all(|seconds| seconds * 1000 % turn != 0));
    }

    #[test]
    fn own_repeat_and_another_body_are_told_apart() {
        let key = |body: u8| IdempotencyKey { key: [1; 32], body: [body; 32] };
        let first = Mark::new(Some(&key(1)), at(0)).unwrap();
        let repeat = Mark::new(Some(&key(1)), at(0)).unwrap();
        let other = Mark::new(Some(&key(2)), at(0)).unwrap();
        assert_eq!(first.id(), repeat.id());
        assert_eq!(first.compare(&first.content()), Seen::Own);
        assert_eq!(repeat.compare(&first.content()), Seen::Repeat);
        assert_eq!(other.compare(&first.content()), Seen::OtherBody);
        assert_ne!(Mark::new(None, at(0)).unwrap().id(), Mark::new(None, at(0)).unwrap().id());
    }
}
