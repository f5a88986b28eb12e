//! `quarry demo`: a whole cluster in this process, TPC-H loaded into it, its 22 queries asked over Flight SQL as any
//! client would, and every answer compared with plain DataFusion over the same files.

mod compare;
mod reference;
mod report;

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use arrow::array::RecordBatch;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};

pub use compare::{Difference, compare};
pub use report::{Line, Report, Totals};

use crate::config::Layers;
use crate::local::{LocalCluster, LocalOptions};
use crate::sql::{Format, Shell, ShellOptions, SqlClient};
use crate::tpch::{self, LoadArgs, Measured, QUERIES, Query};
use reference::Reference;

/// Schema that the demonstration loads.
const SCHEMA: &str = "tpch";
/// Rows that the prompt's tables show.
const PROMPT_ROWS: usize = 1000;

/// Flags of `quarry demo`.
#[derive(Debug, Clone, Args)]
pub struct DemoArgs {
    /// Scale factor of the data: 1 is about 1 GB of text, 300 MB of Parquet
    #[arg(long, value_name = "SF", default_value_t = 1.0, value_parser = tpch::scale_factor)]
    pub scale: f64,
    /// Nodes of the cluster, each a DataNode with a worker beside it
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub nodes: u16,
    /// Timed runs of each query on each engine; the fastest counts
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..))]
    pub runs: u32,
    /// Write the figures as JSON
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Keep the cluster's data here [default: a temporary directory, deleted at the end]
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// Keep the temporary directory, and say where it is
    #[arg(long, conflicts_with = "dir")]
    pub keep: bool,
}

/// Runs `quarry demo`. The exit code is 0 only if all 22 answers are right.
///
/// # Errors
/// The cluster did not start, or the data could not be loaded.
pub async fn run(args: DemoArgs, layers: Layers) -> anyhow::Result<ExitCode> {
    // Held to the end: dropping it deletes the data.
    let directory = Directory::new(&args)?;
    let options = LocalOptions {
        layers,
        remember: false,
        ..LocalOptions::new(directory.path()).nodes(args.nodes)
    };
    let cluster = Box::pin(LocalCluster::start(options)).await?;
    let outcome = Box::pin(show(&args, &cluster)).await;
    cluster.shutdown().await;
    directory.farewell();
    outcome
}

/// Where the data lies.
enum Directory {
    Temporary(tempfile::TempDir),
    Kept(PathBuf),
}

impl Directory {
    fn new(args: &DemoArgs) -> anyhow::Result<Self> {
        if let Some(dir) = &args.dir {
            return Ok(Self::Kept(dir.clone()));
        }
        let temporary = tempfile::Builder::new()
            .prefix("quarry-demo-")
            .tempdir()
            .context("a temporary directory")?;
        Ok(if args.keep {
            Self::Kept(temporary.keep())
        } else {
            Self::Temporary(temporary)
        })
    }

    fn path(&self) -> &Path {
        match self {
            Self::Temporary(dir) => dir.path(),
            Self::Kept(dir) => dir,
        }
    }

    fn farewell(&self) {
        if let Self::Kept(dir) = self {
            let dir = dir.display();
            eprintln!("The data stays in {dir}: quarry local --dir {dir} --nodes N serves it again.");
        }
    }
}

async fn show(args: &DemoArgs, cluster: &LocalCluster) -> anyhow::Result<ExitCode> {
    let url = cluster.sql_url();
    eprintln!(
        "Cluster of {} nodes: NameNode {}, Flight SQL {url}",
        args.nodes,
        cluster.endpoints().namenode.rpc
    );
    let mut sql = SqlClient::connect(&url, &cluster.user()).await?;
    let load = LoadArgs {
        scale: args.scale,
        schema: SCHEMA.into(),
        overwrite: true,
        directory: "/tpch".into(),
    };
    let loaded = Box::pin(tpch::load(&cluster.dfs(), &mut sql, &load))
        .await
        .context("loading TPC-H")?;
    eprintln!("{loaded}");
    sql.use_schema(SCHEMA).await?;

    let threads = cluster.threads();
    let reference = Reference::open(cluster.dfs_beside_node(0), &loaded.locations, threads).await?;
    let lines = run_queries(args, &mut sql, &reference).await;
    let totals = Totals::of(&lines);
    let report = Report {
        scale: args.scale,
        nodes: args.nodes,
        threads,
        runs: args.runs,
        loaded_rows: loaded.rows,
        loaded_bytes: loaded.bytes,
        load_ms: loaded.elapsed.as_secs_f64() * 1000.0,
        queries: lines,
        totals,
    };
    println!("{}", report.text());
    if let Some(path) = &args.json {
        std::fs::write(path, serde_json::to_vec_pretty(&report)?).with_context(|| path.display().to_string())?;
    }
    prompt(sql).await;
    Ok(if report.is_right() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

async fn prompt(sql: SqlClient) {
    if std::io::stdin().is_terminal() && std::io::stdout().is_terminal() {
        let options = ShellOptions {
            format: Format::Table,
            max_rows: PROMPT_ROWS,
            timing: true,
        };
        Shell::new(sql, options).prompt().await;
    }
}

async fn run_queries(args: &DemoArgs, sql: &mut SqlClient, reference: &Reference) -> Vec<Line> {
    let style = ProgressStyle::with_template("Q{pos} of {len} {wide_bar}").expect("the template is valid");
    let bar = ProgressBar::new(QUERIES.len() as u64).with_style(style);
    let mut lines = Vec::with_capacity(QUERIES.len());
    for query in &QUERIES {
        bar.inc(1);
        lines.push(run_query(args, query, sql, reference).await);
    }
    bar.finish_and_clear();
    lines
}

/// Runs a query on both engines in turn, once to warm up and then `runs` times.
async fn run_query(args: &DemoArgs, query: &Query, sql: &mut SqlClient, reference: &Reference) -> Line {
    let mut best = Best::default();
    for run in 0..=args.runs {
        let right = reference.run(&query.sql(args.scale)).await;
        let answer = tpch::measure(sql, query, args.scale).await;
        if let Err(problem) = best.add(run > 0, query, right, answer) {
            best.problem.get_or_insert(format!("{problem:#}"));
        }
    }
    best.line(query)
}

/// The fastest runs of one query, and the first thing that went wrong.
#[derive(Default)]
struct Best {
    plain_ms: Option<f64>,
    measured: Option<Measured>,
    problem: Option<String>,
}

impl Best {
    fn add(
        &mut self,
        timed: bool,
        query: &Query,
        right: anyhow::Result<(Vec<RecordBatch>, f64)>,
        answer: anyhow::Result<Measured>,
    ) -> anyhow::Result<()> {
        let (expected, plain_ms) = right.context("plain DataFusion")?;
        let answer = answer?;
        if let Some(difference) = compare(&expected, &answer.batches, query.order_by)? {
            anyhow::bail!("{difference}");
        }
        if timed {
            self.plain_ms = Some(self.plain_ms.map_or(plain_ms, |best| best.min(plain_ms)));
            if self.measured.as_ref().is_none_or(|best| answer.ms < best.ms) {
                self.measured = Some(answer);
            }
        }
        Ok(())
    }

    fn line(self, query: &Query) -> Line {
        let measured = self.measured.as_ref();
        let ms = measured.map_or(0.0, |measured| measured.ms);
        Line {
            id: query.id,
            ms,
            rows: measured.map_or(0, Measured::rows),
            local_bytes: measured.map_or(0, |measured| measured.local_bytes),
            remote_bytes: measured.map_or(0, |measured| measured.remote_bytes),
            ok: self.problem.is_none() && measured.is_some(),
            plain_ms: self.plain_ms,
            ratio: self.plain_ms.filter(|_| measured.is_some()).map(|plain| ms / plain),
            problem: self.problem,
        }
    }
}
