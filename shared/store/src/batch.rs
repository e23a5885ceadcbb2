//! Reads of many items at once.

use std::time::Duration;

use aws_sdk_dynamodb::config::Builder;
use aws_sdk_dynamodb::config::http::HttpResponse;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::batch_get_item::BatchGetItemError;
use aws_sdk_dynamodb::types::KeysAndAttributes;
use ratchet_model::error::Error;

use crate::Store;
use crate::client::{BATCH_ATTEMPT_TIMEOUT, BATCH_OPERATION_TIMEOUT, timeouts};
use crate::expression::Expression;
use crate::item::Item;

/// How many requests a batch may take: keys that a throttled table left unprocessed are requested again.
const BATCH_TRIES: usize = 3;

/// How the items of a batch are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Read {
    /// As of the last write.
    Consistent,
    /// At half the price, and as of a moment ago.
    Eventual,
}

impl Store {
    /// Items by their keys, in any order: with these attributes, or with all. `failed` converts an error of
    /// a request.
    pub(crate) async fn fetch_batch<F: From<Error>>(
        &self,
        keys: Vec<Item>,
        attributes: Option<&[&str]>,
        read: Read,
        failed: impl Fn(&SdkError<BatchGetItemError, HttpResponse>) -> F,
    ) -> Result<Vec<Item>, F> {
        let mut found = Vec::with_capacity(keys.len());
        let mut wanted = keys;
        let mut expression = Expression::default();
        let projection = attributes.map(|attributes| {
            let names: Vec<String> = attributes.iter().map(|name| expression.name(name)).collect();
            names.join(", ")
        });
        let (names, _) = expression.into_maps();
        for tries in 0..BATCH_TRIES {
            if tries > 0 {
                tokio::time::sleep(Duration::from_millis(25 << tries)).await;
            }
            let request = KeysAndAttributes::builder()
                .set_keys(Some(std::mem::take(&mut wanted)))
                .consistent_read(read == Read::Consistent)
                .set_projection_expression(projection.clone())
                .set_expression_attribute_names(names.clone())
                .build()
                .map_err(|error| Error::internal(error.to_string()))?;
            let output = self
                .client
                .batch_get_item()
                .request_items(&self.table, request)
                .customize()
                .config_override(
                    Builder::new().timeout_config(timeouts(BATCH_ATTEMPT_TIMEOUT, BATCH_OPERATION_TIMEOUT)),
                )
                .send()
                .await
                .map_err(|error| failed(&error))?;
            found.extend(output.responses.into_iter().flatten().flat_map(|(_, items)| items));
            wanted = output.unprocessed_keys.into_iter().flatten().flat_map(|(_, request)| request.keys).collect();
            if wanted.is_empty() {
                return Ok(found);
            }
        }
        let reason = format!("{} keys of a batch were left unprocessed", wanted.len());
        Err(Error::StoreUnavailable { reason }.into())
    }
}
