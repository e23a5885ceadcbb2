//! The table, as `template.yaml` declares it: for the development server and the tests, which create their own.

use aws_sdk_dynamodb::error::{BuildError, ProvideErrorMetadata};
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, CreateGlobalSecondaryIndexAction, GlobalSecondaryIndex,
    GlobalSecondaryIndexUpdate, KeySchemaElement, KeyType, Projection, ProjectionType, ScalarAttributeType,
    StreamSpecification, StreamViewType, TableDescription, Tag,
};

use ratchet_model::error::Error;

use crate::Store;
use crate::schema::{self as a, Index};
use crate::table_keys::ListShards;

/// The tag of a table that does not spread its lists over eight partitions: over how many it does.
const LIST_SHARDS_TAG: &str = "ratchet:list-shards";

impl Store {
    /// The store of its table, which is created if it does not exist, with the indexes that a table of an earlier version
    /// lacks. A table that exists keeps the list shards with which it was created: that is where its entries stand.
    ///
    /// # Errors
    ///
    /// Where DynamoDB refuses, or does not answer.
    pub async fn create_table_if_missing(self) -> Result<Self, Error> {
        let described = self.client.describe_table().table_name(&self.table).send().await;
        match described {
            Ok(described) => {
                let table = described.table.unwrap_or_else(|| TableDescription::builder().build());
                let has = |index: &Index| {
                    table.global_secondary_indexes().iter().any(|known| known.index_name() == Some(index.name()))
                };
                // A table of an earlier version. One index at a time is what DynamoDB adds.
                for index in Index::ALL.into_iter().filter(|index| !has(index)) {
                    self.add_index(index).await?;
                }
                let list_shards = self.list_shards_of(table.table_arn()).await?;
                return Ok(self.with_list_shards(list_shards));
            }
            Err(error) if error.code() == Some("ResourceNotFoundException") => {}
            Err(error) => return Err(crate::attempts::failed_read(&error)),
        }
        let mut request = self
            .client
            .create_table()
            .table_name(&self.table)
            .billing_mode(BillingMode::PayPerRequest)
            .set_key_schema(Some(key_schema(a::PK, a::SK)?));
        for name in [a::PK, a::SK, a::ORDER, a::BOUND].into_iter().chain(Index::ALL.map(Index::partition_key)) {
            request = request.attribute_definitions(definition(name)?);
        }
        for index in Index::ALL {
            let declared = GlobalSecondaryIndex::builder()
                .index_name(index.name())
                .set_key_schema(Some(key_schema(index.partition_key(), index.sort_key())?))
                .projection(projection(index));
            request = request.global_secondary_indexes(declared.build().map_err(|error| build_error(&error))?);
        }
        if self.list_shards != ListShards::EIGHT {
            let tag = Tag::builder().key(LIST_SHARDS_TAG).value(self.list_shards.count().to_string()).build();
            request = request.tags(tag.map_err(|error| build_error(&error))?);
        }
        match request.send().await {
            Ok(_) => Ok(self),
            // Another process has created it at the same time, and has said how.
            Err(error) if error.code() == Some("ResourceInUseException") => {
                Box::pin(self.create_table_if_missing()).await
            }
            Err(error) => Err(crate::attempts::failed_read(&error)),
        }
    }

    /// Over how many partitions a table that exists spreads its lists: as its tag says, and eight where there is none.
    async fn list_shards_of(&self, arn: Option<&str>) -> Result<ListShards, Error> {
        let Some(arn) = arn else { return Ok(ListShards::EIGHT) };
        match self.client.list_tags_of_resource().resource_arn(arn).send().await {
            Ok(listed) => {
                let mut tags = listed.tags.unwrap_or_default().into_iter();
                let said = tags.find(|tag| tag.key() == LIST_SHARDS_TAG);
                said.map_or(Ok(ListShards::EIGHT), |tag| {
                    ListShards::parse(tag.value())
                        .ok_or_else(|| Error::internal(format!("the table's tag {LIST_SHARDS_TAG} is {}", tag.value())))
                })
            }
            // DynamoDB refuses what it does not know, and whom it does not let. Such a table was deployed, and has no tag.
            Err(error) if error.raw_response().is_some_and(|answer| answer.status().is_client_error()) => {
                Ok(ListShards::EIGHT)
            }
            Err(error) => Err(crate::attempts::failed_read(&error)),
        }
    }

    /// Switches the table's stream on, with the items before and after each change, if it is off.
    ///
    /// # Errors
    ///
    /// Where DynamoDB refuses, or does not answer.
    pub async fn enable_stream(&self) -> Result<(), Error> {
        let described = self.client.describe_table().table_name(&self.table).send().await;
        let table = described.map_err(|error| crate::attempts::failed_read(&error))?.table;
        if table.and_then(|table| table.stream_specification).is_some_and(|stream| stream.stream_enabled) {
            return Ok(());
        }
        let stream = StreamSpecification::builder()
            .stream_enabled(true)
            .stream_view_type(StreamViewType::NewAndOldImages)
            .build()
            .map_err(|error| build_error(&error))?;
        let updated = self.client.update_table().table_name(&self.table).stream_specification(stream).send().await;
        updated.map(drop).map_err(|error| crate::attempts::failed_read(&error))
    }

    /// Adds an index to a table that was created without it.
    async fn add_index(&self, index: Index) -> Result<(), Error> {
        let create = CreateGlobalSecondaryIndexAction::builder()
            .index_name(index.name())
            .set_key_schema(Some(key_schema(index.partition_key(), index.sort_key())?))
            .projection(projection(index))
            .build()
            .map_err(|error| build_error(&error))?;
        let updated = self
            .client
            .update_table()
            .table_name(&self.table)
            .attribute_definitions(definition(index.partition_key())?)
            .attribute_definitions(definition(index.sort_key())?)
            .global_secondary_index_updates(GlobalSecondaryIndexUpdate::builder().create(create).build())
            .send()
            .await;
        match updated {
            Ok(_) => Ok(()),
            // Another process adds it at the same time.
            Err(error) if error.code() == Some("ResourceInUseException") => Ok(()),
            Err(error) => Err(crate::attempts::failed_read(&error)),
        }
    }
}

fn build_error(error: &BuildError) -> Error {
    Error::internal(error.to_string())
}

fn key_schema(hash: &str, range: &str) -> Result<Vec<KeySchemaElement>, Error> {
    let element = |name: &str, kind| KeySchemaElement::builder().attribute_name(name).key_type(kind).build();
    [(hash, KeyType::Hash), (range, KeyType::Range)]
        .into_iter()
        .map(|(name, kind)| element(name, kind).map_err(|error| build_error(&error)))
        .collect()
}

/// The definition of an attribute of a key: a text, but for the bound.
fn definition(name: &str) -> Result<AttributeDefinition, Error> {
    let kind = if name == a::BOUND { ScalarAttributeType::N } else { ScalarAttributeType::S };
    AttributeDefinition::builder()
        .attribute_name(name)
        .attribute_type(kind)
        .build()
        .map_err(|error| build_error(&error))
}

fn projection(index: Index) -> Projection {
    let projected: Vec<String> = index.projected().iter().map(|name| (*name).to_owned()).collect();
    if projected.is_empty() {
        return Projection::builder().projection_type(ProjectionType::KeysOnly).build();
    }
    Projection::builder().projection_type(ProjectionType::Include).set_non_key_attributes(Some(projected)).build()
}
