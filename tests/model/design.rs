//! How a write finds out that it was applied before: the service's design, and designs that look sufficient and are not.

use ratchet_model::clock::Timestamp;
use ratchet_store::dedup::{BucketRing, Fenced};

/// Which tokens of writes the record keeps, and what a write does with them.
#[derive(Debug, Clone)]
pub struct Design {
    /// Whether a change of status records its token in the transition log, where it stays. If not, its token goes into a map,
    /// as that of a change of fields does.
    pub log: bool,
    /// Whether the rules are evaluated on a read at the start of the request, and the write is then unconditional.
    pub reads_first: bool,
    /// Whether the repeat of a claim is answered as the success that it was, whoever has claimed since.
    pub shows_others_attempts: bool,
    /// If a write is fenced after one of a later bucket: the ring that decides it, and its ticks.
    fence: Option<(BucketRing, Ticks)>,
    map_use: Vec<MapUse>,
}

/// The maps that a write of fields uses at one reading of its function's clock. Maps are numbered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MapUse {
    /// The maps that its token must not be in.
    pub checked: Vec<usize>,
    /// The map that its token goes into.
    pub current: Option<usize>,
    /// The map that it clears first.
    pub cleared: Option<usize>,
}

/// How many maps the largest design has.
pub const MAPS: usize = 4;

/// How the ticks of a model's clock divide a ring's bucket.
#[derive(Debug, Clone, Copy)]
pub struct Ticks {
    /// How many ticks a bucket has.
    pub per_bucket: u8,
    /// The latest reading of any clock.
    pub last: u8,
}

impl Ticks {
    /// How long a tick is, in milliseconds.
    pub fn length(self, ring: BucketRing) -> i64 {
        assert_eq!(ring.bucket_ms() % i64::from(self.per_bucket), 0, "a bucket has a whole number of ticks");
        ring.bucket_ms() / i64::from(self.per_bucket)
    }

    /// The bucket of a reading.
    fn bucket(self, reading: u8) -> usize {
        usize::from(reading / self.per_bucket)
    }
}

impl Design {
    /// The service's own. The ring itself says which maps are checked, written to and cleared at which time.
    pub fn ours(ring: BucketRing, ticks: Ticks) -> Self {
        let mut maps = Vec::new();
        let mut numbered = |name: &'static str| {
            maps.iter().position(|known| *known == name).unwrap_or_else(|| {
                maps.push(name);
                maps.len() - 1
            })
        };
        let map_use = (0..=ticks.last)
            .map(|reading| {
                let now = Timestamp::from_millis(i64::from(reading) * ticks.length(ring)).expect("a time near 1970");
                let bucket = ring.bucket_index(now);
                MapUse {
                    checked: ring.checked(bucket).map(&mut numbered).collect(),
                    current: Some(numbered(ring.current(bucket))),
                    cleared: Some(numbered(ring.cleared(bucket))),
                }
            })
            .collect();
        Self {
            log: true,
            reads_first: false,
            shows_others_attempts: false,
            fence: ring.is_fenced().then_some((ring, ticks)),
            map_use,
        }
    }

    /// One attribute with the token of the last write.
    pub fn last_write(ticks: Ticks) -> Self {
        let attribute = MapUse { checked: vec![0], current: Some(0), cleared: Some(0) };
        Self {
            log: false,
            reads_first: false,
            shows_others_attempts: false,
            fence: None,
            map_use: vec![attribute; usize::from(ticks.last) + 1],
        }
    }

    /// No token at all.
    pub fn no_token(ticks: Ticks) -> Self {
        let map_use = vec![MapUse::default(); usize::from(ticks.last) + 1];
        Self { log: false, reads_first: false, shows_others_attempts: false, fence: None, map_use }
    }

    /// The service's tokens, but the rules are evaluated on a read before the write.
    pub fn read_then_write(ring: BucketRing, ticks: Ticks) -> Self {
        Self { reads_first: true, ..Self::ours(ring, ticks) }
    }

    /// The service's tokens, but every repeat is answered as the success that it was.
    pub fn showing_others_attempts(ring: BucketRing, ticks: Ticks) -> Self {
        Self { shows_others_attempts: true, ..Self::ours(ring, ticks) }
    }

    /// The service's maps for writes without a key, and no fence.
    pub fn without_the_fence(ring: BucketRing, ticks: Ticks) -> Self {
        Self { fence: None, ..Self::ours(ring, ticks) }
    }

    /// Three maps: the last bucket's, the current one's, and the next one's, which is cleared so that it is empty when its
    /// bucket begins.
    pub fn three_maps(ticks: Ticks) -> Self {
        let map_use = |reading| {
            let now = ticks.bucket(reading);
            let [last, current, next] = [now + 2, now, now + 1].map(|bucket| bucket % 3);
            MapUse { checked: vec![last, current], current: Some(current), cleared: Some(next) }
        };
        Self {
            log: true,
            reads_first: false,
            shows_others_attempts: false,
            fence: None,
            map_use: (0..=ticks.last).map(map_use).collect(),
        }
    }

    /// The service's four maps, without a check of the last bucket's.
    pub fn without_the_last_bucket(ticks: Ticks) -> Self {
        Self::four_maps(ticks, &[0, 1])
    }

    /// The service's four maps, without a check of the next bucket's.
    pub fn without_the_next_bucket(ticks: Ticks) -> Self {
        Self::four_maps(ticks, &[3, 0])
    }

    fn four_maps(ticks: Ticks, checked: &[usize]) -> Self {
        let map_use = |reading| {
            let map = |ahead: &usize| (ticks.bucket(reading) + ahead) % 4;
            MapUse { checked: checked.iter().map(map).collect(), current: Some(map(&0)), cleared: Some(map(&2)) }
        };
        Self {
            log: true,
            reads_first: false,
            shows_others_attempts: false,
            fence: None,
            map_use: (0..=ticks.last).map(map_use).collect(),
        }
    }

    /// Whether a write of fields with this reading is fenced by one of bucket `fence`.
    pub fn fenced(&self, reading: u8, fence: u8) -> Option<Fenced> {
        let (ring, ticks) = self.fence?;
        ring.fenced(i64::from(reading / ticks.per_bucket), i64::from(fence))
    }

    /// The bucket of a reading, if the design has a fence.
    pub fn fence(&self, reading: u8) -> Option<u8> {
        self.fence.map(|(_, ticks)| reading / ticks.per_bucket)
    }

    /// The first reading of the bucket in which a fenced write is sent again.
    pub fn advanced_to(&self, fenced: Fenced) -> u8 {
        let per_bucket = self.fence.map_or(1, |(_, ticks)| ticks.per_bucket);
        u8::try_from(fenced.bucket).expect("few buckets") * per_bucket
    }

    /// The maps that a write of fields uses at this reading of its function's clock.
    pub fn map_use(&self, reading: u8) -> &MapUse {
        &self.map_use[usize::from(reading)]
    }
}
