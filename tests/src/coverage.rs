//! The operations of `openapi/openapi.json` and the functions (the folders of `functions/`), and a check that a list written
//! by hand has all of them. Without this check a list that lacks a new one would pass, and no test would say that the new one
//! is not tried.
//!
//! There is no list of permitted gaps: every operation is tried everywhere. `tools/inventory.py` is the same for Python.
//!
//! `local/tests/canaries.rs` includes this file, too, so it must not use anything of this crate.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde_json::Value;

/// An operation, as the OpenAPI document has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// Its id: the name of its function.
    pub id: String,
    /// The HTTP method.
    pub method: String,
    /// The whole path, with parameters in braces.
    pub path: String,
    /// The headers that it reads, in lower case.
    pub headers: BTreeSet<String>,
}

impl Operation {
    /// Whether a request calls it; the path may have a query.
    #[must_use]
    pub fn is_called_by(&self, method: &str, path: &str) -> bool {
        let path = path.split('?').next().unwrap_or_default();
        let (pattern, path): (Vec<&str>, Vec<&str>) = (self.path.split('/').collect(), path.split('/').collect());
        let fits = |(pattern, part): (&&str, &&str)| pattern == part || pattern.starts_with('{') && !part.is_empty();
        self.method == method && pattern.len() == path.len() && pattern.iter().zip(&path).all(fits)
    }
}

/// The operations that read no table: they need nothing of DynamoDB's, and answer while it does not. That these are all,
/// and that they have no right on the table, `tests/api/drift.rs` shows.
pub const WITHOUT_STORE: [&str; 1] = ["get_caller"];

/// The writes that take no Idempotency-Key, for to repeat them is harmless.
pub const WITHOUT_KEY: [&str; 1] = ["record_heartbeat"];

/// The writes whose body may be left out.
pub const OPTIONAL_BODY: [&str; 2] = ["cancel_execution", "record_heartbeat"];

/// The query with which an operation is called where it makes no difference: a wait that takes as long as it may would be the
/// longest part of a test.
#[must_use]
pub fn least_query(operation: &str) -> &'static str {
    if operation == "wait_execution" { "?timeout=1" } else { "" }
}

/// The repository's root.
#[must_use]
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Every operation.
#[must_use]
pub fn operations() -> Vec<Operation> {
    let text = std::fs::read_to_string(root().join("openapi/openapi.json")).expect("openapi/openapi.json");
    let document: Value = serde_json::from_str(&text).expect("JSON in openapi/openapi.json");
    let mut operations = Vec::new();
    for (path, methods) in document["paths"].as_object().expect("paths") {
        for (method, operation) in methods.as_object().expect("methods") {
            let parameters = operation["parameters"].as_array().into_iter().flatten();
            let headers = parameters.filter(|parameter| parameter["in"] == "header");
            operations.push(Operation {
                id: operation["operationId"].as_str().expect("an operationId").to_owned(),
                method: method.to_uppercase(),
                path: path.clone(),
                headers: headers.filter_map(|header| Some(header["name"].as_str()?.to_lowercase())).collect(),
            });
        }
    }
    assert!(!operations.is_empty(), "openapi/openapi.json has no operation");
    operations
}

/// The names of the functions.
#[must_use]
pub fn functions() -> BTreeSet<String> {
    let folders = std::fs::read_dir(root().join("functions")).expect("functions/");
    let folders = folders.map(|folder| folder.expect("a folder")).filter(|folder| folder.path().is_dir());
    folders.map(|folder| folder.file_name().into_string().expect("a name in UTF-8")).collect()
}

/// The names that a list lacks, and those that it has and that do not exist. `None` if it is complete.
#[must_use]
pub fn gaps(list: &str, expected: &BTreeSet<String>, listed: &BTreeSet<String>) -> Option<String> {
    let names = |some: &BTreeSet<String>, others| some.difference(others).cloned().collect::<Vec<_>>().join(", ");
    let (missing, unknown) = (names(expected, listed), names(listed, expected));
    let lines = [("missing", missing), ("unknown", unknown)];
    let lines: Vec<String> =
        lines.iter().filter(|(_, names)| !names.is_empty()).map(|(what, names)| format!("{what}: {names}")).collect();
    (!lines.is_empty()).then(|| format!("{list}: {}", lines.join("; ")))
}

/// Ends the test unless a list has every operation and nothing else, in any order and any number of times.
#[track_caller]
pub fn assert_covers(list: &str, listed: impl IntoIterator<Item: AsRef<str>>) {
    assert_covers_those(list, |_| true, listed);
}

/// The same for the operations that `which` selects.
#[track_caller]
pub fn assert_covers_those(
    list: &str,
    which: impl Fn(&Operation) -> bool,
    listed: impl IntoIterator<Item: AsRef<str>>,
) {
    let expected = operations().into_iter().filter(which).map(|operation| operation.id).collect();
    let listed = listed.into_iter().map(|name| name.as_ref().to_owned()).collect();
    let gaps = gaps(list, &expected, &listed);
    assert!(gaps.is_none(), "{}", gaps.unwrap_or_default());
}
