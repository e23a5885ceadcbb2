//! Events out in process: the embedded database's stream, handed to the function `publish_events` as Lambda's mapping of a
//! stream does, and a bus that prints.

use std::io::Write;
use std::sync::Mutex;
use std::time::Duration;

use dynoxide::Database;
use dynoxide::actions::describe_stream::DescribeStreamRequest;
use dynoxide::actions::get_records::GetRecordsRequest;
use dynoxide::actions::get_shard_iterator::GetShardIteratorRequest;
use dynoxide::actions::list_streams::ListStreamsRequest;
use lambda_http::{Context, LambdaEvent};
use publish_events::bus::{Bus, Entry, Refusal};
use publish_events::{Publisher, StreamEvent, key_of};
use ratchet_store::schema::HEAD_SK;
use ratchet_store::stream::sequence_number;
use serde_json::Value;
use tokio::time::MissedTickBehavior;

/// How often the stream is looked at.
const EVERY: Duration = Duration::from_millis(100);

/// After how long a batch that was not done is handed over again.
const REPEATED_AFTER: Duration = Duration::from_secs(1);

/// How many records a batch has at most, as in `template.yaml`.
pub const BATCH_SIZE: usize = 100;

/// The stream of a table, and how far it was read.
pub struct Changes {
    database: Database,
    arn: String,
    shard: String,
    iterator: String,
}

impl std::fmt::Debug for Changes {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Changes").field("arn", &self.arn).finish_non_exhaustive()
    }
}

impl Changes {
    /// What changes from now on in a table whose stream is on.
    ///
    /// # Errors
    ///
    /// Why the stream cannot be read.
    pub fn of(database: Database, table: &str) -> Result<Self, String> {
        let streams =
            database.list_streams(ListStreamsRequest { table_name: Some(table.to_owned()), ..Default::default() });
        let stream = streams.map_err(|error| error.to_string())?.streams.pop();
        let arn = stream.ok_or_else(|| format!("the table {table} has no stream"))?.stream_arn;
        let described = DescribeStreamRequest { stream_arn: arn.clone(), ..Default::default() };
        let described = database.describe_stream(described).map_err(|error| error.to_string())?;
        let shard = described.stream_description.shards.into_iter().next();
        let shard = shard.ok_or_else(|| format!("the stream of {table} has no shard"))?.shard_id;
        let mut changes = Self { database, arn, shard, iterator: String::new() };
        changes.iterator = changes.iterator("LATEST", None)?;
        Ok(changes)
    }

    fn iterator(&self, kind: &str, sequence_number: Option<String>) -> Result<String, String> {
        let request = GetShardIteratorRequest {
            stream_arn: self.arn.clone(),
            shard_id: self.shard.clone(),
            shard_iterator_type: kind.to_owned(),
            sequence_number,
        };
        let answer = self.database.get_shard_iterator(request).map_err(|error| error.to_string())?;
        answer.shard_iterator.ok_or_else(|| "the stream has no iterator".to_owned())
    }

    /// Hands the next records to the function, as a mapping with the filter and the answers of `template.yaml` does. Whether
    /// there were any, and whether all of them were done: if not, the next call begins with the first that was not.
    ///
    /// # Errors
    ///
    /// Why the stream cannot be read.
    pub async fn deliver<B: Bus>(
        &mut self,
        publisher: &Publisher<'_, B>,
        metrics: impl Write + Send,
    ) -> Result<Delivered, String> {
        let request = GetRecordsRequest { shard_iterator: self.iterator.clone(), limit: Some(BATCH_SIZE) };
        let read = self.database.get_records(request).map_err(|error| error.to_string())?;
        if read.records.is_empty() {
            return Ok(Delivered::Nothing);
        }
        let records = read.records.iter().map(serde_json::to_value).collect::<Result<Vec<Value>, _>>();
        let mut records = records.map_err(|error| error.to_string())?;
        records.retain(|record| key_of(record) == Some(HEAD_SK));
        let numbers: Vec<String> = records.iter().filter_map(sequence_number).map(str::to_owned).collect();
        if !records.is_empty() {
            let event = LambdaEvent::new(StreamEvent { records }, Context::default());
            let answer = publisher.handle(event, metrics).await.unwrap_or_else(|never| match never {});
            // Lambda goes on from the first of those that are named, and repeats the batch where it does not know one.
            if let Some(failure) = answer.failures.first() {
                let known = numbers.contains(&failure.sequence_number);
                let first = if known { Some(failure.sequence_number.clone()) } else { numbers.into_iter().next() };
                self.iterator = self.iterator("AT_SEQUENCE_NUMBER", first)?;
                return Ok(Delivered::InPart);
            }
        }
        self.iterator = read.next_shard_iterator.ok_or("the stream has ended")?;
        Ok(Delivered::All)
    }
}

/// What became of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivered {
    /// There was none.
    Nothing,
    /// All of it is done.
    All,
    /// A record of it is not.
    InPart,
}

/// Prints each event as one line of JSON.
#[derive(Debug)]
pub struct Printer<W>(Mutex<W>);

impl<W: Write> Printer<W> {
    /// To this.
    pub const fn new(out: W) -> Self {
        Self(Mutex::new(out))
    }

    fn print(&self, line: &str) -> Result<(), Refusal> {
        let later = |reason: &str| Refusal::Later(reason.to_owned());
        let mut out = self.0.lock().map_err(|_| later("somebody ended while printing"))?;
        writeln!(out, "{line}").and_then(|()| out.flush()).map_err(|error| later(&error.to_string()))
    }
}

impl<W: Write + Send> Bus for Printer<W> {
    async fn put(&self, entries: &[Entry<'_>]) -> Vec<Result<(), Refusal>> {
        entries.iter().map(|entry| self.print(entry.body)).collect()
    }
}

/// Hands over what changes, for ever.
pub async fn run<B: Bus>(mut changes: Changes, publisher: Publisher<'_, B>) {
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        match changes.deliver(&publisher, std::io::sink()).await {
            Ok(Delivered::All) => {}
            Ok(Delivered::Nothing) => {
                ticks.tick().await;
            }
            Ok(Delivered::InPart) => tokio::time::sleep(REPEATED_AFTER).await,
            Err(error) => {
                tracing::error!(error, "the stream cannot be read: events are told no more");
                return;
            }
        }
    }
}
