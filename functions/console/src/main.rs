//! The Lambda function of `console`.

use console::{NAME, handle};
use lambda_http::service_fn;
use ratchet_runtime::serve::{Error, run, start_without_store};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    start_without_store(NAME);
    run(service_fn(handle)).await
}
