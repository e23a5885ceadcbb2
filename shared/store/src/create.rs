//! Creates an execution: a number from the flow's counter, then one conditional put. Two requests, with or without an
//! Idempotency-Key.

use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::types::{ReturnValue, ReturnValuesOnConditionCheckFailure};
use ratchet_model::caller::Caller;
use ratchet_model::error::Error;
use ratchet_model::execution::Execution;
use ratchet_model::id::{ExecutionId, OrganizationId};
use ratchet_model::idempotency::IdempotencyKey;
use ratchet_model::new_execution::NewExecution;
use uuid::{Builder, Uuid};

use crate::attempts::{Attempts, failed_read, failed_write, is_too_large};
use crate::dedup::{Duplicate, WriteToken};
use crate::expression::{Expression, number, text};
use crate::item::{self, new_execution_item, read_execution};
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
        let mut random = [0u8; 16];
        getrandom::fill(&mut random)?;
        Builder::from_random_bytes(random).into_uuid()
    };
    Ok(ExecutionId::from_uuid(uuid))
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
        let number = self.next_number(&caller.organization, &new.flow_id).await?;
        let head = new_execution_item(caller, new, &id, number, self.clock.now(), &token);
        let size = item::size(&head);
        let execution = read_execution(&head)?;

        let mut expression = Expression::default();
        let pk = expression.name(a::PK);
        let (names, _) = expression.into_maps();
        let attempts = Attempts::default();
        let outcome = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(head))
            .condition_expression(format!("attribute_not_exists({pk})"))
            .set_expression_attribute_names(names)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .customize()
            .interceptor(attempts.clone())
            .send()
            .await;
        let Err(error) = outcome else { return Ok(Created { execution, replayed: false }) };
        if let Some(PutItemError::ConditionalCheckFailedException(failed)) = error.as_service_error() {
            let item = failed.item().ok_or_else(|| Error::internal("the store returned no item"))?;
            let created_by =
                item.get(a::CREATED_BY).ok_or_else(|| Error::internal("an execution without its dedup token"))?;
            return match token.compare(created_by) {
                Duplicate::KeyReused => Err(Error::IdempotencyKeyReused),
                duplicate => Ok(Created { execution: read_execution(item)?, replayed: duplicate == Duplicate::Replay }),
            };
        }
        if is_too_large(&error) {
            return Err(Error::RecordTooLarge { size, limit: MAX_ITEM });
        }
        Err(failed_write(&error, &attempts))
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
