//! The operations of the API: one line per function. The route table and the paths of the OpenAPI document are created
//! from them.

use std::collections::BTreeMap;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use lambda_http::{LambdaEvent, Service, service_fn};
use ratchet_http::cursor::CursorKey;
use ratchet_http::gateway_event::GatewayEvent;
use ratchet_http::operation::Operation;
use ratchet_model::clock::Clock;
use ratchet_runtime::serve::adapt;
use ratchet_store::Store;
use serde::{Deserialize, Serialize};
use utoipa::OpenApi;

/// The resources of the functions.
#[derive(Debug, Clone)]
pub struct Services {
    /// The executions.
    pub store: Store,
    /// Signs cursors.
    pub cursors: CursorKey,
    /// The `timeout_seconds` of an execution whose caller names none.
    pub default_timeout_seconds: i64,
}

impl Services {
    /// The executions.
    #[must_use]
    pub const fn store(&self) -> &Store {
        &self.store
    }

    /// Signs cursors.
    #[must_use]
    pub const fn cursors(&self) -> &CursorKey {
        &self.cursors
    }

    /// The `timeout_seconds` of an execution whose caller names none.
    #[must_use]
    pub const fn default_timeout_seconds(&self) -> i64 {
        self.default_timeout_seconds
    }

    /// The time, by which the store goes, too.
    #[must_use]
    pub fn clock(&self) -> &dyn Clock {
        self.store.clock()
    }
}

/// One operation of the API, and its function.
pub struct Endpoint {
    /// The operation, as its function's crate defines it.
    pub operation: &'static Operation,
    /// Passes an event to the function's handler as Lambda does, through `lambda_http`, and returns its answer as JSON
    /// text.
    pub invoke: for<'a> fn(&'a Services, GatewayEvent) -> BoxFuture<'a, serde_json::Result<String>>,
}

/// What a function returns: the shape that API Gateway expects, read back from JSON.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FunctionResponse {
    /// HTTP's status code.
    pub status_code: u16,
    /// The headers.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// The body, if there is one.
    pub body: Option<String>,
    /// Whether the body is base64.
    #[serde(default)]
    pub is_base64_encoded: bool,
}

impl Endpoint {
    /// The endpoint of an operation, by its name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        OPERATIONS.iter().find(|endpoint| endpoint.operation.name == name)
    }

    /// Passes an event, as JSON text, to the function, and parses its answer.
    ///
    /// # Errors
    ///
    /// Where the text is not an event.
    pub async fn call(&self, services: &Services, event: &str) -> serde_json::Result<FunctionResponse> {
        let event = serde_json::from_str(event)?;
        serde_json::from_str(&(self.invoke)(services, event).await?)
    }
}

/// Calls a function as Lambda's runtime does.
pub(crate) async fn invoke<S, E>(mut function: S, event: GatewayEvent) -> serde_json::Result<String>
where
    S: Service<LambdaEvent<GatewayEvent>, Response: Serialize, Error = E>,
    E: Into<std::convert::Infallible>,
{
    let answer = function.call(LambdaEvent::new(event, lambda_http::Context::default())).await;
    serde_json::to_string(&answer.unwrap_or_else(|never| match never.into() {}))
}

/// Creates [`OPERATIONS`] and the paths of the OpenAPI document from the functions, each with the resources that its
/// handler takes before the request: methods of [`Services`].
macro_rules! operations {
    ($($function:ident($($service:ident),+)),+ $(,)?) => {
        /// Every operation.
        pub static OPERATIONS: &[Endpoint] = &[$(
            Endpoint {
                operation: &$function::OPERATION,
                invoke: |services, event| {
                    let handler = service_fn(|request| $function::handle($(services.$service(),)+ request));
                    invoke(adapt(handler), event).boxed()
                },
            },
        )+];

        #[derive(OpenApi)]
        #[openapi(paths($($function::openapi::$function),+))]
        pub(crate) struct Paths;
    };
}

operations! {
    execute_flow(store, default_timeout_seconds),
    list_executions(store, cursors),
    get_execution(store),
    update_execution(store),
    update_execution_status(store),
    list_transitions(store),
    record_heartbeat(store),
    get_heartbeat(store),
    cancel_execution(store),
    report_steps(store),
    list_steps(store, cursors),
    get_caller(clock),
    wait_execution(store),
}

/// Finds the operation of a request, and the parameters in its path, not decoded.
#[must_use]
pub fn find<'a>(method: &str, path: &'a str) -> Option<(&'static Endpoint, Vec<(&'static str, &'a str)>)> {
    OPERATIONS
        .iter()
        .filter(|endpoint| endpoint.operation.method == method)
        .find_map(|endpoint| Some((endpoint, parameters(endpoint.operation.path, path)?)))
}

fn parameters<'a>(pattern: &'static str, path: &'a str) -> Option<Vec<(&'static str, &'a str)>> {
    let mut found = Vec::new();
    let (mut pattern, mut path) = (pattern.split('/'), path.split('/'));
    loop {
        match (pattern.next(), path.next()) {
            (None, None) => return Some(found),
            (Some(expected), Some(segment)) => {
                if let Some(name) = expected.strip_prefix('{').and_then(|name| name.strip_suffix('}')) {
                    // API Gateway has no empty parameters: such a path is another route.
                    if segment.is_empty() {
                        return None;
                    }
                    found.push((name, segment));
                } else if expected != segment {
                    return None;
                }
            }
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_finds_its_route_and_parameters() {
        fn operation<'a>(method: &str, path: &'a str) -> Option<(&'static str, Vec<(&'static str, &'a str)>)> {
            find(method, path).map(|(endpoint, found)| (endpoint.operation.name, found))
        }
        assert_eq!(operation("POST", "/api/v1/flows/execute"), Some(("execute_flow", vec![])));
        assert_eq!(
            operation("PATCH", "/api/v1/executions/a%2Fb"),
            Some(("update_execution_status", vec![("execution_id", "a%2Fb")]))
        );
        for (method, path) in [
            ("GET", "/api/v1/flows/execute"),
            ("POST", "/api/v1/flows/execute/"),
            ("GET", "/api/v1/flows/executions/"),
            ("GET", "/flows/executions"),
            ("GET", "/api/v1/executions/x/transitions/y"),
            ("GET", "/"),
        ] {
            assert_eq!(operation(method, path), None, "{method} {path}");
        }
    }
}
