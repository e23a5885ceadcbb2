//! The key tool: makes, lists, rotates and revokes the API keys in a table.
//!
//! | room | what happens there |
//! | --- | --- |
//! | `arguments` | the command line |
//! | `connection` | from the environment to a store: region, credentials, endpoint |
//! | `listing` | the list, for people and for programs |
//! | `words` | what a person reads when something is in the way |
//!
//! What it does to the table is in `shared/src/store/keys.rs`.

pub mod arguments;
pub mod connection;
pub mod listing;
pub mod words;
