//! Clients whose executions supervision has to end, or may: they are given little time, fall silent, or are cancelled.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use ratchet_model::clock::{Clock, SystemClock};
use reqwest::Method;
use serde_json::{Map, json};
use tokio::time::Instant;

use super::{Client, Met, Request};
use crate::model::{Change, Kind, What, is_terminal};
use crate::world::Run;

/// How many versions supervision may write one after the other: it interrupts, and it ends.
const UNSEEN: i64 = 2;

/// How long supervision may take to end an execution that is overdue before the test gives up on it.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long a worker of the third kind is silent: longer than the shortest `heartbeat_timeout_seconds`, 15.
const SILENCE: Duration = Duration::from_secs(19);

/// Why supervision may end an execution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Theme {
    /// Its deadline comes soon.
    Deadline,
    /// It is not begun in time.
    Start,
    /// Its worker falls silent, and is heard again.
    Silence,
    /// It is cancelled.
    Cancel,
}

impl Theme {
    const ALL: [Self; 4] = [Self::Deadline, Self::Start, Self::Silence, Self::Cancel];
}

impl Client {
    /// Works until the world is over on executions of a slot of its own, one after the other, and now and then on those of the
    /// other clients of this kind, whose slots begin with `first`.
    pub async fn work_supervised(mut self, first: usize) -> Met {
        let mut number = self.name;
        while !self.world.over.load(Ordering::Relaxed) {
            let theme = Theme::ALL[number % Theme::ALL.len()];
            number += 1;
            self.supervised(first, theme).await;
        }
        self.met
    }

    /// One execution, from its start to its end.
    async fn supervised(&mut self, first: usize, theme: Theme) {
        let soon = 1 + self.dice.below(3);
        let limits = match theme {
            Theme::Deadline => json!({ "timeout_seconds": soon }),
            Theme::Start => json!({ "start_timeout_seconds": soon, "timeout_seconds": 2 }),
            Theme::Silence => json!({ "heartbeat_timeout_seconds": 15, "timeout_seconds": super::LONG }),
            Theme::Cancel => json!({ "heartbeat_timeout_seconds": 30, "timeout_seconds": super::LONG }),
        };
        let slot = self.name;
        self.begin_with(slot, limits, UNSEEN).await;
        let run = self.of_slot(slot).expect("the execution that has just begun");
        let life = match theme {
            Theme::Silence => SILENCE + Duration::from_millis(self.dice.below(3_000)),
            _ => Duration::from_millis(2_000 + self.dice.below(6_000)),
        };
        let begun = Instant::now();
        if theme != Theme::Start || self.chance(30) {
            let mut claim = self.bare(&run);
            (claim.status, claim.if_match, claim.attempt) = (Some("running"), None, None);
            self.change(&run, claim, "transition").await;
        }
        while begun.elapsed() < life && !self.world.over.load(Ordering::Relaxed) {
            tokio::time::sleep(Duration::from_millis(20 + self.dice.below(300))).await;
            let quiet = theme == Theme::Silence && begun.elapsed() < SILENCE.saturating_sub(Duration::from_secs(1));
            if quiet {
                self.look_at(&run).await;
                continue;
            }
            let other = if self.chance(15) { self.other_slot(first) } else { None };
            match other {
                // Its worker may be silent on purpose.
                Some(other) => self.look_at(&other).await,
                None => self.ask_supervised(&run, theme).await,
            }
        }
        self.let_it_end(&run).await;
        self.finish(&run).await;
    }

    fn of_slot(&self, slot: usize) -> Option<Arc<Run>> {
        self.world.slots[slot].lock().expect("no panic while it is held").clone()
    }

    fn other_slot(&mut self, first: usize) -> Option<Arc<Run>> {
        let others = self.world.slots.len() - first;
        let slot = first + usize::try_from(self.dice.below(others as u64)).expect("a slot");
        self.of_slot(slot)
    }

    async fn look_at(&mut self, run: &Run) {
        let closed = run.closed.read().await;
        if *closed {
            return;
        }
        match self.dice.below(3) {
            0 => self.get(run).await,
            1 => self.get_if_changed(run).await,
            _ => self.log(run).await,
        }
    }

    async fn ask_supervised(&mut self, run: &Run, theme: Theme) {
        match self.dice.below(100) {
            0..35 => self.heartbeat(run).await,
            35..50 => {
                let change = self.transition(run, false);
                self.change(run, change, "transition").await;
            }
            50..53 => {
                let change = self.transition(run, true);
                self.change(run, change, "transition").await;
            }
            53..60 if theme == Theme::Cancel => self.cancel(run).await,
            53..75 => {
                let change = self.fields(run);
                self.change(run, change, "fields").await;
            }
            _ => self.look_at(run).await,
        }
    }

    /// Asks for the end of an execution, once.
    async fn cancel(&mut self, run: &Run) {
        if run.cancelled.swap(true, Ordering::Relaxed) {
            return;
        }
        let (nonce, if_match) = (self.nonce(), None);
        let kind = Kind::Cancel(i64::try_from(self.dice.below(3)).expect("a few seconds"));
        let change = Change { nonce, kind, status: Some("cancelled"), fields: Map::new(), if_match, attempt: None };
        self.change(run, change, "cancel").await;
    }

    /// Sends a heartbeat: for the right attempt, for none, or for a wrong one.
    async fn heartbeat(&mut self, run: &Run) {
        let known = run.attempt.load(Ordering::Relaxed);
        let attempt = match self.dice.below(10) {
            0..6 => Some(known),
            6..9 => None,
            _ => Some(known + 1),
        };
        let path = format!("/executions/{}/heartbeat", run.id);
        let request = Request {
            purpose: "heartbeat",
            organization: run.organization,
            method: Method::POST,
            path: &path,
            headers: Vec::new(),
            body: attempt.map(|attempt| json!({ "attempt": attempt })),
        };
        // It may revive, and its answer names no version: the next look does.
        let (low, sent, unknown) = (run.ask(1), now(), self.met.unavailable.values().sum::<u64>());
        let answer = self.send_for(200, &request).await;
        let answered = now();
        let high = run.answered(0, None, None);
        run.keep(low, high, What::Heard(attempt, answer.body, (sent, answered)));
        self.get(run).await;
        // Where an earlier attempt at it may still be under way, there may always be one version more than is known.
        if self.met.unavailable.values().sum::<u64>() == unknown {
            run.answered(1, None, None);
        }
    }

    /// Waits until supervision has ended an execution that is to be overdue, or reports the end of one that is not.
    async fn let_it_end(&mut self, run: &Run) {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            self.get(run).await;
            let (attempt, (_, status)) = (run.attempt.load(Ordering::Relaxed), run.known());
            if is_terminal(&status) {
                return;
            }
            let soon = |name: &str| run.created[name].as_i64().is_some_and(|seconds| seconds <= 3);
            let due = if attempt > 0 { soon("timeout_seconds") } else { soon("start_timeout_seconds") };
            if due {
                tokio::time::sleep(Duration::from_millis(300)).await;
            } else {
                let mut end = self.bare(run);
                (end.status, end.if_match, end.attempt) = (Some("completed"), None, None);
                self.change(run, end, "transition").await;
            }
        }
        panic!("execution {} is overdue and does not end: {:?}", run.id, run.known());
    }
}

fn now() -> i64 {
    SystemClock.now().millis()
}
