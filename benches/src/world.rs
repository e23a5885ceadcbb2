//! The environment of the functions: a table in the embedded DynamoDB, an event bus that takes everything, and the TLS and HTTP
//! in front of them, which count connections and requests.
//!
//! The embedded DynamoDB evaluates conditions and expressions, so that a function that writes something wrong is not answered
//! with a success. The service's own handlers write the contents of the table.

use ratchet_model::limits::DEFAULT_TIMEOUT_SECONDS;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::IntoResponse;
use axum::serve::Listener;
use local::database::DynamoDb;
use local::operations::{Endpoint, Services};
use ratchet_http::cursor::CursorKey;
use ratchet_model::api_key::{ApiKey, ApiKeyRecord};
use ratchet_model::clock::SystemClock;
use ratchet_model::scope::Scopes;
use ratchet_store::Store;
use ratchet_store::item::api_key_item;
use serde_json::{Value, json};
use tests::cases::{Case, cases};
use tests::eventbridge::took_all_but;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::output::Result;
use crate::slow_clock;
use crate::subjects::Work;
use crate::tls::{Material, material};

/// The table's name, as long as that of a stack.
pub const TABLE: &str = "ratchet-bench-ExecutionsTable";

/// Signs the cursors of list executions.
pub const CURSOR_KEY: &str = "a secret of the bench, long enough to be one";

type Item = HashMap<String, AttributeValue>;

/// The connections and requests that arrived.
#[derive(Debug, Default)]
pub struct Counts {
    connections: AtomicUsize,
    operations: Mutex<Vec<String>>,
}

impl Counts {
    /// How many connections and requests there have been since the last call.
    pub fn take(&self) -> (usize, usize) {
        let operations = std::mem::take(&mut *self.operations.lock().unwrap_or_else(PoisonError::into_inner));
        (self.connections.swap(0, Ordering::Relaxed), operations.len())
    }

    fn add(&self, operation: String) {
        self.operations.lock().unwrap_or_else(PoisonError::into_inner).push(operation);
    }
}

/// The environment of a function.
pub struct World {
    /// The endpoint that the functions call.
    pub endpoint: String,
    /// The certificates.
    pub material: Material,
    /// The library that slows the clock of a process whose instructions are counted.
    pub slow_clock: PathBuf,
    /// The connections and requests that arrived by TLS.
    pub counts: Arc<Counts>,
    events: PathBuf,
    cases: Vec<Case>,
    /// The server ends when this is dropped.
    _database: DynamoDb,
    client: Client,
    services: Services,
}

/// Accepts connections, and performs the handshake of each concurrently with the others.
struct TlsListener {
    address: SocketAddr,
    accepted: mpsc::Receiver<(TlsStream<TcpStream>, SocketAddr)>,
}

impl TlsListener {
    async fn new(acceptor: &TlsAcceptor, counts: &Arc<Counts>) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        // `localhost` is both, and a client that tries the other one first must not meet a refused connection.
        let other = TcpListener::bind(("::1", address.port())).await;
        let (sender, accepted) = mpsc::channel(64);
        for listener in [Ok(listener), other].into_iter().flatten() {
            let (acceptor, counts, sender) = (acceptor.clone(), counts.clone(), sender.clone());
            tokio::spawn(async move {
                while let Ok((stream, peer)) = listener.accept().await {
                    counts.connections.fetch_add(1, Ordering::Relaxed);
                    let (acceptor, sender) = (acceptor.clone(), sender.clone());
                    tokio::spawn(async move {
                        // An answer must not wait for more data to send.
                        let _ = stream.set_nodelay(true);
                        if let Ok(stream) = acceptor.accept(stream).await {
                            let _ = sender.send((stream, peer)).await;
                        }
                    });
                }
            });
        }
        Ok(Self { address, accepted })
    }
}

impl Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        match self.accepted.recv().await {
            Some(accepted) => accepted,
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        Ok(self.address)
    }
}

/// The server behind the TLS.
#[derive(Clone)]
struct Behind {
    endpoint: String,
    client: reqwest::Client,
    counts: Arc<Counts>,
}

/// The operation of the event bus, as its requests name it.
const PUT_EVENTS: &str = "AWSEvents.PutEvents";

/// What an event bus answers: that it took all entries, or to a request without any that this is no request.
fn put_events(body: &Bytes) -> (StatusCode, HeaderMap, Bytes) {
    let request: Value = serde_json::from_slice(body).unwrap_or_default();
    let (status, answer) = match request["Entries"].as_array() {
        Some(entries) if !entries.is_empty() => (StatusCode::OK, took_all_but(&[], entries).1),
        _ => (StatusCode::BAD_REQUEST, json!({ "__type": "ValidationException", "message": "at least one entry" })),
    };
    let headers = [(header::CONTENT_TYPE, HeaderValue::from_static("application/x-amz-json-1.1"))];
    (status, headers.into_iter().collect(), answer.to_string().into())
}

/// Passes a request on to the embedded DynamoDB, and its answer back.
async fn pass_on(State(behind): State<Behind>, headers: HeaderMap, body: Bytes) -> impl IntoResponse {
    let operation = headers.get("x-amz-target").and_then(|target| target.to_str().ok()).unwrap_or_default();
    behind.counts.add(operation.to_owned());
    if operation == PUT_EVENTS {
        return put_events(&body);
    }
    let mut request = behind.client.post(&behind.endpoint).body(body);
    for (name, value) in &headers {
        if *name != header::HOST && *name != header::CONTENT_LENGTH && *name != header::EXPECT {
            request = request.header(name, value);
        }
    }
    let answer = async {
        let answer = request.send().await?;
        let (status, headers) = (answer.status(), answer.headers().clone());
        Ok::<_, reqwest::Error>((status, headers, answer.bytes().await?))
    };
    match answer.await {
        Ok((status, mut headers, body)) => {
            headers.remove(header::TRANSFER_ENCODING);
            (status, headers, body)
        }
        Err(_) => (StatusCode::BAD_GATEWAY, HeaderMap::new(), Bytes::new()),
    }
}

impl World {
    /// Starts one, with an empty table.
    pub async fn start(root: &Path, folder: &Path) -> Result<Self> {
        let material = material(folder)?;
        let database = DynamoDb::embedded(None).await?;
        let store = Store::new(database.config(), TABLE, Arc::new(SystemClock));
        let store = store.create_table_if_missing().await.map_err(|error| format!("no table: {error}"))?;
        let counts = Arc::new(Counts::default());
        let listener = TlsListener::new(&material.acceptor, &counts).await?;
        // By name, because the certificate is for a name.
        let endpoint = format!("https://localhost:{}", listener.address.port());
        let client = reqwest::Client::builder().tcp_nodelay(true).timeout(Duration::from_secs(30)).build()?;
        let behind = Behind { endpoint: database.endpoint.clone(), client, counts: counts.clone() };
        let router = Router::new().fallback(pass_on).with_state(behind);
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(Self {
            endpoint,
            material,
            slow_clock: slow_clock::build(root, folder)?,
            counts,
            events: root.join("events"),
            cases: cases(),
            client: Client::from_conf(database.config().build()),
            _database: database,
            services: Services {
                store,
                cursors: CursorKey::new(CURSOR_KEY.as_bytes()),
                default_timeout_seconds: DEFAULT_TIMEOUT_SECONDS,
            },
        })
    }

    /// The text of `events/<name>.json`.
    pub fn event(&self, name: &str) -> Result<String> {
        let path = self.events.join(format!("{name}.json"));
        Ok(std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?)
    }

    /// The case of an event in `events/cases.json`.
    pub fn case(&self, event: &str) -> Result<&Case> {
        let case = self.cases.iter().find(|case| case.event == event);
        Ok(case.ok_or_else(|| format!("events/cases.json has no {event}"))?)
    }

    /// Empties the table, puts a known API key into it, and lets the handlers answer the events before the work. Returns the
    /// items of the table after that.
    pub async fn prepare(&self, work: &Work) -> Result<Vec<Item>> {
        self.restore(&[]).await?;
        self.put_known_key().await?;
        let after = self.case(work.event)?.after.iter().map(String::as_str);
        for name in after.chain(work.then.iter().copied()) {
            self.call(name, serde_json::from_str(&self.event(name)?)?).await?;
        }
        for number in 0..work.more {
            let name = "execute_flow.accepted";
            let mut event: Value = serde_json::from_str(&self.event(name)?)?;
            // The same key would create the same execution.
            event["headers"]["idempotency-key"] = format!("another-{number}").into();
            self.call(name, event).await?;
        }
        self.items().await
    }

    async fn call(&self, name: &str, event: Value) -> Result<()> {
        let operation = name.split('.').next().unwrap_or_default();
        let endpoint = Endpoint::named(operation).ok_or("an event of no function")?;
        let answer = endpoint.call(&self.services, &event.to_string()).await?;
        if answer.status_code >= 300 {
            return Err(format!("{name}: {} {:?}", answer.status_code, answer.body).into());
        }
        Ok(())
    }

    async fn put_known_key(&self) -> Result<()> {
        let event: Value = serde_json::from_str(&self.event("authorizer.known_key")?)?;
        let key = event["identitySource"][0].as_str().and_then(ApiKey::parse).ok_or("an event without a key")?;
        let scopes = Scopes::parse("read,write").map_err(|error| format!("{error:?}"))?;
        let record = ApiKeyRecord {
            digest: key.digest(),
            organization: tests::organization("acme"),
            name: None,
            scopes,
            valid_until: None,
        };
        self.put(api_key_item(&key.id(), &record)).await
    }

    async fn put(&self, item: Item) -> Result<()> {
        self.client.put_item().table_name(TABLE).set_item(Some(item)).send().await?;
        Ok(())
    }

    async fn items(&self) -> Result<Vec<Item>> {
        let output = self.client.scan().table_name(TABLE).consistent_read(true).send().await?;
        Ok(output.items.unwrap_or_default())
    }

    /// Sets the contents of the table to `items` and nothing else.
    pub async fn restore(&self, items: &[Item]) -> Result<()> {
        let found = self.items().await?;
        let key = |item: &Item| (item.get("pk").cloned(), item.get("sk").cloned());
        for item in &found {
            if !items.iter().any(|kept| key(kept) == key(item)) {
                let (pk, sk) = key(item);
                let delete = self.client.delete_item().table_name(TABLE);
                let key = [("pk", pk), ("sk", sk)].map(|(name, value)| Some((name.to_owned(), value?)));
                delete.set_key(Some(key.into_iter().flatten().collect())).send().await?;
            }
        }
        for item in items {
            if !found.contains(item) {
                self.put(item.clone()).await?;
            }
        }
        Ok(())
    }
}
