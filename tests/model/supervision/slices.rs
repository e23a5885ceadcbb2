//! The slices of supervision that are searched exhaustively, and the search itself. All times are ticks.

use std::collections::BTreeSet;
use std::time::Instant;

use ratchet_model::limits::MAX_INTERRUPTIONS;
use ratchet_model::status::Status;
use stateright::{Checker, Expectation, HasDiscoveries, Model};

use super::event::Event;
use super::record::{Record, Terms};
use super::steps::{Bounds, Step, Supervision};
use super::world::Body;

const CLAIM: Body = Body::Claim(None);
const HEARTBEAT: Body = Body::Heartbeat(None);
const INTERRUPTED: Body = Body::Report(Status::Interrupted);
const QUEUED: Body = Body::Report(Status::Queued);
const COMPLETED: Body = Body::Report(Status::Completed);
const PASS: Body = Body::Pass;

/// A run that may take so long, and be silent so long.
fn watched(timeout: u8, heartbeat_timeout: u8) -> Terms {
    Terms { timeout, heartbeat_timeout: Some(heartbeat_timeout), start_timeout: None }
}

/// Two workers that claim an execution, one that takes it away, two passes.
///
/// Covers claims that arrive late, after another's, and with clocks that differ.
pub fn claims() -> Bounds {
    let claim = [CLAIM, Body::Claim(Some(0))];
    Bounds {
        first: vec![Record::pending(watched(3, 1))],
        requests: vec![claim.to_vec(), claim.to_vec(), vec![INTERRUPTED, QUEUED], vec![PASS], vec![PASS]],
        give_ups: 2,
        horizon: 3,
        skew: 1,
        reads_apart: false,
        mistake: None,
        met: vec![
            Event::Interrupted,
            Event::Deadline,
            Event::LostToReport,
            Event::FiledAnew,
            Event::NotFiledAnew,
            Event::LateClaim,
            Event::LateSupervision,
            Event::LateFiling,
            Event::SupervisionHeldBack,
            Event::FilingHeldBack,
            Event::HeldBack,
            Event::DoneBefore,
            Event::RefusedInDoubt,
            Event::Unknown,
        ],
    }
}

/// Two heartbeats of a running execution, one who takes it for dead, one pass.
///
/// Covers revivals, and two attempts that are late at once: of heartbeats, of revivals, of the pass's change, of its filing.
pub fn heartbeats() -> Bounds {
    Bounds {
        first: vec![Record::running(watched(3, 1))],
        requests: vec![vec![HEARTBEAT], vec![HEARTBEAT], vec![INTERRUPTED], vec![PASS]],
        met: vec![
            Event::Interrupted,
            Event::Revived,
            Event::Deadline,
            Event::LostToHeartbeat,
            Event::LostToReport,
            Event::FiledAnew,
            Event::NotFiledAnew,
            Event::RevivalLost,
            Event::LateHeartbeat,
            Event::LateRevival,
            Event::LateSupervision,
            Event::LateFiling,
            Event::HeardLater,
            Event::NotRevivedLate,
            Event::RevivalHeldBack,
            Event::SupervisionHeldBack,
            Event::FilingHeldBack,
            Event::HeldBack,
            Event::DoneBefore,
            Event::Unknown,
        ],
        ..claims()
    }
}

/// The worker of a first attempt, with its number and without, and another one that claims the execution.
///
/// Two attempts may be late at once, such as one of the claim and one of the first worker's heartbeat.
pub fn attempts() -> Bounds {
    Bounds {
        requests: vec![vec![HEARTBEAT, Body::Heartbeat(Some(1))], vec![INTERRUPTED], vec![CLAIM], vec![PASS]],
        horizon: 2,
        met: vec![
            Event::Interrupted,
            Event::Revived,
            Event::LostToHeartbeat,
            Event::LostToReport,
            Event::Stopped,
            Event::LateClaim,
            Event::LateHeartbeat,
            Event::LateRevival,
        ],
        ..heartbeats()
    }
}

/// A pass whose reads of the index and of the head may each lag, and another pass beside it.
pub fn lagging_reads() -> Bounds {
    Bounds {
        requests: vec![vec![HEARTBEAT], vec![INTERRUPTED, COMPLETED], vec![PASS], vec![PASS]],
        give_ups: 1,
        reads_apart: true,
        met: vec![
            Event::Interrupted,
            Event::Revived,
            Event::LostToHeartbeat,
            Event::LostToReport,
            Event::FiledAnew,
            Event::NotFiledAnew,
            Event::LateSupervision,
            Event::LateFiling,
        ],
        ..heartbeats()
    }
}

/// Two that cancel, at once or with grace, while others claim the execution, take it away and end it.
pub fn cancels() -> Bounds {
    let cancel = [Body::Cancel(0), Body::Cancel(1)];
    Bounds {
        first: vec![Record::running(watched(3, 2))],
        requests: vec![cancel.to_vec(), cancel.to_vec(), vec![INTERRUPTED, QUEUED, COMPLETED], vec![CLAIM], vec![PASS]],
        give_ups: 1,
        met: vec![
            Event::ForcedByGrace,
            Event::ForcedBefore,
            Event::CancelledAtOnce,
            Event::CancelledAnew,
            Event::CancelledSooner,
            Event::ForcedSooner,
            Event::ClaimAfterCancel,
            Event::LostToReport,
            Event::FiledAnew,
            Event::RefusedInDoubt,
        ],
        ..claims()
    }
}

/// A cancel that the worker hears, also by the heartbeat that revives it.
pub fn heard_cancels() -> Bounds {
    Bounds {
        requests: vec![vec![HEARTBEAT], vec![Body::Cancel(0), Body::Cancel(1)], vec![INTERRUPTED], vec![PASS]],
        met: vec![
            Event::RevivedToCancel,
            Event::ForcedByGrace,
            Event::ForcedBefore,
            Event::CancelledAtOnce,
            Event::LostToHeartbeat,
            Event::LateRevival,
        ],
        ..cancels()
    }
}

/// An execution that has to start in time.
pub fn starts() -> Bounds {
    Bounds {
        first: vec![Record::pending(Terms { timeout: 2, heartbeat_timeout: None, start_timeout: Some(1) })],
        requests: vec![vec![CLAIM], vec![QUEUED, Body::Cancel(0)], vec![PASS], vec![PASS]],
        met: vec![
            Event::StartDeadline,
            Event::Deadline,
            Event::CancelledAtOnce,
            Event::LostToReport,
            Event::LateClaim,
            Event::LateSupervision,
        ],
        ..claims()
    }
}

/// A deadline that is put off, and a run that was claimed before there was supervision.
pub fn deadlines() -> Bounds {
    let terms = Terms { timeout: 1, heartbeat_timeout: None, start_timeout: None };
    Bounds {
        first: vec![Record::running(terms), Record::claimed_before_supervision(terms)],
        requests: vec![
            vec![Body::Timeout(1), Body::Timeout(2)],
            vec![INTERRUPTED, QUEUED, COMPLETED],
            vec![CLAIM, HEARTBEAT],
            vec![PASS],
        ],
        give_ups: 1,
        met: vec![
            Event::Deadline,
            Event::Revived,
            Event::LostToHeartbeat,
            Event::LostToReport,
            Event::FiledAnew,
            Event::NotFiledAnew,
        ],
        ..claims()
    }
}

/// A run that was interrupted nearly as often as it may be.
pub fn often_interrupted() -> Bounds {
    let interruptions = u8::try_from(MAX_INTERRUPTIONS - 1).expect("a hundred or so");
    Bounds {
        first: vec![Record { interruptions, ..Record::running(watched(3, 1)) }],
        requests: vec![vec![HEARTBEAT], vec![HEARTBEAT], vec![Body::Cancel(1)], vec![PASS], vec![PASS]],
        give_ups: 0,
        met: vec![Event::Interrupted, Event::Revived, Event::InterruptedTooOften, Event::ForcedBefore],
        ..claims()
    }
}

/// How many attempts more than usual may be given up in a search: `RATCHET_GIVE_UPS`, else none.
fn more_give_ups() -> u8 {
    std::env::var("RATCHET_GIVE_UPS").map_or(0, |value| value.parse().expect("RATCHET_GIVE_UPS is a small number"))
}

/// Searches all states: no property may be broken, and every event in `met` must occur.
pub fn exhaust(mut bounds: Bounds) {
    bounds.give_ups += more_give_ups();
    let begun = Instant::now();
    let checker = Supervision::new(bounds).checker().finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
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
    assert_eq!(checker.model().missed(), [], "the search must meet these");
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
pub fn counterexample(bounds: Bounds, property: &'static str) -> Vec<Step> {
    // With one property the search ends at the first state that breaks it, and no way to another is shorter.
    let checker = Supervision::of(bounds, property)
        .checker()
        .finish_when(HasDiscoveries::AllOf(BTreeSet::from([property])))
        .spawn_bfs()
        .join();
    let path = checker.discovery(property).unwrap_or_else(|| panic!("nothing breaks: {property}"));
    let steps = path.into_actions();
    println!("not so: {property}{}", listing(&steps));
    steps
}
