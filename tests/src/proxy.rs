//! A proxy between the store and its DynamoDB that does to chosen requests what networks do.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

/// What happens to one request.
pub enum Fault {
    /// Nothing: it is passed on, and its answer back.
    Pass,
    /// It is lost on its way, and the connection with it.
    DropRequest,
    /// It is applied; then something else happens; then its answer is lost, and the connection with it.
    DropAnswer(BoxFuture<'static, ()>),
    /// It is held back and delivered when somebody says so, however long ago its sender gave up.
    Hold(oneshot::Receiver<()>, oneshot::Sender<()>),
    /// It is not passed on and answered with this status and body.
    Answer(u16, String),
    /// It is applied, and answered with this status and body all the same.
    ApplyAndAnswer(u16, String),
    /// It is passed on after a while.
    Delay(Duration),
}

impl fmt::Debug for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Fault")
    }
}

impl Fault {
    /// The answer is lost, and nothing else happens.
    #[must_use]
    pub fn drop_answer() -> Self {
        Self::DropAnswer(Box::pin(std::future::ready(())))
    }

    /// DynamoDB's own way to say that it is busy.
    #[must_use]
    pub fn throttled() -> Self {
        Self::Answer(
            400,
            r#"{"__type":"com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException","message":"busy"}"#
                .to_owned(),
        )
    }

    /// DynamoDB's own way to say that something broke in it.
    #[must_use]
    pub fn internal() -> Self {
        Self::Answer(
            500,
            r#"{"__type":"com.amazonaws.dynamodb.v20120810#InternalServerError","message":"broken"}"#.to_owned(),
        )
    }
}

/// A running proxy.
#[derive(Debug, Clone)]
pub struct Proxy {
    /// Where it listens.
    pub endpoint: String,
    plan: Arc<Mutex<VecDeque<Fault>>>,
}

impl Proxy {
    /// Starts one in front of `upstream`.
    pub async fn start(upstream: &str) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
        let upstream = upstream.trim_start_matches("http://").trim_end_matches('/').to_owned();
        let plan: Arc<Mutex<VecDeque<Fault>>> = Arc::default();
        let proxy = Self { endpoint, plan: plan.clone() };
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(serve(client, upstream.clone(), plan.clone()));
            }
        });
        proxy
    }

    /// What happens to the next requests, one each, in order; after them requests pass again.
    pub fn plan(&self, faults: impl IntoIterator<Item = Fault>) {
        self.plan.lock().expect("no test panics while it holds this").extend(faults);
    }

    /// How many planned faults have not happened yet.
    #[must_use]
    pub fn left(&self) -> usize {
        self.plan.lock().expect("no test panics while it holds this").len()
    }
}

async fn serve(mut client: TcpStream, upstream: String, plan: Arc<Mutex<VecDeque<Fault>>>) {
    let mut server: Option<TcpStream> = None;
    let mut rest = Vec::new();
    while let Some(request) = read_message(&mut client, &mut rest).await {
        let fault = plan.lock().expect("no test panics while it holds this").pop_front().unwrap_or(Fault::Pass);
        let answer = match fault {
            Fault::Pass => forward(&mut server, &upstream, &request).await,
            Fault::DropRequest => return,
            Fault::DropAnswer(meanwhile) => {
                forward(&mut server, &upstream, &request).await;
                meanwhile.await;
                return;
            }
            Fault::Hold(go, done) => {
                let _ = go.await;
                forward(&mut server, &upstream, &request).await;
                let _ = done.send(());
                return;
            }
            Fault::Answer(status, body) => Some(made_up(status, &body)),
            Fault::ApplyAndAnswer(status, body) => {
                forward(&mut server, &upstream, &request).await;
                Some(made_up(status, &body))
            }
            Fault::Delay(duration) => {
                tokio::time::sleep(duration).await;
                forward(&mut server, &upstream, &request).await
            }
        };
        let Some(answer) = answer else { return };
        if client.write_all(&answer).await.is_err() {
            return;
        }
    }
}

async fn forward(server: &mut Option<TcpStream>, upstream: &str, request: &[u8]) -> Option<Vec<u8>> {
    if server.is_none() {
        *server = TcpStream::connect(upstream).await.ok();
    }
    let stream = server.as_mut()?;
    stream.write_all(request).await.ok()?;
    let answer = read_message(stream, &mut Vec::new()).await;
    if answer.is_none() {
        *server = None;
    }
    answer
}

fn made_up(status: u16, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status} X\r\ncontent-type: application/x-amz-json-1.0\r\ncontent-length: {length}\r\n\r\n{body}")
        .into_bytes()
}

/// Reads one HTTP/1.1 message, of a given length or in chunks; `None` at the end of the connection.
async fn read_message(stream: &mut TcpStream, rest: &mut Vec<u8>) -> Option<Vec<u8>> {
    let mut message = std::mem::take(rest);
    loop {
        if let Some(length) = message_length(&message) {
            *rest = message.split_off(length);
            return Some(message);
        }
        let mut part = [0u8; 16 * 1024];
        match stream.read(&mut part).await {
            Ok(read) if read > 0 => message.extend(part.get(..read)?),
            _ => return None,
        }
    }
}

/// How long the message at the beginning of `bytes` is; `None` while it is not all there.
fn message_length(bytes: &[u8]) -> Option<usize> {
    let body = find(bytes, 0, b"\r\n\r\n")? + 4;
    let head = String::from_utf8_lossy(bytes.get(..body)?).to_ascii_lowercase();
    let header = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':').map(str::trim));
    let mut end = body;
    if header("transfer-encoding") == Some("chunked") {
        loop {
            let line = find(bytes, end, b"\r\n")?;
            let size = std::str::from_utf8(bytes.get(end..line)?).ok()?;
            let size = usize::from_str_radix(size.split(';').next()?.trim(), 16).ok()?;
            end = line + 2 + size + 2;
            if size == 0 {
                break;
            }
        }
    } else {
        end += header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    }
    (bytes.len() >= end).then_some(end)
}

fn find(bytes: &[u8], from: usize, wanted: &[u8]) -> Option<usize> {
    let found = bytes.get(from..)?.windows(wanted.len()).position(|window| window == wanted)?;
    Some(from + found)
}
