//! The Lambda function of `list_transitions`.

use std::process::ExitCode;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    shared::bootstrap::serve(1, || Ok(()), |store, (), event| list_transitions::handle(store, event)).await
}
