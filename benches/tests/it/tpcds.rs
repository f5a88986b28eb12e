//! TPC-DS: all 99 queries on three workers, beside plain DataFusion.

use std::process::Command;

use quarry_benches::fetched;
use serde_json::Value;

use crate::{assert_ok, is_fetched};

/// By these settings every scan, however small, is cut and distributed: else the coordinator would answer most queries alone.
const CUT_EVERYTHING: [&str; 4] = [
    "--set",
    "coordinator.local_below=0",
    "--set",
    "coordinator.task_bytes=0",
];

#[test]
fn tpcds_answers_all_99_queries_as_plain_datafusion_does() {
    if !is_fetched(&fetched::tpcds_texts()) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let json = dir.path().join("tpcds.json");
    let mut command = Command::new(env!("CARGO_BIN_EXE_tpcds"));
    command.args(["--scale", "0.01", "--runs", "0", "--nodes", "3"]);
    command.args(CUT_EVERYTHING).arg("--json").arg(&json);
    assert_ok(&command.output().unwrap());

    let report: Value = serde_json::from_slice(&std::fs::read(json).unwrap()).unwrap();
    assert_eq!(report["totals"]["queries"], 99);
    let texts = report["queries"].as_array().unwrap();
    assert_eq!(texts.len(), 103, "four queries have two parts");
    let bytes = |text: &Value| text["local_bytes"].as_u64().unwrap() + text["remote_bytes"].as_u64().unwrap();
    let scanning = texts.iter().filter(|text| bytes(text) > 0).count();
    assert!(scanning > 95, "only {scanning} scanned anything on the workers");
    let with_rows = texts.iter().filter(|text| text["rows"].as_u64().unwrap() > 0).count();
    println!("{with_rows} of {} answers have rows", texts.len());
    assert!(with_rows > 60, "only {with_rows} answers have rows");
}
