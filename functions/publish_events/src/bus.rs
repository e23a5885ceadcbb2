//! Where events go, and how a batch of them gets there.

use std::time::Duration;

use ratchet_model::event::Event;
use tokio::time::{Instant, sleep, timeout_at};

/// How many events a request holds: what `PutEvents` takes.
pub const PUT_AT_ONCE: usize = 10;

/// The pauses before the events that were not taken are put again, and again. After the last of them the stream repeats the
/// whole batch.
pub const PAUSES: [Duration; 3] = [Duration::from_millis(50), Duration::from_millis(200), Duration::from_millis(800)];

/// Why a bus did not take an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// It may take it the next time: it was throttled, did not answer, or may not be called at present.
    Later(String),
    /// It will not take this event, however often.
    Never(String),
}

/// An event, in the form in which it is put.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a> {
    /// The event.
    pub event: &'a Event,
    /// Its body, whole or without `metadata`.
    pub body: &'a str,
}

/// What takes events.
pub trait Bus: Sync {
    /// Puts at most [`PUT_AT_ONCE`] events. The outcome of each, in order: it may take some and not the others.
    fn put(&self, entries: &[Entry<'_>]) -> impl Future<Output = Vec<Result<(), Refusal>>> + Send;
}

/// What became of a batch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Published {
    /// How many events the bus took.
    pub taken: u64,
    /// How many it will never take.
    pub refused: u64,
    /// The first record of which an event was not taken, if there is one: from it on the batch is to be repeated.
    pub left_from: Option<usize>,
}

/// An event that has not been taken yet.
struct Left<'a> {
    record: usize,
    event: &'a Event,
    /// Whether the bus refused it with its `metadata`.
    bare: bool,
}

impl<'a> Left<'a> {
    fn entry(&self) -> Entry<'a> {
        let bare = self.event.without_metadata.as_deref().filter(|_| self.bare);
        Entry { event: self.event, body: bare.unwrap_or(&self.event.body) }
    }

    /// The same without `metadata`, which may be what the bus does not take: a number that its reader does not know, say.
    fn without_metadata(self) -> Option<Self> {
        (!self.bare && self.event.without_metadata.is_some()).then_some(Self { bare: true, ..self })
    }
}

/// Puts the events of the records of a batch, in order, and begins nothing after `stop`.
///
/// It ends at the first events that the bus does not take after all the pauses: what comes after them would be repeated with
/// them.
pub async fn publish<B: Bus>(bus: &B, records: &[Vec<Event>], pauses: &[Duration], stop: Instant) -> Published {
    let mut published = Published::default();
    let all: Vec<(usize, &Event)> = records
        .iter()
        .enumerate()
        .flat_map(|(record, events)| events.iter().map(move |event| (record, event)))
        .collect();
    for events in all.chunks(PUT_AT_ONCE) {
        let mut left: Vec<Left> = events.iter().map(|&(record, event)| Left { record, event, bare: false }).collect();
        for pause in std::iter::once(Duration::ZERO).chain(pauses.iter().copied()) {
            if left.is_empty() || Instant::now() + pause >= stop {
                break;
            }
            sleep(pause).await;
            let entries: Vec<Entry> = left.iter().map(Left::entry).collect();
            // What is still under way then may be taken all the same: it is put once more, with the same id.
            let Ok(outcomes) = timeout_at(stop, bus.put(&entries)).await else { break };
            let mut outcomes = outcomes.into_iter();
            let mut again = Vec::new();
            for one in left {
                match outcomes.next() {
                    Some(Ok(())) => published.taken += 1,
                    Some(Err(Refusal::Never(reason))) => {
                        let id = one.event.id.as_str();
                        tracing::error!(event = id, bare = one.bare, reason, "the bus does not take an event");
                        match one.without_metadata() {
                            Some(bare) => again.push(bare),
                            None => published.refused += 1,
                        }
                    }
                    Some(Err(Refusal::Later(reason))) => {
                        tracing::warn!(event = one.event.id.as_str(), reason, "the bus did not take an event");
                        again.push(one);
                    }
                    // A bus that says nothing of an event did not take it.
                    None => again.push(one),
                }
            }
            left = again;
        }
        if let Some(first) = left.iter().map(|left| left.record).min() {
            published.left_from = Some(first);
            return published;
        }
    }
    published
}
