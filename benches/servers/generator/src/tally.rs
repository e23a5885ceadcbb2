//! What came out of the requests.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

/// What one thread, or all of them, saw.
#[derive(Debug, Default)]
pub struct Tally {
    steps: BTreeMap<String, Step>,
    /// Of whole units.
    pub units: Vec<Duration>,
    /// What went wrong first.
    samples: Vec<String>,
    /// Every write that was acknowledged: id, step, how many updates the unit had made.
    pub acknowledged: Vec<String>,
    /// Ids by when they were asked for.
    pub ids: Vec<(usize, String)>,
}

#[derive(Debug, Default)]
struct Step {
    took: Vec<Duration>,
    errors: usize,
    repeats: u32,
}

impl Tally {
    pub fn request(&mut self, step: &str, took: Duration, repeats: u32, error: Option<String>) {
        let entry = self.steps.entry(step.to_owned()).or_default();
        entry.took.push(took);
        entry.repeats += repeats;
        if let Some(error) = error {
            entry.errors += 1;
            if self.samples.len() < 3 {
                self.samples.push(format!("{step}: {error}"));
            }
        }
    }

    pub fn add(&mut self, other: Self) {
        for (name, step) in other.steps {
            let entry = self.steps.entry(name).or_default();
            entry.took.extend(step.took);
            entry.errors += step.errors;
            entry.repeats += step.repeats;
        }
        self.units.extend(other.units);
        self.samples.extend(other.samples);
        self.acknowledged.extend(other.acknowledged);
        self.ids.extend(other.ids);
    }
}

/// What all threads did, and how long it took them.
#[derive(Debug)]
pub struct Work {
    pub tally: Tally,
    pub wall: Duration,
}

impl Work {
    /// What is printed: `wall SECONDS`, `units COUNT P50 P99` of those that were whole, `step NAME COUNT ERRORS REPEATS P50 P99`
    /// for each, and a few `sample`s of what went wrong. Quantiles are in milliseconds.
    pub fn lines(&self) -> String {
        let mut lines = format!("wall\t{:.4}\n", self.wall.as_secs_f64());
        let _ = writeln!(lines, "units\t{}\t{}", self.tally.units.len(), quantiles(&self.tally.units));
        for (name, step) in &self.tally.steps {
            let (count, quantiles) = (step.took.len(), quantiles(&step.took));
            let _ = writeln!(lines, "step\t{name}\t{count}\t{}\t{}\t{quantiles}", step.errors, step.repeats);
        }
        for sample in self.tally.samples.iter().take(5) {
            let _ = writeln!(lines, "sample\t{}", sample.replace(['\t', '\r', '\n'], " "));
        }
        lines
    }
}

fn quantiles(took: &[Duration]) -> String {
    let mut sorted = took.to_vec();
    sorted.sort_unstable();
    let quantile = |percent: usize| {
        let place = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
        sorted.get(place).map_or(0.0, |took| took.as_secs_f64() * 1000.0)
    };
    format!("{:.3}\t{:.3}", quantile(50), quantile(99))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_of_the_sorted_times() {
        let took: Vec<_> = (1..=200).rev().map(Duration::from_millis).collect();
        assert_eq!(quantiles(&took), "101.000\t199.000");
        assert_eq!(quantiles(&took[..1]), "200.000\t200.000");
        assert_eq!(quantiles(&[]), "0.000\t0.000");
    }

    #[test]
    fn threads_are_added_up() {
        let mut all = Tally::default();
        for error in [None, Some("409\tno".to_owned())] {
            let mut one = Tally::default();
            one.request("get", Duration::from_millis(2), 3, error);
            all.add(one);
        }
        let work = Work { tally: all, wall: Duration::from_secs(1) };
        assert_eq!(
            work.lines(),
            "wall\t1.0000\nunits\t0\t0.000\t0.000\nstep\tget\t2\t1\t6\t2.000\t2.000\nsample\tget: 409 no\n"
        );
    }
}
