//! `SHOW PARTITIONS t`: the directories with files, in order of their values.

use std::collections::BTreeMap;

use datafusion::arrow::datatypes::Fields;
use datafusion::common::ScalarValue;
use datafusion::sql::sqlparser::ast::ObjectName;
use quarry_engine::formats::partition_path;
use quarry_engine::formats::table::PartitionFile;

use super::{Row, row, table};
use crate::error::{Error, Result};
use crate::statement::scope::Scope;

pub(super) const COLUMNS: &[&str] = &["partition", "files#", "bytes#"];

pub(super) async fn rows(scope: &Scope, name: &ObjectName) -> Result<Vec<Row>> {
    let (name, _, table) = table(scope, name).await?;
    let columns = table.partition_columns();
    if columns.is_empty() {
        return Err(Error::invalid(format!(
            "table {}.{} is not partitioned; PARTITIONED BY in its CREATE TABLE would make it so",
            name.schema, name.object
        )));
    }
    let mut found: BTreeMap<Key, (u64, u64)> = BTreeMap::new();
    for PartitionFile { file, partition } in table.files().await? {
        let (files, bytes) = found.entry(Key(partition)).or_default();
        *files += 1;
        *bytes += file.size;
    }
    let rows = found
        .into_iter()
        .map(|(Key(values), (files, bytes))| row([path_of(columns, &values), files.to_string(), bytes.to_string()]));
    Ok(rows.collect())
}

/// Values of a partition, ordered as values; NULL comes last.
#[derive(PartialEq, Eq)]
struct Key(Vec<ScalarValue>);

impl Ord for Key {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        let pairs = self.0.iter().zip(&other.0);
        let order = pairs.map(|(a, b)| {
            let nulls = a.is_null().cmp(&b.is_null());
            nulls.then_with(|| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal))
        });
        order.fold(std::cmp::Ordering::Equal, std::cmp::Ordering::then)
    }
}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// As its directories are called.
fn path_of(columns: &Fields, values: &[ScalarValue]) -> String {
    let directories = columns.iter().zip(values).map(|(column, value)| {
        let text = (!value.is_null()).then(|| value.to_string());
        partition_path::encode(column.name(), text.as_deref())
    });
    directories.collect::<Vec<_>>().join("/")
}
