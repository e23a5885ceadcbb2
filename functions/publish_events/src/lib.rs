//! Events out, on the table's stream: tells of each creation and each transition on a bus, at least once, and writes one line
//! of metrics for each execution that ended (contract, "Events out").
//!
//! It reads nothing but the records that Lambda hands to it. What the bus did not take is reported back by its sequence number,
//! and Lambda repeats the batch from there. A record that can never succeed is logged, counted and passed: it would hold up
//! everything behind it for a day.

pub mod bus;
pub mod ended;
pub mod eventbridge;

use std::convert::Infallible;
use std::io::Write;
use std::time::Duration;

use lambda_runtime::LambdaEvent;
use ratchet_model::clock::Clock;
use ratchet_model::event::Event;
use ratchet_runtime::metrics::{self, Unit};
use ratchet_store::stream::{HeadChange, read_record, sequence_number};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::Instant;

use crate::bus::{Bus, Published, publish};

/// The function's name, in logs.
pub const NAME: &str = "publish_events";

/// How long before the function's own timeout it puts no event any more.
const RESERVE: Duration = Duration::from_secs(2);

/// How long a batch may take where nobody says when the function is ended.
const LONGEST: Duration = Duration::from_secs(50);

/// What Lambda hands over: records of the stream. Each is read by itself, so that one that is damaged harms no other.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct StreamEvent {
    /// The records, in the order of the stream.
    #[serde(rename = "Records", default)]
    pub records: Vec<Value>,
}

/// The sort key of the item of a record, by which the mapping chooses those of executions' heads.
#[must_use]
pub fn key_of(record: &Value) -> Option<&str> {
    record.get("dynamodb")?.get("Keys")?.get("sk")?.get("S")?.as_str()
}

/// From where on Lambda is to repeat the batch: nowhere, or one record.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Answer {
    /// The record that was not done. Those before it were, and all after it come again.
    #[serde(rename = "batchItemFailures")]
    pub failures: Vec<Failure>,
}

/// A record that was not done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// Its sequence number.
    #[serde(rename = "itemIdentifier")]
    pub sequence_number: String,
}

/// What a function needs besides the records.
#[derive(Debug)]
pub struct Publisher<'a, B> {
    /// Where the events go; `None`: nowhere, and the metrics are written all the same.
    pub bus: Option<&'a B>,
    /// The time.
    pub clock: &'a dyn Clock,
    /// The name of the table, in the metrics.
    pub table: &'a str,
    /// The pauses before what was not taken is put again: [`bus::PAUSES`], but in tests.
    pub pauses: &'a [Duration],
}

impl<B: Bus> Publisher<'_, B> {
    /// Publishes a batch. Its lines of metrics go to `metrics`.
    ///
    /// # Errors
    ///
    /// None: what was not taken is in the answer.
    pub async fn handle(
        &self,
        event: LambdaEvent<StreamEvent>,
        mut metrics: impl Write + Send,
    ) -> Result<Answer, Infallible> {
        let begun = Instant::now();
        let records = event.payload.records;
        let mut damaged = 0_u64;
        let changes: Vec<(Option<HeadChange>, Vec<Event>)> = records
            .iter()
            .map(|record| {
                let read = read_record(record)
                    .and_then(|change| Ok((change.as_ref().map(HeadChange::events).transpose()?, change)));
                match read {
                    Ok((events, change)) => (change, events.unwrap_or_default()),
                    Err(error) => {
                        damaged += 1;
                        let number = sequence_number(record).unwrap_or_default();
                        tracing::error!(sequence_number = number, reason = %error, "a record is passed over");
                        (None, Vec::new())
                    }
                }
            })
            .collect();
        let (changes, events): (Vec<Option<HeadChange>>, Vec<Vec<Event>>) = changes.into_iter().unzip();
        let published = match self.bus {
            Some(bus) => {
                let stop = begun + self.time_left(event.context.deadline);
                publish(bus, &events, self.pauses, stop).await
            }
            None => Published::default(),
        };
        let done = published.left_from.unwrap_or(records.len());
        for change in changes.iter().take(done).flatten() {
            if let Some(end) = change.end() {
                ended::write(&mut metrics, &change.execution, end);
            }
        }
        self.report(&event.context.request_id, records.len(), damaged, &published, begun, metrics);
        // A record without a number could not be named, and nothing that Lambda sends is without one.
        let first = published.left_from.and_then(|first| records.get(first)).and_then(sequence_number);
        let failures = first.map(|number| Failure { sequence_number: number.to_owned() });
        Ok(Answer { failures: failures.into_iter().collect() })
    }

    /// One line of the log, and one of metrics, for the batch.
    fn report(
        &self,
        request_id: &str,
        records: usize,
        damaged: u64,
        published: &Published,
        begun: Instant,
        metrics: impl Write,
    ) {
        let Published { taken, refused, left_from } = published;
        tracing::info!(
            operation = NAME,
            records,
            taken,
            refused,
            damaged,
            left_from,
            ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
            request_id,
        );
        #[expect(clippy::cast_precision_loss, reason = "counts of one batch are far below 2^52")]
        let count = |count: u64| count as f64;
        let values = [
            ("EventsTaken", Unit::Count, count(*taken)),
            ("EventsPassedOver", Unit::Count, count(damaged + refused)),
            ("BatchesRepeated", Unit::Count, if left_from.is_some() { 1.0 } else { 0.0 }),
        ];
        metrics::write(metrics, self.clock.now(), &[("Table", self.table)], &values, &[]);
    }

    /// How long a batch may take that Lambda ends at `deadline`, in epoch milliseconds; 0: it does not say.
    fn time_left(&self, deadline: u64) -> Duration {
        let now = self.clock.now().millis().unsigned_abs();
        let left = deadline.checked_sub(now).map(Duration::from_millis).and_then(|left| left.checked_sub(RESERVE));
        if deadline == 0 { LONGEST } else { left.unwrap_or_default() }
    }
}

#[cfg(test)]
mod tests {
    use ratchet_model::clock::SystemClock;

    use super::*;
    use crate::bus::{Entry, Refusal};

    struct Nowhere;

    impl Bus for Nowhere {
        async fn put(&self, _: &[Entry<'_>]) -> Vec<Result<(), Refusal>> {
            Vec::new()
        }
    }

    #[test]
    fn a_batch_ends_before_the_function_is_ended() {
        let publisher = Publisher { bus: None::<&Nowhere>, clock: &SystemClock, table: "t", pauses: &bus::PAUSES };
        let now = SystemClock.now().millis().unsigned_abs();
        assert_eq!(publisher.time_left(0), LONGEST);
        assert_eq!(publisher.time_left(now - 1), Duration::ZERO);
        assert_eq!(publisher.time_left(now + 1_000), Duration::ZERO);
        let left = publisher.time_left(now + 10_000);
        assert!(left <= Duration::from_secs(8) && left > Duration::from_secs(6), "{left:?}");
    }
}
