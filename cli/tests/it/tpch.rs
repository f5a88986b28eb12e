//! `quarry tpch`: loading and running on a cluster that somebody else started.

use crate::cluster::shared;

#[test]
fn load_then_run_then_replace() {
    let home = shared();
    let loaded = home
        .run(&["tpch", "load", "--scale", "0.01", "--schema", "tpchit"])
        .ok();
    assert!(loaded.contains("loaded 8 tables into schema tpchit"), "{loaded}");
    let count = "select count(*) as n from tpchit.lineitem";
    assert_eq!(home.run(&["sql", "-c", count]).ok(), "n\n60175\n");

    let again = home.run(&["tpch", "load", "--scale", "0.01", "--schema", "tpchit"]);
    assert_eq!(again.code(), 1);
    assert!(again.stderr().contains("--overwrite"), "{}", again.stderr());
    home.run(&["tpch", "load", "--scale", "0.02", "--schema", "tpchit", "--overwrite"])
        .ok();
    assert_eq!(
        home.run(&["sql", "-c", "select count(*) as n from tpchit.supplier"])
            .ok(),
        "n\n200\n"
    );
    let listing = home.run(&["fs", "ls", "/tpch/tpchit"]).ok();
    assert!(
        listing.starts_with("Found 1 items"),
        "the replaced load is gone: {listing}"
    );

    let json = home.path("run.json");
    let args = [
        "tpch",
        "run",
        "--schema",
        "tpchit",
        "--query",
        "1",
        "--query",
        "6",
        "--json",
        json.to_str().unwrap(),
    ];
    let table = home.run(&args).ok();
    assert!(
        table.contains("Q1") && table.contains("Q6") && !table.contains("Q2"),
        "{table}"
    );
    let report: serde_json::Value = serde_json::from_slice(&std::fs::read(json).unwrap()).unwrap();
    assert_eq!(report["queries"][0]["rows"], 4);
    assert_eq!(report["scale"], 0.02);
}

#[test]
fn a_failed_load_leaves_nothing() {
    let home = shared();
    // The directory of the data is a file: nothing can be written below it.
    home.run_with_input(&["fs", "put", "-", "/blocked"], b"x").ok();
    let ran = home.run(&[
        "tpch",
        "load",
        "--scale",
        "0.01",
        "--schema",
        "broken",
        "--directory",
        "/blocked",
    ]);
    assert_eq!(ran.code(), 1, "{}", ran.stdout());
    assert!(ran.stderr().contains("/blocked"), "{}", ran.stderr());
    let tables = home.run(&["sql", "-c", "\\dt"]).ok();
    assert!(!tables.contains("broken"), "{tables}");
}
