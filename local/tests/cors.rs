//! `--cors-origin`: what a browser is told of pages of other origins, over HTTP.
#![cfg(unix)]
#![expect(clippy::expect_used, clippy::unwrap_used, reason = "a test ends where it cannot go on")]

#[allow(dead_code, reason = "it has what other tests with a service of their own need, too")]
mod service;

use reqwest::header::HeaderMap;
use reqwest::{Client, Method, RequestBuilder, Response};
use service::{KEY, Service};

const PAGE: &str = "http://localhost:5173";
const OTHER_PAGE: &str = "https://app.example.com";

/// Origins that are none of the two, however alike.
const STRANGERS: [&str; 9] = [
    "https://localhost:5173",
    "http://localhost",
    "http://localhost:51730",
    "http://LOCALHOST:5173",
    "http://localhost:5173/",
    "https://app.example.com.evil.example",
    "https://evil.example",
    "http://localhost:5173,https://app.example.com",
    "null",
];

/// A service that lets the pages of these origins call.
fn service(origins: &[&str]) -> Service {
    Service::start(0, |command| {
        command.args(origins.iter().flat_map(|origin| ["--cors-origin", origin]));
    })
}

fn request(service: &Service, method: Method, path: &str) -> RequestBuilder {
    Client::new().request(method, format!("{}{path}", service.url))
}

async fn send(request: RequestBuilder) -> Response {
    request.send().await.expect("an answer")
}

/// The answer to a preflight for a request with this method and these headers.
async fn preflight(service: &Service, origin: &str, method: &str, headers: &str) -> Response {
    let asked = request(service, Method::OPTIONS, "/api/v1/flows/execute").header("origin", origin);
    send(asked.header("access-control-request-method", method).header("access-control-request-headers", headers)).await
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).map(|value| value.to_str().unwrap())
}

/// The headers of this protocol, by their names without `access-control-`.
fn cors(headers: &HeaderMap) -> Vec<(&str, &str)> {
    let all = headers.iter().filter_map(|(name, value)| Some((name.as_str().strip_prefix("access-control-")?, value)));
    let mut all: Vec<_> = all.map(|(name, value)| (name, value.to_str().unwrap())).collect();
    all.sort_unstable();
    all
}

/// Whether a browser sends the request after this answer to its preflight.
async fn sends(service: &Service, origin: &str, method: &str, headers: &str) -> bool {
    let answer = preflight(service, origin, method, headers).await;
    let list = |name: &str| -> Vec<String> {
        header(answer.headers(), name).into_iter().flat_map(|list| list.split(',')).map(str::to_owned).collect()
    };
    answer.status().is_success()
        && header(answer.headers(), "access-control-allow-origin")
            .is_some_and(|allowed| ["*", origin].contains(&allowed))
        && list("access-control-allow-methods").iter().any(|allowed| allowed == method)
        && headers.split(',').all(|name| list("access-control-allow-headers").iter().any(|allowed| allowed == name))
}

#[tokio::test]
async fn a_preflight_is_answered_without_a_key() {
    let service = service(&[PAGE, OTHER_PAGE]);
    for origin in [PAGE, OTHER_PAGE] {
        let answer = preflight(&service, origin, "PATCH", "x-api-key").await;
        assert_eq!(answer.status(), 204);
        let expected = [
            ("allow-headers", local::cors::ALLOW_HEADERS),
            ("allow-methods", "GET,POST,PATCH"),
            ("allow-origin", origin),
            ("max-age", "3600"),
        ];
        assert_eq!(cors(answer.headers()), expected);
        assert_eq!(header(answer.headers(), "vary"), Some("origin"));
        assert_eq!(answer.text().await.unwrap(), "");
    }
}

#[tokio::test]
async fn a_browser_sends_what_the_api_takes_from_the_pages_that_may_call() {
    let service = service(&[PAGE, OTHER_PAGE]);
    for origin in [PAGE, OTHER_PAGE] {
        for method in ["GET", "POST", "PATCH"] {
            assert!(sends(&service, origin, method, local::cors::ALLOW_HEADERS).await, "{method} from {origin}");
        }
        for (method, headers) in [("DELETE", "x-api-key"), ("PUT", "x-api-key"), ("GET", "x-api-key,x-other")] {
            assert!(!sends(&service, origin, method, headers).await, "{method} with {headers} from {origin}");
        }
    }
    for origin in STRANGERS {
        let answer = preflight(&service, origin, "GET", "x-api-key").await;
        assert_eq!((answer.status().as_u16(), cors(answer.headers())), (204, vec![]), "{origin}");
    }
}

#[tokio::test]
async fn what_is_no_preflight_is_answered_without_the_headers() {
    let service = service(&[PAGE]);
    let options = || request(&service, Method::OPTIONS, "/api/v1/flows/executions");
    for incomplete in
        [options(), options().header("origin", PAGE), options().header("access-control-request-method", "GET")]
    {
        let answer = send(incomplete).await;
        assert_eq!((answer.status().as_u16(), cors(answer.headers())), (204, vec![]));
    }
}

#[tokio::test]
async fn an_answer_is_marked_for_the_page_that_may_read_it() {
    let service = service(&[PAGE, OTHER_PAGE]);
    let list = || request(&service, Method::GET, "/api/v1/flows/executions").header("x-api-key", KEY);
    for origin in [PAGE, OTHER_PAGE] {
        let answer = send(list().header("origin", origin)).await;
        assert_eq!(answer.status(), 200);
        let expected = [("allow-origin", origin), ("expose-headers", local::cors::EXPOSE_HEADERS)];
        assert_eq!(cors(answer.headers()), expected);
        assert_eq!(header(answer.headers(), "vary"), Some("origin"));
        assert!(answer.headers().contains_key("x-correlation-id"), "what it may read");
    }
    // Who is no browser is served as ever, and so is a stranger's browser, which keeps the answer from its page.
    let answer = send(list()).await;
    assert_eq!((answer.status().as_u16(), cors(answer.headers())), (200, vec![]));
    for origin in STRANGERS {
        let answer = send(list().header("origin", origin)).await;
        assert_eq!((answer.status().as_u16(), cors(answer.headers())), (200, vec![]), "{origin}");
    }
}

#[tokio::test]
async fn a_page_may_read_why_it_was_refused() {
    let service = service(&[PAGE]);
    let path = "/api/v1/flows/execute";
    let post = |path: &str| request(&service, Method::POST, path).header("origin", PAGE);
    let with_key = |path: &str| post(path).header("x-api-key", KEY);
    for (status, refused) in [
        // API Gateway's own.
        (401, post(path)),
        (403, post(path).header("x-api-key", "wrong")),
        (404, with_key("/api/v1/nowhere")),
        (413, with_key(path).body(vec![b' '; 10 * 1024 * 1024 + 1])),
        // A function's.
        (422, with_key(path).header("content-type", "application/json").body("{}")),
    ] {
        let answer = send(refused).await;
        assert_eq!(answer.status(), status);
        assert_eq!(header(answer.headers(), "access-control-allow-origin"), Some(PAGE), "{status}");
        assert!(answer.headers().contains_key("access-control-expose-headers"), "{status}");
    }
}

#[tokio::test]
async fn any_page_may_call_where_the_origin_is_an_asterisk() {
    // Another origin beside it changes nothing.
    for origins in [&["*"][..], &[PAGE, "*"]] {
        let service = service(origins);
        for origin in [PAGE, "https://evil.example", "null"] {
            assert!(sends(&service, origin, "POST", local::cors::ALLOW_HEADERS).await, "{origin}");
            let list = request(&service, Method::GET, "/api/v1/flows/executions").header("x-api-key", KEY);
            let answer = send(list.header("origin", origin)).await;
            let expected = [("allow-origin", "*"), ("expose-headers", local::cors::EXPOSE_HEADERS)];
            assert_eq!(cors(answer.headers()), expected);
            assert_eq!(header(answer.headers(), "vary"), None, "the same for every page");
        }
    }
}

#[tokio::test]
async fn without_an_origin_no_page_may_call() {
    let service = service(&[]);
    let answer = preflight(&service, PAGE, "GET", "x-api-key").await;
    assert_eq!((answer.status().as_u16(), cors(answer.headers())), (404, vec![]));
    assert_eq!(answer.text().await.unwrap(), r#"{"message":"Not Found"}"#);
    let list = request(&service, Method::GET, "/api/v1/flows/executions").header("x-api-key", KEY);
    let answer = send(list.header("origin", PAGE)).await;
    assert_eq!((answer.status().as_u16(), cors(answer.headers())), (200, vec![]));
    assert_eq!(header(answer.headers(), "vary"), None);
}

#[tokio::test]
async fn the_documentation_is_no_part_of_the_api() {
    let service = service(&["*"]);
    let answer = send(request(&service, Method::GET, "/openapi.json").header("origin", PAGE)).await;
    assert_eq!((answer.status().as_u16(), cors(answer.headers())), (200, vec![]));
}
