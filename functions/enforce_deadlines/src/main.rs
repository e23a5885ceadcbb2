//! The Lambda function of `enforce_deadlines`.

use enforce_deadlines::{NAME, handle};
use lambda_runtime::service_fn;
use ratchet_runtime::serve::{Error, run_events, start};
use ratchet_store::deadlines::READS_AT_ONCE;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let store = start(NAME, READS_AT_ONCE).await?;
    run_events(service_fn(|event| handle(store, event, std::io::stdout()))).await
}
