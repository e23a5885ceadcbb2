//! Reads what events are made of again: for the replay tool, no function calls it.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use ratchet_model::clock::Timestamp;
use ratchet_model::error::Error;
use ratchet_model::id::{ExecutionId, OrganizationId};

use crate::Store;
use crate::attempts::failed_read;
use crate::expression::{Expression, number, text};
use crate::item::Item;
use crate::schema as a;
use crate::stream::{HeadChange, read_head};
use crate::table_keys as k;

/// Where a walk through the table goes on.
#[derive(Debug, Clone)]
pub struct Place(HashMap<String, AttributeValue>);

/// A part of the table.
#[derive(Debug)]
pub struct Part {
    /// The executions in it that were written since; an error for each that is damaged.
    pub executions: Vec<Result<HeadChange, Error>>,
    /// Where the next part begins; `None` at the end.
    pub next: Option<Place>,
}

impl Store {
    /// All that is to be told of one execution, from its creation on. Needs `dynamodb:GetItem`.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`], [`Error::StoreUnavailable`].
    pub async fn told(&self, organization: &OrganizationId, id: &ExecutionId) -> Result<HeadChange, Error> {
        let head = self.item(k::execution_pk(organization, id), a::HEAD_SK, true).await?;
        read_head(&head.ok_or(Error::NotFound)?, None)
    }

    /// A part of all executions that were written since a time, of every organization, each with all that is to be told of it.
    /// It reads the whole table, a megabyte each time. Needs `dynamodb:Scan`.
    ///
    /// # Errors
    ///
    /// [`Error::StoreUnavailable`].
    pub async fn written_since(&self, since: Timestamp, from: Option<Place>) -> Result<Part, Error> {
        let mut expression = Expression::default();
        let (sk, updated) = (expression.name(a::SK), expression.name(a::UPDATED_AT));
        let (head, since) = (expression.value(text(a::HEAD_SK)), expression.value(number(since.millis())));
        let (names, values) = expression.into_maps();
        let output = self
            .client
            .scan()
            .table_name(&self.table)
            .consistent_read(true)
            .filter_expression(format!("{sk} = {head} AND {updated} >= {since}"))
            .set_expression_attribute_names(names)
            .set_expression_attribute_values(values)
            .set_exclusive_start_key(from.map(|Place(key)| key))
            .send()
            .await
            .map_err(|error| failed_read(&error))?;
        let items: Vec<Item> = output.items.unwrap_or_default();
        let executions = items.iter().map(|head| read_head(head, None)).collect();
        Ok(Part { executions, next: output.last_evaluated_key.map(Place) })
    }
}
