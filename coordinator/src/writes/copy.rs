//! Commits of `COPY ... TO`: one rename to a name that was free.

use std::sync::Arc;

use datafusion::error::Result;
use quarry_engine::files::{FileSystem, Location};
use quarry_engine::write::WrittenFile;

use super::commit::{file_name, move_all, move_one, partition_directory};
use super::external::staged_directory;
use crate::error::Error;

/// Where rows are copied to.
pub(crate) struct CopyTarget {
    files: Arc<dyn FileSystem>,
    path: String,
    /// One file of that name, rather than a directory of files.
    single: bool,
    partition_columns: Vec<String>,
}

impl CopyTarget {
    pub(crate) fn new(
        files: Arc<dyn FileSystem>,
        location: &Location,
        single: bool,
        partition_columns: &[String],
    ) -> Self {
        Self {
            files,
            path: location.path.clone(),
            single,
            partition_columns: partition_columns.to_vec(),
        }
    }

    /// Whether the name is free; an empty directory is as good.
    ///
    /// # Errors
    /// [`Error::AlreadyExists`].
    pub(crate) async fn check_free(&self) -> Result<(), Error> {
        let taken = || Error::already_exists("file or directory", format!("hdfs://{}", self.path));
        let (parent, name) = self.path.rsplit_once('/').unwrap_or(("", &self.path));
        let parent = if parent.is_empty() { "/" } else { parent };
        let entries = self.files.entries(parent).await?;
        let Some(entry) = entries.into_iter().flatten().find(|entry| entry.name == name) else {
            return Ok(());
        };
        let is_empty = entry.is_directory
            && self
                .files
                .entries(&self.path)
                .await?
                .is_some_and(|there| there.is_empty());
        if is_empty && !self.single { Ok(()) } else { Err(taken()) }
    }

    /// Gives what was staged its name.
    pub(crate) async fn commit(&self, statement: &str, written: &[WrittenFile]) -> Result<()> {
        if self.single {
            for file in written {
                move_one(self.files.as_ref(), &file.path, &self.path).await?;
            }
            return Ok(());
        }
        if written.is_empty() {
            return self.files.make_directory(&self.path, true).await;
        }
        let staged = staged_directory(self.files.as_ref(), written).await?;
        let moves = written.iter().enumerate().map(|(number, file)| {
            let directory = partition_directory(&self.partition_columns, &file.partition);
            let name = file_name(statement, number, &file.path);
            (file.path.clone(), format!("{staged}/{directory}{name}"))
        });
        move_all(&self.files, moves.collect()).await?;
        self.files.delete_empty(&self.path).await?;
        move_one(self.files.as_ref(), &staged, &self.path).await
    }
}
