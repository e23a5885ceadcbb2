//! A client of Ratchet.
//!
//! ```no_run
//! # async fn example() -> Result<(), ratchet_client::error::Error> {
//! use ratchet_client::client::Client;
//! use ratchet_client::request::{NewExecution, Update};
//! use ratchet_model::execution::TriggerType;
//! use ratchet_model::status::Status;
//!
//! let client = Client::new("http://127.0.0.1:3000", "local-dev-key")?;
//! let execution = client.execute(&NewExecution::new("nightly-report", TriggerType::Scheduled)).await?;
//! let running = client.update(execution.id, &Update::to(Status::Running)).await?;
//! let done = Update { attempt: Some(running.attempt), ..Update::to(Status::Completed) };
//! client.update(execution.id, &done).await?;
//! # Ok(())
//! # }
//! ```
//!
//! | module | responsibility |
//! | --- | --- |
//! | `client` | [`client::Client`]: one method per operation |
//! | `transport` | one call: its requests, one after the other, until one is answered |
//! | `retry` | whether and when a call is tried again |
//! | `request` | what is sent |
//! | `record` | what comes back |
//! | `answer` | a record with its `ETag` |
//! | `error` | why a call failed |
//! | `idempotency` | the key by which a repeat is recognized |
//! | `walk` | a list, page by page |
//! | `wait` | waiting for the end of an execution |
//! | `heartbeats` | heartbeats from a task, and what they are answered |
//! | `wire` | reading and writing JSON exactly |
//!
//! # Repeating is safe
//!
//! Each write has one Idempotency-Key, created before its first request and sent with each, so that a repeat is recognized
//! and not applied again: a call is tried again after any failure that may pass. A caller that repeats a *call* gives the
//! key itself (`idempotency_key` of each request).
//!
//! # Values are exact
//!
//! Objects and costs are JSON text ([`ratchet_model::json::JsonText`]): 1.0 stays 1.0, and a number of 40 digits keeps them.

pub mod answer;
pub mod client;
pub mod error;
pub mod heartbeats;
pub mod idempotency;
pub mod record;
pub mod request;
pub mod retry;
mod transport;
pub mod wait;
pub mod walk;
mod wire;

pub use ratchet_model as model;
