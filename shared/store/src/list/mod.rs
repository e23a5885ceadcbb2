//! A page of executions, newest first: one round of queries over the shards of an index, merged, then one round that
//! fetches the records and counts the rest of the list.
//!
//! A walk by cursor is exact because the order of an index never changes: an execution keeps its place from its
//! creation on, and a page starts below the last place that was passed. Indexes follow the table within moments, not at
//! once. The records themselves are read consistently, and a record that has left the requested status is not shown.
//!
//! What no index holds, the agent, is compared on the records: a page reads a bounded number of them.

mod count;
mod scan;

use std::collections::HashMap;
use std::time::Duration;

use futures_util::future::{try_join, try_join_all};
use ratchet_model::caller::Caller;
use ratchet_model::error::Error;
use ratchet_model::execution::Execution;
use ratchet_model::id::OrganizationId;
use ratchet_model::limits::PAGE_REACH;
use ratchet_model::list::{Filter, ListQuery, Position, Start, View};
use serde_json::value::{RawValue, to_raw_value};

use self::scan::{IndexQuery, Scan, entry_order};
use crate::Store;
use crate::attempts::failed_read;
use crate::batch::Read;
use crate::expression::text;
use crate::item::{Inputs, Item, has_inputs_apart, listed_attributes, read_execution, size};
use crate::schema as a;
use crate::table_keys as k;

/// How long a list may take in all: less than the function's timeout, so that the caller gets the service's own answer.
const LIST_TIMEOUT: Duration = Duration::from_secs(9);

/// How many bytes of records one answer may carry. Lambda returns at most 6 MiB, in which the body is a JSON string:
/// its quotes and backslashes count twice ([`escaped_len`]).
pub(crate) const MAX_ANSWER: usize = 6 * 1024 * 1024 - 64 * 1024;

/// How many records one `BatchGetItem` requests: 25 of 400 KB stay below the 16 MB that it returns at once.
const BATCH: usize = 25;

/// A page of a list.
#[derive(Debug)]
pub struct Page {
    /// The records, as JSON.
    pub executions: Vec<Box<RawValue>>,
    /// How many there are: exact below the query's `count_limit`, and counted at the start of a walk by cursor. `None` where
    /// they were not counted.
    pub total_count: Option<u32>,
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
        let (page, skip, after) = match &query.start {
            Start::Beginning => (1, 0, None),
            Start::Page(page) => (*page, offset(*page, query.page_size), None),
            Start::Cursor(position) => (position.page, 0, Some(position)),
        };
        let numbered = matches!(query.start, Start::Page(_));
        let by_record = query.filter.agent_id.is_some();
        let mut scan =
            Scan::new(IndexQuery::new(&caller.organization, &query.filter, after, self.list_shards), numbered);
        let mut answer = Answer::new(query);
        let counted = if by_record {
            answer.skip = skip;
            self.collect_by_record(&mut scan, &mut answer, numbered).await?;
            // Only the records say how many there are.
            let is_all = scan.resume_after(answer.passed).is_none();
            Some(answer.matched).filter(|matched| is_all || *matched >= query.count_limit)
        } else if skip.saturating_add(query.page_size) > PAGE_REACH {
            // Such a page is out of reach in a longer list, and empty after the end of a shorter one.
            let total = self.count(&scan, PAGE_REACH).await?.filter(|total| *total < PAGE_REACH);
            let total = total.ok_or(Error::PageOutOfReach { page })?;
            if skip >= total {
                let total_count = as_total(Some(total), query);
                return Ok(Page { executions: Vec::new(), total_count, page, next: None });
            }
            self.collect_by_index(&mut scan, &mut answer, skip, 0).await?;
            Some(total)
        } else {
            let count_limit = if after.is_some() { 0 } else { query.count_limit };
            self.collect_by_index(&mut scan, &mut answer, skip, count_limit).await?
        };
        if numbered && answer.truncated {
            return Err(Error::PageTooLarge { page_size: query.page_size, fitting: answer.executions.len() });
        }
        let next = scan.resume_after(answer.passed);
        // Numbered pages have equal size: a caller that counts on it would never see the records that a short page leaves
        // out.
        let is_short = if by_record { !answer.is_full() } else { answer.passed < skip + query.page_size };
        if numbered && is_short && next.is_some() {
            return Err(Error::PageOutOfReach { page });
        }
        let total_count = after.map_or_else(|| as_total(counted, query), |position| position.total_count);
        let next = next.and_then(k::parse_order).map(|(created_at, id)| Position {
            created_at,
            id,
            page: page.saturating_add(1),
            total_count,
        });
        Ok(Page { executions: answer.executions, total_count, page, next })
    }

    /// Collects a page that the index alone decides, and counts the list up to `count_limit` meanwhile. Returns the count.
    async fn collect_by_index(
        &self,
        scan: &mut Scan<'_>,
        answer: &mut Answer<'_>,
        skip: usize,
        count_limit: usize,
    ) -> Result<Option<usize>, Error> {
        let page_size = answer.query.page_size;
        scan.reach(self, skip + page_size + 1).await?;
        let scan = &*scan;
        let known = scan.known();
        let orders = known.get(skip.min(known.len())..known.len().min(skip + page_size)).unwrap_or_default();
        let count = async {
            if count_limit == 0 {
                return Ok(None);
            }
            Ok(self.count_or_none(scan, count_limit).await)
        };
        let view = answer.query.view;
        let records = async {
            let heads = self.fetch(scan.query.organization, orders, view).await?;
            self.complete_all(&heads, view).await
        };
        let (count, records) = try_join(count, records).await?;
        answer.passed = skip;
        answer.add(orders, records)?;
        Ok(count)
    }

    /// Collects a page for which the records must be looked at, within a budget.
    async fn collect_by_record(
        &self,
        scan: &mut Scan<'_>,
        answer: &mut Answer<'_>,
        numbered: bool,
    ) -> Result<(), Error> {
        let mut budget = if numbered { NUMBERED_BUDGET } else { RECORD_BUDGET };
        while !answer.is_full() && budget.records > 0 && budget.bytes > 0 {
            let at = answer.passed;
            if scan.known().len() < at + BATCH {
                scan.reach(self, at + READ_AHEAD).await?;
            }
            let orders: Vec<String> = scan.known().iter().skip(at).take(BATCH.min(budget.records)).cloned().collect();
            if orders.is_empty() {
                break;
            }
            // Whole, for its size is what it costs to look at it. Inputs are read of those that are shown.
            let heads = self.fetch(scan.query.organization, &orders, View::Full).await?;
            budget.records -= orders.len();
            budget.bytes = budget.bytes.saturating_sub(heads.iter().map(size).sum());
            let mut matching = Vec::with_capacity(heads.len());
            for head in heads {
                if still_matches(&read_execution(&head, Inputs::LeftOut)?, &answer.query.filter) {
                    matching.push(head);
                }
            }
            let records = self.complete_all(&matching, answer.query.view).await?;
            answer.add(&orders, records)?;
        }
        Ok(())
    }

    /// Fetches the heads of index entries, without what the list does not show.
    async fn fetch(&self, organization: &OrganizationId, orders: &[String], view: View) -> Result<Vec<Item>, Error> {
        let mut keys = Vec::with_capacity(orders.len());
        for order in orders {
            let (_, id) = k::parse_order(order).ok_or_else(|| Error::internal("an index entry without an id"))?;
            keys.push(Item::from([
                (a::PK.to_owned(), text(k::execution_pk(organization, &id))),
                (a::SK.to_owned(), text(a::HEAD_SK)),
            ]));
        }
        let attributes: Vec<&str> = listed_attributes(view).collect();
        self.fetch_batches(&keys, Some(&attributes)).await
    }

    /// The records of heads, by their order. For a summary the inputs are not read.
    async fn complete_all(&self, heads: &[Item], view: View) -> Result<HashMap<String, Execution>, Error> {
        let inputs = match view {
            View::Full => self.fetch_inputs(heads).await?,
            View::Summary => HashMap::new(),
        };
        let mut records = HashMap::with_capacity(heads.len());
        for head in heads {
            let inputs = match view {
                View::Full => Inputs::Read(partition(head).and_then(|pk| inputs.get(pk))),
                View::Summary => Inputs::LeftOut,
            };
            records.insert(entry_order(head)?, read_execution(head, inputs)?);
        }
        Ok(records)
    }

    /// Fetches the inputs of those executions that have them in an item of their own, by the partition.
    async fn fetch_inputs(&self, heads: &[Item]) -> Result<HashMap<String, Item>, Error> {
        let apart = heads.iter().filter(|head| has_inputs_apart(head)).filter_map(partition);
        let key = |pk: &str| Item::from([(a::PK.to_owned(), text(pk)), (a::SK.to_owned(), text(a::INPUTS_SK))]);
        let keys: Vec<Item> = apart.map(key).collect();
        let items = self.fetch_batches(&keys, None).await?.into_iter();
        Ok(items.filter_map(|item| Some((partition(&item)?.to_owned(), item))).collect())
    }

    /// Fetches items by their keys, in batches at once.
    async fn fetch_batches(&self, keys: &[Item], attributes: Option<&[&str]>) -> Result<Vec<Item>, Error> {
        let batches = keys
            .chunks(BATCH)
            .map(|keys| self.fetch_batch::<Error>(keys.to_vec(), attributes, Read::Consistent, failed_read));
        Ok(try_join_all(batches).await?.into_iter().flatten().collect())
    }
}

fn partition(item: &Item) -> Option<&str> {
    item.get(a::PK)?.as_s().ok().map(String::as_str)
}

/// How much a page may read of records that it may not show.
struct RecordBudget {
    records: usize,
    bytes: usize,
}

/// That of a page which may be short.
const RECORD_BUDGET: RecordBudget = RecordBudget { records: 200, bytes: 4 * 1024 * 1024 };

/// That of a numbered page, which may not.
const NUMBERED_BUDGET: RecordBudget = RecordBudget { records: 1_000, bytes: 20 * 1024 * 1024 };

/// How many entries are read ahead of the records that are looked at.
const READ_AHEAD: usize = 100;

/// A page while its records are collected.
struct Answer<'a> {
    query: &'a ListQuery,
    executions: Vec<Box<RawValue>>,
    /// How many bytes they take in the answer.
    bytes: usize,
    /// How many records of the list come before the page.
    skip: usize,
    /// How many records of the list were met.
    matched: usize,
    /// How many entries of the scan were passed.
    passed: usize,
    /// Whether a record did not fit.
    truncated: bool,
}

impl<'a> Answer<'a> {
    fn new(query: &'a ListQuery) -> Self {
        let executions = Vec::with_capacity(query.page_size);
        Self { query, executions, bytes: 0, skip: 0, matched: 0, passed: 0, truncated: false }
    }

    fn is_full(&self) -> bool {
        self.truncated || self.executions.len() >= self.query.page_size
    }

    /// Adds the records of entries, in their order, until the page is full.
    fn add(&mut self, orders: &[String], mut records: HashMap<String, Execution>) -> Result<(), Error> {
        for order in orders {
            if self.is_full() {
                break;
            }
            let record = records.remove(order);
            if let Some(execution) = record.filter(|execution| still_matches(execution, &self.query.filter)) {
                self.matched += 1;
                if self.matched > self.skip && !self.show(execution)? {
                    break;
                }
            }
            self.passed += 1;
        }
        Ok(())
    }

    /// Shows a record, if it fits into the answer.
    fn show(&mut self, execution: Execution) -> Result<bool, Error> {
        let execution = match self.query.view {
            View::Full => execution,
            View::Summary => execution.into_summary(),
        };
        let record = to_raw_value(&execution).map_err(|error| Error::internal(error.to_string()))?;
        self.bytes += escaped_len(record.get());
        self.truncated = self.bytes > MAX_ANSWER && !self.executions.is_empty();
        if !self.truncated {
            self.executions.push(record);
        }
        Ok(!self.truncated)
    }
}

/// Whether a record is in the list. The index may lag: a record that has left the requested status is not in it any more.
fn still_matches(execution: &Execution, filter: &Filter) -> bool {
    (filter.status.is_empty() || filter.status.contains(&execution.status))
        && filter.agent_id.as_ref().is_none_or(|agent_id| *agent_id == execution.agent_id)
}

/// How many executions are before a page.
fn offset(page: u64, page_size: usize) -> usize {
    usize::try_from(page.saturating_sub(1)).unwrap_or(usize::MAX).saturating_mul(page_size)
}

/// A count as the query wants it.
fn as_total(counted: Option<usize>, query: &ListQuery) -> Option<u32> {
    u32::try_from(counted.filter(|_| query.count_limit > 0)?.min(query.count_limit)).ok()
}

/// How many bytes a text takes inside a JSON string.
pub(crate) fn escaped_len(text: &str) -> usize {
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
