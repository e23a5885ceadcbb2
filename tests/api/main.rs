//! The tests of the API, over HTTP. One file per route, and one per promise that concerns them all.
#![expect(clippy::expect_used, reason = "a test ends where it cannot go on")]

mod get_execution;
