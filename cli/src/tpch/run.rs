//! `quarry tpch run`: the queries one after the other, with their times and where their bytes came from.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, bail};
use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::Int64Type;
use clap::Args;
use comfy_table::{CellAlignment, Table as TextTable, presets};
use serde::Serialize;

use super::queries::{QUERIES, Query};
use crate::sql::{SqlClient, Tag};

/// Suppliers per unit of scale, by which a loaded schema's scale factor is known.
const SUPPLIERS: f64 = 10_000.0;

/// Flags of `quarry tpch run`.
#[derive(Debug, Clone, Args)]
pub struct RunArgs {
    /// Schema that holds the tables
    #[arg(long, value_name = "NAME")]
    pub schema: String,
    /// Run only this query; may be repeated
    #[arg(long = "query", value_name = "N", value_parser = clap::value_parser!(u8).range(1..=22))]
    pub queries: Vec<u8>,
    /// Times each query is run; the fastest counts
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub runs: u32,
    /// Write the figures as JSON
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

/// One run of one query.
#[derive(Debug, Clone)]
pub struct Measured {
    /// From sending the statement to its last row, in milliseconds.
    pub ms: f64,
    /// Bytes that scans read from replicas beside the worker.
    pub local_bytes: u64,
    /// Bytes that scans read over a socket.
    pub remote_bytes: u64,
    /// The rows.
    pub batches: Vec<RecordBatch>,
}

impl Measured {
    /// Rows of the result.
    pub fn rows(&self) -> usize {
        self.batches.iter().map(RecordBatch::num_rows).sum()
    }
}

/// Runs `query` once over the session's current schema.
///
/// # Errors
/// The query failed, or its figures cannot be had.
pub async fn measure(sql: &mut SqlClient, query: &Query, scale: f64) -> anyhow::Result<Measured> {
    let tag = Tag::new();
    let statement = tag.mark(&query.sql(scale));
    let begin = Instant::now();
    let answer = sql.execute(&statement).await?;
    let batches = answer.collect().await?;
    let ms = begin.elapsed().as_secs_f64() * 1000.0;
    let figures = sql.figures(&tag).await?;
    Ok(Measured {
        ms,
        local_bytes: figures.local_bytes,
        remote_bytes: figures.remote_bytes,
        batches,
    })
}

/// A line of the report.
#[derive(Debug, Serialize)]
struct Line {
    id: u8,
    ms: f64,
    rows: usize,
    local_bytes: u64,
    remote_bytes: u64,
}

pub(super) async fn run(sql: &mut SqlClient, args: &RunArgs) -> anyhow::Result<ExitCode> {
    sql.use_schema(&args.schema).await?;
    let scale = scale_of(sql)
        .await
        .with_context(|| format!("schema {} does not hold TPC-H", args.schema))?;
    let wanted = |query: &&Query| args.queries.is_empty() || args.queries.contains(&query.id);
    let mut lines = Vec::new();
    for query in QUERIES.iter().filter(wanted) {
        lines.push(
            fastest(sql, query, scale, args.runs)
                .await
                .with_context(|| format!("Q{}", query.id))?,
        );
    }
    println!("{}", table(&lines));
    if let Some(path) = &args.json {
        let total: f64 = lines.iter().map(|line| line.ms).sum();
        let report =
            serde_json::json!({ "schema": args.schema, "scale": scale, "queries": lines, "totals": { "ms": total } });
        std::fs::write(path, serde_json::to_vec_pretty(&report)?).with_context(|| path.display().to_string())?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn fastest(sql: &mut SqlClient, query: &Query, scale: f64, runs: u32) -> anyhow::Result<Line> {
    let mut best: Option<Measured> = None;
    for _ in 0..runs {
        let measured = measure(sql, query, scale).await?;
        if best.as_ref().is_none_or(|best| measured.ms < best.ms) {
            best = Some(measured);
        }
    }
    let best = best.context("no run")?;
    let rows = best.rows();
    let Measured {
        ms,
        local_bytes,
        remote_bytes,
        ..
    } = best;
    Ok(Line {
        id: query.id,
        ms,
        rows,
        local_bytes,
        remote_bytes,
    })
}

async fn scale_of(sql: &mut SqlClient) -> anyhow::Result<f64> {
    let batches = sql.query("select count(*) from supplier").await?;
    let counts = batches.iter().find(|batch| batch.num_rows() == 1).context("no count")?;
    let suppliers = counts
        .column(0)
        .as_primitive_opt::<Int64Type>()
        .context("the count is no number")?
        .value(0);
    if suppliers == 0 {
        bail!("its table supplier is empty");
    }
    Ok(suppliers as f64 / SUPPLIERS)
}

fn table(lines: &[Line]) -> TextTable {
    let mut table = TextTable::new();
    table.load_preset(presets::UTF8_FULL_CONDENSED);
    table.set_header(["query", "ms", "rows", "local MB", "remote MB"]);
    let megabytes = |bytes: u64| format!("{:.1}", bytes as f64 / 1e6);
    for line in lines {
        let Line {
            id,
            ms,
            rows,
            local_bytes,
            remote_bytes,
        } = line;
        table.add_row([
            format!("Q{id}"),
            format!("{ms:.1}"),
            rows.to_string(),
            megabytes(*local_bytes),
            megabytes(*remote_bytes),
        ]);
    }
    let total: f64 = lines.iter().map(|line| line.ms).sum();
    table.add_row(["total".to_owned(), format!("{total:.1}")]);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}
