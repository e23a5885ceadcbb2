//! The Lambda function of `get_caller`.

use get_caller::{OPERATION, handle};
use lambda_http::service_fn;
use ratchet_model::clock::SystemClock;
use ratchet_runtime::serve::{Error, run, start_without_store};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    start_without_store(OPERATION.name);
    run(service_fn(|request| handle(&SystemClock, request))).await
}
