//! PySpark writes, appends, partitions, overwrites and reads Parquet; what one of the two wrote the other reads.

use anyhow::{Context, Result, ensure};
use quarry_interop::USER;
use quarry_interop::cluster::Cluster;
use quarry_interop::python;
use quarry_interop::tools::{self, Tool};

/// Some 60,000 rows of lineitem.
const SCALE: &str = "0.01";

#[test]
fn spark_writes_appends_partitions_overwrites_and_reads_parquet() -> Result<()> {
    let Some(environment) = tools::find(Tool::Python) else {
        return Ok(());
    };
    let dir = tempfile::tempdir()?;
    let cluster = Cluster::start(dir.path(), 3)?;
    cluster.quarry(&["tpch", "load", "--scale", SCALE, "--schema", "tpch"])?;
    let answer = ask(
        &cluster,
        "SELECT count(*), sum(l_orderkey), sum(l_quantity) FROM tpch.lineitem",
    )?;
    python::run_tests(
        &environment,
        "test_spark.py",
        &[
            ("QUARRY_NAMENODE", cluster.endpoints().namenode.rpc.to_string()),
            ("HADOOP_USER_NAME", USER.to_owned()),
            ("QUARRY_TABLE", table_folder(&cluster, "lineitem")?),
            ("QUARRY_TABLE_ANSWER", answer),
        ],
    )?;
    quarry_reads_what_spark_wrote(&cluster)
}

/// The table that `test_spark.py` leaves behind: 20,000 rows in three files.
fn quarry_reads_what_spark_wrote(cluster: &Cluster) -> Result<()> {
    cluster.quarry(&["sql", "-c", "CREATE SCHEMA spark"])?;
    let statement = "CREATE EXTERNAL TABLE spark.written STORED AS PARQUET LOCATION 'hdfs:///spark/written/'";
    cluster.quarry(&["sql", "-c", statement])?;
    let found = ask(
        cluster,
        "SELECT count(*), sum(id), count(DISTINCT s), sum(k) FROM spark.written",
    )?;
    ensure!(found == "20000,199990000,20000,40000", "{found}");
    Ok(())
}

/// The one row of a query, as CSV.
fn ask(cluster: &Cluster, sql: &str) -> Result<String> {
    let text = cluster.quarry(&["sql", "--format", "csv", "-c", sql])?;
    Ok(text.lines().nth(1).with_context(|| text.clone())?.to_owned())
}

/// The folder in which `tpch load` put a table.
fn table_folder(cluster: &Cluster, table: &str) -> Result<String> {
    let listing = cluster.quarry(&["fs", "ls", "-R", "/tpch"])?;
    let file = listing
        .lines()
        .filter_map(|line| line.split_whitespace().last())
        .find(|path| path.contains(&format!("/{table}/part-")))
        .with_context(|| listing.clone())?;
    Ok(file.rsplit_once('/').map_or(file, |(folder, _)| folder).to_owned())
}
