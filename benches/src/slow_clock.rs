//! The library that slows the clock of a process whose instructions are counted.

use std::path::{Path, PathBuf};

use crate::output::Result;

/// Builds the library that slows the clock of a process whose instructions are counted (`slow_clock.c` says why).
pub fn build(root: &Path, folder: &Path) -> Result<PathBuf> {
    let library = folder.join("slow_clock.so");
    let mut command = std::process::Command::new("cc");
    command.args(["-O2", "-shared", "-fPIC", "-o"]).arg(&library).arg(root.join("benches/slow_clock.c"));
    let status = command.status().map_err(|error| format!("a C compiler is needed: {error}"))?;
    if status.success() { Ok(library) } else { Err("benches/slow_clock.c does not compile".into()) }
}
