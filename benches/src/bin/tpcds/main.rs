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

use std::fs;
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Parser;
use quarry::config::{LogConfig, LogFormat};
use quarry::local::LocalCluster;
use quarry::shutdown::Signals;
use quarry::telemetry;
use quarry_benches::conditions::{Conditions, cores};
use quarry_benches::home::{Data, Home};
use quarry_benches::peer::{Peer, threads};
use tokio::runtime::Handle;

use args::Args;
use data::SCHEMA;
use report::{Line, Report, Setup};
use run::Race;
use texts::Text;

fn main() -> ExitCode {
    match start(&Args::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("tpcds: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the benchmark; whether all answers were as expected.
fn start(args: &Args) -> anyhow::Result<bool> {
    let log = LogConfig {
        filter: "warn".into(),
        format: LogFormat::Text,
    };
    telemetry::start(&log)?;
    let conditions = Conditions::now();
    let texts = texts::choose(texts::read(args.texts.as_deref())?, &args.queries)?;
    // Runtimes of their own: the cluster's heartbeats shall not run on the peer's threads.
    let (runtime, peers) = (threads()?, threads()?);
    runtime.block_on(async {
        let mut signals = Signals::listen()?;
        tokio::select! {
            outcome = Box::pin(benchmark(args, &texts, conditions, peers.handle())) => outcome,
            // The benchmark is dropped: temporary data is deleted.
            () = signals.next() => bail!("interrupted"),
        }
    })
}

async fn benchmark(args: &Args, texts: &[Text], conditions: Conditions, peers: &Handle) -> anyhow::Result<bool> {
    let home = Home::new(args.data.as_deref())?;
    let found = home.found(args.scale, args.nodes)?;
    let cluster = Box::pin(LocalCluster::start(args.cluster(home.cluster()))).await?;
    let outcome = Box::pin(measure(args, texts, &home, found, &cluster, peers)).await;
    let setup = setup(args, &cluster);
    cluster.shutdown().await;
    let (data, lines) = outcome?;
    let report = Report::new(conditions, setup, data, lines, texts);
    publish(args, &report)?;
    Ok(report.is_as_expected())
}

async fn measure(
    args: &Args,
    texts: &[Text],
    home: &Home,
    found: Option<Data>,
    cluster: &LocalCluster,
    runtime: &Handle,
) -> anyhow::Result<(Data, Vec<Line>)> {
    let data = match found {
        Some(data) => data,
        None => Box::pin(data::load(home, cluster, args.scale, args.nodes)).await?,
    };
    let mut quarry = cluster.sql().await?;
    quarry.use_schema(SCHEMA).await?;
    let peer = Peer::open(&home.files(), tables::names(), args.partitions(), runtime.clone()).await?;
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

fn setup(args: &Args, cluster: &LocalCluster) -> Setup {
    Setup {
        worker_threads: cluster.worker_threads(),
        plain_threads: cores(),
        plain_partitions: args.partitions(),
        settings: args
            .settings
            .iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect(),
        runs: args.runs,
    }
}

fn publish(args: &Args, report: &Report) -> anyhow::Result<()> {
    print!("{report}");
    let json = serde_json::to_vec_pretty(report)?;
    if let Some(path) = &args.json {
        fs::write(path, &json).with_context(|| path.display().to_string())?;
    }
    if let Some(dir) = &args.out {
        let name = format!("tpcds-sf{}-{}", report.data.scale, report.conditions.date);
        fs::create_dir_all(dir).with_context(|| dir.display().to_string())?;
        fs::write(dir.join(format!("{name}.json")), &json).with_context(|| dir.display().to_string())?;
        fs::write(dir.join(format!("{name}.md")), report.to_string()).with_context(|| dir.display().to_string())?;
    }
    Ok(())
}
