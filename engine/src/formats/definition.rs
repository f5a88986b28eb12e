//! What the catalog stores about a table over files.

use std::collections::BTreeMap;

use datafusion::arrow::datatypes::SchemaRef;
use serde::{Deserialize, Serialize};

/// File format of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TableFormat {
    /// Apache Parquet.
    Parquet,
    /// Character-separated text.
    Csv,
}

impl TableFormat {
    /// Name as SQL writes it after `STORED AS`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Parquet => "PARQUET",
            Self::Csv => "CSV",
        }
    }

    /// Reads the name that stands after `STORED AS`, in any case; `None` if it is not a format we read.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        match name.to_ascii_uppercase().as_str() {
            "PARQUET" => Some(Self::Parquet),
            "CSV" => Some(Self::Csv),
            _ => None,
        }
    }
}

/// A table over files in a distributed file system. Its JSON form is stored by the catalog.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TableDefinition {
    /// How the files are read.
    pub format: TableFormat,
    /// `hdfs://host:port/path`, or `hdfs:///path` for the cluster's own file system: one file, or a directory whose
    /// files (not those whose name begins with `.` or `_`) are the table.
    pub location: String,
    /// Columns of the table.
    #[serde(with = "super::schema_text")]
    pub schema: SchemaRef,
    /// Format options, keys as in `OPTIONS (...)`; for CSV: `has_header`, `delimiter`, `quote`, `escape`, `comment`,
    /// `newlines_in_values`, `null_regex`, `compression`.
    #[serde(default)]
    pub options: BTreeMap<String, String>,
}
