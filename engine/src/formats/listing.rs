//! Which files a table consists of at the moment, and which of them a scan needs.
//!
//! An external table is what lies at its location; a managed one is what its newest version names. Either way, filters of
//! partition columns are decided first, on the names of directories, and only what they leave is located.

use std::collections::HashSet;

use datafusion::arrow::datatypes::FieldRef;
use datafusion::catalog::Session;
use datafusion::common::ScalarValue;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::Expr;
use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use object_store::ObjectMeta;

use super::infer::object_meta;
use super::manifest::Versions;
use super::partitions::values_of_file;
use super::prune::{Pruning, Tree, is_partition_filter, survivors};
use crate::files::{DataFile, FileSystem, Location};

/// Partitions listed at the same time.
const PARALLEL_LISTINGS: usize = 16;

/// Looks up the files of a table.
pub(super) struct Listing<'a> {
    pub(super) files: &'a dyn FileSystem,
    pub(super) location: &'a Location,
    /// Of a managed table.
    pub(super) versions: Option<&'a Versions>,
    /// Partition columns.
    pub(super) columns: &'a [FieldRef],
}

impl Listing<'_> {
    /// All files of the table.
    ///
    /// # Errors
    /// If they cannot be listed, one that the newest version names is missing, or the name of a directory is not a value of its column.
    pub(super) async fn all(&self) -> Result<Found> {
        match self.versions {
            Some(versions) => self.managed(versions, None).await,
            None => {
                let root = &self.location.path;
                self.found(self.list(root).await?, root, None)
            }
        }
    }

    /// The files that the filters of partition columns among `filters` leave.
    ///
    /// # Errors
    /// As [`all`](Self::all); if a filter cannot be computed.
    pub(super) async fn find(&self, state: &dyn Session, filters: &[Expr]) -> Result<Found> {
        let deciding = filters
            .iter()
            .filter(|filter| is_partition_filter(filter, self.columns));
        let deciding: Vec<Expr> = deciding.cloned().collect();
        if deciding.is_empty() {
            return self.all().await;
        }
        if let Some(versions) = self.versions {
            return self.managed(versions, Some((&deciding, state))).await;
        }
        let root = &self.location.path;
        let left = survivors(Tree::FileSystem(self.files), root, self.columns, &deciding, state).await;
        let left = left.map_err(|error| error.context(format!("partitions of {}", self.location)))?;
        let listed = self.list_all(&left.directories).await?;
        self.found(listed, root, Some(left.pruning))
    }

    /// The files that the newest version names. All must be there: a missing one must not pass for missing rows.
    async fn managed(&self, versions: &Versions, filters: Option<(&[Expr], &dyn Session)>) -> Result<Found> {
        let newest = versions.newest().await?;
        let (_, manifest) = newest.ok_or_else(|| self.damaged("has no version: its files are gone".to_owned()))?;
        let data = versions.data();
        let mut named: Vec<String> = manifest
            .files
            .iter()
            .map(|file| format!("{data}/{}", file.path))
            .collect();
        let mut directories = vec![data.clone()];
        let mut pruning = None;
        if let Some((filters, state)) = filters {
            let left = survivors(Tree::Paths(&named), &data, self.columns, filters, state).await?;
            let is_left = |path: &String| left.directories.iter().any(|directory| is_below(path, directory));
            named.retain(is_left);
            directories = left.directories;
            pruning = Some(left.pruning);
        }
        if named.is_empty() {
            return self.found(Vec::new(), &data, pruning);
        }
        let mut missing: HashSet<&str> = named.iter().map(String::as_str).collect();
        let mut listed = self.list_all(&directories).await?;
        listed.retain(|file| missing.remove(file.path.as_str()));
        if let Some(missing) = missing.into_iter().next() {
            return Err(self.damaged(format!("file {missing} of its newest version is missing")));
        }
        Found::new(listed, &data, self.columns, pruning)
    }

    fn damaged(&self, problem: String) -> DataFusionError {
        DataFusionError::Execution(format!("managed table at {}: {problem}", self.location))
    }

    fn found(&self, listed: Vec<DataFile>, root: &str, pruning: Option<Pruning>) -> Result<Found> {
        let found = Found::new(visible_files(listed, root), root, self.columns, pruning);
        found.map_err(|error| error.context(self.location.to_string()))
    }

    async fn list(&self, path: &str) -> Result<Vec<DataFile>> {
        let listed = self.files.list_located(path).await;
        listed.map_err(|error| error.context(format!("listing {path} of {}", self.location)))
    }

    async fn list_all(&self, directories: &[String]) -> Result<Vec<DataFile>> {
        // Boxed: the compiler cannot name the lifetimes of these futures otherwise.
        let listings = directories.iter().map(|directory| self.list(directory).boxed());
        let listed: Vec<Vec<DataFile>> = stream::iter(listings.collect::<Vec<_>>())
            .buffered(PARALLEL_LISTINGS)
            .try_collect()
            .await?;
        Ok(listed.into_iter().flatten().collect())
    }
}

fn is_below(path: &str, directory: &str) -> bool {
    path.strip_prefix(directory).is_some_and(|below| below.starts_with('/'))
}

/// Files of a table, in the order of their paths.
pub(super) struct Found {
    pub(super) files: Vec<DataFile>,
    pub(super) metas: Vec<ObjectMeta>,
    /// Values of the partition columns, file by file.
    pub(super) values: Vec<Vec<ScalarValue>>,
    pub(super) pruning: Option<Pruning>,
}

impl Found {
    fn new(mut listed: Vec<DataFile>, root: &str, columns: &[FieldRef], pruning: Option<Pruning>) -> Result<Self> {
        listed.sort_by(|a, b| a.path.cmp(&b.path));
        let mut files = Vec::with_capacity(listed.len());
        let mut values = Vec::with_capacity(listed.len());
        for file in listed {
            match values_of_file(&file.path, root, columns)? {
                Some(of_file) => {
                    files.push(file);
                    values.push(of_file);
                }
                None => tracing::debug!(path = file.path, "lies in no partition of its table and is not read"),
            }
        }
        let metas = files.iter().map(object_meta).collect::<Result<Vec<_>>>()?;
        Ok(Self {
            files,
            metas,
            values,
            pruning,
        })
    }
}

/// What Hadoop's shell appends to the name of a file that it still writes.
const UNFINISHED: &str = "._COPYING_";

/// The files that belong to a table at `root`: not those that are empty, nor those below it with a name that begins with `.` or
/// `_` or ends with `._COPYING_`, by which writers mark what is unfinished or about the data.
#[must_use]
pub fn visible_files(files: Vec<DataFile>, root: &str) -> Vec<DataFile> {
    let visible = |file: &DataFile| {
        let below = file.path.strip_prefix(root).unwrap_or(&file.path);
        let hidden = |part: &str| part.starts_with(['.', '_']) || part.ends_with(UNFINISHED);
        file.size > 0 && !below.split('/').any(hidden)
    };
    files.into_iter().filter(visible).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hidden_and_empty_files_are_not_of_the_table() {
        let file = |path: &str, size| DataFile {
            path: path.to_owned(),
            size,
            modified: chrono::DateTime::default(),
            blocks: Vec::new(),
        };
        let listed = vec![
            file("/_root/t/a.parquet", 1),
            file("/_root/t/_SUCCESS", 1),
            file("/_root/t/.crc", 1),
            file("/_root/t/b.parquet._COPYING_", 1),
            file("/_root/t/_staging/x/b.parquet", 1),
            file("/_root/t/empty", 0),
            file("/_root/t/sub/c.parquet", 1),
        ];
        let paths: Vec<String> = visible_files(listed, "/_root/t")
            .into_iter()
            .map(|file| file.path)
            .collect();
        assert_eq!(paths, ["/_root/t/a.parquet", "/_root/t/sub/c.parquet"]);
    }
}
