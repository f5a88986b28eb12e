//! What the catalog stores about a table over files.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::arrow::datatypes::{Fields, Schema, SchemaRef};
use datafusion::catalog::Session;
use datafusion::datasource::table_schema::TableSchema;
use datafusion::error::{DataFusionError, Result};
use serde::{Deserialize, Serialize};

use super::format::ReadFormat;

/// File format of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TableFormat {
    /// Apache Parquet.
    Parquet,
    /// Character-separated text.
    Csv,
    /// JSON: one object per line, or one array of objects per file.
    Json,
    /// Avro object container files.
    Avro,
    /// Apache ORC.
    Orc,
    /// Arrow IPC, in its file and in its stream form.
    Arrow,
}

impl TableFormat {
    /// All formats, in the order in which messages list them.
    pub const ALL: [Self; 6] = [Self::Parquet, Self::Csv, Self::Json, Self::Avro, Self::Orc, Self::Arrow];

    /// Name as SQL writes it after `STORED AS`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Parquet => "PARQUET",
            Self::Csv => "CSV",
            Self::Json => "JSON",
            Self::Avro => "AVRO",
            Self::Orc => "ORC",
            Self::Arrow => "ARROW",
        }
    }

    /// Reads the name that stands after `STORED AS`, in any case; `None` if it is not a format we read.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        let name = name.to_ascii_uppercase();
        // What others call the same files.
        let name = match name.as_str() {
            "NDJSON" | "JSONFILE" => "JSON",
            name => name,
        };
        Self::ALL.into_iter().find(|format| format.name() == name)
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
    /// Columns of the table; those of partitions are the last.
    #[serde(with = "super::schema_text")]
    pub schema: SchemaRef,
    /// Format options, keys as in `OPTIONS (...)`; for CSV: `has_header`, `delimiter`, `quote`, `escape`, `comment`, `terminator`,
    /// `newlines_in_values`, `truncated_rows`, `compression`; for JSON: `newline_delimited`, `compression`.
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

    /// Reads the options.
    ///
    /// # Errors
    /// If an option is unknown or its value cannot be used, or a partition column is not a column.
    pub fn check(&self, state: &dyn Session) -> Result<()> {
        if let Some(name) = self
            .partition_columns
            .iter()
            .find(|name| self.schema.field_with_name(name).is_err())
        {
            return Err(DataFusionError::Plan(format!(
                "partition column {name} is not a column"
            )));
        }
        ReadFormat::new(self.format, &self.options, state).map(|_| ())
    }

    /// The columns that are kept in files, and those of partitions.
    #[must_use]
    pub fn table_schema(&self) -> TableSchema {
        let is_partition = |name: &str| self.partition_columns.iter().any(|column| column == name);
        let (partitions, of_files): (Vec<_>, Vec<_>) = self
            .schema
            .fields()
            .iter()
            .cloned()
            .partition(|field| is_partition(field.name()));
        TableSchema::builder(Arc::new(Schema::new(of_files)))
            .with_table_partition_cols(Fields::from(partitions))
            .build()
    }
}
