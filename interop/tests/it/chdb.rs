//! ClickHouse's libhdfs3, through chDB.

use anyhow::Result;
use quarry_interop::USER;
use quarry_interop::cluster::Cluster;
use quarry_interop::python;
use quarry_interop::tools::{self, Tool};

#[test]
fn clickhouse_writes_and_reads_through_libhdfs3() -> Result<()> {
    let Some(environment) = tools::find(Tool::Python) else {
        return Ok(());
    };
    let dir = tempfile::tempdir()?;
    let cluster = Cluster::start(dir.path(), 3)?;
    let numbers: String = (0..100_000).map(|n| format!("{n}\n")).collect();
    let file = dir.path().join("numbers.csv");
    std::fs::write(&file, numbers)?;
    cluster.quarry(&["fs", "mkdir", "/given"])?;
    cluster.quarry(&["fs", "put", &file.to_string_lossy(), "/given/numbers.csv"])?;
    let variables = [
        ("QUARRY_NAMENODE", cluster.endpoints().namenode.rpc.to_string()),
        ("HADOOP_USER_NAME", USER.to_owned()),
        // What libhdfs3 takes for the user's name.
        ("USER", USER.to_owned()),
    ];
    python::run_tests(&environment, "test_chdb.py", &variables)
}
