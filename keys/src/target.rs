//! The table that a command works on, and its DynamoDB.

use std::fmt;

/// A table, and the DynamoDB that it is in. Displayed as the DynamoDB, for error messages.
#[derive(Debug, Clone)]
pub struct Target {
    /// The table's name.
    pub table: String,
    /// The URL of a custom endpoint, if one is set.
    pub endpoint: Option<String>,
    /// The region's name.
    pub region: String,
}

impl fmt::Display for Target {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.endpoint {
            Some(endpoint) => write!(formatter, "DynamoDB at {endpoint}"),
            None => write!(formatter, "DynamoDB in {}", self.region),
        }
    }
}
