//! Small files: how long it takes to create a file, write 4 KiB and close it, with Hadoop's own Java client and with Quarry's, and how often
//! a client had to ask again whether its file is complete.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use quarry_benches_dfs::output::OutputArgs;
use quarry_benches_dfs::report::{Comparison, Latencies, Line, Report, Section, Source, Unit};
use quarry_benches_dfs::stock_client::{Amount, FILES, STOCK, StockClient, Work};
use quarry_benches_dfs::systems::{Cluster, Setup, SetupArgs};
use quarry_dfs_client::{CreateOptions, DfsClient, DfsClientConfig};
use tokio::task::JoinSet;

/// DataNodes of each system: as many as a file has replicas.
const DATANODES: usize = 3;
/// Bytes of a file.
const LENGTH: usize = 4096;
/// Quarry's client's name in tables.
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
    /// Numbers of clients that write at a time
    #[arg(long, value_delimiter = ',', default_value = "1,8")]
    clients: Vec<usize>,
    /// How long files are written in each run
    #[arg(long, default_value_t = 5.0)]
    pub(crate) seconds: f64,
    /// Runs; the one with the most files counts
    #[arg(long, default_value_t = 2)]
    pub(crate) runs: usize,
    /// Leave Hadoop's client out
    #[arg(long)]
    no_stock: bool,
}

/// Measures and prints.
pub(crate) async fn run(args: Args) -> Result<()> {
    let setup = Setup::new(&args.setup)?;
    let mut report = Report::new("files", "Files of 4 KiB", &setup);
    report.add(measure(&setup, &args.load).await?);
    args.output.write(&report)
}

/// Measures.
pub(crate) async fn measure(setup: &Setup, args: &LoadArgs) -> Result<Section> {
    let systems = setup.start("files", DATANODES).await?;
    let stock = match setup.hdfs.as_ref().filter(|_| !args.no_stock) {
        Some(hdfs) => Some(StockClient::new(hdfs, setup.dir("stock-files")).await?),
        None => None,
    };
    let time = Duration::from_secs_f64(args.seconds);
    let mut figures = Comparison::default();
    for clients in &args.clients {
        for run in 0..args.runs {
            for system in &systems {
                if run == 0 {
                    native(system, *clients, time / 4).await?;
                }
                add(
                    &mut figures,
                    system,
                    NATIVE,
                    *clients,
                    native(system, *clients, time).await?,
                );
                if let Some(stock) = &stock {
                    for line in stock.run(system, Work::Files, amount(*clients, time)).await? {
                        add(&mut figures, system, STOCK, *clients, line);
                    }
                }
            }
        }
    }
    let method = format!(
        "Create, write {LENGTH} bytes, close; 3 replicas on {DATANODES} DataNodes. {} s per run after a warm-up, {} runs in turns on both \
         systems, the one with the most files counts; repeated `complete` calls are those of all runs. Quarry fsyncs each replica before it is \
         acknowledged. Apache HDFS does so only if the client asks: Quarry's (`native`) does, Hadoop's own (`{STOCK}`) does not.",
        args.seconds, args.runs
    );
    figures.section("Files of 4 KiB", method)
}

fn amount(threads: usize, time: Duration) -> Amount {
    Amount {
        threads,
        connections: 1,
        warm_up: time / 2,
        time,
    }
}

fn add(figures: &mut Comparison, system: &Cluster, client: &'static str, clients: usize, line: Line) {
    eprintln!("{} {clients} {client}: {line}, {:?}", system.name, line.latencies);
    let source = Source {
        system: system.name,
        client,
        clients,
    };
    figures.add(source, line);
}

/// Quarry's client.
async fn native(system: &Cluster, clients: usize, time: Duration) -> Result<Line> {
    let config = DfsClientConfig {
        user: system.user.clone(),
        ..DfsClientConfig::new(system.namenode.to_string())
    };
    let (cpu_before, began) = (system.cpu_micros(), Instant::now());
    let mut tasks = JoinSet::new();
    for number in 0..clients {
        let client = DfsClient::new(config.clone());
        tasks.spawn(async move { write_files(&client, number, began + time).await });
    }
    let (mut all, mut repeats) = (Vec::new(), 0);
    while let Some(ended) = tasks.join_next().await {
        let (latencies, repeated) = ended?.with_context(|| system.name)?;
        all.extend(latencies);
        repeats += repeated;
    }
    let (files, seconds) = (all.len() as f64, began.elapsed().as_secs_f64());
    let cpu = (system.cpu_micros() - cpu_before) as f64;
    DfsClient::new(config).delete("/files", true).await?;
    Ok(Line {
        latencies: Some(Latencies::of(all)),
        server_micros: Some(cpu / files),
        complete_repeats: Some(repeats),
        ..Line::new(FILES, Unit::Rate, files / seconds)
    })
}

/// The microseconds of each file, and how often `complete` was asked again.
async fn write_files(client: &DfsClient, number: usize, end: Instant) -> Result<(Vec<u32>, u64)> {
    let bytes = Bytes::from(vec![7; LENGTH]);
    let mut latencies = Vec::new();
    loop {
        let began = Instant::now();
        if began >= end {
            return Ok((latencies, client.figures().complete_repeats));
        }
        let path = format!("/files/c{number}/f{}", latencies.len());
        let mut file = client.create(&path, CreateOptions::default()).await?;
        file.write(bytes.clone()).await?;
        let status = file.close().await?;
        latencies.push(u32::try_from(began.elapsed().as_micros()).unwrap_or(u32::MAX));
        ensure!(status.length == LENGTH as u64, "{path} has {} bytes", status.length);
    }
}
