//! Makes of `console/` what the function serves: one module of the console's own, the vendored ones as they are, the
//! page that names them, and each of these compressed. Everything is in the binary, so that nothing is read or
//! compressed when a request comes.

#![expect(clippy::expect_used, reason = "a build that cannot go on must end")]

mod bundle;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::{Compression, GzBuilder};
use sha2::{Digest, Sha256};

/// The files besides the bundle, and their types.
const FILES: [(&str, &str); 5] = [
    ("app.css", "text/css; charset=utf-8"),
    ("icon.svg", "image/svg+xml"),
    ("vendor/hooks.mjs", SCRIPT),
    ("vendor/htm.mjs", SCRIPT),
    ("vendor/preact.mjs", SCRIPT),
];

/// The bundle's name.
const BUNDLE: &str = "app.js";

const SCRIPT: &str = "text/javascript; charset=utf-8";

fn main() {
    // Asked when it runs, and not when it is compiled: a copy of a target folder must not read the files of the original.
    let manifest = std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo says where the package is");
    let console = Path::new(&manifest).join("../../console");
    println!("cargo::rerun-if-changed={}", console.display());
    println!("cargo::rerun-if-changed=build");
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo names a folder for what is built"));

    let read = |name: &str| std::fs::read(console.join(name)).unwrap_or_else(|error| panic!("console/{name}: {error}"));
    let mut files: Vec<(&str, &str, Vec<u8>)> = FILES.map(|(name, kind)| (name, kind, read(name))).into();
    files.push((BUNDLE, SCRIPT, bundle::bundle(&modules(&console), BUNDLE).into_bytes()));

    // One hash for all: files that belong together are fetched together, or not at all.
    let mut hash = Sha256::new();
    for (name, kind, bytes) in &files {
        hash.update(format!("{name} {kind} {}\n", bytes.len()));
        hash.update(bytes);
    }
    let version = hex(&hash.finalize()[..8]);
    let page = page(&String::from_utf8(read("index.html")).expect("UTF-8"), &version);
    let policy = policy(&page);

    let mut code = String::new();
    writeln!(code, "const VERSION: &str = {version:?};\nconst POLICY: &str = {policy:?};").expect("memory");
    let constant = constant(&out, "index.html", "text/html; charset=utf-8", page.as_bytes());
    writeln!(code, "static PAGE: File = {constant};").expect("memory");
    writeln!(code, "static FILES: &[File] = &[").expect("memory");
    for (name, kind, bytes) in &files {
        writeln!(code, "    {},", self::constant(&out, name, kind, bytes)).expect("memory");
    }
    writeln!(code, "];").expect("memory");
    std::fs::write(out.join("files.rs"), code).expect("a writable folder");
}

/// The console's own modules, by their paths in `console/`.
fn modules(console: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for folder in ["", "pages/", "parts/"] {
        for entry in std::fs::read_dir(console.join(folder)).expect("a folder of console/") {
            let path = entry.expect("an entry").path();
            if path.extension().is_some_and(|extension| extension == "js") {
                let name = path.file_name().and_then(|name| name.to_str()).expect("a name in UTF-8");
                found.insert(format!("{folder}{name}"), std::fs::read_to_string(&path).expect("a readable file"));
            }
        }
    }
    found
}

/// The page, with the paths of the files in it.
fn page(template: &str, version: &str) -> String {
    let scripts = FILES.iter().filter(|(_, kind)| *kind == SCRIPT).map(|(name, _)| name);
    let preloads: Vec<String> =
        scripts.map(|name| format!("<link rel=\"modulepreload\" href=\"{{files}}/{name}\" />")).collect();
    let page = template.replace("{preloads}", &preloads.join("\n    "));
    page.replace("{files}", &format!("/console/{version}"))
}

/// What the page may do. Only scripts and styles of the service, and no other place to send anything to. The import map is
/// the one script in the page; its hash stands for it. No text can become markup or a script.
fn policy(page: &str) -> String {
    let (_, map) = page.split_once("<script type=\"importmap\">").expect("an import map in console/index.html");
    let (map, _) = map.split_once("</script>").expect("the end of the import map");
    let map = STANDARD.encode(Sha256::digest(map));
    format!(
        "default-src 'none'; script-src 'self' 'sha256-{map}'; style-src 'self'; connect-src 'self'; img-src 'self'; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; \
         trusted-types 'none'"
    )
}

/// Writes a file and its compressed form, and returns the constant that has both.
fn constant(out: &Path, name: &str, kind: &str, bytes: &[u8]) -> String {
    // Without a time and a name in its header, the same bytes come out each time.
    let mut gzip = GzBuilder::new().mtime(0).write(Vec::new(), Compression::best());
    gzip.write_all(bytes).expect("memory");
    let file = name.replace('/', "-");
    std::fs::write(out.join(&file), bytes).expect("a writable folder");
    std::fs::write(out.join(format!("{file}.gz")), gzip.finish().expect("memory")).expect("a writable folder");
    let include = |file: &str| format!("include_bytes!(concat!(env!(\"OUT_DIR\"), \"/{file}\"))");
    format!(
        "File {{ name: {name:?}, content_type: {kind:?}, plain: {}, gzip: {} }}",
        include(&file),
        include(&format!("{file}.gz"))
    )
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("memory");
        text
    })
}
