//! The Lambda function of `list_executions`.

use std::process::ExitCode;

use shared::bootstrap::{cursor_key, serve};
use shared::store::attributes::SHARDS;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    // A page asks every shard at once.
    serve(usize::from(SHARDS), cursor_key, list_executions::handle).await
}
