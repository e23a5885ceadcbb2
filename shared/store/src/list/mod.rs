//! A page of executions, newest first: one round of queries over the shards of an index, merged, then one round that
//! fetches the records.
//!
//! A walk by cursor is exact because the order of an index never changes: an execution keeps its place from its
//! creation on, and a page starts below the last place that was passed. Indexes follow the table within moments, not at
//! once. The records themselves are read consistently, and a record that has left the requested status is not shown.

mod count;
mod scan;

use std::collections::HashMap;
use std::time::Duration;

use futures_util::future::{try_join, try_join_all};
use ratchet_model::caller::Caller;
use ratchet_model::error::Error;
use ratchet_model::execution::Execution;
use ratchet_model::id::OrganizationId;
use ratchet_model::limits::COUNT_LIMIT;
use ratchet_model::list::{Filter, ListQuery, Position, Start};
use serde_json::value::{RawValue, to_raw_value};

use self::scan::{IndexQuery, entry_order};
use crate::Store;
use crate::attempts::failed_read;
use crate::expression::text;
use crate::item::{Inputs, Item, has_inputs_apart, read_execution};
use crate::schema as a;
use crate::table_keys as k;

/// How long a list may take in all: less than the function's timeout, so that the caller gets the service's own answer.
const LIST_TIMEOUT: Duration = Duration::from_secs(9);

/// How many bytes of records one answer may carry. Lambda returns at most 6 MiB, in which the body is a JSON string:
/// its quotes and backslashes count twice ([`escaped_len`]).
const MAX_ANSWER: usize = 6 * 1024 * 1024 - 64 * 1024;

/// How many records one `BatchGetItem` requests: 25 of 400 KB stay below the 16 MB that it returns at once.
const BATCH: usize = 25;

/// A page of a list.
#[derive(Debug)]
pub struct Page {
    /// The records, as JSON.
    pub executions: Vec<Box<RawValue>>,
    /// How many there are; exact below [`COUNT_LIMIT`], and counted at the start of a walk by cursor.
    pub total_count: u32,
    /// The number of this page.
    pub page: u64,
    /// Where the next page starts; `None` at the end.
    pub next: Option<Position>,
}

impl Store {
    /// A page of an organization's executions.
    ///
    /// # Errors
    ///
    /// [`Error::PageOutOfReach`], [`Error::PageTooLarge`], [`Error::StoreUnavailable`].
    pub async fn list(&self, caller: &Caller, query: &ListQuery) -> Result<Page, Error> {
        // Each request has its own time limit, but a query may take many of them, one after the other.
        tokio::time::timeout(LIST_TIMEOUT, self.page(caller, query))
            .await
            .unwrap_or_else(|_| Err(Error::StoreUnavailable { reason: "the list took too long".to_owned() }))
    }

    async fn page(&self, caller: &Caller, query: &ListQuery) -> Result<Page, Error> {
        let organization = &caller.organization;
        let filter = &query.filter;
        // Where the page starts, by cursor or by number.
        let after = match &query.start {
            Start::Cursor(position) => Some(*position),
            Start::Beginning | Start::Page(_) => None,
        };
        let (page, offset) = match (&query.start, &after) {
            (Start::Page(page), _) => (*page, offset(*page, query.page_size)),
            (_, Some(position)) => (position.page, 0),
            _ => (1, 0),
        };
        let index_query = IndexQuery::new(organization, filter, after.as_ref());

        // A page that ends beyond the counted entries is out of reach in a longer list, and empty after the end of a
        // shorter one.
        let mut known_total = after.map(|position| position.total_count);
        if offset.saturating_add(query.page_size) > COUNT_LIMIT {
            let total = self.count(&index_query).await?;
            if total >= COUNT_LIMIT {
                return Err(Error::PageOutOfReach { page });
            }
            known_total = Some(as_count(total));
            if offset >= total {
                return Ok(Page { executions: Vec::new(), total_count: as_count(total), page, next: None });
            }
        }

        // Numbered pages have equal size: a caller that counts on it would never see the records that a short page
        // leaves out.
        let numbered = matches!(query.start, Start::Page(_));
        let result = self.scan(&index_query, offset + query.page_size + 1, numbered).await?;
        if numbered && result.scanned_to.is_some() && result.orders.len() < offset + query.page_size {
            return Err(Error::PageOutOfReach { page });
        }
        // A list that fits into its first page is counted already.
        let complete = offset == 0 && !result.more && result.scanned_to.is_none() && after.is_none();
        if complete && result.orders.len() <= query.page_size {
            known_total = Some(as_count(result.orders.len()));
        }
        // The records of the page and, where it is not known yet, the total: at once.
        let orders: Vec<&String> = result.orders.iter().skip(offset).take(query.page_size).collect();
        let total = async {
            match known_total {
                Some(total) => Ok(total),
                None => self.count(&index_query).await.map(as_count),
            }
        };
        let (total_count, records) = try_join(total, self.fetch(organization, &orders)).await?;

        // The records that fit into one answer, in their order.
        let mut executions = Vec::with_capacity(records.len());
        let mut answer_len = 0;
        let mut last_shown = None;
        let mut truncated = false;
        for order in &orders {
            if let Some(execution) = records.get(order.as_str()).filter(|execution| still_matches(execution, filter)) {
                let record = to_raw_value(execution).map_err(|error| Error::internal(error.to_string()))?;
                answer_len += escaped_len(record.get());
                if answer_len > MAX_ANSWER && !executions.is_empty() {
                    truncated = true;
                    break;
                }
                executions.push(record);
            }
            last_shown = Some(order.as_str());
        }
        if truncated && numbered {
            return Err(Error::PageTooLarge { page_size: query.page_size, fitting: executions.len() });
        }

        // The next page starts after the last order shown; where no known order is left, after all that was read.
        let has_known_rest = truncated || result.orders.len() > offset + query.page_size;
        let resume_after = if has_known_rest {
            last_shown
        } else if result.more {
            result.scanned_to.as_deref().or(last_shown)
        } else {
            None
        };
        let next = resume_after.and_then(k::parse_order).map(|(created_at, id)| Position {
            created_at,
            id,
            page: page.saturating_add(1),
            total_count,
        });
        Ok(Page { executions, total_count, page, next })
    }

    /// Fetches the records of index entries, by their order.
    async fn fetch(
        &self,
        organization: &OrganizationId,
        orders: &[&String],
    ) -> Result<HashMap<String, Execution>, Error> {
        let mut keys = Vec::with_capacity(orders.len());
        for order in orders {
            let (_, id) = k::parse_order(order).ok_or_else(|| Error::internal("an index entry without an id"))?;
            keys.push(Item::from([
                (a::PK.to_owned(), text(k::execution_pk(organization, &id))),
                (a::SK.to_owned(), text(a::HEAD_SK)),
            ]));
        }
        let batches =
            try_join_all(keys.chunks(BATCH).map(|keys| self.fetch_batch::<Error>(keys.to_vec(), failed_read))).await?;
        let heads: Vec<Item> = batches.into_iter().flatten().collect();
        let inputs = self.fetch_inputs(&heads).await?;
        let mut records = HashMap::with_capacity(orders.len());
        for head in &heads {
            let inputs = partition(head).and_then(|pk| inputs.get(pk));
            records.insert(entry_order(head)?, read_execution(head, Inputs::Read(inputs))?);
        }
        Ok(records)
    }

    /// Fetches the inputs of those executions that have them in an item of their own, by the partition.
    async fn fetch_inputs(&self, heads: &[Item]) -> Result<HashMap<String, Item>, Error> {
        let apart = heads.iter().filter(|head| has_inputs_apart(head)).filter_map(partition);
        let key = |pk: &str| Item::from([(a::PK.to_owned(), text(pk)), (a::SK.to_owned(), text(a::INPUTS_SK))]);
        let keys: Vec<Item> = apart.map(key).collect();
        let batches =
            try_join_all(keys.chunks(BATCH).map(|keys| self.fetch_batch::<Error>(keys.to_vec(), failed_read))).await?;
        let items = batches.into_iter().flatten();
        Ok(items.filter_map(|item| Some((partition(&item)?.to_owned(), item))).collect())
    }
}

fn partition(item: &Item) -> Option<&str> {
    item.get(a::PK)?.as_s().ok().map(String::as_str)
}

/// The index may lag: a record that has left the requested status is not in the list any more.
fn still_matches(execution: &Execution, filter: &Filter) -> bool {
    filter.status.is_none_or(|status| execution.status == status)
}

/// How many executions are before a page.
fn offset(page: u64, page_size: usize) -> usize {
    usize::try_from(page.saturating_sub(1)).unwrap_or(usize::MAX).saturating_mul(page_size)
}

fn as_count(total: usize) -> u32 {
    u32::try_from(total.min(COUNT_LIMIT)).unwrap_or(u32::MAX)
}

/// How many bytes a text takes inside a JSON string.
fn escaped_len(text: &str) -> usize {
    text.len() + text.bytes().filter(|byte| matches!(byte, b'"' | b'\\')).count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_number_beyond_every_bound_does_not_overflow() {
        assert_eq!(offset(1, 20), 0);
        assert_eq!(offset(3, 20), 40);
        assert_eq!(offset(u64::MAX, 100), usize::MAX);
    }
}
