//! The service is killed again and again while it works. Its clients repeat each request without an answer, with its
//! `Idempotency-Key`. At the end every write has been applied once and none twice.
//!
//! The service supervises as it does always, with a pass at each start: so passes are killed, too, before, between and after
//! their writes. What is due is ended once, for its reason and never early; what is heard is left alone (`kills/supervised.rs`).
//!
//! `RATCHET_KILLS` sets how often it is killed (100), `RATCHET_SEED` the pauses. Which requests the kills meet depends on the
//! machine.
#![cfg(unix)]
#![expect(clippy::expect_used, clippy::unwrap_used, reason = "a test ends where it cannot go on")]

#[path = "kills/power.rs"]
mod power;
mod service;
#[path = "kills/supervised.rs"]
mod supervised;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use local::database::DynamoDb;
use ratchet_store::schema::Index;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::service::{Dice, KEY, Service, setting};

const WORKERS: usize = 4;

/// A free port outside the range of the clients' own ports. While no process listens on a port of that range, a client that
/// keeps connecting to it may get that port as its own, connect to itself, and keep the service from starting again.
fn free_port() -> u16 {
    let free = |port: &u16| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok();
    (20_000..30_000).find(free).expect("a free port")
}

/// A folder of this test's own.
fn new_folder() -> PathBuf {
    let folder = std::env::temp_dir().join(format!("ratchet-{}", uuid::Uuid::new_v4()));
    std::fs::create_dir(&folder).unwrap();
    folder
}

/// The service on a file.
fn start(port: u16, file: &Path) -> Service {
    Service::start(port, |command| {
        command.arg("--db").arg(file);
    })
}

/// How many requests of the clients had which outcome.
#[derive(Default)]
struct Met {
    answered: AtomicUsize,
    cut: AtomicUsize,
    unavailable: AtomicUsize,
    replayed: AtomicUsize,
}

/// A client of the service that repeats each request without an answer.
#[derive(Clone)]
struct Client {
    http: reqwest::Client,
    url: String,
    met: Arc<Met>,
}

impl Client {
    /// One whose outcomes count for `met`. A connection that ended with the service is not used for another request.
    fn new(url: &str, met: &Arc<Met>) -> Self {
        let http = reqwest::Client::builder().pool_max_idle_per_host(0).build().expect("a client");
        Self { http, url: url.to_owned(), met: Arc::clone(met) }
    }

    /// Sends a request until it is answered. A refusal ends the test: each request is allowed when it is sent.
    async fn until_answered(&self, method: Method, path: &str, body: Option<&Value>) -> Value {
        let (status, answer) = self.answer(method.clone(), path, body).await;
        assert_eq!(status, 200, "{method} {path} {body:?}: {answer}");
        answer
    }

    /// Sends a request until it is answered. Returns HTTP's status, and the body with the `ETag`.
    async fn answer(&self, method: Method, path: &str, body: Option<&Value>) -> (u16, Value) {
        let key = uuid::Uuid::new_v4().to_string();
        loop {
            let mut request =
                self.http.request(method.clone(), format!("{}/api/v1{path}", self.url)).header("x-api-key", KEY);
            if let Some(body) = body {
                request = request.header("content-type", "application/json").body(body.to_string());
                // A heartbeat is repeated as it is.
                if !path.ends_with("/heartbeat") {
                    request = request.header("idempotency-key", &key);
                }
            }
            let Ok(response) = request.send().await else {
                self.met.cut.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_millis(2)).await;
                continue;
            };
            let status = response.status().as_u16();
            let replayed = response.headers().contains_key("idempotency-replayed");
            let etag = response.headers().get("etag").map(|tag| tag.to_str().unwrap().trim_matches('"').to_owned());
            let Ok(text) = response.text().await else {
                self.met.cut.fetch_add(1, Ordering::Relaxed);
                continue;
            };
            self.met.answered.fetch_add(1, Ordering::Relaxed);
            if status == 503 {
                self.met.unavailable.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_millis(2)).await;
                continue;
            }
            if replayed {
                self.met.replayed.fetch_add(1, Ordering::Relaxed);
            }
            let mut answer: Value = serde_json::from_str(&text).expect("JSON");
            answer["etag"] = json!(etag);
            return (status, answer);
        }
    }

    /// Runs one execution from its start to its end, and checks its record and log against the writes.
    async fn run_one(&self, flow: &str) {
        // Every other execution has its inputs in an item of their own: both items are there after a kill, or neither.
        let text = "x".repeat(if flow.ends_with(['0', '2']) { 2_000 } else { 0 });
        let variables = json!({ "text": text, "one": 1.0 });
        let body = json!({ "flow_id": flow, "trigger_type": "test", "variables": variables });
        let created = self.until_answered(Method::POST, "/flows/execute", Some(&body)).await;
        let id = created["execution"]["id"].as_str().expect("an id").to_owned();
        let path = format!("/flows/executions/{id}");
        let writes = [
            json!({ "status": "running" }),
            json!({ "tokens_used": 1 }),
            json!({ "status": "retrying" }),
            json!({ "status": "running", "tokens_used": 2 }),
            json!({ "tokens_used": 3, "metadata": { "step": 1.0 } }),
        ];
        for write in &writes {
            self.until_answered(Method::PATCH, &path, Some(write)).await;
        }
        let end = json!({ "status": "failed", "error_info": { "message": "as meant" } });
        let ended = self.until_answered(Method::PATCH, &format!("/executions/{id}"), Some(&end)).await;
        assert_eq!((&ended["previous_status"], &ended["current_status"]), (&json!("running"), &json!("failed")));

        let record = self.until_answered(Method::GET, &path, None).await;
        // One version for the creation and one for each write: none is missing, none is applied twice.
        assert_eq!(record["etag"], json!((writes.len() + 2).to_string()), "{record}");
        assert_eq!((&record["status"], &record["retry_count"]), (&json!("failed"), &json!(1)), "{record}");
        assert_eq!((&record["variables"], &record["attempt"]), (&variables, &json!(2)), "{record}");
        assert_eq!((&record["tokens_used"], &record["metadata"]), (&json!(3), &json!({ "step": 1.0 })), "{record}");
        let log = self.until_answered(Method::GET, &format!("/executions/{id}/transitions"), None).await;
        let steps: Vec<Value> = log["transitions"]
            .as_array()
            .expect("transitions")
            .iter()
            .map(|step| json!([step["from"], step["to"], step["attempt"], step["version"]]))
            .collect();
        let expected = json!([
            ["pending", "running", 1, 2],
            ["running", "retrying", 1, 4],
            ["retrying", "running", 2, 5],
            ["running", "failed", 2, 7]
        ]);
        assert_eq!(json!(steps), expected, "{log}");
    }
}

/// Waits until so many requests more are answered: on a busy machine the service needs longer to do anything at all.
async fn at_work(answered: &AtomicUsize, requests: u64) {
    let until = answered.load(Ordering::Relaxed) + usize::try_from(requests).expect("a few");
    for _ in 0..2_000 {
        if answered.load(Ordering::Relaxed) >= until {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// How many entries the index by deadline has in a file that no service uses.
async fn watched(file: &Path) -> usize {
    let database = DynamoDb::embedded(Some(file)).await.expect("the database");
    let client = aws_sdk_dynamodb::Client::from_conf(database.config().build());
    let scan = client.scan().table_name("ratchet").index_name(Index::ByDeadline.name()).send().await;
    scan.expect("an answer").items.unwrap_or_default().len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::too_many_lines, reason = "one story, and what it must have met")]
async fn a_killed_service_loses_nothing_and_does_nothing_twice() {
    let kills = setting("RATCHET_KILLS").unwrap_or(100);
    let seed = setting("RATCHET_SEED").unwrap_or_else(|| uuid::Uuid::new_v4().as_u64_pair().0);
    println!("RATCHET_SEED={seed} RATCHET_KILLS={kills}");
    let folder = new_folder();
    let file = folder.join("executions.db");

    let port = free_port();
    let mut service = start(port, &file);
    let met = Arc::new(Met::default());
    let client = Client::new(&service.url, &met);
    let over = Arc::new(AtomicBool::new(false));
    let mut workers = JoinSet::new();
    for worker in 0..WORKERS {
        let (client, over) = (client.clone(), Arc::clone(&over));
        workers.spawn(async move {
            let mut runs = 0;
            while !over.load(Ordering::Relaxed) {
                client.run_one(&format!("flow-{worker}")).await;
                runs += 1;
            }
            runs
        });
    }
    let mut overdue = JoinSet::new();
    for first in 0..supervised::WAITING {
        overdue.spawn(client.clone().overdue_ones(first, Arc::clone(&over)));
    }
    overdue.spawn(client.clone().floods(Arc::clone(&over)));
    let (mut heard, mut silent) = (JoinSet::new(), JoinSet::new());
    let (own, until) = (client.clone(), Arc::clone(&over));
    heard.spawn(async move { own.heard(&until).await });
    let (own, until) = (client.clone(), Arc::clone(&over));
    silent.spawn(async move { own.silent(&until).await });
    let (mut dice, mut killed) = (Dice(seed), Vec::new());
    for _ in 0..kills {
        let (pause, answers) = (Duration::from_millis(dice.below(150)), dice.below(8));
        tokio::time::sleep(pause).await;
        at_work(&met.answered, answers).await;
        service.kill();
        killed.push(supervised::now());
        let again = file.clone();
        service = tokio::task::spawn_blocking(move || start(port, &again)).await.unwrap();
        // A worker that has failed ends the test now, not at its end.
        if let Some(ended) = workers.try_join_next() {
            panic!("a worker ended: {ended:?}");
        }
        if let Some(ended) = overdue.try_join_next() {
            panic!("an overdue execution: {ended:?}");
        }
        if let Some(Err(failed)) = heard.try_join_next() {
            panic!("a worker that is heard: {failed:?}");
        }
        if let Some(Err(failed)) = silent.try_join_next() {
            panic!("a worker that is silent: {failed:?}");
        }
    }
    over.store(true, Ordering::Relaxed);
    let mut runs = 0;
    while let Some(worker) = workers.join_next().await {
        runs += worker.expect("a worker that has not failed");
    }

    let mut ended = Vec::new();
    while let Some(ones) = overdue.join_next().await {
        ended.extend(ones.expect("executions that end when they are due"));
    }
    heard.join_next().await.expect("one worker").expect("a worker that is left alone");
    let silent = silent.join_next().await.expect("one worker").expect("workers that are interrupted and heard again");

    // Each accepted execution is listed once, with a number of its own.
    let mut listed = 0;
    for worker in 0..WORKERS {
        let (mut numbers, mut cursor) = (BTreeSet::new(), String::new());
        loop {
            let path = format!("/flows/executions?flow_id=flow-{worker}&page_size=100{cursor}");
            let page = client.until_answered(Method::GET, &path, None).await;
            for execution in page["executions"].as_array().expect("executions") {
                assert!(numbers.insert(execution["execution_number"].as_i64()), "a number twice: {execution}");
                assert_eq!(execution["status"], "failed", "created and never answered to a client: {execution}");
                listed += 1;
            }
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
    }
    assert_eq!(listed, runs, "executions in the lists, and executions that were run");
    let [cut, unavailable, replayed] =
        [&met.cut, &met.unavailable, &met.replayed].map(|count| count.load(Ordering::Relaxed));
    println!(
        "{kills} kills, {runs} executions, {} writes; {cut} requests cut off, {unavailable} answered 503, {replayed} \
         answered as repeats",
        runs * 7
    );
    let by_service = ended.iter().filter(|ended| ended.at.is_some()).count();
    let cut_passes = supervised::cut_passes(&ended, &killed);
    println!(
        "{} overdue executions, {by_service} ended by the service and {} by their workers just in time; {silent} silent \
         ones interrupted and heard again; {cut_passes} passes cut off between their writes",
        ended.len(),
        ended.len() - by_service
    );
    assert!(cut > 0, "no kill met a request");
    assert!(by_service > 0, "no pass ended anything");
    // A pass that ends a hundred executions takes longer than the service lives.
    assert!(kills < 100 || cut_passes > 0, "no kill met a pass");
    drop(service);
    assert_eq!(watched(&file).await, 0, "executions that have ended and are in the index by deadline");
    std::fs::remove_dir_all(&folder).unwrap();
}
