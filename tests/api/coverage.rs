//! `tests::coverage` finds what a list lacks. A check that never found a gap would let every list pass.

use std::collections::BTreeSet;

use tests::coverage::{Operation, WITHOUT_KEY, assert_covers, assert_covers_those, functions, gaps, operations};

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn gaps_are_what_a_list_lacks_and_what_does_not_exist() {
    let expected = set(&["a", "b"]);
    assert_eq!(gaps("list", &expected, &expected), None);
    assert_eq!(gaps("list", &expected, &set(&["b"])).as_deref(), Some("list: missing: a"));
    assert_eq!(gaps("list", &expected, &set(&["a", "b", "c", "d"])).as_deref(), Some("list: unknown: c, d"));
    assert_eq!(gaps("list", &expected, &set(&["c"])).as_deref(), Some("list: missing: a, b; unknown: c"));
}

#[test]
fn every_operation_is_a_function_and_found_by_a_request_to_it() {
    let operations = operations();
    assert_covers("the operations", operations.iter().map(|operation| &operation.id));
    for operation in &operations {
        assert!(functions().contains(&operation.id), "{}", operation.id);
        let path = operation.path.replace("{execution_id}", "x") + "?page=1";
        let called: Vec<&str> = operations
            .iter()
            .filter(|other| other.is_called_by(&operation.method, &path))
            .map(|other| other.id.as_str())
            .collect();
        assert_eq!(called, [operation.id.as_str()], "{} {path}", operation.method);
        assert!(!operation.is_called_by("DELETE", &path) && !operation.is_called_by(&operation.method, "/"));
    }
    let writes = operations.iter().filter(|operation| operation.headers.contains("idempotency-key"));
    let takes_a_key = |operation: &Operation| operation.method != "GET" && !WITHOUT_KEY.contains(&&*operation.id);
    assert_covers_those("the writes", takes_a_key, writes.map(|operation| &operation.id));
}
