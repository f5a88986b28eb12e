//! What `ANALYZE TABLE` found out, and how it reaches the planner.
//!
//! Figures belong to one state of the table's files. While the files are the same, they are exact (but counts of distinct values, which are
//! estimates); later they are hints.

use std::collections::BTreeMap;

use datafusion::arrow::datatypes::{DataType, Schema};
use datafusion::common::stats::Precision;
use datafusion::common::{ColumnStatistics, ScalarValue, Statistics};
use serde::{Deserialize, Serialize};

use crate::files::DataFile;

/// The files of a table at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FilesState {
    /// How many.
    pub files: u64,
    /// Their length together, in bytes.
    pub bytes: u64,
    /// Hash (FNV-1a, 64 bits, hexadecimal) of paths, lengths and times of change.
    pub fingerprint: String,
}

impl FilesState {
    /// The state of these files, whatever their order.
    #[must_use]
    pub fn of(files: &[DataFile]) -> Self {
        let mut sorted: Vec<&DataFile> = files.iter().collect();
        sorted.sort_by(|a, b| a.path.cmp(&b.path));
        let mut hash = Fnv::default();
        for file in &sorted {
            hash.add(file.path.as_bytes());
            // No path contains NUL: it separates.
            hash.add(&[0]);
            hash.add(&file.size.to_le_bytes());
            hash.add(&file.modified.timestamp_millis().to_le_bytes());
        }
        Self {
            files: files.len() as u64,
            bytes: files.iter().map(|file| file.size).sum(),
            fingerprint: format!("{:016x}", hash.0),
        }
    }
}

/// FNV-1a: written to files, so it must be the same in every version.
struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Fnv {
    fn add(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
}

/// What is known of one column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColumnFigures {
    /// Rows without a value.
    pub nulls: u64,
    /// Different values: an estimate. Absent for nested types.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub distinct: Option<u64>,
    /// Smallest value as text; absent if the type has no order or no text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<String>,
    /// Largest value as text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<String>,
}

/// What `ANALYZE TABLE` found out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableStatistics {
    /// The files that were read.
    pub files: FilesState,
    /// Rows.
    pub rows: u64,
    /// When, in milliseconds since 1970.
    pub analyzed_ms: i64,
    /// By column.
    pub columns: BTreeMap<String, ColumnFigures>,
}

impl TableStatistics {
    /// Adds to what a scan of `files` knows already. `known` has a column for each of `schema`; `pruned` says that they are only some of the
    /// table's files.
    pub(super) fn complete(&self, known: &mut Statistics, schema: &Schema, files: &[DataFile], pruned: bool) {
        let is_fresh = !pruned && FilesState::of(files) == self.files;
        let rows = if is_fresh { self.rows } else { self.scaled_rows(files) };
        known.num_rows = better(&known.num_rows, is_fresh, usize_of(rows));
        for (field, column) in schema.fields().iter().zip(&mut known.column_statistics) {
            if let Some(figures) = self.columns.get(field.name()) {
                figures.complete(column, field.data_type(), is_fresh, rows);
            }
        }
    }

    /// Rows that `files` probably hold.
    fn scaled_rows(&self, files: &[DataFile]) -> u64 {
        let bytes: u64 = files.iter().map(|file| file.size).sum();
        if self.files.bytes == 0 {
            return self.rows;
        }
        // Estimates: a loss of digits does not matter.
        (self.rows as f64 * (bytes as f64 / self.files.bytes as f64)) as u64
    }
}

impl ColumnFigures {
    fn complete(&self, known: &mut ColumnStatistics, data_type: &DataType, is_fresh: bool, rows: u64) {
        if let Some(distinct) = self.distinct
            && !matches!(known.distinct_count, Precision::Exact(_))
        {
            known.distinct_count = Precision::Inexact(usize_of(distinct.min(rows)));
        }
        known.null_count = better(&known.null_count, is_fresh, usize_of(self.nulls.min(rows)));
        for (known, text) in [(&mut known.min_value, &self.min), (&mut known.max_value, &self.max)] {
            let value = text.as_deref().and_then(|text| value_of(text, data_type));
            if let Some(value) = value {
                *known = better(known, is_fresh, value);
            }
        }
    }
}

/// What is known stays, unless nothing is.
fn better<T: Clone + std::fmt::Debug + PartialEq + Eq + PartialOrd>(
    known: &Precision<T>,
    is_fresh: bool,
    found: T,
) -> Precision<T> {
    match known {
        Precision::Absent if is_fresh => Precision::Exact(found),
        Precision::Absent => Precision::Inexact(found),
        known => known.clone(),
    }
}

fn value_of(text: &str, data_type: &DataType) -> Option<ScalarValue> {
    ScalarValue::from(text)
        .cast_to(data_type)
        .ok()
        .filter(|value| !value.is_null())
}

fn usize_of(count: u64) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use datafusion::arrow::datatypes::Field;

    use super::*;

    fn file(path: &str, size: u64) -> DataFile {
        DataFile {
            path: path.to_owned(),
            size,
            modified: DateTime::default(),
            blocks: Vec::new(),
        }
    }

    fn schema() -> Schema {
        Schema::new(vec![Field::new("a", DataType::Int32, true)])
    }

    fn statistics(files: &[DataFile]) -> TableStatistics {
        let figures = ColumnFigures {
            nulls: 3,
            distinct: Some(40),
            min: Some("-1".to_owned()),
            max: Some("99".to_owned()),
        };
        TableStatistics {
            files: FilesState::of(files),
            rows: 100,
            analyzed_ms: 0,
            columns: [("a".to_owned(), figures)].into(),
        }
    }

    fn completed(files: &[DataFile], pruned: bool) -> Statistics {
        let mut known = Statistics::new_unknown(&schema());
        statistics(&[file("/t/a", 10), file("/t/b", 30)]).complete(&mut known, &schema(), files, pruned);
        known
    }

    #[test]
    fn figures_of_the_same_files_are_exact() {
        let known = completed(&[file("/t/b", 30), file("/t/a", 10)], false);
        assert_eq!(known.num_rows, Precision::Exact(100));
        let column = &known.column_statistics[0];
        assert_eq!(column.distinct_count, Precision::Inexact(40));
        assert_eq!(column.null_count, Precision::Exact(3));
        assert_eq!(column.min_value, Precision::Exact(ScalarValue::Int32(Some(-1))));
    }

    #[test]
    fn figures_of_other_files_are_hints() {
        let known = completed(&[file("/t/a", 20)], false);
        assert_eq!(known.num_rows, Precision::Inexact(50));
        assert_eq!(known.column_statistics[0].null_count, Precision::Inexact(3));
        assert_eq!(
            known.column_statistics[0].max_value,
            Precision::Inexact(ScalarValue::Int32(Some(99)))
        );
        let pruned = completed(&[file("/t/a", 10)], true);
        assert_eq!(pruned.num_rows, Precision::Inexact(25));
        assert_eq!(pruned.column_statistics[0].distinct_count, Precision::Inexact(25));
    }

    #[test]
    fn what_footers_say_stays() {
        let mut known = Statistics::new_unknown(&schema());
        known.num_rows = Precision::Exact(7);
        let files = [file("/t/a", 10)];
        statistics(&files).complete(&mut known, &schema(), &files, false);
        assert_eq!(known.num_rows, Precision::Exact(7));
    }

    #[test]
    fn the_fingerprint_is_the_same_in_every_version() {
        let state = FilesState::of(&[file("/t/a", 10)]);
        assert_eq!(state, FilesState::of(&[file("/t/a", 10)]));
        assert_ne!(state.fingerprint, FilesState::of(&[file("/t/a", 11)]).fingerprint);
        assert_eq!(FilesState::of(&[]).fingerprint, "cbf29ce484222325");
    }
}
