//! Reads of one execution, or of one API key, each one request.

use std::time::Duration;

use futures_util::future::join_all;

use ratchet_model::api_key::ApiKeyRecord;
use ratchet_model::caller::Caller;
use ratchet_model::error::Error;
use ratchet_model::execution::{Execution, Transition};
use ratchet_model::id::{ExecutionId, KeyId};
use ratchet_model::limits::MAX_SHOWN_STEPS;

use crate::Store;
use crate::attempts::failed_read;
use crate::expression::{Expression, text};
use crate::heartbeat::Heard;
use crate::item::{
    GLANCE_ATTRIBUTES, Glance, Inputs, Item, has_inputs_apart, has_steps, read_api_key, read_execution, read_glance,
    read_transitions,
};
use crate::schema as a;
use crate::steps::{is_step, shown_steps};
use crate::table_keys as k;

/// How long priming may take. Where DynamoDB is unavailable a function starts all the same, and reports that in its
/// answers.
const PRIMING_TIMEOUT: Duration = Duration::from_millis(500);

/// The item of an execution with a sort key.
fn find<'a>(items: &'a [Item], sk: &str) -> Option<&'a Item> {
    items.iter().find(|item| item.get(a::SK).is_some_and(|own| own.as_s().is_ok_and(|own| own == sk)))
}

/// The record with the steps that are among the items of the execution.
fn with_steps(execution: Execution, items: &[Item]) -> Result<Execution, Error> {
    let steps = shown_steps(items.iter().filter(|item| is_step(item)), execution.status)?;
    Ok(Execution { steps: Some(steps), ..execution })
}

impl Store {
    /// The record of an execution, as of its last write.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`], [`Error::StoreUnavailable`].
    pub async fn execution(&self, caller: &Caller, id: &ExecutionId) -> Result<Execution, Error> {
        let items = self.partition(caller, id, a::HEAD_SK, MAX_SHOWN_STEPS + 2).await?;
        let head = find(&items, a::HEAD_SK).ok_or(Error::NotFound)?;
        with_steps(read_execution(head, Inputs::Read(find(&items, a::INPUTS_SK)))?, &items)
    }

    /// The record of an execution whose head is known: the head itself and, if it says that there are, its inputs and its
    /// first steps, which are read.
    ///
    /// # Errors
    ///
    /// [`Error::StoreUnavailable`].
    pub(crate) async fn complete(&self, caller: &Caller, id: &ExecutionId, head: &Item) -> Result<Execution, Error> {
        let (from, before_steps) = match (has_inputs_apart(head), has_steps(head)) {
            (false, false) => return read_execution(head, Inputs::Read(None)),
            (true, _) => (a::INPUTS_SK, 1),
            (false, true) => (a::STEP_PREFIX, 0),
        };
        let shown = if has_steps(head) { MAX_SHOWN_STEPS } else { 0 };
        let rest = self.partition(caller, id, from, before_steps + shown).await?;
        with_steps(read_execution(head, Inputs::Read(find(&rest, a::INPUTS_SK)))?, &rest)
    }

    /// The items of an execution from a sort key on, read consistently: at most so many. One request.
    async fn partition(
        &self,
        caller: &Caller,
        id: &ExecutionId,
        from: &str,
        at_most: usize,
    ) -> Result<Vec<Item>, Error> {
        let mut expression = Expression::default();
        let (pk, sk) = (expression.name(a::PK), expression.name(a::SK));
        let partition = expression.value(text(k::execution_pk(&caller.organization, id)));
        let from = expression.value(text(from));
        let (names, values) = expression.into_maps();
        let output = self
            .client
            .query()
            .table_name(&self.table)
            .key_condition_expression(format!("{pk} = {partition} AND {sk} >= {from}"))
            .set_expression_attribute_names(names)
            .set_expression_attribute_values(values)
            .limit(i32::try_from(at_most).unwrap_or(i32::MAX))
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| failed_read(&error))?;
        Ok(output.items.unwrap_or_default())
    }

    /// When the worker of an execution was last heard, and what a heartbeat of the present attempt would be told. Nothing is
    /// written.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`], [`Error::StoreUnavailable`].
    pub async fn heartbeat(&self, caller: &Caller, id: &ExecutionId) -> Result<Heard, Error> {
        let item = self.item(k::execution_pk(&caller.organization, id), a::HEAD_SK, true).await?;
        Heard::by(&item.ok_or(Error::NotFound)?, None)
    }

    /// The transitions of an execution, oldest first.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`], [`Error::StoreUnavailable`].
    pub async fn transitions(&self, caller: &Caller, id: &ExecutionId) -> Result<Vec<Transition>, Error> {
        let item = self.item(k::execution_pk(&caller.organization, id), a::HEAD_SK, true).await?;
        let log = read_transitions(&item.ok_or(Error::NotFound)?)?;
        Ok(log.into_iter().map(|(_, transition)| transition).collect())
    }

    /// What a waiter sees of an execution, as of a moment ago; `None` where there is none, or was none then.
    ///
    /// # Errors
    ///
    /// [`Error::StoreUnavailable`].
    pub(crate) async fn glance(&self, caller: &Caller, id: &ExecutionId) -> Result<Option<Glance>, Error> {
        let mut expression = Expression::default();
        let attributes: Vec<String> = GLANCE_ATTRIBUTES.iter().map(|name| expression.name(name)).collect();
        let (names, _) = expression.into_maps();
        let output = self
            .client
            .get_item()
            .table_name(&self.table)
            .key(a::PK, text(k::execution_pk(&caller.organization, id)))
            .key(a::SK, text(a::HEAD_SK))
            .projection_expression(attributes.join(", "))
            .set_expression_attribute_names(names)
            .consistent_read(false)
            .send()
            .await
            .map_err(|error| failed_read(&error))?;
        output.item.as_ref().map(read_glance).transpose()
    }

    /// The record of an API key, if the table has it. The read is eventually consistent, so that a key that was revoked
    /// a moment ago may still be found valid: API Gateway's cache keeps such a key for longer than that.
    ///
    /// # Errors
    ///
    /// [`Error::StoreUnavailable`].
    pub async fn api_key(&self, key_id: &KeyId) -> Result<Option<ApiKeyRecord>, Error> {
        let item = self.item(k::api_key_pk(key_id), a::API_KEY_SK, false).await?;
        item.as_ref().map(read_api_key).transpose()
    }

    pub(crate) async fn item(&self, pk: String, sk: &str, consistent: bool) -> Result<Option<Item>, Error> {
        self.item_with(pk, sk, consistent, None).await
    }

    /// An item with these attributes, or with all.
    pub(crate) async fn item_with(
        &self,
        pk: String,
        sk: &str,
        consistent: bool,
        attributes: Option<&[&str]>,
    ) -> Result<Option<Item>, Error> {
        let mut expression = Expression::default();
        let projection = attributes.map(|attributes| {
            let names: Vec<String> = attributes.iter().map(|name| expression.name(name)).collect();
            names.join(", ")
        });
        let (names, _) = expression.into_maps();
        let output = self
            .client
            .get_item()
            .table_name(&self.table)
            .key(a::PK, text(pk))
            .key(a::SK, text(sk))
            .set_projection_expression(projection)
            .set_expression_attribute_names(names)
            .consistent_read(consistent)
            .send()
            .await
            .map_err(|error| failed_read(&error))?;
        Ok(output.item)
    }

    /// Opens connections before the first request needs them, by concurrent reads of an item that does not exist. Their
    /// answers do not matter, be it that the item is missing or that the role does not allow to read it. Lambda's
    /// initialization pays for them instead of the first request, which has a fraction of the CPU.
    pub async fn prime(&self, connections: usize) {
        let reads = (0..connections).map(|_| self.item(k::NO_ITEM.to_owned(), a::API_KEY_SK, false));
        if tokio::time::timeout(PRIMING_TIMEOUT, join_all(reads)).await.is_err() {
            tracing::debug!("priming took too long");
        }
    }
}
