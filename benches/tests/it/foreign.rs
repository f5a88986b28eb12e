//! TPC-H with engines by others: what the protocol carries, what becomes of their failures, and that the real ones answer alike.

use std::fs;
use std::path::Path;

use quarry_benches::fetched;
use serde_json::{Value, json};

use crate::tpch::{report, tpch};
use crate::{assert_ok, is_fetched};

/// Stands in for a Python and the engine in it, and for an engine that is a program.
const FAKE: &str = "tests/it/fake_engine.py";

fn with_queries<'a>(engine: &'a str, python: &'a str, queries: &[&'a str]) -> Vec<&'a str> {
    let queries = queries.iter().flat_map(|query| ["--query", query]);
    [engine, python, "--partitions", "2"]
        .into_iter()
        .chain(queries)
        .collect()
}

fn runs(dir: &Path, index: usize) -> Vec<Value> {
    let report = report(dir);
    let queries = report["queries"].as_array().unwrap().iter();
    queries.map(|query| query["foreign"][index].clone()).collect()
}

#[test]
fn a_failure_of_another_engine_is_a_note() {
    let dir = tempfile::tempdir().unwrap();
    assert_ok(&tpch(
        dir.path(),
        &with_queries("--spark", FAKE, &["4", "6", "12", "14"]),
    ));
    let [q4, q6, q12, q14] = &runs(dir.path(), 0)[..] else {
        panic!("four queries were asked for")
    };
    assert_eq!(*q4, json!({"engine": "Spark", "ms": [], "failed": "no such function"}));
    assert_eq!(*q6, json!({"engine": "Spark", "ms": [5.0]}));
    assert_eq!(
        *q12,
        json!({"engine": "Spark", "ms": [], "failed": "its process ended"})
    );
    assert_eq!(*q14, json!({"engine": "Spark", "ms": [7.0]}), "it was started anew");

    let report = report(dir.path());
    assert_eq!(
        (&report["totals"]["ok"], &report["totals"]["foreign"][0]["queries"]),
        (&4.into(), &2.into())
    );
    assert_eq!(report["totals"]["foreign"][0]["foreign_ms"], 12.0);
    assert_eq!(
        report["foreign"],
        json!([{"engine": "Spark", "version": "0.1 of a fake"}])
    );
    let text = fs::read_to_string(dir.path().join("tpch.md")).unwrap();
    for part in [
        "Q4: Spark failed: no such function",
        "Q12: Spark failed: its process ended",
        "| 0.1 of a fake ",
    ] {
        assert!(text.contains(part), "no `{part}` in\n{text}");
    }
}

#[test]
fn another_answer_of_another_engine_fails_the_run() {
    let dir = tempfile::tempdir().unwrap();
    let output = tpch(dir.path(), &with_queries("--duckdb", FAKE, &["1", "6"]));
    assert_eq!(output.status.code(), Some(1));
    let [q1, q6] = &runs(dir.path(), 0)[..] else {
        panic!("two queries were asked for")
    };
    assert_eq!(q1["different"], json!({"rows": 3, "expected": 4}));
    assert_eq!(q6["ms"], json!([5.0]));
    assert_eq!(
        report(dir.path())["totals"]["ok"],
        2,
        "Quarry and plain DataFusion agree"
    );
}

#[test]
fn an_engine_that_is_a_program_runs_without_a_script() {
    let dir = tempfile::tempdir().unwrap();
    assert_ok(&tpch(dir.path(), &with_queries("--ballista", FAKE, &["6"])));
    assert_eq!(runs(dir.path(), 0), [json!({"engine": "Ballista", "ms": [5.0]})]);
    assert_eq!(
        report(dir.path())["foreign"],
        json!([{"engine": "Ballista", "version": "0.1 of a program"}])
    );
}

#[test]
fn an_engine_that_does_not_start_is_told_with_what_it_needs() {
    let dir = tempfile::tempdir().unwrap();
    let output = tpch(dir.path(), &with_queries("--duckdb", "false", &["6"]));
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("DuckDB did not start: `pip install duckdb`"), "{text}");
}

#[test]
fn duckdb_and_spark_answer_all_queries() {
    if !is_fetched(&fetched::python()) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let python = fetched::python().join("bin/python");
    let python = python.to_str().unwrap();
    assert_ok(&tpch(
        dir.path(),
        &["--duckdb", python, "--spark", python, "--partitions", "2"],
    ));
    for engine in [0, 1] {
        let runs = runs(dir.path(), engine);
        assert_eq!(runs.len(), 22);
        let timed = runs.iter().all(|runs| runs["ms"][0].as_f64().unwrap() > 0.0);
        assert!(
            timed && runs.iter().all(|runs| runs.get("failed").is_none()),
            "{runs:#?}"
        );
    }
}
