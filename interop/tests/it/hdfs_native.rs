//! The independent client `hdfs-native`, from Python.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::Result;
use quarry_interop::USER;
use quarry_interop::cluster::Cluster;
use quarry_interop::oracle::Oracle;
use quarry_interop::python;
use quarry_interop::tools::{self, Tool};

#[test]
fn hdfs_native_works_unchanged() -> Result<()> {
    let Some(environment) = tools::find(Tool::Python) else {
        return Ok(());
    };
    let dir = tempfile::tempdir()?;
    let cluster = Cluster::start(dir.path(), 3)?;
    run(&environment, cluster.endpoints().namenode.rpc)
}

/// Keeps the Python file honest: what it asks of Quarry must be what HDFS does.
#[test]
fn the_same_tests_hold_on_apache_hdfs() -> Result<()> {
    let (Some(environment), Some(jars)) = (tools::find(Tool::Python), tools::find(Tool::HdfsOracle)) else {
        return Ok(());
    };
    let dir = tempfile::tempdir()?;
    let oracle = Oracle::start(&jars, dir.path(), USER, 3)?;
    run(&environment, oracle.namenode())
}

fn run(environment: &Path, namenode: SocketAddr) -> Result<()> {
    let variables = [
        ("QUARRY_NAMENODE", namenode.to_string()),
        ("HADOOP_USER_NAME", USER.to_owned()),
    ];
    python::run_tests(environment, "test_hdfs_native.py", &variables)
}
