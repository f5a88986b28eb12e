//! Metadata operations: the same native load on Quarry's NameNode and on Apache HDFS's, in turns.

mod load;
pub(crate) mod operations;
mod report;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use quarry_benches_dfs::conditions::Conditions;
use quarry_benches_dfs::systems::Cluster;
use quarry_benches_dfs::systems::hdfs::Hdfs;
use quarry_benches_dfs::systems::quarry::Launcher;

use load::Load;
use report::{Line, Report};

/// What to measure.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Numbers of clients that call at a time
    #[arg(long, value_delimiter = ',', default_value = "1,4,16,64")]
    clients: Vec<usize>,
    /// Connections that the clients share, at most one per client
    #[arg(long, default_value_t = 4)]
    connections: usize,
    /// How long each operation is called in each run
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// Runs; of each figure the best counts
    #[arg(long, default_value_t = 2)]
    runs: usize,
    /// The `quarry` binary [default: the one next to this program, else this program's own NameNode]
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

/// Measures and prints.
pub(crate) async fn run(args: Args) -> Result<()> {
    let conditions = Conditions::now();
    let scratch = match &args.dir {
        Some(dir) => tempfile::tempdir_in(dir),
        None => tempfile::tempdir(),
    };
    let scratch = scratch.context("make a directory for the servers")?;
    let launcher = Launcher::new(args.quarry.clone())?;
    let hdfs = Hdfs::find(args.jars.clone()).filter(|_| !args.alone);
    let mut report = Report::new(conditions, &args, &launcher, hdfs.as_ref());
    let mut systems = vec![launcher.start(&scratch.path().join("quarry"), 0).await?];
    if let Some(hdfs) = &hdfs {
        systems.push(hdfs.start(&scratch.path().join("hdfs"), 0).await?);
        warm_up(&systems[1], &args).await?;
    }
    for clients in &args.clients {
        for run in 0..args.runs {
            for system in &systems {
                let lines = measure(system, &args, *clients, &format!("/run{run}-{clients}")).await?;
                eprintln!("{} {clients} clients: {}", system.name, summary(&lines));
                report.add(system.name, *clients, lines);
            }
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

/// Lets the JVM compile what it is about to be measured on.
async fn warm_up(system: &Cluster, args: &Args) -> Result<()> {
    for round in 0..2 {
        measure(system, args, 16, &format!("/warm{round}")).await?;
    }
    Ok(())
}

async fn measure(system: &Cluster, args: &Args, clients: usize, root: &str) -> Result<Vec<Line>> {
    let time = Duration::from_secs_f64(args.seconds);
    let load = Load::new(system.rpc(args.connections.min(clients)), clients, time, root).await?;
    load.all().await.with_context(|| system.name)
}

fn summary(lines: &[Line]) -> String {
    let figures: Vec<_> = lines
        .iter()
        .map(|line| format!("{} {:.0}/s", line.operation, line.per_second))
        .collect();
    figures.join(", ")
}
