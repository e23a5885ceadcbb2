//! Tests of `ratchet` with real children, against the real service, in this process.
#![expect(clippy::unwrap_used, reason = "a harness that cannot go on must end the test")]

mod commands;
mod reference;
mod run;
mod run_alone;
mod run_bad_days;
mod settings;
mod world;
