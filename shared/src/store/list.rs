//! A page of executions, newest first: one round of queries over the shards of an index, merged, then one round that
//! fetches the records.
//!
//! A walk by cursor is exact because the order of an index never changes: an execution keeps its place from the day it
//! is made, and a page starts below the last place that was passed. Indexes follow the table within moments, not at
//! once; the records themselves are read consistently, and one that left the status asked for is not shown.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_dynamodb::config::Builder;
use aws_sdk_dynamodb::config::http::HttpResponse;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::batch_get_item::BatchGetItemError;
use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes, Select};
use futures_util::future::{try_join, try_join_all};
use serde_json::value::{RawValue, to_raw_value};

use super::attempts::failed_read;
use super::attributes as a;
use super::cursor::{CursorKey, Position};
use super::expression::{Expression, text};
use super::item::{Item, read_execution};
use super::{BATCH_ATTEMPT_TIMEOUT, BATCH_OPERATION_TIMEOUT, Index, Store, timeouts};
use crate::auth::Caller;
use crate::error::Error;
use crate::execution::{Execution, Named};
use crate::request::list::{Filter, ListQuery, Start};
use crate::request::problems::Fault;

/// Up to where executions are counted, and reached by page number.
pub const WINDOW: usize = 10_000;

/// How long a list may take in all: less than the function, so that the caller gets an answer of ours.
const LIST_TIMEOUT: Duration = Duration::from_secs(9);

/// How many bytes of records one answer may carry. Lambda returns at most 6 MiB, in which the body stands as a JSON
/// string: its quotes and backslashes count twice ([`weight`]).
const MAX_ANSWER: usize = 6 * 1024 * 1024 - 64 * 1024;

/// How many records one `BatchGetItem` asks for: 25 of 400 KB stay below the 16 MB that it returns at once.
const BATCH: usize = 25;

/// How many entries one query reads where it has to look for a second filter.
const FILTERED_LIMIT: usize = 500;

/// How many entries a page with a second filter reads before it is answered short.
const FILTERED_BUDGET: usize = 2 * FILTERED_LIMIT * a::SHARDS as usize;

/// How many entries are read to reach a numbered page, or to count, with a second filter.
const SEARCH_BUDGET: usize = 100_000;

/// How often keys that a busy table left out are asked for again.
const BATCH_TRIES: usize = 3;

/// A page of a list.
#[derive(Debug)]
pub struct Page {
    /// The records, as JSON.
    pub executions: Vec<Box<RawValue>>,
    /// How many there are; exact below [`WINDOW`], and counted at the start of a walk by cursor.
    pub total_count: u32,
    /// The number of this page.
    pub page: u64,
    /// Where the next page starts; `None` at the end.
    pub next: Option<String>,
}

/// What a query of an index asks for.
struct Search<'a> {
    organization: &'a str,
    index: Index,
    filter: &'a Filter,
    low: String,
    high: String,
}

impl<'a> Search<'a> {
    fn new(organization: &'a str, filter: &'a Filter, after: Option<&Position>) -> Self {
        let index = match filter {
            Filter { status: Some(_), .. } => Index::ByStatus,
            Filter { flow_id: Some(_), .. } => Index::ByFlow,
            _ => Index::ByOrganization,
        };
        // A bare time is less than every order of that time: `created_before` itself is not in, `created_after` is.
        let low = filter.created_after.map_or_else(|| "0".to_owned(), a::order_time);
        let before = filter.created_before.map_or_else(|| "~".to_owned(), a::order_time);
        let passed = after.map(|position| below(&a::order(position.created_at, &position.id)));
        let high = passed.map_or(before.clone(), |passed| passed.min(before));
        Self { organization, index, filter, low, high }
    }

    /// Whether entries must be read that are not in the list.
    fn is_filtered(&self) -> bool {
        self.filter.trigger_type.is_some() || (self.index == Index::ByStatus && self.filter.flow_id.is_some())
    }

    fn partition(&self, shard: u8) -> String {
        match (self.index, self.filter.status, &self.filter.flow_id) {
            (Index::ByStatus, Some(status), _) => a::status_partition(self.organization, shard, status),
            (Index::ByFlow, _, Some(flow_id)) => a::flow_partition(self.organization, shard, flow_id),
            _ => a::organization_partition(self.organization, shard),
        }
    }

    /// The filter expression for what the index's key does not decide.
    fn remaining(&self, expression: &mut Expression) -> Option<String> {
        let mut equals = |name: &str, value: &str| {
            let (name, value) = (expression.name(name), expression.value(text(value)));
            format!("{name} = {value}")
        };
        let mut conditions = Vec::new();
        if let (Index::ByStatus, Some(flow_id)) = (self.index, &self.filter.flow_id) {
            conditions.push(equals(a::FLOW_ID, flow_id));
        }
        if let Some(trigger_type) = self.filter.trigger_type {
            conditions.push(equals(a::TRIGGER_TYPE, trigger_type.name()));
        }
        (!conditions.is_empty()).then(|| conditions.join(" AND "))
    }
}

/// The greatest text below `order` that matters: less than it, and not less than any order before it.
fn below(order: &str) -> String {
    let mut characters = order.chars();
    // An order ends with a digit of an id.
    let last = characters.next_back().and_then(|last| char::from_u32(u32::from(last) - 1)).unwrap_or('/');
    format!("{}{last}~", characters.as_str())
}

/// What is known of one shard of the list: everything above `low`.
struct Shard {
    partition: String,
    /// Where the next query starts.
    high: String,
    /// Everything of the shard above this has been read; `None` once all has.
    low: Option<String>,
}

/// What was found in an index.
struct Found {
    /// The orders, newest first; complete down to the last one.
    orders: Vec<String>,
    /// Whether there may be more below them.
    more: bool,
    /// Down to where everything has been read, if not to the end.
    frontier: Option<String>,
}

impl Store {
    /// A page of an organization's executions.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for pages that cannot be reached or do not fit;
    /// [`Error::StoreUnavailable`].
    pub async fn list(&self, caller: &Caller, query: &ListQuery, cursors: &CursorKey) -> Result<Page, Error> {
        // Each request has its own limit, but a search may take many of them, one after the other.
        tokio::time::timeout(LIST_TIMEOUT, self.page(caller, query, cursors))
            .await
            .unwrap_or_else(|_| Err(Error::StoreUnavailable { reason: "the list took too long".to_owned() }))
    }

    async fn page(&self, caller: &Caller, query: &ListQuery, cursors: &CursorKey) -> Result<Page, Error> {
        let organization = &caller.organization;
        let filter = &query.filter;
        let after = match &query.start {
            Start::Cursor(position) => Some(*position),
            Start::Beginning | Start::Page(_) => None,
        };
        let (page, offset) = match (&query.start, &after) {
            (Start::Page(page), _) => (*page, offset(*page, query.page_size)),
            (_, Some(position)) => (position.page, 0),
            _ => (1, 0),
        };
        let search = Search::new(organization, filter, after.as_ref());

        let mut known_total = after.map(|position| position.total_count);
        if offset.saturating_add(query.page_size) > WINDOW {
            let total = self.count(&search).await?;
            if total >= WINDOW {
                return Err(Fault::PageTooFar.of_parameter("page", &page.to_string()));
            }
            known_total = Some(as_count(total));
            if offset >= total {
                return Ok(Page { executions: Vec::new(), total_count: as_count(total), page, next: None });
            }
        }

        // Numbered pages are of equal size: a short one would hide what it leaves out from those that count on it.
        let numbered = matches!(query.start, Start::Page(_));
        let found = self.find(&search, offset + query.page_size + 1, numbered).await?;
        if numbered && found.frontier.is_some() && found.orders.len() < offset + query.page_size {
            return Err(Fault::PageTooFar.of_parameter("page", &page.to_string()));
        }
        let complete = offset == 0 && !found.more && found.frontier.is_none() && after.is_none();
        if complete && found.orders.len() <= query.page_size {
            known_total = Some(as_count(found.orders.len()));
        }
        let orders: Vec<&String> = found.orders.iter().skip(offset).take(query.page_size).collect();
        let total = async {
            match known_total {
                Some(total) => Ok(total),
                None => self.count(&search).await.map(as_count),
            }
        };
        let (total_count, records) = try_join(total, self.fetch(organization, &orders)).await?;

        let mut executions = Vec::with_capacity(records.len());
        let mut weighed = 0;
        let mut last_shown = None;
        let mut cut = false;
        for order in &orders {
            if let Some(execution) = records.get(order.as_str()).filter(|execution| still_matches(execution, filter)) {
                let record = to_raw_value(execution).map_err(|error| Error::internal(error.to_string()))?;
                weighed += weight(record.get());
                if weighed > MAX_ANSWER && !executions.is_empty() {
                    cut = true;
                    break;
                }
                executions.push(record);
            }
            last_shown = Some(order.as_str());
        }
        if cut && numbered {
            let fault = Fault::PageTooLarge(executions.len());
            return Err(fault.of_parameter("page_size", &query.page_size.to_string()));
        }

        let rest = cut || found.orders.len() > offset + query.page_size;
        let goes_on_at = if rest {
            last_shown
        } else if found.more {
            found.frontier.as_deref().or(last_shown)
        } else {
            None
        };
        let next = goes_on_at.and_then(a::parse_order).map(|(created_at, id)| {
            let position = Position { created_at, id, page: page.saturating_add(1), total_count };
            cursors.seal(organization, filter, &position)
        });
        Ok(Page { executions, total_count, page, next })
    }

    /// Reads an index until the `wanted` newest entries are known, or the budget for a second filter is spent.
    async fn find(&self, search: &Search<'_>, wanted: usize, all_the_way: bool) -> Result<Found, Error> {
        if search.low > search.high {
            return Ok(Found { orders: Vec::new(), more: false, frontier: None });
        }
        let shards = usize::from(a::SHARDS);
        let (limit, mut budget) = if search.is_filtered() {
            (FILTERED_LIMIT, if all_the_way { SEARCH_BUDGET } else { FILTERED_BUDGET })
        } else if wanted <= 128 {
            // Every shard gives as many as the page may need of it: one round is enough, whatever the spread.
            (wanted, usize::MAX)
        } else {
            (wanted / shards * 5 / 4 + 16, usize::MAX)
        };
        let mut open: Vec<Shard> = (0..a::SHARDS)
            .map(|shard| Shard {
                partition: search.partition(shard),
                high: search.high.clone(),
                low: Some(search.high.clone()),
            })
            .collect();
        let mut orders: Vec<String> = Vec::new();
        loop {
            // A shard that is known to a place below the last entry wanted has nothing to add.
            let last_wanted = wanted.checked_sub(1).and_then(|last| orders.get(last)).cloned();
            let useful = |shard: &&mut Shard| match (&shard.low, &last_wanted) {
                (Some(low), Some(last)) => low > last,
                (Some(_), None) => true,
                (None, _) => false,
            };
            let round = open.iter_mut().filter(useful).map(|shard| self.read_on(search, shard, limit));
            for entries in try_join_all(round).await? {
                budget = budget.saturating_sub(limit);
                orders.extend(entries);
            }
            orders.sort_unstable_by(|one, other| other.cmp(one));
            let frontier = open.iter().filter_map(|shard| shard.low.clone()).max();
            let certain = match &frontier {
                None => orders.len(),
                Some(frontier) => orders.partition_point(|order| order >= frontier),
            };
            if certain >= wanted || frontier.is_none() || budget == 0 {
                // What lies below the frontier may have gaps: it is left to the next page.
                let more = frontier.is_some() || certain > wanted;
                orders.truncate(certain.min(wanted));
                return Ok(Found { orders, more, frontier });
            }
        }
    }

    /// A query of a partition of an index, newest first from `high` down, and the placeholder of the order in it.
    fn query(&self, search: &Search<'_>, partition: &str, high: &str, limit: usize) -> (QueryFluentBuilder, String) {
        let mut expression = Expression::default();
        let (key, order) = (expression.name(search.index.partition_key()), expression.name(a::ORDER));
        let partition = expression.value(text(partition));
        let (low, high) = (expression.value(text(&search.low)), expression.value(text(high)));
        let remaining = search.remaining(&mut expression);
        let (names, values) = expression.into_maps();
        let query = self
            .client
            .query()
            .table_name(&self.table)
            .index_name(search.index.name())
            .key_condition_expression(format!("{key} = {partition} AND {order} BETWEEN {low} AND {high}"))
            .set_filter_expression(remaining)
            .set_expression_attribute_names(names)
            .set_expression_attribute_values(values)
            .scan_index_forward(false)
            .limit(i32::try_from(limit).unwrap_or(i32::MAX));
        (query, order)
    }

    /// Reads the next entries of a shard.
    async fn read_on(&self, search: &Search<'_>, shard: &mut Shard, limit: usize) -> Result<Vec<String>, Error> {
        let (query, order) = self.query(search, &shard.partition, &shard.high, limit);
        let output = query.projection_expression(order).send().await.map_err(|error| failed_read(&error))?;
        shard.low = output.last_evaluated_key.as_ref().map(entry_order).transpose()?;
        if let Some(low) = &shard.low {
            shard.high = below(low);
            if shard.high < search.low {
                shard.low = None;
            }
        }
        output.items.unwrap_or_default().iter().map(entry_order).collect()
    }

    /// Counts a list, as far as [`WINDOW`]. Where a second filter would take too much reading it answers [`WINDOW`]:
    /// less than that is always exact.
    async fn count(&self, search: &Search<'_>) -> Result<usize, Error> {
        // The whole list, wherever the page is.
        let search = Search::new(search.organization, search.filter, None);
        if search.low > search.high {
            return Ok(0);
        }
        let limit = if search.is_filtered() {
            SEARCH_BUDGET / usize::from(a::SHARDS)
        } else {
            WINDOW / usize::from(a::SHARDS) * 5 / 4
        };
        let mut budget = SEARCH_BUDGET;
        let mut open: Vec<(String, String)> =
            (0..a::SHARDS).map(|shard| (search.partition(shard), search.high.clone())).collect();
        let mut total = 0;
        while !open.is_empty() {
            let round = open.iter().map(|(partition, high)| self.count_on(&search, partition, high, limit));
            let mut still_open = Vec::new();
            for ((partition, _), (matching, read, goes_on)) in open.iter().zip(try_join_all(round).await?) {
                total += matching;
                budget = budget.saturating_sub(read);
                still_open.extend(goes_on.map(|high| (partition.clone(), high)));
            }
            open = still_open;
            if total >= WINDOW || (budget == 0 && !open.is_empty()) {
                return Ok(WINDOW);
            }
        }
        Ok(total)
    }

    /// Counts entries of a shard: how many match, how many were read, and where to go on.
    async fn count_on(
        &self,
        search: &Search<'_>,
        partition: &str,
        high: &str,
        limit: usize,
    ) -> Result<(usize, usize, Option<String>), Error> {
        let (query, _) = self.query(search, partition, high, limit);
        let output = query.select(Select::Count).send().await.map_err(|error| failed_read(&error))?;
        let goes_on = output.last_evaluated_key.as_ref().map(entry_order).transpose()?.map(|low| below(&low));
        let number = |count: i32| usize::try_from(count).unwrap_or(0);
        Ok((number(output.count), number(output.scanned_count), goes_on.filter(|high| *high >= search.low)))
    }

    /// Fetches the records of index entries, by their order.
    async fn fetch(&self, organization: &str, orders: &[&String]) -> Result<HashMap<String, Execution>, Error> {
        let mut keys = Vec::with_capacity(orders.len());
        for order in orders {
            let (_, id) = a::parse_order(order).ok_or_else(|| Error::internal("an index entry without an id"))?;
            keys.push(Item::from([
                (a::PK.to_owned(), text(a::execution_pk(organization, &id))),
                (a::SK.to_owned(), text(a::HEAD)),
            ]));
        }
        let batches =
            try_join_all(keys.chunks(BATCH).map(|keys| self.fetch_batch::<Error>(keys.to_vec(), failed_read))).await?;
        let mut records = HashMap::with_capacity(orders.len());
        for item in batches.iter().flatten() {
            records.insert(entry_order(item)?, read_execution(item)?);
        }
        Ok(records)
    }

    /// Items by their keys, in any order, read consistently. `failed` says what a failure of the request means.
    pub(super) async fn fetch_batch<F: From<Error>>(
        &self,
        keys: Vec<Item>,
        failed: impl Fn(&SdkError<BatchGetItemError, HttpResponse>) -> F,
    ) -> Result<Vec<Item>, F> {
        let mut found = Vec::with_capacity(keys.len());
        let mut asked = keys;
        for tries in 0..BATCH_TRIES {
            if tries > 0 {
                tokio::time::sleep(Duration::from_millis(25 << tries)).await;
            }
            let request = KeysAndAttributes::builder()
                .set_keys(Some(std::mem::take(&mut asked)))
                .consistent_read(true)
                .build()
                .map_err(|error| Error::internal(error.to_string()))?;
            let output = self
                .client
                .batch_get_item()
                .request_items(&self.table, request)
                .customize()
                .config_override(
                    Builder::new().timeout_config(timeouts(BATCH_ATTEMPT_TIMEOUT, BATCH_OPERATION_TIMEOUT)),
                )
                .send()
                .await
                .map_err(|error| failed(&error))?;
            found.extend(output.responses.into_iter().flatten().flat_map(|(_, items)| items));
            asked = output.unprocessed_keys.into_iter().flatten().flat_map(|(_, request)| request.keys).collect();
            if asked.is_empty() {
                return Ok(found);
            }
        }
        let reason = format!("{} keys of a batch were left unprocessed", asked.len());
        Err(Error::StoreUnavailable { reason }.into())
    }
}

fn entry_order(entry: &HashMap<String, AttributeValue>) -> Result<String, Error> {
    let order = entry.get(a::ORDER).and_then(|order| order.as_s().ok());
    order.cloned().ok_or_else(|| Error::internal("an index entry without its order"))
}

/// The index may lag: a record that has left the status asked for is not in the list any more.
fn still_matches(execution: &Execution, filter: &Filter) -> bool {
    filter.status.is_none_or(|status| execution.status == status)
}

/// How many executions stand before a page.
fn offset(page: u64, page_size: usize) -> usize {
    usize::try_from(page.saturating_sub(1)).unwrap_or(usize::MAX).saturating_mul(page_size)
}

fn as_count(total: usize) -> u32 {
    u32::try_from(total.min(WINDOW)).unwrap_or(u32::MAX)
}

/// How many bytes a text takes inside a JSON string.
fn weight(text: &str) -> usize {
    text.len() + text.bytes().filter(|byte| matches!(byte, b'"' | b'\\')).count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_below_an_order_lies_between_it_and_every_one_before() {
        let order = |millis: i64, last: &str| format!("{millis:015}#0b8f2f4e-6a3b-4a54-9a3c-5f0f8f6b1d2{last}");
        for (last, before) in [("0", None), ("9", Some("8")), ("a", Some("9")), ("f", Some("e"))] {
            let bound = below(&order(5, last));
            assert!(bound < order(5, last));
            assert!(bound > order(4, "f"));
            if let Some(before) = before {
                assert!(bound > order(5, before), "{last}");
            }
        }
    }

    #[test]
    fn a_page_number_beyond_every_bound_does_not_overflow() {
        assert_eq!(offset(1, 20), 0);
        assert_eq!(offset(3, 20), 40);
        assert_eq!(offset(u64::MAX, 100), usize::MAX);
    }
}
