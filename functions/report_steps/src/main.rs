//! The Lambda function of `report_steps`.

use lambda_http::service_fn;
use ratchet_runtime::serve::{Error, run, start};
use report_steps::{OPERATION, handle};

/// How many connections are opened before the first request needs them. Reports of one or two steps are the usual ones; a
/// report of more opens the others when it comes.
const CONNECTIONS: usize = 2;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let store = start(OPERATION.name, CONNECTIONS).await?;
    run(service_fn(|request| handle(store, request))).await
}
