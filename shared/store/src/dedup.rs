//! The marks that writes leave on an execution, by which a repeat finds out that it is one.
//!
//! Each write has an id. A write with a transition leaves it as its key in the transition log, for good. A write of
//! fields alone leaves it in a *ring*: a few maps that take turns, one for each bucket of time. All attempts at a request
//! carry the bucket in which it began. There are two rings, because there are two kinds of ids.
//!
//! **Made from an Idempotency-Key** ([`KEYED`]): remembered for a day, that is what callers are promised. Repeats are
//! requests of their own, begun in other buckets and by other clocks. Of four maps a write
//!
//! - requires that its id is in none of those for the last, the present and the next bucket,
//! - puts its id into the present one, and
//! - empties the one after the next.
//!
//! So a mark is kept for at least one whole bucket and at most two of a writer's activity. The next bucket is looked at
//! and not emptied because another writer's clock may be ahead: only clocks that disagree by a whole bucket, less what an
//! attempt may be late, could drop a mark early (`tests/model/limits.rs`). A bucket is an hour longer than a day for that.
//!
//! **Of requests without a key** ([`UNKEYED`]): nobody else has such an id, it serves the service's own retries. They would
//! have to be remembered for as long as an attempt may still be under way, and nobody promises how long that is. A *fence*
//! makes that unnecessary: the record keeps the last bucket that any of these writes began in, and a write requires that
//! this is not after its own. It never falls, whatever the clocks say, so that the marks of the bucket before are all that is needed.
//! An attempt from before that is refused, however late it comes. A request that finds itself *overtaken* begins again in the bucket that
//! it was told: its earlier attempts cannot be applied any more ([`WriteToken::overtaken`]).
//!
//! Either way it is one `UpdateItem`, without a read, and in bounded space.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use ratchet_model::clock::Timestamp;
use ratchet_model::idempotency::IdempotencyKey;

use crate::expression::{Expression, binary, empty_map, number};
use crate::schema::{FENCE, TRANSITION_VERSIONS, TRANSITIONS};

/// A few maps that take turns.
#[derive(Debug, Clone, Copy)]
pub struct BucketRing {
    maps: &'static [&'static str],
    /// How long a bucket is, in milliseconds.
    bucket_ms: i64,
    /// The buckets, from a write's own, in whose maps its id must not be.
    checked: &'static [i64],
    /// The bucket, from a write's own, whose map it empties.
    cleared: i64,
    /// Whether a write is refused after one of a later bucket.
    is_fenced: bool,
}

/// For writes with an Idempotency-Key: "remembered for at least 24 hours" (contract, "Concurrency and repeats").
pub const KEYED: BucketRing = BucketRing {
    maps: &["k0", "k1", "k2", "k3"],
    bucket_ms: 25 * 60 * 60 * 1000,
    checked: &[-1, 0, 1],
    cleared: 2,
    is_fenced: false,
};

/// For writes without one.
///
/// A bucket is longer than all attempts at a request take, so that only clocks that disagree make a request miss two
/// changes of bucket. It is no longer than that by much: a busy reporter pays for its marks with every write. And it is a prime number of
/// milliseconds, so that nobody who writes to a rhythm meets the same map each time and never empties it.
pub const UNKEYED: BucketRing =
    BucketRing { maps: &["u0", "u1", "u2"], bucket_ms: 17_389, checked: &[0], cleared: 1, is_fenced: true };

impl BucketRing {
    /// The bucket in which `now` lies.
    #[must_use]
    pub const fn bucket_index(self, now: Timestamp) -> i64 {
        now.millis().div_euclid(self.bucket_ms)
    }

    /// The map of a bucket.
    fn map(self, bucket: i64) -> &'static str {
        let count = i64::try_from(self.maps.len()).unwrap_or(i64::MAX);
        let turn = usize::try_from(bucket.rem_euclid(count)).unwrap_or_default();
        self.maps.get(turn).copied().unwrap_or_default()
    }

    /// The maps in which the mark of a write that begins in `bucket` must not stand yet.
    pub fn checked(self, bucket: i64) -> impl Iterator<Item = &'static str> {
        self.checked.iter().map(move |ahead| self.map(bucket + ahead))
    }

    /// The map into which a write that begins in `bucket` puts its mark.
    #[must_use]
    pub fn current(self, bucket: i64) -> &'static str {
        self.map(bucket)
    }

    /// The map that a write that begins in `bucket` empties.
    #[must_use]
    pub fn cleared(self, bucket: i64) -> &'static str {
        self.map(bucket + self.cleared)
    }

    /// Whether a write is refused after one of a later bucket.
    #[must_use]
    pub const fn is_fenced(self) -> bool {
        self.is_fenced
    }

    /// How long a bucket is, in milliseconds.
    #[must_use]
    pub const fn bucket_ms(self) -> i64 {
        self.bucket_ms
    }

    /// What a write that began in bucket `own` has to make of a record whose fence says `fence`, if its mark is not there.
    #[must_use]
    pub const fn fenced(self, own: i64, fence: i64) -> Option<Fenced> {
        if !self.is_fenced || fence <= own {
            return None;
        }
        // The map of a bucket is emptied by the write that comes as many buckets later as there are maps, less one.
        Some(Fenced { bucket: fence, token_retained: fence <= own + 1 })
    }
}

/// A write was refused because one of a later bucket came before it: no attempt at it can be applied from now on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fenced {
    /// The bucket of the other one.
    pub bucket: i64,
    /// Whether a mark of an attempt would still be there: then it was not applied. If not, it may have been.
    pub token_retained: bool,
}

/// Every map that a new record must have, so that a later write can put something into it.
pub fn map_attributes() -> impl Iterator<Item = &'static str> {
    KEYED.maps.iter().chain(UNKEYED.maps).copied().chain([TRANSITIONS, TRANSITION_VERSIONS])
}

/// What marks one write: an id, and what tells a repeat of it from another write with the same key.
#[derive(Debug, Clone)]
pub struct WriteToken {
    ring: BucketRing,
    /// In which bucket of the ring the request began.
    bucket: i64,
    id: String,
    /// Hash of the body, if there is a key. Without one the id is random, and nobody else has it.
    body: Option<[u8; 8]>,
    /// Random: tells this very request, retried by the SDK, from a repeat by the caller.
    nonce: [u8; 4],
}

/// Whose mark was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Duplicate {
    /// Of this very request: its first try was applied, and the answer lost.
    SameRequest,
    /// Of an earlier request with the same key and body.
    Replay,
    /// Of an earlier request with the same key and another body.
    KeyReused,
}

impl WriteToken {
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
            let bucket = UNKEYED.bucket_index(now);
            return Ok(Self { ring: UNKEYED, bucket, id: URL_SAFE_NO_PAD.encode(id), body: None, nonce });
        };
        // 96 bits of the key's hash name the mark, 64 of the body's tell bodies apart: who makes them collide fools nobody
        // but their own organization.
        let [k0, k1, k2, k3, k4, k5, k6, k7, k8, k9, k10, k11, ..] = key.key;
        let [b0, b1, b2, b3, b4, b5, b6, b7, ..] = key.body;
        let id = URL_SAFE_NO_PAD.encode([k0, k1, k2, k3, k4, k5, k6, k7, k8, k9, k10, k11]);
        let body = Some([b0, b1, b2, b3, b4, b5, b6, b7]);
        Ok(Self { ring: KEYED, bucket: KEYED.bucket_index(now), id, body, nonce })
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
    pub fn require_absent(&self, expression: &mut Expression) {
        for map in self.ring.checked(self.bucket).chain([TRANSITIONS]) {
            let path = expression.member(map, &self.id);
            expression.require(format!("attribute_not_exists({path})"));
        }
    }

    /// Leaves the mark in its ring. A write with a transition does not need to: the log keeps its id.
    pub fn record(&self, expression: &mut Expression) {
        let path = expression.member(self.ring.current(self.bucket), &self.id);
        let content = expression.value(self.content());
        expression.set(&path, &content);
        expression.assign(self.ring.cleared(self.bucket), empty_map());
        if self.ring.is_fenced {
            let fence = expression.name(FENCE);
            let own = expression.value(number(self.bucket));
            // Before the first of these writes there is no fence; a comparison with what is not there is not true.
            expression.require(format!("(NOT {fence} > {own})"));
            expression.set(&fence, &own);
        }
    }

    /// Looks for the mark on an item.
    #[must_use]
    pub fn find(&self, item: &HashMap<String, AttributeValue>) -> Option<Duplicate> {
        let entry = |map: &str| item.get(map)?.as_m().ok()?.get(&self.id);
        if let Some(content) = self.ring.checked(self.bucket).find_map(entry) {
            return Some(self.compare(content));
        }
        let transition = entry(TRANSITIONS)?;
        Some(
            transition
                .as_l()
                .ok()
                .and_then(|parts| parts.first())
                .map_or(Duplicate::KeyReused, |mark| self.compare(mark)),
        )
    }

    /// Whether a write of fields that is not [seen](Self::find) on an item was overtaken there.
    #[must_use]
    pub fn fenced(&self, item: &HashMap<String, AttributeValue>) -> Option<Fenced> {
        let fence = item.get(FENCE)?.as_n().ok()?.parse().ok()?;
        self.ring.fenced(self.bucket, fence)
    }

    /// Begins again in the bucket of the write that overtook it.
    pub const fn advance_to(&mut self, fenced: Fenced) {
        self.bucket = fenced.bucket;
    }

    /// Whose mark `content` is, given that it stands under this id.
    #[must_use]
    pub fn compare(&self, content: &AttributeValue) -> Duplicate {
        let content = content.as_b().map(AsRef::as_ref).unwrap_or_default();
        let (nonce, body) = content.split_at_checked(4).unwrap_or_default();
        if body != self.body.as_ref().map_or(&[][..], |body| body) {
            Duplicate::KeyReused
        } else if nonce == self.nonce {
            Duplicate::SameRequest
        } else {
            Duplicate::Replay
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
            for bucket in 0..9 {
                let left = ring.current(bucket);
                assert!(ring.checked(bucket).any(|map| map == left));
                assert!(!ring.checked(bucket).any(|map| map == ring.cleared(bucket)));
                // Neither by the next bucket's writes.
                assert_ne!(ring.cleared(bucket + 1), left);
            }
        }
    }

    #[test]
    fn a_mark_with_a_key_is_found_for_a_whole_stretch_whoever_writes_in_between() {
        for bucket in 0..9 {
            let left = KEYED.current(bucket);
            assert!(KEYED.checked(bucket + 1).any(|map| map == left));
            // A writer whose clock is one bucket ahead or behind empties nothing of it either.
            assert!(KEYED.checked(bucket - 1).any(|map| map == left));
            assert_ne!(KEYED.cleared(bucket - 1), left);
        }
    }

    #[test]
    fn a_fence_says_whether_the_mark_of_an_overtaken_write_would_still_be_there() {
        for own in 0..9 {
            assert_eq!(UNKEYED.fenced(own, own), None);
            assert_eq!(UNKEYED.fenced(own, own - 1), None);
            for later in own + 1..own + 9 {
                let kept = (own + 1..=later).all(|bucket| UNKEYED.cleared(bucket) != UNKEYED.current(own));
                assert_eq!(UNKEYED.fenced(own, later), Some(Fenced { bucket: later, token_retained: kept }));
            }
        }
        assert_eq!(KEYED.fenced(1, 7), None);
    }

    #[test]
    fn the_rings_keep_what_is_promised() {
        // What a mark is found for at least: the bucket, less how late an attempt may be, twice the clocks' disagreement.
        const LATE: i64 = 15 * 60 * 1000;
        const SKEW: i64 = 10 * 60 * 1000;
        const { assert!(KEYED.bucket_ms - LATE - 2 * SKEW >= 24 * 60 * 60 * 1000) };
        // An unkeyed request whose clock is right lives through one change of bucket at most.
        const { assert!(UNKEYED.bucket_ms as u128 > 2 * crate::client::OPERATION_TIMEOUT.as_millis()) };
    }

    #[test]
    fn no_rhythm_of_whole_seconds_within_half_a_day_meets_one_map_each_time() {
        let turn = UNKEYED.bucket_ms * 3;
        assert!((1..12 * 3600).all(|seconds| seconds * 1000 % turn != 0));
    }

    #[test]
    fn own_repeat_and_another_body_are_told_apart() {
        let key = |body: u8| IdempotencyKey { key: [1; 32], body: [body; 32] };
        let first = WriteToken::new(Some(&key(1)), at(0)).unwrap();
        let repeat = WriteToken::new(Some(&key(1)), at(0)).unwrap();
        let other = WriteToken::new(Some(&key(2)), at(0)).unwrap();
        assert_eq!(first.id(), repeat.id());
        assert_eq!(first.compare(&first.content()), Duplicate::SameRequest);
        assert_eq!(repeat.compare(&first.content()), Duplicate::Replay);
        assert_eq!(other.compare(&first.content()), Duplicate::KeyReused);
        assert_ne!(WriteToken::new(None, at(0)).unwrap().id(), WriteToken::new(None, at(0)).unwrap().id());
    }
}
