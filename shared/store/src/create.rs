//! Creates an execution: a number from the flow's counter, then one conditional put, or one transaction of two where the
//! inputs are large. Two requests, with or without an Idempotency-Key.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{
    CancellationReason, Put, ReturnValue, ReturnValuesOnConditionCheckFailure, TransactWriteItem,
};
use ratchet_model::caller::Caller;
use ratchet_model::error::Error;
use ratchet_model::execution::Execution;
use ratchet_model::id::{ExecutionId, OrganizationId};
use ratchet_model::idempotency::IdempotencyKey;
use ratchet_model::new_execution::NewExecution;
use uuid::{Builder, Uuid};

use crate::attempts::{Attempts, failed_read, failed_write, is_too_large};
use crate::client::OPERATION_TIMEOUT;
use crate::dedup::{Duplicate, WriteToken};
use crate::expression::{Expression, number, text};
use crate::item::{self, Inputs, Item, NewItems, inputs_of, new_execution_items, read_execution};
use crate::schema as a;
use crate::table_keys as k;
use crate::{MAX_ITEM, Store};

/// An execution that was created, now or by an earlier attempt or request.
#[derive(Debug)]
pub struct Created {
    /// The record: new or, for a duplicate, in its present state.
    pub execution: Execution,
    /// Whether an earlier request with the same Idempotency-Key created it.
    pub replayed: bool,
}

/// The id of a new execution. With an Idempotency-Key it is derived from the organization and the key. So the put of a
/// replay finds the item of the first request, and nothing else is needed to create no second execution.
fn new_id(organization: &OrganizationId, key: Option<&IdempotencyKey>) -> Result<ExecutionId, Error> {
    let uuid: Uuid = if let Some(key) = key {
        use sha2::{Digest, Sha256};
        let mut hash = Sha256::new();
        hash.update(organization.as_str().as_bytes());
        hash.update([0]);
        hash.update(key.key);
        let digest: [u8; 32] = hash.finalize().into();
        let [first_half @ .., _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _] = digest;
        // RFC 9562, 5.8 and B.2: a UUID from a hash of the application's choice has version 8.
        Builder::from_custom_bytes(first_half).into_uuid()
    } else {
        random_uuid()?
    };
    Ok(ExecutionId::from_uuid(uuid))
}

fn random_uuid() -> Result<Uuid, getrandom::Error> {
    let mut random = [0u8; 16];
    getrandom::fill(&mut random)?;
    Ok(Builder::from_random_bytes(random).into_uuid())
}

/// How often a transaction is tried that meets another one, or is throttled.
const TRANSACTION_TRIES: u32 = 6;

/// How long a transaction waits before its second try; before each further one twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(25);

/// The reasons why DynamoDB cancels a transaction that is worth another try.
const WORTH_ANOTHER_TRY: [&str; 3] = ["TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"];

/// The outcome of a put that requires that there is nothing yet.
enum Outcome {
    /// It was put, now or by an earlier attempt.
    Created,
    /// There is an execution with this id: its head.
    Exists(Item),
    /// An item is larger than it may be.
    TooLarge,
}

/// The condition that there is no such item yet, and its names.
fn absent() -> (String, Option<HashMap<String, String>>) {
    let mut expression = Expression::default();
    let pk = expression.name(a::PK);
    let (names, _) = expression.into_maps();
    (format!("attribute_not_exists({pk})"), names)
}

fn is_head(item: &Item) -> bool {
    item.get(a::SK).and_then(|sk| sk.as_s().ok()).is_some_and(|sk| sk == a::HEAD_SK)
}

impl Store {
    /// Creates an execution. Two requests.
    ///
    /// # Errors
    ///
    /// [`Error::IdempotencyKeyReused`], [`Error::RecordTooLarge`], [`Error::StoreUnavailable`]: no execution was
    /// created. [`Error::OutcomeUnknown`]: one may have been created; a repeat with the same Idempotency-Key finds it.
    pub async fn create(&self, caller: &Caller, new: &NewExecution) -> Result<Created, Error> {
        let id = new_id(&caller.organization, new.idempotency_key.as_ref())?;
        let token = WriteToken::new(new.idempotency_key.as_ref(), self.clock.now())?;
        let inputs: Item = inputs_of(new).collect();
        let size = item::size(&inputs);
        if size > MAX_ITEM {
            return Err(Error::InputsTooLarge { size, limit: MAX_ITEM });
        }
        let number = self.next_number(&caller.organization, &new.flow_id).await?;
        let items = new_execution_items(caller, new, &id, number, self.clock.now(), &token, self.list_shards);
        let size = item::size(&items.head);
        let execution = read_execution(&items.head, Inputs::Read(items.inputs.as_ref()))?;
        let put = match items {
            NewItems { head, inputs: None } => self.put_head(head).await?,
            NewItems { head, inputs: Some(inputs) } => {
                // The tries are bounded together, as the SDK's own are for one request.
                let tries = self.put_head_and_inputs(&head, &inputs);
                let timeout = |_| Error::OutcomeUnknown { reason: "the transaction took too long".to_owned() };
                tokio::time::timeout(OPERATION_TIMEOUT, tries).await.map_err(timeout)??
            }
        };
        match put {
            Outcome::Created => Ok(Created { execution, replayed: false }),
            Outcome::TooLarge => Err(Error::RecordTooLarge { size, limit: MAX_ITEM }),
            Outcome::Exists(head) => {
                let created_by =
                    head.get(a::CREATED_BY).ok_or_else(|| Error::internal("an execution without its dedup token"))?;
                let replayed = match token.compare(created_by) {
                    Duplicate::KeyReused => return Err(Error::IdempotencyKeyReused),
                    duplicate => duplicate == Duplicate::Replay,
                };
                // The same body has the same inputs: they need not be read.
                Ok(Created { execution: read_execution(&head, Inputs::Read(Some(&inputs)))?, replayed })
            }
        }
    }

    /// Puts an execution that is one item, if there is none with its id.
    async fn put_head(&self, head: Item) -> Result<Outcome, Error> {
        let (condition, names) = absent();
        let attempts = Attempts::default();
        let outcome = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(head))
            .condition_expression(condition)
            .set_expression_attribute_names(names)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .customize()
            .interceptor(attempts.clone())
            .send()
            .await;
        let Err(error) = outcome else { return Ok(Outcome::Created) };
        if let Some(PutItemError::ConditionalCheckFailedException(failed)) = error.as_service_error() {
            return failed.item().cloned().map(Outcome::Exists).ok_or_else(|| Error::internal("no item was returned"));
        }
        if is_too_large(&error) {
            return Ok(Outcome::TooLarge);
        }
        Err(failed_write(&error, &attempts))
    }

    /// Puts an execution's head and its inputs, both or neither, if there is no execution with its id.
    ///
    /// Two requests with one Idempotency-Key conflict where they meet; the one that was refused for that tries again, and
    /// then finds the other's execution. All tries have one request token, by which DynamoDB knows an applied one.
    async fn put_head_and_inputs(&self, head: &Item, inputs: &Item) -> Result<Outcome, Error> {
        let request_token = random_uuid()?.to_string();
        let attempts = Attempts::default();
        for tries in 0..TRANSACTION_TRIES {
            if tries > 0 {
                tokio::time::sleep(FIRST_PAUSE * 2u32.pow(tries - 1)).await;
            }
            let outcome = self
                .client
                .transact_write_items()
                .client_request_token(&request_token)
                .transact_items(self.put_if_absent(head)?)
                .transact_items(self.put_if_absent(inputs)?)
                .customize()
                .interceptor(attempts.clone())
                .send()
                .await;
            let Err(error) = outcome else { return Ok(Outcome::Created) };
            let reasons = match error.as_service_error() {
                Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) => {
                    cancelled.cancellation_reasons()
                }
                _ if is_too_large(&error) => return Ok(Outcome::TooLarge),
                _ => return Err(failed_write(&error, &attempts)),
            };
            let has = |codes: &[&str]| reasons.iter().any(|it| it.code().is_some_and(|code| codes.contains(&code)));
            if has(&["ConditionalCheckFailed"]) {
                let head = reasons.iter().filter_map(CancellationReason::item).find(|item| is_head(item));
                return head
                    .cloned()
                    .map(Outcome::Exists)
                    .ok_or_else(|| Error::internal("an execution's inputs without its head"));
            }
            if has(&["ValidationError"]) {
                return Ok(Outcome::TooLarge);
            }
            if !has(&WORTH_ANOTHER_TRY) {
                return Err(failed_write(&error, &attempts));
            }
        }
        let reason = "the transaction met others, or was throttled, again and again".to_owned();
        Err(if attempts.any_in_doubt() { Error::OutcomeUnknown { reason } } else { Error::StoreUnavailable { reason } })
    }

    fn put_if_absent(&self, item: &Item) -> Result<TransactWriteItem, Error> {
        let (condition, names) = absent();
        let put = Put::builder()
            .table_name(&self.table)
            .set_item(Some(item.clone()))
            .condition_expression(condition)
            .set_expression_attribute_names(names)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .build()
            .map_err(|error| Error::internal(error.to_string()))?;
        Ok(TransactWriteItem::builder().put(put).build())
    }

    /// The next `execution_number` of a flow. An attempt in doubt, or an execution that was not created after all,
    /// leaves a gap.
    async fn next_number(&self, organization: &OrganizationId, flow_id: &str) -> Result<i64, Error> {
        let mut expression = Expression::default();
        let last = expression.name(a::LAST_NUMBER);
        let one = expression.value(number(1));
        let (names, values) = expression.into_maps();
        let output = self
            .client
            .update_item()
            .table_name(&self.table)
            .key(a::PK, text(k::counter_pk(organization, flow_id)))
            .key(a::SK, text(a::COUNTER_SK))
            .update_expression(format!("ADD {last} {one}"))
            .set_expression_attribute_names(names)
            .set_expression_attribute_values(values)
            .return_values(ReturnValue::UpdatedNew)
            .send()
            .await
            // No execution was created, whether or not the counter has risen.
            .map_err(|error| failed_read(&error))?;
        output
            .attributes
            .as_ref()
            .and_then(|attributes| attributes.get(a::LAST_NUMBER)?.as_n().ok()?.parse().ok())
            .ok_or_else(|| Error::internal("the counter returned no number"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_names_one_execution_in_each_organization() {
        let key = IdempotencyKey { key: [7; 32], body: [0; 32] };
        let organization = |id: &str| OrganizationId::parse(id).unwrap();
        let id = |id: &str| new_id(&organization(id), Some(&key)).unwrap();
        assert_eq!(id("acme"), id("acme"));
        assert_ne!(id("acme"), id("other"));
        assert_eq!(id("acme").to_string().as_bytes()[14], b'8');
        assert_ne!(new_id(&organization("acme"), None).unwrap(), new_id(&organization("acme"), None).unwrap());
    }
}
