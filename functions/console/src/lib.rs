//! `GET /console` and `GET /console/{file+}`: the web console. One page, and the files that it names.
//!
//! The files are in the binary, compressed: `build/main.rs` makes them of `console/` in the repository. They are the same
//! for everybody, so these routes need no key; what the page shows it asks of the API, with the key of whoever looks at it.

use std::convert::Infallible;
use std::future::{Future, ready};
use std::pin::Pin;

use lambda_http::http::{HeaderValue, StatusCode, header};
use lambda_http::{Body, IntoResponse, Request, RequestExt};
use ratchet_http::endpoint::{CORRELATION_ID, correlation_id};
use ratchet_http::request;

/// The function's name, in logs.
pub const NAME: &str = "console";

/// The routes, as API Gateway writes them. They have no authorizer.
pub const ROUTES: [&str; 2] = ["GET /console", "GET /console/{file+}"];

/// The path of the page.
const HOME: &str = "/console";

include!(concat!(env!("OUT_DIR"), "/files.rs"));

/// A file, as it is and compressed.
#[derive(Debug)]
struct File {
    name: &'static str,
    content_type: &'static str,
    plain: &'static [u8],
    gzip: &'static [u8],
}

/// How long a browser may keep an answer without asking again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Keep {
    /// Not at all: the page names the files of the version that is deployed.
    Never,
    /// For good: the version is in the path.
    Forever,
}

/// An answer. It has the headers that protect the page, whatever it answers.
#[derive(Debug)]
pub struct Response {
    status: StatusCode,
    content_type: &'static str,
    keep: Keep,
    /// The version of the page; absent for what never changes.
    etag: Option<String>,
    gzip: bool,
    body: &'static [u8],
}

impl Response {
    fn of(file: &'static File, keep: Keep, gzip: bool) -> Self {
        let body = if gzip { file.gzip } else { file.plain };
        Self { status: StatusCode::OK, content_type: file.content_type, keep, etag: None, gzip, body }
    }

    fn not_found() -> Self {
        let body = b"The console has no such file. An open page may be of an earlier version: reload it.\n";
        let content_type = "text/plain; charset=utf-8";
        Self { status: StatusCode::NOT_FOUND, content_type, keep: Keep::Never, etag: None, gzip: false, body }
    }
}

impl IntoResponse for Response {
    fn into_response(self) -> Pin<Box<dyn Future<Output = lambda_http::Response<Body>> + Send>> {
        let body = if self.body.is_empty() { Body::Empty } else { Body::Binary(self.body.to_vec()) };
        let mut http = lambda_http::Response::new(body);
        *http.status_mut() = self.status;
        let keep = match self.keep {
            Keep::Never => "no-cache",
            Keep::Forever => "public, max-age=31536000, immutable",
        };
        let headers = http.headers_mut();
        for (name, value) in [
            (header::CONTENT_TYPE, self.content_type),
            (header::CACHE_CONTROL, keep),
            (header::CONTENT_SECURITY_POLICY, POLICY),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            // Addresses have names of flows in them, which are nobody else's business.
            (header::REFERRER_POLICY, "no-referrer"),
            (header::HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
            (header::HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
            (header::VARY, "accept-encoding"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        if self.gzip {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        if let Some(etag) = self.etag.and_then(|etag| HeaderValue::try_from(etag).ok()) {
            headers.insert(header::ETAG, etag);
        }
        Box::pin(ready(http))
    }
}

/// Answers one request.
///
/// # Errors
///
/// None: every outcome is an answer.
#[expect(clippy::unused_async, reason = "a handler is awaited, whatever it does")]
pub async fn handle(request: Request) -> Result<Response, Infallible> {
    let response = respond(&request);
    let request_id = request::request_id(&request);
    let correlation_id = correlation_id(request::header(&request, CORRELATION_ID), request_id);
    // Not the path: anybody can write into it.
    tracing::info!(
        operation = NAME,
        status = response.status.as_u16(),
        bytes = response.body.len(),
        correlation_id,
        request_id
    );
    Ok(response)
}

fn respond(request: &Request) -> Response {
    let gzip = accepts_gzip(request::header(request, "accept-encoding").unwrap_or_default());
    let path = request.raw_http_path();
    let below = path.strip_prefix(HOME).unwrap_or_default();
    if let Some(name) = below.strip_prefix('/').and_then(|below| below.strip_prefix(VERSION)?.strip_prefix('/')) {
        let file = FILES.iter().find(|file| file.name == name);
        return file.map_or_else(Response::not_found, |file| Response::of(file, Keep::Forever, gzip));
    }
    if !is_page(below) {
        return Response::not_found();
    }
    let etag = format!("\"{VERSION}\"");
    let known = request::header(request, "if-none-match").unwrap_or_default();
    let mut page = Response::of(&PAGE, Keep::Never, gzip);
    if known.split(',').any(|known| known.trim().trim_start_matches("W/") == etag) {
        (page.status, page.body, page.gzip) = (StatusCode::NOT_MODIFIED, b"", false);
    }
    page.etag = Some(etag);
    page
}

/// Whether the page shows something at a path: its own addresses are links that people open and reload.
fn is_page(below: &str) -> bool {
    matches!(below, "" | "/flows") || below.strip_prefix("/x/").is_some_and(|id| !id.is_empty() && !id.contains('/'))
}

/// Whether an `Accept-Encoding` takes gzip (RFC 9110, 12.5.3).
fn accepts_gzip(accepted: &str) -> bool {
    let weight = |coding: &str| {
        accepted.split(',').find_map(|part| {
            let (name, parameters) = part.split_once(';').unwrap_or((part, ""));
            let is_refused = || {
                let weight = parameters.trim().strip_prefix("q=").and_then(|weight| weight.trim().parse::<f32>().ok());
                weight.is_some_and(|weight| weight <= 0.0)
            };
            name.trim().eq_ignore_ascii_case(coding).then(|| !is_refused())
        })
    };
    weight("gzip").or_else(|| weight("*")).unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::read::GzDecoder;
    use sha2::{Digest, Sha256};

    use super::*;

    fn unzipped(file: &File) -> Vec<u8> {
        let mut plain = Vec::new();
        GzDecoder::new(file.gzip).read_to_end(&mut plain).unwrap();
        plain
    }

    #[test]
    fn the_compressed_files_are_the_files() {
        for file in FILES.iter().chain([&PAGE]) {
            assert_eq!(unzipped(file), file.plain, "{}", file.name);
        }
    }

    #[test]
    fn all_files_together_are_small() {
        let total: usize = FILES.iter().chain([&PAGE]).map(|file| file.gzip.len()).sum();
        assert!(total <= 60_000, "{total} bytes, compressed");
    }

    #[test]
    fn the_page_names_files_that_there_are_and_nothing_of_others() {
        let page = std::str::from_utf8(PAGE.plain).unwrap();
        let mut named = 0;
        for path in page.split('"').filter(|text| text.starts_with('/')) {
            let name = path.strip_prefix(&format!("/console/{VERSION}/")).unwrap_or_else(|| panic!("{path}"));
            assert!(FILES.iter().any(|file| file.name == name), "{path}");
            named += 1;
        }
        assert!(named >= FILES.len(), "{page}");
        assert!(!page.contains("//"), "an address of another place: {page}");
        assert!(!page.contains("style="), "the policy forbids it: {page}");
    }

    #[test]
    fn vendored_modules_are_what_their_packages_have() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../console/vendor");
        let read = |name: &str| std::fs::read(format!("{folder}/{name}")).unwrap();
        let listed: serde_json::Value = serde_json::from_slice(&read("vendor.json")).unwrap();
        let mut known = vec!["vendor.json".to_owned()];
        for package in listed["packages"].as_array().unwrap() {
            let license = package["license_file"].as_str().unwrap();
            assert!(package["files"].as_array().unwrap().iter().any(|file| file["file"] == license), "{package}");
            for file in package["files"].as_array().unwrap() {
                let name = file["file"].as_str().unwrap();
                let hash = Sha256::digest(read(name));
                let hash = hash.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
                assert_eq!(file["sha256"], hash.as_str(), "{name} was changed: take it from the package anew");
                known.push(name.to_owned());
            }
        }
        for entry in std::fs::read_dir(folder).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            assert!(known.contains(&name), "console/vendor/{name} is not in vendor.json");
        }
    }

    #[test]
    fn gzip_is_sent_to_those_who_take_it() {
        for accepted in ["gzip", "gzip, deflate, br, zstd", "br;q=1.0, GZIP;q=0.8", "*", "deflate, *;q=0.1", "gzip;q=1"]
        {
            assert!(accepts_gzip(accepted), "{accepted}");
        }
        for refused in ["", "identity", "br", "gzip;q=0", "gzip;q=0.0, *", "*;q=0", "x-gzip"] {
            assert!(!accepts_gzip(refused), "{refused}");
        }
    }

    #[test]
    fn the_pages_addresses_are_the_page() {
        for below in ["", "/flows", "/x/3f6a5c7d-e923-898a-a456-cd905c46a690", "/x/%2e%2e"] {
            assert!(is_page(below), "{below}");
        }
        for below in ["/", "/flow", "/flows/", "/x/", "/x/a/b", "/../etc/passwd", "x", "/index.html", "/app.js"] {
            assert!(!is_page(below), "{below}");
        }
    }
}
