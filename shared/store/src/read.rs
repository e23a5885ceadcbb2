//! Reads of one execution, or of one API key, each one request.

use std::time::Duration;

use futures_util::future::join_all;

use ratchet_model::api_key::ApiKeyRecord;
use ratchet_model::caller::Caller;
use ratchet_model::error::Error;
use ratchet_model::execution::{Execution, Transition};
use ratchet_model::id::{ExecutionId, KeyId};

use crate::Store;
use crate::attempts::failed_read;
use crate::expression::{Expression, text};
use crate::item::{Inputs, Item, has_inputs_apart, read_api_key, read_execution, read_transitions};
use crate::schema as a;
use crate::table_keys as k;

/// How long priming may take. Where DynamoDB is unavailable a function starts all the same, and reports that in its
/// answers.
const PRIMING_TIMEOUT: Duration = Duration::from_millis(500);

impl Store {
    /// The record of an execution, as of its last write.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`], [`Error::StoreUnavailable`].
    pub async fn execution(&self, caller: &Caller, id: &ExecutionId) -> Result<Execution, Error> {
        let items = self.partition(caller, id, a::HEAD_SK).await?;
        let item = |sk: &str| {
            items.iter().find(|item| item.get(a::SK).is_some_and(|own| own.as_s().is_ok_and(|own| own == sk)))
        };
        read_execution(item(a::HEAD_SK).ok_or(Error::NotFound)?, Inputs::Read(item(a::INPUTS_SK)))
    }

    /// The record of an execution whose head is known: the head itself and, if it says that there are, its inputs, which are
    /// read.
    ///
    /// # Errors
    ///
    /// [`Error::StoreUnavailable`].
    pub(crate) async fn complete(&self, caller: &Caller, id: &ExecutionId, head: &Item) -> Result<Execution, Error> {
        if !has_inputs_apart(head) {
            return read_execution(head, Inputs::Read(None));
        }
        let rest = self.partition(caller, id, a::INPUTS_SK).await?;
        read_execution(head, Inputs::Read(rest.first()))
    }

    /// The items of an execution from a sort key on, read consistently. One request.
    async fn partition(&self, caller: &Caller, id: &ExecutionId, from: &str) -> Result<Vec<Item>, Error> {
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
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| failed_read(&error))?;
        Ok(output.items.unwrap_or_default())
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

    async fn item(&self, pk: String, sk: &str, consistent: bool) -> Result<Option<Item>, Error> {
        let output = self
            .client
            .get_item()
            .table_name(&self.table)
            .key(a::PK, text(pk))
            .key(a::SK, text(sk))
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
