//! Counts the entries of a list, within a bound.

use aws_sdk_dynamodb::types::Select;
use futures_util::future::try_join_all;
use ratchet_model::error::Error;
use ratchet_model::limits::COUNT_LIMIT;

use super::scan::{IndexQuery, SCAN_BUDGET, entry_order, upper_bound_before};
use crate::Store;
use crate::attempts::failed_read;
use crate::table_keys as k;

impl Store {
    /// Counts a list, up to [`COUNT_LIMIT`]. Where a second filter would take too much reading it returns
    /// [`COUNT_LIMIT`]: a smaller number is always exact.
    pub(super) async fn count(&self, index_query: &IndexQuery<'_>) -> Result<usize, Error> {
        // The whole list, wherever the page is.
        let index_query = IndexQuery::new(index_query.organization, index_query.filter, None);
        if index_query.low > index_query.high {
            return Ok(0);
        }
        let limit = if index_query.is_filtered() {
            SCAN_BUDGET / usize::from(k::SHARDS)
        } else {
            COUNT_LIMIT / usize::from(k::SHARDS) * 5 / 4
        };
        let mut budget = SCAN_BUDGET;
        let mut open: Vec<(String, String)> =
            (0..k::SHARDS).map(|shard| (index_query.partition(shard), index_query.high.clone())).collect();
        let mut total = 0;
        while !open.is_empty() {
            let round = open.iter().map(|(partition, high)| self.count_next(&index_query, partition, high, limit));
            let mut still_open = Vec::new();
            for ((partition, _), (matching, read, resume_at)) in open.iter().zip(try_join_all(round).await?) {
                total += matching;
                budget = budget.saturating_sub(read);
                still_open.extend(resume_at.map(|high| (partition.clone(), high)));
            }
            open = still_open;
            if total >= COUNT_LIMIT || (budget == 0 && !open.is_empty()) {
                return Ok(COUNT_LIMIT);
            }
        }
        Ok(total)
    }

    /// Counts entries of a shard. Returns how many match, how many were read, and where to resume.
    async fn count_next(
        &self,
        index_query: &IndexQuery<'_>,
        partition: &str,
        high: &str,
        limit: usize,
    ) -> Result<(usize, usize, Option<String>), Error> {
        let (query, _) = self.index_query(index_query, partition, high, limit);
        let output = query.select(Select::Count).send().await.map_err(|error| failed_read(&error))?;
        let resume_at =
            output.last_evaluated_key.as_ref().map(entry_order).transpose()?.map(|low| upper_bound_before(&low));
        let number = |count: i32| usize::try_from(count).unwrap_or(0);
        Ok((number(output.count), number(output.scanned_count), resume_at.filter(|high| *high >= index_query.low)))
    }
}
