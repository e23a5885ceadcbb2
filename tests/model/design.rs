//! How a write finds out that it was applied before: the service's way, and ways that look as if they would do.

use ratchet_model::clock::Timestamp;
use ratchet_store::dedup::{BucketRing, Fenced};

/// What the store keeps of the writes, and what a write does about it.
#[derive(Debug, Clone)]
pub struct Design {
    /// Whether a change of status leaves its mark in the log, for good. If not, it does as a change of fields does.
    pub log: bool,
    /// Whether the rules are judged on what was read when the request began, and the write is then unconditional.
    pub reads_first: bool,
    /// Where a write is refused after one of a later stretch: the ring that says so, and its ticks.
    fence: Option<(BucketRing, Ticks)>,
    places: Vec<Places>,
}

/// What a write of fields does at one reading of its function's clock. Maps are numbered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Places {
    /// Where it looks for its mark.
    pub looks: Vec<usize>,
    /// Where it leaves its mark.
    pub leaves: Option<usize>,
    /// What it empties before it does.
    pub empties: Option<usize>,
}

/// How many maps the largest design has.
pub const MAPS: usize = 4;

/// How the ticks of a model's clock divide a ring's stretch.
#[derive(Debug, Clone, Copy)]
pub struct Ticks {
    /// How many ticks a stretch has.
    pub per_stretch: u8,
    /// The latest reading of any clock.
    pub last: u8,
}

impl Ticks {
    /// How long a tick is, in milliseconds.
    pub fn length(self, ring: BucketRing) -> i64 {
        assert_eq!(ring.bucket_ms() % i64::from(self.per_stretch), 0, "a stretch has a whole number of ticks");
        ring.bucket_ms() / i64::from(self.per_stretch)
    }

    /// Which stretch a reading is in.
    fn stretch(self, reading: u8) -> usize {
        usize::from(reading / self.per_stretch)
    }
}

impl Design {
    /// The service's own. What it looks into, leaves and empties at which time is asked of the ring itself.
    pub fn ours(ring: BucketRing, ticks: Ticks) -> Self {
        let mut maps = Vec::new();
        let mut numbered = |name: &'static str| {
            maps.iter().position(|known| *known == name).unwrap_or_else(|| {
                maps.push(name);
                maps.len() - 1
            })
        };
        let places = (0..=ticks.last)
            .map(|reading| {
                let now = Timestamp::from_millis(i64::from(reading) * ticks.length(ring)).expect("a time near 1970");
                let stretch = ring.bucket_index(now);
                Places {
                    looks: ring.checked(stretch).map(&mut numbered).collect(),
                    leaves: Some(numbered(ring.current(stretch))),
                    empties: Some(numbered(ring.cleared(stretch))),
                }
            })
            .collect();
        Self { log: true, reads_first: false, fence: ring.is_fenced().then_some((ring, ticks)), places }
    }

    /// One attribute with the mark of the last write.
    pub fn last_write(ticks: Ticks) -> Self {
        let attribute = Places { looks: vec![0], leaves: Some(0), empties: Some(0) };
        Self { log: false, reads_first: false, fence: None, places: vec![attribute; usize::from(ticks.last) + 1] }
    }

    /// Nothing at all.
    pub fn no_mark(ticks: Ticks) -> Self {
        let places = vec![Places::default(); usize::from(ticks.last) + 1];
        Self { log: false, reads_first: false, fence: None, places }
    }

    /// The service's marks, but the rules are checked in a read before the write.
    pub fn read_then_write(ring: BucketRing, ticks: Ticks) -> Self {
        Self { reads_first: true, ..Self::ours(ring, ticks) }
    }

    /// The service's maps for writes without a key, and no fence.
    pub fn without_the_fence(ring: BucketRing, ticks: Ticks) -> Self {
        Self { fence: None, ..Self::ours(ring, ticks) }
    }

    /// Three maps: the last stretch, the present one, and the next one, which is emptied to be clean when it begins.
    pub fn three_maps(ticks: Ticks) -> Self {
        let places = |reading| {
            let now = ticks.stretch(reading);
            let [last, present, next] = [now + 2, now, now + 1].map(|stretch| stretch % 3);
            Places { looks: vec![last, present], leaves: Some(present), empties: Some(next) }
        };
        Self { log: true, reads_first: false, fence: None, places: (0..=ticks.last).map(places).collect() }
    }

    /// The service's four maps, without a look into the one of the last stretch.
    pub fn without_the_last_stretch(ticks: Ticks) -> Self {
        Self::four_maps(ticks, &[0, 1])
    }

    /// The service's four maps, without a look into the one of the next stretch.
    pub fn without_the_next_stretch(ticks: Ticks) -> Self {
        Self::four_maps(ticks, &[3, 0])
    }

    fn four_maps(ticks: Ticks, looks: &[usize]) -> Self {
        let places = |reading| {
            let map = |ahead: &usize| (ticks.stretch(reading) + ahead) % 4;
            Places { looks: looks.iter().map(map).collect(), leaves: Some(map(&0)), empties: Some(map(&2)) }
        };
        Self { log: true, reads_first: false, fence: None, places: (0..=ticks.last).map(places).collect() }
    }

    /// Whether a write of fields with this reading is refused after one of the stretch `fence`.
    pub fn overtaken(&self, reading: u8, fence: u8) -> Option<Fenced> {
        let (ring, ticks) = self.fence?;
        ring.fenced(i64::from(reading / ticks.per_stretch), i64::from(fence))
    }

    /// The stretch in which a reading lies, if there is a fence.
    pub fn fence(&self, reading: u8) -> Option<u8> {
        self.fence.map(|(_, ticks)| reading / ticks.per_stretch)
    }

    /// The first reading of the stretch of an overtaking write.
    pub fn caught_up(&self, overtaken: Fenced) -> u8 {
        let per_stretch = self.fence.map_or(1, |(_, ticks)| ticks.per_stretch);
        u8::try_from(overtaken.bucket).expect("few stretches") * per_stretch
    }

    /// What a write of fields does at this reading of its function's clock.
    pub fn places(&self, reading: u8) -> &Places {
        &self.places[usize::from(reading)]
    }
}
