//! What the store does with an attempt: the rules are the service's own, what a write sets is modelled.

use ratchet_model::change::{CancelRequest, Change, FieldUpdates, IfMatch, Judged, RequestedTransition, WriteOptions};
use ratchet_model::error::{Error, Rejection};
use ratchet_model::status::Status;
use ratchet_store::rules::{Decision, Rule, decide};

use super::mistakes::Mistake;
use super::record::{Record, moment, seconds};
use super::steps::Supervision;
use super::world::{Broken, World, Write};

/// The store's answer to an attempt.
pub enum Outcome {
    /// It is applied.
    Applied,
    /// Its token is on the record.
    Found,
    /// A rule refuses it.
    Refused(Rejection),
    /// The condition of a write without rules does not hold: a heartbeat's, or a filing's.
    Unmet,
    /// It is refused, and an earlier attempt may still be applied.
    Unknown,
}

impl Supervision {
    /// The rules of a write, as the service's own code says; `None` for one that has none.
    pub(super) fn rules(&self, write: Write) -> Option<Vec<Rule>> {
        let mut rules = Rule::all(&change(write)?);
        let mistake = self.bounds.mistake;
        rules.retain(|rule| {
            !matches!(
                (mistake, write, rule),
                (Some(Mistake::ConditionWithoutHeartbeat), Write::Supervise { .. }, Rule::Heard(_))
                    | (Some(Mistake::ConditionWithoutVersion), Write::Supervise { .. }, Rule::Version(_))
                    | (Some(Mistake::RevivalWithoutVersion), Write::Revive { .. }, Rule::Version(_))
                    | (Some(Mistake::ClaimAfterCancel), _, Rule::NoCancelRequested(_))
                    | (Some(Mistake::CancelForcedLater), _, Rule::CancelsSooner(_))
                    | (Some(Mistake::NoCondition), Write::Supervise { .. }, _)
            )
        });
        Some(rules)
    }

    /// An attempt reaches the store.
    pub(super) fn deliver(&self, world: &mut World, write: Write, applied: bool, in_doubt: bool) -> Outcome {
        let Some(rules) = self.rules(write) else {
            let holds = match write {
                Write::Heartbeat { attempt, stamp, .. } => self.is_heard(&world.record, attempt, stamp),
                Write::FileAnew { seen, version, .. } => {
                    let same_version = world.record.version == version;
                    world.record.bound == Some(seen) && (same_version || self.makes(Mistake::FiledAnewWithoutVersion))
                }
                _ => unreachable!("it has rules"),
            };
            if !holds {
                return Outcome::Unmet;
            }
            self.apply(world, write);
            return Outcome::Applied;
        };
        if applied && !self.makes(Mistake::NoToken) {
            return Outcome::Found;
        }
        match decide(&rules, &world.record.state(), in_doubt, None) {
            Decision::Applied => {
                self.apply(world, write);
                Outcome::Applied
            }
            Decision::Rejected(Error::Rejected(rejection)) => {
                if let Rejection::Transition { current, allowed_sources, .. } = &rejection
                    && (*current != world.record.status || allowed_sources.contains(current))
                {
                    world.broken.insert(Broken::LoserMisled);
                }
                Outcome::Refused(rejection)
            }
            Decision::Rejected(Error::OutcomeUnknown { .. }) => Outcome::Unknown,
            other => panic!("the rules have no such answer: {other:?}"),
        }
    }

    /// The condition of a heartbeat (`shared/store/src/heartbeat.rs`).
    fn is_heard(&self, record: &Record, attempt: Option<u8>, stamp: u8) -> bool {
        let rules: Vec<Rule> = attempt.map(|attempt| Rule::Attempt(attempt.into())).into_iter().collect();
        let is_own = matches!(decide(&rules, &record.state(), false, None), Decision::Applied);
        let revives = self.makes(Mistake::LateHeartbeatRevives) && record.status == Status::Interrupted;
        let rises = record.heard < Some(stamp) || self.makes(Mistake::HeartbeatNotMonotone);
        (record.status == Status::Running || revives) && rises && is_own
    }

    /// The store applies a write.
    fn apply(&self, world: &mut World, write: Write) {
        self.judge(world, write);
        let record = &mut world.record;
        match write {
            Write::Heartbeat { stamp, .. } => {
                record.heard = Some(stamp);
                record.spoke = record.spoke.max(Some(stamp));
                record.heartbeats += 1;
                if record.status == Status::Interrupted {
                    record.status = Status::Running;
                    record.version += 1;
                }
                return;
            }
            Write::FileAnew { bound, .. } => {
                record.bound = Some(bound);
                return;
            }
            Write::RequestCancel { force_at, stamp } => {
                record.force_at = Some(force_at);
                if self.makes(Mistake::CancelSetsTheBoundToItsTime) {
                    record.bound = Some(stamp);
                } else if !self.makes(Mistake::CancelKeepsTheBound) {
                    record.bound = Some(0);
                }
            }
            Write::Timeout(timeout) => record.terms.timeout = timeout,
            Write::Claim { stamp, .. } | Write::Revive { stamp, .. } => self.enter(record, write, stamp),
            Write::Report(_) | Write::Cancel | Write::Supervise { .. } => self.enter(record, write, 0),
        }
        record.version += 1;
    }

    /// Enters a status, and sets what belongs to it (`shared/store/src/change.rs`).
    fn enter(&self, record: &mut Record, write: Write, stamp: u8) {
        let Some(transition) = change(write).and_then(|change| change.transition) else { return };
        let to = transition.to();
        record.status = to;
        if transition.begins_an_attempt() {
            record.started.get_or_insert(stamp);
            record.attempt += 1;
        }
        if to.is_terminal() {
            if !self.makes(Mistake::EndedStaysInTheIndex) {
                record.bound = None;
            }
        } else if to == Status::Running {
            record.spoke = Some(stamp);
            if !(self.makes(Mistake::ClaimWithoutHeartbeat) && transition.begins_an_attempt()) {
                record.heard = Some(stamp);
            }
            let of_claim = || record.started.unwrap_or(stamp) + record.interval.unwrap_or(0);
            match write {
                Write::Revive { .. } if self.makes(Mistake::RevivalKeepsTheBound) => {}
                Write::Revive { .. } if self.makes(Mistake::RevivalForgetsTheCancel) => record.bound = Some(of_claim()),
                Write::Revive { bound, .. } => record.bound = Some(bound),
                _ if self.makes(Mistake::ClaimKeepsTheBound) && record.bound.is_some() => {}
                _ if self.makes(Mistake::BoundOfTheTimeoutAlone) => {
                    record.bound = Some(record.started.unwrap_or(stamp) + record.terms.timeout);
                }
                _ => record.bound = Some(of_claim()),
            }
        }
        // They are counted where the limit is near: before that nothing depends on their number.
        if transition.is_supervision() && to == Status::Interrupted && record.interruptions > 0 {
            record.interruptions += 1;
        }
    }

    /// Records what a write breaks by being applied now.
    fn judge(&self, world: &mut World, write: Write) {
        let record = &world.record;
        let mut broken = Vec::new();
        if record.status.is_terminal() {
            broken.push(Broken::TerminalChanged);
        }
        if let Some(transition) = change(write).and_then(|change| change.transition) {
            if !transition.to().allowed_sources().contains(&record.status) {
                broken.push(Broken::NotInTable);
            }
            let taken_up = matches!(transition.to(), Status::Queued | Status::Retrying | Status::Running);
            if record.force_at.is_some() && taken_up && !matches!(write, Write::Revive { .. }) {
                broken.push(Broken::CancelUndone);
            }
        }
        match write {
            Write::Heartbeat { stamp, sent_on, .. } => {
                if record.heard >= Some(stamp) {
                    broken.push(Broken::HeardEarlier);
                }
                let revives = record.status == Status::Interrupted;
                if revives && sent_on.is_some_and(|sent_on| sent_on != record.version) {
                    broken.push(Broken::OverReport);
                }
            }
            Write::Revive { version, stamp, .. } => {
                if record.heard > Some(stamp + self.bounds.skew) {
                    broken.push(Broken::HeardEarlier);
                }
                if record.version != version {
                    broken.push(Broken::OverReport);
                }
            }
            Write::Supervise { head, .. } => {
                if record.version != head.version {
                    broken.push(Broken::OverReport);
                }
                if record.heartbeats != head.heartbeats {
                    broken.push(Broken::OverHeartbeat);
                }
                let is_due = |due: Option<u8>| due.is_some_and(|due| due <= world.time);
                if !is_due(record.truly_due()) || !is_due(record.due().map(|(due, _)| due)) {
                    broken.push(Broken::Early);
                }
            }
            Write::RequestCancel { force_at, .. } if record.force_at.is_some_and(|present| present < force_at) => {
                broken.push(Broken::CancelUndone);
            }
            _ => {}
        }
        world.broken.extend(broken);
    }
}

/// The change that a write asks for, as the service's type; `None` for a heartbeat and for a filing, which are none.
pub fn change(write: Write) -> Option<Change> {
    let transition = |transition| Change { transition: Some(transition), ..Change::default() };
    Some(match write {
        Write::Claim { after, .. } => {
            Change { attempt: after.map(i64::from), ..transition(RequestedTransition::report(Status::Running)) }
        }
        Write::Report(to) => transition(RequestedTransition::report(to)),
        Write::Cancel => transition(RequestedTransition::cancel()),
        Write::RequestCancel { force_at, .. } => {
            let cancel = CancelRequest { force_at: moment(force_at), reason: String::new() };
            Change { cancel: Some(cancel), ..Change::default() }
        }
        Write::Timeout(timeout) => {
            let fields = FieldUpdates { timeout_seconds: Some(seconds(timeout)), ..FieldUpdates::default() };
            Change { fields, ..Change::default() }
        }
        Write::Revive { version, bound, .. } => {
            let if_match = Some(IfMatch::Versions(vec![version.into()]));
            let options = WriteOptions { if_match, ..WriteOptions::default() };
            Change { options, ..transition(RequestedTransition::revive(moment(bound))) }
        }
        Write::Supervise { cause, head } => Change {
            judged: Some(Judged { version: head.version.into(), last_heartbeat: head.heard.map(moment) }),
            ..transition(RequestedTransition::supervise(cause))
        },
        Write::Heartbeat { .. } | Write::FileAnew { .. } => return None,
    })
}
