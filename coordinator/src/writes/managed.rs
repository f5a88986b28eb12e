//! Commits to managed tables: the next version.

use std::sync::Arc;

use datafusion::error::{DataFusionError, Result};
use quarry_engine::files::{FileSystem, Location};
use quarry_engine::formats::TableDefinition;
use quarry_engine::formats::manifest::{Manifest, TableFile, Versions};
use quarry_engine::write::WrittenFile;

use super::commit::{Mode, file_name, move_all, partition_directory};

/// Attempts to publish a version before others are.
const MAX_RACES: usize = 1_000;

/// A managed table that is written to.
pub(crate) struct ManagedTable {
    files: Arc<dyn FileSystem>,
    versions: Versions,
    partition_columns: Vec<String>,
}

impl ManagedTable {
    pub(crate) fn new(files: Arc<dyn FileSystem>, location: &Location, definition: &TableDefinition) -> Self {
        Self {
            versions: Versions::new(Arc::clone(&files), &location.path),
            files,
            partition_columns: definition.partition_columns.clone(),
        }
    }

    pub(crate) fn versions(&self) -> &Versions {
        &self.versions
    }

    /// Makes the staged files the table's, together. The files that are no longer the table's are returned, by path below the data directory.
    pub(crate) async fn commit(&self, statement: &str, written: &[WrittenFile], mode: &Mode) -> Result<Vec<String>> {
        let new = self.take_in(statement, written).await?;
        for race in 0..MAX_RACES {
            let newest = self.versions.newest().await?;
            let (number, before) =
                newest.map_or((0, Vec::new()), |(number, manifest)| (number, manifest.files.clone()));
            if race > 0 {
                self.verify(&new).await?;
            }
            let (gone, kept): (Vec<_>, Vec<_>) = before
                .into_iter()
                .partition(|file| mode.replaces(&file.partition, written));
            if gone.is_empty() && new.is_empty() && number > 0 {
                return Ok(Vec::new());
            }
            let files = kept.into_iter().chain(new.iter().cloned()).collect();
            if self
                .versions
                .publish(number + 1, &Manifest::new(statement, files))
                .await?
            {
                return Ok(gone.into_iter().map(|file| file.path).collect());
            }
        }
        Err(DataFusionError::Execution(format!(
            "lost {MAX_RACES} races with other statements that write to the table; nothing was written, try again"
        )))
    }

    /// Moves staged files to the data directory, where nobody looks at them yet.
    async fn take_in(&self, statement: &str, written: &[WrittenFile]) -> Result<Vec<TableFile>> {
        let data = self.versions.data();
        let mut new = Vec::with_capacity(written.len());
        let mut moves = Vec::with_capacity(written.len());
        for (number, file) in written.iter().enumerate() {
            let directory = partition_directory(&self.partition_columns, &file.partition);
            let path = directory + &file_name(statement, number, &file.path);
            moves.push((file.path.clone(), format!("{data}/{path}")));
            new.push(TableFile {
                path,
                rows: file.rows,
                bytes: file.bytes,
                partition: file.partition.clone(),
            });
        }
        move_all(&self.files, moves).await?;
        Ok(new)
    }

    /// Who lost a race may have been taken for dead, and its files removed.
    async fn verify(&self, new: &[TableFile]) -> Result<()> {
        if new.is_empty() {
            return Ok(());
        }
        let data = self.versions.data();
        let there = self.files.list_located(&data).await?;
        let there: std::collections::HashSet<&str> = there
            .iter()
            .map(|file| file.path[data.len()..].trim_start_matches('/'))
            .collect();
        match new.iter().find(|file| !there.contains(file.path.as_str())) {
            None => Ok(()),
            Some(missing) => Err(DataFusionError::Execution(format!(
                "{} is gone: another coordinator took this one for dead; nothing was written",
                missing.path
            ))),
        }
    }
}
