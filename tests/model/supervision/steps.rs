//! The model: its steps, and which are possible.

use std::collections::BTreeSet;
use std::ops::Range;

use stateright::{Model, Property};

use super::event::{Event, Met};
use super::mistakes::Mistake;
use super::properties;
use super::record::{Record, TOLERANCE};
use super::world::{Body, Head, Phase, Request, World, Write};

/// What is modelled, and how far.
#[derive(Debug, Clone)]
pub struct Bounds {
    /// With what records it may begin.
    pub first: Vec<Record>,
    /// The requests: what each may ask for.
    pub requests: Vec<Vec<Body>>,
    /// How many attempts may be given up.
    pub give_ups: u8,
    /// The last time.
    pub horizon: u8,
    /// By how much one function's clock may be ahead of another's.
    pub skew: u8,
    /// Whether a pass reads the index and the head apart, so that either may lag behind the other.
    pub reads_apart: bool,
    /// What is done wrong.
    pub mistake: Option<Mistake>,
    /// The events that the search must meet.
    pub met: Vec<Event>,
}

/// A step. Requests for the same are interchangeable, and their numbers may change from one step to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// A request arrives, and its first write is sent.
    Send {
        /// Which.
        request: usize,
        /// What it asks for.
        body: Body,
        /// What its function's clock says.
        reading: u8,
        /// Whether the attempt is given up: it, or its answer, is lost or late.
        given_up: bool,
    },
    /// The second write of a heartbeat or of a cancel is sent.
    Proceed {
        /// Of which request.
        request: usize,
        /// What its function's clock says.
        reading: u8,
        /// Whether the attempt is given up.
        given_up: bool,
    },
    /// A pass reads the bound in the index, the head, or both.
    Look {
        /// Which.
        request: usize,
        /// The index.
        index: bool,
        /// The head.
        head: bool,
    },
    /// A pass writes.
    Settle {
        /// Which.
        request: usize,
        /// What.
        write: Write,
        /// Whether the attempt is given up.
        given_up: bool,
    },
    /// The service's next attempt after one that it gave up reaches the store, and its answer the service.
    Retry {
        /// Of which request.
        request: usize,
        /// What it writes.
        write: Write,
    },
    /// An attempt that was given up reaches the store. Any number of times, as a write has several.
    Arrive {
        /// Of which request.
        request: usize,
        /// Which of its late attempts.
        late: usize,
        /// What it writes.
        write: Write,
    },
    /// Time passes.
    Tick,
}

/// The model.
#[derive(Debug)]
pub struct Supervision {
    pub(super) bounds: Bounds,
    /// Which requests ask for the same: they are interchangeable.
    alike: Vec<Range<usize>>,
    /// The one property that is looked at; `None`: all.
    only: Option<&'static str>,
    met: Met,
}

impl Supervision {
    /// The model of these bounds.
    pub fn new(bounds: Bounds) -> Self {
        let mut alike: Vec<Range<usize>> = Vec::new();
        for (place, bodies) in bounds.requests.iter().enumerate() {
            match alike.last_mut().filter(|same| bounds.requests[same.start] == *bodies) {
                Some(same) => same.end += 1,
                None => alike.push(place..place + 1),
            }
        }
        Self { bounds, alike, only: None, met: Met::default() }
    }

    /// The same, for one property.
    pub fn of(bounds: Bounds, property: &'static str) -> Self {
        Self { only: Some(property), ..Self::new(bounds) }
    }

    /// The events that the search should have met, and has not.
    pub fn missed(&self) -> Vec<Event> {
        self.bounds.met.iter().copied().filter(|event| !self.met.has(*event)).collect()
    }

    pub(super) fn meet(&self, event: Event) {
        self.met.note(event);
    }

    /// Whether this is done wrong.
    pub(super) fn makes(&self, mistake: Mistake) -> bool {
        self.bounds.mistake == Some(mistake)
    }

    /// The last moment that a pass may hold for past at `time`, whatever its function's clock says: the fastest clock, less the
    /// tolerance. `None`: none since the beginning.
    pub(super) fn judged_at(&self, time: u8) -> Option<u8> {
        let tolerance = if self.makes(Mistake::NoTolerance) { 0 } else { TOLERANCE };
        (time + self.bounds.skew).checked_sub(tolerance)
    }

    fn step(&self, world: &mut World, step: Step) -> Option<()> {
        match step {
            Step::Send { request, body, reading, given_up } => {
                let write = self.first_write(world, body, reading);
                self.send(world, request, body, write, given_up);
            }
            Step::Proceed { request, reading, given_up } => match world.requests[request].phase {
                Phase::Reviving { body, version, bound } => {
                    self.send(world, request, body, Write::Revive { version, bound, stamp: reading }, given_up);
                }
                Phase::Ending(body) => self.send(world, request, body, Write::Cancel, given_up),
                _ => return None,
            },
            Step::Look { request, index, head } => {
                let (mut seen_index, mut seen_head) = match world.requests[request].phase {
                    Phase::Looking { index, head } => (index, head),
                    _ => (None, None),
                };
                if index {
                    seen_index = world.record.bound;
                }
                if head {
                    seen_head = Some(Head::of(&world.record));
                }
                world.requests[request].phase = Phase::Looking { index: seen_index, head: seen_head };
            }
            Step::Settle { request, write, given_up } => self.send(world, request, Body::Pass, write, given_up),
            Step::Retry { request, .. } => {
                let Phase::InDoubt(body) = world.requests[request].phase else { return None };
                self.retry(world, request, body);
            }
            Step::Arrive { request, late, .. } => self.arrive(world, request, late)?,
            Step::Tick => world.time += 1,
        }
        Some(())
    }

    /// Removes what no later step depends on, so that states that behave alike are one state.
    fn tidy(&self, world: &mut World) {
        world.renumber();
        for same in &self.alike {
            world.requests[same.clone()].sort_unstable();
        }
        if world.record.status.is_terminal() {
            // No condition of any write looks further than at the status.
            let Record { started, heard, spoke, force_at, .. } = &mut world.record;
            for time in [started, heard, spoke, force_at] {
                *time = None;
            }
        }
    }

    /// What a request may do next.
    fn next_of(&self, world: &World, request: usize, steps: &mut Vec<Step>) {
        let state = &world.requests[request];
        let bodies = match state.phase {
            Phase::Unsent => self.bounds.requests[request].clone(),
            Phase::Again(body) => vec![body],
            _ => Vec::new(),
        };
        let in_index = world.record.bound.is_some();
        for given_up in [false, true] {
            if given_up && world.give_ups == 0 {
                continue;
            }
            for &body in bodies.iter().filter(|body| **body != Body::Pass) {
                let is_stamped = !matches!(body, Body::Report(_) | Body::Timeout(_));
                let skew = if is_stamped { self.bounds.skew } else { 0 };
                let readings = world.time..=world.time + skew;
                steps.extend(readings.map(|reading| Step::Send { request, body, reading, given_up }));
            }
            match state.phase {
                Phase::Reviving { .. } => {
                    let readings = world.time..=world.time + self.bounds.skew;
                    steps.extend(readings.map(|reading| Step::Proceed { request, reading, given_up }));
                }
                Phase::Ending(_) => steps.push(Step::Proceed { request, reading: world.time, given_up }),
                Phase::Looking { index: Some(index), head: Some(head) } => {
                    let decisions = self.decisions(world.time, index, head).into_iter();
                    steps.extend(decisions.map(|write| Step::Settle { request, write, given_up }));
                }
                _ => {}
            }
        }
        let (index, head) = match state.phase {
            Phase::Unsent if bodies == [Body::Pass] => (None, None),
            Phase::Looking { index, head } => (index, head),
            Phase::InDoubt(_) => {
                steps.extend(state.late.last().map(|late| Step::Retry { request, write: late.write }));
                return;
            }
            _ => return,
        };
        if self.bounds.reads_apart {
            steps.extend(head.is_none().then_some(Step::Look { request, index: false, head: true }));
            let finds_it = index.is_none() && in_index;
            steps.extend(finds_it.then_some(Step::Look { request, index: true, head: false }));
        } else if head.is_none() && in_index {
            steps.push(Step::Look { request, index: true, head: true });
        }
    }
}

impl Model for Supervision {
    type State = World;
    type Action = Step;

    fn init_states(&self) -> Vec<World> {
        let requests = vec![Request { phase: Phase::Unsent, late: Vec::new() }; self.bounds.requests.len()];
        let start = |record: &Record| World {
            time: 0,
            give_ups: self.bounds.give_ups,
            record: record.clone(),
            requests: requests.clone(),
            broken: BTreeSet::new(),
        };
        self.bounds.first.iter().map(start).collect()
    }

    fn actions(&self, world: &World, steps: &mut Vec<Step>) {
        if !world.broken.is_empty() {
            return;
        }
        for (request, state) in world.requests.iter().enumerate() {
            let is_first = self.alike.iter().any(|same| same.start == request);
            if !is_first && world.requests[request - 1] == *state {
                // The one before it does the same.
                continue;
            }
            self.next_of(world, request, steps);
            let late = state.late.iter().enumerate();
            steps.extend(late.map(|(index, late)| Step::Arrive { request, late: index, write: late.write }));
        }
        if world.time < self.bounds.horizon {
            steps.push(Step::Tick);
        }
    }

    fn next_state(&self, last: &World, step: Step) -> Option<World> {
        let ended = last.record.status.is_terminal();
        if ended && matches!(step, Step::Tick | Step::Look { .. }) {
            return None;
        }
        let mut world = last.clone();
        self.step(&mut world, step)?;
        // After the end everything is refused, so that no state follows: what is sent then need not be told apart.
        if ended && world.broken.is_empty() && world.record == last.record {
            return None;
        }
        if self.only.is_some() && self.properties().iter().all(|property| (property.condition)(self, &world)) {
            // What else it breaks is not looked at.
            world.broken.clear();
        }
        self.tidy(&mut world);
        Some(world)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut properties = properties::all();
        properties.retain(|property| self.only.is_none_or(|only| only == property.name));
        properties
    }
}
