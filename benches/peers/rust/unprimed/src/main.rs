//! `update_execution_status` as it is, but for the priming: what it costs at the start and spares the first request.

use lambda_runtime::{Error, LambdaEvent, run, service_fn};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    shared::bootstrap::log();
    let store = shared::bootstrap::store().map_err(|error| error.to_string())?;
    let store: &'static _ = Box::leak(Box::new(store));
    run(service_fn(|event: LambdaEvent<_>| update_execution_status::handle(store, event.payload))).await
}
