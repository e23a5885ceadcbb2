//! The Lambda function of `execute_flow`.

use std::process::ExitCode;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    shared::bootstrap::serve(1, || Ok(()), |store, (), event| execute_flow::handle(store, event)).await
}
