//! The layers of the workspace: which package may use which, and that no file is part of an import circle.
//!
//! | package | may use of the workspace |
//! | --- | --- |
//! | `ratchet-model` | nothing |
//! | `ratchet-http`, `ratchet-store` | the model: neither uses the other |
//! | `ratchet-runtime` | model, http, store |
//! | a function | `shared/*`, no other function |
//! | `keys` | model and store |
//! | `ratchet-client` | the model |
//! | `ratchet-cli` | model and client |
//! | `replay` | model, store, runtime, `keys` for its connection, and the function `publish_events` for its bus |
//! | `local` | `shared/*` and the functions |
//! | `tests`, `benches` | everything |

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use tests::coverage::root;

const SHARED: [&str; 4] = ["ratchet-model", "ratchet-http", "ratchet-store", "ratchet-runtime"];

/// What a package may use of the workspace; `None` where it may use everything.
fn allowed(package: &str, functions: &BTreeSet<String>) -> Option<BTreeSet<String>> {
    let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    match package {
        "ratchet-model" => Some(BTreeSet::new()),
        "ratchet-http" | "ratchet-store" | "ratchet-client" => Some(set(&["ratchet-model"])),
        "ratchet-runtime" => Some(set(&["ratchet-model", "ratchet-http", "ratchet-store"])),
        "keys" => Some(set(&["ratchet-model", "ratchet-store"])),
        "ratchet-cli" => Some(set(&["ratchet-model", "ratchet-client"])),
        "replay" => Some(set(&["ratchet-model", "ratchet-store", "ratchet-runtime", "keys", "publish_events"])),
        "local" => Some(&set(&SHARED) | functions),
        "tests" | "benches" => None,
        function if functions.contains(function) => Some(set(&SHARED)),
        other => panic!("{other} has no layer: add to this test what it may use"),
    }
}

/// By package, the prefixes of the names of third-party crates that it must not use.
const FOREIGN: [(&str, &[&str]); 6] = [
    ("ratchet-model", &["aws-", "lambda", "http", "hyper", "reqwest", "axum", "tokio", "tracing"]),
    ("ratchet-http", &["aws-", "lambda_runtime", "tokio", "hyper", "reqwest", "axum"]),
    ("ratchet-store", &["lambda", "http", "axum", "reqwest", "utoipa"]),
    ("keys", &["lambda", "axum", "reqwest"]),
    // `cargo install --path cli` takes a minute, and not the AWS SDK's ten.
    ("ratchet-client", &["aws-", "lambda", "axum"]),
    ("ratchet-cli", &["aws-", "lambda", "axum"]),
];

/// The folders of all packages of the workspace.
fn packages() -> Vec<PathBuf> {
    let mut folders = Vec::new();
    for parent in ["", "shared", "functions", "clients"] {
        for entry in std::fs::read_dir(root().join(parent)).expect("a folder") {
            let folder = entry.expect("an entry").path();
            // fuzz/ is a workspace of its own and may use everything.
            if folder.join("Cargo.toml").is_file() && !folder.ends_with("fuzz") {
                folders.push(folder);
            }
        }
    }
    folders
}

/// The name of a package, and the names of its dependencies without dev-dependencies.
#[derive(Debug, Default, PartialEq, Eq)]
struct Manifest {
    name: String,
    dependencies: BTreeSet<String>,
}

fn manifest(text: &str) -> Manifest {
    let mut manifest = Manifest::default();
    let mut section = "";
    for line in text.lines().map(str::trim) {
        if let Some(header) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            section = header.trim_matches(['[', ']']);
            // [dependencies.name], and the same for one target.
            if let Some((of, name)) = section.rsplit_once('.')
                && of.ends_with("dependencies")
                && of != "dev-dependencies"
            {
                manifest.dependencies.insert(name.to_owned());
            }
            continue;
        }
        let Some((key, value)) = line.split_once('=').filter(|_| !line.starts_with('#')) else { continue };
        let key = key.trim();
        if section == "package" && key == "name" {
            value.trim().trim_matches('"').clone_into(&mut manifest.name);
        } else if section.ends_with("dependencies") && !section.ends_with("dev-dependencies") {
            let name = key.split('.').next().unwrap_or(key);
            // A renamed dependency counts by its real name.
            let renamed = value.split("package = \"").nth(1).and_then(|rest| rest.split('"').next());
            manifest.dependencies.insert(renamed.unwrap_or(name).to_owned());
        }
    }
    manifest
}

fn manifests() -> Vec<Manifest> {
    let read = |folder: PathBuf| manifest(&std::fs::read_to_string(folder.join("Cargo.toml")).expect("Cargo.toml"));
    packages().into_iter().map(read).collect()
}

#[test]
fn every_form_of_a_dependency_is_read() {
    let text = "[package]\nname = \"a\"\n[dependencies]\nb.workspace = true\nc = { path = \"x\", package = \"d\" } # e = 1\n\
                [dev-dependencies]\nf = \"1\"\n[target.'cfg(unix)'.dependencies]\ng = \"1\"\n[dependencies.h]\npath = \"h\"\n\
                [build-dependencies]\ni = \"1\"\n";
    let dependencies = ["b", "d", "g", "h", "i"].map(str::to_owned).into();
    assert_eq!(manifest(text), Manifest { name: "a".to_owned(), dependencies });
}

#[test]
fn no_package_uses_one_that_stands_above_or_beside_it() {
    let manifests = manifests();
    let own: BTreeSet<String> = manifests.iter().map(|manifest| manifest.name.clone()).collect();
    assert!(own.len() > 10 && SHARED.iter().all(|name| own.contains(*name)), "{own:?}");
    let functions = tests::coverage::functions();
    for Manifest { name, dependencies } in &manifests {
        let used: BTreeSet<String> = dependencies & &own;
        if let Some(allowed) = allowed(name, &functions) {
            let wrong: Vec<&String> = used.difference(&allowed).collect();
            assert!(wrong.is_empty(), "{name} uses {wrong:?}; it may use {allowed:?}");
        }
    }
}

#[test]
fn no_package_uses_a_crate_that_belongs_to_another_layer() {
    for Manifest { name, dependencies } in manifests() {
        let foreign = FOREIGN.iter().filter(|(package, _)| *package == name).flat_map(|(_, foreign)| *foreign);
        for foreign in foreign {
            let found: Vec<&String> = dependencies.iter().filter(|name| name.starts_with(foreign)).collect();
            assert!(found.is_empty(), "{name} uses {found:?}");
        }
    }
}

/// The Rust files below a folder, by their paths in it as modules: `item/mod.rs` and `item.rs` are `item`.
fn modules(folder: &Path, prefix: &str, found: &mut BTreeMap<String, String>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path.file_stem().and_then(|name| name.to_str()).expect("a name in UTF-8").to_owned();
        let below = |name: &str| if prefix.is_empty() { name.to_owned() } else { format!("{prefix}::{name}") };
        if path.is_dir() {
            modules(&path, &below(&name), found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let module = match name.as_str() {
                "lib" | "main" | "mod" => prefix.to_owned(),
                _ => below(&name),
            };
            let text = std::fs::read_to_string(&path).expect("a readable file");
            found.entry(module).or_default().push_str(&text);
        }
    }
}

/// The known modules that a file uses. The names of the file's own submodules count where their contents are used, not where
/// they are declared.
fn uses(module: &str, text: &str, known: &BTreeMap<String, String>) -> BTreeSet<String> {
    // Unit tests may use any module.
    let text = text.split("#[cfg(test)]").next().unwrap_or_default();
    // A link in a comment is not an import.
    let code: Vec<&str> = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
    let text = code.join("\n");
    let parent = module.rsplit_once("::").map_or("", |(parent, _)| parent);
    let mut used = BTreeSet::new();
    for (start, base) in [("crate::", ""), ("super::", parent), ("self::", module)] {
        for (_, rest) in text.match_indices(start).map(|(at, _)| text.split_at(at + start.len())) {
            // Names in braces are looked up one by one, and so is the path before them.
            let end = rest.find(';').unwrap_or(rest.len()).min(200);
            let rest = rest.get(..end).unwrap_or(rest);
            let path: String = rest.chars().take_while(|c| c.is_ascii_lowercase() || *c == '_' || *c == ':').collect();
            let mut names = vec![path.trim_end_matches(':').to_owned()];
            if let Some(group) = rest.strip_prefix(path.as_str()).and_then(|rest| rest.strip_prefix('{')) {
                let group = group.split('}').next().unwrap_or_default();
                names.extend(group.split(',').map(|name| format!("{path}{}", name.trim())));
            }
            for name in names {
                let full = if base.is_empty() { name } else { format!("{base}::{name}") };
                let parts: Vec<&str> = full.split("::").filter(|part| !part.is_empty()).collect();
                let longest = (0..=parts.len()).rev().map(|length| parts[..length].join("::"));
                used.extend(longest.into_iter().find(|name| known.contains_key(name)));
            }
        }
    }
    used.remove(module);
    used
}

/// A circle among the modules, if there is one.
fn circle(modules: &BTreeMap<String, String>) -> Option<Vec<String>> {
    let mut left: BTreeMap<&str, BTreeSet<String>> =
        modules.iter().map(|(name, text)| (name.as_str(), uses(name, text, modules))).collect();
    // A module that uses no module that is left cannot be part of a circle.
    while let Some(free) = left.iter().find(|(_, used)| !used.iter().any(|name| left.contains_key(name.as_str()))) {
        let free = *free.0;
        left.remove(free);
    }
    let (mut name, _) = left.first_key_value()?;
    let mut way = Vec::new();
    while !way.iter().any(|passed| passed == name) {
        way.push((*name).to_owned());
        (name, _) = left[name].iter().find_map(|used| left.get_key_value(used.as_str()))?;
    }
    way.push((*name).to_owned());
    Some(way)
}

#[test]
fn a_circle_is_found() {
    let module = |name: &str, text: &str| (name.to_owned(), text.to_owned());
    let straight = [module("a", "use crate::b::{C, D};"), module("b", "use crate::c;"), module("c", "")];
    assert_eq!(circle(&straight.clone().into()), None);
    let mut round: BTreeMap<String, String> = straight.into();
    round.insert("c".to_owned(), "use crate::{a::E, f};".to_owned());
    assert!(circle(&round).is_some());
    let below = [module("a", "use self::b::C;"), module("a::b", "use super::D;")];
    assert!(circle(&below.into()).is_some());
}

#[test]
fn no_file_is_part_of_an_import_circle() {
    let circles: Vec<String> = packages()
        .into_iter()
        .filter(|folder| !folder.ends_with("tests"))
        .filter_map(|folder| {
            let mut found = BTreeMap::new();
            modules(&folder.join("src"), "", &mut found);
            // The root declares and wires all modules. Its uses are not uses of one module by another.
            let circle = circle(&found)?;
            Some(format!("{}: {}", folder.display(), circle.join(" -> ")))
        })
        .collect();
    assert!(circles.is_empty(), "{circles:#?}");
}
