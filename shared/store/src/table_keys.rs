//! The keys of the table and its indexes, and how they are encoded.
//!
//! | item | pk | sk |
//! | --- | --- | --- |
//! | an execution's head | `e#<organization>#<id>` | `h` |
//! | its inputs, where they are large | `e#<organization>#<id>` | `i` |
//! | one of its steps | `e#<organization>#<id>` | `s#<step id>` |
//! | the counter of a flow | `c#<organization>#<flow_id>` | `c` |
//! | an API key | `k#<key id>` | `k` |
//!
//! An organization never contains the delimiter ([`OrganizationId`]), and text that a caller may choose freely comes
//! last. So two different items never have the same key.

use ratchet_model::api_key::ApiKey;
use ratchet_model::clock::Timestamp;
use ratchet_model::id::{ExecutionId, KeyId, OrganizationId};
use ratchet_model::status::Status;
use ratchet_model::step::StepId;

use crate::schema::STEP_PREFIX;

/// The number of index partitions over which the executions of one organization, status or flow are spread: a property of
/// the table, for its entries stand where it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListShards(u8);

impl ListShards {
    /// Of a table in DynamoDB. A partition accepts 1,000 writes a second. With eight, an organization can enter or leave one
    /// status 8,000 times a second, and a page costs eight small queries, sent at once (docs/adr/0003).
    pub const EIGHT: Self = Self(8);

    /// Of a table in an embedded database, which has one writer whatever is spread: there seven queries of a page would find
    /// nothing that the first could not (docs/adr/0019).
    pub const ONE: Self = Self(1);

    /// Parses the number of them, which is 1 or 8.
    #[must_use]
    pub fn parse(count: &str) -> Option<Self> {
        [Self::ONE, Self::EIGHT].into_iter().find(|shards| shards.0.to_string() == count)
    }

    /// How many there are.
    #[must_use]
    pub const fn count(self) -> u8 {
        self.0
    }

    /// The shard of an execution: by its last byte, which is random in every id that the service creates.
    #[must_use]
    pub fn of(self, id: &ExecutionId) -> u8 {
        let [.., last] = id.as_bytes();
        last % self.0
    }
}

/// The number of partitions over which the index by deadline spreads the executions of all organizations.
///
/// Its sort keys only grow, so that DynamoDB cannot split what is hot; and an index that throttles throttles the table. With
/// sixteen, 16,000 executions can start or end in a second.
pub const DEADLINE_SHARDS: u8 = 16;

/// `pk` of an execution's items.
#[must_use]
pub fn execution_pk(organization: &OrganizationId, id: &ExecutionId) -> String {
    format!("e#{organization}#{id}")
}

/// `sk` of a step.
#[must_use]
pub fn step_sk(step_id: &StepId) -> String {
    format!("{}{}", STEP_PREFIX, step_id.as_str())
}

/// Parses the `sk` of a step.
#[must_use]
pub fn parse_step_sk(sk: &str) -> Option<StepId> {
    sk.strip_prefix(STEP_PREFIX).and_then(StepId::parse)
}

/// `pk` of a flow's counter.
#[must_use]
pub fn counter_pk(organization: &OrganizationId, flow_id: &str) -> String {
    format!("c#{organization}#{flow_id}")
}

/// A `pk` that no item has: that of an API key without an id. Priming requests it. The roles of most functions do not
/// allow that, which does not matter: an answer is not needed.
pub const NO_ITEM: &str = "k#";

/// `pk` of an API key.
#[must_use]
pub fn api_key_pk(key_id: &KeyId) -> String {
    format!("k#{key_id}")
}

/// Parses the `pk` of an API key.
#[must_use]
pub fn parse_api_key_pk(pk: &str) -> Option<KeyId> {
    pk.strip_prefix("k#").and_then(ApiKey::parse_id)
}

/// A partition of the index by organization.
#[must_use]
pub fn organization_partition(organization: &OrganizationId, shard: u8) -> String {
    format!("o#{organization}#{shard}")
}

/// A partition of the index by status.
#[must_use]
pub fn status_partition(organization: &OrganizationId, shard: u8, status: Status) -> String {
    format!("s#{organization}#{shard}#{status}")
}

/// A partition of the index by flow.
#[must_use]
pub fn flow_partition(organization: &OrganizationId, shard: u8, flow_id: &str) -> String {
    format!("f#{organization}#{shard}#{flow_id}")
}

/// The shard of an execution in the index by deadline.
#[must_use]
pub fn deadline_shard(id: &ExecutionId) -> u8 {
    let [.., last] = id.as_bytes();
    last % DEADLINE_SHARDS
}

/// A partition of the index by deadline.
#[must_use]
pub fn deadline_partition(shard: u8) -> String {
    format!("d#{shard}")
}

/// Parses the `pk` of an execution's items.
#[must_use]
pub fn parse_execution_pk(pk: &str) -> Option<(OrganizationId, ExecutionId)> {
    let (organization, id) = pk.strip_prefix("e#")?.split_once('#')?;
    Some((OrganizationId::parse(organization)?, ExecutionId::parse(id)?))
}

/// The sort key of every index but that by deadline. Orders by time of creation, then by id: no two executions have the same order.
#[must_use]
pub fn order(created_at: Timestamp, id: &ExecutionId) -> String {
    format!("{}#{id}", order_time(created_at))
}

/// The sort key of an API key in its index. Keys are listed in the order of creation.
#[must_use]
pub fn api_key_order(created_at: Timestamp, key_id: &KeyId) -> String {
    format!("{}#{key_id}", order_time(created_at))
}

/// The first part of [`order`]. It sorts before every order of that time, and after every earlier one.
#[must_use]
pub fn order_time(time: Timestamp) -> String {
    // No execution is created before 1970 or after 9999-12-31, which is 253402300799999.
    format!("{:015}", time.millis().max(0))
}

/// Parses an order.
#[must_use]
pub fn parse_order(order: &str) -> Option<(Timestamp, ExecutionId)> {
    let (time, id) = order.split_once('#')?;
    Some((Timestamp::from_millis(time.parse().ok()?)?, ExecutionId::parse(id)?))
}
