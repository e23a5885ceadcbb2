//! What the service does: which writes a request sends, and what follows from an answer.

use ratchet_model::error::Rejection;
use ratchet_model::heartbeat::{Action, order};
use ratchet_model::status::Status;
use ratchet_model::supervision::Cause;

use super::event::Event;
use super::mistakes::Mistake;
use super::record::Record;
use super::steps::Supervision;
use super::store::Outcome;
use super::world::{Body, Broken, Head, Late, Phase, World, Write};

impl Supervision {
    /// What a request does once its latest write is answered.
    fn answered(&self, world: &World, body: Body, write: Write, outcome: &Outcome) -> Phase {
        let record = &world.record;
        match (write, outcome) {
            (Write::Heartbeat { attempt, stamp, .. }, Outcome::Unmet) => {
                let spoken = attempt.map(i64::from);
                let action = order(record.status, record.attempt.into(), record.cancel().as_ref(), spoken).action;
                if action == Action::Stop && !record.status.is_terminal() {
                    self.meet(Event::Stopped);
                }
                let alive = matches!(action, Action::Continue | Action::Cancel);
                if alive && record.status == Status::Interrupted {
                    let bound = record.bound_of_revival(stamp);
                    return Phase::Reviving { body, version: record.version, bound };
                }
            }
            (Write::Revive { .. }, Outcome::Refused(Rejection::Version { .. })) => {
                self.meet(Event::RevivalLost);
                return Phase::Again(body);
            }
            (
                Write::RequestCancel { .. },
                Outcome::Refused(Rejection::Transition { current, .. } | Rejection::CancelledSooner { current }),
            ) if !current.is_terminal() => {
                if *current != Status::Running {
                    return Phase::Ending(body);
                }
                // It is asked already, and no later: the rest writes nothing but a token.
                self.meet(Event::CancelledSooner);
            }
            (Write::Cancel, Outcome::Refused(Rejection::Transition { current: Status::Running, .. })) => {
                self.meet(Event::CancelledAnew);
                return Phase::Again(body);
            }
            (Write::Claim { .. }, Outcome::Refused(Rejection::CancelRequested { .. })) => {
                self.meet(Event::ClaimAfterCancel);
            }
            (Write::Supervise { .. }, Outcome::Refused(Rejection::HeardSince)) => self.meet(Event::LostToHeartbeat),
            (Write::Supervise { .. }, Outcome::Refused(Rejection::Version { .. })) => self.meet(Event::LostToReport),
            (Write::FileAnew { .. }, Outcome::Unmet) => self.meet(Event::NotFiledAnew),
            _ => {}
        }
        Phase::Done
    }

    /// Notes what an applied write was an example of.
    fn note(&self, before: &Record, write: Write) {
        match write {
            Write::Revive { .. } => {
                self.meet(Event::Revived);
                if before.force_at.is_some() {
                    self.meet(Event::RevivedToCancel);
                }
            }
            Write::Supervise { cause, .. } => self.meet(match cause {
                Cause::Silence => Event::Interrupted,
                Cause::Deadline => {
                    let silent =
                        before.watch().silent_at().is_some_and(|silent| Some(silent) < before.watch().deadline());
                    if silent {
                        self.meet(Event::InterruptedTooOften);
                    }
                    Event::Deadline
                }
                Cause::StartDeadline => Event::StartDeadline,
                Cause::Cancel if before.due().map(|(due, _)| due) == before.force_at => Event::ForcedByGrace,
                Cause::Cancel => Event::ForcedBefore,
            }),
            Write::Cancel => self.meet(Event::CancelledAtOnce),
            Write::RequestCancel { .. } if before.force_at.is_some() => self.meet(Event::ForcedSooner),
            Write::FileAnew { .. } => self.meet(Event::FiledAnew),
            _ => {}
        }
    }

    /// Sends a write: its first attempt is answered, or given up.
    pub(super) fn send(&self, world: &mut World, request: usize, body: Body, write: Write, given_up: bool) {
        if given_up {
            world.give_ups -= 1;
            world.requests[request].late.push(Late { write, applied: false, refused: false });
            world.requests[request].phase = Phase::InDoubt(body);
            return;
        }
        let before = world.record.clone();
        let outcome = self.deliver(world, write, false, false);
        if matches!(outcome, Outcome::Applied) {
            self.note(&before, write);
        }
        world.requests[request].phase = self.answered(world, body, write, &outcome);
    }

    /// The service's next attempt at a write in doubt.
    pub(super) fn retry(&self, world: &mut World, request: usize, body: Body) {
        let Some(mut late) = world.requests[request].late.pop() else { return };
        if let Write::Heartbeat { sent_on: Some(sent_on), .. } = &mut late.write {
            // Its service still waits for it: what it finds it is told.
            *sent_on = world.record.version;
        }
        let before = world.record.clone();
        let outcome = self.deliver(world, late.write, late.applied, true);
        let has_token = self.rules(late.write).is_some();
        match &outcome {
            Outcome::Found => self.meet(Event::DoneBefore),
            Outcome::Refused(_) => {
                self.meet(Event::RefusedInDoubt);
                late.refused = true;
                if late.applied {
                    world.broken.insert(Broken::AppliedAndRefused);
                }
            }
            Outcome::Unknown => self.meet(Event::Unknown),
            Outcome::Applied => {
                self.note(&before, late.write);
                late.applied = true;
            }
            Outcome::Unmet => {}
        }
        world.requests[request].phase = self.answered(world, body, late.write, &outcome);
        // The token on the record holds every other attempt back.
        if !(has_token && matches!(outcome, Outcome::Applied | Outcome::Found)) {
            world.requests[request].late.push(late);
        }
    }

    /// A late attempt reaches the store.
    pub(super) fn arrive(&self, world: &mut World, request: usize, index: usize) -> Option<()> {
        let late = world.requests[request].late[index];
        let before = world.record.clone();
        match self.deliver(world, late.write, late.applied, true) {
            Outcome::Applied => {
                self.note(&before, late.write);
                match late.write {
                    Write::Claim { .. } => self.meet(Event::LateClaim),
                    Write::Heartbeat { .. } => self.meet(Event::LateHeartbeat),
                    Write::Revive { .. } => self.meet(Event::LateRevival),
                    Write::Supervise { .. } => self.meet(Event::LateSupervision),
                    Write::FileAnew { .. } => self.meet(Event::LateFiling),
                    _ => {}
                }
                if late.refused {
                    world.broken.insert(Broken::AppliedAndRefused);
                }
                // A heartbeat is no change: to hear it again says nothing else.
                if late.applied && !matches!(late.write, Write::Heartbeat { .. }) {
                    world.broken.insert(Broken::AppliedTwice);
                }
                world.requests[request].late[index].applied = true;
                return Some(());
            }
            Outcome::Found => self.meet(Event::HeldBack),
            Outcome::Refused(_) | Outcome::Unknown | Outcome::Unmet => match late.write {
                Write::Heartbeat { .. } if before.status == Status::Interrupted => self.meet(Event::NotRevivedLate),
                Write::Heartbeat { .. } if before.status == Status::Running => self.meet(Event::HeardLater),
                Write::Revive { .. } => self.meet(Event::RevivalHeldBack),
                Write::Supervise { .. } => self.meet(Event::SupervisionHeldBack),
                Write::FileAnew { .. } => self.meet(Event::FilingHeldBack),
                _ => {}
            },
        }
        (!world.broken.is_empty()).then_some(())
    }

    /// The first write of a request.
    pub(super) fn first_write(&self, world: &World, body: Body, reading: u8) -> Write {
        match body {
            Body::Claim(after) => Write::Claim { after, stamp: reading },
            Body::Heartbeat(attempt) => {
                let sent_on = self.makes(Mistake::LateHeartbeatRevives).then_some(world.record.version);
                Write::Heartbeat { attempt, stamp: reading, sent_on }
            }
            Body::Report(to) => Write::Report(to),
            Body::Cancel(grace) => Write::RequestCancel { force_at: reading + grace, stamp: reading },
            Body::Timeout(timeout) => Write::Timeout(timeout),
            Body::Pass => unreachable!("a pass looks first"),
        }
    }

    /// What a pass that has looked may write at `time`: whatever its clock says, and however long ago it began.
    pub(super) fn decisions(&self, time: u8, index: u8, head: Head) -> Vec<Write> {
        let mut decisions = Vec::new();
        let (Some(judged_at), Some((due, cause))) = (self.judged_at(time), head.due) else { return decisions };
        if index > judged_at {
            return decisions;
        }
        if due <= judged_at || self.makes(Mistake::ActsOnTheBound) {
            decisions.push(Write::Supervise { cause, head });
        }
        if index < due {
            decisions.push(Write::FileAnew { seen: index, bound: due, version: head.version });
        }
        decisions
    }
}
