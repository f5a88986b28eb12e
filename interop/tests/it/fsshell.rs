//! Hadoop's FsShell on Quarry, compared line by line with what it says on Apache HDFS.
//!
//! The same transcripts run against a live Apache HDFS when `QUARRY_INTEROP_ORACLE=1` is set (or its jars are there), so that a golden is
//! never older than the oracle. `QUARRY_INTEROP_RECORD=1` writes them anew from the oracle.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use quarry_interop::cluster::Cluster;
use quarry_interop::oracle::Oracle;
use quarry_interop::shell::FsShell;
use quarry_interop::tools::{self, Tool};
use quarry_interop::transcript::{Scene, difference};
use quarry_interop::{USER, data};

/// Apache HDFS and Quarry alike: transcripts show the default replication of 3 satisfied.
const NODES: u16 = 3;

#[test]
fn files_on_quarry_are_as_on_apache_hdfs() -> Result<()> {
    on_quarry("files")
}

#[test]
fn attributes_on_quarry_are_as_on_apache_hdfs() -> Result<()> {
    on_quarry("attributes")
}

#[test]
fn a_300_mb_file_comes_back_equal_with_apache_hdfs_checksum() -> Result<()> {
    on_quarry("big_file")
}

#[test]
fn transcripts_are_what_apache_hdfs_says_today() -> Result<()> {
    let (Some(client), Some(jars)) = (tools::find(Tool::HadoopClient), tools::find(Tool::HdfsOracle)) else {
        return Ok(());
    };
    let dir = tempfile::tempdir()?;
    let oracle = Oracle::start(&jars, dir.path(), USER, NODES)?;
    for name in ["files", "attributes", "big_file"] {
        let said = replay(&client, oracle.namenode(), name)?;
        match std::env::var_os("QUARRY_INTEROP_RECORD") {
            Some(_) => fs::write(golden(name), said)?,
            None => compare(name, &said)?,
        }
    }
    Ok(())
}

fn on_quarry(name: &str) -> Result<()> {
    let Some(client) = tools::find(Tool::HadoopClient) else {
        return Ok(());
    };
    let dir = tempfile::tempdir()?;
    let cluster = Cluster::start(dir.path(), NODES)?;
    compare(name, &replay(&client, cluster.endpoints().namenode.rpc, name)?)
}

fn compare(name: &str, said: &str) -> Result<()> {
    let difference = difference(&fs::read_to_string(golden(name))?, said);
    ensure!(difference.is_none(), "{name}: {}", difference.unwrap_or_default());
    Ok(())
}

fn golden(name: &str) -> std::path::PathBuf {
    tools::home().join("golden").join(name).with_extension("transcript")
}

fn replay(client: &Path, namenode: SocketAddr, name: &str) -> Result<String> {
    let dir = tempfile::tempdir()?;
    let local = dir.path().join("local");
    local_files(&local, name)?;
    let mut shell = FsShell::start(client, dir.path(), namenode, USER)?;
    let mut scene = Scene {
        shell: &mut shell,
        local,
        namenode,
    };
    let golden = golden(name);
    scene.replay(&fs::read_to_string(&golden).with_context(|| golden.display().to_string())?)
}

/// The local files that the transcripts name.
fn local_files(local: &Path, transcript: &str) -> Result<()> {
    fs::create_dir_all(local.join("tree/branch"))?;
    fs::write(local.join("hello.txt"), "Hello, Hadoop.\nSecond line.\n")?;
    fs::write(local.join("empty"), "")?;
    let numbers: String = (1..=4_000).map(|n| format!("{n:0>63}\n")).collect();
    fs::write(local.join("numbers.txt"), numbers)?;
    fs::write(local.join("tree/leaf.txt"), "leaf\n")?;
    data::write_noise(&local.join("tree/branch/twig.bin"), 70_000)?;
    data::write_noise(&local.join("noise.bin"), 5 * (1 << 20) + 12_345)?;
    if transcript == "big_file" {
        data::write_noise(&local.join("big.bin"), data::BIG_FILE_LEN)?;
    }
    Ok(())
}
