//! A whole cluster in one process, `quarry local --nodes 3`: how soon it is ready, and how much memory it takes while nobody asks for anything.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use quarry_benches_dfs::output::OutputArgs;
use quarry_benches_dfs::process::Process;
use quarry_benches_dfs::report::{Report, Section};
use quarry_benches_dfs::systems::quarry::{END_LIMIT, Launcher};
use quarry_benches_dfs::systems::{START_LIMIT, Setup, SetupArgs};
use quarry_benches_dfs::table::Table;
use serde::Serialize;

/// Nodes of the cluster, each a DataNode and a worker.
const NODES: &str = "3";
/// Starts on one directory: the first one makes it.
const STARTS: usize = 3;
/// How long nobody asks for anything before the memory is looked at.
const IDLE: Duration = Duration::from_secs(5);

/// What to measure.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    setup: SetupArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// One start.
#[derive(Debug, Serialize)]
struct Start {
    on: &'static str,
    ready_seconds: f64,
    idle_resident_bytes: u64,
}

/// Measures and prints.
pub(crate) async fn run(args: Args) -> Result<()> {
    let setup = Setup::new(&args.setup)?;
    let Some(section) = measure(&setup)? else {
        bail!(
            "`quarry local` needs the real binary: build it with `cargo build --release -p quarry`, or name it with --quarry"
        );
    };
    let mut report = Report::new("local", "An idle cluster in one process", &setup);
    report.add(section);
    args.output.write(&report)
}

/// Measures; none without the real binary, as this program has no SQL engine in it.
pub(crate) fn measure(setup: &Setup) -> Result<Option<Section>> {
    if setup.launcher.own {
        eprintln!(
            "`quarry local` is left out: there is no `quarry` binary beside this program, and none was named with --quarry"
        );
        return Ok(None);
    }
    let dir = setup.dir("local");
    std::fs::create_dir_all(&dir)?;
    let mut starts = Vec::new();
    for number in 0..STARTS {
        let on = if number == 0 { "an empty directory" } else { "its own" };
        starts.push(start(&setup.launcher, &dir, on).context("quarry local")?);
    }
    let mut table = Table::of_numbers(["start on", "ready s", "idle MiB"]);
    for start in &starts {
        let mebibytes = start.idle_resident_bytes as f64 / f64::from(1 << 20);
        table.row([
            start.on.to_owned(),
            format!("{:.2}", start.ready_seconds),
            format!("{mebibytes:.0}"),
        ]);
    }
    let method = format!(
        "`quarry local --nodes {NODES}`: a NameNode, a coordinator, {NODES} DataNodes and workers in one process. Ready: from the start of \
         the process to its line `ready`. Idle: the process's resident memory {} s later.",
        IDLE.as_secs()
    );
    Ok(Some(Section {
        title: "An idle cluster in one process",
        method,
        tables: vec![table],
        results: serde_json::to_value(&starts)?,
    }))
}

fn start(launcher: &Launcher, dir: &Path, on: &'static str) -> Result<Start> {
    let mut command = Command::new(launcher.program());
    command
        .args(["local", "--supervised", "--nodes", NODES, "--dir"])
        .arg(dir.join("cluster"));
    command.current_dir(dir).env_remove("QUARRY_CONFIG");
    let began = Instant::now();
    let mut process = Process::start("quarry local", &mut command, &dir.join("local.log"))?;
    process.wait_for_line("ready ", START_LIMIT)?;
    let ready_seconds = began.elapsed().as_secs_f64();
    std::thread::sleep(IDLE);
    process.check_alive()?;
    let idle_resident_bytes = process.resident_bytes();
    process.end(END_LIMIT);
    Ok(Start {
        on,
        ready_seconds,
        idle_resident_bytes,
    })
}
