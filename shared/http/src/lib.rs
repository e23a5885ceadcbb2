//! Converts API Gateway's events to commands of the domain, and results and errors of the domain to answers. This crate
//! knows no table.
//!
//! The path of a request: [`gateway_event::GatewayEvent`] -> `lambda_http::Request` -> [`endpoint::respond`] ->
//! [`request::Request`] -> the function's own reader -> one call on the store -> [`response::Response`].

// A request must not be able to end a function: no indexing that can be out of bounds, no panic. Tests may panic.
#![cfg_attr(not(test), warn(clippy::indexing_slicing, clippy::panic))]

pub mod authorizer_event;
pub mod cursor;
pub mod endpoint;
pub mod error;
pub mod fields;
pub mod gateway_event;
pub mod headers;
#[cfg(feature = "openapi")]
pub mod openapi;
pub mod operation;
pub mod parameters;
pub mod request;
pub mod response;
pub mod validation;
pub mod validation_error;
