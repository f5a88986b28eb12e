//! The floor: what a statement costs that has nothing to do, and how soon a big table's first row is there.

use std::time::Instant;

use anyhow::{Context, ensure};
use futures::StreamExt;
use quarry::local::LocalCluster;
use quarry::sql::SqlClient;
use quarry_benches::peer::Peer;
use quarry_benches::report::{Latencies, Section};
use quarry_benches::samples::milliseconds;
use quarry_benches::table::Table;
use serde::Serialize;
use tokio::runtime::Handle;

use crate::args::CommonArgs;
use crate::bed::Bed;
use crate::report::Finding;

/// Timed runs of each statement on each engine, unless asked for otherwise.
const RUNS: u32 = 200;
/// Runs before them that are not timed.
const WARM_UP: u32 = 10;

/// Up to which row a statement is timed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Until {
    FirstRow,
    LastRow,
}

/// A statement with next to nothing to do.
#[derive(Debug, Clone, Copy)]
struct Statement {
    sql: &'static str,
    rows: usize,
    until: Until,
    /// What half of the runs should stay below.
    target_ms: f64,
}

/// The one that reads a big table comes first: its first run is to find everything cold.
const STATEMENTS: [Statement; 3] = [
    Statement {
        sql: "SELECT * FROM lineitem LIMIT 10",
        rows: 10,
        until: Until::FirstRow,
        target_ms: 100.0,
    },
    Statement {
        sql: "SELECT count(*) FROM region",
        rows: 1,
        until: Until::LastRow,
        target_ms: 15.0,
    },
    Statement {
        sql: "SELECT 1",
        rows: 1,
        until: Until::LastRow,
        target_ms: 3.0,
    },
];

/// One run of a statement on Quarry.
#[derive(Debug, Clone, Copy)]
struct Run {
    first_row_ms: f64,
    last_row_ms: f64,
}

impl Run {
    fn until(self, until: Until) -> f64 {
        match until {
            Until::FirstRow => self.first_row_ms,
            Until::LastRow => self.last_row_ms,
        }
    }
}

/// The first run of a statement on each engine.
#[derive(Debug, Clone, Copy, Serialize)]
struct Cold {
    quarry_ms: f64,
    plain_ms: f64,
}

/// A statement's figures.
#[derive(Debug, Serialize)]
struct Line {
    sql: &'static str,
    until: Until,
    target_ms: f64,
    cold: Cold,
    /// Up to the row that counts.
    quarry: Latencies,
    /// Up to the end of the answer.
    quarry_last_row: Latencies,
    /// Plain DataFusion's, up to its last row.
    plain: Latencies,
    /// Quarry's middle time divided by plain DataFusion's.
    ratio: f64,
}

/// Measures all statements on both engines.
///
/// # Errors
/// A statement failed or was answered wrong.
pub(crate) async fn measure(bed: &Bed, args: &CommonArgs, peers: &Handle) -> anyhow::Result<Finding> {
    let cluster = bed.start().await?;
    let lines = Box::pin(measure_on(&cluster, bed, args, peers)).await;
    let described = bed.describe(&cluster);
    cluster.shutdown().await;
    let (runs, lines) = (args.runs(RUNS), lines?);
    let section = Section {
        title: "Floor",
        method: format!(
            "One session over Flight SQL on loopback; times run from sending the statement to the row named, received and decoded. Plain DataFusion runs in \
             this process over the same files on local disk, from the statement's text to its last row. Each statement runs {runs} times on each engine in \
             turn after {WARM_UP} that are not timed. The cold run is the first on a cluster just started, or in a new session context. {described}"
        ),
        tables: vec![table(&lines)],
        results: serde_json::json!({ "runs": runs, "statements": lines }),
    };
    Ok(Finding {
        section,
        problems: Vec::new(),
    })
}

async fn measure_on(cluster: &LocalCluster, bed: &Bed, args: &CommonArgs, peers: &Handle) -> anyhow::Result<Vec<Line>> {
    let mut quarry = bed.session(cluster).await?;
    let peer = bed.peer(CommonArgs::partitions(), peers).await?;
    let mut lines = Vec::new();
    for statement in &STATEMENTS {
        let line = race(&mut quarry, &peer, statement, args.runs(RUNS)).await;
        lines.push(line.with_context(|| statement.sql)?);
    }
    Ok(lines)
}

/// Runs a statement on both engines in turn; who begins changes from round to round.
async fn race(quarry: &mut SqlClient, peer: &Peer, statement: &Statement, runs: u32) -> anyhow::Result<Line> {
    let cold = Cold {
        quarry_ms: on_quarry(quarry, statement).await?.until(statement.until),
        plain_ms: on_plain(peer, statement).await?,
    };
    let (mut own, mut theirs) = (Vec::new(), Vec::new());
    for round in 0..WARM_UP + runs {
        let quarry_begins = round % 2 == 0;
        if quarry_begins {
            own.push(on_quarry(quarry, statement).await?);
        }
        theirs.push(on_plain(peer, statement).await?);
        if !quarry_begins {
            own.push(on_quarry(quarry, statement).await?);
        }
    }
    let timed = WARM_UP as usize;
    let counts: Vec<_> = own[timed..].iter().map(|run| run.until(statement.until)).collect();
    let ends: Vec<_> = own[timed..].iter().map(|run| run.last_row_ms).collect();
    let (counts, plain) = (latencies(&counts), latencies(&theirs[timed..]));
    Ok(Line {
        sql: statement.sql,
        until: statement.until,
        target_ms: statement.target_ms,
        cold,
        quarry: counts,
        quarry_last_row: latencies(&ends),
        plain,
        ratio: counts.p50_ms / plain.p50_ms,
    })
}

async fn on_quarry(quarry: &mut SqlClient, statement: &Statement) -> anyhow::Result<Run> {
    let begin = Instant::now();
    let mut answer = quarry.execute(statement.sql).await?;
    let (mut first_row, mut rows) = (None, 0);
    while let Some(batch) = answer.batches.next().await.transpose()? {
        if batch.num_rows() > 0 {
            first_row.get_or_insert_with(|| begin.elapsed());
        }
        rows += batch.num_rows();
    }
    let last_row = begin.elapsed();
    ensure!(
        rows == statement.rows,
        "Quarry answered {rows} rows, expected {}",
        statement.rows
    );
    Ok(Run {
        first_row_ms: milliseconds(first_row.context("there are rows")?),
        last_row_ms: milliseconds(last_row),
    })
}

async fn on_plain(peer: &Peer, statement: &Statement) -> anyhow::Result<f64> {
    let (ms, batches) = peer.run(statement.sql.to_owned()).await?;
    let rows: usize = batches.iter().map(arrow::array::RecordBatch::num_rows).sum();
    ensure!(
        rows == statement.rows,
        "plain DataFusion answered {rows} rows, expected {}",
        statement.rows
    );
    Ok(ms)
}

fn latencies(times_ms: &[f64]) -> Latencies {
    Latencies::of(times_ms.iter().map(|ms| (ms * 1000.0) as u32).collect())
}

fn table(lines: &[Line]) -> Table {
    let mut table = Table::of_numbers([
        "statement",
        "until",
        "target p50 ms",
        "cold ms",
        "p50 ms",
        "p99 ms",
        "max ms",
        "plain cold ms",
        "plain p50 ms",
        "plain p99 ms",
        "ratio",
    ]);
    for line in lines {
        let until = match line.until {
            Until::FirstRow => "first row",
            Until::LastRow => "last row",
        };
        table.row([
            line.sql.to_owned(),
            until.to_owned(),
            format!("{:.0}", line.target_ms),
            format!("{:.2}", line.cold.quarry_ms),
            format!("{:.2}", line.quarry.p50_ms),
            format!("{:.2}", line.quarry.p99_ms),
            format!("{:.2}", line.quarry.max_ms),
            format!("{:.2}", line.cold.plain_ms),
            format!("{:.2}", line.plain.p50_ms),
            format!("{:.2}", line.plain.p99_ms),
            format!("{:.1}", line.ratio),
        ]);
    }
    table
}
