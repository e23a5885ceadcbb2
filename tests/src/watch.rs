//! Watches the store's requests: their operations, and the units that they consumed.

use std::sync::{Arc, Mutex};

use aws_sdk_dynamodb::config::interceptors::{
    AfterDeserializationInterceptorContextRef, BeforeSerializationInterceptorContextMut,
    BeforeTransmitInterceptorContextRef,
};
use aws_sdk_dynamodb::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_dynamodb::operation::batch_get_item::{BatchGetItemInput, BatchGetItemOutput};
use aws_sdk_dynamodb::operation::get_item::{GetItemInput, GetItemOutput};
use aws_sdk_dynamodb::operation::put_item::{PutItemInput, PutItemOutput};
use aws_sdk_dynamodb::operation::query::{QueryInput, QueryOutput};
use aws_sdk_dynamodb::operation::transact_write_items::{TransactWriteItemsInput, TransactWriteItemsOutput};
use aws_sdk_dynamodb::operation::update_item::{UpdateItemInput, UpdateItemOutput};
use aws_sdk_dynamodb::types::{ConsumedCapacity, ReturnConsumedCapacity};
use aws_smithy_runtime_api::box_error::BoxError;

/// The requests that the store sent. Clones share their record.
#[derive(Debug, Clone, Default)]
pub struct Watch(Arc<Mutex<Record>>);

#[derive(Debug, Default)]
struct Record {
    requests: Vec<String>,
    table_units: f64,
    index_units: f64,
    read_units: f64,
}

impl Watch {
    /// The operations that were requested since the last call, in order.
    #[must_use]
    pub fn requests(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().expect("no test panics while it holds this").requests)
    }

    /// The write units that the writes consumed since the last call: of the table, and of all indexes.
    #[must_use]
    pub fn units(&self) -> (f64, f64) {
        let mut record = self.0.lock().expect("no test panics while it holds this");
        (std::mem::take(&mut record.table_units), std::mem::take(&mut record.index_units))
    }

    /// The read units that all reads consumed since the last call.
    #[must_use]
    pub fn read_units(&self) -> f64 {
        std::mem::take(&mut self.0.lock().expect("no test panics while it holds this").read_units)
    }

    fn read<'a>(&self, capacities: impl IntoIterator<Item = &'a ConsumedCapacity>) {
        let units: f64 = capacities.into_iter().filter_map(ConsumedCapacity::capacity_units).sum();
        self.0.lock().expect("no test panics while it holds this").read_units += units;
    }

    fn consumed<'a>(&self, capacities: impl IntoIterator<Item = &'a ConsumedCapacity>) {
        let mut record = self.0.lock().expect("no test panics while it holds this");
        for capacity in capacities {
            record.table_units +=
                capacity.table().and_then(aws_sdk_dynamodb::types::Capacity::capacity_units).unwrap_or_default();
            let indexes = capacity.global_secondary_indexes().into_iter().flatten();
            record.index_units += indexes.filter_map(|(_, index)| index.capacity_units()).sum::<f64>();
        }
    }
}

impl Intercept for Watch {
    fn name(&self) -> &'static str {
        "Watch"
    }

    fn modify_before_serialization(
        &self,
        context: &mut BeforeSerializationInterceptorContextMut<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let Some(input) = context.input_mut().downcast_mut::<UpdateItemInput>() {
            input.return_consumed_capacity = Some(ReturnConsumedCapacity::Indexes);
        } else if let Some(input) = context.input_mut().downcast_mut::<PutItemInput>() {
            input.return_consumed_capacity = Some(ReturnConsumedCapacity::Indexes);
        } else if let Some(input) = context.input_mut().downcast_mut::<TransactWriteItemsInput>() {
            input.return_consumed_capacity = Some(ReturnConsumedCapacity::Indexes);
        } else if let Some(input) = context.input_mut().downcast_mut::<GetItemInput>() {
            input.return_consumed_capacity = Some(ReturnConsumedCapacity::Total);
        } else if let Some(input) = context.input_mut().downcast_mut::<BatchGetItemInput>() {
            input.return_consumed_capacity = Some(ReturnConsumedCapacity::Total);
        } else if let Some(input) = context.input_mut().downcast_mut::<QueryInput>() {
            input.return_consumed_capacity = Some(ReturnConsumedCapacity::Total);
        }
        Ok(())
    }

    fn read_before_transmit(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let target = context.request().headers().get("x-amz-target").unwrap_or_default();
        let operation = target.rsplit('.').next().unwrap_or_default().to_owned();
        self.0.lock().expect("no test panics while it holds this").requests.push(operation);
        Ok(())
    }

    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let Ok(output) = context.output_or_error() {
            if let Some(output) = output.downcast_ref::<UpdateItemOutput>() {
                self.consumed(output.consumed_capacity());
            } else if let Some(output) = output.downcast_ref::<PutItemOutput>() {
                self.consumed(output.consumed_capacity());
            } else if let Some(output) = output.downcast_ref::<TransactWriteItemsOutput>() {
                self.consumed(output.consumed_capacity());
            } else if let Some(output) = output.downcast_ref::<GetItemOutput>() {
                self.read(output.consumed_capacity());
            } else if let Some(output) = output.downcast_ref::<BatchGetItemOutput>() {
                self.read(output.consumed_capacity());
            } else if let Some(output) = output.downcast_ref::<QueryOutput>() {
                self.read(output.consumed_capacity());
            }
        }
        Ok(())
    }
}
