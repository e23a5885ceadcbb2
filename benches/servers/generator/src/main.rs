//! The load generator of `tools/servers.sh`: the same work for servers with different APIs, as a plan says it.
//!
//! ```text
//! generator units PLAN PORT CONNECTIONS UNITS [ACKNOWLEDGED]  whole units of work
//! generator step PLAN PORT CONNECTIONS STEP COUNT IDS         one step by itself; `create` writes the file of ids
//! generator race PLAN PORT WIDTH STEP,STEP,... IDS            for each id: that many reports at once
//! ```
//!
//! A thread for each connection, which is kept. It prints what it measured, a line each, tabs between the fields. With
//! ACKNOWLEDGED a thread ends at its first failure, and the file has what was answered before: for servers that are killed.

mod connection;
mod plan;
mod tally;
mod work;

use std::io::Write;
use std::process::ExitCode;

use plan::Plan;

/// What is wrong with the arguments, the plan or a thread ends the program: nothing after it would mean anything.
type Result<T> = std::result::Result<T, String>;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let printed = run(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
        .and_then(|lines| std::io::stdout().write_all(lines.as_bytes()).map_err(|error| error.to_string()));
    match printed {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "generator: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[&str]) -> Result<String> {
    let [mode, plan, port, connections, rest @ ..] = arguments else {
        return Err("needs a mode, a plan, a port and a number of connections".to_owned());
    };
    let plan = Plan::parse(&read(plan)?)?;
    let (port, connections) = (number(port)?, number(connections)?);
    match (*mode, rest) {
        ("units", [units]) => work::units(&plan, port, connections, number(units)?, false).map(|work| work.lines()),
        ("units", [units, acknowledged]) => {
            let work = work::units(&plan, port, connections, number(units)?, true)?;
            write(acknowledged, &work.tally.acknowledged)?;
            Ok(work.lines())
        }
        ("step", ["create", count, file]) => {
            let mut work = work::step(&plan, port, connections, "create", number(count)?, &[])?;
            work.tally.ids.sort_unstable();
            write(file, &work.tally.ids.iter().map(|(_, id)| id.clone()).collect::<Vec<_>>())?;
            Ok(work.lines())
        }
        ("step", [step, count, file]) => {
            work::step(&plan, port, connections, step, number(count)?, &ids(file)?).map(|work| work.lines())
        }
        ("race", [steps, file]) => {
            work::race(&plan, port, connections, &steps.split(',').collect::<Vec<_>>(), &ids(file)?)
        }
        _ => Err(format!("no such mode, or other arguments than it takes: {}", arguments.join(" "))),
    }
}

fn read(file: &str) -> Result<String> {
    std::fs::read_to_string(file).map_err(|error| format!("{file}: {error}"))
}

fn write(file: &str, lines: &[String]) -> Result<()> {
    std::fs::write(file, lines.join("\n")).map_err(|error| format!("{file}: {error}"))
}

fn ids(file: &str) -> Result<Vec<String>> {
    let ids: Vec<String> = read(file)?.lines().map(str::to_owned).collect();
    if ids.is_empty() { Err(format!("{file}: no ids")) } else { Ok(ids) }
}

fn number<T: std::str::FromStr>(text: &str) -> Result<T> {
    text.parse().map_err(|_| format!("not a number: {text}"))
}
