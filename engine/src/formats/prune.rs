//! Leaving out partitions before anything is asked about their files: the directories are walked level by level, and where a
//! filter says no, neither the files below nor their blocks are looked up.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use datafusion::arrow::array::BooleanArray;
use datafusion::arrow::datatypes::{FieldRef, Schema};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::catalog::Session;
use datafusion::common::cast::as_boolean_array;
use datafusion::common::tree_node::TreeNode;
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::Expr;
use futures::{FutureExt, StreamExt, TryStreamExt, stream};

use super::partitions::value_of;
use crate::files::FileSystem;

/// Where directories are looked up.
#[derive(Clone, Copy)]
pub(super) enum Tree<'a> {
    /// In the file system.
    FileSystem(&'a dyn FileSystem),
    /// In the paths of all files.
    Paths(&'a [String]),
}

impl Tree<'_> {
    /// Names of the directories right below the one at `path`.
    async fn directories(&self, path: &str) -> Result<Vec<String>> {
        match self {
            Self::FileSystem(files) => {
                let entries = files.entries(path).await?;
                let missing = || DataFusionError::Plan(format!("{path}: no such directory"));
                let entries = entries.ok_or_else(missing)?.into_iter();
                Ok(entries
                    .filter(|entry| entry.is_directory)
                    .map(|entry| entry.name)
                    .collect())
            }
            Self::Paths(paths) => {
                let below = paths
                    .iter()
                    .filter_map(|file| file.strip_prefix(path)?.strip_prefix('/'));
                let names = below
                    .filter_map(|below| below.split_once('/'))
                    .map(|(name, _)| name.to_owned());
                Ok(names.collect::<BTreeSet<_>>().into_iter().collect())
            }
        }
    }
}

/// Directories listed at the same time.
const PARALLEL_LISTINGS: usize = 16;

/// How many directories of partitions a scan reads and leaves out. Travels with the first file of a scan inside the coordinator, for `EXPLAIN`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pruning {
    /// Directories that are read.
    pub read: usize,
    /// Directories that a filter excluded.
    pub pruned: usize,
}

/// Whether a filter speaks of partition columns only, and means the same whenever it is asked: then it is decided here, and rows need not
/// be looked at again.
pub(super) fn is_partition_filter(filter: &Expr, columns: &[FieldRef]) -> bool {
    let of_partition = |name: &str| columns.iter().any(|column| column.name() == name);
    let refs = filter.column_refs();
    !refs.is_empty()
        && refs.iter().all(|column| of_partition(column.name()))
        && !filter.is_volatile()
        && !is_decided_elsewhere(filter)
        && !filter
            .exists(|part| Ok(matches!(part, Expr::Placeholder(_))))
            .unwrap_or(true)
}

/// Whether a filter takes more than a row of the table: a subquery, a column of the query around. Subqueries become joins; one that has moved
/// into a scan is out of reach for that.
pub(super) fn is_decided_elsewhere(filter: &Expr) -> bool {
    let is_elsewhere = |part: &Expr| {
        matches!(
            part,
            Expr::ScalarSubquery(_)
                | Expr::InSubquery(_)
                | Expr::Exists(_)
                | Expr::SetComparison(_)
                | Expr::OuterReferenceColumn(..)
        )
    };
    filter.exists(|part| Ok(is_elsewhere(part))).unwrap_or(true)
}

/// What is left of a table's directories.
pub(super) struct Survivors {
    pub(super) directories: Vec<String>,
    pub(super) pruning: Pruning,
}

/// A directory on the way down, with the values of the columns so far.
struct Directory {
    path: String,
    values: Vec<ScalarValue>,
}

/// The directories that may hold rows for which all of `filters` are true.
///
/// # Errors
/// If a directory cannot be listed, a value is not of its column's type, or a filter cannot be computed.
pub(super) async fn survivors(
    tree: Tree<'_>,
    root: &str,
    columns: &[FieldRef],
    filters: &[Expr],
    state: &dyn Session,
) -> Result<Survivors> {
    let mut directories = vec![Directory {
        path: root.to_owned(),
        values: Vec::new(),
    }];
    let mut pruned = 0;
    let mut waiting: Vec<&Expr> = filters.iter().collect();
    for depth in 1..=columns.len() {
        if waiting.is_empty() {
            break;
        }
        let known = &columns[..depth];
        let (now, later) = waiting
            .into_iter()
            .partition(|filter| is_partition_filter(filter, known));
        waiting = later;
        let below = children(tree, &directories, &columns[depth - 1]).await?;
        let seen = below.len();
        directories = keep(below, known, now, state)?;
        pruned += seen - directories.len();
    }
    let pruning = Pruning {
        read: directories.len(),
        pruned,
    };
    let directories = directories.into_iter().map(|directory| directory.path).collect();
    Ok(Survivors { directories, pruning })
}

async fn children(tree: Tree<'_>, parents: &[Directory], column: &FieldRef) -> Result<Vec<Directory>> {
    // Boxed: the compiler cannot name the lifetimes of these futures otherwise.
    let listings = parents.iter().map(|parent| children_of(tree, parent, column).boxed());
    let found: Vec<Vec<Directory>> = stream::iter(listings.collect::<Vec<_>>())
        .buffered(PARALLEL_LISTINGS)
        .try_collect()
        .await?;
    Ok(found.into_iter().flatten().collect())
}

async fn children_of(tree: Tree<'_>, parent: &Directory, column: &FieldRef) -> Result<Vec<Directory>> {
    let mut children = Vec::new();
    for name in tree.directories(&parent.path).await? {
        if let Some(value) = value_of(&name, column)? {
            let mut values = parent.values.clone();
            values.push(value);
            let path = format!("{}/{name}", parent.path.trim_end_matches('/'));
            children.push(Directory { path, values });
        }
    }
    Ok(children)
}

/// Those of the directories for which all filters are true.
fn keep(
    directories: Vec<Directory>,
    columns: &[FieldRef],
    filters: Vec<&Expr>,
    state: &dyn Session,
) -> Result<Vec<Directory>> {
    if directories.is_empty() || filters.is_empty() {
        return Ok(directories);
    }
    let arrays = (0..columns.len())
        .map(|column| ScalarValue::iter_to_array(directories.iter().map(|directory| directory.values[column].clone())));
    let arrays = arrays.collect::<Result<Vec<_>>>()?;
    let batch = RecordBatch::try_new(Arc::new(Schema::new(columns.to_vec())), arrays)?;
    let schema = DFSchema::from_unqualified_fields(columns.to_vec().into(), HashMap::new())?;
    let mut kept = vec![true; directories.len()];
    for filter in filters {
        let filter = state.create_physical_expr(filter.clone(), &schema)?;
        let answers = filter.evaluate(&batch)?.into_array(batch.num_rows())?;
        let answers: &BooleanArray = as_boolean_array(&answers)?;
        for (kept, answer) in kept.iter_mut().zip(answers) {
            *kept = *kept && answer == Some(true);
        }
    }
    let decided = directories.into_iter().zip(kept);
    Ok(decided
        .filter(|(_, kept)| *kept)
        .map(|(directory, _)| directory)
        .collect())
}

#[cfg(test)]
mod tests {
    use std::ops::Not;

    use datafusion::arrow::datatypes::{DataType, Field};
    use datafusion::functions::expr_fn::random;
    use datafusion::logical_expr::{col, lit};

    use super::*;

    fn columns() -> Vec<FieldRef> {
        vec![
            Arc::new(Field::new("y", DataType::Int64, true)),
            Arc::new(Field::new("m", DataType::Int64, true)),
        ]
    }

    #[test]
    fn only_filters_of_partition_columns_decide() {
        let columns = columns();
        assert!(is_partition_filter(&col("y").eq(lit(1)), &columns));
        assert!(is_partition_filter(
            &col("y").eq(lit(1)).or(col("m").is_null()),
            &columns
        ));
        assert!(!is_partition_filter(&col("y").eq(col("v")), &columns));
        assert!(!is_partition_filter(&col("y").gt(random()), &columns));
        assert!(!is_partition_filter(&lit(true), &columns));
    }

    #[test]
    fn what_takes_more_than_a_row_is_decided_elsewhere() {
        let outer = Expr::OuterReferenceColumn(
            Arc::new(Field::new("k", DataType::Int64, true)),
            datafusion::common::Column::from_name("k"),
        );
        assert!(is_decided_elsewhere(&col("v").eq(outer)));
        assert!(!is_decided_elsewhere(&col("v").eq(lit(1)).or(col("y").is_null())));
    }

    #[test]
    fn null_is_not_true() {
        let state = datafusion::prelude::SessionContext::new().state();
        let directory = |y: Option<i64>| Directory {
            path: format!("{y:?}"),
            values: vec![ScalarValue::Int64(y), ScalarValue::Int64(Some(1))],
        };
        let kept = |filter: Expr| {
            let directories = vec![directory(None), directory(Some(1)), directory(Some(2))];
            let kept = keep(directories, &columns(), vec![&filter], &state).unwrap();
            kept.into_iter().map(|directory| directory.path).collect::<Vec<_>>()
        };
        assert_eq!(kept(col("y").eq(lit(1_i64))), ["Some(1)"]);
        assert_eq!(kept(col("y").eq(lit(1_i64)).not()), ["Some(2)"]);
        assert_eq!(kept(col("y").is_null()), ["None"]);
    }

    #[tokio::test]
    async fn directories_are_found_in_paths() {
        let paths = ["/t/y=1/m=1/a", "/t/y=1/m=2/b", "/t/y=2/c", "/t/d", "/tt/y=3/e"].map(str::to_owned);
        let tree = Tree::Paths(&paths);
        assert_eq!(tree.directories("/t").await.unwrap(), ["y=1", "y=2"]);
        assert_eq!(tree.directories("/t/y=1").await.unwrap(), ["m=1", "m=2"]);
        assert!(tree.directories("/t/y=2").await.unwrap().is_empty());
    }
}
