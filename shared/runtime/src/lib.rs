//! How a Lambda function starts: settings from the environment, logs, one client, open connections; then its loop.

#![cfg_attr(not(test), warn(clippy::indexing_slicing, clippy::panic))]

pub mod logging;
pub mod metrics;
pub mod serve;
pub mod settings;
