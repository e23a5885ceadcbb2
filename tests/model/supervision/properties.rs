//! What must hold in every state.

use stateright::Property;

use super::record::{Record, TOLERANCE};
use super::steps::Supervision;
use super::store::Outcome;
use super::world::{Broken, Head, World, Write};

/// What is overdue is in the range that the next pass reads, whatever its clock says.
pub const NEVER_LOST: &str = "the bound is never later than the moment at which the execution is due";
/// The same, with the passes themselves.
pub const SETTLED: &str = "once all is quiet, passes leave nothing overdue";
/// The index has nothing but what a pass may have to change.
pub const ENDED: &str = "what has ended is not in the index";
/// By the slowest clock, so that the time that has passed is true whatever clocks the time stamps are from.
pub const NEVER_EARLY: &str = "supervision changes nothing before it is due";
/// Between its read and its write.
pub const HEARTBEATS_WIN: &str = "supervision changes nothing that was heard since it looked";
/// Guarantee 2, for those who read first: supervision, and heartbeats that revive.
pub const REPORTS_WIN: &str = "supervision and revivals change nothing that was changed since they looked";
/// Within one attempt. By as much as clocks differ the heartbeat of a revival may be earlier than the one before.
pub const HEARD_RISES: &str = "the last heartbeat never moves back";
/// The contract, "Cancel execution".
pub const CANCEL_STANDS: &str = "once a cancel is requested nobody takes the execution up, and it is put off no more";
/// Guarantee 1.
pub const TABLE: &str = "only transitions of the table happen";
/// Guarantee 2.
pub const LOSERS_TOLD: &str = "losers learn which status beat them";
/// Guarantee 3.
pub const NEVER_REFUSED: &str = "an applied change is never reported as refused";
/// Guarantee 3.
pub const NEVER_TWICE: &str = "no change is applied twice";
/// Guarantee 4.
pub const TERMINAL: &str = "a terminal record never changes";

/// All of them.
pub fn all() -> Vec<Property<Supervision>> {
    vec![
        Property::always(NEVER_LOST, |_, world: &World| Supervision::is_in_range(world)),
        Property::always(SETTLED, Supervision::settles),
        Property::always(ENDED, |_, world: &World| !world.record.status.is_terminal() || world.record.bound.is_none()),
        Property::always(NEVER_EARLY, |_, world: &World| !world.broken.contains(&Broken::Early)),
        Property::always(HEARTBEATS_WIN, |_, world: &World| !world.broken.contains(&Broken::OverHeartbeat)),
        Property::always(REPORTS_WIN, |_, world: &World| !world.broken.contains(&Broken::OverReport)),
        Property::always(HEARD_RISES, |_, world: &World| !world.broken.contains(&Broken::HeardEarlier)),
        Property::always(CANCEL_STANDS, |_, world: &World| !world.broken.contains(&Broken::CancelUndone)),
        Property::always(TABLE, |_, world: &World| !world.broken.contains(&Broken::NotInTable)),
        Property::always(LOSERS_TOLD, |_, world: &World| !world.broken.contains(&Broken::LoserMisled)),
        Property::always(NEVER_REFUSED, |_, world: &World| !world.broken.contains(&Broken::AppliedAndRefused)),
        Property::always(NEVER_TWICE, |_, world: &World| !world.broken.contains(&Broken::AppliedTwice)),
        Property::always(TERMINAL, |_, world: &World| !world.broken.contains(&Broken::TerminalChanged)),
    ]
}

impl Supervision {
    /// Whether the bound is not later than it may be.
    fn is_in_range(world: &World) -> bool {
        let record = &world.record;
        let Some((due, _)) = record.due().filter(|_| record.is_watched()) else { return true };
        record.bound.is_some_and(|bound| bound <= due)
    }

    /// Whether passes leave nothing overdue once all is quiet: nobody writes any more, and every time stamp on the record is
    /// past by every clock. Each pass must see what is overdue, and must be allowed to change it.
    fn settles(&self, world: &World) -> bool {
        // The pass with the slowest clock.
        let judged_at = world.time + self.bounds.skew;
        let is_overdue = |record: &Record| record.is_watched() && record.due().is_some_and(|(due, _)| due <= judged_at);
        if !is_overdue(&world.record) {
            return true;
        }
        let mut world = world.clone();
        world.time = judged_at + TOLERANCE;
        // A silence is settled before the deadline.
        for _ in 0..=2 {
            if !is_overdue(&world.record) {
                return true;
            }
            let head = Head::of(&world.record);
            let (Some(bound), Some((_, cause))) = (world.record.bound, head.due) else { return false };
            let write = Write::Supervise { cause, head };
            if bound > judged_at || !matches!(self.deliver(&mut world, write, false, false), Outcome::Applied) {
                return false;
            }
        }
        false
    }
}
