//! One module of the console's many. Each is small, so that a person can read it; a browser that fetched each would start
//! a function for each, dozens at the same moment, and an account may have no more than ten.
//!
//! Every module becomes a function that is called once and returns what the module exports. The names of one module are
//! not seen in another, as in the sources. Only what `console/` uses is understood: named imports, default imports of
//! packages, and exported declarations that never change. Anything else ends the build.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// A module, taken apart.
#[derive(Debug, Default, PartialEq, Eq)]
struct Module {
    /// What it imports, by specifiers, in order.
    imports: Vec<(String, Import)>,
    /// The names that it exports.
    exports: Vec<String>,
    /// The rest, without comments.
    code: String,
}

#[derive(Debug, PartialEq, Eq)]
enum Import {
    /// `import { a, b } from`: the text between the braces.
    Named(String),
    /// `import a from`.
    Default(String),
    /// `import`, for what the module does.
    Effect,
}

/// One module that does what `entry` and all that it imports do.
///
/// # Panics
///
/// If a module is not as this understands it, is missing, or imports itself by way of others.
pub fn bundle(sources: &BTreeMap<String, String>, entry: &str) -> String {
    let mut order = Vec::new();
    visit(sources, entry, &mut Vec::new(), &mut order);
    let packages: BTreeSet<&String> = order
        .iter()
        .flat_map(|(_, module)| &module.imports)
        .map(|(from, _)| from)
        .filter(|from| !is_own(from))
        .collect();
    let mut text = String::new();
    for package in &packages {
        writeln!(text, "import * as {} from {package:?};", variable(package)).expect("memory");
    }
    for (name, module) in &order {
        writeln!(text, "\n// {name}\nconst {} = (() => {{", variable(name)).expect("memory");
        for (from, import) in &module.imports {
            let source = if is_own(from) { variable(&resolve(name, from)) } else { variable(from) };
            match import {
                Import::Named(names) => writeln!(text, "const {{{names}}} = {source};"),
                Import::Default(local) => writeln!(text, "const {local} = {source}.default;"),
                Import::Effect => Ok(()),
            }
            .expect("memory");
        }
        writeln!(text, "{}\nreturn {{ {} }};\n}})();", module.code.trim(), module.exports.join(", ")).expect("memory");
    }
    text
}

/// Adds a module behind all that it imports.
fn visit(sources: &BTreeMap<String, String>, name: &str, way: &mut Vec<String>, order: &mut Vec<(String, Module)>) {
    if order.iter().any(|(done, _)| done == name) {
        return;
    }
    assert!(!way.iter().any(|passed| passed == name), "console/: a circle of imports: {way:?} -> {name}");
    let source =
        sources.get(name).unwrap_or_else(|| panic!("console/{name} is imported by {:?}, and missing", way.last()));
    let module = parse(name, source);
    way.push(name.to_owned());
    for (from, _) in &module.imports {
        if is_own(from) {
            visit(sources, &resolve(name, from), way, order);
        }
    }
    way.pop();
    order.push((name.to_owned(), module));
}

fn is_own(specifier: &str) -> bool {
    specifier.starts_with('.')
}

/// The path in `console/` of what a module imports by a relative path.
fn resolve(module: &str, specifier: &str) -> String {
    let mut path: Vec<&str> = module.split('/').collect();
    path.pop();
    for part in specifier.split('/') {
        match part {
            "." => {}
            ".." => assert!(path.pop().is_some(), "{module}: {specifier} is outside of console/"),
            part => path.push(part),
        }
    }
    path.join("/")
}

/// A name for a module or a package that no source uses.
fn variable(name: &str) -> String {
    let name: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    format!("$${name}")
}

fn parse(name: &str, source: &str) -> Module {
    let mut module = Module::default();
    let source = without_comments(source);
    let mut lines = source.lines();
    while let Some(line) = lines.next() {
        let wrong = format!("console/{name}: the bundle does not understand: {line}");
        if line.starts_with("import ") || line.starts_with("import{") {
            let mut statement = line.to_owned();
            while !statement.ends_with(';') {
                statement.push_str(lines.next().unwrap_or_else(|| panic!("{wrong}")));
            }
            module.imports.push(import(&statement).unwrap_or_else(|| panic!("{wrong}")));
        } else if let Some(declaration) = line.strip_prefix("export ") {
            module.exports.push(exported(declaration).unwrap_or_else(|| panic!("{wrong}")));
            module.code.push_str(declaration);
            module.code.push('\n');
        } else {
            assert!(!line.contains("import("), "{wrong}");
            module.code.push_str(line);
            module.code.push('\n');
        }
    }
    module
}

/// `import ... from "x";`, taken apart.
fn import(statement: &str) -> Option<(String, Import)> {
    let rest = statement.strip_prefix("import ")?.strip_suffix(';')?;
    let text = |quoted: &str| Some(quoted.trim().strip_prefix('"')?.strip_suffix('"')?.to_owned());
    let Some((what, from)) = rest.split_once(" from ") else { return Some((text(rest)?, Import::Effect)) };
    let from = text(from)?;
    let what = what.trim();
    if let Some(names) = what.strip_prefix('{') {
        // `as` would need another form here than there.
        let names = names.strip_suffix('}')?;
        return (!names.contains(" as ")).then(|| (from, Import::Named(names.to_owned())));
    }
    let is_name = what.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    (is_name && !is_own(&from)).then(|| (from, Import::Default(what.to_owned())))
}

/// The name that a declaration exports.
fn exported(declaration: &str) -> Option<String> {
    // Not `let`: who imports it would keep the first value.
    let kinds = ["const ", "function ", "async function ", "class "];
    let rest = kinds.iter().find_map(|kind| declaration.strip_prefix(kind))?;
    let name: String = rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_' || *c == '$').collect();
    (!name.is_empty()).then_some(name)
}

/// The source without its comments, which are for those who read the sources: lines that begin with `//`, and everything
/// from `/**` to `*/`. Neither is in a text of the console's.
fn without_comments(source: &str) -> String {
    let mut rest = source;
    let mut text = String::new();
    while let Some((before, comment)) = rest.split_once("/**") {
        text.push_str(before);
        (_, rest) = comment.split_once("*/").unwrap_or_else(|| panic!("a comment without an end: {comment}"));
    }
    text.push_str(rest);
    let lines = text.lines().map(str::trim_end).filter(|line| !line.is_empty() && !line.trim_start().starts_with("//"));
    lines.fold(String::new(), |mut text, line| {
        text.push_str(line);
        text.push('\n');
        text
    })
}
