//! The loop of a function: Lambda's events in, answers out.

use std::convert::Infallible;
use std::fmt::Debug;

use lambda_http::{Adapter, IntoResponse, Request};
use lambda_runtime::LambdaEvent;
use lambda_runtime::tower::{Service, ServiceBuilder};
use ratchet_http::gateway_event::GatewayEvent;
use ratchet_store::Store;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::logging;
use crate::settings::{self, SettingError};

/// Why a function ended. The log has it already, in a line that an alarm can match.
pub struct Error(String);

impl Debug for Error {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl From<SettingError> for Error {
    fn from(error: SettingError) -> Self {
        let reason = error.to_string();
        tracing::error!(error = reason, "the function cannot start");
        Self(reason)
    }
}

impl From<lambda_runtime::Error> for Error {
    fn from(error: lambda_runtime::Error) -> Self {
        tracing::error!(error, "the runtime ended");
        Self(error.to_string())
    }
}

/// Starts a function: its log, its settings, and a store with `connections` open connections, as many as an invocation
/// sends requests at once. `function` is the name of its crate.
///
/// # Errors
///
/// Where a setting is missing. The function then ends at once, with one log line that names it: Lambda reports a failed
/// INIT, and no request reaches a half-configured function.
pub async fn start(function: &str, connections: usize) -> Result<&'static Store, Error> {
    logging::init(function);
    let store = settings::store()?;
    store.prime(connections).await;
    // The store lives as long as the process: an invocation needs only a reference.
    Ok(Box::leak(Box::new(store)))
}

/// Starts a function that needs no store: its log, and nothing else. It reads no setting, so none can be missing.
/// `function` is the name of its crate.
pub fn start_without_store(function: &str) {
    logging::init(function);
}

/// Converts a handler of HTTP requests to a service of Lambda's events, as `lambda_http::run` does, but behind the
/// guard of [`GatewayEvent`].
pub fn adapt<'a, S, R>(
    handler: S,
) -> impl Service<LambdaEvent<GatewayEvent>, Response: Serialize + Send + 'static, Error = Infallible, Future: Send>
where
    S: Service<Request, Response = R, Error = Infallible>,
    S::Future: Send + 'a,
    R: IntoResponse + 'a,
{
    ServiceBuilder::new()
        .map_request(|event: LambdaEvent<GatewayEvent>| LambdaEvent::new(event.payload.0, event.context))
        .layer_fn(Adapter::from)
        .service(handler)
}

/// Serves API Gateway's requests until Lambda ends the function.
///
/// # Errors
///
/// Where the runtime API ends the loop.
pub async fn run<'a, S, R>(handler: S) -> Result<(), Error>
where
    S: Service<Request, Response = R, Error = Infallible>,
    S::Future: Send + 'a,
    R: IntoResponse + 'a,
{
    Ok(lambda_runtime::run(adapt(handler)).await?)
}

/// Serves events of another kind until Lambda ends the function.
///
/// # Errors
///
/// Where the runtime API ends the loop.
pub async fn run_events<S, E, R, X>(handler: S) -> Result<(), Error>
where
    S: Service<LambdaEvent<E>, Response = R, Error = X>,
    E: DeserializeOwned,
    R: Serialize + Send + 'static,
    X: Into<lambda_runtime::Diagnostic> + Debug,
    S::Future: Send,
{
    Ok(lambda_runtime::run(handler).await?)
}
