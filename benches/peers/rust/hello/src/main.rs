//! The floor: a function that does nothing, on the usual runtime.

use lambda_http::{Error, Request, Response, run, service_fn};

async fn hello(_request: Request) -> Result<Response<String>, Error> {
    Ok(Response::builder()
        .status(200)
        .header("content-type", "application/json")
        .body("{\"hello\":\"world\"}".to_owned())?)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    run(service_fn(hello)).await
}
