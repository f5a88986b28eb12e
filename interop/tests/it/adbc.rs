//! ADBC's Flight SQL driver, from Python.

use anyhow::Result;
use quarry_interop::cluster::Cluster;
use quarry_interop::python;
use quarry_interop::tools::{self, Tool};

/// Small enough for a debug build, large enough for files on every worker.
const SCALE: &str = "0.2";

#[test]
fn adbc_runs_tpch_metadata_parameters_and_cancel() -> Result<()> {
    let Some(environment) = tools::find(Tool::Python) else {
        return Ok(());
    };
    let dir = tempfile::tempdir()?;
    let cluster = Cluster::start(dir.path(), 3)?;
    cluster.quarry(&["tpch", "load", "--scale", SCALE, "--schema", "tpch"])?;
    let workers: Vec<_> = cluster
        .endpoints()
        .workers
        .iter()
        .map(|worker| worker.addr.to_string())
        .collect();
    let queries = tools::home().join("../cli/src/tpch/queries");
    python::run_tests(
        &environment,
        "test_adbc.py",
        &[
            (
                "QUARRY_FLIGHT_SQL",
                cluster.endpoints().coordinator.flight_sql.to_string(),
            ),
            ("QUARRY_TPCH_SCALE", SCALE.to_owned()),
            ("QUARRY_WORKERS", workers.join(",")),
            ("QUARRY_TPCH_QUERIES", queries.display().to_string()),
        ],
    )
}
