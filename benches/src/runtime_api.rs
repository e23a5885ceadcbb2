//! Lambda's Runtime API: a function asks for the next event, and gets one when the bench gives it out.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Instant, SystemTime};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc};

use crate::output::Result;

/// How long a function may take: more than in `template.yaml`, because an instrumented one takes fifty times as long.
const DEADLINE_MS: u128 = 600_000;

/// An action of a function.
#[derive(Debug)]
pub enum Did {
    /// It asked for an event.
    Asked(Instant),
    /// It answered an event.
    Answered(Instant, Value),
    /// It reported an error.
    Failed(String),
}

#[derive(Debug)]
struct Inner {
    event: Bytes,
    /// One permit for each event to give out.
    go: Semaphore,
    given: AtomicUsize,
    did: mpsc::UnboundedSender<Did>,
}

/// The Runtime API for one process.
pub struct RuntimeApi {
    /// Where it listens.
    pub address: SocketAddr,
    /// The actions of the function.
    pub did: mpsc::UnboundedReceiver<Did>,
    inner: Arc<Inner>,
    task: tokio::task::JoinHandle<()>,
}

impl RuntimeApi {
    /// Starts one that gives out `event`.
    pub async fn start(event: String) -> Result<Self> {
        let (sender, did) = mpsc::unbounded_channel();
        let inner = Arc::new(Inner {
            event: Bytes::from(event),
            go: Semaphore::new(0),
            given: AtomicUsize::new(0),
            did: sender,
        });
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let router = Router::new()
            .route("/2018-06-01/runtime/invocation/next", get(next))
            .route("/2018-06-01/runtime/invocation/{id}/response", post(response))
            .route("/2018-06-01/runtime/invocation/{id}/error", post(invocation_error))
            .route("/2018-06-01/runtime/init/error", post(init_error))
            .with_state(inner.clone());
        let task = tokio::spawn(async move {
            let _ = axum::serve(NoDelay(listener), router).await;
        });
        Ok(Self { address, did, inner, task })
    }

    /// Gives out one event.
    pub fn give(&self) {
        self.inner.go.add_permits(1);
    }
}

impl Drop for RuntimeApi {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A listener whose connections send each answer at once.
struct NoDelay(TcpListener);

impl axum::serve::Listener for NoDelay {
    type Io = tokio::net::TcpStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        let (stream, peer) = axum::serve::Listener::accept(&mut self.0).await;
        let _ = stream.set_nodelay(true);
        (stream, peer)
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.0.local_addr()
    }
}

/// The deadline. The rule against the global clock is for the functions; a bench may use it.
#[expect(clippy::disallowed_methods, reason = "Lambda's deadline is a time of day")]
fn deadline() -> String {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    (now.as_millis() + DEADLINE_MS).to_string()
}

async fn next(State(inner): State<Arc<Inner>>) -> Response {
    let _ = inner.did.send(Did::Asked(Instant::now()));
    if let Ok(permit) = inner.go.acquire().await {
        permit.forget();
    }
    // An id of the same length each time.
    let id = format!("8476a536-e9f4-11e8-9739-{:012}", inner.given.fetch_add(1, Ordering::Relaxed));
    let arn = "arn:aws:lambda:eu-central-1:123456789012:function:ratchet-bench:live";
    let trace = "Root=1-69573875-23e035dd526bfb165755cb27;Parent=53995c3f42cd8ad8;Sampled=0";
    let headers = [
        ("content-type", "application/json".to_owned()),
        ("lambda-runtime-aws-request-id", id),
        ("lambda-runtime-deadline-ms", deadline()),
        ("lambda-runtime-invoked-function-arn", arn.to_owned()),
        ("lambda-runtime-trace-id", trace.to_owned()),
    ];
    let event = inner.event.clone();
    (headers, event).into_response()
}

async fn response(State(inner): State<Arc<Inner>>, Path(_id): Path<String>, body: Bytes) -> StatusCode {
    let now = Instant::now();
    let did = match serde_json::from_slice(&body) {
        Ok(answer) => Did::Answered(now, answer),
        Err(_) => Did::Failed(format!("answered with what is no JSON: {}", String::from_utf8_lossy(&body))),
    };
    let _ = inner.did.send(did);
    StatusCode::ACCEPTED
}

async fn invocation_error(State(inner): State<Arc<Inner>>, Path(_id): Path<String>, body: Bytes) -> StatusCode {
    let _ = inner.did.send(Did::Failed(String::from_utf8_lossy(&body).into_owned()));
    StatusCode::ACCEPTED
}

async fn init_error(State(inner): State<Arc<Inner>>, body: Bytes) -> StatusCode {
    let _ = inner.did.send(Did::Failed(String::from_utf8_lossy(&body).into_owned()));
    StatusCode::ACCEPTED
}
