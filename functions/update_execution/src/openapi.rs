//! The operation in the OpenAPI document.
