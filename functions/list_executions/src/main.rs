//! The Lambda function of `list_executions`.

use lambda_http::service_fn;
use list_executions::{OPERATION, handle};
use ratchet_runtime::serve::{Error, run, start};
use ratchet_runtime::settings::cursor_key;
use ratchet_store::table_keys::ListShards;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    // A page queries every shard at once.
    let store = start(OPERATION.name, usize::from(ListShards::EIGHT.count())).await?;
    let cursors = cursor_key()?;
    run(service_fn(|request| handle(store, &cursors, request))).await
}
