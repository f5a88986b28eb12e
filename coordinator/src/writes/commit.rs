//! Making what a statement staged visible.

use std::sync::Arc;

use datafusion::error::{DataFusionError, Result};
use futures::{StreamExt, TryStreamExt};
use quarry_engine::files::{FileSystem, Renamed};
use quarry_engine::formats::partition_path::encode;
use quarry_engine::write::WrittenFile;

/// Files renamed at a time.
const CONCURRENCY: usize = 16;

/// What becomes of the rows that were there before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Mode {
    /// They stay: `INSERT INTO`.
    Append,
    /// They go: `INSERT OVERWRITE`.
    Overwrite,
    /// Those of some partitions go: `INSERT OVERWRITE ... PARTITION (...)`.
    OverwritePartitions {
        /// Values that the statement names, `None` for columns that it leaves to the rows; in the order of the partition columns.
        named: Vec<Option<Option<String>>>,
    },
}

impl Mode {
    /// Whether a file with these partition values goes when files with `new` values come.
    pub(crate) fn replaces(&self, partition: &[Option<String>], new: &[WrittenFile]) -> bool {
        match self {
            Self::Append => false,
            Self::Overwrite => true,
            Self::OverwritePartitions { named } => {
                let agrees = |(named, value): (&Option<Option<String>>, &Option<String>)| {
                    named.as_ref().is_none_or(|named| named == value)
                };
                let is_named = named.len() == partition.len() && named.iter().zip(partition).all(agrees);
                let all_named = named.iter().all(Option::is_some);
                is_named && (all_named || new.iter().any(|file| file.partition == partition))
            }
        }
    }
}

/// Directory of a file below the table's, with a slash at its end; empty without partition columns.
pub(crate) fn partition_directory(columns: &[String], values: &[Option<String>]) -> String {
    let parts = columns.iter().zip(values);
    parts
        .map(|(column, value)| encode(column, value.as_deref()) + "/")
        .collect()
}

/// Name of a data file. It begins with the statement's id, by which remains are told.
pub(crate) fn file_name(statement: &str, number: usize, path: &str) -> String {
    let ending = path.rsplit_once('.').map_or("", |(_, ending)| ending);
    format!("{statement}-{number:05}.{ending}")
}

/// Renames files; their new directories are made. On failure some may have been renamed.
pub(crate) async fn move_all(files: &Arc<dyn FileSystem>, moves: Vec<(String, String)>) -> Result<()> {
    let mut directories: Vec<&str> = moves
        .iter()
        .filter_map(|(_, to)| Some(to.rsplit_once('/')?.0))
        .collect();
    directories.sort_unstable();
    directories.dedup();
    for directory in directories {
        files.make_directory(directory, true).await?;
    }
    let renames = moves.into_iter().map(|(from, to)| {
        let files = Arc::clone(files);
        async move { move_one(files.as_ref(), &from, &to).await }
    });
    futures::stream::iter(renames.collect::<Vec<_>>())
        .buffer_unordered(CONCURRENCY)
        .try_collect()
        .await
}

/// Renames a file or directory that must be there, to a name that must be free.
pub(crate) async fn move_one(files: &dyn FileSystem, from: &str, to: &str) -> Result<()> {
    match files.rename(from, to).await? {
        Renamed::Done => Ok(()),
        Renamed::TargetExists => Err(DataFusionError::Execution(format!("{to} is there already"))),
        Renamed::Missing => Err(DataFusionError::Execution(format!(
            "{from} is gone: the table was dropped meanwhile, or another coordinator took this one for dead; nothing was written"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some(value: &str) -> Option<String> {
        Some(value.to_owned())
    }

    #[test]
    fn partitions_are_replaced_as_named_or_as_they_come() {
        let new = vec![WrittenFile {
            path: String::new(),
            rows: 1,
            bytes: 1,
            partition: vec![some("2026"), some("7")],
        }];
        let named = Mode::OverwritePartitions {
            named: vec![Some(some("2026")), None],
        };
        assert!(named.replaces(&[some("2026"), some("7")], &new));
        assert!(!named.replaces(&[some("2026"), some("8")], &new));
        assert!(!named.replaces(&[some("2025"), some("7")], &new));
        let all_named = Mode::OverwritePartitions {
            named: vec![Some(some("2026")), Some(some("8"))],
        };
        assert!(all_named.replaces(&[some("2026"), some("8")], &[]));
        assert!(!all_named.replaces(&[some("2026"), some("7")], &new));
        assert!(Mode::Overwrite.replaces(&[], &[]) && !Mode::Append.replaces(&[], &new));
    }

    #[test]
    fn files_are_named_after_their_statement_and_partition() {
        let columns = ["year".to_owned(), "city".to_owned()];
        let directory = partition_directory(&columns, &[some("2026"), some("a/b")]);
        assert_eq!(
            directory + &file_name("s1", 3, "/x/y.parquet"),
            "year=2026/city=a%2Fb/s1-00003.parquet"
        );
        assert_eq!(partition_directory(&[], &[]), "");
    }
}
