//! The web console's routes, which have no authorizer, and its function behind them.

use lambda_http::service_fn;
use ratchet_http::gateway_event::GatewayEvent;
use ratchet_runtime::serve::adapt;

use crate::operations::invoke;

/// The parameter that takes all that is left of a path.
const FILE: &str = "file";

/// Finds the console's route of a request, and the parameter in its path, not decoded.
#[must_use]
pub fn find<'a>(method: &str, path: &'a str) -> Option<(&'static str, Vec<(&'static str, &'a str)>)> {
    console::ROUTES.into_iter().find_map(|route| {
        let (expected, pattern) = route.split_once(' ')?;
        let parameters = match pattern.strip_suffix("{file+}") {
            // As every parameter of a path, it is not empty.
            Some(folder) => vec![(FILE, path.strip_prefix(folder).filter(|file| !file.is_empty())?)],
            None => (path == pattern).then(Vec::new)?,
        };
        (method == expected).then_some((route, parameters))
    })
}

/// Passes an event to the console's function as Lambda does, and returns its answer as JSON text.
///
/// # Errors
///
/// Where the answer is no JSON.
pub async fn call(event: GatewayEvent) -> serde_json::Result<String> {
    invoke(adapt(service_fn(console::handle)), event).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_finds_the_consoles_route() {
        assert_eq!(find("GET", "/console"), Some(("GET /console", vec![])));
        for (path, file) in
            [("/console/x/1", "x/1"), ("/console/0f/vendor/htm.mjs", "0f/vendor/htm.mjs"), ("/console//", "/")]
        {
            assert_eq!(find("GET", path), Some(("GET /console/{file+}", vec![("file", file)])), "{path}");
        }
        for (method, path) in
            [("POST", "/console"), ("GET", "/console/"), ("GET", "/consoles"), ("GET", "/"), ("HEAD", "/console/x/1")]
        {
            assert_eq!(find(method, path), None, "{method} {path}");
        }
    }
}
