//! The Lambda function of `authorizer`.

use authorizer::{NAME, handle};
use lambda_runtime::service_fn;
use ratchet_runtime::serve::{Error, run_events, start};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let store = start(NAME, 1).await?;
    run_events(service_fn(|event| handle(store, event))).await
}
