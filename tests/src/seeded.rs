//! Faults by a seed: which of an item's requests meets which fault.
//!
//! A seed repeats the decisions. The n-th request for an item (its partition key, which for an execution follows from its
//! id; or a partition of the index by deadline) meets the same fault, with the same pause and on the same side of the write, on whatever connection it comes and
//! whatever happens to other items. A seed does not repeat which of several concurrent requests is the n-th, nor how long
//! anything takes. One caller that waits for each answer gets the same run again. Several callers get the same faults in
//! the same order, but each fault may meet another request.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::watch;

use crate::proxy::Fault;

/// Random numbers that a seed decides: `SplitMix64` (Steele, Lea, Flood 2014). Not for secrets.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// The numbers of a seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The numbers of the n-th item of a seed, practically independent of those of the others.
    #[must_use]
    pub fn nth(seed: u64, n: u64) -> Self {
        let mut numbers = Self(seed ^ n.wrapping_mul(0xd134_2543_de82_ef95));
        // Seeds that differ by one must not begin alike.
        Self(numbers.number())
    }

    /// The next one.
    pub const fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// One below `end`, which is at least 1.
    pub const fn below(&mut self, end: u64) -> u64 {
        self.number() % end
    }

    /// True in `per_mille` of a thousand cases.
    pub const fn chance(&mut self, per_mille: u64) -> bool {
        self.below(1_000) < per_mille
    }

    /// One of `choices`, each as likely as its weight. The last one if all weights are 0.
    ///
    /// # Panics
    ///
    /// If `choices` is empty.
    pub fn weighted<T: Copy>(&mut self, choices: &[(T, u64)]) -> T {
        let mut left = self.below(choices.iter().map(|(_, weight)| weight).sum::<u64>().max(1));
        for (choice, weight) in choices {
            match left.checked_sub(*weight) {
                Some(rest) => left = rest,
                None => return *choice,
            }
        }
        choices.last().expect("something to choose").0
    }
}

/// A kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// It takes a little longer, so that other requests may pass it.
    Slow,
    /// It is lost on its way.
    DropRequest,
    /// It is applied and its answer lost.
    DropAnswer,
    /// It is delivered after its sender's timeout: while a later attempt runs, or after the last one is given up.
    Late,
    /// The connection is reset, before or after it was applied.
    Reset,
    /// HTTP 500, before or after it was applied.
    Broken,
    /// `ProvisionedThroughputExceededException`.
    ThroughputExceeded,
    /// `ThrottlingException`.
    Throttling,
    /// It is applied and half of its answer lost.
    HalfAnswer,
    /// It is applied, and its answer comes twice.
    AnswerTwice,
    /// It is applied twice, as far as its condition allows, and the second answer comes back.
    DeliverTwice,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 11] = [
        Self::Slow,
        Self::DropRequest,
        Self::DropAnswer,
        Self::Late,
        Self::Reset,
        Self::Broken,
        Self::ThroughputExceeded,
        Self::Throttling,
        Self::HalfAnswer,
        Self::AnswerTwice,
        Self::DeliverTwice,
    ];
}

/// How many of a thousand requests meet each kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Odds([u64; Kind::ALL.len()]);

impl Odds {
    /// No faults.
    pub const CALM: Self = Self([0; Kind::ALL.len()]);

    /// Each of `kinds` with its odds, and no other fault.
    #[must_use]
    pub fn of(kinds: &[(Kind, u64)]) -> Self {
        let sum = |kind| kinds.iter().filter(|(other, _)| *other == kind).map(|(_, per_mille)| per_mille).sum();
        Self(Kind::ALL.map(sum))
    }

    fn choose(&self, numbers: &mut Random) -> Option<Kind> {
        let mut left = numbers.below(1_000);
        for (kind, per_mille) in Kind::ALL.into_iter().zip(self.0) {
            match left.checked_sub(per_mille) {
                Some(rest) => left = rest,
                None => return Some(kind),
            }
        }
        None
    }
}

/// The faults of the requests for one item.
#[derive(Debug, Clone, Copy)]
pub struct Disturbance {
    /// Decides which request meets which fault.
    pub seed: u64,
    /// How likely each kind is.
    pub odds: Odds,
    /// The store's attempt timeout. A late request is delivered after it, up to four times as late.
    pub attempt_timeout: Duration,
}

/// The fault of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    /// The fault.
    pub kind: Kind,
    /// Whether it is applied, for the kinds that may do either.
    pub applied: bool,
    /// How long it is held back, for the kinds that do.
    pub pause: Duration,
}

impl Disturbance {
    /// The fault of the n-th request, counted from 0.
    #[must_use]
    pub fn decide(&self, n: u64) -> Option<Decision> {
        let mut numbers = Random::nth(self.seed, n);
        let kind = self.odds.choose(&mut numbers)?;
        let applied = numbers.chance(500);
        let timeout = u64::try_from(self.attempt_timeout.as_micros()).unwrap_or(u64::MAX / 8);
        let micros = match kind {
            Kind::Late => timeout + timeout / 20 + numbers.below(timeout * 3),
            _ => numbers.below(timeout / 20 + 1),
        };
        Some(Decision { kind, applied, pause: Duration::from_micros(micros) })
    }
}

impl From<Decision> for Fault {
    fn from(Decision { kind, applied, pause }: Decision) -> Self {
        match kind {
            Kind::Slow | Kind::Late => Self::Delay(pause),
            Kind::DropRequest => Self::DropRequest,
            Kind::DropAnswer => Self::drop_answer(),
            Kind::Reset => Self::Reset { applied },
            Kind::Broken => {
                let Self::Answer(status, body) = Self::internal() else { return Self::Pass };
                if applied { Self::ApplyAndAnswer(status, body) } else { Self::Answer(status, body) }
            }
            Kind::ThroughputExceeded => Self::throttled(),
            Kind::Throttling => Self::throttling(),
            Kind::HalfAnswer => Self::HalfAnswer,
            Kind::AnswerTwice => Self::AnswerTwice,
            Kind::DeliverTwice => Self::DeliverTwice,
        }
    }
}

/// The items whose requests meet faults, and how many faults there were of each kind.
#[derive(Debug, Default)]
pub struct Seeded {
    items: Mutex<HashMap<String, Item>>,
    counts: [AtomicU64; Kind::ALL.len()],
}

#[derive(Debug)]
struct Item {
    disturbance: Disturbance,
    /// How many requests there were.
    requests: u64,
    under_way: Arc<watch::Sender<usize>>,
}

/// Counts a request as under way until this is dropped.
#[derive(Debug)]
pub struct UnderWay(Arc<watch::Sender<usize>>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.send_modify(|requests| *requests -= 1);
    }
}

impl Seeded {
    /// From now on the requests for `item` meet these faults.
    pub fn disturb(&self, item: &str, disturbance: Disturbance) {
        let item_plan = Item { disturbance, requests: 0, under_way: Arc::default() };
        self.items().insert(item.to_owned(), item_plan);
    }

    /// From now on the requests for `item` pass. Returns when all that are held back have been delivered.
    pub async fn settle(&self, item: &str) {
        let Some(item) = self.items().remove(item) else { return };
        // It fails only if the sender is gone, and then nothing is under way.
        let _ = item.under_way.subscribe().wait_for(|requests| *requests == 0).await;
    }

    /// How many requests met each kind.
    #[must_use]
    pub fn counts(&self) -> Vec<(Kind, u64)> {
        let counts = self.counts.iter().map(|count| count.load(Ordering::Relaxed));
        Kind::ALL.into_iter().zip(counts).collect()
    }

    /// The fault of this request, if it is for an item whose requests meet faults.
    pub(crate) fn next(&self, request: &[u8]) -> Option<(Fault, UnderWay)> {
        let key = partition_key(request)?;
        let mut items = self.items();
        let item = items.get_mut(key)?;
        let decision = item.disturbance.decide(item.requests);
        item.requests += 1;
        item.under_way.send_modify(|requests| *requests += 1);
        let under_way = UnderWay(item.under_way.clone());
        drop(items);
        let Some(decision) = decision else { return Some((Fault::Pass, under_way)) };
        if let Some((_, count)) = Kind::ALL.into_iter().zip(&self.counts).find(|(kind, _)| *kind == decision.kind) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        Some((decision.into(), under_way))
    }

    fn items(&self) -> std::sync::MutexGuard<'_, HashMap<String, Item>> {
        self.items.lock().expect("no test panics while it holds this")
    }
}

/// The partition key that a request is for, found by the way in which the SDK writes it, as a key or as the value that a
/// query compares with: that of an execution, else that of a partition of the index by deadline.
fn partition_key(request: &[u8]) -> Option<&str> {
    [br#"{"S":"e#"#, br#"{"S":"d#"#].into_iter().find_map(|before| {
        let start = request.windows(before.len()).position(|window| window == before)? + before.len() - "e#".len();
        let rest = request.get(start..)?;
        let length = rest.iter().position(|byte| *byte == b'"')?;
        std::str::from_utf8(rest.get(..length)?).ok()
    })
}
