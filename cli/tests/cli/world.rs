//! What the tests have: a service, a gate in front of it that can be closed, and `ratchet`.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use local::server::{Data, Options, Server};
use serde_json::Value;
use tempfile::TempDir;

/// The key of the tests.
pub const KEY: &str = "cli-key";

/// How long anything may take before a test gives up: longer than any of it does on a machine that is busy.
pub const PATIENCE: Duration = Duration::from_secs(180);

/// What the gate does with a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Way {
    /// Passes it on.
    Open = 0,
    /// Closes it at once.
    Closed = 1,
    /// Takes what is sent, and answers nothing.
    Silent = 2,
}

/// A gate in front of the service.
pub struct Gate {
    address: SocketAddr,
    way: Arc<AtomicU8>,
    connections: Arc<Mutex<Vec<TcpStream>>>,
    seen: Arc<AtomicUsize>,
}

impl Gate {
    fn start(service: SocketAddr) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let gate = Self { address, way: Arc::default(), connections: Arc::default(), seen: Arc::default() };
        let (way, connections, seen) = (Arc::clone(&gate.way), Arc::clone(&gate.connections), Arc::clone(&gate.seen));
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let Ok(client) = client else { return };
                seen.fetch_add(1, Ordering::SeqCst);
                match way.load(Ordering::SeqCst) {
                    1 => drop(client),
                    2 => connections.lock().unwrap().push(client),
                    _ => {
                        let Ok(server) = TcpStream::connect(service) else { continue };
                        connections.lock().unwrap().extend([client.try_clone().unwrap(), server.try_clone().unwrap()]);
                        copy(client.try_clone().unwrap(), server.try_clone().unwrap());
                        copy(server, client);
                    }
                }
            }
        });
        gate
    }

    /// From now on connections are treated so. Those that are open are closed.
    pub fn set(&self, way: Way) {
        self.way.store(way as u8, Ordering::SeqCst);
        for connection in self.connections.lock().unwrap().drain(..) {
            let _ = connection.shutdown(Shutdown::Both);
        }
    }

    /// How many connections were made.
    pub fn seen(&self) -> usize {
        self.seen.load(Ordering::SeqCst)
    }
}

fn copy(mut from: TcpStream, mut to: TcpStream) {
    std::thread::spawn(move || {
        let mut part = [0; 16 * 1024];
        while let Ok(read) = from.read(&mut part) {
            if read == 0 || to.write_all(&part[..read]).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Both);
        let _ = from.shutdown(Shutdown::Both);
    });
}

/// A service of a test's own, and a folder.
pub struct World {
    /// The gate in front of the service.
    pub gate: Gate,
    /// The service itself.
    service: SocketAddr,
    /// A folder that is empty at the beginning.
    pub folder: TempDir,
}

impl World {
    /// Starts a service.
    pub fn new() -> Self {
        let (sender, receiver) = std::sync::mpsc::channel();
        // The runtime of the service ends with the tests.
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
            runtime.block_on(async move {
                let options = Options {
                    port: 0,
                    data: Data::Memory,
                    keys: vec![format!("{KEY}=acme").parse().unwrap()],
                    cors_origins: Vec::new(),
                    events: false,
                };
                let server = Server::start(options).await.unwrap();
                sender.send(server.address()).unwrap();
                server.serve(std::future::pending()).await.unwrap();
            });
        });
        let service = receiver.recv().unwrap();
        Self { gate: Gate::start(service), service, folder: tempfile::tempdir().unwrap() }
    }

    /// The URL of the gate.
    pub fn url(&self) -> String {
        format!("http://{}", self.gate.address)
    }

    /// `ratchet` with these arguments, for this service.
    pub fn ratchet(&self, arguments: &[&str]) -> Command {
        let mut command = ratchet(arguments);
        command.env("RATCHET_URL", self.url()).env("RATCHET_API_KEY", KEY).env("HOME", self.folder.path());
        command
    }

    /// `ratchet run` of a flow, with a shell script. It waits for the service for as long as a machine that is busy may need.
    pub fn run(&self, options: &[&str], script: &str) -> Command {
        self.impatient_run(&[&["--start-timeout", "60s"], options].concat(), script)
    }

    /// The same with nothing but these options: it waits for the service for three seconds.
    pub fn impatient_run(&self, options: &[&str], script: &str) -> Command {
        let mut arguments = vec!["run", "--flow", "demo"];
        arguments.extend(options);
        arguments.extend(["--", "sh", "-c", script]);
        let mut command = self.ratchet(&arguments);
        command.env("FOLDER", self.folder.path());
        command
    }

    /// A request to the service itself, past the gate.
    pub fn call(&self, method: &str, path: &str, body: &str) -> (u16, Value) {
        let mut stream = TcpStream::connect(self.service).unwrap();
        write!(
            stream,
            "{method} /api/v1{path} HTTP/1.1\r\nhost: x\r\nx-api-key: {KEY}\r\nconnection: close\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, serde_json::from_str(body).unwrap_or(Value::Null))
    }

    /// All executions, oldest first, with all that they have.
    pub fn executions(&self) -> Vec<Value> {
        let (status, page) = self.call("GET", "/flows/executions?page_size=100", "");
        assert_eq!(status, 200, "{page}");
        let mut found = page["executions"].as_array().unwrap().clone();
        found.reverse();
        found
    }

    /// The one execution that there is.
    pub fn execution(&self) -> Value {
        let mut found = self.executions();
        assert_eq!(found.len(), 1, "{found:#?}");
        found.remove(0)
    }

    /// Waits until there is one execution, and it has this status.
    pub fn until(&self, status: &str) -> Value {
        self.wait_for(|world| {
            let found = world.executions();
            found.into_iter().next().filter(|execution| execution["status"] == status)
        })
    }

    /// Waits until something is there.
    pub fn wait_for<T>(&self, look: impl Fn(&Self) -> Option<T>) -> T {
        let begun = Instant::now();
        loop {
            if let Some(found) = look(self) {
                return found;
            }
            assert!(begun.elapsed() < PATIENCE, "it did not come: {:#?}", self.executions());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until the script has made this file, and returns what is in it.
    pub fn file(&self, name: &str) -> String {
        let path = self.path(name);
        self.wait_for(|_| std::fs::read_to_string(&path).ok().filter(|text| text.ends_with('\n')))
    }

    /// A path in the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Creates an execution, and returns its id.
    pub fn create(&self, body: &str) -> String {
        let (status, answer) = self.call("POST", "/flows/execute", body);
        assert_eq!(status, 200, "{answer}");
        answer["execution"]["id"].as_str().unwrap().to_owned()
    }

    /// The statuses that an execution has entered.
    pub fn history(&self, id: &str) -> Vec<String> {
        let (_, answer) = self.call("GET", &format!("/executions/{id}/transitions"), "");
        let transitions = answer["transitions"].as_array().unwrap();
        transitions.iter().map(|transition| transition["to"].as_str().unwrap().to_owned()).collect()
    }
}

/// A program as a terminal would start it. Tests that run in the background of a script have inherited that Ctrl-C is ignored, and
/// under nohup that a hangup is. A program cannot tell that from its caller's wish; `env` of GNU takes it back.
pub fn hearing_signals(program: &str) -> Command {
    // Of /proc: a mask in hex, in which the lowest bit is that of signal 1.
    let is_ignored = |mask: &str| u64::from_str_radix(mask.trim(), 16).is_ok_and(|mask| mask & 0b111 != 0);
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    if !status.lines().filter_map(|line| line.strip_prefix("SigIgn:")).any(is_ignored) {
        return Command::new(program);
    }
    let mut command = Command::new("env");
    command.args(["--default-signal=HUP,INT,QUIT", program]);
    command
}

/// `ratchet` with these arguments, and nothing of this environment that would matter to it.
pub fn ratchet(arguments: &[&str]) -> Command {
    let mut command = hearing_signals(env!("CARGO_BIN_EXE_ratchet"));
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        if name.starts_with("RATCHET_") || name.ends_with("_PROXY") || name.ends_with("_proxy") || name == "NO_COLOR" {
            command.env_remove(name);
        }
    }
    command.env_remove("XDG_CONFIG_HOME");
    command
}

/// What a command did.
pub struct Done {
    /// How it ended.
    pub status: ExitStatus,
    /// What it printed.
    pub stdout: String,
    /// What it said besides.
    pub stderr: String,
    /// How long it took.
    pub took: Duration,
}

impl Done {
    /// Asserts how it ended.
    pub fn assert(&self, code: i32) -> &Self {
        assert_eq!(self.status.code(), Some(code), "{}\n{}", self.stdout, self.stderr);
        self
    }

    /// Asserts that it said this.
    pub fn says(&self, text: &str) -> &Self {
        assert!(self.stderr.contains(text), "{text:?} is not in:\n{}", self.stderr);
        self
    }
}

/// Runs a command to its end.
pub fn done(mut command: Command) -> Done {
    let begun = Instant::now();
    finish(command.spawn().unwrap(), begun)
}

/// Waits for the end of a command that was started.
pub fn finish(child: Child, begun: Instant) -> Done {
    let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
    Done {
        status,
        stdout: String::from_utf8_lossy(&stdout).into_owned(),
        stderr: String::from_utf8_lossy(&stderr).into_owned(),
        took: begun.elapsed(),
    }
}

/// Sends a signal to a process.
pub fn signal(pid: u32, name: &str) {
    let status = Command::new("kill").args([format!("-{name}"), pid.to_string()]).status().unwrap();
    assert!(status.success(), "kill -{name} {pid}");
}

/// Whether there is a process that is not only waiting to be reaped.
pub fn is_alive(pid: &str) -> bool {
    let Ok(stat) = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())) else { return false };
    stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with('Z'))
}
