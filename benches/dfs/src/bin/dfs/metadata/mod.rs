//! Metadata operations: the same load on Quarry's NameNode and on Apache HDFS's, in turns. One load is native and takes as little of the
//! machine as it can; the other is Hadoop's own Java client.

mod connection;
mod load;
pub(crate) mod operations;

use std::time::Duration;

use anyhow::{Context, Result};
use quarry_benches_dfs::output::OutputArgs;
use quarry_benches_dfs::report::{Comparison, Line, Report, Section, Source};
use quarry_benches_dfs::stock_client::{Amount, STOCK, StockClient, Work};
use quarry_benches_dfs::systems::{Cluster, Setup, SetupArgs};

use load::Load;

/// The native load's name in tables.
const NATIVE: &str = "native";

/// What to measure.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) load: LoadArgs,
    #[command(flatten)]
    setup: SetupArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// How much load.
#[derive(Debug, clap::Args)]
pub(crate) struct LoadArgs {
    /// Numbers of native clients that call at a time
    #[arg(long, value_delimiter = ',', default_value = "1,4,16,64")]
    pub(crate) clients: Vec<usize>,
    /// Connections that native clients share, at most one per client
    #[arg(long, default_value_t = 4)]
    connections: usize,
    /// How long each operation is called in each run
    #[arg(long, default_value_t = 2.0)]
    pub(crate) seconds: f64,
    /// Runs; of each figure the best counts
    #[arg(long, default_value_t = 2)]
    pub(crate) runs: usize,
    /// Threads of the stock Java client, over 4 connections; 0 leaves it out
    #[arg(long, default_value_t = 8)]
    stock_threads: usize,
}

/// Connections of the stock client.
const STOCK_CONNECTIONS: usize = 4;

/// Measures and prints.
pub(crate) async fn run(args: Args) -> Result<()> {
    let setup = Setup::new(&args.setup)?;
    let mut report = Report::new("metadata", "Metadata operations", &setup);
    report.add(measure(&setup, &args.load).await?);
    args.output.write(&report)
}

/// Measures.
pub(crate) async fn measure(setup: &Setup, args: &LoadArgs) -> Result<Section> {
    let systems = setup.start("metadata", 0).await?;
    // Lets the JVM compile what it is about to be measured on, and the other one have the same.
    for system in &systems {
        for round in 0..2 {
            native(system, args, 16, format!("/warm{round}")).await?;
        }
    }
    let mut figures = Comparison::default();
    for clients in &args.clients {
        for run in 0..args.runs {
            for system in &systems {
                let lines = native(system, args, *clients, format!("/run{run}-{clients}")).await?;
                add(&mut figures, system, NATIVE, *clients, lines);
            }
        }
    }
    if let Some(hdfs) = setup.hdfs.as_ref().filter(|_| args.stock_threads > 0) {
        let client = StockClient::new(hdfs, setup.dir("stock-metadata")).await?;
        for _ in 0..args.runs {
            for system in &systems {
                let lines = stock(&client, system, args).await?;
                add(&mut figures, system, STOCK, args.stock_threads, lines);
            }
        }
    }
    let method = format!(
        "Durable operations of an empty NameNode: `create+close` is two calls and counts once. {} s per operation, in turns on both \
         systems; of {} runs the best counts. The load shares the machine's cores with the server: `native` is a thread per connection \
         that keeps one call of each client under way, over at most {} connections; `{STOCK}` is Hadoop's own client in a JVM with one \
         thread per client, over {STOCK_CONNECTIONS} connections. CPU: processor time of the server per operation, by the kernel's count.",
        args.seconds, args.runs, args.connections
    );
    figures.section("Metadata operations", method)
}

fn add(figures: &mut Comparison, system: &Cluster, client: &'static str, clients: usize, lines: Vec<Line>) {
    for line in lines {
        eprintln!("{} {clients} {client}: {line}", system.name);
        let source = Source {
            system: system.name,
            client,
            clients,
        };
        figures.add(source, line);
    }
}

async fn native(system: &Cluster, args: &LoadArgs, clients: usize, root: String) -> Result<Vec<Line>> {
    let time = Duration::from_secs_f64(args.seconds);
    let load = Load::new(system, clients, args.connections, time, root).await?;
    load.all().await.with_context(|| system.name)
}

async fn stock(client: &StockClient, system: &Cluster, args: &LoadArgs) -> Result<Vec<Line>> {
    let time = Duration::from_secs_f64(args.seconds);
    let amount = Amount {
        threads: args.stock_threads,
        connections: STOCK_CONNECTIONS,
        warm_up: time,
        time,
    };
    client.run(system, Work::Metadata, amount).await
}
