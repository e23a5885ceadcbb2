//! The steps of the model, and what must hold after each.

use std::collections::BTreeSet;

use ratchet_model::change::{Change, FieldUpdates, IfMatch, RequestedTransition, WriteOptions};
use ratchet_model::clock::Timestamp;
use ratchet_model::error::{Error, Rejection};
use ratchet_model::idempotency::IdempotencyKey;
use ratchet_model::json::JsonText;
use ratchet_model::status::Status;
use ratchet_store::change::MAX_ATTEMPTS;
use ratchet_store::dedup::{Duplicate, Fenced, WriteToken};
use ratchet_store::rules::{Decision, Rule, decide, superseded};
use stateright::{Model, Property};

use crate::design::Design;
use crate::world::{Answer, Body, Broken, Entry, HeldBack, MAX_RETRIES, Record, Request, Sent, World};

/// One request that a model's writers may send.
#[derive(Debug, Clone)]
pub enum Plan {
    /// A request of its own. It asks for any one of these, with an Idempotency-Key or without.
    New {
        /// What it may ask for.
        bodies: Vec<Body>,
        /// Its key.
        key: Option<u8>,
    },
    /// A repeat of another one, with its key and its body.
    Repeat {
        /// Of which.
        of: usize,
    },
    /// A request with the key of another one, and a body of its own.
    OtherBody {
        /// Of which.
        of: usize,
        /// What it asks for.
        body: Body,
    },
}

impl Plan {
    /// A request without a key.
    pub fn unkeyed(bodies: &[Body]) -> Self {
        Self::New { bodies: bodies.to_vec(), key: None }
    }

    /// A request with a key.
    pub fn keyed(bodies: &[Body], key: u8) -> Self {
        Self::New { bodies: bodies.to_vec(), key: Some(key) }
    }
}

/// What is modelled, and how far.
#[derive(Debug, Clone)]
pub struct Bounds {
    /// How a write finds out that it was applied before.
    pub design: Design,
    /// With what status and `retry_count` it may begin.
    pub first: Vec<(Status, i64)>,
    /// The requests.
    pub plans: Vec<Plan>,
    /// How many attempts the service makes of each.
    pub attempts: u32,
    /// The last time.
    pub horizon: u8,
    /// By how much one function's clock may be ahead of another's.
    pub skew: u8,
    /// How long after its time stamp, by its function's clock, an attempt may still arrive.
    pub validity: u8,
    /// How long after the first request the client repeats it.
    pub promise: u8,
    /// Whether the client waits for an answer before it repeats a request.
    pub patient: bool,
    /// Whether an attempt may arrive again after the service has its answer. Inside TLS it cannot.
    pub echoes: bool,
    /// Whether a refusal of a repeat has to hold for the requests before it, too.
    pub refusals_bind_keys: bool,
    /// The events that the search must meet.
    pub met: Vec<Event>,
}

/// Something that must be possible, so that a model cannot pass by being empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// A loser is refused.
    Refused,
    /// A write was applied, its answer lost, and the next attempt found its token.
    DoneBefore,
    /// A repeat is answered as the success that it was.
    Replayed,
    /// The same, with the token in another bucket's map.
    ReplayedAcross,
    /// The repeat of a claim is told that another worker has claimed since.
    Superseded,
    /// A key is refused for another body.
    KeyReused,
    /// Nothing was written.
    Unavailable,
    /// The outcome is unknown, and nothing was written so far.
    UnknownNotApplied,
    /// The outcome is unknown, and the write was applied.
    UnknownApplied,
    /// A refusal is answered although an attempt is in doubt.
    RefusedInDoubt,
    /// A late attempt is held back by its token.
    HeldBack,
    /// A late attempt is held back by the fence.
    Fenced,
    /// A request was fenced, and is sent again.
    SentAgain,
    /// Two writers have entered statuses one after the other.
    TwoTransitions,
    /// A token was cleared.
    TokenCleared,
    /// The maps of two buckets hold tokens at once.
    TwoBuckets,
}

/// A step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// A request arrives, and its first attempt is sent.
    Send {
        /// Which.
        request: usize,
        /// What it asks for.
        body: Body,
        /// What its function's clock says.
        reading: u8,
    },
    /// The latest attempt reaches the store, and its answer reaches the service.
    Answer(usize),
    /// The service gives up the latest attempt: the request or the answer was lost, or either is slow.
    GiveUp(usize),
    /// The store throttles the latest attempt.
    Throttle(usize),
    /// An attempt that was given up reaches the store. Any number of times, as a request has several attempts.
    Arrive {
        /// Of which request.
        request: usize,
        /// What its function's clock said.
        reading: u8,
    },
    /// Time passes.
    Tick,
}

/// The model.
#[derive(Debug)]
pub struct Protocol {
    bounds: Bounds,
    /// The rules of each body, computed once.
    rules: Vec<(Body, Vec<Rule>)>,
    /// By request and by the request that recorded a token under its id: what kind of duplicate the first is. Computed by the
    /// service's own code.
    duplicates: Vec<Vec<Option<Duplicate>>>,
}

/// The store's result of an attempt.
enum Outcome {
    Applied,
    Found { duplicate: Duplicate, across: bool },
    Superseded,
    Refused(Error),
    Fenced(Fenced),
}

impl Protocol {
    /// The model of these bounds.
    pub fn new(bounds: Bounds) -> Self {
        let mut bodies: Vec<Body> = Vec::new();
        for plan in &bounds.plans {
            match plan {
                Plan::New { bodies: own, .. } => bodies.extend(own),
                Plan::OtherBody { body, .. } => bodies.push(*body),
                Plan::Repeat { .. } => {}
            }
        }
        let rules = bodies.into_iter().map(|body| (body, Rule::all(&change(body)))).collect();
        let tokens: Vec<WriteToken> = (0..bounds.plans.len()).map(|request| token(&bounds.plans, request)).collect();
        let compare =
            |own: &WriteToken, other: &WriteToken| (own.id() == other.id()).then(|| own.compare(&other.content()));
        let duplicates = tokens.iter().map(|own| tokens.iter().map(|other| compare(own, other)).collect()).collect();
        Self { bounds, rules, duplicates }
    }

    /// The first request with this one's key, or itself: it stands for the write's id. By the plan and not by the tokens, so
    /// that it checks them.
    fn write(&self, request: usize) -> usize {
        match self.bounds.plans[request] {
            Plan::New { .. } => request,
            Plan::Repeat { of } | Plan::OtherBody { of, .. } => of,
        }
    }

    /// Whether two requests are the same write: one key and one body, or one request.
    fn is_same_write(&self, one: usize, other: usize) -> bool {
        let has_own_body = |request: usize| matches!(self.bounds.plans[request], Plan::OtherBody { .. });
        let alike = !has_own_body(one) && !has_own_body(other);
        one == other || alike && self.write(one) == self.write(other)
    }

    /// What a request may ask for now; nothing if it may not be sent.
    fn bodies(&self, world: &World, request: usize) -> Vec<Body> {
        // The first request with the key, while the client still repeats it.
        let first = |of: usize| {
            let sent = match &world.requests[of] {
                Request::Waiting { sent, .. } if !self.bounds.patient => sent,
                Request::Answered { sent: Some(sent), .. } => sent,
                _ => return None,
            };
            (world.time <= sent.at + self.bounds.promise).then_some(sent)
        };
        match &self.bounds.plans[request] {
            Plan::New { bodies, key } => {
                // Requests with equal plans are sent in order: which of them is called the first does not matter.
                let alike = |plan: &Plan| matches!(plan, Plan::New { bodies: others, key: None } if others == bodies);
                let before = || request.checked_sub(1).filter(|before| alike(&self.bounds.plans[*before]));
                let waits = key.is_none() && before().is_some_and(|before| world.requests[before] == Request::Unsent);
                if waits { Vec::new() } else { bodies.clone() }
            }
            Plan::Repeat { of } => first(*of).map(|sent| sent.body).into_iter().collect(),
            Plan::OtherBody { of, body } => first(*of).map(|_| *body).into_iter().collect(),
        }
    }

    /// The readings on attempts that were given up and may still arrive.
    fn in_flight(&self, world: &World, request: usize) -> Vec<u8> {
        let (sent, given_up) = match &world.requests[request] {
            Request::Waiting { sent, in_doubt, .. } => (sent, *in_doubt),
            Request::Answered { sent: Some(sent), in_doubt, .. } => (sent, *in_doubt || self.bounds.echoes),
            _ => return Vec::new(),
        };
        let readings = sent.earlier.iter().copied().chain(given_up.then_some(sent.reading));
        // The store compares the time stamp with its own clock. A clock that is ahead makes an attempt valid for longer.
        readings.filter(|reading| world.time <= reading.saturating_add(self.bounds.validity)).collect()
    }

    /// Whether a request that takes its body from this one may still be sent.
    fn may_be_repeated(&self, world: &World, request: usize, sent: &Sent) -> bool {
        let planned = self.bounds.plans.iter().zip(&world.requests).any(|(plan, other)| {
            matches!(plan, Plan::Repeat { of } | Plan::OtherBody { of, .. } if *of == request)
                && *other == Request::Unsent
        });
        planned && world.time <= sent.at + self.bounds.promise
    }

    /// An attempt reaches the store.
    fn deliver(&self, world: &mut World, request: usize, sent: &Sent, in_doubt: bool) -> Outcome {
        let map_use = self.bounds.design.map_use(sent.reading);
        let entry = |by: &usize| self.duplicates[request][*by];
        for map in &map_use.checked {
            if let Some(duplicate) = world.record.maps[*map].iter().find_map(entry) {
                return Outcome::Found { duplicate, across: Some(*map) != map_use.current };
            }
        }
        let log = world.record.log.iter();
        if self.bounds.design.log
            && let Some((duplicate, found)) = log.into_iter().find_map(|found| Some((entry(&found.by)?, found)))
        {
            let superseded = superseded(&change(sent.body), Some(found.attempt), &world.record.basis().into());
            if duplicate != Duplicate::KeyReused && superseded.is_some() && !self.bounds.design.shows_others_attempts {
                return Outcome::Superseded;
            }
            return Outcome::Found { duplicate, across: false };
        }
        let basis = sent.read.unwrap_or_else(|| world.record.basis());
        let (_, rules) = self.rules.iter().find(|(body, _)| *body == sent.body).expect("rules of each body");
        let to_log = self.bounds.design.log && sent.body.to().is_some();
        let fenced = self.bounds.design.fenced(sent.reading, world.record.fence).filter(|_| !to_log);
        match decide(rules, &basis.into(), in_doubt, fenced) {
            Decision::Rejected(error) => return Outcome::Refused(error),
            Decision::Retry(fenced) => return Outcome::Fenced(fenced),
            Decision::Applied => {}
        }
        self.apply(world, request, sent, basis.version);
        Outcome::Applied
    }

    /// The store applies a write.
    fn apply(&self, world: &mut World, request: usize, sent: &Sent, judged_on: i64) {
        let write = self.write(request);
        let record = &mut world.record;
        if world.applied[write].is_some() {
            world.broken.insert(Broken::AppliedTwice);
            if sent.body == Body::Note && record.note != Some(write) {
                world.broken.insert(Broken::NewerOverwritten);
            }
        }
        for (other, state) in world.requests.iter().enumerate() {
            let Request::Answered { answer, .. } = state else { continue };
            if other == request && matches!(answer, Answer::Refused | Answer::KeyReused | Answer::Unavailable) {
                world.broken.insert(Broken::AppliedAndRefused);
            }
            let repeat = other > request && self.is_same_write(request, other);
            if self.bounds.refusals_bind_keys && repeat && *answer == Answer::Refused {
                world.broken.insert(Broken::KeyAppliedAfterRefusal);
            }
        }
        if sent.body.attempt().is_some_and(|attempt| attempt != record.attempt) {
            world.broken.insert(Broken::AppliedInOtherAttempt);
        }
        let before = (record.status, record.result);
        let to_log = self.bounds.design.log && sent.body.to().is_some();
        if let Some(to) = sent.body.to() {
            record.status = to;
            record.retry_count += i64::from(to.counts_a_retry());
            record.attempt += i64::from(to.begins_an_attempt());
            if to.is_terminal() {
                record.result = Some(write);
            }
            record.log.push(Entry { by: request, to, judged_on, attempt: record.attempt });
        }
        match sent.body {
            Body::To(_) | Body::ClaimAfter(_) | Body::CompleteFor(_) => {}
            Body::Result => record.result = Some(write),
            Body::Note | Body::NoteIfVersion(_) => record.note = Some(write),
            Body::RetryCount(count) => record.retry_count = count,
            Body::Timeout(timeout) => {
                if timeout < record.timeout {
                    world.broken.insert(Broken::TimeoutFell);
                }
                record.timeout = timeout;
            }
        }
        if before.0.is_terminal() && before != (record.status, record.result) {
            world.broken.insert(Broken::TerminalChanged);
        }
        record.version += 1;
        if !to_log {
            let map_use = self.bounds.design.map_use(sent.reading);
            if let Some(map) = map_use.cleared {
                record.maps[map].clear();
            }
            if let Some(map) = map_use.current {
                record.maps[map].push(request);
                record.maps[map].sort_unstable();
            }
            record.fence = self.bounds.design.fence(sent.reading).unwrap_or(record.fence);
        }
        world.applied[write].get_or_insert(request);
    }

    /// The service's answer to an outcome. Records what it breaks.
    fn answer(&self, world: &mut World, request: usize, outcome: &Outcome) -> Answer {
        let by = world.applied[self.write(request)];
        let applied = by.is_some_and(|by| self.is_same_write(request, by));
        let answer = match outcome {
            Outcome::Applied => Answer::Done,
            Outcome::Found { duplicate: Duplicate::KeyReused, .. } => Answer::KeyReused,
            Outcome::Found { duplicate: Duplicate::SameRequest, .. } => Answer::DoneBefore,
            Outcome::Found { duplicate: Duplicate::Replay, across: false } => Answer::Replayed,
            Outcome::Found { duplicate: Duplicate::Replay, across: true } => Answer::ReplayedAcross,
            Outcome::Superseded => Answer::Superseded,
            Outcome::Refused(Error::OutcomeUnknown { .. }) => Answer::Unknown,
            Outcome::Refused(Error::Rejected(refusal)) => {
                if let Rejection::Transition { current, allowed_sources, .. } = refusal
                    && (*current != world.record.status || allowed_sources.contains(current))
                {
                    world.broken.insert(Broken::LoserMisled);
                }
                Answer::Refused
            }
            Outcome::Refused(error) => panic!("the rules have no such answer: {error:?}"),
            Outcome::Fenced(_) => Answer::Unavailable,
        };
        let refused = matches!(answer, Answer::Refused | Answer::KeyReused | Answer::Unavailable);
        if refused && applied {
            world.broken.insert(Broken::AppliedAndRefused);
        }
        if !refused && answer != Answer::Unknown && !applied {
            world.broken.insert(Broken::AnsweredAndNotDone);
        }
        let done = !refused && !matches!(answer, Answer::Unknown | Answer::Superseded);
        let own = world.record.log.iter().find(|entry| Some(entry.by) == by && entry.to.begins_an_attempt());
        if done && own.is_some_and(|own| own.attempt != world.record.attempt) {
            world.broken.insert(Broken::OthersAttemptShown);
        }
        answer
    }

    /// Removes what no later step depends on, so that states that behave alike are one state.
    fn tidy(&self, world: &mut World) {
        for request in 0..world.requests.len() {
            let Request::Answered { answer, sent: Some(sent), .. } = &world.requests[request] else { continue };
            if self.in_flight(world, request).is_empty() && !self.may_be_repeated(world, request, sent) {
                world.requests[request] = Request::Answered { answer: *answer, in_doubt: false, sent: None };
            }
        }
    }

    /// The attempt after one that failed, or the answer if that was the last.
    fn next_attempt(&self, sent: Sent, attempt: u32, in_doubt: bool) -> Request {
        if attempt < self.bounds.attempts {
            return Request::Waiting { sent, attempt: attempt + 1, in_doubt };
        }
        let answer = if in_doubt { Answer::Unknown } else { Answer::Unavailable };
        Request::Answered { answer, in_doubt, sent: Some(sent) }
    }

    fn step(&self, world: &mut World, step: Step) -> Option<()> {
        match step {
            Step::Send { request, body, reading } => {
                let read = self.bounds.design.reads_first.then(|| world.record.basis());
                let sent = Sent { body, at: world.time, reading, earlier: Vec::new(), round: 0, read };
                world.requests[request] = Request::Waiting { sent, attempt: 1, in_doubt: false };
            }
            Step::Answer(request) => {
                let Request::Waiting { sent, in_doubt, .. } = world.requests[request].clone() else { return None };
                let outcome = self.deliver(world, request, &sent, in_doubt);
                if let Outcome::Fenced(fenced) = &outcome
                    && sent.round + 1 < MAX_ATTEMPTS
                {
                    let mut again = sent;
                    again.earlier.extend(in_doubt.then_some(again.reading));
                    again.reading = self.bounds.design.advanced_to(*fenced);
                    again.round += 1;
                    world.requests[request] = Request::Waiting { sent: again, attempt: 1, in_doubt: false };
                    return Some(());
                }
                let answer = self.answer(world, request, &outcome);
                world.requests[request] = Request::Answered { answer, in_doubt, sent: Some(sent) };
            }
            Step::GiveUp(request) => {
                let Request::Waiting { sent, attempt, .. } = world.requests[request].clone() else { return None };
                world.requests[request] = self.next_attempt(sent, attempt, true);
            }
            Step::Throttle(request) => {
                let Request::Waiting { sent, attempt, in_doubt } = world.requests[request].clone() else { return None };
                world.requests[request] = self.next_attempt(sent, attempt, in_doubt);
            }
            Step::Arrive { request, reading } => {
                let (Request::Waiting { sent, .. } | Request::Answered { sent: Some(sent), .. }) =
                    world.requests[request].clone()
                else {
                    return None;
                };
                let held_back = match self.deliver(world, request, &Sent { reading, ..sent }, true) {
                    Outcome::Applied => return Some(()),
                    Outcome::Found { .. } | Outcome::Superseded => HeldBack::Token,
                    Outcome::Fenced(_) => HeldBack::Fence,
                    Outcome::Refused(_) => return None,
                };
                // One state for all of these: the path to it has the details.
                *world = self.start(Record::new(Status::Pending, 0));
                world.held_back = Some(held_back);
            }
            Step::Tick => world.time += 1,
        }
        Some(())
    }

    fn start(&self, record: Record) -> World {
        let requests = self.bounds.plans.len();
        World {
            time: 0,
            record,
            requests: vec![Request::Unsent; requests],
            applied: vec![None; requests],
            broken: BTreeSet::new(),
            held_back: None,
        }
    }
}

impl Model for Protocol {
    type State = World;
    type Action = Step;

    fn init_states(&self) -> Vec<World> {
        let first = self.bounds.first.iter();
        first.map(|(status, retry_count)| self.start(Record::new(*status, *retry_count))).collect()
    }

    fn actions(&self, world: &World, steps: &mut Vec<Step>) {
        if !world.broken.is_empty() || world.held_back.is_some() {
            return;
        }
        for (request, state) in world.requests.iter().enumerate() {
            match state {
                Request::Unsent => {
                    for body in self.bodies(world, request) {
                        let readings = world.time..=world.time + self.bounds.skew;
                        steps.extend(readings.map(|reading| Step::Send { request, body, reading }));
                    }
                }
                Request::Waiting { .. } => {
                    steps.extend([Step::Answer(request), Step::GiveUp(request), Step::Throttle(request)]);
                }
                Request::Answered { .. } => {}
            }
            let in_flight = self.in_flight(world, request).into_iter();
            steps.extend(in_flight.map(|reading| Step::Arrive { request, reading }));
        }
        // The service gives up after seconds, so that a request can span one tick and never two.
        let hangs = |state: &Request| matches!(state, Request::Waiting { sent, .. } if sent.at < world.time);
        let ends = |state: &Request| matches!(state, Request::Answered { sent: None, .. });
        if world.time < self.bounds.horizon && !world.requests.iter().any(hangs) && !world.requests.iter().all(ends) {
            steps.push(Step::Tick);
        }
    }

    fn next_state(&self, last: &World, step: Step) -> Option<World> {
        let mut world = last.clone();
        self.step(&mut world, step)?;
        self.tidy(&mut world);
        Some(world)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut properties = vec![
            Property::always(TABLE, |_, world: &World| only_the_table(&world.record)),
            Property::always(ONE_WINS, |_, world: &World| {
                let judged_on = || world.record.log.iter().map(|entry| entry.judged_on);
                let one_each = judged_on().zip(judged_on().skip(1)).all(|(version, next)| version < next);
                one_each && !world.broken.contains(&Broken::LoserMisled)
            }),
            Property::always(NEVER_REFUSED, |_, world: &World| !world.broken.contains(&Broken::AppliedAndRefused)),
            Property::always(NEVER_FEIGNED, |_, world: &World| !world.broken.contains(&Broken::AnsweredAndNotDone)),
            Property::always(NEVER_TWICE, |_, world: &World| !world.broken.contains(&Broken::AppliedTwice)),
            Property::always(NEVER_OVERWRITTEN, |_, world: &World| !world.broken.contains(&Broken::NewerOverwritten)),
            Property::always(TERMINAL, |_, world: &World| !world.broken.contains(&Broken::TerminalChanged)),
            Property::always(ONE_ATTEMPT, |_, world: &World| !world.broken.contains(&Broken::AppliedInOtherAttempt)),
            Property::always(OWN_ATTEMPT, |_, world: &World| !world.broken.contains(&Broken::OthersAttemptShown)),
            Property::always(TIMEOUT_RISES, |_, world: &World| !world.broken.contains(&Broken::TimeoutFell)),
        ];
        if self.bounds.refusals_bind_keys {
            properties.push(Property::always(REFUSALS_BIND_KEYS, |_, world: &World| {
                !world.broken.contains(&Broken::KeyAppliedAfterRefusal)
            }));
        }
        properties.extend(self.bounds.met.iter().map(|event| event.property()));
        properties
    }
}

/// Guarantee 1.
pub const TABLE: &str = "only transitions of the table happen";
/// Guarantee 2.
pub const ONE_WINS: &str = "one writer wins and the others learn which status beat them";
/// Guarantee 3.
pub const NEVER_REFUSED: &str = "an applied write is never answered as refused";
/// Guarantee 3, the other way round.
pub const NEVER_FEIGNED: &str = "what is answered as done was done";
/// Guarantee 3.
pub const NEVER_TWICE: &str = "no write is applied twice";
/// Guarantee 3, for values.
pub const NEVER_OVERWRITTEN: &str = "a repeat never overwrites a newer value";
/// Guarantee 4.
pub const TERMINAL: &str = "a terminal status and its result never change";
/// The present attempt.
pub const ONE_ATTEMPT: &str = "a write for an attempt is applied in that attempt alone";
/// The present attempt, as a claim's answer shows it.
pub const OWN_ATTEMPT: &str = "a claim answered as done is the present one";
/// `timeout_seconds`.
pub const TIMEOUT_RISES: &str = "a timeout never falls";
/// What is not guaranteed, see `main.rs`.
pub const REFUSALS_BIND_KEYS: &str = "after a refused repeat no earlier request with its key is applied";

fn only_the_table(record: &Record) -> bool {
    let mut status = record.first;
    for entry in &record.log {
        if !entry.to.allowed_sources().contains(&status) {
            return false;
        }
        status = entry.to;
    }
    status == record.status && record.retry_count <= MAX_RETRIES
}

impl Event {
    fn property(self) -> Property<Protocol> {
        match self {
            Self::Refused => Property::sometimes("a loser is refused", |_, world| has(world, Answer::Refused)),
            Self::DoneBefore => Property::sometimes("an attempt finds the token of one in doubt", |_, world| {
                has(world, Answer::DoneBefore)
            }),
            Self::Replayed => Property::sometimes("a repeat is answered as the success that it was", |_, world| {
                has(world, Answer::Replayed)
            }),
            Self::ReplayedAcross => Property::sometimes("a repeat finds a token in another bucket", |_, world| {
                has(world, Answer::ReplayedAcross)
            }),
            Self::Superseded => {
                Property::sometimes("a repeated claim learns of another's", |_, world| has(world, Answer::Superseded))
            }
            Self::KeyReused => {
                Property::sometimes("a key is refused for another body", |_, world| has(world, Answer::KeyReused))
            }
            Self::Unavailable => {
                Property::sometimes("the store is unavailable", |_, world| has(world, Answer::Unavailable))
            }
            Self::UnknownNotApplied => Property::sometimes("an outcome is unknown, nothing written", |model, world| {
                unknown(model, world, false)
            }),
            Self::UnknownApplied => Property::sometimes("an outcome is unknown, the write applied", |model, world| {
                unknown(model, world, true)
            }),
            Self::RefusedInDoubt => {
                Property::sometimes("a refusal is answered after an attempt in doubt", |_, world: &World| {
                    let refused = |state: &Request| {
                        matches!(state, Request::Answered { answer: Answer::Refused, in_doubt: true, .. })
                    };
                    world.requests.iter().any(refused)
                })
            }
            Self::HeldBack => Property::sometimes("a late attempt is held back by its token", |_, world: &World| {
                world.held_back == Some(HeldBack::Token)
            }),
            Self::Fenced => Property::sometimes("a late attempt is held back by the fence", |_, world: &World| {
                world.held_back == Some(HeldBack::Fence)
            }),
            Self::SentAgain => Property::sometimes("a fenced request is sent again", |_, world: &World| {
                let again = |state: &Request| matches!(state, Request::Waiting { sent, .. } if sent.round > 0);
                world.requests.iter().any(again)
            }),
            Self::TwoTransitions => {
                Property::sometimes("two changes of status follow each other", |_, world: &World| {
                    world.record.log.len() > 1
                })
            }
            Self::TokenCleared => Property::sometimes("a token is cleared", |_, world: &World| {
                let record = &world.record;
                world.applied.iter().flatten().any(|by| {
                    !record.log.iter().any(|entry| entry.by == *by) && !record.maps.iter().any(|map| map.contains(by))
                })
            }),
            Self::TwoBuckets => Property::sometimes("tokens of two buckets stand side by side", |_, world: &World| {
                world.record.maps.iter().filter(|map| !map.is_empty()).count() > 1
            }),
        }
    }
}

fn has(world: &World, wanted: Answer) -> bool {
    world.requests.iter().any(|state| matches!(state, Request::Answered { answer, .. } if *answer == wanted))
}

fn unknown(model: &Protocol, world: &World, applied: bool) -> bool {
    world.requests.iter().enumerate().any(|(request, state)| {
        matches!(state, Request::Answered { answer: Answer::Unknown, .. })
            && world.applied[model.write(request)].is_some() == applied
    })
}

/// The change that a body asks for, as the service's type.
fn change(body: Body) -> Change {
    let mut fields = FieldUpdates::default();
    let mut options = WriteOptions::default();
    let transition = body.to().map(RequestedTransition::report);
    match body {
        Body::To(_) | Body::ClaimAfter(_) | Body::CompleteFor(_) => {
            fields.final_output = body.to().filter(|to| to.is_terminal()).map(|_| JsonText::empty_object());
        }
        Body::Result => fields.final_output = Some(JsonText::empty_object()),
        Body::Note => fields.metadata = Some(JsonText::empty_object()),
        Body::NoteIfVersion(version) => {
            fields.metadata = Some(JsonText::empty_object());
            options.if_match = Some(IfMatch::Versions(vec![version]));
        }
        Body::RetryCount(count) => fields.retry_count = Some(count),
        Body::Timeout(timeout) => fields.timeout_seconds = Some(timeout),
    }
    Change { transition, fields, attempt: body.attempt(), options, ..Change::default() }
}

/// A request's write token, created by the service's own code.
fn token(plans: &[Plan], request: usize) -> WriteToken {
    let hashes = |key: u8, body: usize| {
        let body = u8::try_from(body).expect("few requests");
        IdempotencyKey { key: [key; 32], body: [body; 32] }
    };
    let key_of = |request: usize| match &plans[request] {
        Plan::New { key, .. } => *key,
        Plan::Repeat { .. } | Plan::OtherBody { .. } => None,
    };
    let key = match &plans[request] {
        Plan::New { key, .. } => key.map(|key| hashes(key, request)),
        Plan::Repeat { of } => key_of(*of).map(|key| hashes(key, *of)),
        Plan::OtherBody { of, .. } => key_of(*of).map(|key| hashes(key, request)),
    };
    let begun = Timestamp::from_millis(0).expect("a time");
    WriteToken::new(key.as_ref(), begun).expect("random numbers")
}
