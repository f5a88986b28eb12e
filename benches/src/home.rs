//! A benchmark's directory: the data, twice. In the cluster, and as local files that are byte for byte the same, so that both
//! engines meet the same files, row groups and encodings.
//!
//! `cluster/` is the cluster's, `files/TABLE/` holds the local files, `data.json` says what they are. It is written last, so that a load that
//! was killed is never taken for whole.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};
use tempfile::TempDir;

/// What was loaded, as `data.json` keeps it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Data {
    /// Scale factor.
    pub scale: f64,
    /// Nodes of the cluster that holds it.
    pub nodes: u16,
    /// Rows of all tables.
    pub rows: u64,
    /// Bytes of all files, each counted once.
    pub bytes: u64,
    /// Time from the first file to the last table, in milliseconds.
    pub load_ms: f64,
}

/// The benchmark's directory.
pub struct Home {
    dir: PathBuf,
    /// Deletes the directory in the end, if nobody asked to keep it.
    _temporary: Option<TempDir>,
}

impl Home {
    /// `dir`, or a temporary directory.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn new(dir: Option<&Path>) -> anyhow::Result<Self> {
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
    pub fn cluster(&self) -> PathBuf {
        self.dir.join("cluster")
    }

    /// The directory of the copies, one below it for each table.
    pub fn files(&self) -> PathBuf {
        self.dir.join("files")
    }

    fn manifest(&self) -> PathBuf {
        self.dir.join("data.json")
    }

    /// What an earlier run left here, if anything.
    ///
    /// # Errors
    /// It is of another scale or for another number of nodes, or cannot be read.
    pub fn found(&self, scale: f64, nodes: u16) -> anyhow::Result<Option<Data>> {
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

    /// Notes that `data` is whole.
    ///
    /// # Errors
    /// The note cannot be written.
    pub fn keep(&self, data: &Data) -> anyhow::Result<()> {
        let path = self.manifest();
        fs::write(&path, serde_json::to_vec_pretty(data)?).with_context(|| path.display().to_string())
    }

    /// An empty directory for the local files: what is there was left by a run that was killed before it noted what it is.
    ///
    /// # Errors
    /// What is there cannot be deleted, or the directory not be made.
    pub fn empty_files(&self) -> anyhow::Result<PathBuf> {
        let files = self.files();
        if files.exists() {
            fs::remove_dir_all(&files).with_context(|| files.display().to_string())?;
        }
        fs::create_dir_all(&files).with_context(|| files.display().to_string())?;
        Ok(files)
    }
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
