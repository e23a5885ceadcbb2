//! The Lambda function of `update_execution_status`.

use std::process::ExitCode;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    shared::bootstrap::serve(1, || Ok(()), |store, (), event| update_execution_status::handle(store, event)).await
}
