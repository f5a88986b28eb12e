//! TPC-H on a Quarry cluster and on plain DataFusion over the same files, on one machine, in turn.
//!
//! 1. A cluster is started and loaded once; its files are copied out, for the peer ([`data`]).
//! 2. Each query runs on all engines in turn, first to warm up, then for the clock ([`run`]).
//! 3. Ratios and totals are shown, and written with the conditions of the run ([`report`], [`markdown`]).
//!
//! The exit code is 0 only if all engines gave the same answers; how fast they were does not change it.

mod args;
mod chart;
mod data;
mod duckdb;
mod markdown;
mod report;
mod run;

use std::fs;
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Parser;
use quarry::config::{LogConfig, LogFormat};
use quarry::local::LocalCluster;
use quarry::shutdown::Signals;
use quarry::telemetry;
use quarry::tpch::{QUERIES, Table};
use quarry_benches::conditions::{Conditions, cores};
use quarry_benches::home::{Data, Home};
use quarry_benches::peer::{Peer, threads};
use tokio::runtime::Handle;

use args::Args;
use data::SCHEMA;
use duckdb::DuckDb;
use report::{Line, Pick, Report, Setup};
use run::Race;

fn main() -> ExitCode {
    match start(&Args::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("tpch: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the benchmark; whether all answers were right.
fn start(args: &Args) -> anyhow::Result<bool> {
    let log = LogConfig {
        filter: "warn".into(),
        format: LogFormat::Text,
    };
    telemetry::start(&log)?;
    let conditions = Conditions::now();
    // Runtimes of their own: the cluster's heartbeats shall not run on the peer's threads.
    let (runtime, peers) = (threads()?, threads()?);
    runtime.block_on(async {
        let mut signals = Signals::listen()?;
        tokio::select! {
            outcome = Box::pin(benchmark(args, conditions, peers.handle())) => outcome,
            // The benchmark is dropped: child processes end, and temporary data is deleted.
            () = signals.next() => bail!("interrupted"),
        }
    })
}

async fn benchmark(args: &Args, conditions: Conditions, peers: &Handle) -> anyhow::Result<bool> {
    let home = Home::new(args.data.as_deref())?;
    let found = home.found(args.scale, args.nodes)?;
    let cluster = Box::pin(LocalCluster::start(args.cluster(home.cluster())?)).await?;
    let outcome = Box::pin(measure(args, &home, found, &cluster, peers)).await;
    let mut setup = setup(args, &cluster);
    cluster.shutdown().await;
    let (data, lines, duckdb) = outcome?;
    setup.duckdb = duckdb;
    let report = Report::new(conditions, setup, data, lines);
    publish(args, &report)?;
    Ok(report.is_right())
}

async fn measure(
    args: &Args,
    home: &Home,
    found: Option<Data>,
    cluster: &LocalCluster,
    runtime: &Handle,
) -> anyhow::Result<(Data, Vec<Line>, Option<String>)> {
    let data = match found {
        Some(data) => data,
        None => Box::pin(data::load(home, cluster, args.scale, args.nodes)).await?,
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
    let duckdb = race.duckdb.map(|duckdb| duckdb.version().to_owned());
    Ok((data, lines, duckdb))
}

async fn race(args: &Args, home: &Home, cluster: &LocalCluster, runtime: &Handle) -> anyhow::Result<Race> {
    let mut quarry = cluster.sql().await?;
    quarry.use_schema(SCHEMA).await?;
    let mut peers = Vec::new();
    for partitions in args.partitions() {
        peers.push(Peer::open(&home.files(), Table::ALL.map(Table::name), partitions, runtime.clone()).await?);
    }
    let duckdb = match &args.duckdb {
        Some(python) => Some(DuckDb::open(python, &home.files(), cores()).await?),
        None => None,
    };
    Ok(Race {
        quarry,
        peers,
        duckdb,
        scale: args.scale,
        runs: args.runs,
    })
}

fn setup(args: &Args, cluster: &LocalCluster) -> Setup {
    Setup {
        processes: args.processes,
        worker_threads: cluster.worker_threads(),
        plain_threads: cores(),
        duckdb: None,
        settings: args
            .settings
            .iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect(),
        runs: args.runs,
    }
}

fn progress(line: &Line) {
    match (line.quarry(Pick::Min), line.best_plain(Pick::Min), &line.problem) {
        (Some(quarry), Some((_, plain)), None) => eprintln!("Q{}: {quarry:.1} ms, plain {plain:.1} ms", line.id),
        (_, _, problem) => eprintln!("Q{}: {}", line.id, problem.as_deref().unwrap_or("no run")),
    }
}

fn publish(args: &Args, report: &Report) -> anyhow::Result<()> {
    print!("{report}");
    if let Some(path) = &args.json {
        fs::write(path, serde_json::to_vec_pretty(report)?).with_context(|| path.display().to_string())?;
    }
    if let Some(path) = &args.svg {
        fs::write(path, chart::svg(report)).with_context(|| path.display().to_string())?;
    }
    if let Some(path) = &args.markdown {
        fs::write(path, report.to_string()).with_context(|| path.display().to_string())?;
    }
    Ok(())
}
