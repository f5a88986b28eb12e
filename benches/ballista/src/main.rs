//! Apache DataFusion Ballista as an engine of the TPC-H benchmark: `ballista-peer FILES THREADS TABLE...`.
//!
//! A scheduler and an executor in this process, which talk to each other over loopback, as Ballista's standalone mode has them: an executor with as
//! many task slots as the machine has threads, and as many partitions. The tables are folders of Parquet files under FILES. It speaks the
//! protocol of `benches/src/bin/tpch/foreign`: a line with its version, then a line of answer for each line of a statement.

use std::io::{BufRead, Write};
use std::time::Instant;

use anyhow::Context;
use ballista::prelude::{SessionConfigExt, SessionContextExt};
use datafusion::execution::SessionStateBuilder;
use datafusion::prelude::{ParquetReadOptions, SessionConfig, SessionContext};
use serde::Deserialize;
use serde_json::json;

/// The pinned version of the crate.
const VERSION: &str = "55.0.0";

/// A line of input.
#[derive(Deserialize)]
struct Statement {
    sql: String,
}

fn main() -> anyhow::Result<()> {
    let mut args = std::env::args().skip(1);
    let files = args.next().context("usage: ballista-peer FILES THREADS TABLE...")?;
    let threads = args.next().context("the second argument is the number of threads")?;
    let threads: usize = threads
        .parse()
        .context("the second argument is the number of threads")?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .enable_all()
        .build()?;
    let context = runtime.block_on(open(&files, threads, args))?;
    say(&json!({ "version": format!("{VERSION}, standalone, {threads} task slots, {threads} partitions") }))?;
    for line in std::io::stdin().lock().lines() {
        let Statement { sql } = serde_json::from_str(&line?)?;
        let begin = Instant::now();
        let answer = match runtime.block_on(rows(&context, &sql)) {
            Ok(rows) => json!({ "ms": begin.elapsed().as_secs_f64() * 1000.0, "rows": rows }),
            Err(error) => json!({ "error": error.to_string().lines().next().unwrap_or_default() }),
        };
        say(&answer)?;
    }
    Ok(())
}

/// Starts scheduler and executor, and names the tables.
async fn open(files: &str, threads: usize, tables: impl Iterator<Item = String>) -> anyhow::Result<SessionContext> {
    let config = SessionConfig::new_with_ballista()
        .with_target_partitions(threads)
        .with_ballista_standalone_parallelism(threads);
    let state = SessionStateBuilder::new()
        .with_config(config)
        .with_default_features()
        .build();
    let context = SessionContext::standalone_with_state(state).await?;
    for table in tables {
        let folder = format!("{files}/{table}");
        context
            .register_parquet(&table, folder, ParquetReadOptions::default())
            .await?;
    }
    Ok(context)
}

async fn rows(context: &SessionContext, sql: &str) -> datafusion::error::Result<usize> {
    let batches = context.sql(sql).await?.collect().await?;
    Ok(batches.iter().map(|batch| batch.num_rows()).sum())
}

fn say(line: &serde_json::Value) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    Ok(out.flush()?)
}
