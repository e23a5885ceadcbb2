//! API keys: creating, listing, rotating and revoking them. For the key tool; the functions only read one
//! ([`Store::api_key`]).
//!
//! Every write may be repeated: a repeat after an attempt in doubt is not refused, and a refusal is reported as one
//! only where no attempt at the request can be applied any more.

use std::time::Duration;

use aws_sdk_dynamodb::config::http::HttpResponse;
use aws_sdk_dynamodb::error::{BuildError, ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{Put, ReturnValue, ReturnValuesOnConditionCheckFailure, TransactWriteItem, Update};

use ratchet_model::api_key::{ApiKey, ApiKeyRecord, KeyState};
use ratchet_model::clock::Timestamp;
use ratchet_model::error::Error;
use ratchet_model::id::{KeyId, OrganizationId};
use ratchet_model::key_name::KeyName;
use ratchet_model::scope::Scopes;

use crate::Store;
use crate::attempts::{Attempts, THROTTLED, denied_action, may_have_been_applied};
use crate::batch::Read;
use crate::client::root_cause;
use crate::expression::{Expression, binary, number, text};
use crate::item::{Item, listed_api_key_item, read_api_key, read_api_key_origin};
use crate::schema::{self as a, Index};
use crate::table_keys as k;

/// How many keys one `BatchGetItem` requests: its maximum.
const BATCH: usize = 100;

/// How often a rotation is tried while other requests change the old key.
const ROTATE_TRIES: u32 = 4;

/// A key in the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredApiKey {
    /// Its public part.
    pub id: KeyId,
    /// What it may do, and until when.
    pub record: ApiKeyRecord,
    /// When it was created; `None` for a key that is older than the list of keys.
    pub created_at: Option<Timestamp>,
}

/// The result of a revocation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revocation {
    /// The organization that the key spoke for.
    pub organization: OrganizationId,
    /// The key's name, if it has one.
    pub name: Option<KeyName>,
    /// From when on it is refused.
    pub since: Timestamp,
    /// Whether it was refused already, and nothing was changed.
    pub before: bool,
}

/// A key and its successor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rotation {
    /// The new key.
    pub new: StoredApiKey,
    /// Until when the old one is admitted.
    pub old_until: Timestamp,
}

/// Why an operation on keys was not done.
#[derive(Debug)]
pub enum ApiKeyError {
    /// There is no such key.
    Unknown,
    /// The key to be replaced is not valid any more.
    Ended {
        /// Since when.
        since: Timestamp,
    },
    /// A time that is beyond the year 9999.
    TooLong,
    /// The table does not exist.
    NoTable,
    /// The table, or its index, is not one of Ratchet's.
    OtherTable {
        /// What DynamoDB says.
        reason: String,
    },
    /// The credentials do not allow it.
    Denied {
        /// The action that they lack, as in an IAM policy.
        action: String,
    },
    /// DynamoDB does not know the credentials, or they have expired.
    Credentials {
        /// DynamoDB's error code.
        code: String,
    },
    /// DynamoDB throttled; nothing was changed.
    Busy,
    /// DynamoDB did not answer; nothing was changed.
    Away {
        /// What is known of the cause.
        reason: String,
    },
    /// An attempt at a write is in doubt: it may have been applied, or may still be.
    OutcomeUnknown {
        /// What is known of the cause.
        reason: String,
    },
    /// An item that cannot be read, or an unexpected answer.
    Failed {
        /// What it was.
        reason: String,
    },
}

impl From<Error> for ApiKeyError {
    fn from(error: Error) -> Self {
        match error {
            Error::StoreUnavailable { .. } => Self::Busy,
            Error::OutcomeUnknown { reason } => Self::OutcomeUnknown { reason },
            Error::Internal(reason) => Self::Failed { reason },
            other => Self::Failed { reason: other.to_string() },
        }
    }
}

impl From<BuildError> for ApiKeyError {
    fn from(error: BuildError) -> Self {
        Self::Failed { reason: error.to_string() }
    }
}

/// What a failed read means. `action` is the action that it needs, where DynamoDB does not name it.
fn failed<E>(error: &SdkError<E, HttpResponse>, action: &str) -> ApiKeyError
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let SdkError::ServiceError(service) = error else {
        return ApiKeyError::Away { reason: root_cause(error) };
    };
    let message = error.message().unwrap_or_default();
    match error.code() {
        Some("AccessDeniedException") => {
            ApiKeyError::Denied { action: denied_action(message).unwrap_or(action).to_owned() }
        }
        Some("ResourceNotFoundException") => ApiKeyError::NoTable,
        Some("ValidationException") => ApiKeyError::OtherTable { reason: message.to_owned() },
        // The message is left out: it can quote the signed request, and with it a session token.
        Some(
            code @ ("UnrecognizedClientException"
            | "ExpiredTokenException"
            | "InvalidSignatureException"
            | "IncompleteSignatureException"
            | "MissingAuthenticationTokenException"),
        ) => ApiKeyError::Credentials { code: code.to_owned() },
        Some(code) if THROTTLED.contains(&code) => ApiKeyError::Busy,
        code => {
            let status = service.raw().status();
            let reason = format!("HTTP {}, {}", status.as_u16(), code.unwrap_or("not an answer of DynamoDB's"));
            if status.is_server_error() { ApiKeyError::Away { reason } } else { ApiKeyError::Failed { reason } }
        }
    }
}

/// What a failed write means. Where any attempt at it may have been applied, the answer to the last one proves nothing.
fn failed_write<E>(error: &SdkError<E, HttpResponse>, attempts: &Attempts, action: &str) -> ApiKeyError
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let failed = failed(error, action);
    if attempts.any_in_doubt() || may_have_been_applied(error) {
        let reason = match failed {
            ApiKeyError::Away { reason } => reason,
            _ => error.code().unwrap_or("its answer was lost").to_owned(),
        };
        return ApiKeyError::OutcomeUnknown { reason };
    }
    failed
}

fn later(now: Timestamp, by: Duration) -> Result<Timestamp, ApiKeyError> {
    Timestamp::from_millis(now.plus(by).millis()).ok_or(ApiKeyError::TooLong)
}

/// The end of a key that is created now.
fn end_of(now: Timestamp, lifetime: Option<Duration>) -> Result<Option<Timestamp>, ApiKeyError> {
    lifetime.map(|lifetime| later(now, lifetime)).transpose()
}

fn read_stored_key(item: &Item) -> Result<StoredApiKey, ApiKeyError> {
    let (id, created_at) = read_api_key_origin(item)?;
    let record = read_api_key(item).map_err(|error| match error {
        Error::Internal(reason) => ApiKeyError::Failed { reason: format!("key {id}: {reason}") },
        other => other.into(),
    })?;
    Ok(StoredApiKey { id, record, created_at })
}

/// The condition for putting a key: no key has its id, or this very key does, put by an earlier attempt.
fn absent_or_same_key(expression: &mut Expression, key: &ApiKey) -> String {
    let pk = expression.name(a::PK);
    let digest = expression.name(a::API_KEY_DIGEST);
    let own = expression.value(binary(key.digest()));
    format!("attribute_not_exists({pk}) OR {digest} = {own}")
}

impl Store {
    /// Puts a new key into the table: valid from now on, for `lifetime` if there is one.
    ///
    /// # Errors
    ///
    /// [`ApiKeyError`]; of all but [`ApiKeyError::OutcomeUnknown`] the key is not in the table and never will be.
    pub async fn create_key(
        &self,
        key: &ApiKey,
        organization: &OrganizationId,
        name: Option<&KeyName>,
        scopes: Scopes,
        lifetime: Option<Duration>,
    ) -> Result<StoredApiKey, ApiKeyError> {
        let now = self.clock.now();
        let valid_until = end_of(now, lifetime)?;
        let record = ApiKeyRecord {
            digest: key.digest(),
            organization: organization.clone(),
            name: name.cloned(),
            scopes,
            valid_until,
        };
        let new = StoredApiKey { id: key.id(), record, created_at: Some(now) };
        let mut expression = Expression::default();
        let condition = absent_or_same_key(&mut expression, key);
        let (names, values) = expression.into_maps();
        let attempts = Attempts::default();
        let outcome = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(listed_api_key_item(&key.id(), &new.record, now)))
            .condition_expression(condition)
            .set_expression_attribute_names(names)
            .set_expression_attribute_values(values)
            .customize()
            .interceptor(attempts.clone())
            .send()
            .await;
        let Err(error) = outcome else { return Ok(new) };
        if let Some(PutItemError::ConditionalCheckFailedException(_)) = error.as_service_error() {
            return Err(ApiKeyError::Failed { reason: format!("another key has the id {} already", new.id) });
        }
        Err(failed_write(&error, &attempts, "dynamodb:PutItem"))
    }

    /// All keys, or those of one organization, oldest first. They are found by an index that follows the table within
    /// moments: a key that was created just now may be missing. The record of each key is as of its last write.
    ///
    /// # Errors
    ///
    /// [`ApiKeyError`].
    pub async fn keys(&self, organization: Option<&OrganizationId>) -> Result<Vec<StoredApiKey>, ApiKeyError> {
        let mut entries = Vec::new();
        let mut start = None;
        loop {
            let mut expression = Expression::default();
            let partition = expression.name(Index::ByOrganization.partition_key());
            let keys = expression.value(text(a::API_KEYS));
            let (names, values) = expression.into_maps();
            let page = self
                .client
                .query()
                .table_name(&self.table)
                .index_name(Index::ByOrganization.name())
                .key_condition_expression(format!("{partition} = {keys}"))
                .set_expression_attribute_names(names)
                .set_expression_attribute_values(values)
                .set_exclusive_start_key(start)
                .send()
                .await
                .map_err(|error| failed(&error, "dynamodb:Query"))?;
            entries.extend(page.items.into_iter().flatten());
            start = page.last_evaluated_key.filter(|key| !key.is_empty());
            if start.is_none() {
                break;
            }
        }
        for entry in &mut entries {
            entry.retain(|name, _| name == a::PK || name == a::SK);
        }
        let mut keys = Vec::with_capacity(entries.len());
        for batch in entries.chunks(BATCH) {
            let items = self
                .fetch_batch(batch.to_vec(), None, Read::Consistent, |error| failed(error, "dynamodb:BatchGetItem"))
                .await?;
            for item in &items {
                keys.push(read_stored_key(item)?);
            }
        }
        keys.retain(|key| organization.is_none_or(|organization| key.record.organization == *organization));
        // A batch returns the keys in any order.
        keys.sort_by(|one, other| (one.created_at, &one.id).cmp(&(other.created_at, &other.id)));
        Ok(keys)
    }

    /// Revokes a key from now on, unless it has ended already.
    ///
    /// # Errors
    ///
    /// [`ApiKeyError`]. After [`ApiKeyError::OutcomeUnknown`] it may be repeated.
    pub async fn revoke_key(&self, id: &KeyId) -> Result<Revocation, ApiKeyError> {
        let now = self.clock.now();
        let mut expression = Expression::default();
        expression.assign(a::API_KEY_VALID_UNTIL, number(now.millis()));
        let (pk, until) = (expression.name(a::PK), expression.name(a::API_KEY_VALID_UNTIL));
        let at = expression.value(number(now.millis()));
        expression.require(format!("attribute_exists({pk})"));
        // The end of a key never moves to a later time.
        expression.require(format!("(attribute_not_exists({until}) OR {until} > {at})"));
        let attempts = Attempts::default();
        let outcome = self
            .update_item(k::api_key_pk(id), a::API_KEY_SK, expression)
            .return_values(ReturnValue::AllNew)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .customize()
            .interceptor(attempts.clone())
            .send()
            .await;
        let item = match outcome {
            Ok(output) => output.attributes,
            Err(error) => match error.as_service_error() {
                Some(UpdateItemError::ConditionalCheckFailedException(refused)) => {
                    Some(refused.item.clone().ok_or(ApiKeyError::Unknown)?)
                }
                _ => return Err(failed_write(&error, &attempts, "dynamodb:UpdateItem")),
            },
        };
        let item = item.ok_or_else(|| ApiKeyError::Failed { reason: "DynamoDB returned no item".to_owned() })?;
        let record = read_stored_key(&item)?.record;
        let since = record.valid_until.unwrap_or(now);
        // The same moment means an earlier attempt of this request, which was in doubt.
        Ok(Revocation { organization: record.organization, name: record.name, since, before: since < now })
    }

    /// Replaces a key: `key` has the same organization, name and scopes from now on, and the old one ends after `keep`, or
    /// when it would have ended anyway. Both changes take effect, or neither.
    ///
    /// # Errors
    ///
    /// [`ApiKeyError`]; of all but [`ApiKeyError::OutcomeUnknown`] the new key is not in the table and never will be.
    pub async fn rotate_key(
        &self,
        old: &KeyId,
        keep: Duration,
        key: &ApiKey,
        lifetime: Option<Duration>,
    ) -> Result<Rotation, ApiKeyError> {
        let attempts = Attempts::default();
        self.try_to_rotate(old, keep, key, lifetime, &attempts).await.map_err(|error| match error {
            error @ ApiKeyError::OutcomeUnknown { .. } => error,
            // An earlier attempt may still arrive, whatever the outcome of the last one.
            _ if attempts.any_in_doubt() => ApiKeyError::OutcomeUnknown { reason: "its answer was lost".to_owned() },
            error => error,
        })
    }

    async fn try_to_rotate(
        &self,
        old: &KeyId,
        keep: Duration,
        key: &ApiKey,
        lifetime: Option<Duration>,
        attempts: &Attempts,
    ) -> Result<Rotation, ApiKeyError> {
        for tries in 0..ROTATE_TRIES {
            let stored = self.stored_key(old).await?.ok_or(ApiKeyError::Unknown)?.record;
            if tries > 0 {
                // The refused attempt may be the repeat of one that was applied.
                let new = self.stored_key(&key.id()).await?.filter(|new| new.record.digest == key.digest());
                if let (Some(new), Some(old_until)) = (new, stored.valid_until) {
                    return Ok(Rotation { new, old_until });
                }
                tokio::time::sleep(Duration::from_millis(50 << tries)).await;
            }
            let now = self.clock.now();
            if let KeyState::Revoked(since) = stored.state(now) {
                return Err(ApiKeyError::Ended { since });
            }
            let end = later(now, keep)?;
            let old_until = stored.valid_until.map_or(end, |until| until.min(end));
            let valid_until = end_of(now, lifetime)?;
            let record = ApiKeyRecord { digest: key.digest(), valid_until, ..stored.clone() };
            let new = StoredApiKey { id: key.id(), record, created_at: Some(now) };
            let outcome = self
                .client
                .transact_write_items()
                .transact_items(TransactWriteItem::builder().put(self.put_new_key(key, &new, now)?).build())
                .transact_items(TransactWriteItem::builder().update(self.end_old_key(old, &stored, old_until)?).build())
                .customize()
                .interceptor(attempts.clone())
                .send()
                .await;
            match outcome {
                Ok(_) => return Ok(Rotation { new, old_until }),
                Err(error) => match error.as_service_error() {
                    // Another request has changed the old key in between, or is about to.
                    Some(
                        TransactWriteItemsError::TransactionCanceledException(_)
                        | TransactWriteItemsError::TransactionInProgressException(_),
                    ) => {}
                    _ => return Err(failed_write(&error, attempts, "dynamodb:PutItem and dynamodb:UpdateItem")),
                },
            }
        }
        Err(ApiKeyError::Busy)
    }

    fn put_new_key(&self, key: &ApiKey, new: &StoredApiKey, now: Timestamp) -> Result<Put, ApiKeyError> {
        let mut expression = Expression::default();
        let condition = absent_or_same_key(&mut expression, key);
        let (names, values) = expression.into_maps();
        Ok(Put::builder()
            .table_name(&self.table)
            .set_item(Some(listed_api_key_item(&key.id(), &new.record, now)))
            .condition_expression(condition)
            .set_expression_attribute_names(names)
            .set_expression_attribute_values(values)
            .build()?)
    }

    /// Sets the end of the old key, if the key is unchanged since it was read.
    fn end_old_key(&self, old: &KeyId, stored: &ApiKeyRecord, end: Timestamp) -> Result<Update, ApiKeyError> {
        let mut expression = Expression::default();
        expression.assign(a::API_KEY_VALID_UNTIL, number(end.millis()));
        let (pk, until) = (expression.name(a::PK), expression.name(a::API_KEY_VALID_UNTIL));
        expression.require(format!("attribute_exists({pk})"));
        let unchanged = match stored.valid_until {
            None => format!("attribute_not_exists({until})"),
            Some(read) => format!("{until} = {}", expression.value(number(read.millis()))),
        };
        expression.require(unchanged);
        let (update, condition) = (expression.update(), expression.condition());
        let (names, values) = expression.into_maps();
        Ok(Update::builder()
            .table_name(&self.table)
            .key(a::PK, text(k::api_key_pk(old)))
            .key(a::SK, text(a::API_KEY_SK))
            .set_update_expression(update)
            .set_condition_expression(condition)
            .set_expression_attribute_names(names)
            .set_expression_attribute_values(values)
            .build()?)
    }

    /// A key as of its last write.
    async fn stored_key(&self, id: &KeyId) -> Result<Option<StoredApiKey>, ApiKeyError> {
        let output = self
            .client
            .get_item()
            .table_name(&self.table)
            .key(a::PK, text(k::api_key_pk(id)))
            .key(a::SK, text(a::API_KEY_SK))
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| failed(&error, "dynamodb:GetItem"))?;
        output.item.as_ref().map(read_stored_key).transpose()
    }
}
