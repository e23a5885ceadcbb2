//! Passes of supervision over many executions at once: all of them overdue, as after a downtime, and all of them alive, as on
//! any day. `tools/passes.sh` runs it.
//!
//! The times are mostly those of the emulator; what carries over to AWS is how many requests and units a pass takes.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use aws_sdk_dynamodb::types::AttributeValue;
use clap::Parser;
use ratchet_model::clock::Clock;
use ratchet_model::id::ExecutionId;
use ratchet_store::deadlines::Pass;
use ratchet_store::table_keys::{deadline_partition, deadline_shard, execution_pk};
use serde::Serialize;
use serde_json::{Value, json};
use tests::{Api, ORGANIZATION, organization};

/// How many executions are put into the table at once.
const PORTION: usize = 5_000;

/// How long a pass may take, as the function lets it.
const LONGEST: Duration = Duration::from_secs(50);

type Result<T> = std::result::Result<T, String>;

/// Measures passes of supervision.
#[derive(Debug, Parser)]
struct Arguments {
    /// How many executions are watched
    #[arg(long, default_value_t = 100_000)]
    executions: usize,
    /// Where the figures go
    #[arg(long, value_name = "FILE")]
    output: PathBuf,
}

/// One pass.
#[derive(Debug, Serialize)]
struct Measured {
    /// How long it took, in seconds.
    seconds: f64,
    looked: u64,
    changed: u64,
    refiled: u64,
    failed: u64,
    complete: bool,
    /// Write units of the table, write units of the indexes, read units.
    units: [f64; 3],
    /// How many requests it sent.
    requests: usize,
}

#[derive(Debug, Serialize)]
struct Figures {
    dynamodb: String,
    executions: usize,
    overdue: Vec<Measured>,
    alive: Vec<Measured>,
}

/// Puts running executions into the table, all with these fields, with entries in the index whose bound has passed.
async fn fill(api: &Api, executions: usize, fields: &Value) -> Result<()> {
    let mut body = json!({ "flow_id": "demo", "trigger_type": "test" });
    body.as_object_mut().ok_or("an object")?.extend(fields.as_object().cloned().unwrap_or_default());
    let first = api.execute(&body).await["id"].as_str().ok_or("an id")?.to_owned();
    api.patch(&format!("/flows/executions/{first}"), &json!({ "status": "running" })).await.assert_status(200);
    let mut head = api.head(&first).await;
    // As if it had been claimed an hour ago and heard just now: its bound has passed, and its timeouts count from now on.
    let claimed = api.clock.now().millis() - 3_600_000;
    head.insert("dd".to_owned(), AttributeValue::N(claimed.to_string()));
    let mut left = executions;
    while left > 0 {
        let portion = left.min(PORTION);
        let heads = (0..portion).map(|_| {
            let id = ExecutionId::from_uuid(uuid::Uuid::new_v4());
            let mut head = head.clone();
            head.insert("pk".to_owned(), AttributeValue::S(execution_pk(&organization(ORGANIZATION), &id)));
            head.insert("dp".to_owned(), AttributeValue::S(deadline_partition(deadline_shard(&id))));
            head
        });
        api.put_all(heads.collect()).await;
        left -= portion;
        let _ = writeln!(std::io::stdout(), "  {left} to go");
    }
    Ok(())
}

/// Makes passes until one gets through, at most ten.
async fn passes(api: &Api, least: usize) -> Vec<Measured> {
    let mut measured = Vec::new();
    while measured.len() < 10 {
        let _ = (api.watch.units(), api.watch.read_units(), api.watch.requests());
        let begun = Instant::now();
        let Pass { looked, ended, refiled, failed, complete, .. } =
            api.proxied.enforce_deadlines(begun + LONGEST).await;
        let seconds = begun.elapsed().as_secs_f64();
        let ((table, indexes), read) = (api.watch.units(), api.watch.read_units());
        let (changed, requests) = (ended.values().sum(), api.watch.requests().len());
        let units = [table, indexes, read];
        let pass = Measured { seconds, looked, changed, refiled, failed, complete, units, requests };
        let _ = writeln!(std::io::stdout(), "{pass:?}");
        measured.push(pass);
        if complete && measured.len() >= least {
            break;
        }
    }
    measured
}

async fn run(arguments: &Arguments) -> Result<Figures> {
    let api = Api::start().await;
    fill(&api, arguments.executions, &json!({ "timeout_seconds": 10 })).await?;
    api.clock.advance(Duration::from_secs(60));
    let overdue = passes(&api, 1).await;

    let api = Api::start().await;
    let watch = json!({ "timeout_seconds": 86_400, "heartbeat_timeout_seconds": 600 });
    fill(&api, arguments.executions, &watch).await?;
    let alive = passes(&api, 2).await;

    let dynamodb = match std::env::var(tests::ENDPOINT) {
        Ok(_) => "DynamoDB Local".to_owned(),
        Err(_) => "the embedded DynamoDB, in memory".to_owned(),
    };
    Ok(Figures { dynamodb, executions: arguments.executions, overdue, alive })
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // Why a request of a pass failed.
    tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::WARN)
        .with_writer(std::io::stderr)
        .init();
    let done = run(&arguments).await.and_then(|figures| {
        let text = serde_json::to_string_pretty(&figures).map_err(|error| error.to_string())?;
        std::fs::write(&arguments.output, text + "\n").map_err(|error| error.to_string())
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "passes: {error}");
            ExitCode::FAILURE
        }
    }
}
