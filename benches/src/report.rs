//! The table, the figures in JSON, and the check against those that are committed.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::measure::{Figures, Pairs, Phases, Ratio};
use crate::output::{Result, say};

/// How much a count of instructions may grow.
const TOLERANCE: f64 = 0.05;

/// The file of the committed figures.
const COMMITTED: &str = "benches/figures.json";

/// The page with the tables, between two markers.
const PAGE: &str = "docs/performance.md";
const MARKERS: [&str; 2] = ["<!-- bench -->\n", "<!-- /bench -->\n"];

/// The committed figures. Only instructions are checked, because no other figure is the same on another machine.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Committed {
    /// By function, in instructions.
    functions: BTreeMap<String, Phases>,
    /// By function, for `tools/tables.py`.
    costs: BTreeMap<String, Cost>,
}

/// The costs of a warm request without those of DynamoDB.
#[derive(Debug, Serialize, Deserialize)]
struct Cost {
    /// CPU time, in milliseconds.
    cpu_ms: f64,
    /// Bytes logged.
    log_bytes: f64,
}

fn millions(instructions: f64) -> String {
    format!("{:.2}", instructions / 1e6)
}

fn phases(phases: Option<Phases>) -> [String; 3] {
    phases.map_or_else(
        || ["", "", ""].map(str::to_owned),
        |phases| [phases.start, phases.first, phases.warm].map(millions),
    )
}

/// A line of progress.
pub fn line(figures: &Figures) -> String {
    let [start, first, warm] = phases(figures.instructions);
    let mut line = format!("   {:24} start {start:>8} first {first:>8} warm {warm:>8} Minstr", figures.name);
    let requests = figures.requests;
    let counts = (figures.connections, requests.start, requests.first, requests.warm);
    let _ = write!(line, "  connections {} requests {} + {} + {}", counts.0, counts.1, counts.2, counts.3);
    if let Some(rest) = &figures.rest {
        let cpu = rest.cpu_ms;
        let _ = write!(line, "  CPU ms {:.1} + {:.1} + {:.2}", cpu.start, cpu.first, cpu.warm);
        let _ = write!(line, "  memory {} KiB, {} bytes, zip {}", rest.memory_kb, rest.unpacked, rest.zip);
        let _ = write!(line, ", log {:.0}", rest.log_bytes);
    }
    line
}

/// Compares with the committed figures: whether each count is within bounds, and a line about it.
fn compare(committed: &Committed, figures: &[Figures]) -> Vec<(bool, String)> {
    let mut lines = Vec::new();
    for name in committed.functions.keys().filter(|name| figures.iter().all(|figures| figures.name != **name)) {
        lines.push((false, format!("{name}: was not measured")));
    }
    for Figures { name, instructions, .. } in figures {
        let (Some(measured), Some(limit)) = (instructions, committed.functions.get(name)) else {
            lines.push((false, format!("{name}: {COMMITTED} does not have it, or its instructions were not counted")));
            continue;
        };
        let phases = [
            ("start", measured.start, limit.start),
            ("first", measured.first, limit.first),
            ("warm", measured.warm, limit.warm),
        ];
        for (phase, measured, limit) in phases {
            let growth = measured / limit - 1.0;
            let (share, measured, limit) = (growth * 100.0, millions(measured), millions(limit));
            // Not `growth > TOLERANCE`: NaN is not within bounds.
            lines.push((
                growth <= TOLERANCE,
                format!("{name} {phase}: {measured} million, {share:+.1}% against {limit}"),
            ));
        }
    }
    lines
}

/// Compares with the committed figures and prints the result. Returns whether everything is within bounds.
pub fn check(root: &Path, figures: &[Figures]) -> Result<bool> {
    let committed: Committed = serde_json::from_str(&std::fs::read_to_string(root.join(COMMITTED))?)?;
    let lines = compare(&committed, figures);
    for (within, line) in &lines {
        say(&format!("{} {line}", if *within { "ok" } else { "FAILED" }));
    }
    Ok(!lines.is_empty() && lines.iter().all(|(within, _)| *within))
}

fn megabytes(bytes: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let megabytes = bytes as f64 / 1e6;
    format!("{megabytes:.1}")
}

fn ratio(ratio: Ratio) -> String {
    format!("{:.2} ({:.2} to {:.2})", ratio.middle, ratio.low, ratio.high)
}

/// The tables, in Markdown.
fn markdown(figures: &[Figures], pairs: &[Pairs]) -> String {
    let mut text = String::from(
        "| | start | first | warm | CPU start | first | warm | memory | unpacked | zip | connections | requests |\n\
         | --- | --: | --: | --: | --: | --: | --: | --: | --: | --: | --: | --: |\n",
    );
    for figures in figures {
        let [start, first, warm] = phases(figures.instructions);
        let requests = figures.requests;
        let _ = write!(text, "| {} | {start} | {first} | {warm} |", figures.name);
        if let Some(rest) = &figures.rest {
            let cpu = rest.cpu_ms;
            let _ = write!(text, " {:.1} | {:.1} | {:.2} |", cpu.start, cpu.first, cpu.warm);
            let memory = megabytes(rest.memory_kb * 1024);
            let _ = write!(text, " {memory} | {} | {} |", megabytes(rest.unpacked), megabytes(rest.zip));
        } else {
            text.push_str(" | | | | | |");
        }
        let counts = format!("{} + {} + {}", requests.start, requests.first, requests.warm);
        let _ = writeln!(text, " {} | {counts} |", figures.connections);
    }
    if pairs.is_empty() {
        return text;
    }
    text.push_str("\n| against ours | CPU | start | first | warm | start to first answer | its own, ms | ours, ms |\n");
    text.push_str("| --- | --- | --: | --: | --: | --: | --: | --: |\n");
    for pair in pairs {
        for (cpu, times) in [("whole", Some(&pair.whole)), ("7%", pair.slowed.as_ref())] {
            let Some(times) = times else { continue };
            let ratios = [times.start, times.first, times.warm, times.to_first_answer].map(ratio).join(" | ");
            let own = |times: [f64; 4]| times.map(|time| format!("{time:.1}")).join(", ");
            let _ =
                writeln!(text, "| {} | {cpu} | {ratios} | {} | {} |", pair.name, own(times.own_ms), own(times.ours_ms));
        }
    }
    text
}

/// The page with new tables in the place of the old ones.
fn put_between_markers(page: &str, tables: &str) -> Result<String> {
    let [begin, end] = MARKERS;
    let (before, rest) = page.split_once(begin).ok_or("the page has no marker where the tables begin")?;
    let (_, after) = rest.split_once(end).ok_or("the page has no marker where the tables end")?;
    Ok(format!("{before}{begin}\n{tables}\n{end}{after}"))
}

/// The page with the rows of these figures in the place of those of the same names, between the markers.
fn put_rows(page: &str, figures: &[Figures]) -> Result<String> {
    let [begin, end] = MARKERS;
    let (_, tables) = page.split_once(begin).ok_or("the page has no marker where the tables begin")?;
    let (tables, _) = tables.split_once(end).ok_or("the page has no marker where the tables end")?;
    let mut text = tables.trim_start_matches('\n').to_owned();
    for row in markdown(figures, &[]).lines().skip(2) {
        let name = row.split('|').nth(1).unwrap_or_default();
        let old = text.lines().find(|line| line.split('|').nth(1) == Some(name));
        let old = old.ok_or_else(|| format!("the page has no row of {name}: record everything"))?.to_owned();
        text = text.replacen(&old, row, 1);
    }
    put_between_markers(page, &format!("{}\n", text.trim_end_matches('\n')))
}

/// Writes the figures into the bench's folder and, with `record`, into the repository.
pub fn write(root: &Path, folder: &Path, figures: &[Figures], pairs: &[Pairs], record: bool) -> Result<()> {
    let all = serde_json::json!({ "figures": figures, "pairs": pairs });
    std::fs::write(folder.join("figures.json"), serde_json::to_string_pretty(&all)?)?;
    let text = markdown(figures, pairs);
    std::fs::write(folder.join("table.md"), &text)?;
    say(&format!("\n{text}"));
    if record {
        let functions = figures.iter().filter(|figures| figures.ours);
        let functions = functions.filter_map(|figures| Some((figures.name.clone(), figures.instructions?)));
        let costs = figures.iter().filter(|figures| figures.ours).filter_map(|figures| {
            let rest = figures.rest.as_ref()?;
            Some((figures.name.clone(), Cost { cpu_ms: rest.cpu_ms.warm, log_bytes: rest.log_bytes }))
        });
        let committed = Committed { functions: functions.collect(), costs: costs.collect() };
        std::fs::write(root.join(COMMITTED), serde_json::to_string_pretty(&committed)? + "\n")?;
        let page = std::fs::read_to_string(root.join(PAGE))?;
        // Without the peers it is the functions alone that were measured anew.
        let page = if figures.iter().all(|figures| figures.ours) {
            put_rows(&page, figures)?
        } else {
            put_between_markers(&page, &text)?
        };
        std::fs::write(root.join(PAGE), page)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const COUNTS: Phases = Phases { start: 100.0, first: 10.0, warm: 1.0 };

    fn committed() -> Committed {
        Committed { functions: BTreeMap::from([("one".to_owned(), COUNTS)]), costs: BTreeMap::new() }
    }

    fn measured(name: &str, instructions: Phases) -> Figures {
        Figures {
            name: name.to_owned(),
            what: String::new(),
            ours: true,
            instructions: Some(instructions),
            connections: 1,
            requests: Phases { start: 1.0, first: 1.0, warm: 1.0 },
            rest: None,
        }
    }

    fn passes(figures: &[Figures]) -> bool {
        compare(&committed(), figures).iter().all(|(within, _)| *within)
    }

    #[test]
    fn what_grows_by_more_than_a_twentieth_fails() {
        assert!(passes(&[measured("one", COUNTS)]));
        assert!(passes(&[measured("one", Phases { start: 104.9, first: 1.0, warm: 1.049 })]));
        assert!(!passes(&[measured("one", Phases { start: 105.1, ..COUNTS })]));
        assert!(!passes(&[measured("one", Phases { first: 10.6, ..COUNTS })]));
        assert!(!passes(&[measured("one", Phases { warm: 1.06, ..COUNTS })]));
        assert!(!passes(&[measured("one", Phases { warm: f64::NAN, ..COUNTS })]));
    }

    #[test]
    fn tables_are_put_where_they_belong() {
        let [begin, end] = MARKERS;
        let page = format!("before\n{begin}old\n{end}after\n");
        assert_eq!(put_between_markers(&page, "new\n").unwrap(), format!("before\n{begin}\nnew\n\n{end}after\n"));
        assert!(put_between_markers("before\nafter\n", "new\n").is_err());
    }

    #[test]
    fn rows_of_functions_take_the_place_of_the_old_ones() {
        let [begin, end] = MARKERS;
        let table = "\n| | start |\n| --- | --: |\n| one | old |\n| peer | 7 |\n\n| against ours |\n| --- |\n";
        let page = format!("before\n{begin}\n{table}\n{end}after\n");
        let new = put_rows(&page, &[measured("one", COUNTS)]).unwrap();
        assert!(!new.contains("| one | old |") && new.contains("\n| one | 0.00 |"), "{new}");
        assert!(new.contains("\n| peer | 7 |\n") && new.contains("| against ours |"), "{new}");
        assert!(put_rows(&page, &[measured("two", COUNTS)]).is_err());
    }

    #[test]
    fn what_is_not_measured_or_not_committed_fails() {
        assert!(!passes(&[]));
        assert!(!passes(&[measured("one", COUNTS), measured("another", COUNTS)]));
    }
}
