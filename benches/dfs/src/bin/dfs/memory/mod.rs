//! A NameNode's memory per file, and how long it takes to serve again after a restart.
//!
//! Quarry: a namespace is written as an image by the NameNode's own code, the real process is started on it, and simulated DataNodes
//! register and report every replica. Apache HDFS: its files are created by RPC, as there is no other way to make its image.

mod datanode;
mod hdfs;
mod namespace;
mod report;

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use quarry_benches_dfs::output::OutputArgs;
use quarry_benches_dfs::report::{QUARRY, Report, Section};
use quarry_benches_dfs::systems::quarry::{END_LIMIT, Launcher, NameNode};
use quarry_benches_dfs::systems::{Cluster, Setup, SetupArgs, current_user};

use datanode::SimulatedDataNode;
use namespace::Shape;
use report::Line;

/// What to measure.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    load: LoadArgs,
    #[command(flatten)]
    setup: SetupArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// How large the namespaces are.
#[derive(Debug, clap::Args)]
pub(crate) struct LoadArgs {
    /// Numbers of one-block files
    #[arg(long, value_delimiter = ',', default_value = "1000000,10000000")]
    files: Vec<u64>,
    /// Files in one directory
    #[arg(long, default_value_t = 1000)]
    per_directory: u64,
    /// Replicas per block, each on a DataNode of its own
    #[arg(long, default_value_t = 3)]
    replication: u16,
    /// Restarts; the quickest counts
    #[arg(long, default_value_t = 3)]
    pub(crate) restarts: usize,
    /// Files that Apache HDFS is measured with; 0 leaves it out
    #[arg(long, default_value_t = 200_000)]
    pub(crate) hdfs_files: u64,
}

/// Longest that the reports of all replicas may take.
const REPORT_LIMIT: Duration = Duration::from_secs(600);

/// Measures and prints.
pub(crate) async fn run(args: Args) -> Result<()> {
    let setup = Setup::new(&args.setup)?;
    let mut report = Report::new("memory", "NameNode memory and restart", &setup);
    report.add(measure(&setup, &args.load).await?);
    args.output.write(&report)
}

/// Measures.
pub(crate) async fn measure(setup: &Setup, args: &LoadArgs) -> Result<Section> {
    let dir = setup.dir("memory");
    let empty = empty_namenode(&setup.launcher, &dir.join("empty"))?;
    let shape = |files| Shape {
        files,
        per_directory: args.per_directory,
        replication: args.replication,
    };
    let mut lines = Vec::new();
    for files in &args.files {
        let home = dir.join(files.to_string());
        lines.push(quarry(&setup.launcher, &home, shape(*files), args.restarts, empty).await?);
        eprintln!("{:?}", lines.last());
    }
    if let Some(hdfs) = setup.hdfs.as_ref().filter(|_| args.hdfs_files > 0) {
        lines.push(hdfs::measure(hdfs, &dir.join("hdfs"), shape(args.hdfs_files), args.restarts).await?);
        eprintln!("{:?}", lines.last());
    }
    report::section(&lines, args)
}

/// What a NameNode without files takes, in bytes: not the files' fault.
fn empty_namenode(launcher: &Launcher, dir: &Path) -> Result<u64> {
    prepare(dir)?;
    let namenode = launcher.namenode(dir)?;
    let bytes = namenode.process.resident_bytes();
    namenode.process.end(END_LIMIT);
    Ok(bytes)
}

fn prepare(dir: &Path) -> Result<()> {
    std::fs::create_dir_all(dir)?;
    std::fs::write(dir.join("quarry.toml"), "")?;
    Ok(())
}

async fn quarry(launcher: &Launcher, dir: &Path, shape: Shape, restarts: usize, empty: u64) -> Result<Line> {
    prepare(dir)?;
    let name = dir.join("name");
    let image_bytes = tokio::task::spawn_blocking(move || namespace::write(&name, shape)).await??;
    let mut starts = Vec::new();
    let mut last = None;
    for _ in 0..restarts.max(1) {
        if let Some((namenode, _)) = last.take() {
            stop(namenode);
        }
        let began = Instant::now();
        let namenode = launcher.namenode(dir)?;
        let cluster_rpc = rpc(&namenode)?;
        let found = super::metadata::operations::get_file_info(&cluster_rpc, shape.path(shape.files - 1)).await;
        found.context("the last file is not there after the restart")?;
        starts.push(began.elapsed());
        last = Some((namenode, cluster_rpc));
    }
    let (namenode, _rpc) = last.context("at least one start")?;
    let without_replicas = namenode.process.resident_bytes();
    let began = Instant::now();
    let mut datanodes = Vec::new();
    for number in 0..shape.replication {
        datanodes.push(SimulatedDataNode::connect(namenode.link, number).await?);
    }
    for datanode in &mut datanodes {
        tokio::time::timeout(REPORT_LIMIT, datanode.report(shape))
            .await
            .context("the full report took too long")??;
    }
    wait_out_of_safe_mode(&namenode).await?;
    let reports = began.elapsed();
    let with_replicas = namenode.process.resident_bytes();
    drop(datanodes);
    stop(namenode);
    std::fs::remove_dir_all(dir)?;
    Ok(Line {
        system: QUARRY,
        files: shape.files,
        resident_bytes: with_replicas,
        bytes_per_file: with_replicas.saturating_sub(empty) as f64 / shape.files as f64,
        bytes_per_file_before_reports: without_replicas.saturating_sub(empty) as f64 / shape.files as f64,
        image_bytes,
        restart_seconds: seconds(starts),
        reports_seconds: Some(reports.as_secs_f64()),
    })
}

/// Kills it: a NameNode's end has nothing to save, and freeing ten million files takes its time.
fn stop(namenode: NameNode) {
    drop(namenode.process);
}

fn rpc(namenode: &NameNode) -> Result<quarry_dfs_wire::rpc::RpcClient> {
    use quarry_dfs_wire::rpc::{CLIENT_PROTOCOL, RpcClient, RpcClientOptions};
    let options = RpcClientOptions::default();
    Ok(RpcClient::new(
        namenode.rpc.to_string(),
        current_user()?,
        CLIENT_PROTOCOL,
        options,
    ))
}

async fn wait_out_of_safe_mode(namenode: &NameNode) -> Result<()> {
    let rpc = rpc(namenode)?;
    let deadline = Instant::now() + REPORT_LIMIT;
    while Cluster::is_in_safe_mode(&rpc).await? {
        ensure!(Instant::now() < deadline, "still in safe mode after all reports");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

/// The quickest, in seconds.
fn seconds(starts: Vec<Duration>) -> f64 {
    starts.into_iter().min().unwrap_or_default().as_secs_f64()
}
