//! The domain: an execution, its status and transitions, the commands that create, change and list executions, and the
//! callers that may send them. No AWS, no HTTP, no runtime: a client can use this crate, too.

// A request must not be able to end a function: no indexing that can be out of bounds, no panic. Tests may panic.
#![cfg_attr(not(test), warn(clippy::indexing_slicing, clippy::panic))]

pub mod api_key;
pub mod caller;
pub mod change;
pub mod clock;
pub mod error;
pub mod error_code;
pub mod event;
pub mod execution;
pub mod heartbeat;
pub mod id;
pub mod idempotency;
pub mod json;
pub mod key_name;
pub mod limits;
pub mod list;
pub mod new_execution;
#[cfg(feature = "openapi")]
pub mod samples;
pub mod scope;
pub mod status;
pub mod step;
pub mod supervision;
pub mod wire_name;
