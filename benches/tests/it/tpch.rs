//! TPC-H.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use crate::assert_ok;

/// The benchmark, small; its files are in `dir`.
pub(crate) fn tpch(dir: &Path, more: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tpch"));
    command.args(["--scale", "0.01", "--runs", "1", "--nodes", "2"]);
    command.arg("--json").arg(dir.join("tpch.json"));
    command.arg("--markdown").arg(dir.join("tpch.md"));
    command.arg("--svg").arg(dir.join("tpch.svg"));
    command.args(more).output().unwrap()
}

/// The figures that it wrote there.
pub(crate) fn report(dir: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(dir.join("tpch.json")).unwrap()).unwrap()
}

#[test]
fn tpch_runs_all_queries_on_both_engines() {
    let dir = tempfile::tempdir().unwrap();
    let output = tpch(dir.path(), &[]);
    assert_ok(&output);
    let report = report(dir.path());
    assert_eq!(
        (&report["totals"]["queries"], &report["totals"]["ok"]),
        (&22.into(), &22.into())
    );
    assert!(report["totals"]["min"]["ratio"].as_f64().unwrap() > 0.0);
    for query in report["queries"].as_array().unwrap() {
        assert_eq!(query["quarry_ms"].as_array().unwrap().len(), 1, "{query}");
        assert!(
            query["plain"]
                .as_array()
                .unwrap()
                .iter()
                .all(|plain| plain["ms"][0].as_f64().unwrap() > 0.0)
        );
    }
    assert_eq!(std::fs::read(dir.path().join("tpch.md")).unwrap(), output.stdout);
    let picture = std::fs::read_to_string(dir.path().join("tpch.svg")).unwrap();
    assert_eq!(picture.matches("<title>").count(), 22, "a bar for each query");
}

#[test]
fn tpch_writes_a_folder_of_results() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("results");
    let output = tpch(dir.path(), &["--query", "6", "--out", out.to_str().unwrap()]);
    assert_ok(&output);
    let names = std::fs::read_dir(&out).unwrap();
    let names: BTreeSet<_> = names
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect();
    let date = report(dir.path())["conditions"]["date"].as_str().unwrap().to_owned();
    let expected = ["json", "md", "svg"].map(|ending| format!("tpch-sf0.01-{date}.{ending}"));
    assert_eq!(names, BTreeSet::from(expected));
    let markdown = out.join(format!("tpch-sf0.01-{date}.md"));
    assert_eq!(std::fs::read(markdown).unwrap(), output.stdout);
}

#[test]
fn tpch_uses_the_data_of_an_earlier_run() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let more = ["--data", data.to_str().unwrap(), "--query", "6", "--partitions", "2"];
    assert_ok(&tpch(dir.path(), &more));
    let first = report(dir.path());
    let again = tpch(dir.path(), &more);
    assert_ok(&again);
    assert!(
        !String::from_utf8_lossy(&again.stderr).contains("loaded"),
        "loaded twice"
    );
    let second = report(dir.path());
    assert_eq!(first["data"], second["data"]);
    assert_eq!(first["queries"][0]["rows"], 1);
    assert_eq!(second["queries"][0]["rows"], 1);
}
