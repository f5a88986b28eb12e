//! The data: generated into local Parquet files, which are copied into the cluster as they are.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use bytes::BytesMut;
use futures::{StreamExt, TryStreamExt, stream};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;
use quarry::local::LocalCluster;
use quarry_benches::conditions::cores;
use quarry_benches::home::{Data, Home};
use quarry_benches::samples::milliseconds;
use quarry_dfs_client::{CreateOptions, DfsClient};
use tokio::io::AsyncReadExt;

use crate::tables::{self, Rows, TABLES};

/// Schema of the cluster that holds the tables.
pub(crate) const SCHEMA: &str = "tpcds";
/// Block size of the files in bytes: larger than any, so that no row group crosses a block border.
const BLOCK: u64 = 128 << 20;
/// Rows of a row group: several for each thread from scale factor 1 on.
const ROW_GROUP: usize = 1 << 17;
/// Bytes copied at once.
const PIECE: usize = 1 << 20;

/// Generates all tables, copies them into the cluster and creates them there.
///
/// # Errors
/// Generating, writing or creating failed.
pub(crate) async fn load(home: &Home, cluster: &LocalCluster, scale: f64, nodes: u16) -> Result<Data> {
    let begin = Instant::now();
    let files = home.empty_files()?;
    let rows = generate(&files, scale).await?;
    // A load that was killed may have left some of them.
    let _ = cluster.dfs().delete(&format!("/{SCHEMA}"), true).await;
    let mut sql = cluster.sql().await?;
    sql.query(&format!("CREATE SCHEMA IF NOT EXISTS {SCHEMA}")).await?;
    let mut bytes = 0;
    for table in tables::names() {
        let copied = copy_table(&cluster.dfs(), &files, table).await;
        bytes += copied.with_context(|| format!("copying table {table}"))?;
        let create = format!(
            "CREATE OR REPLACE EXTERNAL TABLE {SCHEMA}.{table} STORED AS PARQUET LOCATION 'hdfs://{}/'",
            directory(table)
        );
        sql.query(&create)
            .await
            .with_context(|| format!("creating table {table}"))?;
    }
    let data = Data {
        scale,
        nodes,
        rows,
        bytes,
        load_ms: milliseconds(begin.elapsed()),
    };
    home.keep(&data)?;
    Ok(data)
}

/// Directory of a table in the cluster.
fn directory(table: &str) -> String {
    format!("/{SCHEMA}/{table}")
}

/// Writes all local files, as many at a time as there are cores; how many rows they have.
async fn generate(files: &Path, scale: f64) -> Result<u64> {
    let session = tables::session(scale)?;
    let mut parts: Vec<(Rows, PathBuf)> = Vec::new();
    for table in TABLES {
        let dir = files.join(table.get_name());
        fs::create_dir_all(&dir)?;
        for (number, part) in (1..).zip(tables::parts(table, &session)) {
            let path = dir.join(format!("part-{number:05}.parquet"));
            parts.push((tables::generate(table, &session, &part), path));
        }
    }
    let written = stream::iter(parts).map(|(rows, path)| async move {
        let written =
            tokio::task::spawn_blocking(move || write(rows, &path).with_context(|| path.display().to_string()));
        written.await?
    });
    written
        .buffer_unordered(cores())
        .try_fold(0, |sum, rows| async move { Ok(sum + rows) })
        .await
}

/// Writes a file and forces it to the disk, so that no write-back disturbs the runs.
fn write(rows: Rows, path: &Path) -> Result<u64> {
    let properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_max_row_group_row_count(Some(ROW_GROUP))
        .build();
    // The generator's view types are its own affair: readers shall see plain strings.
    let options = ArrowWriterOptions::new()
        .with_properties(properties)
        .with_skip_arrow_metadata(true);
    let mut writer = ArrowWriter::try_new_with_options(File::create_new(path)?, rows.schema(), options)?;
    let mut count = 0;
    for batch in rows {
        let batch = batch?;
        writer.write(&batch)?;
        count += batch.num_rows() as u64;
    }
    writer.into_inner()?.sync_all()?;
    Ok(count)
}

async fn copy_table(dfs: &DfsClient, files: &Path, table: &str) -> Result<u64> {
    let mut bytes = 0;
    for file in fs::read_dir(files.join(table))? {
        let file = file?;
        let name = file.file_name();
        let to = format!("{}/{}", directory(table), name.to_string_lossy());
        bytes += copy_file(dfs, &file.path(), &to).await.with_context(|| to)?;
    }
    Ok(bytes)
}

async fn copy_file(dfs: &DfsClient, from: &Path, to: &str) -> Result<u64> {
    let mut file = tokio::fs::File::open(from).await?;
    let length = file.metadata().await?.len();
    ensure!(length <= BLOCK, "{length} bytes do not fit into a block of {BLOCK}");
    let options = CreateOptions {
        create_parent: true,
        block_size: Some(BLOCK),
        ..CreateOptions::default()
    };
    let mut writer = dfs.create(to, options).await?;
    loop {
        let mut piece = BytesMut::with_capacity(PIECE);
        if file.read_buf(&mut piece).await? == 0 {
            break;
        }
        writer.write(piece.freeze()).await?;
    }
    writer.close().await?;
    Ok(length)
}
