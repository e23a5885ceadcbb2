//! The Lambda function of `list_executions`.

use std::process::ExitCode;

use shared::bootstrap::{cursor_key, serve};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    serve(cursor_key, list_executions::handle).await
}
