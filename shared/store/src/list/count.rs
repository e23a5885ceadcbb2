//! Counts the entries of a list, within a bound.

use std::time::Duration;

use aws_sdk_dynamodb::types::Select;
use futures_util::future::try_join_all;
use ratchet_model::error::Error;

use super::scan::{IndexQuery, Scan, Shard, entry_order};
use crate::Store;
use crate::attempts::failed_read;

/// How long a page waits for its count. Less than what the page itself may take: a count that is slow costs the caller the
/// count, not the page.
const COUNT_TIMEOUT: Duration = Duration::from_millis(1_500);

/// How many entries are read for each that may be counted, where a second filter applies.
const READ_FOR_EACH: usize = 10;

/// The fewest entries that a query reads: a kilobyte or two, which costs what a single one does.
const MIN_COUNT_LIMIT: usize = 16;

/// The most entries that a query reads where a second filter applies.
const MAX_FILTERED_LIMIT: usize = 2_000;

impl Store {
    /// Counts a list of which a page was read, up to `limit`: exact below it. `None` where a second filter would take too
    /// much reading, where DynamoDB does not answer in time, or at all: the page is there without it.
    pub(super) async fn count_or_none(&self, scan: &Scan<'_>, limit: usize) -> Option<usize> {
        match tokio::time::timeout(COUNT_TIMEOUT, self.count(scan, limit)).await {
            Ok(Ok(total)) => total,
            Ok(Err(error)) => {
                tracing::warn!(%error, "a list could not be counted");
                None
            }
            Err(_) => {
                tracing::warn!("counting a list took too long");
                None
            }
        }
    }

    /// Counts a list, up to `limit`, on from where `scan` has read it. `None` where a second filter would take too much
    /// reading.
    pub(super) async fn count(&self, scan: &Scan<'_>, limit: usize) -> Result<Option<usize>, Error> {
        let is_filtered = scan.query.is_filtered();
        let mut total = scan.found();
        let mut budget = limit.saturating_mul(READ_FOR_EACH);
        let mut open = scan.rest();
        while total < limit && !open.is_empty() {
            // What is still to be found, or may still be read, spread over the shards.
            let each = if is_filtered {
                (budget / open.len()).min(MAX_FILTERED_LIMIT)
            } else {
                (limit - total).div_ceil(open.len())
            };
            for group in open.chunk_by_mut(|one, other| one.group == other.group) {
                let round =
                    group.iter_mut().map(|shard| self.count_next(&scan.query, shard, each.max(MIN_COUNT_LIMIT)));
                for (matching, read) in try_join_all(round).await? {
                    total += matching;
                    budget = budget.saturating_sub(read);
                }
            }
            open.retain(|shard| shard.low.is_some());
            if is_filtered && budget == 0 && total < limit && !open.is_empty() {
                return Ok(None);
            }
        }
        Ok(Some(total.min(limit)))
    }

    /// Counts entries of a shard. Returns how many match, and how many were read.
    async fn count_next(
        &self,
        index_query: &IndexQuery<'_>,
        shard: &mut Shard,
        limit: usize,
    ) -> Result<(usize, usize), Error> {
        let (query, _) = self.index_query(index_query, shard, limit);
        let output = query.select(Select::Count).send().await.map_err(|error| failed_read(&error))?;
        let low = output.last_evaluated_key.as_ref().map(entry_order).transpose()?;
        shard.read_to(low, index_query.low());
        let number = |count: i32| usize::try_from(count).unwrap_or(0);
        Ok((number(output.count), number(output.scanned_count)))
    }
}
