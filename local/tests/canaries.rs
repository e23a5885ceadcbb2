//! The log of the development server while every operation is called with canaries: it shows no canary, no key and not the
//! table's name, whether DynamoDB answers or not. `tests/api/canaries.rs` checks the functions' own log, and every way in
//! which DynamoDB may fail.
#![cfg(unix)]
#![expect(clippy::expect_used, clippy::unwrap_used, reason = "a test ends where it cannot go on")]

#[path = "../../tests/src/canaries.rs"]
mod canaries;
#[allow(dead_code, reason = "it has what the tests of the API need, too")]
#[path = "../../tests/src/coverage.rs"]
mod coverage;
#[allow(dead_code, reason = "it has what other tests with a service of their own need, too")]
mod service;

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use canaries::{CANARY, Planted, accepted, called, complaint, execute, headers, refused};
use coverage::{WITHOUT_STORE, assert_covers};
use local::database::DynamoDb;
use reqwest::Method;
use serde_json::{Value, json};
use service::Service;

const KEY: &str = "canary-key-51d0";
const TABLE: &str = "canary-table-9b2e";

/// The service, and a client.
struct Caller {
    service: Service,
    http: reqwest::Client,
}

impl Caller {
    fn start(endpoint: &str) -> Self {
        let service = Service::start(0, |command| {
            command
                .args(["--api-key", &format!("{KEY}=acme")])
                // The most verbose settings that exist.
                .envs([("RUST_LOG", "trace"), ("AWS_LAMBDA_LOG_LEVEL", "TRACE"), ("RATCHET_TABLE", TABLE)])
                .env("AWS_ENDPOINT_URL_DYNAMODB", endpoint)
                .stderr(Stdio::piped());
        });
        Self { service, http: reqwest::Client::new() }
    }

    fn url(&self, path: &str) -> String {
        format!("{}/api/v1{path}", self.service.url)
    }

    async fn send(&self, planted: &Planted) -> u16 {
        let method = Method::from_bytes(planted.method.as_bytes()).unwrap();
        let mut call = self.http.request(method, self.url(&planted.path)).header("x-api-key", KEY);
        for (name, value) in headers().iter().chain(&planted.headers) {
            call = call.header(*name, value);
        }
        let answer = call.body(planted.body.clone().unwrap_or_default()).send().await.expect("an answer");
        let (status, text) = (answer.status().as_u16(), answer.text().await.expect("a text"));
        if let Some(complaint) = complaint(status, &text, &[KEY, TABLE]) {
            panic!("{}: {complaint}", planted.name);
        }
        status
    }

    async fn running(&self) -> String {
        let post = |path: &str| self.http.post(self.url(path));
        let created = post("/flows/execute").header("x-api-key", KEY);
        let created = created.body(json!({ "flow_id": "f", "trigger_type": "test" }).to_string()).send().await.unwrap();
        let created: Value = serde_json::from_str(&created.text().await.unwrap()).unwrap();
        let id = created["execution"]["id"].as_str().expect("an id").to_owned();
        let run = self.http.patch(self.url(&format!("/flows/executions/{id}"))).header("x-api-key", KEY);
        let run = run.body(json!({ "status": "running" }).to_string()).send().await.unwrap();
        assert_eq!(run.status().as_u16(), 200);
        id
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_development_servers_log_shows_nothing_that_was_sent_and_nothing_internal() {
    let database = DynamoDb::embedded(None).await.expect("an embedded DynamoDB");
    let mut caller = Caller::start(&database.endpoint);
    // The log is read all the time: a full pipe would stop the server.
    let errors = BufReader::new(caller.service.child.stderr.take().expect("its log"));
    let log = std::thread::spawn(move || errors.lines().map_while(Result::ok).collect::<Vec<_>>());

    assert_eq!(caller.send(&execute(0)).await, 200);
    let id = caller.running().await;
    let (well_formed, refused) = (accepted(&id), refused(&id));
    for planted in well_formed.iter().chain(&refused) {
        let mut status = caller.send(planted).await;
        for _ in 0..5 {
            // On a machine that is busy with other things DynamoDB is too slow for the largest requests.
            if status == 503 {
                status = caller.send(planted).await;
            }
        }
        assert_eq!(status, planted.status, "{}", planted.name);
    }
    let id = caller.running().await;
    database.stop().await;
    for planted in std::iter::once(&execute(1)).chain(&accepted(&id)) {
        let status = if WITHOUT_STORE.contains(&planted.name) { 200 } else { 503 };
        assert_eq!(caller.send(planted).await, status, "{}", planted.name);
    }

    caller.service.kill();
    let log = log.join().expect("a log");
    let logged = |what: &str| log.iter().filter(|line| line.contains(what)).count();
    let operations = called(well_formed.iter().chain([&execute(0)]));
    assert_covers("the canaries that the development server accepts", &operations);
    assert_covers("the canaries that the development server refuses", called(&refused));
    for operation in operations {
        assert!(logged(&format!("operation=\"{operation}\"")) >= 3, "{operation}: {log:#?}");
    }
    assert!(logged("the store is not available") >= 6, "{log:#?}");
    for planted in [CANARY, KEY, TABLE] {
        let line = log.iter().find(|line| line.contains(planted));
        assert_eq!(line, None, "{planted} is in the log");
    }
    println!("{} lines of log", log.len());
}
