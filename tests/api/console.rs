//! `GET /console` and `GET /console/{file+}`: files for anybody who asks, and nothing else.

use std::collections::BTreeMap;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Response, StatusCode};
use tests::Api;

/// Sends a request without a key.
async fn send(api: &Api, method: Method, path: &str, headers: &[(&str, &str)]) -> Response {
    let headers: HeaderMap = headers
        .iter()
        .map(|(name, value)| {
            let name = HeaderName::try_from(*name).expect("a name");
            (name, HeaderValue::from_str(value).expect("a value"))
        })
        .collect();
    let request = reqwest::Client::new().request(method, format!("{}{path}", api.url)).headers(headers);
    request.send().await.expect("an answer")
}

async fn get(api: &Api, path: &str) -> Response {
    send(api, Method::GET, path, &[]).await
}

fn header<'a>(answer: &'a Response, name: &str) -> Option<&'a str> {
    answer.headers().get(name).map(|value| value.to_str().expect("text"))
}

/// The paths of the files that the page names.
async fn files(api: &Api) -> Vec<String> {
    let page = get(api, "/console").await.text().await.expect("text");
    let paths: Vec<String> = page.split('"').filter(|text| text.starts_with("/console/")).map(str::to_owned).collect();
    assert!(paths.len() >= 6, "{page}");
    paths
}

/// The headers that protect the page, on every answer.
#[track_caller]
fn assert_protected(answer: &Response) {
    let policy = header(answer, "content-security-policy").expect("a policy");
    let directives: BTreeMap<&str, &str> =
        policy.split("; ").map(|directive| directive.split_once(' ').unwrap_or((directive, ""))).collect();
    for (name, value) in [
        ("default-src", "'none'"),
        ("style-src", "'self'"),
        ("connect-src", "'self'"),
        ("img-src", "'self'"),
        ("base-uri", "'none'"),
        ("form-action", "'none'"),
        ("frame-ancestors", "'none'"),
        ("require-trusted-types-for", "'script'"),
        ("trusted-types", "'none'"),
    ] {
        assert_eq!(directives.get(name), Some(&value), "{policy}");
    }
    let scripts = directives["script-src"];
    assert!(scripts.starts_with("'self' 'sha256-") && !scripts.contains("unsafe"), "{policy}");
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
        ("vary", "accept-encoding"),
    ] {
        assert_eq!(header(answer, name), Some(value));
    }
    assert!(header(answer, "set-cookie").is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn anybody_gets_the_page_and_its_files() {
    let api = Api::start().await;
    for path in
        ["/console", "/console/flows", "/console/x/3f6a5c7d-e923-898a-a456-cd905c46a690", "/console?status=failed"]
    {
        let answer = get(&api, path).await;
        assert_eq!((answer.status(), header(&answer, "cache-control")), (StatusCode::OK, Some("no-cache")), "{path}");
        assert_eq!(header(&answer, "content-type"), Some("text/html; charset=utf-8"));
        assert_protected(&answer);
        assert!(answer.text().await.expect("text").contains("<script type=\"module\""), "{path}");
    }
    for path in files(&api).await {
        let answer = get(&api, &path).await;
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
        assert_eq!(header(&answer, "cache-control"), Some("public, max-age=31536000, immutable"), "{path}");
        assert_protected(&answer);
        let expected = match path.rsplit('.').next() {
            Some("js" | "mjs") => "text/javascript; charset=utf-8",
            Some("css") => "text/css; charset=utf-8",
            _ => "image/svg+xml",
        };
        assert_eq!(header(&answer, "content-type"), Some(expected), "{path}");
        assert!(!answer.text().await.expect("text").is_empty(), "{path}");
    }
    assert!(api.watch.requests().is_empty(), "a request to DynamoDB");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_that_takes_gzip_gets_it_and_another_does_not() {
    let api = Api::start().await;
    let path = files(&api).await.into_iter().find(|path| path.ends_with("app.js")).expect("the bundle");
    let plain = get(&api, &path).await;
    assert_eq!(header(&plain, "content-encoding"), None);
    let plain = plain.bytes().await.expect("a body");
    let packed = send(&api, Method::GET, &path, &[("accept-encoding", "gzip, br")]).await;
    assert_eq!(header(&packed, "content-encoding"), Some("gzip"));
    let packed = packed.bytes().await.expect("a body");
    assert!(packed.starts_with(&[0x1f, 0x8b]) && packed.len() * 2 < plain.len(), "{} of {}", packed.len(), plain.len());
    let refused = send(&api, Method::GET, &path, &[("accept-encoding", "gzip;q=0")]).await;
    assert_eq!(refused.bytes().await.expect("a body"), plain);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_that_has_the_page_is_told_so() {
    let api = Api::start().await;
    let etag = header(&get(&api, "/console").await, "etag").expect("an ETag").to_owned();
    for known in [etag.clone(), format!("W/{etag}"), format!("\"another\", {etag}")] {
        let answer =
            send(&api, Method::GET, "/console", &[("if-none-match", &known), ("accept-encoding", "gzip")]).await;
        assert_eq!(answer.status(), StatusCode::NOT_MODIFIED, "{known}");
        assert_eq!((header(&answer, "etag"), header(&answer, "content-encoding")), (Some(&*etag), None));
        assert_protected(&answer);
        assert!(answer.bytes().await.expect("no body").is_empty());
    }
    let answer = send(&api, Method::GET, "/console", &[("if-none-match", "\"another\"")]).await;
    assert_eq!(answer.status(), StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_there_is_not_is_not_found_and_is_protected_all_the_same() {
    let api = Api::start().await;
    let folder = files(&api).await[0].rsplit_once('/').expect("a folder").0.to_owned();
    for path in [
        "/console/nothing",
        "/console/0123456789abcdef/app.js",
        "/console/x/",
        "/console/x/a/b",
        "/console/%2e%2e/api/v1/me",
        "/console/..%2f..%2fetc%2fpasswd",
        "/console/index.html",
        &format!("{folder}/"),
        &format!("{folder}/app.js/"),
        &format!("{folder}/../index.html"),
        &format!("{folder}/%00"),
        "/console/<script>alert(1)</script>",
    ] {
        let answer = get(&api, path).await;
        // reqwest resolves dots, as browsers do: that is another path, and API Gateway's own answer.
        if answer.url().path().starts_with("/console/") {
            assert_eq!(answer.status(), StatusCode::NOT_FOUND, "{path}");
            assert_eq!(header(&answer, "content-type"), Some("text/plain; charset=utf-8"), "{path}");
            assert_eq!(header(&answer, "cache-control"), Some("no-cache"), "{path}");
            assert_protected(&answer);
        } else {
            assert!(answer.status().is_client_error(), "{path}");
        }
    }
    for (method, path) in [(Method::POST, "/console"), (Method::HEAD, "/console"), (Method::GET, "/console/")] {
        let answer = send(&api, method.clone(), path, &[]).await;
        assert_eq!(answer.status(), StatusCode::NOT_FOUND, "{method} {path}");
        assert!(header(&answer, "content-security-policy").is_none(), "API Gateway's own");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_or_none_and_whatever_else_a_request_has_changes_nothing() {
    let api = Api::start().await;
    let expected = get(&api, "/console").await.text().await.expect("text");
    for headers in [
        [("x-api-key", "test-key"), ("cookie", "a=b")],
        [("x-api-key", "wrong"), ("accept-encoding", "\u{fc};q=x,,;")],
        [("if-none-match", "*\"W/"), ("x-correlation-id", "<script>")],
    ] {
        let answer = send(&api, Method::GET, "/console?key=%00&x=<b>", &headers).await;
        assert_eq!(answer.status(), StatusCode::OK, "{headers:?}");
        assert_eq!(answer.text().await.expect("text"), expected, "{headers:?}");
    }
}
