//! The Lambda function of `list_steps`.

use lambda_http::service_fn;
use list_steps::{OPERATION, handle};
use ratchet_runtime::serve::{Error, run, start};
use ratchet_runtime::settings::cursor_key;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let store = start(OPERATION.name, 1).await?;
    let cursors = cursor_key()?;
    run(service_fn(|request| handle(store, &cursors, request))).await
}
