//! The model that all functions of Ratchet share: an execution, its status, and the one write that moves it.
//!
//! A request's way: [`request::event::Event`] -> [`endpoint::answer`] -> [`request::Request`] -> one call on
//! [`store::Store`] -> [`response::Response`].

// A request must not be able to end a function: no index that may be out of bounds, no panic. Tests may.
#![cfg_attr(not(test), warn(clippy::indexing_slicing, clippy::panic))]

pub mod auth;
pub mod bootstrap;
pub mod clock;
pub mod endpoint;
pub mod error;
pub mod execution;
pub mod json;
#[cfg(feature = "openapi")]
pub mod openapi;
pub mod request;
pub mod response;
pub mod status;
pub mod store;
