//! The Lambda function of `get_heartbeat`.

use get_heartbeat::{OPERATION, handle};
use lambda_http::service_fn;
use ratchet_runtime::serve::{Error, run, start};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let store = start(OPERATION.name, 1).await?;
    run(service_fn(|request| handle(store, request))).await
}
