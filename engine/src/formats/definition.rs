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
    /// Columns of `schema`, in order, whose values are in the directories (`k=v`) rather than in the files; they are the last
    /// columns of the schema.
    #[serde(default)]
    pub partition_columns: Vec<String>,
    /// Whether the files are ours: written by statements, named by the table's newest version, deleted with the table.
    #[serde(default)]
    pub managed: bool,
    /// What a person says about the table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// Further properties, kept as they are given.
    #[serde(default)]
    pub properties: BTreeMap<String, String>,
}

impl TableDefinition {
    /// An external table without options, partitions or anything else.
    #[must_use]
    pub fn new(format: TableFormat, location: impl Into<String>, schema: SchemaRef) -> Self {
        Self {
            format,
            location: location.into(),
            schema,
            options: BTreeMap::new(),
            partition_columns: Vec::new(),
            managed: false,
            comment: None,
            properties: BTreeMap::new(),
        }
    }
}
