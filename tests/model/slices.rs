//! The slices of the protocol that are searched exhaustively, and the search itself.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use ratchet_model::status::Status;
use ratchet_store::client::{ATTEMPTS, OPERATION_TIMEOUT};
use ratchet_store::dedup::{BucketRing, KEYED, UNKEYED};
use stateright::{Checker, Expectation, HasDiscoveries, Model};

use crate::design::{Design, Ticks};
use crate::protocol::{Bounds, Event, Plan, Protocol, Step};
use crate::world::Body;

/// How long after its time stamp DynamoDB accepts a request (ADR 1).
const SIGNATURE: Duration = Duration::from_secs(5 * 60);

/// For slices in which the clock stands still.
const STILL: Ticks = Ticks { per_bucket: 1, last: 0 };

/// For [`late_attempts`]: a tick is a bucket.
pub const UNKEYED_TICKS: Ticks = Ticks { per_bucket: 1, last: 6 };

/// For [`repeated_fields`]: two buckets, and the first moments of a third for a clock that is ahead.
pub const KEYED_TICKS: Ticks = Ticks { per_bucket: 4, last: 8 };

/// How many ticks after its time stamp an attempt may still arrive. The latest attempt of a request is stamped
/// [`OPERATION_TIMEOUT`] after the first.
fn validity(ring: BucketRing, ticks: Ticks) -> u8 {
    let valid = i64::try_from((SIGNATURE + OPERATION_TIMEOUT).as_millis()).expect("minutes");
    let length = ticks.length(ring);
    u8::try_from((valid + length - 1) / length).expect("few ticks")
}

/// Two requests without a key, each for any change there is, from any state.
///
/// Covers every pair of changes, with If-Match, attempts, retry counts and timeouts, three attempts each, in doubt in every way and late. It
/// does not cover time, repeats by the caller and third writers.
pub fn races() -> Bounds {
    let mut bodies: Vec<Body> = Status::ALL.into_iter().map(Body::To).collect();
    // Version 1 is the record's first, version 2 the one after the other request's write.
    bodies.extend([Body::Result, Body::Note, Body::NoteIfVersion(1), Body::NoteIfVersion(2), Body::RetryCount(1)]);
    bodies.extend([Body::Timeout(1), Body::Timeout(2)]);
    bodies.extend([0, 1].into_iter().flat_map(|attempt| [Body::ClaimAfter(attempt), Body::CompleteFor(attempt)]));
    Bounds {
        design: Design::ours(UNKEYED, STILL),
        first: Status::ALL.into_iter().flat_map(|status| [(status, 0), (status, 1)]).collect(),
        plans: vec![Plan::unkeyed(&bodies), Plan::unkeyed(&bodies)],
        attempts: ATTEMPTS,
        horizon: 0,
        skew: 0,
        validity: 0,
        promise: 0,
        patient: false,
        echoes: false,
        refusals_bind_keys: false,
        met: vec![
            Event::Refused,
            Event::DoneBefore,
            Event::Unavailable,
            Event::UnknownApplied,
            Event::UnknownNotApplied,
            Event::RefusedInDoubt,
            Event::HeldBack,
            Event::TwoTransitions,
        ],
    }
}

/// The same with a few changes from one state: small enough to look for the shortest counterexample.
pub fn small_race() -> Bounds {
    let bodies = [Body::To(Status::Interrupted), Body::To(Status::Running), Body::To(Status::Completed), Body::Note];
    Bounds {
        first: vec![(Status::Queued, 0), (Status::Running, 0)],
        plans: vec![Plan::unkeyed(&bodies), Plan::unkeyed(&bodies)],
        ..races()
    }
}

/// A client with a key that repeats its request, and two writers that meanwhile change the status back and forth, or enter a
/// terminal one.
///
/// Covers repeats of transitions and of frozen and other fields, beside and after the first request. Two attempts each,
/// and no time: a transition's token stays in the log.
pub fn repeats() -> Bounds {
    let keyed = [Body::To(Status::Running), Body::To(Status::Completed), Body::Result, Body::Note];
    let [turn, end] = [Status::Running, Status::Completed].map(|to| [Body::To(Status::Interrupted), Body::To(to)]);
    Bounds {
        first: vec![(Status::Queued, 0), (Status::Running, 0)],
        plans: vec![Plan::keyed(&keyed, 1), Plan::Repeat { of: 0 }, Plan::unkeyed(&turn), Plan::unkeyed(&end)],
        attempts: 2,
        met: vec![
            Event::Refused,
            Event::DoneBefore,
            Event::Replayed,
            Event::UnknownApplied,
            Event::UnknownNotApplied,
            Event::HeldBack,
        ],
        ..races()
    }
}

/// A worker that repeats its claim with its key, another one that claims meanwhile, and one that takes the execution away
/// and completes the first attempt late.
///
/// Two attempts each, and no time: a transition's token stays in the log.
pub fn repeated_claims() -> Bounds {
    let claims = [Body::To(Status::Running), Body::ClaimAfter(0)];
    Bounds {
        first: vec![(Status::Pending, 0)],
        plans: vec![
            Plan::keyed(&claims, 1),
            Plan::Repeat { of: 0 },
            Plan::unkeyed(&[Body::To(Status::Interrupted)]),
            Plan::unkeyed(&[Body::To(Status::Running), Body::ClaimAfter(1), Body::CompleteFor(1)]),
        ],
        attempts: 2,
        met: vec![
            Event::Refused,
            Event::DoneBefore,
            Event::Replayed,
            Event::Superseded,
            Event::UnknownApplied,
            Event::HeldBack,
        ],
        ..races()
    }
}

/// A client that uses its key for two bodies, and repeats the first; another writer comes in between.
///
/// Two attempts each, no time.
pub fn reused_keys() -> Bounds {
    let first = [Body::To(Status::Running), Body::Note];
    Bounds {
        first: vec![(Status::Queued, 0), (Status::Interrupted, 0)],
        plans: vec![
            Plan::keyed(&first, 1),
            Plan::OtherBody { of: 0, body: Body::To(Status::Failed) },
            Plan::Repeat { of: 0 },
            Plan::unkeyed(&[Body::To(Status::Running), Body::To(Status::Interrupted)]),
        ],
        attempts: 2,
        met: vec![Event::KeyReused, Event::Replayed, Event::DoneBefore, Event::HeldBack],
        ..races()
    }
}

/// How many buckets [`late_attempts`] and [`fenced`] last: `RATCHET_HORIZON`, else these.
fn horizon(usual: u8) -> u8 {
    std::env::var("RATCHET_HORIZON").map_or(usual, |value| value.parse().expect("RATCHET_HORIZON is a small number"))
}

/// Three updates of one field without keys, as time passes through more buckets than the ring has maps.
///
/// Covers attempts that arrive at any later time, and clocks that disagree by two buckets, while the others' writes clear
/// maps and raise the fence. Two attempts and two rounds each. It does not cover changes of status, whose tokens are in the
/// log.
pub fn late_attempts() -> Bounds {
    let note = || Plan::unkeyed(&[Body::Note]);
    Bounds {
        design: Design::ours(UNKEYED, UNKEYED_TICKS),
        first: vec![(Status::Running, 0)],
        plans: vec![note(), note(), note()],
        attempts: 2,
        horizon: horizon(2),
        skew: 2,
        validity: u8::MAX,
        met: vec![
            Event::DoneBefore,
            Event::Unavailable,
            Event::UnknownApplied,
            Event::UnknownNotApplied,
            Event::HeldBack,
            Event::Fenced,
            Event::SentAgain,
            Event::TokenCleared,
            Event::TwoBuckets,
        ],
        ..races()
    }
}

/// Updates of fields without keys, two of which a terminal status may refuse, and a writer that enters one.
///
/// Covers the answers to a fenced request, also where a rule refuses it.
pub fn fenced() -> Bounds {
    let note = || Plan::unkeyed(&[Body::Note]);
    let frozen = || Plan::unkeyed(&[Body::Result, Body::NoteIfVersion(1)]);
    let end = Plan::unkeyed(&[Body::To(Status::Completed)]);
    Bounds {
        plans: vec![frozen(), note(), end],
        horizon: horizon(1),
        met: vec![Event::Refused, Event::RefusedInDoubt, Event::Fenced, Event::SentAgain],
        ..late_attempts()
    }
}

/// Two updates without keys: small enough to look for the shortest counterexample.
pub fn two_late_attempts() -> Bounds {
    let note = || Plan::unkeyed(&[Body::Note]);
    Bounds { plans: vec![note(), note()], ..late_attempts() }
}

/// Two updates with keys, repeated by the service alone.
pub fn two_late_keyed_attempts() -> Bounds {
    let bounds = repeated_fields();
    let plans = [1, 2].map(|key| Plan::keyed(&[Body::Note], key)).to_vec();
    Bounds { plans, promise: 0, ..bounds }
}

/// A client that repeats its update of a field with its key, and another one with another key, as time passes through
/// three buckets of the ring.
///
/// Covers repeats on both sides of a change of bucket, with clocks that disagree by a tick, while the other's write clears
/// maps. A tick is a quarter of a bucket: one for how late a repeat may be, one for how late an attempt of it may arrive,
/// and two for the clocks. Those shares are far larger than in a bucket of a day, so what holds here holds there. Two
/// attempts each.
pub fn repeated_fields() -> Bounds {
    Bounds {
        design: Design::ours(KEYED, KEYED_TICKS),
        first: vec![(Status::Running, 0)],
        plans: vec![Plan::keyed(&[Body::Note], 1), Plan::Repeat { of: 0 }, Plan::keyed(&[Body::Note], 2)],
        attempts: 2,
        horizon: 7,
        skew: 1,
        validity: validity(KEYED, KEYED_TICKS),
        promise: 1,
        met: vec![
            Event::Replayed,
            Event::ReplayedAcross,
            Event::DoneBefore,
            Event::HeldBack,
            Event::TokenCleared,
            Event::TwoBuckets,
        ],
        ..races()
    }
}

/// Searches all states: no property may be broken, and every event in `met` must occur.
pub fn exhaust(bounds: Bounds) {
    let begun = Instant::now();
    let checker = Protocol::new(bounds).checker().finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
    for property in checker.model().properties() {
        if matches!(property.expectation, Expectation::Always)
            && let Some(path) = checker.discovery(property.name)
        {
            panic!("not so: {}{}", property.name, listing(&path.into_actions()));
        }
    }
    println!(
        "{} states, {} steps, {} deep, {:.1} s",
        checker.unique_state_count(),
        checker.state_count(),
        checker.max_depth(),
        begun.elapsed().as_secs_f64()
    );
    checker.assert_properties();
}

/// Steps, one a line.
fn listing(steps: &[Step]) -> String {
    steps.iter().fold(String::new(), |lines, step| format!("{lines}\n  {step:?}"))
}

/// The shortest way to break a property.
///
/// # Panics
///
/// If there is none.
pub fn counterexample(bounds: &Bounds, property: &'static str) -> Vec<Step> {
    for depth in 2..24 {
        let checker = Protocol::new(Bounds { met: Vec::new(), ..bounds.clone() })
            .checker()
            .target_max_depth(depth)
            .finish_when(HasDiscoveries::AllOf(BTreeSet::from([property])))
            .spawn_bfs()
            .join();
        if let Some(path) = checker.discovery(property) {
            let steps = path.into_actions();
            println!("not so: {property}{}", listing(&steps));
            return steps;
        }
    }
    panic!("nothing breaks: {property}");
}
