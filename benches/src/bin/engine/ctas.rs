//! A big table written by a statement, beside plain DataFusion writing the same rows to local files.
//!
//! Both write Parquet with the same properties, and both have it on the disk in the end: Quarry fsyncs a block before it acknowledges its last
//! packet, so plain DataFusion's files are fsynced before its clock stops.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, ensure};
use arrow::array::AsArray;
use arrow::datatypes::{Int64Type, UInt64Type};
use quarry::demo::compare;
use quarry::local::LocalCluster;
use quarry::sql::SqlClient;
use quarry_benches::peer::Peer;
use quarry_benches::report::Section;
use quarry_benches::samples::{Samples, milliseconds};
use quarry_benches::table::Table;
use serde::Serialize;
use tokio::runtime::Handle;

use crate::args::CommonArgs;
use crate::bed::Bed;
use crate::report::Finding;

/// Timed runs on each engine, unless asked for otherwise.
const RUNS: u32 = 3;
/// Name of the table that is written.
const COPY: &str = "lineitem_copy";
/// Where managed tables are: nothing else is written there in this cluster.
const WAREHOUSE: &str = "/quarry/warehouse";

/// What one run wrote.
#[derive(Debug, Clone, Copy)]
struct Written {
    ms: f64,
    rows: u64,
    bytes: u64,
}

/// All figures.
#[derive(Debug, Serialize)]
struct Figures {
    rows: u64,
    quarry_ms: Samples,
    plain_ms: Samples,
    /// Bytes of the files in the last run.
    quarry_bytes: u64,
    plain_bytes: u64,
    /// Quarry's speed divided by plain DataFusion's, by the fastest runs.
    speed: f64,
    /// The same by the medians.
    speed_of_medians: f64,
}

/// Measures writing `lineitem` on both engines.
///
/// # Errors
/// A statement failed, or what was written is not what was read.
pub(crate) async fn measure(bed: &Bed, args: &CommonArgs, peers: &Handle) -> anyhow::Result<Finding> {
    let cluster = bed.start().await?;
    let figures = Box::pin(measure_on(&cluster, bed, args, peers)).await;
    let described = bed.describe(&cluster);
    cluster.shutdown().await;
    let (runs, figures) = (args.runs(RUNS), figures?);
    let section = Section {
        title: "Writing a table",
        method: format!(
            "Quarry: `CREATE TABLE .. AS SELECT * FROM lineitem` with one replica, from sending the statement to its answer. Plain DataFusion: \
             `COPY lineitem TO` a local directory, several files at a time, and an fsync of each file and of the directory before the clock stops, as \
             Quarry's files are on the disk, too, when it answers. Both write Parquet with DataFusion's default properties, compression included; \
             Quarry also ends a row group at 64 MiB. {runs} runs on each in turn after one that is not timed; what a run wrote is deleted before \
             the next. Rows are counted in every run, sums over the copy compared in the first. {described}"
        ),
        tables: vec![table(&figures)],
        results: serde_json::to_value(&figures)?,
    };
    Ok(Finding {
        section,
        problems: Vec::new(),
    })
}

async fn measure_on(cluster: &LocalCluster, bed: &Bed, args: &CommonArgs, peers: &Handle) -> anyhow::Result<Figures> {
    let peer = bed.peer(CommonArgs::partitions(), peers).await?;
    let mut quarry = Quarry {
        session: bed.session(cluster).await?,
        cluster,
    };
    let rows = quarry.rows().await?;
    let dir = bed.files().join(COPY);
    let (mut quarry_ms, mut plain_ms) = (Samples::default(), Samples::default());
    let (mut quarry_bytes, mut plain_bytes) = (0, 0);
    for run in 0..=args.runs(RUNS) {
        let (own, theirs) = round(&mut quarry, &peer, &dir, run).await?;
        for (name, written) in [("Quarry", own), ("plain DataFusion", theirs)] {
            let found = written.rows;
            ensure!(found == rows, "{name} wrote {found} rows, expected {rows}");
        }
        if run > 0 {
            quarry_ms.add(own.ms);
            plain_ms.add(theirs.ms);
        }
        (quarry_bytes, plain_bytes) = (own.bytes, theirs.bytes);
    }
    let speed = |own: Option<f64>, theirs: Option<f64>| theirs.zip(own).map(|(theirs, own)| theirs / own);
    Ok(Figures {
        rows,
        speed: speed(quarry_ms.min(), plain_ms.min()).context("no run")?,
        speed_of_medians: speed(quarry_ms.median(), plain_ms.median()).context("no run")?,
        quarry_ms,
        plain_ms,
        quarry_bytes,
        plain_bytes,
    })
}

/// One run on each engine; who begins changes from round to round.
async fn round(quarry: &mut Quarry<'_>, peer: &Peer, dir: &Path, run: u32) -> anyhow::Result<(Written, Written)> {
    let compared = run == 0;
    if run.is_multiple_of(2) {
        let own = quarry.write(compared).await?;
        return Ok((own, plain(peer, dir).await?));
    }
    let theirs = plain(peer, dir).await?;
    Ok((quarry.write(compared).await?, theirs))
}

/// The cluster and a session of it.
struct Quarry<'a> {
    session: SqlClient,
    cluster: &'a LocalCluster,
}

impl Quarry<'_> {
    /// Rows of the table that is read.
    async fn rows(&mut self) -> anyhow::Result<u64> {
        let batches = self.session.query("SELECT count(*) FROM lineitem").await?;
        let counts = batches.iter().find(|batch| batch.num_rows() == 1).context("no count")?;
        let counts = counts.column(0).as_primitive_opt::<Int64Type>();
        Ok(u64::try_from(counts.context("the count is no number")?.value(0))?)
    }

    /// Writes the table, looks at it, drops it.
    async fn write(&mut self, compared: bool) -> anyhow::Result<Written> {
        let statement = format!("CREATE TABLE {COPY} AS SELECT * FROM lineitem");
        let begin = Instant::now();
        let answer = self.session.execute(&statement);
        let answer = answer.await.context("writing")?;
        let affected = answer
            .affected
            .context("the statement does not say how many rows it wrote")?;
        answer.collect().await?;
        let ms = milliseconds(begin.elapsed());
        let summary = self.cluster.dfs().content_summary(WAREHOUSE).await?;
        ensure!(
            summary.space_consumed == summary.length,
            "{} bytes of replicas for {} bytes, expected one replica of each",
            summary.space_consumed,
            summary.length
        );
        if compared {
            self.compare().await?;
        }
        self.session
            .query(&format!("DROP TABLE {COPY}"))
            .await
            .context("dropping")?;
        Ok(Written {
            ms,
            rows: u64::try_from(affected)?,
            bytes: summary.length,
        })
    }

    /// Whether the copy has the values of the table.
    async fn compare(&mut self) -> anyhow::Result<()> {
        let sums = |table: &str| {
            format!(
                "SELECT count(*) AS n, sum(l_orderkey) AS a, sum(l_partkey * l_linenumber) AS b, sum(l_extendedprice) AS c, min(l_shipdate) AS d, \
                 max(l_comment) AS e, sum(character_length(l_comment)) AS f FROM {table}"
            )
        };
        let right = self.session.query(&sums("lineitem")).await?;
        let copy = self.session.query(&sums(COPY)).await?;
        let difference = compare(&right, &copy, &[])?;
        ensure!(
            difference.is_none(),
            "the copy differs: {}",
            difference.map_or_else(String::new, |difference| difference.to_string())
        );
        Ok(())
    }
}

/// Writes the table to `dir` as local files, looks at them, deletes them.
async fn plain(peer: &Peer, dir: &Path) -> anyhow::Result<Written> {
    let sql = format!("COPY lineitem TO '{}/' STORED AS PARQUET", dir.display());
    let (ms, batches) = peer.run(sql).await.context("plain DataFusion writing")?;
    let counts = batches.iter().find(|batch| batch.num_rows() == 1).context("no count")?;
    let counts = counts.column(0).as_primitive_opt::<UInt64Type>();
    let rows = counts.context("the count is no number")?.value(0);
    let (begin, dir) = (Instant::now(), dir.to_owned());
    let (bytes, fsync_ms) = tokio::task::spawn_blocking(move || -> anyhow::Result<_> {
        let bytes = fsync(&dir)?;
        let fsync_ms = milliseconds(begin.elapsed());
        fs::remove_dir_all(&dir)?;
        Ok((bytes, fsync_ms))
    })
    .await??;
    Ok(Written {
        ms: ms + fsync_ms,
        rows,
        bytes,
    })
}

/// Forces the files of `dir` to the disk; their bytes.
fn fsync(dir: &Path) -> anyhow::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(dir).with_context(|| dir.display().to_string())? {
        let path: PathBuf = entry?.path();
        let file = File::open(&path).with_context(|| path.display().to_string())?;
        file.sync_all().with_context(|| path.display().to_string())?;
        bytes += file.metadata()?.len();
    }
    File::open(dir)?.sync_all().with_context(|| dir.display().to_string())?;
    Ok(bytes)
}

fn table(figures: &Figures) -> Table {
    let mut table = Table::of_numbers([
        "engine",
        "fastest ms",
        "median ms",
        "rows/s",
        "MB written",
        "speed",
        "by medians",
    ]);
    let row = |name: &str, ms: &Samples, bytes: u64, speed: String, of_medians: String| {
        let rate = ms.min().map(|ms| figures.rows as f64 / ms * 1000.0);
        let number =
            |value: Option<f64>, digits: usize| value.map_or_else(|| "-".into(), |value| format!("{value:.digits$}"));
        [
            name.to_owned(),
            number(ms.min(), 1),
            number(ms.median(), 1),
            number(rate, 0),
            format!("{:.1}", bytes as f64 / 1e6),
            speed,
            of_medians,
        ]
    };
    let (speed, medians) = (
        format!("{:.2}", figures.speed),
        format!("{:.2}", figures.speed_of_medians),
    );
    table.row(row("Quarry", &figures.quarry_ms, figures.quarry_bytes, speed, medians));
    let one = || "1.00".to_owned();
    table.row(row(
        "plain DataFusion",
        &figures.plain_ms,
        figures.plain_bytes,
        one(),
        one(),
    ));
    table
}
