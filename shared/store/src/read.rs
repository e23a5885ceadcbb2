//! Reads of single items, each one request.

use std::time::Duration;

use futures_util::future::join_all;

use ratchet_model::api_key::ApiKeyRecord;
use ratchet_model::caller::Caller;
use ratchet_model::error::Error;
use ratchet_model::execution::{Execution, Transition};
use ratchet_model::id::{ExecutionId, KeyId};

use crate::Store;
use crate::attempts::failed_read;
use crate::expression::text;
use crate::item::{Item, read_api_key, read_execution, read_transitions};
use crate::schema as a;
use crate::table_keys as k;

/// How long opening connections may take: where DynamoDB is away a function starts all the same, and says so when it is
/// asked.
const PRIMING: Duration = Duration::from_millis(500);

impl Store {
    /// The record of an execution, as of its last write.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`], [`Error::StoreUnavailable`].
    pub async fn execution(&self, caller: &Caller, id: &ExecutionId) -> Result<Execution, Error> {
        let item = self.item(k::execution_pk(&caller.organization, id), a::HEAD_SK, true).await?;
        read_execution(&item.ok_or(Error::NotFound)?)
    }

    /// What happened to an execution's status, oldest first.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`], [`Error::StoreUnavailable`].
    pub async fn transitions(&self, caller: &Caller, id: &ExecutionId) -> Result<Vec<Transition>, Error> {
        let item = self.item(k::execution_pk(&caller.organization, id), a::HEAD_SK, true).await?;
        let log = read_transitions(&item.ok_or(Error::NotFound)?)?;
        Ok(log.into_iter().map(|(_, transition)| transition).collect())
    }

    /// What the table says of an API key, if it knows it. A key that was revoked a moment ago may still be found valid:
    /// API Gateway's cache keeps it longer than an eventually consistent read does.
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

    /// Opens connections before the first request needs them: reads of nothing, at once, whose answers do not matter. They
    /// cost Lambda's initialization what they would cost the first caller, who has a fraction of its CPU.
    pub async fn prime(&self, connections: usize) {
        let reads = (0..connections).map(|_| self.item(k::NO_ITEM.to_owned(), a::API_KEY_SK, false));
        if tokio::time::timeout(PRIMING, join_all(reads)).await.is_err() {
            tracing::debug!("priming took too long");
        }
    }
}
