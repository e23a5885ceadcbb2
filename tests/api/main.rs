//! The tests of the API, over HTTP. One file per route, and one per promise that holds for all of them.
#![expect(clippy::expect_used, reason = "a test ends where it cannot go on")]

mod attempts;
mod bad_input;
mod canaries;
mod capacity;
mod coverage;
mod drift;
mod events;
mod execute_flow;
mod gateway;
mod get_caller;
mod get_execution;
mod hostile;
mod hostile_events;
mod in_doubt;
mod inputs;
mod keys;
mod layers;
mod list_executions;
mod list_transitions;
mod logs;
mod repeats;
mod round_trip;
mod template;
mod tenants;
mod trust;
mod update_execution;
mod update_execution_status;
mod upgrade;
