//! The benchmarks themselves, run small: that they end, that all engines agree, that the reports are whole.

#![allow(clippy::unwrap_used)]

mod engine;
mod foreign;
mod tpcds;
mod tpch;

use std::path::Path;
use std::process::Output;

fn assert_ok(output: &Output) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        output.status.success(),
        "{}\n{}",
        text(&output.stdout),
        text(&output.stderr)
    );
}

/// Whether `interop/setup` fetched this folder; if not, this says so aloud, and fails where nothing may be left out.
fn is_fetched(folder: &Path) -> bool {
    if folder.join(".made-from").is_file() {
        return true;
    }
    let missing = format!("{} is missing: run interop/setup", folder.display());
    let required = std::env::var_os("QUARRY_INTEROP").is_some_and(|value| value == "required");
    assert!(!required, "{missing}");
    eprintln!("SKIPPED: {missing}");
    false
}
