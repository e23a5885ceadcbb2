//! The name, the route and the scope of an operation: defined once, in the function's crate.

use ratchet_model::scope::Scope;

/// One operation of the API. The route table, the OpenAPI document, the scope check and the tests read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Operation {
    /// The name of the function, of its folder and of the operation: `<verb>_<resource>`.
    pub name: &'static str,
    /// The HTTP method.
    pub method: &'static str,
    /// The whole path, with parameters in braces.
    pub path: &'static str,
    /// The scope without which a key may not call it; `None` where every key may: each has one at least. A handler may
    /// ask for more.
    pub scope: Option<Scope>,
}

impl std::fmt::Display for Operation {
    /// As API Gateway writes a route: `GET /api/v1/flows/executions`.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} {}", self.method, self.path)
    }
}
