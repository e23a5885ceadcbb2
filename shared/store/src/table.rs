//! The table, as `template.yaml` declares it: for the development server and the tests, which create their own.

use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection, ProjectionType,
    ScalarAttributeType,
};

use ratchet_model::error::Error;

use crate::Store;
use crate::schema::{self as a, Index};

impl Store {
    /// Creates the table if it does not exist.
    ///
    /// # Errors
    ///
    /// Where DynamoDB refuses, or does not answer.
    pub async fn create_table_if_missing(&self) -> Result<(), Error> {
        let described = self.client.describe_table().table_name(&self.table).send().await;
        match described {
            Ok(_) => return Ok(()),
            Err(error) if error.code() == Some("ResourceNotFoundException") => {}
            Err(error) => return Err(crate::attempts::failed_read(&error)),
        }
        let build_error = |error: aws_sdk_dynamodb::error::BuildError| Error::internal(error.to_string());
        let schema = |hash: &str, range: &str| -> Result<Vec<KeySchemaElement>, Error> {
            [(hash, KeyType::Hash), (range, KeyType::Range)]
                .into_iter()
                .map(|(name, kind)| {
                    KeySchemaElement::builder().attribute_name(name).key_type(kind).build().map_err(build_error)
                })
                .collect()
        };
        let attributes =
            [a::PK, a::SK, a::ORDER].into_iter().chain(Index::ALL.iter().map(|index| index.partition_key()));
        let mut request = self
            .client
            .create_table()
            .table_name(&self.table)
            .billing_mode(BillingMode::PayPerRequest)
            .set_key_schema(Some(schema(a::PK, a::SK)?));
        for name in attributes {
            request = request.attribute_definitions(
                AttributeDefinition::builder()
                    .attribute_name(name)
                    .attribute_type(ScalarAttributeType::S)
                    .build()
                    .map_err(build_error)?,
            );
        }
        for index in Index::ALL {
            let projection = Projection::builder()
                .projection_type(ProjectionType::Include)
                .set_non_key_attributes(Some(index.projected().iter().map(|name| (*name).to_owned()).collect()))
                .build();
            request = request.global_secondary_indexes(
                GlobalSecondaryIndex::builder()
                    .index_name(index.name())
                    .set_key_schema(Some(schema(index.partition_key(), a::ORDER)?))
                    .projection(projection)
                    .build()
                    .map_err(build_error)?,
            );
        }
        match request.send().await {
            Ok(_) => Ok(()),
            // Another process has created it at the same time.
            Err(error) if error.code() == Some("ResourceInUseException") => Ok(()),
            Err(error) => Err(crate::attempts::failed_read(&error)),
        }
    }
}
