//! `/openapi.json`, and `/docs`, which shows it. Both work without a network: the page's scripts are in the binary.

use std::sync::{Arc, LazyLock};

use axum::body::Body;
use axum::http::{HeaderValue, Response, StatusCode, header};
use utoipa_swagger_ui::{Config, serve};

/// The path of the document.
pub const DOCUMENT: &str = "/openapi.json";

/// The path of the page.
pub const PAGE: &str = "/docs";

// Without "none" the page would send the document to a validator on the internet.
static SETTINGS: LazyLock<Arc<Config<'static>>> =
    LazyLock::new(|| Arc::new(Config::from(DOCUMENT).validator_url("none")));

/// Answers a request for the documentation; `None` if it is for something else.
#[must_use]
pub fn answer(path: &str) -> Option<Response<Body>> {
    if path == DOCUMENT {
        return Some(response("application/json", crate::openapi::document().into_bytes().into()));
    }
    let file = path.strip_prefix(PAGE)?;
    if file.is_empty() {
        // The page's own links are relative to a folder.
        let mut redirect = Response::new(Body::empty());
        *redirect.status_mut() = StatusCode::FOUND;
        redirect.headers_mut().insert(header::LOCATION, HeaderValue::from_static("/docs/"));
        return Some(redirect);
    }
    let file = serve(file.strip_prefix('/')?, SETTINGS.clone()).ok()??;
    Some(response(&file.content_type, file.bytes.into_owned().into()))
}

fn response(content_type: &str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    if let Ok(content_type) = HeaderValue::from_str(content_type) {
        response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    }
    response
}
