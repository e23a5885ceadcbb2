//! The routes: one line per endpoint.

use std::fmt::Display;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use shared::request::event::Event;
use shared::response::Response;
use shared::store::Store;
use shared::store::cursor::CursorKey;

/// What the functions work with.
#[derive(Debug, Clone)]
pub struct Services {
    /// The executions.
    pub store: Store,
    /// Signs cursors.
    pub cursors: CursorKey,
}

/// What stands before every path.
pub const BASE: &str = "/api/v1";

/// One endpoint of the API.
pub struct Route {
    /// The HTTP method.
    pub method: &'static str,
    /// The path after [`BASE`], with parameters in braces.
    pub path: &'static str,
    /// The name of the function, of its folder and of the operation.
    pub operation: &'static str,
    /// The function's handler.
    pub handle: for<'a> fn(&'a Services, Event) -> BoxFuture<'a, Response>,
}

impl Display for Route {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} {BASE}{}", self.method, self.path)
    }
}

/// A route to a handler that takes the store, or the store and the cursor key.
macro_rules! route {
    ($method:literal, $path:literal, $function:ident($($service:ident),+)) => {
        Route {
            method: $method,
            path: $path,
            operation: $function::OPERATION,
            handle: |services, event| {
                async { $function::handle($(&services.$service,)+ event).await.unwrap_or_else(|never| match never {}) }.boxed()
            },
        }
    };
}

/// Every route.
#[rustfmt::skip]
pub const ROUTES: [Route; 6] = [
    route!("POST", "/flows/execute", execute_flow(store)),
    route!("GET", "/flows/executions", list_executions(store, cursors)),
    route!("GET", "/flows/executions/{execution_id}", get_execution(store)),
    route!("PATCH", "/flows/executions/{execution_id}", update_execution(store)),
    route!("PATCH", "/executions/{execution_id}", update_execution_status(store)),
    route!("GET", "/executions/{execution_id}/transitions", list_transitions(store)),
];

/// Finds the route of a request, and the parameters in its path as they stand there.
#[must_use]
pub fn find<'a>(method: &str, path: &'a str) -> Option<(&'static Route, Vec<(&'static str, &'a str)>)> {
    static ALL: [Route; 6] = ROUTES;
    let rest = path.strip_prefix(BASE)?;
    ALL.iter().filter(|route| route.method == method).find_map(|route| Some((route, parameters(route.path, rest)?)))
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
            find(method, path).map(|(route, found)| (route.operation, found))
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
