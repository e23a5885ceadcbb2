//! `update_execution_status` as it is, but for the priming: what it costs at the start and spares the first request.

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
