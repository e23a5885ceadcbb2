//! Growth: time and units of each operation in tables of a thousand to a million executions, and on records of 1 KB to
//! 390 KB. `tools/growth.sh` runs it and draws the figures.
//!
//! The whole service answers, over HTTP. The units are those that DynamoDB reports as consumed. The times are mostly those of
//! the emulator, so that they show growth and not the times of DynamoDB.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use ratchet_model::execution::TriggerType;
use ratchet_model::id::ExecutionId;
use reqwest::Method;
use serde::Serialize;
use serde_json::{Value, json};
use tests::{Api, Seed};

/// How many executions are put into a table at once.
const PORTION: u32 = 5_000;

/// The bytes of a new record without its `variables`, and those that are added while it is measured.
const BESIDES: usize = 700;

/// Executions a page.
const PAGE: usize = 10;

/// An error in an answer ends the program: no later figure would be valid.
type Result<T> = std::result::Result<T, String>;

/// Measures what grows with the table and with the record.
#[derive(Debug, Parser)]
struct Arguments {
    /// How many executions the tables have
    #[arg(long, value_delimiter = ',', default_values_t = [1_000, 100_000, 1_000_000])]
    executions: Vec<u32>,
    /// How large the records are, in KB
    #[arg(long, value_delimiter = ',', default_values_t = [1, 10, 100, 390])]
    kilobytes: Vec<usize>,
    /// How often each operation is measured
    #[arg(long, default_value_t = 200)]
    samples: usize,
    /// Where the figures go
    #[arg(long, value_name = "FILE")]
    output: PathBuf,
}

/// The figures of an operation.
#[derive(Debug, Serialize)]
struct Operation {
    name: &'static str,
    /// Milliseconds: a quarter of the samples took less, half of them, three quarters.
    ms: [f64; 3],
    /// Write units of the table, write units of the indexes, read units: those of the sample in the middle.
    units: [f64; 3],
}

/// A table, or the records in one.
#[derive(Debug, Serialize)]
struct Point {
    /// Executions in the table, or KB of a record.
    size: usize,
    operations: Vec<Operation>,
}

#[derive(Debug, Serialize)]
struct Figures {
    dynamodb: String,
    samples: usize,
    page: usize,
    tables: Vec<Point>,
    records: Vec<Point>,
}

fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// One operation's samples.
#[derive(Debug, Default)]
struct Samples(Vec<(f64, [f64; 3])>);

impl Samples {
    /// Sends a request and keeps its time and units. Returns its answer, which must be a success.
    async fn take(&mut self, api: &Api, method: Method, path: &str, body: Option<Value>) -> Result<Value> {
        let request = api.request(method, path).header("prefer", "return=minimal");
        let request = match &body {
            Some(body) => request.json(body),
            None => request,
        };
        let _ = (api.watch.units(), api.watch.read_units());
        let begun = Instant::now();
        let answer = request.send().await;
        let ms = begun.elapsed().as_secs_f64() * 1_000.0;
        if !answer.status.is_success() {
            return Err(format!("{path}: {} {}", answer.status, answer.text));
        }
        let (table, index) = api.watch.units();
        self.0.push((ms, [table, index, api.watch.read_units()]));
        Ok(answer.body)
    }

    fn operation(self, name: &'static str) -> Operation {
        let quarters = |mut numbers: Vec<f64>| {
            numbers.sort_by(f64::total_cmp);
            [1, 2, 3].map(|quarter| numbers.get(numbers.len() * quarter / 4).copied().unwrap_or(f64::NAN))
        };
        let units = |which: usize| {
            let [_, middle, _] = quarters(self.0.iter().filter_map(|(_, units)| units.get(which)).copied().collect());
            middle
        };
        Operation {
            name,
            ms: quarters(self.0.iter().map(|(ms, _)| *ms).collect()),
            units: [units(0), units(1), units(2)],
        }
    }
}

/// Puts executions into the table, and prints the progress.
async fn fill(api: &Api, executions: u32, bytes: usize) -> Vec<ExecutionId> {
    let begun = Instant::now();
    let mut reported = begun;
    let mut ids = Vec::new();
    while let Some(left) = executions.checked_sub(u32::try_from(ids.len()).unwrap_or(u32::MAX)).filter(|left| *left > 0)
    {
        let from = executions - left;
        let seed = |number: u32| Seed {
            flow_id: ["nightly-report", "invoices", "support", "research"][number as usize % 4],
            trigger_type: TriggerType::Api,
            // One execution per second.
            millis: i64::from(from + number) * 1_000,
            shard: None,
            bytes,
        };
        ids.extend(api.seed(left.min(PORTION), seed).await);
        if reported.elapsed() > Duration::from_secs(5) {
            reported = Instant::now();
            let rate = f64::from(u32::try_from(ids.len()).unwrap_or(u32::MAX)) / begun.elapsed().as_secs_f64();
            say(&format!("  {} of {executions} executions, {rate:.0} a second", ids.len()));
        }
    }
    ids
}

/// Measures every operation, in turns, on executions from the whole table. New executions have `bytes` of `variables`, so that
/// a page of the newest shows records of that size.
async fn measure(api: &Api, ids: &[ExecutionId], samples: usize, bytes: usize) -> Result<Vec<Operation>> {
    let [mut execute, mut status, mut fields, mut get, mut transitions, mut first, mut next, mut beat, mut cancel] =
        std::array::from_fn(|_| Samples::default());
    let [mut begin, mut step, mut steps] = std::array::from_fn(|_| Samples::default());
    for sample in 0..samples {
        let id = ids.get(sample * ids.len() / samples).ok_or("too few executions")?;
        let record = format!("/flows/executions/{id}");
        let variables = json!({ "text": "x".repeat(bytes) });
        let new = json!({ "flow_id": "nightly-report", "trigger_type": "scheduled", "variables": variables });
        execute.take(api, Method::POST, "/flows/execute", Some(new)).await?;
        fields.take(api, Method::PATCH, &record, Some(json!({ "tokens_used": 17_000 + sample }))).await?;
        status.take(api, Method::PATCH, &record, Some(json!({ "status": "running" }))).await?;
        beat.take(api, Method::POST, &format!("/executions/{id}/heartbeat"), Some(json!({ "attempt": 1 }))).await?;
        cancel.take(api, Method::POST, &format!("/executions/{id}/cancel"), Some(json!({ "reason": "late" }))).await?;
        get.take(api, Method::GET, &record, None).await?;
        transitions.take(api, Method::GET, &format!("/executions/{id}/transitions"), None).await?;
        // The first report of an execution says on the head that there are steps.
        let path = format!("/executions/{id}/steps");
        let body =
            |status: &str| json!({ "steps": [{ "step_id": "01-search", "tool_name": "search", "status": status }] });
        begin.take(api, Method::POST, &path, Some(body("running"))).await?;
        step.take(api, Method::POST, &path, Some(body("completed"))).await?;
        steps.take(api, Method::GET, &path, None).await?;
        // Lists cost more, and each starts at the same place.
        if sample % 4 == 0 {
            let list = format!("/flows/executions?page_size={PAGE}");
            let page = first.take(api, Method::GET, &list, None).await?;
            let cursor = page["next_cursor"].as_str().ok_or("a list of one page")?;
            next.take(api, Method::GET, &format!("{list}&cursor={cursor}"), None).await?;
        }
    }
    Ok(vec![
        execute.operation("execute flow"),
        status.operation("first running"),
        beat.operation("heartbeat"),
        cancel.operation("request to cancel"),
        fields.operation("change of fields alone"),
        get.operation("get execution"),
        transitions.operation("list transitions"),
        begin.operation("first report of a step"),
        step.operation("report of a step"),
        steps.operation("list steps"),
        first.operation("list executions, first page"),
        next.operation("list executions, by cursor"),
    ])
}

fn report(what: &str, operations: &[Operation]) {
    for Operation { name, ms: [low, middle, high], units: [table, index, read] } in operations {
        say(&format!(
            "{what}: {name}: {middle:.1} ms ({low:.1} to {high:.1}), units {table} + {index} written, {read} read"
        ));
    }
}

async fn run(arguments: &Arguments) -> Result<Figures> {
    let (mut tables, mut records) = (Vec::new(), Vec::new());
    for executions in &arguments.executions {
        let api = Api::start().await;
        let ids = fill(&api, *executions, 0).await;
        let operations = measure(&api, &ids, arguments.samples, 0).await?;
        report(&format!("{executions} executions"), &operations);
        tables.push(Point { size: ids.len(), operations });
    }
    for kilobytes in &arguments.kilobytes {
        let api = Api::start().await;
        let executions = u32::try_from(arguments.samples).map_err(|error| error.to_string())?;
        let bytes = (kilobytes * 1_024).saturating_sub(BESIDES);
        let ids = fill(&api, executions, bytes).await;
        let operations = measure(&api, &ids, arguments.samples, bytes).await?;
        report(&format!("records of {kilobytes} KB"), &operations);
        records.push(Point { size: *kilobytes, operations });
    }
    let dynamodb = match std::env::var(tests::ENDPOINT) {
        Ok(_) => "DynamoDB Local".to_owned(),
        Err(_) => "the embedded DynamoDB, in memory".to_owned(),
    };
    Ok(Figures { dynamodb, samples: arguments.samples, page: PAGE, tables, records })
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = run(&arguments).await.and_then(|figures| {
        let text = serde_json::to_string_pretty(&figures).map_err(|error| error.to_string())?;
        std::fs::write(&arguments.output, text + "\n").map_err(|error| error.to_string())
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "growth: {error}");
            ExitCode::FAILURE
        }
    }
}
