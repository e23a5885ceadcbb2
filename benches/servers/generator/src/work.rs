//! What the threads do.

use std::fmt::Write;
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::Result;
use crate::connection::Connection;
use crate::plan::{Fill, Plan, Step};
use crate::tally::{Tally, Work};

/// Whole units of work: all steps of the plan, in order, on one run each.
pub fn units(plan: &Plan, port: u16, connections: usize, units: usize, until_failure: bool) -> Result<Work> {
    let next = AtomicUsize::new(0);
    together(port, connections, |thread, connection, tally| {
        while next.fetch_add(1, Ordering::Relaxed) < units {
            let (mut id, mut updates, mut whole) = (String::new(), 0, true);
            let begun = Instant::now();
            for step in &plan.unit {
                updates += usize::from(step.name == "update");
                let answer = ask(plan, step, Fill { id: &id, updates, thread }, connection, tally);
                if let Some(answer) = answer {
                    if step.name == "create" {
                        id = plan.id(&answer)?;
                    }
                    if until_failure {
                        tally.acknowledged.push(format!("{id}\t{}\t{updates}", step.name));
                    }
                } else if until_failure {
                    return Ok(());
                } else {
                    whole = false;
                    if id.is_empty() {
                        break;
                    }
                }
            }
            if whole {
                tally.units.push(begun.elapsed());
            }
        }
        Ok(())
    })
}

/// One step so many times, on the ids in turn.
pub fn step(plan: &Plan, port: u16, connections: usize, name: &str, count: usize, ids: &[String]) -> Result<Work> {
    let steps = plan.named(name)?;
    let next = AtomicUsize::new(0);
    together(port, connections, |thread, connection, tally| {
        loop {
            let turn = next.fetch_add(1, Ordering::Relaxed);
            if turn >= count {
                return Ok(());
            }
            let id = ids.get(turn % ids.len().max(1)).map_or("", String::as_str);
            for step in &steps {
                let answer = ask(plan, step, Fill { id, updates: 0, thread }, connection, tally);
                if let (Some(answer), "create") = (answer, name) {
                    tally.ids.push((turn, plan.id(&answer)?));
                }
            }
        }
    })
}

/// For each id so many threads at once, each with its connection open, that each report one of the steps.
///
/// # Returns
///
/// A line for each report: id, thread, step, code (0 where there was no answer), whether it succeeded (1 or 0), how often it
/// was sent again, and the answer's beginning.
pub fn race(plan: &Plan, port: u16, width: usize, names: &[&str], ids: &[String]) -> Result<String> {
    let gate = Barrier::new(width);
    let steps = names.iter().map(|name| plan.named(name)).collect::<Result<Vec<_>>>()?;
    let report = |thread: usize| {
        let mut connection = Connection::new(port);
        let mut lines = String::new();
        let step = steps.iter().flatten().cycle().nth(thread);
        for id in ids {
            // Whoever cannot connect says so below, in its request.
            let _ = connection.open();
            gate.wait();
            let Some(step) = step else { continue };
            let request = plan.request(step, Fill { id, updates: 0, thread });
            let (answer, repeats) = connection.persist(&request);
            let (code, body) = answer.unwrap_or_else(|error| (0, error.to_string().into_bytes()));
            let success = u8::from(step.succeeded(code, &body));
            let text: String = String::from_utf8_lossy(&body).chars().take(600).collect();
            let text = text.replace(['\t', '\r', '\n'], " ");
            let _ = writeln!(lines, "{id}\t{thread}\t{}\t{code}\t{success}\t{repeats}\t{text}", step.name);
            gate.wait();
        }
        lines
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..width).map(|thread| scope.spawn(move || report(thread))).collect();
        threads.into_iter().map(|thread| thread.join().map_err(|_| "a thread ended early".to_owned())).collect()
    })
}

/// Runs a thread for each connection, from when all of them are open.
fn together(
    port: u16,
    connections: usize,
    work: impl Fn(usize, &mut Connection, &mut Tally) -> Result<()> + Sync,
) -> Result<Work> {
    let gate = Barrier::new(connections + 1);
    let run = |thread: usize| -> Result<Tally> {
        let mut connection = Connection::new(port);
        // Whoever cannot connect says so in its first request.
        let _ = connection.open();
        gate.wait();
        let mut tally = Tally::default();
        work(thread, &mut connection, &mut tally).map(|()| tally)
    };
    std::thread::scope(|scope| {
        let run = &run;
        let threads: Vec<_> = (0..connections).map(|thread| scope.spawn(move || run(thread))).collect();
        gate.wait();
        let begun = Instant::now();
        let mut all = Tally::default();
        for thread in threads {
            all.add(thread.join().map_err(|_| "a thread ended early".to_owned())??);
        }
        Ok(Work { tally: all, wall: begun.elapsed() })
    })
}

/// Asks for a step and counts it.
///
/// # Returns
///
/// The answer, where it was a success.
fn ask(plan: &Plan, step: &Step, fill: Fill, connection: &mut Connection, tally: &mut Tally) -> Option<Vec<u8>> {
    let request = plan.request(step, fill);
    let begun = Instant::now();
    let (answer, repeats) = connection.persist(&request);
    let took: Duration = begun.elapsed();
    let (answer, error) = match answer {
        Ok((code, body)) if step.succeeded(code, &body) => (Some(body), None),
        Ok((code, body)) => {
            (None, Some(format!("{code} {}", String::from_utf8_lossy(&body).chars().take(300).collect::<String>())))
        }
        Err(error) => (None, Some(error.to_string())),
    };
    tally.request(&step.name, took, repeats, error);
    answer
}
