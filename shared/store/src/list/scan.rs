//! Reads of an index: which entries, in which shards, and down to where the result is complete.

use std::collections::HashMap;

use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::future::try_join_all;
use ratchet_model::error::Error;
use ratchet_model::id::OrganizationId;
use ratchet_model::list::{Filter, Position};
use ratchet_model::status::Status;
use ratchet_model::wire_name::WireName;

use crate::Store;
use crate::attempts::failed_read;
use crate::expression::{Expression, text};
use crate::schema::{self as a, Index};
use crate::table_keys::{self as k, ListShards};

/// How many entries may be read to reach a numbered page with a second filter.
pub(super) const SCAN_BUDGET: usize = 100_000;

/// How many entries a page with a second filter may read before it is returned short.
const FILTERED_BUDGET: usize = 4_000;

/// How many entries the first query of a shard reads where a second filter applies: most lists have a page of it there.
const FIRST_FILTERED_LIMIT: usize = 64;

/// How many entries the others read.
const FILTERED_LIMIT: usize = 500;

/// A query of an index: the entries from `low` to `high` in every shard, and the filter.
pub(super) struct IndexQuery<'a> {
    pub(super) organization: &'a OrganizationId,
    index: Index,
    filter: &'a Filter,
    low: String,
    high: String,
    list_shards: ListShards,
}

impl<'a> IndexQuery<'a> {
    pub(super) fn new(
        organization: &'a OrganizationId,
        filter: &'a Filter,
        after: Option<&Position>,
        list_shards: ListShards,
    ) -> Self {
        let index = if !filter.status.is_empty() && filter.status.len() < Status::ALL.len() {
            Index::ByStatus
        } else if filter.flow_id.is_some() {
            Index::ByFlow
        } else {
            Index::ByOrganization
        };
        // A bare time is less than every order of that time: `created_before` itself is excluded, `created_after` is
        // included.
        let low = filter.created_after.map_or_else(|| "0".to_owned(), k::order_time);
        let before = filter.created_before.map_or_else(|| "~".to_owned(), k::order_time);
        let passed = after.map(|position| upper_bound_before(&k::order(position.created_at, &position.id)));
        let high = passed.map_or(before.clone(), |passed| passed.min(before));
        Self { organization, index, filter, low, high, list_shards }
    }

    /// Whether entries that are not in the list must be read, too.
    pub(super) fn is_filtered(&self) -> bool {
        self.filter.trigger_type.is_some() || (self.index == Index::ByStatus && self.filter.flow_id.is_some())
    }

    /// The lowest order that the list may have.
    pub(super) fn low(&self) -> &str {
        &self.low
    }

    /// The partitions of the index that hold the list, unread; those of one status side by side.
    fn shards(&self) -> Vec<Shard> {
        if self.low > self.high {
            return Vec::new();
        }
        let shards = |group: usize, partition: &dyn Fn(u8) -> String| -> Vec<Shard> {
            let shard = |shard| Shard {
                group,
                partition: partition(shard),
                high: self.high.clone(),
                low: Some(self.high.clone()),
            };
            (0..self.list_shards.count()).map(shard).collect()
        };
        match (self.index, &self.filter.flow_id) {
            (Index::ByStatus, _) => (self.filter.status.iter().enumerate())
                .flat_map(|(group, status)| {
                    shards(group, &|shard| k::status_partition(self.organization, shard, *status))
                })
                .collect(),
            (Index::ByFlow, Some(flow_id)) => shards(0, &|shard| k::flow_partition(self.organization, shard, flow_id)),
            _ => shards(0, &|shard| k::organization_partition(self.organization, shard)),
        }
    }

    /// The filter expression for what the index's key does not decide.
    fn filter_expression(&self, expression: &mut Expression) -> Option<String> {
        let mut equals = |name: &str, value: &str| {
            let (name, value) = (expression.name(name), expression.value(text(value)));
            format!("{name} = {value}")
        };
        let mut conditions = Vec::new();
        if let (Index::ByStatus, Some(flow_id)) = (self.index, &self.filter.flow_id) {
            conditions.push(equals(a::FLOW_ID, flow_id));
        }
        if let Some(trigger_type) = self.filter.trigger_type {
            conditions.push(equals(a::TRIGGER_TYPE, trigger_type.as_str()));
        }
        (!conditions.is_empty()).then(|| conditions.join(" AND "))
    }
}

/// An upper bound of the orders before `order`: less than it, and not less than any order before it.
pub(super) fn upper_bound_before(order: &str) -> String {
    let mut characters = order.chars();
    // An order ends with a digit of an id.
    let last = characters.next_back().and_then(|last| char::from_u32(u32::from(last) - 1)).unwrap_or('/');
    format!("{}{last}~", characters.as_str())
}

/// How far one shard of the list has been read: all entries above `low`.
#[derive(Debug, Clone)]
pub(super) struct Shard {
    /// Which of the requested statuses it holds, by its place among them.
    pub(super) group: usize,
    pub(super) partition: String,
    /// Where the next query starts.
    pub(super) high: String,
    /// All entries of the shard above this have been read; `None` once all of the shard have been.
    pub(super) low: Option<String>,
}

impl Shard {
    /// Notes where a query ended.
    pub(super) fn read_to(&mut self, low: Option<String>, end: &str) {
        self.low = low;
        if let Some(low) = &self.low {
            self.high = upper_bound_before(low);
            if self.high.as_str() < end {
                self.low = None;
            }
        }
    }
}

/// How many entries of each shard the newest `wanted` of a list take, almost always: an id is in each shard with the same
/// probability, and the rest is more than four standard deviations. Where they take more, there is another round.
fn share(wanted: usize, list_shards: ListShards) -> usize {
    let mean = wanted / usize::from(list_shards.count());
    wanted.min(mean + 4 * mean.isqrt() + 4)
}

/// An index that is being read, newest first.
///
/// The statuses of a list are read one after the other, in the order in which an execution passes them: one that goes on
/// to the next while they are read is in the first of the two, in both, or in the second, and it is listed once.
pub(super) struct Scan<'a> {
    pub(super) query: IndexQuery<'a>,
    shards: Vec<Shard>,
    /// Every entry that was read, newest first.
    orders: Vec<String>,
    /// How many of the first of them have no gaps between them.
    complete: usize,
    /// How many more entries may be read.
    budget: usize,
    /// How many entries the next query of a shard reads where a second filter applies.
    filtered_limit: usize,
}

impl<'a> Scan<'a> {
    /// A scan that has read nothing yet. A numbered page has a larger budget for a second filter: it cannot be short.
    pub(super) fn new(query: IndexQuery<'a>, numbered: bool) -> Self {
        let budget = match (query.is_filtered(), numbered) {
            (false, _) => usize::MAX,
            (true, false) => FILTERED_BUDGET,
            (true, true) => SCAN_BUDGET,
        };
        let shards = query.shards();
        Self { query, shards, orders: Vec::new(), complete: 0, budget, filtered_limit: FIRST_FILTERED_LIMIT }
    }

    /// The newest entries, without gaps.
    pub(super) fn known(&self) -> &[String] {
        self.orders.get(..self.complete).unwrap_or_default()
    }

    /// How many entries were found, those beyond a gap included.
    pub(super) const fn found(&self) -> usize {
        self.orders.len()
    }

    /// The shards that have not been read to their end.
    pub(super) fn rest(&self) -> Vec<Shard> {
        self.shards.iter().filter(|shard| shard.low.is_some()).cloned().collect()
    }

    /// The order down to which everything has been read; `None` if everything has been, to the end.
    fn scanned_to(&self) -> Option<&str> {
        self.shards.iter().filter_map(|shard| shard.low.as_deref()).max()
    }

    /// Where a walk goes on that has passed the first `passed` entries; `None` at the end of the list.
    pub(super) fn resume_after(&self, passed: usize) -> Option<&str> {
        if passed < self.complete {
            passed.checked_sub(1).and_then(|last| self.orders.get(last)).map(String::as_str)
        } else {
            // What is below has gaps: it is left to the next page.
            self.scanned_to()
        }
    }

    /// Reads on until the newest `wanted` entries are known, the list has ended, or the budget for a second filter is spent.
    pub(super) async fn reach(&mut self, store: &Store, wanted: usize) -> Result<(), Error> {
        while self.complete < wanted && self.budget > 0 && self.scanned_to().is_some() {
            let limit = if self.query.is_filtered() {
                std::mem::replace(&mut self.filtered_limit, FILTERED_LIMIT)
                    .max(share(wanted, self.query.list_shards))
                    .min(FILTERED_LIMIT)
            } else {
                share(wanted - self.complete, self.query.list_shards)
            };
            // A shard that has been read to below the last wanted entry has nothing to add.
            let last_wanted = wanted.checked_sub(1).and_then(|last| self.orders.get(last)).cloned();
            let may_add = |shard: &&mut Shard| match (&shard.low, &last_wanted) {
                (Some(low), Some(last)) => low > last,
                (Some(_), None) => true,
                (None, _) => false,
            };
            // One query in each of the other shards, those of a status at once.
            for group in self.shards.chunk_by_mut(|one, other| one.group == other.group) {
                let query = &self.query;
                let round = group.iter_mut().filter(may_add).map(|shard| store.next_entries(query, shard, limit));
                for entries in try_join_all(round).await? {
                    self.budget = self.budget.saturating_sub(limit);
                    self.orders.extend(entries);
                }
            }
            self.orders.sort_unstable_by(|one, other| other.cmp(one));
            self.orders.dedup();
            // The entries are complete down to the shard that has been read least far.
            self.complete = match self.scanned_to() {
                None => self.orders.len(),
                Some(scanned_to) => self.orders.partition_point(|order| order.as_str() >= scanned_to),
            };
        }
        Ok(())
    }
}

impl Store {
    /// A query of a partition of an index, newest first from `high` down, and the placeholder of the order attribute in
    /// it.
    pub(super) fn index_query(
        &self,
        index_query: &IndexQuery<'_>,
        shard: &Shard,
        limit: usize,
    ) -> (QueryFluentBuilder, String) {
        let mut expression = Expression::default();
        let (key, order) = (expression.name(index_query.index.partition_key()), expression.name(a::ORDER));
        let partition = expression.value(text(&shard.partition));
        let (low, high) = (expression.value(text(&index_query.low)), expression.value(text(&shard.high)));
        let filter_expression = index_query.filter_expression(&mut expression);
        let (names, values) = expression.into_maps();
        let query = self
            .client
            .query()
            .table_name(&self.table)
            .index_name(index_query.index.name())
            .key_condition_expression(format!("{key} = {partition} AND {order} BETWEEN {low} AND {high}"))
            .set_filter_expression(filter_expression)
            .set_expression_attribute_names(names)
            .set_expression_attribute_values(values)
            .scan_index_forward(false)
            .limit(i32::try_from(limit).unwrap_or(i32::MAX));
        (query, order)
    }

    /// Reads the next entries of a shard.
    async fn next_entries(
        &self,
        index_query: &IndexQuery<'_>,
        shard: &mut Shard,
        limit: usize,
    ) -> Result<Vec<String>, Error> {
        let (query, order) = self.index_query(index_query, shard, limit);
        let output = query.projection_expression(order).send().await.map_err(|error| failed_read(&error))?;
        let low = output.last_evaluated_key.as_ref().map(entry_order).transpose()?;
        shard.read_to(low, &index_query.low);
        output.items.unwrap_or_default().iter().map(entry_order).collect()
    }
}

pub(super) fn entry_order(entry: &HashMap<String, AttributeValue>) -> Result<String, Error> {
    let order = entry.get(a::ORDER).and_then(|order| order.as_s().ok());
    order.cloned().ok_or_else(|| Error::internal("an index entry without its order"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_upper_bound_before_an_order_lies_between_it_and_every_one_before() {
        let order = |millis: i64, last: &str| format!("{millis:015}#0b8f2f4e-6a3b-4a54-9a3c-5f0f8f6b1d2{last}");
        for (last, before) in [("0", None), ("9", Some("8")), ("a", Some("9")), ("f", Some("e"))] {
            let bound = upper_bound_before(&order(5, last));
            assert!(bound < order(5, last));
            assert!(bound > order(4, "f"));
            if let Some(before) = before {
                assert!(bound > order(5, before), "{last}");
            }
        }
    }

    #[test]
    fn a_share_is_all_of_a_short_list_and_little_more_than_an_eighth_of_a_long_one() {
        let wanted = [1, 2, 11, 21, 101, 1_000, 10_000];
        assert_eq!(wanted.map(|wanted| share(wanted, ListShards::EIGHT)), [1, 2, 9, 10, 28, 173, 1_394]);
        assert_eq!(wanted.map(|wanted| share(wanted, ListShards::ONE)), wanted);
    }
}
