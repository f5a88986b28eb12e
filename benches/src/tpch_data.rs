//! TPC-H's data: loaded into the cluster, and copied out of it byte for byte.

use std::path::Path;

use anyhow::{Context, ensure};
use quarry::local::LocalCluster;
use quarry::tpch::{self, LoadArgs, Loaded, Table};
use tokio::fs::File;
use tokio::io::AsyncWriteExt;

use crate::home::{Data, Home};
use crate::samples::milliseconds;

/// Schema that the benchmark loads.
pub const SCHEMA: &str = "tpch";
/// Directory of the file system for the tables.
const DIRECTORY: &str = "/tpch";
/// Bytes copied at once.
const PIECE: u64 = 8 << 20;

/// Loads the benchmark into the cluster and copies its files out of it.
///
/// # Errors
/// The load failed, or a copy.
pub async fn load(home: &Home, cluster: &LocalCluster, scale: f64, nodes: u16) -> anyhow::Result<Data> {
    let args = LoadArgs {
        scale,
        schema: SCHEMA.into(),
        overwrite: true,
        directory: DIRECTORY.into(),
    };
    let loaded = Box::pin(tpch::load(&cluster.dfs(), &mut cluster.sql().await?, &args)).await;
    let loaded = loaded.context("loading TPC-H")?;
    eprintln!("{loaded}");
    copy(home, cluster, &loaded).await?;
    let data = Data {
        scale,
        nodes,
        rows: loaded.rows,
        bytes: loaded.bytes,
        load_ms: milliseconds(loaded.elapsed),
    };
    home.keep(&data)?;
    Ok(data)
}

async fn copy(home: &Home, cluster: &LocalCluster, loaded: &Loaded) -> anyhow::Result<()> {
    let files = home.empty_files()?;
    let mut bytes = 0;
    for (table, location) in &loaded.locations {
        let copied = copy_table(cluster, *table, location, &files).await;
        bytes += copied.with_context(|| format!("copying table {}", table.name()))?;
    }
    ensure!(
        bytes == loaded.bytes,
        "copied {bytes} bytes, but {} were loaded",
        loaded.bytes
    );
    Ok(())
}

async fn copy_table(cluster: &LocalCluster, table: Table, location: &str, files: &Path) -> anyhow::Result<u64> {
    let dir = files.join(table.name());
    std::fs::create_dir_all(&dir)?;
    let mut bytes = 0;
    for file in cluster.dfs().list(location).await? {
        bytes += copy_file(cluster, &file.path, &dir.join(file.name())).await?;
    }
    Ok(bytes)
}

/// Copies a file and forces it to the disk, so that no write-back disturbs the runs.
async fn copy_file(cluster: &LocalCluster, from: &str, to: &Path) -> anyhow::Result<u64> {
    let reader = cluster.dfs().open(from).await?;
    let length = reader.len();
    let mut file = File::create_new(to).await?;
    let mut at = 0;
    while at < length {
        let end = length.min(at + PIECE);
        file.write_all(&reader.read_range(at..end).await?).await?;
        at = end;
    }
    file.sync_all().await?;
    Ok(length)
}
