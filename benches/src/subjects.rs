//! The processes that are measured, and the work that they do.

use std::path::{Path, PathBuf};

use ::tests::coverage;

use crate::output::Result;

/// The function that everything else is compared with.
pub const OURS: &str = "update_execution_status";

/// An event, and the contents of the table each time before it is given out: those after the events before it in
/// `events/cases.json`, and more.
#[derive(Debug, Clone, Copy)]
pub struct Work {
    /// The event, as in `events/`.
    pub event: &'static str,
    /// Further events that are answered before it.
    pub then: &'static [&'static str],
    /// How many more executions there are.
    pub more: usize,
}

impl Work {
    const fn of(event: &'static str) -> Self {
        Self { event, then: &[], more: 0 }
    }
}

/// Environment variables.
pub type Settings = &'static [(&'static str, &'static str)];

/// Lets a function trust the roots of a file: those that are built into it, and the bench's root.
const OUR_ROOTS: Settings = &[("AWS_CA_BUNDLE", "{functions}")];

/// Lets a client that trusts the system's roots read them from another file, which also has the bench's root.
const SYSTEM_ROOTS: Settings = &[("SSL_CERT_FILE", "{system}")];

/// A process that is measured.
#[derive(Debug)]
pub struct Subject {
    /// Its name.
    pub name: &'static str,
    /// Its description in the report.
    pub what: &'static str,
    /// Whether it is one of the functions.
    pub ours: bool,
    /// Whether it is timed in pairs with [`OURS`].
    pub paired: bool,
    /// Whether its instructions can be counted.
    pub counted: bool,
    /// The command.
    pub command: Vec<PathBuf>,
    /// The folder that it runs in.
    pub folder: PathBuf,
    /// The deployed files and folders.
    pub package: Vec<PathBuf>,
    /// Settings besides those of Lambda and of `template.yaml`; `{functions}`, `{system}` and `{root}` stand for files.
    pub settings: Settings,
    /// What it does.
    pub work: Work,
}

const CANCEL: Work = Work::of("update_execution_status.cancelled");

/// The functions, each with its typical work.
const FUNCTIONS: [(&str, Work); 17] = [
    (OURS, CANCEL),
    ("update_execution", Work::of("update_execution.completed")),
    ("execute_flow", Work::of("execute_flow.accepted")),
    // A record that has been changed, as most records that are read.
    ("get_execution", Work { then: &["update_execution.running"], ..Work::of("get_execution.found") }),
    ("list_transitions", Work::of("list_transitions.found")),
    ("get_heartbeat", Work::of("get_heartbeat.found")),
    ("record_heartbeat", Work::of("record_heartbeat.continue")),
    // What has ended, so that it does not wait.
    ("wait_execution", Work::of("wait_execution.ended")),
    ("cancel_execution", Work::of("cancel_execution.requested")),
    // Two steps at once.
    ("report_steps", Work::of("report_steps.created")),
    ("list_steps", Work::of("list_steps.page")),
    // One execution that is watched and not due, as in nearly all passes.
    ("enforce_deadlines", Work::of("enforce_deadlines.done")),
    // A creation, a claim and an end: their events, in one request, and the metrics.
    ("publish_events", Work::of("publish_events.done")),
    ("get_caller", Work::of("get_caller.found")),
    ("console", Work::of("console.page")),
    // A page of ten.
    ("list_executions", Work { more: 9, ..Work::of("list_executions.page") }),
    ("authorizer", Work::of("authorizer.known_key")),
];

/// The names of functions that are not measured. No other check would find them.
fn gaps(measured: &[(&str, Work)]) -> Option<String> {
    let listed = measured.iter().map(|(name, _)| (*name).to_owned()).collect();
    coverage::gaps("FUNCTIONS of benches/src/subjects.rs", &coverage::functions(), &listed)
}

fn function(root: &Path, name: &'static str, work: Work) -> Subject {
    let folder = root.join("target/lambda").join(name);
    let binary = folder.join("bootstrap");
    Subject {
        name,
        what: "the function, as it is deployed",
        ours: true,
        paired: false,
        counted: true,
        command: vec![binary.clone()],
        folder,
        package: vec![binary],
        settings: OUR_ROOTS,
        work,
    }
}

fn rust_peer(root: &Path, name: &'static str, what: &'static str, profile: &str, settings: Settings) -> Subject {
    let folder = root.join("target/peers").join(profile);
    let binary = folder.join(name);
    Subject {
        name,
        what,
        ours: false,
        paired: true,
        counted: true,
        command: vec![binary.clone()],
        folder,
        package: vec![binary],
        settings,
        work: CANCEL,
    }
}

fn python_peer(root: &Path, folder: &Path, name: &'static str, what: &'static str, module: &str) -> Subject {
    let python = root.join(".tools").join(format!("bench-{name}")).join("bin/python");
    let handler = format!("{module}.handler");
    Subject {
        name,
        what,
        ours: false,
        paired: true,
        counted: true,
        command: vec![python, "-m".into(), "awslambdaric".into(), handler.into()],
        // The package that would be deployed: the environment's packages without those for installation.
        package: vec![folder.join(name)],
        folder: root.join("benches/peers/python"),
        // Its HTTP client reads certificates on its own, and has no other setting for them.
        settings: &[("AWS_CA_BUNDLE", "{system}")],
        work: CANCEL,
    }
}

fn node_peer(folder: &Path) -> Subject {
    let bundle = folder.join("node/index.mjs");
    Subject {
        name: "node",
        what: "Node, AWS SDK v3 bundled by esbuild",
        ours: false,
        paired: true,
        // If it is instrumented, it spends its time in translations of its just-in-time compiler.
        counted: false,
        command: vec!["node".into(), bundle.clone()],
        folder: folder.join("node"),
        package: vec![bundle],
        settings: &[("NODE_EXTRA_CA_CERTS", "{root}")],
        work: CANCEL,
    }
}

/// All subjects. `folder` is the folder of the bench's own files. An error names the functions that are not measured.
pub fn all(root: &Path, folder: &Path) -> Result<Vec<Subject>> {
    if let Some(gaps) = gaps(&FUNCTIONS) {
        return Err(gaps.into());
    }
    let mut subjects: Vec<Subject> = FUNCTIONS.iter().map(|(name, work)| function(root, name, *work)).collect();
    subjects.push(rust_peer(root, "unprimed", "update_execution_status without priming", "tuned", OUR_ROOTS));
    subjects.push(rust_peer(root, "hello", "the floor: hello-world on lambda_http", "tuned", SYSTEM_ROOTS));
    subjects.push(rust_peer(root, "naive", "naive Rust: SDK and runtime at their defaults", "release", SYSTEM_ROOTS));
    let bare = "Python 3.11, awslambdaric and boto3";
    subjects.push(python_peer(root, folder, "python", bare, "bare"));
    let fastapi = "Python 3.11, the same with FastAPI and Mangum";
    subjects.push(python_peer(root, folder, "fastapi", fastapi, "api"));
    subjects.push(node_peer(folder));
    Ok(subjects)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::tests::cases::cases;

    #[test]
    fn every_function_is_measured() {
        assert_eq!(gaps(&FUNCTIONS), None);
        let [(first, _), others @ ..] = &FUNCTIONS;
        assert_eq!(gaps(others), Some(format!("FUNCTIONS of benches/src/subjects.rs: missing: {first}")));
    }

    #[test]
    fn every_function_is_measured_on_an_event_of_its_own_that_succeeds() {
        let cases = cases();
        for (function, work) in FUNCTIONS {
            let case = cases.iter().find(|case| case.event == work.event).expect("a case of the event");
            assert!(case.event.starts_with(&format!("{function}.")), "{function}: {}", case.event);
            assert!(case.status < 300, "{}: {}", case.event, case.status);
        }
    }
}
