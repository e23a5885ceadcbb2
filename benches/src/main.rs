//! The bench: the release binaries run as Lambda runs them, with DynamoDB behind TLS, and their costs.
//!
//! | module | responsibility |
//! | --- | --- |
//! | `subjects` | the processes that are measured, and the work that they do |
//! | `world` | the table, its contents before each request, and the TLS in front of it |
//! | `tls` | the certificates |
//! | `runtime_api` | Lambda's Runtime API |
//! | `process` | one process from its start to its end, and what it used |
//! | `slow_clock` | the library that slows the clock of a process whose instructions are counted |
//! | `output` | errors, and lines to standard output |
//! | `measure` | the figures of one subject, from several processes |
//! | `report` | the table, the figures in JSON, and the check against those that are committed |

mod measure;
mod output;
mod process;
mod report;
mod runtime_api;
mod slow_clock;
mod subjects;
mod tls;
mod world;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

use crate::measure::Depth;
use crate::output::{Result, say};
use crate::subjects::{OURS, Subject};
use crate::world::World;

/// Measures the functions, the floor under them and their peers. `tools/bench.sh` builds what this needs and runs it.
#[derive(Debug, Parser)]
struct Arguments {
    /// Count the functions' instructions alone, and fail where one takes 5% more than benches/figures.json says
    #[arg(long)]
    check: bool,
    /// Write benches/figures.json and the table in docs/performance.md
    #[arg(long, conflicts_with_all = ["check", "only"])]
    record: bool,
    /// The functions alone. With --record, their figures and rows take the place of the old ones, and the peers' stay
    #[arg(long, conflicts_with_all = ["check", "only"])]
    functions: bool,
    /// Only the subjects whose names contain this
    #[arg(long, value_name = "TEXT", conflicts_with = "check")]
    only: Option<String>,
    /// How many pairs of fresh processes are timed
    #[arg(long, default_value_t = 30, value_name = "N")]
    pairs: usize,
}

/// The repository's root.
fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}

#[tokio::main(worker_threads = 2)]
async fn main() -> ExitCode {
    match run(Arguments::parse()).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "bench: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<bool> {
    let root = root().canonicalize()?;
    let folder = root.join("target/bench");
    std::fs::create_dir_all(&folder)?;
    // First, so that a function that would not be measured is reported before anything is measured.
    let all = subjects::all(&root, &folder)?;
    let world = World::start(&root, &folder).await?;
    let wanted = |subject: &&Subject| {
        (!(arguments.check || arguments.functions) || subject.ours)
            && arguments.only.as_ref().is_none_or(|only| subject.name.contains(only))
    };
    let depth = if arguments.check { Depth::Instructions } else { Depth::All };
    let mut figures = Vec::new();
    for subject in all.iter().filter(wanted) {
        let measured = measure::figures(&world, subject, &folder, depth).await?;
        say(&report::line(&measured));
        figures.push(measured);
    }
    if arguments.check {
        return report::check(&root, &figures);
    }
    let ours = all.iter().find(|subject| subject.name == OURS);
    let mut pairs = Vec::new();
    for subject in all.iter().filter(wanted).filter(|subject| subject.paired) {
        let ours = ours.ok_or("nothing to pair with")?;
        pairs.push(measure::pairs(&world, ours, subject, &folder, arguments.pairs).await?);
    }
    report::write(&root, &folder, &figures, &pairs, arguments.record)?;
    Ok(true)
}
