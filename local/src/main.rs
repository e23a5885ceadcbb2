//! `cargo run -p local`: Ratchet on this machine.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use local::cors::AllowedOrigin;
use local::keys::LocalKey;
use local::operations::OPERATIONS;
use local::server::{Data, Options, Server};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use ratchet_runtime::logging::targets;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// A request is answered by many small objects of the SDK and of the embedded database, which come and go together.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What is encoded in the key of a link: all but what no browser and no terminal takes for something else.
const FRAGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.');

/// Ratchet on this machine: the functions behind a local API Gateway, DynamoDB embedded.
///
/// With `AWS_ENDPOINT_URL_DYNAMODB` set it uses that DynamoDB, and creates the table there if it is missing.
#[derive(Debug, Parser)]
#[command(name = "local")]
struct Arguments {
    /// The port to listen on; 0 picks a free one
    #[arg(long, default_value_t = 3000, value_name = "N")]
    port: u16,
    /// Keep the executions in this `SQLite` file, on the disk within a second; without it they are in memory and gone at the end
    #[arg(long, value_name = "FILE")]
    db: Option<PathBuf>,
    /// An API key, its organization and, if not all, its scopes (read, write, admin); may be repeated
    #[arg(long = "api-key", value_name = "KEY=ORG[:scopes]", default_value = "local-dev-key=local")]
    keys: Vec<LocalKey>,
    /// Let pages of this origin, such as `http://localhost:5173`, call from a browser, '*' pages of any; may be repeated
    #[arg(long = "cors-origin", value_name = "ORIGIN")]
    cors_origins: Vec<AllowedOrigin>,
    /// Print each event of an execution as a line of JSON: its creation, and what becomes of it
    #[arg(long)]
    events: bool,
    /// Print the OpenAPI document and end
    #[arg(long)]
    print_openapi: bool,
}

// One worker: the database does one thing at a time, and a second worker is woken by each request to find that the first has it. A
// tenth of the CPU time was spent on that (docs/performance.md).
#[tokio::main(worker_threads = 1)]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.print_openapi {
        return finish(
            writeln!(std::io::stdout(), "{}", local::openapi::document().trim_end()).map_err(|e| e.to_string()),
        );
    }
    log();
    finish(run(arguments).await)
}

fn finish(outcome: Result<(), String>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<(), String> {
    let endpoint = std::env::var("AWS_ENDPOINT_URL_DYNAMODB").ok().filter(|endpoint| !endpoint.is_empty());
    let data = match (arguments.db, endpoint) {
        (Some(_), Some(_)) => {
            return Err(
                "--db is for the embedded DynamoDB, and AWS_ENDPOINT_URL_DYNAMODB names another one: use one of \
                        them"
                    .to_owned(),
            );
        }
        (Some(file), None) => Data::File(file),
        (None, Some(endpoint)) => Data::At(endpoint),
        (None, None) => Data::Memory,
    };
    let (keys, cors_origins) = (arguments.keys, arguments.cors_origins);
    let options = Options {
        port: arguments.port,
        data: data.clone(),
        keys: keys.clone(),
        cors_origins: cors_origins.clone(),
        events: arguments.events,
    };
    let server = Server::start(options).await?;
    greet(&server, &data, &keys, &cors_origins).map_err(|error| error.to_string())?;
    server.serve(stop()).await?;
    writeln!(std::io::stdout(), "Stopped.").map_err(|error| error.to_string())
}

fn greet(server: &Server, data: &Data, keys: &[LocalKey], cors_origins: &[AllowedOrigin]) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    let url = format!("http://{}", server.address());
    let place = match data {
        Data::Memory => "embedded DynamoDB, in memory: gone when the server ends".to_owned(),
        Data::File(file) => format!("embedded DynamoDB, in {}", file.display()),
        Data::At(endpoint) => format!("DynamoDB at {endpoint}"),
    };
    writeln!(out, "Ratchet listens on {url} ({place})")?;
    for key in keys {
        writeln!(out, "API key {} speaks for organization {} with scopes {}", key.key, key.organization, key.scopes)?;
    }
    for origin in cors_origins {
        writeln!(out, "Pages of {origin} may call it from a browser")?;
    }
    if let Some(key) = keys.first() {
        writeln!(out, "Try:")?;
        writeln!(
            out,
            "  curl {url}/api/v1/flows/execute -H 'x-api-key: {}' -H 'content-type: application/json' -d \
             '{{\"flow_id\":\"demo\",\"trigger_type\":\"manual\"}}'",
            key.key
        )?;
    }
    if let Some(key) = keys.first() {
        // In the fragment, which a browser sends to nobody; the page takes it out of the address.
        let key = utf8_percent_encode(&key.key, FRAGMENT);
        writeln!(out, "Web console: {url}/console#key={key}")?;
    }
    // An embedded DynamoDB accepts any credentials; another one may need its own.
    let credentials = match data {
        Data::At(_) => "",
        Data::Memory | Data::File(_) => " AWS_ACCESS_KEY_ID=local AWS_SECRET_ACCESS_KEY=local",
    };
    writeln!(
        out,
        "For the key tool: export AWS_ENDPOINT_URL_DYNAMODB={} RATCHET_TABLE={}{credentials}",
        server.database(),
        server.table()
    )?;
    writeln!(out, "API documentation: {url}/docs - Ctrl-C ends the server")?;
    out.flush()
}

/// Ctrl-C, or the signal by which supervisors end a process.
async fn stop() {
    let interrupt = async {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    #[cfg(unix)]
    let terminate = async {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut signal) => {
                signal.recv().await;
            }
            Err(_) => std::future::pending().await,
        }
    };
    #[cfg(not(unix))]
    let terminate = std::future::pending::<()>();
    tokio::select! {
        () = interrupt => {}
        () = terminate => {}
    }
}

/// One readable line per request, on standard error.
fn log() {
    let functions = OPERATIONS.iter().map(|endpoint| endpoint.operation.name);
    let others = [authorizer::NAME, console::NAME, enforce_deadlines::NAME, publish_events::NAME, "local"];
    let filter = targets(functions.chain(others), LevelFilter::INFO);
    let lines =
        tracing_subscriber::fmt::layer().compact().with_target(false).with_writer(std::io::stderr).with_filter(filter);
    tracing_subscriber::registry().with(lines).init();
}
