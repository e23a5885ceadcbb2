//! The figures of a subject, each from fresh processes.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::output::{Result, say};
use crate::process::{How, SlowGroup, Took, run};
use crate::subjects::Subject;
use crate::world::World;

/// Invocations after the first, from which the figures of a warm one are computed.
const WARM: usize = 10;

/// How often CPU time and memory are measured. The median counts.
const TIMES: usize = 5;

/// The figures that are measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// Instructions, connections and requests.
    Instructions,
    /// All.
    All,
}

/// A quantity at the start, in the first invocation and in a warm one.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Phases {
    /// From the process's start until it asks for the first event.
    pub start: f64,
    /// The first invocation.
    pub first: f64,
    /// Each later one.
    pub warm: f64,
}

impl Phases {
    /// From the quantities of processes with no event, one event and eleven events.
    fn of(none: f64, one: f64, eleven: f64) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "it is 10")]
        let warm = (eleven - one) / WARM as f64;
        Self { start: none, first: one - none, warm }
    }
}

/// The costs of a subject.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Figures {
    /// Its name.
    pub name: String,
    /// Its description.
    pub what: String,
    /// Whether it is one of the functions.
    pub ours: bool,
    /// Instructions; absent if they cannot be counted.
    pub instructions: Option<Phases>,
    /// Connections to DynamoDB, in a process with eleven invocations.
    pub connections: usize,
    /// Requests to DynamoDB, on average.
    pub requests: Phases,
    /// The figures that are measured less often.
    #[serde(flatten)]
    pub rest: Option<Rest>,
}

/// The figures other than instructions and requests.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Rest {
    /// CPU time, in milliseconds.
    pub cpu_ms: Phases,
    /// The most memory, in KiB, in a process with eleven invocations.
    pub memory_kb: u64,
    /// The size of the deployed files, in bytes.
    pub unpacked: u64,
    /// The same in a zip.
    pub zip: u64,
    /// Bytes logged for a warm request.
    pub log_bytes: f64,
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
fn float(number: u64) -> f64 {
    number as f64
}

fn count(number: usize) -> f64 {
    float(number.try_into().unwrap_or(u64::MAX))
}

/// The median of some numbers.
fn middle(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    let half = numbers.len() / 2;
    match (numbers.get(half.wrapping_sub(1)), numbers.get(half)) {
        (Some(below), Some(above)) if numbers.len().is_multiple_of(2) => f64::midpoint(*below, *above),
        (_, Some(middle)) => *middle,
        _ => f64::NAN,
    }
}

/// Measures a subject.
pub async fn figures(world: &World, subject: &Subject, folder: &Path, depth: Depth) -> Result<Figures> {
    let one = async |how, invocations| run(world, subject, folder, how, invocations).await;
    let plain = [one(How::Plainly, 0).await?, one(How::Plainly, 1).await?, one(How::Plainly, 1 + WARM).await?];
    let phases = |of: &dyn Fn(&Took) -> f64, took: &[Took; 3]| {
        let [none, one, eleven] = took;
        Phases::of(of(none), of(one), of(eleven))
    };
    let instructions = if subject.counted {
        let counted = [one(How::Counted, 0).await?, one(How::Counted, 1).await?, one(How::Counted, 1 + WARM).await?];
        for (counted, plain) in counted.iter().zip(&plain) {
            // Fifty times slower, it may meet a timeout that it does not meet otherwise, and then runs other code.
            if subject.ours && (counted.connections, counted.requests) != (plain.connections, plain.requests) {
                return Err(format!(
                    "{}: {} connections and {} requests when counted, {} and {} otherwise",
                    subject.name, counted.connections, counted.requests, plain.connections, plain.requests
                )
                .into());
            }
        }
        Some(phases(&|took| float(took.instructions), &counted))
    } else {
        None
    };
    let [_, _, eleven] = &plain;
    let connections = eleven.connections;
    let requests = phases(&|took| count(took.requests), &plain);
    let rest = if depth == Depth::All { Some(rest(world, subject, folder, plain).await?) } else { None };
    Ok(Figures {
        name: subject.name.to_owned(),
        what: subject.what.to_owned(),
        ours: subject.ours,
        instructions,
        connections,
        requests,
        rest,
    })
}

async fn rest(world: &World, subject: &Subject, folder: &Path, first: [Took; 3]) -> Result<Rest> {
    let mut took = vec![first];
    while took.len() < TIMES {
        let one = async |invocations| run(world, subject, folder, How::Plainly, invocations).await;
        took.push([one(0).await?, one(1).await?, one(1 + WARM).await?]);
    }
    let cpu = |which: usize| {
        let times = took.iter().filter_map(|took| took.get(which)).map(|took| took.cpu.as_secs_f64() * 1_000.0);
        middle(times.collect())
    };
    let [_, one, eleven] = took.first().ok_or("nothing was measured")?;
    let memory = took.iter().map(|[_, _, eleven]| float(eleven.memory)).collect();
    let unpacked = subject.package.iter().map(|path| size(path)).sum::<Result<u64>>()?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a number of KiB")]
    let memory_kb = middle(memory) as u64;
    Ok(Rest {
        cpu_ms: Phases::of(cpu(0), cpu(1), cpu(2)),
        memory_kb,
        unpacked,
        zip: zipped(subject, folder)?,
        log_bytes: float(eleven.logged.saturating_sub(one.logged)) / count(WARM),
    })
}

/// The size of a file, or of all files in a folder.
fn size(path: &Path) -> Result<u64> {
    if !path.is_dir() {
        return Ok(path.metadata()?.len());
    }
    let mut sum = 0;
    for entry in std::fs::read_dir(path)? {
        sum += size(&entry?.path())?;
    }
    Ok(sum)
}

/// The size of a zip with a subject's files, as it is uploaded to Lambda.
fn zipped(subject: &Subject, folder: &Path) -> Result<u64> {
    let file: PathBuf = folder.join(format!("{}.zip", subject.name));
    let mut command = Command::new("python3");
    command.args(["-m", "zipfile", "-c"]).arg(&file).args(&subject.package);
    if !command.status()?.success() {
        return Err(format!("no zip of {}", subject.name).into());
    }
    let size = file.metadata()?.len();
    std::fs::remove_file(&file)?;
    Ok(size)
}

/// How many times longer another subject takes than ours: the median of the pairs' ratios, and the quartiles around it.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Ratio {
    /// A quarter of the pairs is below this.
    pub low: f64,
    /// The median.
    pub middle: f64,
    /// A quarter of the pairs is above this.
    pub high: f64,
}

impl Ratio {
    fn of(mut ratios: Vec<f64>) -> Self {
        ratios.sort_by(f64::total_cmp);
        let at = |quarter: usize| ratios.get(ratios.len() * quarter / 4).copied().unwrap_or(f64::NAN);
        Self { low: at(1), middle: middle(ratios.clone()), high: at(3) }
    }
}

/// Wall times of a subject against ours.
#[derive(Debug, Clone, Serialize)]
pub struct Pairs {
    /// The subject.
    pub name: String,
    /// How many pairs of fresh processes.
    pub count: usize,
    /// With a whole CPU: start, first invocation, and a warm one.
    pub whole: Times,
    /// With 7% of a CPU from the first request on; absent if this machine cannot limit it.
    pub slowed: Option<Times>,
}

/// Wall times, and how many times ours each is.
#[derive(Debug, Clone, Serialize)]
pub struct Times {
    /// Until it asks for the first event.
    pub start: Ratio,
    /// The first invocation.
    pub first: Ratio,
    /// A warm one.
    pub warm: Ratio,
    /// From the start to the first answer.
    pub to_first_answer: Ratio,
    /// The medians of its own times, in milliseconds.
    pub own_ms: [f64; 4],
    /// The same of ours.
    pub ours_ms: [f64; 4],
}

/// Start, first, warm, and start to first answer, in milliseconds.
fn times(took: &Took) -> [f64; 4] {
    let millis = |time: &Duration| time.as_secs_f64() * 1_000.0;
    let start = millis(&took.start);
    let first = took.answers.first().map_or(f64::NAN, millis);
    let warm = middle(took.answers.iter().skip(1).map(millis).collect());
    [start, first, warm, start + first]
}

/// Times a subject against ours: fresh processes in the order ABBA, so that drift affects both alike.
pub async fn pairs(world: &World, ours: &Subject, other: &Subject, folder: &Path, pairs: usize) -> Result<Pairs> {
    let whole = timed(world, ours, other, folder, pairs, How::Plainly).await?;
    let slowed = match SlowGroup::new() {
        Ok(group) => {
            drop(group);
            Some(timed(world, ours, other, folder, pairs, How::Throttled).await?)
        }
        Err(error) => {
            say(&format!("not possible here: less than a CPU ({error})"));
            None
        }
    };
    Ok(Pairs { name: other.name.to_owned(), count: pairs, whole, slowed })
}

async fn timed(world: &World, ours: &Subject, other: &Subject, folder: &Path, pairs: usize, how: How) -> Result<Times> {
    let (mut our_times, mut other_times) = (Vec::new(), Vec::new());
    for pair in 0..pairs {
        let one = async |subject| run(world, subject, folder, how, 1 + WARM).await.map(|took| times(&took));
        if pair % 2 == 0 {
            our_times.push(one(ours).await?);
            other_times.push(one(other).await?);
        } else {
            other_times.push(one(other).await?);
            our_times.push(one(ours).await?);
        }
    }
    let column = |times: &[[f64; 4]], index: usize| -> Vec<f64> {
        times.iter().filter_map(|times| times.get(index)).copied().collect()
    };
    let ratio = |index| {
        let (ours, others) = (column(&our_times, index), column(&other_times, index));
        Ratio::of(others.iter().zip(&ours).map(|(other, ours)| other / ours).collect())
    };
    let own = |times: &[[f64; 4]]| [0, 1, 2, 3].map(|index| middle(column(times, index)));
    Ok(Times {
        start: ratio(0),
        first: ratio(1),
        warm: ratio(2),
        to_first_answer: ratio(3),
        own_ms: own(&other_times),
        ours_ms: own(&our_times),
    })
}
