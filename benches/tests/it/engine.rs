//! The engine's floor, streams, a written table and placement.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::assert_ok;

/// Runs a subcommand small and reads the figures that it wrote.
fn engine(what: &str, more: &[&str]) -> Value {
    let dir = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_engine"));
    command.args([what, "--scale", "0.01", "--runs", "2", "--nodes", "2"]);
    command.arg("--out").arg(dir.path()).args(more);
    let output = command.output().unwrap();
    assert_ok(&output);
    let report = written(dir.path(), what, "json");
    let printed = written(dir.path(), what, "md");
    assert_eq!(
        printed, output.stdout,
        "the report that was written is the one that was printed"
    );
    let report: Value = serde_json::from_slice(&report).unwrap();
    assert_eq!(report["what"], what);
    assert_eq!(report["problems"].as_array().unwrap().len(), 0);
    report
}

/// The file `engine-<what>-<date>.<ending>`.
fn written(dir: &Path, what: &str, ending: &str) -> Vec<u8> {
    let files = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name());
    let names: Vec<String> = files.map(|name| name.into_string().unwrap()).collect();
    let wanted = |name: &&String| name.starts_with(&format!("engine-{what}-20")) && name.ends_with(ending);
    let name = names
        .iter()
        .find(wanted)
        .unwrap_or_else(|| panic!("no {ending} in {names:?}"));
    std::fs::read(dir.join(name)).unwrap()
}

fn check_floor(results: &Value) {
    let statements = results["statements"].as_array().unwrap();
    assert_eq!(statements.len(), 3, "{results}");
    for statement in statements {
        for figure in [
            &statement["quarry"]["p50_ms"],
            &statement["plain"]["p99_ms"],
            &statement["cold"]["quarry_ms"],
        ] {
            assert!(figure.as_f64().unwrap() > 0.0, "{statement}");
        }
    }
}

fn check_streams(results: &Value, streams: u64) {
    assert_eq!(results["one"]["answered"], 2 * 22);
    assert_eq!(results["many"]["answered"], streams * 22);
    assert_eq!(results["many"]["streams"], streams);
    assert!(results["ratio"].as_f64().unwrap() > 0.0);
    assert!(results["peak_bytes"].as_u64().unwrap() > 0);
    assert_eq!(results["limit_bytes"], 3_u64 << 30, "two workers and a coordinator");
}

fn check_ctas(results: &Value) {
    assert_eq!(results["rows"], 60_175);
    for engine in ["quarry", "plain"] {
        assert_eq!(results[format!("{engine}_ms")].as_array().unwrap().len(), 2);
        assert!(
            results[format!("{engine}_bytes")].as_u64().unwrap() > 1_000_000,
            "{results}"
        );
    }
}

fn check_placement(results: &Value) {
    assert_eq!((&results["blocks"], &results["nodes"]), (&2000.into(), &20.into()));
    assert!(results["local_share"].as_f64().unwrap() > 0.9, "{results}");
    assert!(results["largest"].as_f64().unwrap() < 1.2, "{results}");
}

#[test]
fn engine_measures_its_floor() {
    check_floor(&engine("floor", &[])["sections"][0]["results"]);
}

#[test]
fn engine_runs_streams_at_a_time_and_compares_their_answers() {
    let report = engine("streams", &["--streams", "3", "--memory", "1GiB"]);
    check_streams(&report["sections"][0]["results"], 3);
}

#[test]
fn engine_writes_a_table() {
    check_ctas(&engine("ctas", &[])["sections"][0]["results"]);
}

#[test]
fn engine_places_blocks_without_a_cluster() {
    let report = engine("placement", &["--blocks", "2000", "--places", "20", "--racks", "4"]);
    check_placement(&report["sections"][0]["results"]);
}

#[test]
fn engine_puts_all_into_one_report() {
    let shape = [
        "--streams",
        "2",
        "--memory",
        "1GiB",
        "--blocks",
        "2000",
        "--places",
        "20",
        "--racks",
        "4",
    ];
    let report = engine("all", &shape);
    let sections = report["sections"].as_array().unwrap();
    assert_eq!(sections.len(), 4);
    check_floor(&sections[0]["results"]);
    check_streams(&sections[1]["results"], 2);
    check_ctas(&sections[2]["results"]);
    check_placement(&sections[3]["results"]);
}
