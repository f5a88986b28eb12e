//! TPC-DS on a Quarry cluster and on plain DataFusion over the same files, on one machine, in turn.
//!
//! 1. The texts are read and adapted ([`texts`]); the data is generated and copied into a cluster ([`tables`], [`data`]).
//! 2. Each text runs on both engines in turn, and their answers are compared ([`run`], [`answers`]).
//! 3. Outcomes, times and ratios are shown, and written with the conditions of the run ([`report`], [`markdown`]).
//!
//! The exit code is 0 only if all answers were the same, apart from those that are listed with a reason ([`known`]).

mod answers;
mod args;
mod data;
mod known;
mod markdown;
mod report;
mod run;
mod tables;
mod texts;

use std::process::ExitCode;

use clap::Parser;
use quarry::local::LocalCluster;
use quarry_benches::conditions::Conditions;
use quarry_benches::home::{Data, Home};
use quarry_benches::peer::Peer;
use quarry_benches::program;
use quarry_benches::setup::Setup;
use tokio::runtime::Handle;

use args::Args;
use data::SCHEMA;
use report::{Line, Report};
use run::Race;
use texts::Text;

fn main() -> ExitCode {
    let args = Args::parse();
    program::run("tpcds", |conditions, plain| benchmark(args, conditions, plain))
}

/// Runs the benchmark; whether all answers were as expected.
async fn benchmark(args: Args, conditions: Conditions, plain: Handle) -> anyhow::Result<bool> {
    let texts = texts::choose(texts::read(args.texts.as_deref())?, &args.queries)?;
    let home = Home::new(args.cluster.data.as_deref())?;
    let found = home.found(args.scale, args.cluster.nodes)?;
    let cluster = Box::pin(LocalCluster::start(args.cluster.options(home.cluster())?)).await?;
    let outcome = Box::pin(measure(&args, &texts, &home, found, &cluster, plain)).await;
    let setup = Setup::new(&args.cluster, &cluster, vec![args.partitions()], args.runs);
    cluster.shutdown().await;
    let (data, lines) = outcome?;
    let report = Report::new(conditions, setup, data, lines, &texts);
    args.output.write(&report)?;
    Ok(report.is_as_expected())
}

async fn measure(
    args: &Args,
    texts: &[Text],
    home: &Home,
    found: Option<Data>,
    cluster: &LocalCluster,
    runtime: Handle,
) -> anyhow::Result<(Data, Vec<Line>)> {
    let data = match found {
        Some(data) => data,
        None => Box::pin(data::load(home, cluster, args.scale, args.cluster.nodes)).await?,
    };
    let mut quarry = cluster.sql().await?;
    quarry.use_schema(SCHEMA).await?;
    let peer = Peer::open(&home.files(), tables::names(), args.partitions(), runtime).await?;
    let runs = args.runs;
    let mut race = Race { quarry, peer, runs };
    let mut lines = Vec::with_capacity(texts.len());
    for text in texts {
        let line = Box::pin(race.text(text)).await;
        eprintln!("{}", markdown::progress(&line));
        lines.push(line);
    }
    Ok((data, lines))
}
