//! The Lambda function of `authorizer`.

use std::process::ExitCode;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    shared::bootstrap::serve(1, || Ok(()), |store, (), event| authorizer::handle(store, event)).await
}
