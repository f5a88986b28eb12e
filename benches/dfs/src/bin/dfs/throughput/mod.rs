//! Bytes per second through the data path: the same native client on Quarry and on Apache HDFS in turns, beside what loopback TCP and
//! plain `pread` move on the same machine in the same run.
//!
//! Every byte that is read has its CRC checked by the client. Files are in the page cache: the code is measured, not the disk; but
//! a write ends with its fsync, on both systems.

mod load;
mod raw;
mod report;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use bytesize::ByteSize;
use quarry_benches_dfs::conditions::Conditions;
use quarry_benches_dfs::systems::hdfs::Hdfs;
use quarry_benches_dfs::systems::quarry::Launcher;

use load::{Load, Target};
use report::{Line, Report};

/// DataNodes of each system: as many as the longest pipeline.
const DATANODES: usize = 3;
/// How loopback and `pread` are called in tables.
pub(crate) const RAW: &str = "raw";

/// What to measure.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Bytes that all clients together read or write sequentially in each run
    #[arg(long, default_value = "256MiB")]
    size: ByteSize,
    /// Numbers of clients that work at a time
    #[arg(long, value_delimiter = ',', default_value = "1,8")]
    clients: Vec<usize>,
    /// How long random reads go on in each run
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
    /// Runs; of each figure the best counts
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// Measure only operations whose name contains this
    #[arg(long)]
    only: Option<String>,
    /// The `quarry` binary [default: the one next to this program, else this program's own roles]
    #[arg(long)]
    quarry: Option<PathBuf>,
    /// Jars of Apache HDFS [default: where `interop/setup oracle` puts them]
    #[arg(long)]
    jars: Option<PathBuf>,
    /// Measure Quarry alone
    #[arg(long)]
    alone: bool,
    /// Directory for the servers' files, on the disk that is to be measured [default: a temporary one]
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Write the figures as JSON
    #[arg(long)]
    json: Option<PathBuf>,
    /// Write the tables as Markdown
    #[arg(long)]
    markdown: Option<PathBuf>,
}

/// How fast loopback TCP and `pread` are, alone.
#[derive(Debug, clap::Args)]
pub(crate) struct LoopbackArgs {
    /// Bytes to move
    #[arg(long, default_value = "1GiB")]
    size: ByteSize,
    /// Directory for the file that is read
    #[arg(long)]
    dir: Option<PathBuf>,
}

/// Measures and prints the denominators alone.
pub(crate) fn loopback(args: &LoopbackArgs) -> Result<()> {
    let scratch = scratch(args.dir.as_ref())?;
    let file = scratch.path().join("file");
    raw::fill(&file, args.size.as_u64().min(256 << 20))?;
    let moved = raw::loopback(args.size.as_u64())?;
    let read = raw::pread(&[file], 1 << 20, args.size.as_u64())?;
    println!("loopback TCP: {:.0} MiB/s", per_second(args.size.as_u64(), moved));
    println!("pread:        {:.0} MiB/s", per_second(args.size.as_u64(), read));
    Ok(())
}

/// MiB per second.
fn per_second(bytes: u64, time: Duration) -> f64 {
    bytes as f64 / f64::from(1 << 20) / time.as_secs_f64()
}

fn scratch(dir: Option<&PathBuf>) -> Result<tempfile::TempDir> {
    match dir {
        Some(dir) => tempfile::tempdir_in(dir),
        None => tempfile::tempdir(),
    }
    .context("make a directory for the servers")
}

/// Measures and prints.
pub(crate) async fn run(args: Args) -> Result<()> {
    let conditions = Conditions::now();
    let scratch = scratch(args.dir.as_ref())?;
    let launcher = Launcher::new(args.quarry.clone())?;
    let hdfs = Hdfs::find(args.jars.clone()).filter(|_| !args.alone);
    let mut report = Report::new(conditions, &args, &launcher, hdfs.as_ref());
    let home = scratch.path().join("quarry");
    let mut systems = vec![Target::new(launcher.start(&home, DATANODES).await?, home, true)];
    if let Some(hdfs) = &hdfs {
        let home = scratch.path().join("hdfs");
        systems.push(Target::new(hdfs.start(&home, DATANODES).await?, home, false));
    }
    for clients in &args.clients {
        let loads: Vec<_> = systems
            .iter()
            .map(|system| Load::new(system, &args, *clients))
            .collect();
        for load in &loads {
            load.prepare().await.with_context(|| load.system())?;
        }
        for _ in 0..args.runs {
            for line in raw::lines(&loads[0], args.size.as_u64(), *clients)? {
                report.add(RAW, *clients, line);
            }
            for operation in load::OPERATIONS {
                if args.only.as_ref().is_some_and(|only| !operation.name().contains(only)) {
                    continue;
                }
                for load in &loads {
                    let Some(line) = load.measure(operation).await.with_context(|| load.system())? else {
                        continue;
                    };
                    eprintln!("{} {clients} clients: {line}", load.system());
                    report.add(load.system(), *clients, line);
                }
            }
        }
        for load in &loads {
            load.clear().await?;
        }
    }
    print!("{report}");
    if let Some(path) = &args.json {
        std::fs::write(path, serde_json::to_string_pretty(&report)?).with_context(|| path.display().to_string())?;
    }
    if let Some(path) = &args.markdown {
        std::fs::write(path, report.to_string()).with_context(|| path.display().to_string())?;
    }
    Ok(())
}
