//! The names in the table, and the keys made of them. Short, because every write pays for the size of the whole item.
//!
//! | item | pk | sk |
//! | --- | --- | --- |
//! | an execution's head | `e#<organization>#<id>` | `h` |
//! | the counter of a flow | `c#<organization>#<flow_id>` | `c` |
//! | an API key | `k#<key id>` | `k` |
//!
//! An organization never contains the delimiter ([`crate::auth::is_organization`]) and what a caller may choose freely
//! stands last, so that no two different things spell the same key.

use crate::auth::KeyId;
use crate::clock::Timestamp;
use crate::request::ExecutionId;
use crate::status::Status;

/// Partition key of the table.
pub const PK: &str = "pk";
/// Sort key of the table.
pub const SK: &str = "sk";
/// When the item may be removed, in epoch seconds. Reserved: nothing sets it yet.
pub const TTL: &str = "ttl";

/// `sk` of an execution's head.
pub const HEAD: &str = "h";
/// `sk` of a flow's counter.
pub const COUNTER: &str = "c";
/// `sk` of an API key.
pub const KEY: &str = "k";

/// Sort key of every index: when the execution or key was made, and its id. It never changes.
pub const ORDER: &str = "t";
/// Partition key of the index by organization.
pub const BY_ORGANIZATION: &str = "go";
/// Partition key of the index by status.
pub const BY_STATUS: &str = "gs";
/// Partition key of the index by flow.
pub const BY_FLOW: &str = "gf";

/// Status, by its name.
pub const STATUS: &str = "st";
/// How often the record was written, from 1.
pub const VERSION: &str = "v";
/// `flow_id`
pub const FLOW_ID: &str = "fl";
/// `agent_id`; absent: `unassigned`
pub const AGENT_ID: &str = "ag";
/// `execution_number`
pub const NUMBER: &str = "nu";
/// `trigger_type`
pub const TRIGGER_TYPE: &str = "tt";
/// `trigger_data` as JSON text; absent: `{}`
pub const TRIGGER_DATA: &str = "td";
/// `variables` as JSON text; absent: `{}`
pub const VARIABLES: &str = "va";
/// `priority`; absent: `normal`
pub const PRIORITY: &str = "pr";
/// When it first ran, in epoch milliseconds; absent: never
pub const STARTED_AT: &str = "sa";
/// `completed_at` in epoch milliseconds
pub const COMPLETED_AT: &str = "co";
/// `duration_ms`
pub const DURATION: &str = "du";
/// `timeout_seconds`
pub const TIMEOUT: &str = "tm";
/// `final_output` as JSON text
pub const FINAL_OUTPUT: &str = "fo";
/// `error_message`
pub const ERROR_MESSAGE: &str = "em";
/// `error_details` as JSON text
pub const ERROR_DETAILS: &str = "ed";
/// `retry_count`
pub const RETRY_COUNT: &str = "rc";
/// `max_retries`
pub const MAX_RETRIES: &str = "mr";
/// `parent_execution_id`
pub const PARENT: &str = "pe";
/// `tokens_used`
pub const TOKENS: &str = "tk";
/// `tool_calls_count`; absent: 0
pub const TOOL_CALLS: &str = "tc";
/// `cost_estimate` as the JSON text of the number that was sent
pub const COST: &str = "ce";
/// `performance_metrics` as JSON text; absent: `{}`
pub const METRICS: &str = "pm";
/// `metadata` as JSON text; absent: `{}`
pub const METADATA: &str = "md";
/// `created_at` in epoch milliseconds
pub const CREATED_AT: &str = "ca";
/// `updated_at` in epoch milliseconds
pub const UPDATED_AT: &str = "ua";
/// `scheduled_at` in epoch milliseconds
pub const SCHEDULED_AT: &str = "sd";

/// The mark of the write that made the record: body hash and nonce (see `marks`).
pub const MADE_BY: &str = "wm";
/// The transitions, a map from the write's id to what it did; each is its write's mark, too.
pub const TRANSITIONS: &str = "tr";
/// The version after each transition, a map from the write's id.
pub const TRANSITION_VERSIONS: &str = "tv";

/// The last stretch in which an update of fields without an Idempotency-Key began; absent: none did (see `marks`).
pub const FENCE: &str = "uf";

/// The last execution number of a flow.
pub const LAST_NUMBER: &str = "n";

/// The partition of the index by organization that holds every API key. One for all organizations: keys are few, and a
/// function that may read executions by organization, status or flow must not be able to read it (docs/adr/0006).
pub const KEYS: &str = "k#";

/// SHA-256 of an API key.
pub const KEY_DIGEST: &str = "hs";
/// An API key's organization.
pub const KEY_ORGANIZATION: &str = "og";
/// An API key's scopes.
pub const KEY_SCOPES: &str = "sp";
/// From when on an API key is refused, in epoch milliseconds.
pub const KEY_VALID_UNTIL: &str = "vu";

/// Over how many index partitions the executions of one organization, status or flow are spread.
///
/// A partition takes 1,000 writes a second. Eight let an organization enter or leave one status 8,000 times a second,
/// and cost a page eight small queries, sent at once (docs/adr/0003).
pub const SHARDS: u8 = 8;

/// `pk` of an execution's head.
#[must_use]
pub fn execution_pk(organization: &str, id: &ExecutionId) -> String {
    format!("e#{organization}#{id}")
}

/// `pk` of a flow's counter.
#[must_use]
pub fn counter_pk(organization: &str, flow_id: &str) -> String {
    format!("c#{organization}#{flow_id}")
}

/// `pk` of an API key.
#[must_use]
pub fn key_pk(key_id: &str) -> String {
    format!("k#{key_id}")
}

/// Reads the `pk` of an API key back.
#[must_use]
pub fn parse_key_pk(pk: &str) -> Option<KeyId> {
    pk.strip_prefix("k#").and_then(KeyId::parse)
}

/// The shard of an execution: by its last byte, which is random in every id that the service makes.
#[must_use]
pub fn shard(id: &ExecutionId) -> u8 {
    let [.., last] = id.as_bytes();
    last % SHARDS
}

/// A partition of the index by organization.
#[must_use]
pub fn organization_partition(organization: &str, shard: u8) -> String {
    format!("o#{organization}#{shard}")
}

/// A partition of the index by status.
#[must_use]
pub fn status_partition(organization: &str, shard: u8, status: Status) -> String {
    format!("s#{organization}#{shard}#{status}")
}

/// A partition of the index by flow.
#[must_use]
pub fn flow_partition(organization: &str, shard: u8, flow_id: &str) -> String {
    format!("f#{organization}#{shard}#{flow_id}")
}

/// The sort key of every index. Orders by time of making, then by id: no two executions have the same.
#[must_use]
pub fn order(created_at: Timestamp, id: &ExecutionId) -> String {
    format!("{}#{id}", order_time(created_at))
}

/// The sort key of an API key in its index. Keys are listed in the order of making.
#[must_use]
pub fn key_order(created_at: Timestamp, key_id: &str) -> String {
    format!("{}#{key_id}", order_time(created_at))
}

/// The first part of [`order`]; less than every order of that time, greater than every one before.
#[must_use]
pub fn order_time(time: Timestamp) -> String {
    // No execution is made before 1970 or after 9999-12-31, which is 253402300799999.
    format!("{:015}", time.millis().max(0))
}

/// Reads an order back.
#[must_use]
pub fn parse_order(order: &str) -> Option<(Timestamp, ExecutionId)> {
    let (time, id) = order.split_once('#')?;
    Some((Timestamp::from_millis(time.parse().ok()?)?, ExecutionId::parse(id)?))
}
