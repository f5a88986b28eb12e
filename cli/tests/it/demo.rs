//! `quarry demo`, small: all answers right, and the figures that it promises.

use crate::support::Home;

#[test]
fn a_small_demo_is_right_22_times() {
    let home = Home::new();
    let json = home.path("demo.json");
    let args = [
        "demo",
        "--scale",
        "0.01",
        "--nodes",
        "3",
        "--runs",
        "1",
        "--json",
        json.to_str().unwrap(),
    ];
    let text = home.run(&args).ok();
    assert!(text.contains("22 of 22 answers"), "{text}");

    let report: serde_json::Value = serde_json::from_slice(&std::fs::read(json).unwrap()).unwrap();
    let queries = report["queries"].as_array().unwrap();
    assert_eq!(queries.len(), 22);
    for (position, query) in queries.iter().enumerate() {
        assert_eq!(query["id"], position + 1);
        assert_eq!(query["ok"], true, "{query}");
        assert!(query["ms"].as_f64().unwrap() > 0.0);
        let bytes = query["local_bytes"].as_u64().unwrap() + query["remote_bytes"].as_u64().unwrap();
        assert!(bytes > 0, "{query}");
    }
    assert_eq!(queries[0]["rows"], 4);
    // Tables this small are scanned by the coordinator, which sits beside no replica: only the figure's presence counts.
    assert!((0.0..=1.0).contains(&report["totals"]["local_share"].as_f64().unwrap()));
}
