//! Commits to external tables: renames into their directory.
//!
//! A directory that others read as well has no versions. Rows that are added to a table without partitions appear in one step: one
//! file by its rename, several by that of the directory they were staged in. Rows of several partitions, and rows that replace
//! others, take several steps.

use std::sync::Arc;

use datafusion::error::{DataFusionError, Result};
use quarry_engine::files::{FileSystem, Location};
use quarry_engine::formats::partition_path::decode;
use quarry_engine::formats::visible_files;
use quarry_engine::write::WrittenFile;

use super::commit::{Mode, file_name, move_all, move_one, partition_directory};

/// An external table that is written to.
pub(crate) struct ExternalTable {
    files: Arc<dyn FileSystem>,
    root: String,
    partition_columns: Vec<String>,
}

impl ExternalTable {
    pub(crate) fn new(files: Arc<dyn FileSystem>, location: &Location, partition_columns: &[String]) -> Self {
        Self {
            files,
            root: location.path.clone(),
            partition_columns: partition_columns.to_vec(),
        }
    }

    /// Makes the staged files the table's.
    pub(crate) async fn commit(&self, statement: &str, written: &[WrittenFile], mode: &Mode) -> Result<()> {
        let gone = match mode {
            Mode::Append => Vec::new(),
            _ => self.replaced(written, mode).await?,
        };
        if self.partition_columns.is_empty() {
            self.add(statement, written).await?;
        } else {
            self.add_to_partitions(statement, written).await?;
        }
        for path in gone {
            self.files.delete(&path).await?;
        }
        Ok(())
    }

    async fn replaced(&self, written: &[WrittenFile], mode: &Mode) -> Result<Vec<String>> {
        let listed = visible_files(self.files.list_located(&self.root).await?, &self.root);
        let paths = listed.into_iter().map(|file| file.path);
        Ok(paths
            .filter(|path| mode.replaces(&self.partition_of(path), written))
            .collect())
    }

    /// Values of the partition columns in a file's path.
    fn partition_of(&self, path: &str) -> Vec<Option<String>> {
        let below = path.strip_prefix(&self.root).unwrap_or(path);
        let values: Vec<_> = below.split('/').filter_map(decode).collect();
        let value = |column: &String| {
            let found = values.iter().find(|(name, _)| name == column);
            found.and_then(|(_, value)| value.clone())
        };
        self.partition_columns.iter().map(value).collect()
    }

    async fn add(&self, statement: &str, written: &[WrittenFile]) -> Result<()> {
        match written {
            [] => Ok(()),
            [only] => {
                let to = format!("{}/{}", self.root, file_name(statement, 0, &only.path));
                move_one(self.files.as_ref(), &only.path, &to).await
            }
            _ => {
                let attempt = staged_directory(self.files.as_ref(), written).await?;
                move_one(self.files.as_ref(), &attempt, &format!("{}/{statement}", self.root)).await
            }
        }
    }

    async fn add_to_partitions(&self, statement: &str, written: &[WrittenFile]) -> Result<()> {
        let moves = written.iter().enumerate().map(|(number, file)| {
            let directory = partition_directory(&self.partition_columns, &file.partition);
            let name = file_name(statement, number, &file.path);
            (file.path.clone(), format!("{}/{directory}{name}", self.root))
        });
        let moves: Vec<_> = moves.collect();
        let renamed = move_all(&self.files, moves.clone()).await;
        if renamed.is_err() {
            for (_, to) in moves {
                self.files.delete(&to).await?;
            }
        }
        renamed
    }
}

/// The directory that all files were staged in. It holds nothing else, so that it can be renamed as a whole.
pub(super) async fn staged_directory(files: &dyn FileSystem, written: &[WrittenFile]) -> Result<String> {
    let parents: std::collections::HashSet<_> = written.iter().filter_map(|file| file.path.rsplit_once('/')).collect();
    let directory = parents
        .iter()
        .map(|(directory, _)| *directory)
        .next()
        .unwrap_or_default();
    let there = files.entries(directory).await?.unwrap_or_default();
    let reported = |name: &str| parents.contains(&(directory, name));
    if there.len() == written.len() && there.iter().all(|entry| reported(&entry.name)) {
        return Ok(directory.to_owned());
    }
    Err(DataFusionError::Internal(format!(
        "{} files were reported and {} are in {directory}; nothing was written",
        written.len(),
        there.len()
    )))
}
