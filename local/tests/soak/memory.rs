//! The memory of processes, second by second.

use std::fmt::Write as _;
use std::time::Duration;

use tokio::time::Instant;

/// The memory of a process.
#[derive(Debug, Clone, Copy)]
struct Sample {
    seconds: f64,
    /// Everything that is in memory, in KiB.
    resident: f64,
    /// Heap and stacks, without pages of files, which the kernel may reclaim at any time.
    anonymous: f64,
}

/// A process whose memory is sampled.
#[derive(Debug)]
pub struct Watched {
    name: &'static str,
    process: u32,
    samples: Vec<Sample>,
}

/// The memory over the last two thirds of the time.
#[derive(Debug)]
pub struct Trend {
    /// Its least-squares growth over that time, in KiB.
    pub growth: f64,
    /// Its mean in that time, in KiB.
    pub mean: f64,
}

impl Watched {
    /// Samples the memory of a process.
    pub fn new(name: &'static str, process: u32) -> Self {
        Self { name, process, samples: Vec::new() }
    }

    /// Takes one sample.
    pub fn look(&mut self, begun: Instant) {
        let Ok(status) = std::fs::read_to_string(format!("/proc/{}/status", self.process)) else { return };
        let kilobytes = |name: &str| -> Option<f64> {
            status.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace().nth(1)?.parse().ok()
        };
        if let (Some(resident), Some(anonymous)) = (kilobytes("VmRSS"), kilobytes("RssAnon")) {
            self.samples.push(Sample { seconds: begun.elapsed().as_secs_f64(), resident, anonymous });
        }
    }

    /// The trend of the last two thirds; `None` while there are too few samples.
    pub fn trend(&self) -> Option<Trend> {
        let settled = &self.samples[self.samples.len() / 3..];
        let (first, last) = (settled.first()?, settled.last()?);
        let count = f64::from(u32::try_from(settled.len()).ok()?);
        let mean = |value: fn(&Sample) -> f64| settled.iter().map(value).sum::<f64>() / count;
        let (middle, mean) = (mean(|sample| sample.seconds), mean(|sample| sample.anonymous));
        let (mut over, mut under) = (0.0, 0.0);
        for sample in settled {
            over += (sample.seconds - middle) * (sample.anonymous - mean);
            under += (sample.seconds - middle).powi(2);
        }
        let length = last.seconds - first.seconds;
        (length > 0.0).then(|| Trend { growth: over / under * length, mean })
    }

    /// The figures.
    pub fn figures(&self) -> String {
        let mut text = format!("memory: {}", self.name);
        for percent in [10, 50, 100] {
            let place = (self.samples.len() * percent / 100).saturating_sub(1);
            if let Some(sample) = self.samples.get(place) {
                let _ = write!(
                    text,
                    " at {percent}% {:.1} MiB ({:.1} anonymous),",
                    sample.resident / 1024.0,
                    sample.anonymous / 1024.0
                );
            }
        }
        if let Some(trend) = self.trend() {
            let _ = write!(
                text,
                " over the last two thirds {:+.2} MiB around {:.1} anonymous",
                trend.growth / 1024.0,
                trend.mean / 1024.0
            );
        }
        text
    }
}

/// The process of the DynamoDB Local that listens at `endpoint`, if it runs here and has its port on its command line.
pub fn dynamodb_local(endpoint: &str) -> Option<u32> {
    let port = endpoint.trim_end_matches('/').rsplit(':').next()?;
    std::fs::read_dir("/proc").ok()?.find_map(|entry| {
        let process: u32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
        let command = std::fs::read(format!("/proc/{process}/cmdline")).ok()?;
        let words: Vec<&[u8]> = command.split(|byte| *byte == 0).collect();
        let says_port = words.windows(2).any(|pair| pair[0] == b"-port" && pair[1] == port.as_bytes());
        (says_port && words.iter().any(|word| word.ends_with(b"DynamoDBLocal.jar"))).then_some(process)
    })
}

/// How often a sample is taken.
pub const EVERY: Duration = Duration::from_secs(1);
