//! `quarry tpch load`: generate, write, then create the tables.
//!
//! 1. Refuse if a table is already there and `--overwrite` was not given.
//! 2. Write all files of all tables under a directory of this load's own, a few at a time.
//! 3. Create schema and tables over it.
//! 4. With `--overwrite`: delete the directories of earlier loads.
//!
//! No table names a file before all files of all tables are closed, and no file name is ever used twice. A load that
//! fails deletes its directory; one that is killed leaves a directory that no table names.

use std::fmt;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use arrow::array::AsArray;
use arrow_flight::sql::CommandGetTables;
use clap::Args;
use futures::{StreamExt, TryStreamExt, stream};
use indicatif::{ProgressBar, ProgressStyle};
use quarry_dfs_client::DfsClient;

use super::layout;
use super::tables::Table;
use super::write::{self, Written};
use crate::sql::SqlClient;

/// Rows that the generator makes at once.
const BATCH: usize = 8192;

/// Flags of `quarry tpch load`.
#[derive(Debug, Clone, Args)]
pub struct LoadArgs {
    /// Scale factor: 1 is about 1 GB of text, 300 MB of Parquet
    #[arg(long, value_name = "SF", default_value_t = 1.0, value_parser = scale_factor)]
    pub scale: f64,
    /// Schema for the tables; made if absent
    #[arg(long, value_name = "NAME", value_parser = schema_name)]
    pub schema: String,
    /// Replace tables that are already there
    #[arg(long)]
    pub overwrite: bool,
    /// Directory of the file system for the data
    #[arg(long, value_name = "PATH", default_value = "/tpch")]
    pub directory: String,
}

/// What a load did.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The schema.
    pub schema: String,
    /// Directory of each table's files, by table name.
    pub locations: Vec<(Table, String)>,
    /// Rows of all tables.
    pub rows: u64,
    /// Bytes of all files, each counted once.
    pub bytes: u64,
    /// From the first file to the last table.
    pub elapsed: Duration,
}

impl fmt::Display for Loaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.elapsed.as_secs_f64();
        let megabytes = self.bytes as f64 / 1e6;
        write!(
            f,
            "loaded {} tables into schema {}: {} rows, {megabytes:.1} MB of Parquet in {seconds:.1} s",
            self.locations.len(),
            self.schema,
            self.rows
        )
    }
}

/// Reads a scale factor.
///
/// # Errors
/// It is no number, or out of the range that the generator serves.
pub fn scale_factor(text: &str) -> Result<f64, String> {
    let scale: f64 = text.parse().map_err(|_| format!("`{text}` is not a number"))?;
    if (0.001..=100_000.0).contains(&scale) {
        Ok(scale)
    } else {
        Err("expected 0.001 to 100000".into())
    }
}

fn schema_name(text: &str) -> Result<String, String> {
    let plain = text.starts_with(|c: char| c.is_ascii_lowercase())
        && text
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if plain {
        Ok(text.to_owned())
    } else {
        Err("expected lower case letters, digits and _, beginning with a letter".into())
    }
}

/// One file to write.
struct Part {
    table: Table,
    part: i32,
    parts: i32,
    path: String,
}

/// Loads the benchmark.
///
/// # Errors
/// A table exists already, or generating, writing or creating failed; then nothing of this load is left.
pub async fn load(dfs: &DfsClient, sql: &mut SqlClient, args: &LoadArgs) -> anyhow::Result<Loaded> {
    let begin = Instant::now();
    let existing = existing_tables(sql, &args.schema).await?;
    if let (Some(table), false) = (existing.first(), args.overwrite) {
        bail!(
            "schema {} already has a table {table}; --overwrite replaces it",
            args.schema
        );
    }
    let base = format!("{}/{}", args.directory.trim_end_matches('/'), args.schema);
    let id = load_id();
    let outcome = load_into(dfs, sql, args, &format!("{base}/{id}")).await;
    let (written, locations) = match outcome {
        Ok(done) => done,
        Err(error) => {
            // What failed is told; that its remains could not be deleted would only hide it.
            let _ = dfs.delete(&format!("{base}/{id}"), true).await;
            return Err(error);
        }
    };
    if args.overwrite {
        forget_earlier_loads(dfs, &base, &id).await?;
    }
    let Written { rows, bytes } = written;
    Ok(Loaded {
        schema: args.schema.clone(),
        locations,
        rows,
        bytes,
        elapsed: begin.elapsed(),
    })
}

/// A name that no earlier load had: the moment, and some chance for two at the same moment.
fn load_id() -> String {
    let chance = uuid::Uuid::new_v4().simple().to_string();
    format!("{}-{}", chrono::Utc::now().format("%Y%m%dT%H%M%S"), &chance[..6])
}

async fn existing_tables(sql: &mut SqlClient, schema: &str) -> anyhow::Result<Vec<String>> {
    let request = CommandGetTables {
        db_schema_filter_pattern: Some(schema.replace('_', "\\_")),
        ..CommandGetTables::default()
    };
    let mut names = Vec::new();
    for batch in sql.tables(request).await? {
        let column = batch
            .column_by_name("table_name")
            .context("the coordinator's list of tables has no names")?;
        names.extend(column.as_string::<i32>().iter().flatten().map(str::to_owned));
    }
    names.retain(|name| Table::ALL.iter().any(|table| table.name() == name));
    Ok(names)
}

async fn load_into(
    dfs: &DfsClient,
    sql: &mut SqlClient,
    args: &LoadArgs,
    directory: &str,
) -> anyhow::Result<(Written, Vec<(Table, String)>)> {
    let written = write_files(dfs, args.scale, directory).await?;
    sql.query(&format!("CREATE SCHEMA IF NOT EXISTS {}", args.schema))
        .await?;
    let mut created = Vec::new();
    for table in Table::ALL {
        let location = format!("{directory}/{}", table.name());
        if let Err(error) = create(sql, &args.schema, table, &location).await {
            for table in created {
                let (table, _): (Table, String) = table;
                let _ = sql.query(&format!("DROP TABLE {}.{}", args.schema, table.name())).await;
            }
            return Err(error.context(format!("creating table {}", table.name())));
        }
        created.push((table, location));
    }
    Ok((written, created))
}

async fn create(sql: &mut SqlClient, schema: &str, table: Table, location: &str) -> anyhow::Result<()> {
    let name = table.name();
    let statement =
        format!("CREATE OR REPLACE EXTERNAL TABLE {schema}.{name} STORED AS PARQUET LOCATION 'hdfs://{location}/'");
    sql.query(&statement).await?;
    Ok(())
}

async fn write_files(dfs: &DfsClient, scale: f64, directory: &str) -> anyhow::Result<Written> {
    let expected = Table::ALL.iter().map(|table| table.rows(scale)).sum();
    let bar = progress_bar(expected);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let files = stream::iter(parts(scale, directory)).map(|part| write_part(dfs, scale, part, bar.clone()));
    let add = |a: Written, b: Written| Written {
        rows: a.rows + b.rows,
        bytes: a.bytes + b.bytes,
    };
    // The big tables come first, so that no thread is left alone with one of their files at the end.
    let written = files
        .buffer_unordered(threads)
        .try_fold(Written::default(), |a, b| async move { Ok(add(a, b)) })
        .await;
    bar.finish_and_clear();
    written
}

async fn write_part(dfs: &DfsClient, scale: f64, part: Part, bar: ProgressBar) -> anyhow::Result<Written> {
    let rows = part.table.generate(scale, part.part, part.parts, BATCH);
    let row_group = layout::of(part.table, scale).row_group_rows;
    let written = write::parquet(dfs, &part.path, rows, row_group, move |rows| bar.inc(rows));
    written.await.with_context(|| format!("writing {}", part.path))
}

fn parts(scale: f64, directory: &str) -> Vec<Part> {
    let of_table = |table: Table| {
        let parts = i32::try_from(layout::of(table, scale).files).expect("the layout bounds the number of files");
        (1..=parts).map(move |part| Part {
            table,
            part,
            parts,
            path: format!("{directory}/{}/part-{part:05}.parquet", table.name()),
        })
    };
    Table::ALL.into_iter().rev().flat_map(of_table).collect()
}

fn progress_bar(rows: u64) -> ProgressBar {
    // indicatif draws on standard error and only if that is a terminal.
    let style = ProgressStyle::with_template("{wide_bar} {human_pos}/{human_len} rows {per_sec} {eta}");
    ProgressBar::new(rows).with_style(style.expect("the template is valid"))
}

async fn forget_earlier_loads(dfs: &DfsClient, base: &str, keep: &str) -> anyhow::Result<()> {
    for entry in dfs.list(base).await? {
        if entry.name() != keep {
            dfs.delete(&entry.path, true).await?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schema_names_need_no_quotes() {
        assert!(schema_name("tpch1").is_ok());
        for bad in ["", "1a", "A", "a-b", "a.b", "a;drop"] {
            assert!(schema_name(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn big_tables_are_written_first() {
        let parts = parts(1.0, "/d");
        assert_eq!(parts[0].path, "/d/lineitem/part-00001.parquet");
        assert_eq!(parts.last().map(|part| part.table), Some(Table::Region));
    }

    #[test]
    fn scale_factors_are_bounded() {
        assert_eq!(scale_factor("0.01"), Ok(0.01));
        for bad in ["0", "-1", "x", "NaN", "1e9"] {
            assert!(scale_factor(bad).is_err(), "{bad}");
        }
    }
}
