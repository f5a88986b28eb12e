//! Which files a managed table consists of: its newest version.
//!
//! A managed table's directory holds
//!
//! ```text
//! _versions/00000000000000000007.json   one file per version, never changed; the highest number counts
//! _staging/<statement>/<attempt>/...    files of statements under way
//! data/[k=v/]<statement>-<n>.<format>   files of versions; those that no version names are remains
//! ```
//!
//! A version is published by creating its file, which must not be there: of several writers one succeeds, the others read again and try
//! the next number. A reader looks up the newest number once per scan, so that it sees all of a statement or none of it.
//!
//! A version's file is one JSON object:
//!
//! | field | meaning |
//! |---|---|
//! | `quarry_table_version` | 1; a file with a higher number was written by a newer Quarry and is refused |
//! | `statement` | id of the statement that made the version |
//! | `files` | all files of the table: `path` below `data`, `rows`, `bytes`, `partition` (values of the partition columns as text, `null` for NULL) |

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;
use datafusion::error::{DataFusionError, Result};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::files::{FileSystem, publish};

/// Directory of the versions in a table's directory.
pub const VERSIONS: &str = "_versions";
/// Directory of the data files in a table's directory.
pub const DATA: &str = "data";
/// Directory of files under way in a table's directory.
pub const STAGING: &str = "_staging";

/// Version of the format that this Quarry writes, and the highest that it reads.
const FORMAT: u32 = 1;
const ENDING: &str = ".json";
/// Most files in a table: beyond that a version's file would be read with every statement at a price.
const MAX_FILES: usize = 1_000_000;
/// Old versions kept. A writer that was held up for so many versions could otherwise take a number that was used before.
const KEPT: u64 = 1_000;

/// A data file of a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableFile {
    /// Path below the table's data directory.
    pub path: String,
    /// Rows in it.
    pub rows: u64,
    /// Its length.
    pub bytes: u64,
    /// Values of the partition columns, as text.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub partition: Vec<Option<String>>,
}

/// The files of a table at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    quarry_table_version: u32,
    /// The statement that made it.
    pub statement: String,
    /// All files.
    pub files: Vec<TableFile>,
}

impl Manifest {
    /// The files after a statement.
    #[must_use]
    pub fn new(statement: impl Into<String>, files: Vec<TableFile>) -> Self {
        Self {
            quarry_table_version: FORMAT,
            statement: statement.into(),
            files,
        }
    }

    /// Rows of the table.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.files.iter().map(|file| file.rows).sum()
    }

    /// Paths of all files, below the data directory.
    #[must_use]
    pub fn paths(&self) -> HashSet<&str> {
        self.files.iter().map(|file| file.path.as_str()).collect()
    }

    fn decode(path: &str, bytes: &[u8]) -> Result<Self> {
        let broken = |problem: String| DataFusionError::Execution(format!("table version {path}: {problem}"));
        let manifest: Self =
            serde_json::from_slice(bytes).map_err(|error| broken(format!("broken content: {error}")))?;
        if manifest.quarry_table_version > FORMAT {
            let version = manifest.quarry_table_version;
            return Err(broken(format!(
                "has format {version}; this Quarry reads up to {FORMAT}"
            )));
        }
        Ok(manifest)
    }
}

/// The versions of one managed table.
#[derive(Debug)]
pub struct Versions {
    files: Arc<dyn FileSystem>,
    /// The table's directory.
    root: String,
    newest: Mutex<Option<(u64, Arc<Manifest>)>>,
}

impl Versions {
    /// Of the table whose directory is `root`.
    #[must_use]
    pub fn new(files: Arc<dyn FileSystem>, root: impl Into<String>) -> Self {
        Self {
            files,
            root: root.into(),
            newest: Mutex::new(None),
        }
    }

    /// Makes the directories of a new table, without a version.
    ///
    /// # Errors
    /// If the file system fails.
    pub async fn prepare(&self) -> Result<()> {
        for directory in [VERSIONS, DATA, STAGING] {
            self.files
                .make_directory(&format!("{}/{directory}", self.root), true)
                .await?;
        }
        Ok(())
    }

    /// The newest version and its number; `None` if there is none yet.
    ///
    /// # Errors
    /// If the file system fails, or the version's file is broken.
    pub async fn newest(&self) -> Result<Option<(u64, Arc<Manifest>)>> {
        let Some(number) = self.numbers().await?.into_iter().max() else {
            return Ok(None);
        };
        if let Some((known, manifest)) = self.newest.lock().as_ref()
            && *known == number
        {
            return Ok(Some((number, Arc::clone(manifest))));
        }
        let path = self.path(number);
        let bytes = self.files.read(&path).await?;
        let bytes = bytes.ok_or_else(|| DataFusionError::Execution(format!("table version {path} is gone")))?;
        let manifest = Arc::new(Manifest::decode(&path, &bytes)?);
        *self.newest.lock() = Some((number, Arc::clone(&manifest)));
        Ok(Some((number, manifest)))
    }

    /// Publishes version `number`; false if it is there already.
    ///
    /// # Errors
    /// If the file system fails, or the table would have too many files.
    pub async fn publish(&self, number: u64, manifest: &Manifest) -> Result<bool> {
        if manifest.files.len() > MAX_FILES {
            return Err(DataFusionError::Execution(format!(
                "table {} would have {} files; {MAX_FILES} are possible: write larger ones with INSERT OVERWRITE",
                self.root,
                manifest.files.len()
            )));
        }
        let bytes = serde_json::to_vec(manifest).map_err(|error| DataFusionError::External(Box::new(error)))?;
        let published = publish(self.files.as_ref(), &self.path(number), Bytes::from(bytes)).await?;
        if published && number.is_multiple_of(KEPT / 10) {
            self.forget_old(number).await?;
        }
        Ok(published)
    }

    async fn forget_old(&self, newest: u64) -> Result<()> {
        for number in self.numbers().await? {
            if number + KEPT < newest {
                self.files.delete(&self.path(number)).await?;
            }
        }
        Ok(())
    }

    async fn numbers(&self) -> Result<Vec<u64>> {
        let entries = self.files.entries(&format!("{}/{VERSIONS}", self.root)).await?;
        let numbers = entries.into_iter().flatten().filter_map(|entry| {
            let digits = entry.name.strip_suffix(ENDING)?;
            digits.parse().ok()
        });
        Ok(numbers.collect())
    }

    fn path(&self, number: u64) -> String {
        format!("{}/{VERSIONS}/{number:020}{ENDING}", self.root)
    }

    /// Directory of the data files.
    #[must_use]
    pub fn data(&self) -> String {
        format!("{}/{DATA}", self.root)
    }
}
