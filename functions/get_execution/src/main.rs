//! The Lambda function of `get_execution`.

use std::process::ExitCode;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    shared::bootstrap::serve(1, || Ok(()), |store, (), event| get_execution::handle(store, event)).await
}
