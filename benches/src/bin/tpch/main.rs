//! TPC-H on a Quarry cluster and on plain DataFusion over the same files, on one machine, in turn.
//!
//! 1. A cluster is started and loaded once; its files are copied out, for the peers ([`tpch_data`]).
//! 2. Each query runs on all engines in turn, first to warm up, then for the clock ([`run`]); engines by others take part in processes of
//!    their own, if they are asked for ([`foreign`]).
//! 3. Ratios and totals are shown, and written with the conditions of the run ([`report`], [`markdown`]).
//!
//! The exit code is 0 only if all engines gave the same answers; how fast they were does not change it.

mod args;
mod chart;
mod foreign;
mod markdown;
mod report;
mod run;

use std::process::ExitCode;

use clap::Parser;
use quarry::local::LocalCluster;
use quarry::tpch::{QUERIES, Table};
use quarry_benches::conditions::Conditions;
use quarry_benches::home::{Data, Home};
use quarry_benches::output::write_file;
use quarry_benches::peer::Peer;
use quarry_benches::program;
use quarry_benches::setup::Setup;
use quarry_benches::tpch_data::{self, SCHEMA};
use tokio::runtime::Handle;

use args::Args;
use foreign::Foreign;
use report::{Line, Pick, Report, Version};
use run::Race;

fn main() -> ExitCode {
    let args = Args::parse();
    program::run("tpch", |conditions, plain| benchmark(args, conditions, plain))
}

/// Runs the benchmark; whether all answers were right.
async fn benchmark(args: Args, conditions: Conditions, plain: Handle) -> anyhow::Result<bool> {
    let home = Home::new(args.cluster.data.as_deref())?;
    let found = home.found(args.scale, args.cluster.nodes)?;
    let cluster = Box::pin(LocalCluster::start(args.cluster.options(home.cluster())?)).await?;
    let outcome = Box::pin(measure(&args, &home, found, &cluster, &plain)).await;
    let setup = Setup::new(&args.cluster, &cluster, args.partitions(), args.runs);
    cluster.shutdown().await;
    let (data, lines, versions) = outcome?;
    let report = Report::new(conditions, setup, data, lines, versions);
    publish(&args, &report)?;
    Ok(report.is_right())
}

async fn measure(
    args: &Args,
    home: &Home,
    found: Option<Data>,
    cluster: &LocalCluster,
    runtime: &Handle,
) -> anyhow::Result<(Data, Vec<Line>, Vec<Version>)> {
    let data = match found {
        Some(data) => data,
        None => Box::pin(tpch_data::load(home, cluster, args.scale, args.cluster.nodes)).await?,
    };
    let mut race = race(args, home, cluster, runtime).await?;
    let mut lines = Vec::with_capacity(QUERIES.len());
    for query in &QUERIES {
        if args.queries.is_empty() || args.queries.contains(&query.id) {
            let line = race.query(query).await;
            progress(&line);
            lines.push(line);
        }
    }
    let mut versions = Vec::new();
    for engine in race.foreign {
        versions.push(Version::of(&engine));
        engine.close().await;
    }
    Ok((data, lines, versions))
}

async fn race(args: &Args, home: &Home, cluster: &LocalCluster, runtime: &Handle) -> anyhow::Result<Race> {
    let mut quarry = cluster.sql().await?;
    quarry.use_schema(SCHEMA).await?;
    let mut peers = Vec::new();
    for partitions in args.partitions() {
        peers.push(Peer::open(&home.files(), Table::ALL.map(Table::name), partitions, runtime.clone()).await?);
    }
    let mut foreign = Vec::new();
    for (engine, place) in args.foreign() {
        foreign.push(Foreign::open(engine, place, &home.files()).await?);
    }
    Ok(Race {
        quarry,
        peers,
        foreign,
        scale: args.scale,
        runs: args.runs,
    })
}

fn progress(line: &Line) {
    match (line.quarry(Pick::Min), line.best_plain(Pick::Min), &line.problem) {
        (Some(quarry), Some((_, plain)), None) => eprintln!("Q{}: {quarry:.1} ms, plain {plain:.1} ms", line.id),
        (_, _, problem) => eprintln!("Q{}: {}", line.id, problem.as_deref().unwrap_or("no run")),
    }
    for runs in &line.foreign {
        match (runs.ms.min(), &runs.trouble) {
            (_, Some(trouble)) => eprintln!("Q{}: {} {trouble}", line.id, runs.engine),
            (Some(ms), None) => eprintln!("Q{}: {} {ms:.1} ms", line.id, runs.engine),
            (None, None) => {}
        }
    }
}

fn publish(args: &Args, report: &Report) -> anyhow::Result<()> {
    args.output.write(report)?;
    let in_folder = args.output.in_folder(report, "svg");
    for path in [&args.svg, &in_folder].into_iter().flatten() {
        write_file(path, &chart::svg(report))?;
    }
    Ok(())
}
