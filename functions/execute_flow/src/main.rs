//! The Lambda function of `execute_flow`.

use execute_flow::{OPERATION, handle};
use lambda_http::service_fn;
use ratchet_runtime::serve::{Error, run, start};
use ratchet_runtime::settings::default_timeout_seconds;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let store = start(OPERATION.name, 1).await?;
    let default_timeout_seconds = default_timeout_seconds()?;
    run(service_fn(|request| handle(store, default_timeout_seconds, request))).await
}
