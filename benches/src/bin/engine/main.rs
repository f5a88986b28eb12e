//! What the engine owes beyond the speed of single queries: its floor, many sessions at a time, writing, placing blocks.
//!
//! 1. `floor`: the shortest statements, and the way to a first row ([`floor`]).
//! 2. `streams`: the queries of TPC-H from many sessions at a time, beside one ([`streams`]).
//! 3. `ctas`: a big table written by a statement ([`ctas`]).
//! 4. `placement`: a million blocks on a thousand nodes, without any cluster ([`placement`]).
//!
//! The first and the third stand beside plain DataFusion in the same run. The exit code is 0 only if every statement succeeded and was answered
//! right; how fast that was does not change it.

mod args;
mod bed;
mod ctas;
mod floor;
mod memory;
mod placement;
mod report;
mod streams;

use std::process::ExitCode;

use clap::Parser;
use quarry_benches::conditions::Conditions;
use quarry_benches::program;
use tokio::runtime::Handle;

use args::{Args, CommonArgs, Part, What};
use bed::Beds;
use report::{Finding, Report};

fn main() -> ExitCode {
    let args = Args::parse();
    program::run("engine", |conditions, plain| benchmark(args.what, conditions, plain))
}

/// Runs the benchmark; whether all answers were right.
async fn benchmark(what: What, conditions: Conditions, plain: Handle) -> anyhow::Result<bool> {
    let args = what.common();
    let beds = Beds::new(args)?;
    let mut report = Report::new(&what, conditions);
    for part in what.parts() {
        report.add(Box::pin(measure(part, args, &beds, &plain)).await?);
        // Anew after each part: what was measured stays if a later one fails.
        args.output.save(&report)?;
    }
    print!("{report}");
    Ok(report.is_right())
}

async fn measure(part: Part, args: &CommonArgs, beds: &Beds<'_>, plain: &Handle) -> anyhow::Result<Finding> {
    eprintln!("measuring {}", part.name());
    match part {
        Part::Floor => Box::pin(floor::measure(&beds.replicated().await?, args, plain)).await,
        Part::Streams(streams) => Box::pin(streams::measure(&beds.replicated().await?, args, &streams)).await,
        Part::Ctas => Box::pin(ctas::measure(&beds.unreplicated().await?, args, plain)).await,
        Part::Placement(placement) => placement::measure(args, &placement),
    }
}
