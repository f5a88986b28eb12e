//! Bytes per second through the data path: the same native client on Quarry and on Apache HDFS in turns, beside what loopback TCP and
//! plain `pread` move on the same machine in the same run.
//!
//! Every byte that is read has its CRC checked by the client. Files are in the page cache: the code is measured, not the disk; but
//! a write ends with its fsync, on both systems.

mod load;
mod raw;

use std::time::Duration;

use anyhow::{Context, Result};
use bytesize::ByteSize;
use quarry_benches_dfs::output::OutputArgs;
use quarry_benches_dfs::report::{Comparison, Line, RAW, Report, Section, Source};
use quarry_benches_dfs::systems::{Setup, SetupArgs};

use load::Load;

/// DataNodes of each system: as many as the longest pipeline.
const DATANODES: usize = 3;
/// The client's name in tables.
const NATIVE: &str = "native";

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

/// How much load.
#[derive(Debug, clap::Args)]
pub(crate) struct LoadArgs {
    /// Bytes that all clients together read or write sequentially in each run
    #[arg(long, default_value = "256MiB")]
    pub(crate) size: ByteSize,
    /// Numbers of clients that work at a time
    #[arg(long, value_delimiter = ',', default_value = "1,8")]
    pub(crate) clients: Vec<usize>,
    /// How long random reads go on in each run
    #[arg(long, default_value_t = 1.0)]
    pub(crate) seconds: f64,
    /// Runs; of each figure the best counts
    #[arg(long, default_value_t = 3)]
    pub(crate) runs: usize,
    /// Measure only operations whose name contains this
    #[arg(long)]
    only: Option<String>,
}

/// How fast loopback TCP and `pread` are, alone.
#[derive(Debug, clap::Args)]
pub(crate) struct LoopbackArgs {
    /// Bytes to move
    #[arg(long, default_value = "1GiB")]
    size: ByteSize,
    /// Directory for the file that is read [default: a temporary one]
    #[arg(long, default_value_os_t = std::env::temp_dir())]
    dir: std::path::PathBuf,
}

/// Measures and prints the denominators alone.
pub(crate) fn loopback(args: &LoopbackArgs) -> Result<()> {
    let scratch = tempfile::tempdir_in(&args.dir).context("make a directory for the file")?;
    let file = scratch.path().join("file");
    let size = args.size.as_u64();
    raw::fill(&file, size.min(256 << 20))?;
    for (name, checked) in [
        ("loopback TCP:", raw::Checked::No),
        ("loopback TCP, CRC32C:", raw::Checked::Yes),
    ] {
        println!("{name:22} {:.0} MiB/s", per_second(size, raw::loopback(size, checked)?));
    }
    let read = raw::pread(&[file], 1 << 20, size)?;
    println!("{:22} {:.0} MiB/s", "pread:", per_second(size, read));
    Ok(())
}

/// MiB per second.
fn per_second(bytes: u64, time: Duration) -> f64 {
    bytes as f64 / f64::from(1 << 20) / time.as_secs_f64()
}

/// Measures and prints.
pub(crate) async fn run(args: Args) -> Result<()> {
    let setup = Setup::new(&args.setup)?;
    let mut report = Report::new("throughput", "Reads and writes", &setup);
    report.add(measure(&setup, &args.load).await?);
    args.output.write(&report)
}

/// Measures.
pub(crate) async fn measure(setup: &Setup, args: &LoadArgs) -> Result<Section> {
    let systems = setup.start("throughput", DATANODES).await?;
    let mut figures = Comparison::default();
    for clients in &args.clients {
        let loads: Vec<_> = systems.iter().map(|system| Load::new(system, args, *clients)).collect();
        for load in &loads {
            load.prepare().await.with_context(|| load.system())?;
        }
        for _ in 0..args.runs {
            for line in raw::lines(&loads[0], args.size.as_u64(), *clients)? {
                add(&mut figures, RAW, *clients, line);
            }
            for operation in load::OPERATIONS {
                if args.only.as_ref().is_some_and(|only| !operation.name().contains(only)) {
                    continue;
                }
                for load in &loads {
                    if let Some(line) = load.measure(operation).await.with_context(|| load.system())? {
                        add(&mut figures, load.system(), *clients, line);
                    }
                }
            }
        }
        for load in &loads {
            load.clear().await?;
        }
    }
    let method = format!(
        "{} MiB by all clients together, in the page cache, CRC32C checked by the reader; writes end when every replica is fsynced, on both \
         systems. One client, Quarry's own, for both, on the same cores; {DATANODES} DataNodes each; {} runs in turns, the best counts. raw: \
         for sequential reads over TCP what one loopback stream moves between two threads, the receiver computing the CRC32C of each 512 \
         bytes; for sequential local reads plain `pread` of the same block files. CPU: processor time of all servers per MiB, by the \
         kernel's count.",
        args.size.as_u64() >> 20,
        args.runs
    );
    figures.section("Reads and writes", method)
}

fn add(figures: &mut Comparison, system: &'static str, clients: usize, line: Line) {
    eprintln!("{system} {clients} clients: {line}");
    let source = Source {
        system,
        client: NATIVE,
        clients,
    };
    figures.add(source, line);
}
