//! From API Gateway's events to commands of the domain, and from its errors to answers. Knows no table.
//!
//! A request's way: [`gateway_event::GatewayEvent`] -> `lambda_http::Request` -> [`endpoint::respond`] ->
//! [`request::Request`] -> the function's own reader -> one call on the store -> [`response::Response`].

// A request must not be able to end a function: no index that may be out of bounds, no panic. Tests may.
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
pub mod request;
pub mod response;
pub mod validation;
pub mod validation_error;
