//! The benchmarks themselves, run small: that they end, that all engines agree, that the reports are whole.

#![allow(clippy::unwrap_used)]

mod tpcds;
mod tpch;

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
