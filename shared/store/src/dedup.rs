//! Write tokens: a write records its token on the execution, and by that token a duplicate of the write is recognized.
//!
//! Each write has an id. A write with a transition records it as its key in the transition log, for good. A write of
//! fields alone records it in a *bucket ring*: a few maps that take turns, one for each time bucket. All attempts at a
//! request carry the bucket in which the request began. There are two rings, because there are two kinds of ids.
//!
//! **Derived from an Idempotency-Key** ([`KEYED`]): the token is retained for a day, as callers are promised. Replays
//! are requests of their own, which began in other buckets and by other clocks. Of four maps a write
//!
//! - requires that its id is in none of those for the last, the current and the next bucket,
//! - records its id in the current one, and
//! - clears the one after the next.
//!
//! So a token is retained for at least one whole bucket, and at most two, of a writer's activity. The next bucket is
//! checked and not cleared because another writer's clock may be ahead: only clocks that disagree by a whole bucket,
//! less what an attempt may be late, could drop a token early (`tests/model/limits.rs`). For that reason a bucket is an
//! hour longer than a day.
//!
//! **Random, for a request without a key** ([`UNKEYED`]): no other request has such an id; it serves the service's own
//! retries. The tokens would have to be retained for as long as an attempt may still be under way, and nothing
//! guarantees how long that is. A *fence* makes that unnecessary. The record keeps the last bucket in which any of
//! these writes began, and a write requires that this bucket is not after its own. The fence never falls, whatever the
//! clocks say, so that only the tokens of the bucket before it are needed. An attempt from an earlier bucket is
//! refused, however late it arrives. A request that is *fenced* begins again in the bucket of the fence: its earlier
//! attempts cannot be applied any more ([`WriteToken::fenced`]).
//!
//! Either kind takes one `UpdateItem`, without a read, and bounded space.
//!
//! **On a step** the rings are the same, of sets in place of maps: one write creates a step or changes it, whichever is due,
//! and an expression can add to a set that may not be there yet, but not to a map. Such a token is called a mark
//! ([`WriteToken::mark`]). A step has no log, so that its changes of status leave a mark, too.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use ratchet_model::clock::Timestamp;
use ratchet_model::idempotency::IdempotencyKey;

use crate::expression::{Expression, binary, empty_map, number, text};
use crate::schema::{FENCE, TRANSITION_VERSIONS, TRANSITIONS};

/// A few maps that take turns as the time buckets pass.
#[derive(Debug, Clone, Copy)]
pub struct BucketRing {
    maps: &'static [&'static str],
    /// How long a bucket is, in milliseconds.
    bucket_ms: i64,
    /// The buckets, relative to a write's own, whose maps must not have its id.
    checked: &'static [i64],
    /// The bucket, relative to a write's own, whose map the write clears.
    cleared: i64,
    /// Whether a write is fenced: refused after a write of a later bucket.
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

/// For writes without an Idempotency-Key.
///
/// A bucket is longer than all attempts at a request take, so that only clocks that disagree make a request miss two
/// changes of bucket. It is not much longer than that: a busy reporter pays for its tokens with every write. It is also
/// a prime number of milliseconds, so that a writer with a regular rhythm does not meet the same map each time, which
/// would then never be cleared.
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
        let index = usize::try_from(bucket.rem_euclid(count)).unwrap_or_default();
        self.maps.get(index).copied().unwrap_or_default()
    }

    /// Its maps; on a step they are sets.
    #[must_use]
    pub const fn maps(self) -> &'static [&'static str] {
        self.maps
    }

    /// The maps that must not have the token of a write that begins in `bucket`.
    pub fn checked(self, bucket: i64) -> impl Iterator<Item = &'static str> {
        self.checked.iter().map(move |offset| self.map(bucket + offset))
    }

    /// The map in which a write that begins in `bucket` records its token.
    #[must_use]
    pub fn current(self, bucket: i64) -> &'static str {
        self.map(bucket)
    }

    /// The map that a write that begins in `bucket` clears.
    #[must_use]
    pub fn cleared(self, bucket: i64) -> &'static str {
        self.map(bucket + self.cleared)
    }

    /// Whether a write is fenced: refused after a write of a later bucket.
    #[must_use]
    pub const fn is_fenced(self) -> bool {
        self.is_fenced
    }

    /// How long a bucket is, in milliseconds.
    #[must_use]
    pub const fn bucket_ms(self) -> i64 {
        self.bucket_ms
    }

    /// Whether a write that began in bucket `own` is fenced on a record whose fence is `fence`, given that its token is
    /// not there.
    #[must_use]
    pub const fn fenced(self, own: i64, fence: i64) -> Option<Fenced> {
        if !self.is_fenced || fence <= own {
            return None;
        }
        // The map of a bucket is cleared by a write that begins as many buckets later as there are maps, less one.
        Some(Fenced { bucket: fence, token_retained: fence <= own + 1 })
    }
}

/// A write was fenced: a write of a later bucket was applied before it. No attempt at it can be applied from now on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fenced {
    /// The fence: the bucket of the later write.
    pub bucket: i64,
    /// Whether the token of an applied attempt would still be on the item. If so, none was applied. If not, one may
    /// have been.
    pub token_retained: bool,
}

/// Every map that a new record must have, so that a later write can add a member to it.
pub fn map_attributes() -> impl Iterator<Item = &'static str> {
    KEYED.maps.iter().chain(UNKEYED.maps).copied().chain([TRANSITIONS, TRANSITION_VERSIONS])
}

/// The token of one write: an id, and what distinguishes a duplicate from another write with the same key.
#[derive(Debug, Clone)]
pub struct WriteToken {
    ring: BucketRing,
    /// The bucket of the ring in which the request began.
    bucket: i64,
    id: String,
    /// Hash of the body, if there is a key. Without one the id is random, and no other request has it.
    body: Option<[u8; 8]>,
    /// Random: distinguishes this very request, retried by the SDK, from a replay by the caller.
    nonce: [u8; 4],
}

/// Which request recorded a token that was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Duplicate {
    /// This very request: an earlier attempt was applied, and its answer did not arrive.
    SameRequest,
    /// An earlier request with the same key and body.
    Replay,
    /// An earlier request with the same key and another body.
    KeyReused,
}

/// What a write did to a step, as its mark says it: a repeat is answered with the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    /// It wrote the report: it created the step, if the step says so, else it changed it.
    Wrote,
    /// It merged fields into the step.
    Merged,
    /// It found nothing to write.
    Nothing,
    /// It was stale, and filled in what was lacking, if anything was.
    Filled,
}

impl Deed {
    const ALL: [Self; 4] = [Self::Wrote, Self::Merged, Self::Nothing, Self::Filled];

    const fn code(self) -> char {
        match self {
            Self::Wrote => 'w',
            Self::Merged => 'm',
            Self::Nothing => 'n',
            Self::Filled => 'f',
        }
    }

    fn of_code(code: char) -> Option<Self> {
        Self::ALL.into_iter().find(|deed| deed.code() == code)
    }
}

impl WriteToken {
    /// The token of a request that begins `now`.
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
        // The id is 96 bits of the key's hash; 64 bits of the body's hash distinguish bodies. A collision, even a
        // deliberate one, affects the caller's own organization alone.
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

    /// The value that is recorded under the id: nonce and body hash.
    #[must_use]
    pub fn content(&self) -> AttributeValue {
        binary(self.content_bytes())
    }

    fn content_bytes(&self) -> Vec<u8> {
        let mut content = self.nonce.to_vec();
        content.extend(self.body.iter().flatten());
        content
    }

    /// Requires that this write was not applied before.
    pub fn require_absent(&self, expression: &mut Expression) {
        for map in self.ring.checked(self.bucket).chain([TRANSITIONS]) {
            let path = expression.member(map, &self.id);
            expression.require(format!("attribute_not_exists({path})"));
        }
    }

    /// Records the token in its ring. A write with a transition does not need this: the transition log keeps its id.
    pub fn record(&self, expression: &mut Expression) {
        let path = expression.member(self.ring.current(self.bucket), &self.id);
        let content = expression.value(self.content());
        expression.set(&path, &content);
        expression.assign(self.ring.cleared(self.bucket), empty_map());
        self.raise_fence(expression);
    }

    /// Requires that the fence is not after this write's bucket, and raises it to there, if the ring is fenced.
    fn raise_fence(&self, expression: &mut Expression) {
        if self.ring.is_fenced {
            let fence = expression.name(FENCE);
            let own = expression.value(number(self.bucket));
            // Before the first of these writes there is no fence. A comparison with a missing attribute is not true.
            expression.require(format!("(NOT {fence} > {own})"));
            expression.set(&fence, &own);
        }
    }

    /// Leaves a mark on a step, once: requires that it has none of this write, and says what the write did.
    pub fn mark(&self, deed: Deed, expression: &mut Expression) {
        let id = expression.value(text(&self.id));
        for set in self.ring.checked(self.bucket) {
            let set = expression.name(set);
            expression.require(format!("(NOT contains({set}, {id}))"));
        }
        // The id alone is what a condition can find.
        let mark = format!("{}{}{}", self.id, deed.code(), URL_SAFE_NO_PAD.encode(self.content_bytes()));
        expression.add_to_set(self.ring.current(self.bucket), vec![self.id.clone(), mark]);
        expression.remove(self.ring.cleared(self.bucket));
        self.raise_fence(expression);
    }

    /// Looks for the mark on a step.
    #[must_use]
    pub fn find_mark(&self, step: &HashMap<String, AttributeValue>) -> Option<(Duplicate, Deed)> {
        let find = |set: &str| {
            let marks = step.get(set)?.as_ss().ok()?;
            marks.iter().find_map(|mark| {
                let rest = mark.strip_prefix(self.id.as_str())?;
                let mut characters = rest.chars();
                let deed = characters.next().and_then(Deed::of_code)?;
                Some((self.compare_bytes(&URL_SAFE_NO_PAD.decode(characters.as_str()).ok()?), deed))
            })
        };
        self.ring.checked(self.bucket).find_map(find)
    }

    /// Looks for the token on an item.
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
                .map_or(Duplicate::KeyReused, |token| self.compare(token)),
        )
    }

    /// Whether a write of fields whose token is not [found](Self::find) on an item is fenced there.
    #[must_use]
    pub fn fenced(&self, item: &HashMap<String, AttributeValue>) -> Option<Fenced> {
        let fence = item.get(FENCE)?.as_n().ok()?.parse().ok()?;
        self.ring.fenced(self.bucket, fence)
    }

    /// Begins again in the bucket of the fence.
    pub const fn advance_to(&mut self, fenced: Fenced) {
        self.bucket = fenced.bucket;
    }

    /// Which request recorded `content`, given that it is recorded under this id.
    #[must_use]
    pub fn compare(&self, content: &AttributeValue) -> Duplicate {
        self.compare_bytes(content.as_b().map(AsRef::as_ref).unwrap_or_default())
    }

    fn compare_bytes(&self, content: &[u8]) -> Duplicate {
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
    fn a_write_never_clears_a_map_in_which_a_token_may_still_be_checked() {
        for ring in [KEYED, UNKEYED] {
            for bucket in 0..9 {
                let recorded = ring.current(bucket);
                assert!(ring.checked(bucket).any(|map| map == recorded));
                assert!(!ring.checked(bucket).any(|map| map == ring.cleared(bucket)));
                // The writes of the next bucket do not clear it either.
                assert_ne!(ring.cleared(bucket + 1), recorded);
            }
        }
    }

    #[test]
    fn a_keyed_token_is_found_for_a_whole_bucket_whatever_is_written_in_between() {
        for bucket in 0..9 {
            let recorded = KEYED.current(bucket);
            assert!(KEYED.checked(bucket + 1).any(|map| map == recorded));
            // A writer whose clock is one bucket ahead or behind does not clear it either.
            assert!(KEYED.checked(bucket - 1).any(|map| map == recorded));
            assert_ne!(KEYED.cleared(bucket - 1), recorded);
        }
    }

    #[test]
    fn a_fence_says_whether_the_token_of_a_fenced_write_would_still_be_there() {
        for own in 0..9 {
            assert_eq!(UNKEYED.fenced(own, own), None);
            assert_eq!(UNKEYED.fenced(own, own - 1), None);
            for later in own + 1..own + 9 {
                let retained = (own + 1..=later).all(|bucket| UNKEYED.cleared(bucket) != UNKEYED.current(own));
                assert_eq!(UNKEYED.fenced(own, later), Some(Fenced { bucket: later, token_retained: retained }));
            }
        }
        assert_eq!(KEYED.fenced(1, 7), None);
    }

    #[test]
    fn the_rings_retain_tokens_for_as_long_as_promised() {
        // A token is found for at least a bucket, less how late an attempt may be and twice how far clocks may
        // disagree.
        const LATE: i64 = 15 * 60 * 1000;
        const SKEW: i64 = 10 * 60 * 1000;
        const { assert!(KEYED.bucket_ms - LATE - 2 * SKEW >= 24 * 60 * 60 * 1000) };
        // An unkeyed request whose clock is right spans one change of bucket at most.
        const { assert!(UNKEYED.bucket_ms as u128 > 2 * crate::client::OPERATION_TIMEOUT.as_millis()) };
    }

    #[test]
    fn no_rhythm_of_whole_seconds_within_half_a_day_meets_one_map_each_time() {
        let turn = UNKEYED.bucket_ms * 3;
        assert!((1..12 * 3600).all(|seconds| seconds * 1000 % turn != 0));
    }

    #[test]
    fn a_mark_says_who_left_it_and_what_the_write_did() {
        let key = |body: u8| IdempotencyKey { key: [1; 32], body: [body; 32] };
        let token = |key: Option<&IdempotencyKey>| WriteToken::new(key, at(0)).unwrap();
        let (keyed, unkeyed) = (token(Some(&key(1))), token(None));
        for token in [&keyed, &unkeyed] {
            for deed in Deed::ALL {
                let mut expression = Expression::default();
                token.mark(deed, &mut expression);
                let (_, values) = expression.into_maps();
                let set = values.unwrap().into_values().find(AttributeValue::is_ss).unwrap();
                let step = HashMap::from([(token.ring.current(token.bucket).to_owned(), set)]);
                assert_eq!(token.find_mark(&step), Some((Duplicate::SameRequest, deed)));
            }
        }
        let mark = AttributeValue::Ss(vec![
            keyed.id.clone(),
            format!("{}w{}", keyed.id, URL_SAFE_NO_PAD.encode(keyed.content_bytes())),
        ]);
        let step = HashMap::from([(KEYED.current(keyed.bucket).to_owned(), mark)]);
        assert_eq!(token(Some(&key(1))).find_mark(&step), Some((Duplicate::Replay, Deed::Wrote)));
        assert_eq!(token(Some(&key(2))).find_mark(&step), Some((Duplicate::KeyReused, Deed::Wrote)));
        assert_eq!(unkeyed.find_mark(&step), None);
    }

    #[test]
    fn the_same_request_a_replay_and_a_reused_key_are_distinguished() {
        let key = |body: u8| IdempotencyKey { key: [1; 32], body: [body; 32] };
        let first = WriteToken::new(Some(&key(1)), at(0)).unwrap();
        let replay = WriteToken::new(Some(&key(1)), at(0)).unwrap();
        let reused = WriteToken::new(Some(&key(2)), at(0)).unwrap();
        assert_eq!(first.id(), replay.id());
        assert_eq!(first.compare(&first.content()), Duplicate::SameRequest);
        assert_eq!(replay.compare(&first.content()), Duplicate::Replay);
        assert_eq!(reused.compare(&first.content()), Duplicate::KeyReused);
        assert_ne!(WriteToken::new(None, at(0)).unwrap().id(), WriteToken::new(None, at(0)).unwrap().id());
    }
}
