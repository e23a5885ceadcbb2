//! Canaries, keys and the table's name are planted in every place of requests and of DynamoDB's answers. Then the whole log
//! of the service, at its most verbose level, and every error that it answered are searched for them. `logs.rs` checks what a
//! line contains; `local/tests/canaries.rs` checks the development server's own log.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::sync::{Arc, Mutex};

use local::operations::Endpoint;
use ratchet_model::api_key::{ApiKey, ApiKeyRecord};
use ratchet_model::key_name::KeyName;
use ratchet_model::scope::Scopes;
use reqwest::Method;
use tests::canaries::{CANARY, NO_ROUTE, Planted, accepted, called, complaint, execute, headers, refused};
use tests::coverage::{WITHOUT_STORE, assert_covers};
use tests::proxy::Fault;
use tests::{Api, KEY};
use tracing::level_filters::LevelFilter;

#[test]
fn every_operation_is_sent_canaries_that_it_accepts_and_canaries_that_it_refuses() {
    let id = "00000000-0000-4000-8000-000000000000";
    assert_covers(
        "`execute` and `accepted` of tests/src/canaries.rs",
        called(&[&[execute(0)][..], &accepted(id)].concat()),
    );
    assert_covers("`refused` of tests/src/canaries.rs", called(&refused(id)));
}

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("no test panics while it holds this").extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The name of a request whose faults meet the authorizer.
const AUTHORIZER: &str = "authorizer";

/// The service, its keys, and the answers so far.
struct Search {
    api: Api,
    /// A key in the table: the authorizer looks for it.
    key: ApiKey,
    /// How many answers of each status each operation gave.
    met: BTreeMap<&'static str, BTreeMap<u16, usize>>,
}

impl Search {
    /// What no answer and no log line may show: the secret part of the key in the table, the key of the configuration, and the
    /// table's name.
    fn inside(&self) -> [&str; 3] {
        [&self.key.reveal()["ratchet_".len() + 17..], KEY, self.api.table()]
    }

    async fn send(&mut self, planted: &Planted, key: &str) -> u16 {
        let method = Method::from_bytes(planted.method.as_bytes()).expect("a method");
        let mut call = self.api.with_key(key).request(method, &planted.path);
        for (name, value) in headers().iter().chain(&planted.headers) {
            call = call.header(name, value);
        }
        let answer = call.body(planted.body.clone().unwrap_or_default()).send().await;
        let status = answer.status.as_u16();
        if let Some(complaint) = complaint(status, &answer.text, &self.inside()) {
            panic!("{}: {complaint}", planted.name);
        }
        let shown = answer.headers.iter().find(|(_, value)| {
            self.inside()
                .iter()
                .chain(&[CANARY])
                .any(|secret| value.as_bytes().windows(secret.len()).any(|part| part == secret.as_bytes()))
        });
        assert_eq!(shown, None, "{}: a header", planted.name);
        *self.met.entry(planted.name).or_default().entry(status).or_default() += 1;
        status
    }

    async fn expect(&mut self, planted: &Planted, key: &str) {
        let status = self.send(planted, key).await;
        assert_eq!(status, planted.status, "{planted:?}");
    }

    /// A new execution that runs, created by requests without canaries.
    async fn running(&self) -> String {
        self.api.execution_in("running").await
    }

    /// Uses up the planned faults that are left on requests whose answers are not checked.
    async fn drain(&mut self) {
        while self.api.proxy.left() > 0 {
            let get = &accepted("00000000-0000-4000-8000-000000000000")[0];
            self.send(get, KEY).await;
        }
    }
}

/// A refusal in DynamoDB's form, whose message names the same things as real ones.
fn refusal(status: u16, code: &str, message: &str) -> Fault {
    let code = format!("com.amazonaws.dynamodb.v20120810#{code}");
    Fault::Answer(status, serde_json::json!({ "__type": code, "message": message }).to_string())
}

type FaultSource = Box<dyn Fn() -> Fault>;

/// The faults of DynamoDB and the network, by name.
fn faults(table: &str) -> Vec<(&'static str, FaultSource)> {
    let arn = format!("arn:aws:dynamodb:eu-central-1:123456789012:table/{table}");
    let denied =
        format!("User: {CANARY} is not authorized to perform: dynamodb:GetItem on resource: {arn} because {CANARY}");
    let missing = format!("Requested resource not found: Table: {table} not found");
    let invalid =
        format!("1 validation error detected: Value '{CANARY}' at 'item' failed to satisfy constraint; '{table}'");
    let busy = format!("Throughput exceeds the current capacity of {arn}, key {CANARY}");
    // As a read of one item returns it, and as a query does.
    let damaged = format!(
        r#"{{"pk":{{"S":"e#acme#{CANARY}"}},"sk":{{"S":"h"}},"st":{{"S":"{CANARY}"}},"{CANARY}":{{"N":"{CANARY}"}}}}"#
    );
    let item = format!(r#"{{"Item":{damaged},"Items":[{damaged}]}}"#);
    let broken = format!(r#"{{"Item":{{"pk":{{"S":"{CANARY}"}},"{CANARY}":{{"X":{table} {CANARY}"#);
    let page = format!("<html>{CANARY} {table}</html>");
    vec![
        ("throttled", Box::new(move || refusal(400, "ProvisionedThroughputExceededException", &busy))),
        ("throttling", Box::new(Fault::throttling)),
        ("broken inside", Box::new(Fault::internal)),
        ("denied", Box::new(move || refusal(400, "AccessDeniedException", &denied))),
        ("no table", Box::new(move || refusal(400, "ResourceNotFoundException", &missing))),
        ("invalid", Box::new(move || refusal(400, "ValidationException", &invalid))),
        ("unknown", Box::new(|| refusal(400, "CanaryException", CANARY))),
        ("a page of another server", Box::new(move || Fault::Answer(502, page.clone()))),
        ("a damaged item", Box::new(move || Fault::Answer(200, item.clone()))),
        ("no JSON", Box::new(move || Fault::Answer(200, broken.clone()))),
        ("request lost", Box::new(|| Fault::DropRequest)),
        ("answer lost", Box::new(Fault::drop_answer)),
        ("half an answer", Box::new(|| Fault::HalfAnswer)),
        ("reset", Box::new(|| Fault::Reset { applied: true })),
    ]
}

// On one thread, so that the log of this test is its own, the gateway's and the database's included.
#[tokio::test]
async fn nothing_that_was_sent_and_nothing_of_the_inside_is_in_any_log_or_error() {
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = ratchet_runtime::logging::subscriber("authorizer", LevelFilter::TRACE, move || writer.clone());
    let _guard = tracing::subscriber::set_default(subscriber);
    let api = Api::start().await;
    let key = ApiKey::generate().expect("random numbers");
    let record = ApiKeyRecord {
        digest: key.digest(),
        organization: tests::organization("acme"),
        // A name is in answers to its own organization, and in no line of the log.
        name: KeyName::parse(CANARY).ok(),
        scopes: Scopes::ALL,
        valid_until: None,
    };
    api.put_key(&key.id(), &record).await;
    let mut search = Search { api, key, met: BTreeMap::new() };
    let table_key = search.key.reveal().to_owned();

    for (number, key) in [KEY, &table_key].into_iter().enumerate() {
        search.expect(&execute(number), key).await;
        let id = search.running().await;
        for planted in accepted(&id) {
            search.expect(&planted, key).await;
        }
        // A replay of the last one: the answer says of the first only that it was applied.
        search.expect(accepted(&id).last().expect("an end"), key).await;
        for planted in refused(&id) {
            search.expect(&planted, key).await;
        }
    }
    // Malformed keys, keys that do not exist, and keys without the scope.
    let stranger = ApiKey::generate().expect("random numbers");
    let id = search.running().await;
    for planted in std::iter::once(execute(7)).chain(accepted(&id)) {
        for key in [CANARY, stranger.reveal()] {
            assert_eq!(search.send(&planted, key).await, 403, "{planted:?}");
        }
        let may_not = if planted.method == "GET" { "writer" } else { "reader" };
        let operation = Endpoint::named(planted.name).expect("an operation").operation;
        let status = if operation.scope.is_some() { 403 } else { planted.status };
        assert_eq!(search.send(&planted, may_not).await, status, "{planted:?}");
    }

    let table = search.api.table().to_owned();
    for (name, fault) in faults(&table) {
        let id = search.running().await;
        let number = search.met.len();
        for planted in std::iter::once(execute(100 + number)).chain(accepted(&id)) {
            // Enough for every attempt of each of the requests that it sends to DynamoDB.
            let count = if ["list_executions", "wait_execution"].contains(&planted.name) { 40 } else { 6 };
            search.api.proxy.plan((0..count).map(|_| fault()));
            let status = search.send(&planted, KEY).await;
            assert!([200, 400, 500, 503].contains(&status), "{name}: {planted:?}: {status}");
            search.drain().await;
        }
        // The authorizer's own request.
        search.api.proxy.plan((0..3).map(|_| fault()));
        let get = Planted { name: AUTHORIZER, ..accepted(&id)[0].clone() };
        let status = search.send(&get, &table_key).await;
        assert!([403, 500].contains(&status), "{name}: authorizer: {status}");
        search.drain().await;
    }

    println!("{:#?}", search.met);
    let operations: Vec<&str> =
        search.met.keys().copied().filter(|name| ![NO_ROUTE, AUTHORIZER].contains(name)).collect();
    assert_covers("the requests with canaries", &operations);
    for operation in operations {
        let met: BTreeSet<u16> = search.met[operation].keys().copied().collect();
        let expected: &[u16] = if WITHOUT_STORE.contains(&operation) { &[200, 403] } else { &[200, 403, 500, 503] };
        assert!(expected.iter().all(|status| met.contains(status)), "{operation} answered {met:?}");
    }
    assert!(search.met[AUTHORIZER].contains_key(&500), "{:?}", search.met);

    let log = String::from_utf8(lines.0.lock().expect("no test panics while it holds this").clone()).expect("UTF-8");
    let logged = |what: &str| log.lines().filter(|line| line.contains(what)).count();
    for operation in search.met.keys().filter(|name| **name != NO_ROUTE) {
        assert!(logged(&format!("\"{operation}\"")) > 10, "{operation} is not in the log");
    }
    assert!(logged("\"ERROR\"") > 10 && logged("\"WARN\"") > 10, "the faults are not in the log");
    // The public part of a key tells whose a line is. It is not a secret.
    assert!(logged(search.key.id().as_str()) > 10);
    let secret = &stranger.reveal()["ratchet_".len() + 17..];
    for planted in search.inside().into_iter().chain([CANARY, secret]) {
        let line = log.lines().find(|line| line.contains(planted));
        assert_eq!(line, None, "{planted} is in the log");
    }
    println!("{} lines of log", log.lines().count());
}
