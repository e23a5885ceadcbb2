//! Reads of an index: which entries, in which shards, and down to where the result is complete.

use std::collections::HashMap;

use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::future::try_join_all;
use ratchet_model::error::Error;
use ratchet_model::id::OrganizationId;
use ratchet_model::list::{Filter, Position};
use ratchet_model::wire_name::WireName;

use crate::Store;
use crate::attempts::failed_read;
use crate::expression::{Expression, text};
use crate::schema::{self as a, Index};
use crate::table_keys as k;

/// How many entries may be read to reach a numbered page, or to count, with a second filter.
pub(super) const SCAN_BUDGET: usize = 100_000;

/// How many entries one query reads where a second filter applies.
const FILTERED_LIMIT: usize = 500;

/// How many entries a page with a second filter may read before it is returned short.
const FILTERED_BUDGET: usize = 2 * FILTERED_LIMIT * k::SHARDS as usize;

/// A query of an index: the entries from `low` to `high` in every shard, and the filter.
pub(super) struct IndexQuery<'a> {
    pub(super) organization: &'a OrganizationId,
    index: Index,
    pub(super) filter: &'a Filter,
    pub(super) low: String,
    pub(super) high: String,
}

impl<'a> IndexQuery<'a> {
    pub(super) fn new(organization: &'a OrganizationId, filter: &'a Filter, after: Option<&Position>) -> Self {
        let index = match filter {
            Filter { status: Some(_), .. } => Index::ByStatus,
            Filter { flow_id: Some(_), .. } => Index::ByFlow,
            _ => Index::ByOrganization,
        };
        // A bare time is less than every order of that time: `created_before` itself is excluded, `created_after` is
        // included.
        let low = filter.created_after.map_or_else(|| "0".to_owned(), k::order_time);
        let before = filter.created_before.map_or_else(|| "~".to_owned(), k::order_time);
        let passed = after.map(|position| upper_bound_before(&k::order(position.created_at, &position.id)));
        let high = passed.map_or(before.clone(), |passed| passed.min(before));
        Self { organization, index, filter, low, high }
    }

    /// Whether entries that are not in the list must be read, too.
    pub(super) fn is_filtered(&self) -> bool {
        self.filter.trigger_type.is_some() || (self.index == Index::ByStatus && self.filter.flow_id.is_some())
    }

    pub(super) fn partition(&self, shard: u8) -> String {
        match (self.index, self.filter.status, &self.filter.flow_id) {
            (Index::ByStatus, Some(status), _) => k::status_partition(self.organization, shard, status),
            (Index::ByFlow, _, Some(flow_id)) => k::flow_partition(self.organization, shard, flow_id),
            _ => k::organization_partition(self.organization, shard),
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
struct Shard {
    partition: String,
    /// Where the next query starts.
    high: String,
    /// All entries of the shard above this have been read; `None` once all of the shard have been.
    low: Option<String>,
}

/// The result of a scan of an index.
pub(super) struct ScanResult {
    /// The orders, newest first; complete down to the last one.
    pub(super) orders: Vec<String>,
    /// Whether there may be more below them.
    pub(super) more: bool,
    /// The order down to which everything has been read; `None` if everything has been, to the end.
    pub(super) scanned_to: Option<String>,
}

impl Store {
    /// Reads an index until the `wanted` newest entries are known, or the budget for a second filter is spent. A
    /// numbered page has the larger budget.
    pub(super) async fn scan(
        &self,
        index_query: &IndexQuery<'_>,
        wanted: usize,
        numbered: bool,
    ) -> Result<ScanResult, Error> {
        if index_query.low > index_query.high {
            return Ok(ScanResult { orders: Vec::new(), more: false, scanned_to: None });
        }
        // How many entries one query reads, and how many all of them may.
        let shards = usize::from(k::SHARDS);
        let (limit, mut budget) = if index_query.is_filtered() {
            (FILTERED_LIMIT, if numbered { SCAN_BUDGET } else { FILTERED_BUDGET })
        } else if wanted <= 128 {
            // Every shard returns as many entries as the page may need of it: one round is enough, whatever the
            // distribution.
            (wanted, usize::MAX)
        } else {
            (wanted / shards * 5 / 4 + 16, usize::MAX)
        };
        let mut open: Vec<Shard> = (0..k::SHARDS)
            .map(|shard| Shard {
                partition: index_query.partition(shard),
                high: index_query.high.clone(),
                low: Some(index_query.high.clone()),
            })
            .collect();
        let mut orders: Vec<String> = Vec::new();
        loop {
            // A shard that has been read to below the last wanted entry has nothing to add.
            let last_wanted = wanted.checked_sub(1).and_then(|last| orders.get(last)).cloned();
            let may_add = |shard: &&mut Shard| match (&shard.low, &last_wanted) {
                (Some(low), Some(last)) => low > last,
                (Some(_), None) => true,
                (None, _) => false,
            };
            // One query in each of the other shards, all at once.
            let round = open.iter_mut().filter(may_add).map(|shard| self.next_entries(index_query, shard, limit));
            for entries in try_join_all(round).await? {
                budget = budget.saturating_sub(limit);
                orders.extend(entries);
            }
            orders.sort_unstable_by(|one, other| other.cmp(one));
            // The entries are complete down to the shard that has been read least far.
            let scanned_to = open.iter().filter_map(|shard| shard.low.clone()).max();
            let complete = match &scanned_to {
                None => orders.len(),
                Some(scanned_to) => orders.partition_point(|order| order >= scanned_to),
            };
            if complete >= wanted || scanned_to.is_none() || budget == 0 {
                // The entries below `scanned_to` may have gaps: they are left to the next page.
                let more = scanned_to.is_some() || complete > wanted;
                orders.truncate(complete.min(wanted));
                return Ok(ScanResult { orders, more, scanned_to });
            }
        }
    }

    /// A query of a partition of an index, newest first from `high` down, and the placeholder of the order attribute in
    /// it.
    pub(super) fn index_query(
        &self,
        index_query: &IndexQuery<'_>,
        partition: &str,
        high: &str,
        limit: usize,
    ) -> (QueryFluentBuilder, String) {
        let mut expression = Expression::default();
        let (key, order) = (expression.name(index_query.index.partition_key()), expression.name(a::ORDER));
        let partition = expression.value(text(partition));
        let (low, high) = (expression.value(text(&index_query.low)), expression.value(text(high)));
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
        let (query, order) = self.index_query(index_query, &shard.partition, &shard.high, limit);
        let output = query.projection_expression(order).send().await.map_err(|error| failed_read(&error))?;
        shard.low = output.last_evaluated_key.as_ref().map(entry_order).transpose()?;
        if let Some(low) = &shard.low {
            shard.high = upper_bound_before(low);
            if shard.high < index_query.low {
                shard.low = None;
            }
        }
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
}
