//! The harness of the tests: the whole service over real HTTP, on a DynamoDB whose requests are watched and can be made to
//! fail.
//!
//! By default every test has an embedded DynamoDB of its own. With `RATCHET_TEST_DYNAMODB` set to an endpoint (the
//! second tier: AWS's DynamoDB Local) every test has a table of its own there.
#![expect(clippy::expect_used, clippy::missing_panics_doc, reason = "a harness that cannot go on must end the test")]
#![expect(clippy::must_use_candidate, reason = "an assertion is called for its panic")]

pub mod canaries;
pub mod cases;
pub mod coverage;
pub mod eventbridge;
pub mod events;
pub mod hostile_events;
pub mod proxy;
pub mod seeded;
pub mod step_table;
pub mod stream;
pub mod template;
pub mod tool;
pub mod watch;

use ratchet_model::limits::DEFAULT_TIMEOUT_SECONDS;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use aws_sdk_dynamodb::config::Builder;
use aws_sdk_dynamodb::config::retry::{RetryPartition, TokenBucket};
use aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::types::{AttributeValue, PutRequest, WriteRequest};
use local::database::DynamoDb;
use local::keys::LocalKey;
use local::operations::Services;
use local::server::Server;
use ratchet_http::cursor::CursorKey;
use ratchet_http::operation::Operation;
use ratchet_model::api_key::ApiKeyRecord;
use ratchet_model::clock::{Clock, SystemClock, Timestamp};
use ratchet_model::execution::{Priority, TriggerType};
use ratchet_model::id::{ExecutionId, KeyId, OrganizationId};
use ratchet_model::json::JsonText;
use ratchet_model::new_execution::NewExecution;
use ratchet_model::scope::Scopes;
use ratchet_store::Store;
use ratchet_store::dedup::WriteToken;
use ratchet_store::item::new_execution_items;
use ratchet_store::schema::Index;
use ratchet_store::table_keys::ListShards;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::proxy::Proxy;
use crate::watch::Watch;

/// The environment variable that names another DynamoDB than the embedded one.
pub const ENDPOINT: &str = "RATCHET_TEST_DYNAMODB";

/// The API key of tests to which it makes no difference.
pub const KEY: &str = "test-key";

/// The organization of [`KEY`].
pub const ORGANIZATION: &str = "acme";

/// The base path.
pub const BASE: &str = "/api/v1";

/// The machine's clock with an offset.
#[derive(Debug, Default)]
pub struct OffsetClock(AtomicI64);

impl OffsetClock {
    /// Moves it forward.
    pub fn advance(&self, by: Duration) {
        self.0.fetch_add(i64::try_from(by.as_millis()).expect("a duration of this age"), Ordering::Relaxed);
    }
}

impl OffsetClock {
    /// Moves it back, for a writer whose clock lags.
    pub fn rewind(&self, by: Duration) {
        self.0.fetch_sub(i64::try_from(by.as_millis()).expect("a duration of this age"), Ordering::Relaxed);
    }
}

impl Clock for OffsetClock {
    fn now(&self) -> Timestamp {
        let millis = SystemClock.now().millis() + self.0.load(Ordering::Relaxed);
        Timestamp::from_millis(millis).expect("a time of this age")
    }
}

/// An execution to put into the table.
#[derive(Debug, Clone, Copy)]
pub struct Seed {
    /// Its flow.
    pub flow_id: &'static str,
    /// Its trigger type.
    pub trigger_type: TriggerType,
    /// When it was created, in milliseconds after a fixed time.
    pub millis: i64,
    /// The shard of the indexes that it belongs to, if the test depends on it.
    pub shard: Option<u8>,
    /// The bytes of its `variables`, apart from a few.
    pub bytes: usize,
}

/// A configuration that waits for DynamoDB as long as a test may take. With the timeouts of production, an emulator that
/// starts or a machine that is busy for a second is a fault that no test planned, and a planned fault meets another request
/// than the one it was planned for.
pub fn patient(config: Builder) -> Builder {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(30))
        .operation_attempt_timeout(Duration::from_secs(30))
        .operation_timeout(Duration::from_secs(90));
    config.timeout_config(timeouts.build())
}

/// A retry quota for one client alone. The SDK's default is one quota for all clients of a process and a region: 500 tokens,
/// of which a retry that fails takes 14, so that some twenty failures of one test would leave all others without retries.
pub fn retries(quota: TokenBucket) -> RetryPartition {
    RetryPartition::custom("one of the tests").token_bucket(quota).build()
}

/// The running service.
#[derive(Debug)]
pub struct Api {
    /// Where it listens.
    pub url: String,
    /// The store's requests.
    pub watch: Watch,
    /// The service's own store, behind the proxy.
    pub proxied: Store,
    /// A store on the same table that bypasses the proxy and the watch, for other writers.
    pub store: Store,
    /// The clock of the service.
    pub clock: Arc<OffsetClock>,
    /// The proxy that the store calls.
    pub proxy: Proxy,
    /// The key that signs this service's cursors.
    pub cursors: CursorKey,
    database: aws_sdk_dynamodb::Client,
    table: String,
    client: reqwest::Client,
    key: String,
}

impl Api {
    /// Starts one with [`KEY`] and, for tests of tenants and scopes, some other keys. Its store is [`patient`]: only the faults
    /// that a test plans happen.
    pub async fn start() -> Self {
        Self::start_with(patient).await
    }

    /// Starts one whose store has the timeouts of production, for tests in which DynamoDB hangs.
    pub async fn start_with_timeouts() -> Self {
        Self::start_with(|config| config).await
    }

    /// Starts one whose store calls DynamoDB with a changed configuration: with other timeouts, for example.
    pub async fn start_with(tune: impl FnOnce(Builder) -> Builder) -> Self {
        // Causes of errors are in the log and not in an answer: show it if a test fails.
        let _ = tracing_subscriber::fmt().with_max_level(tracing::Level::ERROR).with_test_writer().try_init();
        let (database, endpoint) = if let Ok(endpoint) = std::env::var(ENDPOINT) {
            (DynamoDb::at(endpoint.clone()), endpoint)
        } else {
            let database = DynamoDb::embedded(None).await.expect("an embedded DynamoDB");
            let endpoint = database.endpoint.clone();
            (database, endpoint)
        };
        let proxy = Proxy::start(&endpoint).await;
        let watch = Watch::default();
        let clock = Arc::new(OffsetClock::default());
        let table = format!("ratchet-{}", uuid::Uuid::new_v4());
        // The table is created past the proxy and the watch: they only see the service's own requests.
        let direct = Store::new(patient(database.config()), table.clone(), clock.clone());
        let direct = direct.create_table_if_missing().await.expect("a table");
        let client = aws_sdk_dynamodb::Client::from_conf(patient(database.config()).build());
        let config = DynamoDb::at(proxy.endpoint.clone()).config().interceptor(watch.clone());
        let config = tune(config.retry_partition(retries(TokenBucket::unlimited())));
        let store = Store::new(config, table.clone(), clock.clone());
        let cursors = CursorKey::new(b"a secret of the tests, long enough to be one");
        let services = Services {
            store: store.clone(),
            cursors: cursors.clone(),
            default_timeout_seconds: DEFAULT_TIMEOUT_SECONDS,
        };
        let server = Server::around(services, &keys(), database).await.expect("a server");
        let url = format!("http://{}", server.address());
        tokio::spawn(server.serve(std::future::pending()));
        Self {
            url,
            watch,
            proxied: store,
            store: direct,
            clock,
            proxy,
            cursors,
            database: client,
            table,
            client: reqwest::Client::new(),
            key: KEY.to_owned(),
        }
    }

    /// One more instance of the service, on the same table and behind the same proxy, with a clock of its own. `tune` changes
    /// the configuration with which its store calls DynamoDB.
    pub async fn instance(&self, clock: Arc<dyn Clock>, tune: impl FnOnce(Builder) -> Builder) -> Instance {
        let config = DynamoDb::at(self.proxy.endpoint.clone()).config();
        let config = tune(config.retry_partition(retries(TokenBucket::unlimited())));
        let store = Store::new(config, self.table.clone(), clock);
        let services = Services {
            store: store.clone(),
            cursors: self.cursors.clone(),
            default_timeout_seconds: DEFAULT_TIMEOUT_SECONDS,
        };
        let database = DynamoDb::at(self.proxy.endpoint.clone());
        let server = Server::around(services, &keys(), database).await.expect("a server");
        let url = format!("http://{}", server.address());
        tokio::spawn(server.serve(std::future::pending()));
        Instance { url, store }
    }

    /// The same service, called with another key.
    #[must_use]
    pub fn with_key(&self, key: &str) -> Caller<'_> {
        Caller { api: self, url: &self.url, key: key.to_owned() }
    }

    /// An instance of the service, called with a key.
    #[must_use]
    pub fn at<'a>(&'a self, instance: &'a Instance, key: &str) -> Caller<'a> {
        Caller { api: self, url: &instance.url, key: key.to_owned() }
    }

    fn caller(&self) -> Caller<'_> {
        self.with_key(&self.key)
    }

    /// The entries of the index by deadline.
    pub async fn deadlines(&self) -> Vec<ratchet_store::item::Item> {
        let scan = self.database.scan().table_name(&self.table).index_name(Index::ByDeadline.name());
        scan.send().await.expect("an answer").items.unwrap_or_default()
    }

    /// A request with [`KEY`], its path after the base path.
    #[must_use]
    pub fn request(&self, method: Method, path: &str) -> Call {
        self.caller().request(method, path)
    }

    /// A GET.
    pub async fn get(&self, path: &str) -> Answer {
        self.caller().get(path).await
    }

    /// A POST with a JSON body.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.caller().post(path, body).await
    }

    /// A PATCH with a JSON body.
    pub async fn patch(&self, path: &str, body: &Value) -> Answer {
        self.caller().patch(path, body).await
    }

    /// A new execution of flow `flow`; its record.
    pub async fn execute(&self, body: &Value) -> Value {
        let answer = self.post("/flows/execute", body).await;
        answer.assert_status(200).body["execution"].clone()
    }

    /// A new execution of a flow; its id.
    pub async fn new_execution(&self) -> String {
        text(&self.execute(&json!({ "flow_id": "demo", "trigger_type": "test" })).await["id"])
    }

    /// A new execution, moved to `status` by allowed transitions; its id.
    pub async fn execution_in(&self, status: &str) -> String {
        let id = self.new_execution().await;
        let way: &[&str] = match status {
            "pending" => &[],
            "queued" => &["queued"],
            "running" => &["running"],
            "retrying" => &["running", "retrying"],
            "interrupted" => &["running", "interrupted"],
            "completed" => &["running", "completed"],
            "failed" => &["failed"],
            "cancelled" => &["cancelled"],
            "timeout" => &["timeout"],
            other => panic!("no way to {other}"),
        };
        for step in way {
            self.patch(&format!("/flows/executions/{id}"), &json!({ "status": step })).await.assert_status(200);
        }
        id
    }

    /// The bytes of an execution's head item.
    pub async fn item_size(&self, id: &str) -> usize {
        ratchet_store::item::size(&self.head(id).await)
    }

    /// An execution's head item.
    pub async fn head(&self, id: &str) -> ratchet_store::item::Item {
        let output = self
            .database
            .get_item()
            .table_name(&self.table)
            .key("pk", AttributeValue::S(item_key(id)))
            .key("sk", AttributeValue::S("h".to_owned()))
            .send()
            .await
            .expect("an answer");
        output.item.expect("an execution")
    }

    /// Puts `count` executions into the table as the service would have created them, the n-th as `seed` returns for n. Their
    /// ids.
    pub async fn seed(&self, count: u32, seed: impl Fn(u32) -> Seed) -> Vec<ExecutionId> {
        let caller = caller(ORGANIZATION, "seed", Scopes::ALL);
        let (ids, items): (Vec<_>, Vec<_>) = (0..count)
            .map(|number| {
                let Seed { flow_id, trigger_type, millis, shard, bytes: padding } = seed(number);
                let padded = || JsonText::new_unchecked(json!({ "padding": "x".repeat(padding) }).to_string());
                let variables = if padding > 0 { padded() } else { JsonText::empty_object() };
                let new = NewExecution { trigger_type, variables, ..new_execution(flow_id) };
                let mut bytes = uuid::Uuid::new_v4().into_bytes();
                if let (Some(shard), [.., last]) = (shard, &mut bytes) {
                    *last = shard;
                }
                let id = ExecutionId::from_uuid(uuid::Uuid::from_bytes(bytes));
                let now = Timestamp::from_millis(1_700_000_000_000 + millis).expect("a time");
                let token = WriteToken::new(None, now).expect("random numbers");
                let items = new_execution_items(&caller, &new, &id, i64::from(number), now, &token, ListShards::EIGHT);
                (id, [Some(items.head), items.inputs])
            })
            .unzip();
        self.put_all(items.into_iter().flatten().flatten().collect()).await;
        ids
    }

    /// Puts items into the table, past the service.
    pub async fn put_all(&self, items: Vec<ratchet_store::item::Item>) {
        for batch in items.chunks(25) {
            let puts = batch
                .iter()
                .map(|item| {
                    let put = PutRequest::builder().set_item(Some(item.clone())).build().expect("a request");
                    WriteRequest::builder().put_request(put).build()
                })
                .collect();
            let mut left = Some(std::collections::HashMap::from([(self.table.clone(), puts)]));
            while let Some(requests) = left.take() {
                let output =
                    self.database.batch_write_item().set_request_items(Some(requests)).send().await.expect("an answer");
                left = output.unprocessed_items.filter(|items| !items.is_empty());
            }
        }
    }

    /// The name of the table.
    #[must_use]
    pub fn table(&self) -> &str {
        &self.table
    }

    /// Every item of the table, as DynamoDB has it.
    pub async fn items(&self) -> Vec<ratchet_store::item::Item> {
        let output = self.database.scan().table_name(&self.table).consistent_read(true).send().await;
        output.expect("an answer").items.unwrap_or_default()
    }

    /// Puts an item into the table, past the service.
    pub async fn put(&self, item: ratchet_store::item::Item) {
        self.database.put_item().table_name(&self.table).set_item(Some(item)).send().await.expect("an answer");
    }

    /// Deletes an item from the table, past the service.
    pub async fn delete(&self, key: impl IntoIterator<Item = (String, AttributeValue)>) {
        let key = key.into_iter().collect();
        self.database.delete_item().table_name(&self.table).set_key(Some(key)).send().await.expect("an answer");
    }

    /// Puts an API key into the table as an item without the attributes of the list of keys.
    pub async fn put_key(&self, key_id: &KeyId, record: &ApiKeyRecord) {
        self.put_item(ratchet_store::item::api_key_item(key_id, record)).await;
    }

    /// Puts an item into the table as it is, past the proxy.
    pub async fn put_item(&self, item: ratchet_store::item::Item) {
        self.database.put_item().table_name(&self.table).set_item(Some(item)).send().await.expect("an answer");
    }

    /// The record of an execution.
    pub async fn record(&self, id: &str) -> Value {
        self.get(&format!("/flows/executions/{id}")).await.assert_status(200).body.clone()
    }

    /// The transitions of an execution, as `from>to`.
    pub async fn transitions(&self, id: &str) -> Vec<String> {
        let answer = self.get(&format!("/executions/{id}/transitions")).await;
        let list = answer.assert_status(200).body["transitions"].clone();
        let list = list.as_array().expect("a list");
        list.iter().map(|entry| format!("{}>{}", text(&entry["from"]), text(&entry["to"]))).collect()
    }
}

/// The partition key of the item of an execution of [`ORGANIZATION`].
#[must_use]
pub fn item_key(id: &str) -> String {
    format!("e#{ORGANIZATION}#{id}")
}

/// The API keys that every service of the tests knows.
fn keys() -> Vec<LocalKey> {
    ["test-key=acme", "other-key=other", "reader=acme:read", "writer=acme:write", "second-key=acme"]
        .iter()
        .map(|key| key.parse().expect("a key"))
        .collect()
}

/// One more instance of the service.
#[derive(Debug)]
pub struct Instance {
    /// Where it listens.
    pub url: String,
    /// Its store.
    pub store: Store,
}

/// The service, called with one API key.
#[derive(Debug)]
pub struct Caller<'a> {
    api: &'a Api,
    url: &'a str,
    key: String,
}

impl Caller<'_> {
    /// A request, its path after the base path.
    #[must_use]
    pub fn request(&self, method: Method, path: &str) -> Call {
        let request = self.api.client.request(method, format!("{}{BASE}{path}", self.url));
        Call { request: request.header("x-api-key", &self.key) }
    }

    /// A GET.
    pub async fn get(&self, path: &str) -> Answer {
        self.request(Method::GET, path).send().await
    }

    /// A POST with a JSON body.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.request(Method::POST, path).json(body).send().await
    }

    /// A PATCH with a JSON body.
    pub async fn patch(&self, path: &str, body: &Value) -> Answer {
        self.request(Method::PATCH, path).json(body).send().await
    }
}

/// A request that is being built.
#[derive(Debug)]
pub struct Call {
    request: reqwest::RequestBuilder,
}

impl Call {
    /// With a header. The value may be any bytes that HTTP allows.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        let name = HeaderName::from_bytes(name.as_bytes()).expect("a header name");
        let value = HeaderValue::from_bytes(value.as_ref()).expect("a header value");
        self.request = self.request.header(name, value);
        self
    }

    /// With a JSON body.
    #[must_use]
    pub fn json(self, body: &Value) -> Self {
        self.header("content-type", "application/json").body(body.to_string())
    }

    /// With a body as it is.
    #[must_use]
    pub fn body(mut self, body: impl Into<reqwest::Body>) -> Self {
        self.request = self.request.body(body);
        self
    }

    /// Sends it.
    pub async fn send(self) -> Answer {
        self.try_send().await.expect("an answer")
    }

    /// Gives up after so long.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.request = self.request.timeout(timeout);
        self
    }

    /// Sends it.
    ///
    /// # Errors
    ///
    /// If no complete answer arrives.
    pub async fn try_send(self) -> Result<Answer, reqwest::Error> {
        let response = self.request.send().await?;
        let (status, headers) = (response.status(), response.headers().clone());
        let text = response.text().await?;
        let body = if text.is_empty() { Value::Null } else { serde_json::from_str(&text).unwrap_or(Value::Null) };
        Ok(Answer { status, headers, text, body })
    }
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// HTTP's status code.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub text: String,
    /// The body as JSON; null if it is none.
    pub body: Value,
}

impl Answer {
    /// Ends the test unless the status is this.
    #[track_caller]
    pub fn assert_status(&self, status: u16) -> &Self {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        self
    }

    /// Ends the test unless it is an error of this status and code, with all members of the contract.
    #[track_caller]
    pub fn assert_error(&self, status: u16, code: &str) -> &Self {
        self.assert_status(status);
        assert_eq!(self.body["error_code"], code, "{}", self.text);
        let names: Vec<&str> = self.body.as_object().into_iter().flatten().map(|(name, _)| name.as_str()).collect();
        let statuses: &[&str] = match code {
            // Where a status decided, a program learns which, and needs no English.
            "INVALID_STATUS_TRANSITION" | "CANCEL_REQUESTED" => &["current_status", "requested_status"],
            "EXECUTION_FINISHED" => &["current_status"],
            _ => &[],
        };
        let mut expected = [&["detail", "error_code", "correlation_id", "timestamp"], statuses].concat();
        expected.sort_unstable();
        assert_eq!(names, expected, "{}", self.text);
        assert!(self.body["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{}", self.text);
        assert!(Timestamp::parse(self.body["timestamp"].as_str().unwrap_or_default()).is_ok(), "{}", self.text);
        assert_eq!(self.body["correlation_id"].as_str(), self.header("x-correlation-id"), "{}", self.text);
        assert_eq!(self.header("retry-after").is_some(), status == 503, "Retry-After");
        self
    }

    /// The validation errors of a refused request, as `loc: type`.
    #[track_caller]
    pub fn validation_errors(&self) -> Vec<String> {
        self.assert_status(422);
        let list =
            self.body["detail"].as_array().unwrap_or_else(|| panic!("no list of validation errors: {}", self.text));
        list.iter()
            .map(|error| {
                assert!(error["msg"].is_string() && error.get("input").is_some(), "{error}");
                let loc = error["loc"].as_array().expect("loc is a list");
                let loc: Vec<String> =
                    loc.iter().map(|part| part.as_str().map_or_else(|| part.to_string(), str::to_owned)).collect();
                format!("{}: {}", loc.join("."), text(&error["type"]))
            })
            .collect()
    }

    /// A header's value.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

/// The path of an operation below [`BASE`].
#[must_use]
pub fn below_base(operation: &Operation) -> &'static str {
    operation.path.strip_prefix(BASE).expect("every path begins with the base path")
}

/// An execution to create, with the least that it needs.
#[must_use]
pub fn new_execution(flow_id: &str) -> NewExecution {
    NewExecution {
        flow_id: flow_id.to_owned(),
        trigger_type: TriggerType::Test,
        trigger_data: JsonText::empty_object(),
        variables: JsonText::empty_object(),
        priority: Priority::Normal,
        heartbeat_timeout_seconds: None,
        start_timeout_seconds: None,
        timeout_seconds: 300,
        max_retries: 3,
        metadata: JsonText::empty_object(),
        scheduled_at: None,
        agent_id: "unassigned".to_owned(),
        parent_execution_id: None,
        idempotency_key: None,
    }
}

/// An organization's id.
#[must_use]
pub fn organization(id: &str) -> OrganizationId {
    OrganizationId::parse(id).expect("an organization")
}

/// A caller, for tests that call a store or a handler directly.
#[must_use]
pub fn caller(organization: &str, key_id: &str, scopes: Scopes) -> ratchet_model::caller::Caller {
    ratchet_model::caller::Caller {
        organization: self::organization(organization),
        key_id: KeyId::parse(key_id).expect("the id of a key"),
        key_name: None,
        scopes,
        expires_at: None,
    }
}

/// The text of a JSON string.
#[track_caller]
#[must_use]
pub fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no string: {value}")).to_owned()
}

/// A change by another writer in the meantime: a status, a `metadata` or a `tokens_used`, past the proxy.
pub async fn write_directly(store: &Store, id: &str, body: &Value) {
    let caller = caller(ORGANIZATION, "meanwhile", Scopes::ALL);
    let event = events::event(&json!({
        "headers": { "content-type": "application/json" },
        "pathParameters": { "execution_id": id },
        "body": body.to_string(),
        "requestContext": { "authorizer": { "lambda": caller.to_context() } },
    }));
    let answer = update_execution::handle(store, events::request(event)).await.unwrap_or_else(|never| match never {});
    assert_eq!(answer.status_code, 200, "{:?}", answer.body);
}
