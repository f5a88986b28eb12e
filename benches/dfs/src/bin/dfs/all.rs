//! Every benchmark in one report, with the defaults of each but for what keeps the whole within minutes.

use anyhow::Result;
use clap::FromArgMatches;
use quarry_benches_dfs::output::OutputArgs;
use quarry_benches_dfs::report::Report;
use quarry_benches_dfs::systems::{Setup, SetupArgs};

use crate::{files, local, memory, metadata, throughput};

/// What to measure.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Leave out memory and restart, which take as long as all the rest
    #[arg(long)]
    no_memory: bool,
    #[command(flatten)]
    setup: SetupArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// Measures and prints. What was found so far is written after each part: a failure in a later one loses nothing.
pub(crate) async fn run(args: Args) -> Result<()> {
    let setup = Setup::new(&args.setup)?;
    let mut report = Report::new("all", "The file system beside Apache HDFS", &setup);
    if let Some(section) = local::measure(&setup)? {
        report.add(section);
    }
    report.add(metadata::measure(&setup, &defaults(&["--clients", "1,8,64,512", "--seconds", "1"])?).await?);
    args.output.save(&report)?;
    report.add(files::measure(&setup, &defaults(&[])?).await?);
    args.output.save(&report)?;
    report.add(throughput::measure(&setup, &defaults(&[])?).await?);
    if !args.no_memory {
        args.output.save(&report)?;
        report.add(memory::measure(&setup, &defaults(&[])?).await?);
    }
    args.output.write(&report)
}

/// A benchmark's own arguments, as its subcommand would read them from `given`.
fn defaults<A: clap::Args + FromArgMatches>(given: &[&str]) -> Result<A> {
    let command = A::augment_args(clap::Command::new("all").no_binary_name(true));
    Ok(A::from_arg_matches(&command.try_get_matches_from(given)?)?)
}
