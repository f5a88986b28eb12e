//! The data, twice: in the cluster, and as local files that are byte for byte the same. So both engines meet the same
//! files, row groups and encodings.
//!
//! In the benchmark's directory: `cluster/` is the cluster's, `files/TABLE/` holds the copies, `data.json` says what
//! they are. It is written last, so that a load that was killed is never taken for whole.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use quarry::local::LocalCluster;
use quarry::tpch::{self, LoadArgs, Loaded, Table};
use quarry_benches::samples::milliseconds;
use serde::{Deserialize, Serialize};
use tempfile::TempDir;
use tokio::fs::File;
use tokio::io::AsyncWriteExt;

/// Schema that the benchmark loads.
pub(crate) const SCHEMA: &str = "tpch";
/// Directory of the file system for the tables.
const DIRECTORY: &str = "/tpch";
/// Bytes copied at once.
const PIECE: u64 = 8 << 20;

/// What was loaded, as `data.json` keeps it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Data {
    /// Scale factor.
    pub(crate) scale: f64,
    /// Nodes of the cluster that holds it.
    pub(crate) nodes: u16,
    /// Rows of all tables.
    pub(crate) rows: u64,
    /// Bytes of all files, each counted once.
    pub(crate) bytes: u64,
    /// Time from the first file to the last table, in milliseconds.
    pub(crate) load_ms: f64,
}

/// The benchmark's directory.
pub(crate) struct Home {
    dir: PathBuf,
    /// Deletes the directory in the end, if nobody asked to keep it.
    _temporary: Option<TempDir>,
}

impl Home {
    /// `dir`, or a temporary directory.
    ///
    /// # Errors
    /// It cannot be made.
    pub(crate) fn new(dir: Option<&Path>) -> anyhow::Result<Self> {
        if let Some(dir) = dir {
            fs::create_dir_all(dir).with_context(|| dir.display().to_string())?;
            let dir = dir.to_owned();
            return Ok(Self { dir, _temporary: None });
        }
        let temporary = tempfile::Builder::new().prefix("quarry-bench-").tempdir();
        let temporary = temporary.context("a temporary directory")?;
        Ok(Self {
            dir: temporary.path().to_owned(),
            _temporary: Some(temporary),
        })
    }

    /// The cluster's directory.
    pub(crate) fn cluster(&self) -> PathBuf {
        self.dir.join("cluster")
    }

    /// The directory of the copies, one below it for each table.
    pub(crate) fn files(&self) -> PathBuf {
        self.dir.join("files")
    }

    fn manifest(&self) -> PathBuf {
        self.dir.join("data.json")
    }

    /// What an earlier run left here, if anything.
    ///
    /// # Errors
    /// It is of another scale or for another number of nodes, or cannot be read.
    pub(crate) fn found(&self, scale: f64, nodes: u16) -> anyhow::Result<Option<Data>> {
        let path = self.manifest();
        if !path.exists() {
            return Ok(None);
        }
        let bytes = fs::read(&path).with_context(|| path.display().to_string())?;
        let data: Data = serde_json::from_slice(&bytes).with_context(|| path.display().to_string())?;
        if (data.scale, data.nodes) != (scale, nodes) {
            let Data { scale, nodes, .. } = data;
            bail!(
                "{} holds scale {scale} on {nodes} nodes: ask for these, or name another directory",
                self.dir.display()
            );
        }
        Ok(Some(data))
    }

    /// Loads the benchmark into the cluster and copies its files out of it.
    ///
    /// # Errors
    /// The load failed, or a copy.
    pub(crate) async fn load(&self, cluster: &LocalCluster, scale: f64, nodes: u16) -> anyhow::Result<Data> {
        let args = LoadArgs {
            scale,
            schema: SCHEMA.into(),
            overwrite: true,
            directory: DIRECTORY.into(),
        };
        let loaded = Box::pin(tpch::load(&cluster.dfs(), &mut cluster.sql().await?, &args)).await;
        let loaded = loaded.context("loading TPC-H")?;
        eprintln!("{loaded}");
        self.copy(cluster, &loaded).await?;
        let data = Data {
            scale,
            nodes,
            rows: loaded.rows,
            bytes: loaded.bytes,
            load_ms: milliseconds(loaded.elapsed),
        };
        let path = self.manifest();
        fs::write(&path, serde_json::to_vec_pretty(&data)?).with_context(|| path.display().to_string())?;
        Ok(data)
    }

    async fn copy(&self, cluster: &LocalCluster, loaded: &Loaded) -> anyhow::Result<()> {
        let files = self.files();
        if files.exists() {
            // Left by a run that was killed before it wrote what they are.
            fs::remove_dir_all(&files).with_context(|| files.display().to_string())?;
        }
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
}

async fn copy_table(cluster: &LocalCluster, table: Table, location: &str, files: &Path) -> anyhow::Result<u64> {
    let dir = files.join(table.name());
    fs::create_dir_all(&dir)?;
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn data_of_another_scale_is_not_used() {
        let home = Home::new(None).unwrap();
        assert_eq!(home.found(1.0, 3).unwrap(), None);
        let data = Data {
            scale: 1.0,
            nodes: 3,
            rows: 8,
            bytes: 9,
            load_ms: 10.0,
        };
        fs::write(home.manifest(), serde_json::to_vec(&data).unwrap()).unwrap();
        assert_eq!(home.found(1.0, 3).unwrap(), Some(data));
        let error = home.found(10.0, 3).unwrap_err().to_string();
        assert!(error.contains("holds scale 1 on 3 nodes"), "{error}");
        assert!(home.found(1.0, 2).is_err());
    }
}
