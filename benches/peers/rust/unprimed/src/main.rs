//! `update_execution_status` without the priming, to measure what priming costs at the start and saves in the first request.

use lambda_http::service_fn;
use ratchet_runtime::serve::{Error, run};
use ratchet_runtime::{logging, settings};
use update_execution_status::{OPERATION, handle};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    logging::init(OPERATION.name);
    let store: &'static _ = Box::leak(Box::new(settings::store()?));
    run(service_fn(|request| handle(store, request))).await
}
