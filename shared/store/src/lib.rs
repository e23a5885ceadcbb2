//! Executions and API keys in one DynamoDB table. Every rule that the table enforces is written here once. This crate
//! knows no HTTP.
//!
//! | module | responsibility |
//! | --- | --- |
//! | `rules` | what must hold for a change: each rule with its condition and its explanation |
//! | `change` | the conditional write, and what its answer means |
//! | `create` | a new execution |
//! | `heartbeat`, `cancel` | a worker that is heard; a request to stop, or the end |
//! | `steps` | reports of steps, side by side; their pages |
//! | `replay` | reads what events are made of again; for the replay tool, no function calls it |
//! | `stream` | what a record of the table's stream says happened to an execution |
//! | `deadlines` | the pass of supervision over what is overdue |
//! | `read`, `list`, `batch` | records, pages, and reads of many items |
//! | `wait` | the record as soon as it ends, or changes |
//! | `api_keys` | creating, listing, rotating and revoking API keys; for the key tool, no function calls it |
//! | `dedup` | the write token, by which a duplicate is recognized |
//! | `attempts` | what a failed request means: in doubt, refused or throttled |
//! | `client`, `trust_roots` | how DynamoDB is called, and which certificate authorities are trusted |
//! | `schema`, `table_keys`, `item`, `expression`, `table` | names, keys, items, expressions and declaration |

// A request must not be able to end a function: no indexing that can be out of bounds, no panic. Tests may panic.
#![cfg_attr(not(test), warn(clippy::indexing_slicing, clippy::panic))]

pub mod api_keys;
mod attempts;
mod batch;
pub mod cancel;
pub mod change;
pub mod client;
pub mod create;
pub mod deadlines;
pub mod dedup;
mod expression;
pub mod heartbeat;
pub mod item;
pub mod list;
mod read;
pub mod replay;
pub mod rules;
pub mod schema;
pub mod steps;
pub mod stream;
mod table;
pub mod table_keys;
pub mod trust_roots;
pub mod wait;

use std::sync::Arc;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::Builder;
use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;
use ratchet_model::clock::Clock;

use crate::expression::{Expression, text};
use crate::table_keys::ListShards;

/// How large an item may be, in bytes: DynamoDB's 400 KB.
pub const MAX_ITEM: usize = ratchet_model::limits::MAX_RECORD;

/// The executions, in one DynamoDB table.
#[derive(Debug, Clone)]
pub struct Store {
    client: Client,
    table: String,
    list_shards: ListShards,
    clock: Arc<dyn Clock>,
}

impl Store {
    /// A store in `table`, which spreads its lists over eight partitions, as a deployed one does.
    #[must_use]
    pub fn new(config: Builder, table: impl Into<String>, clock: Arc<dyn Clock>) -> Self {
        let client = Client::from_conf(config.build());
        Self { client, table: table.into(), list_shards: ListShards::EIGHT, clock }
    }

    /// The same, in a table that spreads its lists over so many partitions.
    #[must_use]
    pub fn with_list_shards(self, list_shards: ListShards) -> Self {
        Self { list_shards, ..self }
    }

    /// Over how many partitions the table spreads its lists.
    #[must_use]
    pub const fn list_shards(&self) -> ListShards {
        self.list_shards
    }

    /// The table's name.
    #[must_use]
    pub fn table(&self) -> &str {
        &self.table
    }

    /// A request that updates the item with these keys as the expression says, if its conditions hold.
    pub(crate) fn update_item(
        &self,
        pk: String,
        sk: impl Into<String>,
        expression: Expression,
    ) -> UpdateItemFluentBuilder {
        let (update, condition) = (expression.update(), expression.condition());
        let (names, values) = expression.into_maps();
        self.client
            .update_item()
            .table_name(&self.table)
            .key(schema::PK, text(pk))
            .key(schema::SK, text(sk))
            .set_update_expression(update)
            .set_condition_expression(condition)
            .set_expression_attribute_names(names)
            .set_expression_attribute_values(values)
    }

    /// The clock that dates every write.
    #[must_use]
    pub fn clock(&self) -> &dyn Clock {
        self.clock.as_ref()
    }
}
