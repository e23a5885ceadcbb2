//! What a call sends, and how often, against a server that answers as a script says. The conformance list
//! (clients/conformance) tries the same against the real service.
#![expect(clippy::unwrap_used, reason = "a harness that cannot go on must end the test")]

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ratchet_client::answer::ETag;
use ratchet_client::client::Client;
use ratchet_client::error::Error;
use ratchet_client::heartbeats::{Heartbeats, Notice};
use ratchet_client::idempotency::IdempotencyKey;
use ratchet_client::model::error_code::ErrorCode;
use ratchet_client::model::execution::TriggerType;
use ratchet_client::model::id::ExecutionId;
use ratchet_client::model::status::Status;
use ratchet_client::request::{Cancel, ListQuery, NewExecution, Steps, Update};
use ratchet_client::retry::RetryPolicy;
use ratchet_client::wait::{Waited, wait_with};
use ratchet_client::walk::Walk;

const ID: &str = "9590e06b-a39e-4436-805b-57b9b56d0dea";

/// What a request is answered.
#[derive(Clone)]
enum Reply {
    /// This status, these headers and this body.
    Answer(u16, &'static str, String),
    /// Nothing: the connection is closed.
    Close,
    /// The head, and half of the body.
    Half(String),
    /// Nothing, for so long.
    Hang(Duration),
}

/// A request that came.
#[derive(Debug, Clone)]
struct Seen {
    line: String,
    headers: Vec<(String, String)>,
    body: String,
    at: Instant,
}

impl Seen {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }
}

/// A server with a script. The last reply is repeated.
struct Server {
    url: String,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Server {
    fn start(script: impl IntoIterator<Item = Reply>) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let script: Arc<Mutex<VecDeque<Reply>>> = Arc::new(Mutex::new(script.into_iter().collect()));
        let log = Arc::clone(&seen);
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let (log, script) = (Arc::clone(&log), Arc::clone(&script));
                std::thread::spawn(move || serve(client.unwrap(), &log, &script));
            }
        });
        Self { url, seen }
    }

    fn client(&self) -> Client {
        let quick = RetryPolicy {
            base: Duration::from_millis(10),
            cap: Duration::from_millis(40),
            request_timeout: Duration::from_secs(5),
            total: Duration::from_secs(20),
            ..RetryPolicy::default()
        };
        Client::new(&self.url, "a-key").unwrap().with_retry(quick)
    }

    fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// The only value that this header has in all requests.
    fn only(&self, name: &str) -> String {
        let values: std::collections::BTreeSet<String> =
            self.seen().iter().map(|seen| seen.header(name).unwrap_or("none").to_owned()).collect();
        assert_eq!(values.len(), 1, "{values:?}");
        values.into_iter().next().unwrap()
    }
}

fn serve(client: TcpStream, log: &Mutex<Vec<Seen>>, script: &Mutex<VecDeque<Reply>>) {
    let mut reader = BufReader::new(client.try_clone().unwrap());
    let mut writer = client;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return;
        }
        let mut headers = Vec::new();
        loop {
            let mut header = String::new();
            reader.read_line(&mut header).unwrap();
            let Some((name, value)) = header.trim().split_once(": ") else { break };
            headers.push((name.to_lowercase(), value.to_owned()));
        }
        let mut seen = Seen { line: line.trim().to_owned(), headers, body: String::new(), at: Instant::now() };
        let length = seen.header("content-length").map_or(0, |length| length.parse().unwrap());
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        seen.body = String::from_utf8(body).unwrap();
        log.lock().unwrap().push(seen);
        let reply = {
            let mut script = script.lock().unwrap();
            if script.len() > 1 { script.pop_front().unwrap() } else { script[0].clone() }
        };
        let head = |status: u16, headers: &str, length: usize| {
            format!("HTTP/1.1 {status} X\r\ncontent-length: {length}\r\n{headers}\r\n")
        };
        match reply {
            Reply::Answer(status, headers, body) => {
                write!(writer, "{}{body}", head(status, headers, body.len())).unwrap();
            }
            Reply::Close => return,
            Reply::Half(body) => {
                write!(writer, "{}{}", head(200, "", body.len()), &body[..body.len() / 2]).unwrap();
                return;
            }
            Reply::Hang(time) => {
                std::thread::sleep(time);
                return;
            }
        }
    }
}

/// A record in a status.
fn record(status: &str) -> String {
    format!(
        r#"{{"id":"{ID}","flow_id":"f","agent_id":"a","organization_id":"o","execution_number":1,"trigger_type":"api",
        "trigger_data":{{}},"variables":{{"limit":1.0}},"priority":"normal","status":"{status}","version":2,"attempt":1,
        "started_at":"2026-11-21T18:27:30.747Z","completed_at":null,"duration_ms":null,"timeout_seconds":300,
        "heartbeat_timeout_seconds":null,"start_timeout_seconds":null,"cancel_requested_at":null,"steps":[],
        "final_output":null,"error_message":null,"error_details":null,"retry_count":0,"max_retries":3,
        "parent_execution_id":null,"tokens_used":null,"tool_calls_count":0,"cost_estimate":null,"performance_metrics":{{}},
        "metadata":{{}},"created_at":"2026-11-21T18:27:30.747Z","updated_at":"2026-11-21T18:27:30.747Z"}}"#
    )
}

fn ok(status: &str) -> Reply {
    Reply::Answer(200, "etag: \"2\"\r\n", record(status))
}

fn executed() -> Reply {
    Reply::Answer(200, "etag: \"1\"\r\n", format!("{{\"execution\":{},\"message\":\"x\"}}", record("pending")))
}

fn refused(status: u16, code: &str) -> Reply {
    refused_with(status, code, "")
}

fn refused_with(status: u16, code: &str, headers: &'static str) -> Reply {
    Reply::Answer(status, headers, format!(r#"{{"detail":"no","error_code":"{code}","correlation_id":"c"}}"#))
}

fn gateway(status: u16) -> Reply {
    Reply::Answer(status, "", r#"{"message":"gateway"}"#.to_owned())
}

fn id() -> ExecutionId {
    ExecutionId::parse(ID).unwrap()
}

fn new() -> NewExecution {
    NewExecution::new("f", TriggerType::Api)
}

#[tokio::test]
async fn what_may_pass_is_repeated_with_one_key_and_one_body() {
    for reply in [
        Reply::Close,
        Reply::Half(record("running")),
        Reply::Answer(200, "", "<html/>".to_owned()),
        Reply::Answer(200, "", String::new()),
        gateway(408),
        gateway(429),
        gateway(500),
        gateway(502),
        gateway(503),
        gateway(504),
        refused(503, "STORE_UNAVAILABLE"),
        refused(503, "OUTCOME_UNKNOWN"),
    ] {
        let server = Server::start([reply.clone(), reply, executed()]);
        let answer = server.client().execute(&new()).await.unwrap();
        assert_eq!((answer.id, answer.requests), (id(), 3));
        let seen = server.seen();
        assert_eq!(seen.len(), 3);
        assert_eq!(seen[0].line, "POST /api/v1/flows/execute HTTP/1.1");
        assert_eq!(server.only("idempotency-key").len(), 32);
        assert_eq!(server.only("x-api-key"), "a-key");
        assert_eq!(server.only("content-type"), "application/json");
        assert!(seen.iter().all(|request| request.body == r#"{"flow_id":"f","trigger_type":"api"}"#));
    }
}

#[tokio::test]
async fn what_would_be_answered_the_same_is_not_repeated() {
    for (reply, status, code) in [
        (refused(400, "INVALID_STATUS_TRANSITION"), 400, Some(ErrorCode::InvalidStatusTransition)),
        (gateway(401), 401, None),
        (gateway(403), 403, None),
        (refused(404, "EXECUTION_NOT_FOUND"), 404, Some(ErrorCode::ExecutionNotFound)),
        (refused(409, "ATTEMPT_SUPERSEDED"), 409, Some(ErrorCode::AttemptSuperseded)),
        (refused(412, "PRECONDITION_FAILED"), 412, Some(ErrorCode::PreconditionFailed)),
        (refused(413, "PAYLOAD_TOO_LARGE"), 413, Some(ErrorCode::PayloadTooLarge)),
        (refused(422, "IDEMPOTENCY_KEY_REUSED"), 422, Some(ErrorCode::IdempotencyKeyReused)),
        (refused(500, "INTERNAL"), 500, Some(ErrorCode::Internal)),
        (Reply::Answer(302, "location: http://127.0.0.1:9/\r\n", String::new()), 302, None),
    ] {
        let server = Server::start([reply]);
        let error = server.client().update(id(), &Update::to(Status::Running)).await.unwrap_err();
        assert_eq!(error.refusal().map(|refusal| refusal.status), Some(status), "{error}");
        assert_eq!(error.code(), code, "{error}");
        assert_eq!(server.seen().len(), 1, "{error}");
    }
}

#[tokio::test]
async fn attempts_and_time_have_an_end() {
    let server = Server::start([Reply::Close]);
    let error = server.client().execute(&new()).await.unwrap_err();
    let Error::Unavailable(unavailable) = error else { panic!("{error}") };
    assert_eq!((unavailable.requests, unavailable.in_doubt, unavailable.status), (4, true, None));
    assert_eq!(server.seen().len(), 4);

    // A request is cut to the time that is left, and no wait goes beyond it.
    let server = Server::start([Reply::Hang(Duration::from_secs(9))]);
    let brief = RetryPolicy {
        total: Duration::from_millis(900),
        request_timeout: Duration::from_millis(600),
        ..*server.client().retry()
    };
    let begun = Instant::now();
    let error = server.client().with_retry(brief).get(id()).await.unwrap_err();
    let Error::Unavailable(unavailable) = error else { panic!("{error}") };
    assert_eq!((unavailable.last.as_str(), unavailable.in_doubt), ("no answer in time", false));
    assert!((800..2_500).contains(&begun.elapsed().as_millis()), "{:?}", begun.elapsed());
    assert_eq!(server.seen().len(), 2);

    // However long a single request may take.
    let server = Server::start([Reply::Hang(Duration::from_secs(9))]);
    let patient = RetryPolicy { request_timeout: Duration::from_secs(600), ..brief };
    let begun = Instant::now();
    server.client().with_retry(patient).get(id()).await.unwrap_err();
    assert!((800..5_000).contains(&begun.elapsed().as_millis()), "{:?}", begun.elapsed());
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn a_refused_connection_is_repeated_and_leaves_no_doubt() {
    let unused = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap();
    let quick = RetryPolicy { base: Duration::from_millis(1), cap: Duration::from_millis(2), ..RetryPolicy::default() };
    let client = Client::new(&format!("http://{unused}"), "k").unwrap().with_retry(quick);
    let Error::Unavailable(unavailable) = client.execute(&new()).await.unwrap_err() else { panic!("not unavailable") };
    assert_eq!((unavailable.requests, unavailable.in_doubt), (4, false));
}

#[tokio::test]
async fn only_what_may_have_been_done_is_in_doubt() {
    for (reply, in_doubt) in [
        (gateway(429), false),
        (refused(503, "STORE_UNAVAILABLE"), false),
        (refused(503, "OUTCOME_UNKNOWN"), true),
        (gateway(503), true),
        (gateway(504), true),
        (Reply::Close, true),
    ] {
        let server = Server::start([reply.clone(), refused(503, "STORE_UNAVAILABLE")]);
        let error = server.client().execute(&new()).await.unwrap_err();
        let Error::Unavailable(unavailable) = error else { panic!("{error}") };
        assert_eq!(unavailable.in_doubt, in_doubt, "{}", unavailable.last);
        // A call that only reads leaves none.
        let server = Server::start([reply]);
        let error = server.client().get(id()).await.unwrap_err();
        let Error::Unavailable(unavailable) = error else { panic!("{error}") };
        assert!(!unavailable.in_doubt);
    }
}

#[tokio::test]
async fn a_retry_after_is_obeyed_or_ends_the_call() {
    let server = Server::start([refused_with(503, "STORE_UNAVAILABLE", "retry-after: 1\r\n"), ok("running")]);
    server.client().get(id()).await.unwrap();
    let seen = server.seen();
    let gap = seen[1].at - seen[0].at;
    assert!((1_000..2_000).contains(&gap.as_millis()), "{gap:?}");

    let server = Server::start([refused_with(429, "X", "retry-after: 31\r\n")]);
    let error = server.client().get(id()).await.unwrap_err();
    let Error::Unavailable(unavailable) = error else { panic!("{error}") };
    assert_eq!((unavailable.requests, unavailable.retry_after), (1, Some(Duration::from_secs(31))));
}

#[tokio::test]
async fn each_write_has_a_key_of_its_own_and_reads_and_heartbeats_have_none() {
    let server = Server::start([ok("running")]);
    let client = server.client();
    for _ in 0..2 {
        client.update(id(), &Update::default()).await.unwrap();
    }
    let given = Update { idempotency_key: Some(IdempotencyKey::parse("mine").unwrap()), ..Update::default() };
    client.update(id(), &given).await.unwrap();
    client.get(id()).await.unwrap();
    // Not of the answer's form, and sent all the same.
    let _ = client.heartbeat(id(), Some(1)).await;
    let _ = client.cancel(id(), &Cancel::default()).await;
    let _ = client.report_steps(id(), &Steps::default()).await;
    let keys: Vec<Option<String>> =
        server.seen().iter().map(|seen| seen.header("idempotency-key").map(str::to_owned)).collect();
    assert!(keys[0].is_some() && keys[1].is_some() && keys[0] != keys[1], "{keys:?}");
    assert_eq!(keys[2].as_deref(), Some("mine"));
    assert_eq!((&keys[3], &keys[4]), (&None, &None));
    assert!(keys[5].is_some() && keys[6].is_some() && keys[5] != keys[6], "{keys:?}");
    assert_eq!(server.seen()[4].body, r#"{"attempt":1}"#);
}

#[tokio::test]
async fn etags_are_sent_and_understood() {
    let server = Server::start([ok("running"), Reply::Answer(304, "", String::new()), ok("running")]);
    let client = server.client();
    let seen = client.get(id()).await.unwrap();
    let etag = seen.etag.clone().unwrap();
    assert_eq!(etag.version(), Some(2));
    assert!(client.get_if_changed(id(), &etag).await.unwrap().is_none());
    let update = Update { if_match: Some(ETag::of_version(7)), ..Update::default() };
    client.update(id(), &update).await.unwrap();
    let requests = server.seen();
    assert_eq!(requests[1].header("if-none-match"), Some("\"2\""));
    assert_eq!(requests[2].header("if-match"), Some("\"7\""));
}

#[tokio::test]
async fn a_replay_is_marked() {
    let server = Server::start([Reply::Answer(200, "idempotency-replayed: true\r\n", record("running"))]);
    assert!(server.client().update(id(), &Update::default()).await.unwrap().replayed);
    let server = Server::start([ok("running")]);
    assert!(!server.client().update(id(), &Update::default()).await.unwrap().replayed);
}

fn page(next: Option<&str>) -> Reply {
    let cursor = next.map_or("null".to_owned(), |next| format!("\"{next}\""));
    let more = next.is_some();
    Reply::Answer(
        200,
        "",
        format!(
            r#"{{"executions":[{}],"total_count":3,"page":1,"page_size":1,"has_more":{more},"next_cursor":{cursor}}}"#,
            record("running")
        ),
    )
}

#[tokio::test]
async fn a_walk_goes_on_from_the_cursor_and_repeats_a_page_that_failed() {
    let server = Server::start([page(Some("c1")), refused(400, "X"), page(Some("c2")), page(None)]);
    let query = ListQuery { flow_id: Some("f g".to_owned()), ..ListQuery::default() };
    let mut walk = Walk::new(&server.client(), query);
    let mut found = 0;
    loop {
        match walk.next().await {
            Ok(Some(page)) => found += page.len(),
            Ok(None) => break,
            Err(_) => {}
        }
    }
    assert_eq!((found, walk.total_count()), (3, Some(3)));
    let lines: Vec<String> = server.seen().iter().map(|seen| seen.line.clone()).collect();
    let line = |cursor: &str| format!("GET /api/v1/flows/executions?flow_id=f+g{cursor} HTTP/1.1");
    assert_eq!(lines, [line(""), line("&cursor=c1"), line("&cursor=c1"), line("&cursor=c2")]);
}

/// The requests of a wait, without their queries.
async fn waited(script: Vec<Reply>, seconds: f64) -> (Result<Waited, Error>, Vec<&'static str>, Duration) {
    let server = Server::start(script);
    let begun = Instant::now();
    let outcome = wait_with(&server.client(), id(), Some(Duration::from_secs_f64(seconds)), 0.05).await;
    let took = begun.elapsed();
    let ways = server.seen().iter().map(|seen| if seen.line.contains("/wait?") { "hold" } else { "poll" }).collect();
    (outcome, ways, took)
}

#[tokio::test]
async fn a_wait_is_held_cut_and_polled() {
    let ended = |outcome: Result<Waited, Error>| match outcome {
        Ok(Waited::Ended(answer)) => answer.status,
        other => panic!("{other:?}"),
    };
    let (outcome, ways, _) = waited(vec![ok("completed")], 5.0).await;
    assert_eq!((ended(outcome), ways), (Status::Completed, vec!["hold"]));
    // Cut once: a plain read, and held again.
    let (outcome, ways, _) = waited(vec![Reply::Close, ok("running"), ok("failed")], 5.0).await;
    assert_eq!((ended(outcome), ways), (Status::Failed, vec!["hold", "poll", "hold"]));
    // Throttled, or without the operation: polled for good.
    for reply in [gateway(429), gateway(404)] {
        let (outcome, ways, _) = waited(vec![reply, ok("running"), ok("running"), ok("failed")], 5.0).await;
        assert_eq!((ended(outcome), ways), (Status::Failed, vec!["hold", "poll", "poll", "poll"]));
    }
    // Cut twice in a row: polled for good.
    let (outcome, ways, _) =
        waited(vec![Reply::Close, ok("running"), Reply::Close, ok("running"), ok("running"), ok("failed")], 9.0).await;
    assert_eq!((ended(outcome), ways), (Status::Failed, vec!["hold", "poll", "hold", "poll", "poll", "poll"]));
}

#[tokio::test]
async fn a_wait_ends_in_vain_or_at_a_refusal() {
    let (outcome, ways, took) = waited(vec![gateway(429), ok("running")], 0.6).await;
    let Ok(Waited::InVain(Some(last))) = outcome else { panic!("{outcome:?}") };
    assert_eq!(last.status, Status::Running);
    assert!((600..3_000).contains(&took.as_millis()), "{took:?}");
    assert!(ways.len() < 12, "{ways:?}");
    // An answer that comes back early is not asked for in a circle.
    let (_, ways, _) = waited(vec![ok("running")], 1.0).await;
    assert!(ways.len() < 10, "{ways:?}");
    for (reply, status) in [(refused(404, "EXECUTION_NOT_FOUND"), 404), (gateway(403), 403), (gateway(401), 401)] {
        let (outcome, ways, _) = waited(vec![reply], 5.0).await;
        assert_eq!(outcome.unwrap_err().refusal().map(|refusal| refusal.status), Some(status));
        assert_eq!(ways.len(), 1);
    }
    let (outcome, ways, _) = waited(vec![ok("pending")], 0.0).await;
    assert!(matches!(outcome, Ok(Waited::InVain(Some(_)))), "{outcome:?}");
    assert_eq!(ways, ["poll"]);
    let (outcome, _, _) = waited(vec![Reply::Close], 0.5).await;
    assert!(matches!(outcome, Err(Error::Unavailable(_))), "{outcome:?}");
}

fn beat(action: &str, status: &str, every: u64) -> Reply {
    Reply::Answer(
        200,
        "",
        format!(
            r#"{{"execution_id":"{ID}","status":"{status}","attempt":1,"action":"{action}","reason":"because","cancel_requested_at":null,
            "force_at":null,"deadline_at":null,"heartbeat_in_seconds":{every}}}"#
        ),
    )
}

/// The first notice that ends the work, and how many heartbeats there were.
async fn notice(script: Vec<Reply>) -> (Notice, usize) {
    let server = Server::start(script);
    let beats = Heartbeats::start_every(&server.client(), id(), Some(1), Duration::from_millis(100));
    let mut notice = beats.notice();
    let told = tokio::time::timeout(Duration::from_secs(20), notice.wait_for(Notice::ends_the_work)).await;
    let told = told.unwrap().unwrap().clone();
    tokio::time::sleep(Duration::from_millis(500)).await;
    (told, server.seen().len())
}

#[tokio::test]
async fn heartbeats_outlast_everything_but_an_end() {
    let nonsense = vec![
        gateway(403),
        gateway(500),
        refused(500, "INTERNAL"),
        Reply::Answer(200, "", "[]".to_owned()),
        Reply::Close,
        beat("continue", "running", 60),
        beat("claim", "retrying", 60),
        beat("stop", "timeout", 60),
    ];
    let expected = nonsense.len();
    let (told, count) = notice(nonsense).await;
    assert_eq!(told, Notice::Stop { status: Status::Timeout, reason: Some("because".to_owned()) });
    // After a stop there is nothing more to say.
    assert_eq!(count, expected);
    // After a cancel there is: that the worker is alive.
    let (told, count) = notice(vec![beat("cancel", "running", 60)]).await;
    assert_eq!(told, Notice::Cancel { reason: Some("because".to_owned()), force_at: None });
    assert!(count > 2, "{count}");
}

#[tokio::test]
async fn heartbeats_are_sent_when_the_service_asks_for_them() {
    let server = Server::start([beat("continue", "running", 1)]);
    // A third of three seconds.
    let beats = Heartbeats::start(&server.client(), id(), Some(4), Some(3));
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(server.seen().len(), 0);
    tokio::time::sleep(Duration::from_millis(3_000)).await;
    drop(beats);
    let count = server.seen().len();
    assert!((2..=3).contains(&count), "{count}");
    assert!(server.seen().iter().all(|seen| seen.body == r#"{"attempt":4}"#));
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert_eq!(server.seen().len(), count);
}
