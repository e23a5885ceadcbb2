//! The key tool: creates, lists, rotates and revokes the API keys in a table.
//!
//! | module | responsibility |
//! | --- | --- |
//! | `arguments` | the command line |
//! | `connection` | from the environment to a store: region, credentials, endpoint |
//! | `target` | the table that a command works on, and its DynamoDB |
//! | `listing` | the list of keys, as text and as JSON |
//! | `errors` | the error messages |
//!
//! What it does to the table is in `shared/store/src/api_keys.rs`.

pub mod arguments;
pub mod connection;
pub mod errors;
pub mod listing;
pub mod target;
