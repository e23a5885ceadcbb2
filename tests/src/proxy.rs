//! A proxy between the store and its DynamoDB that injects the faults of networks and of DynamoDB: into the next requests,
//! by an explicit plan, or into those for an item, by a seed (see [`crate::seeded`]).

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use crate::seeded::{Disturbance, Kind, Seeded};

/// The fault of one request.
pub enum Fault {
    /// None: the request is passed on, and so is its answer.
    Pass,
    /// It is passed on; then the future runs; then its answer comes back.
    PassThen(BoxFuture<'static, ()>),
    /// It is lost before it reaches DynamoDB, and the connection is closed.
    DropRequest,
    /// It is applied; then the future runs; then its answer is lost, and the connection is closed.
    DropAnswer(BoxFuture<'static, ()>),
    /// It is held back and delivered when the test says so, however long ago its sender gave up.
    Hold(oneshot::Receiver<()>, oneshot::Sender<()>),
    /// It is not passed on. The answer is this status and body.
    Answer(u16, String),
    /// It is applied. The answer is this status and body all the same.
    ApplyAndAnswer(u16, String),
    /// It is passed on after a while.
    Delay(Duration),
    /// The connection is reset by TCP's RST. All other faults close it by FIN.
    Reset {
        /// Whether it is applied first.
        applied: bool,
    },
    /// It is applied, and the connection ends in the middle of its answer.
    HalfAnswer,
    /// It is applied, and its answer comes twice.
    AnswerTwice,
    /// It is passed on twice, and its second answer comes back.
    DeliverTwice,
}

impl fmt::Debug for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Fault")
    }
}

impl Fault {
    /// The answer is lost, and nothing happens before.
    #[must_use]
    pub fn drop_answer() -> Self {
        Self::DropAnswer(Box::pin(std::future::ready(())))
    }

    /// One of DynamoDB's two answers for a throttled request.
    #[must_use]
    pub fn throttled() -> Self {
        Self::Answer(
            400,
            r#"{"__type":"com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException","message":"busy"}"#
                .to_owned(),
        )
    }

    /// The other of DynamoDB's answers for a throttled request.
    #[must_use]
    pub fn throttling() -> Self {
        Self::Answer(
            400,
            r#"{"__type":"com.amazon.coral.availability#ThrottlingException","message":"Rate exceeded"}"#.to_owned(),
        )
    }

    /// DynamoDB's answer for an internal error.
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
    awaiting: Arc<Mutex<Vec<(&'static str, Fault)>>>,
    matching: Arc<Mutex<Option<Matching>>>,
    seeded: Arc<Seeded>,
}

/// A fault for every request with a text in its body.
#[derive(Debug)]
struct Matching {
    text: &'static str,
    fault: fn() -> Fault,
}

impl Proxy {
    /// Starts one in front of `upstream`.
    pub async fn start(upstream: &str) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
        let upstream = upstream.trim_start_matches("http://").trim_end_matches('/').to_owned();
        let proxy = Self {
            endpoint,
            plan: Arc::default(),
            awaiting: Arc::default(),
            matching: Arc::default(),
            seeded: Arc::default(),
        };
        let plans = proxy.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (plans, upstream) = (plans.clone(), upstream.clone());
                tokio::spawn(async move { plans.serve(client, &upstream).await });
            }
        });
        proxy
    }

    /// Plans the faults of the next requests, one each, in order. After them requests pass again.
    pub fn plan(&self, faults: impl IntoIterator<Item = Fault>) {
        self.plan.lock().expect("no test panics while it holds this").extend(faults);
    }

    /// Plans a fault of the next request of an operation, such as `BatchGetItem`: for requests that go out side by side, in any
    /// order. Faults that are planned in order come first.
    pub fn plan_for(&self, operation: &'static str, fault: Fault) {
        self.awaiting.lock().expect("no test panics while it holds this").push((operation, fault));
    }

    fn awaited(&self, request: &[u8]) -> Option<Fault> {
        let mut awaiting = self.awaiting.lock().expect("no test panics while it holds this");
        let is_of = |(operation, _): &(&str, Fault)| {
            find(request, 0, format!("DynamoDB_20120810.{operation}\r\n").as_bytes()).is_some()
        };
        let place = awaiting.iter().position(is_of)?;
        Some(awaiting.remove(place).1)
    }

    /// From now on every request with `text` in its body meets a fault of its own. Planned faults come first.
    pub fn fail_matching(&self, text: &'static str, fault: fn() -> Fault) {
        *self.matching.lock().expect("no test panics while it holds this") = Some(Matching { text, fault });
    }

    fn matching(&self, request: &[u8]) -> Option<Fault> {
        let matching = self.matching.lock().expect("no test panics while it holds this");
        let Matching { text, fault } = matching.as_ref()?;
        find(request, 0, text.as_bytes()).map(|_| fault())
    }

    /// How many planned faults have not happened yet.
    #[must_use]
    pub fn left(&self) -> usize {
        let in_order = self.plan.lock().expect("no test panics while it holds this").len();
        in_order + self.awaiting.lock().expect("no test panics while it holds this").len()
    }

    /// From now on a seed decides the faults of the requests for the item with this partition key. Explicitly planned faults
    /// come first.
    pub fn disturb(&self, item: &str, disturbance: Disturbance) {
        self.seeded.disturb(item, disturbance);
    }

    /// From now on the requests for the item pass. Returns when all that are held back have been delivered.
    pub async fn settle(&self, item: &str) {
        self.seeded.settle(item).await;
    }

    /// How many requests met each kind of fault, of those that a seed decided.
    #[must_use]
    pub fn counts(&self) -> Vec<(Kind, u64)> {
        self.seeded.counts()
    }

    async fn serve(&self, mut client: TcpStream, upstream: &str) {
        let mut server: Option<TcpStream> = None;
        let mut rest = Vec::new();
        while let Some(request) = read_message(&mut client, &mut rest).await {
            let planned = self.plan.lock().expect("no test panics while it holds this").pop_front();
            let (fault, _under_way) =
                match planned.or_else(|| self.awaited(&request)).or_else(|| self.matching(&request)) {
                    Some(fault) => (fault, None),
                    None => match self.seeded.next(&request) {
                        Some((fault, under_way)) => (fault, Some(under_way)),
                        None => (Fault::Pass, None),
                    },
                };
            let Some(answer) = inject(fault, &request, &client, &mut server, upstream).await else { return };
            if client.write_all(&answer.bytes).await.is_err() || answer.last {
                return;
            }
        }
    }
}

/// The bytes that go back.
struct Answer {
    bytes: Vec<u8>,
    /// Whether the connection ends with it.
    last: bool,
}

/// Injects the fault into a request. `None`: there is no answer, and the connection ends.
async fn inject(
    fault: Fault,
    request: &[u8],
    client: &TcpStream,
    server: &mut Option<TcpStream>,
    upstream: &str,
) -> Option<Answer> {
    let mut last = false;
    let bytes = match fault {
        Fault::Pass => forward(server, upstream, request).await?,
        Fault::PassThen(meanwhile) => {
            let answer = forward(server, upstream, request).await?;
            meanwhile.await;
            answer
        }
        Fault::DropRequest => return None,
        Fault::DropAnswer(meanwhile) => {
            forward(server, upstream, request).await;
            meanwhile.await;
            return None;
        }
        Fault::Hold(go, done) => {
            let _ = go.await;
            forward(server, upstream, request).await;
            let _ = done.send(());
            return None;
        }
        Fault::Answer(status, body) => response(status, &body),
        Fault::ApplyAndAnswer(status, body) => {
            forward(server, upstream, request).await;
            response(status, &body)
        }
        Fault::Delay(duration) => {
            tokio::time::sleep(duration).await;
            forward(server, upstream, request).await?
        }
        Fault::Reset { applied } => {
            if applied {
                forward(server, upstream, request).await;
            }
            client.set_zero_linger().expect("an option of every TCP socket");
            return None;
        }
        Fault::HalfAnswer => {
            let mut answer = forward(server, upstream, request).await?;
            answer.truncate(answer.len() / 2);
            last = true;
            answer
        }
        // In one write, so that the second answer is there before this connection can send the next request.
        Fault::AnswerTwice => forward(server, upstream, request).await?.repeat(2),
        Fault::DeliverTwice => {
            forward(server, upstream, request).await;
            forward(server, upstream, request).await?
        }
    };
    Some(Answer { bytes, last })
}

async fn forward(server: &mut Option<TcpStream>, upstream: &str, request: &[u8]) -> Option<Vec<u8>> {
    // DynamoDB Local closes a connection that is idle for half a minute. To take it for an open one would be a fault that nobody
    // planned, and for each attempt at a request another one.
    if server.as_ref().is_none_or(is_closed) {
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

/// Whether the other side has closed a connection between two requests, or says what nobody asked for.
fn is_closed(stream: &TcpStream) -> bool {
    !matches!(stream.try_read(&mut [0]), Err(error) if error.kind() == std::io::ErrorKind::WouldBlock)
}

fn response(status: u16, body: &str) -> Vec<u8> {
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

/// The length of the message at the beginning of `bytes`; `None` while it is incomplete.
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
