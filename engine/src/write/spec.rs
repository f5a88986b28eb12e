//! What is to be written, and the rows that say what was.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use datafusion::arrow::array::{Array, AsArray, RecordBatch, StringArray, UInt64Array};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef, UInt64Type};
use datafusion::error::{DataFusionError, Result};
use serde::{Deserialize, Serialize};

use crate::formats::TableFormat;

/// Formats that can be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WriteFormat {
    /// Apache Parquet.
    Parquet,
    /// Character-separated text.
    Csv,
    /// JSON, one object per line.
    Json,
    /// Arrow IPC files.
    Arrow,
}

impl WriteFormat {
    /// Reads the name that stands after `STORED AS`, in any case; `None` if it cannot be written.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        match name.to_ascii_uppercase().as_str() {
            "PARQUET" => Some(Self::Parquet),
            "CSV" => Some(Self::Csv),
            "JSON" => Some(Self::Json),
            "ARROW" => Some(Self::Arrow),
            _ => None,
        }
    }

    /// The format that files of a table are written in, if they can be.
    #[must_use]
    pub fn of_table(format: TableFormat) -> Option<Self> {
        Self::parse(format.name())
    }

    /// Ending of file names.
    #[must_use]
    pub fn ending(self) -> &'static str {
        match self {
            Self::Parquet => "parquet",
            Self::Csv => "csv",
            Self::Json => "json",
            Self::Arrow => "arrow",
        }
    }
}

/// What is to be written where. Travels to workers as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct WriteSpec {
    /// `hdfs://` URL of the statement's staging directory, which is there.
    pub staging: String,
    /// File format.
    pub format: WriteFormat,
    /// Format options, keys as in `OPTIONS (...)`.
    pub options: BTreeMap<String, String>,
    /// Columns that the input has, by position; those of [`partition_columns`](Self::partition_columns) are not in the files.
    #[serde(with = "crate::formats::schema_text")]
    pub schema: SchemaRef,
    /// Columns that rows are parted by. A file holds rows of one combination of their values.
    pub partition_columns: Vec<String>,
    /// A file of this many bytes is ended and the next begun.
    pub target_bytes: u64,
    /// All rows go into one file, which is there even without rows.
    #[serde(default)]
    pub single: bool,
}

impl WriteSpec {
    /// Positions of the partition columns.
    ///
    /// # Errors
    /// If one is not in the schema.
    pub fn partition_indices(&self) -> Result<Vec<usize>> {
        let columns = self.partition_columns.iter();
        columns.map(|column| Ok(self.schema.index_of(column)?)).collect()
    }

    /// Columns that are in the files.
    #[must_use]
    pub fn file_schema(&self) -> SchemaRef {
        let fields = self.schema.fields().iter();
        let kept = fields.filter(|field| !self.partition_columns.contains(field.name()));
        Arc::new(Schema::new(kept.cloned().collect::<Vec<_>>()))
    }

    /// As it travels.
    ///
    /// # Errors
    /// None that is expected.
    pub fn encode(&self) -> Result<Vec<u8>> {
        serde_json::to_vec(self).map_err(|error| DataFusionError::External(Box::new(error)))
    }

    /// From the form in which it travels.
    ///
    /// # Errors
    /// If the bytes are not such a form.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        serde_json::from_slice(bytes).map_err(|error| DataFusionError::External(Box::new(error)))
    }
}

/// A file that was written, closed and durable, in the attempt's directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WrittenFile {
    /// Absolute path.
    pub path: String,
    /// Rows in it.
    pub rows: u64,
    /// Its length.
    pub bytes: u64,
    /// Values of the partition columns, as text.
    pub partition: Vec<Option<String>>,
}

/// Columns of the rows that say what was written.
#[must_use]
pub fn written_schema() -> SchemaRef {
    static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
        Arc::new(Schema::new(vec![
            Field::new("path", DataType::Utf8, false),
            Field::new("rows", DataType::UInt64, false),
            Field::new("bytes", DataType::UInt64, false),
            Field::new("partition", DataType::Utf8, false),
        ]))
    });
    Arc::clone(&SCHEMA)
}

/// The files as rows.
pub(super) fn written_batch(files: &[WrittenFile]) -> Result<RecordBatch> {
    let partitions = files.iter().map(|file| serde_json::to_string(&file.partition));
    let partitions = partitions.collect::<std::result::Result<Vec<_>, _>>();
    let partitions = partitions.map_err(|error| DataFusionError::External(Box::new(error)))?;
    let paths = StringArray::from_iter_values(files.iter().map(|file| &file.path));
    let rows = UInt64Array::from_iter_values(files.iter().map(|file| file.rows));
    let bytes = UInt64Array::from_iter_values(files.iter().map(|file| file.bytes));
    let columns: Vec<Arc<dyn Array>> = vec![
        Arc::new(paths),
        Arc::new(rows),
        Arc::new(bytes),
        Arc::new(StringArray::from_iter_values(partitions)),
    ];
    Ok(RecordBatch::try_new(written_schema(), columns)?)
}

/// The files that rows speak of.
///
/// # Errors
/// If they are not rows of [`written_schema`].
pub fn written_files(batches: &[RecordBatch]) -> Result<Vec<WrittenFile>> {
    let mut files = Vec::new();
    for batch in batches {
        if batch.schema().fields() != written_schema().fields() {
            return Err(DataFusionError::Internal(
                "rows of another schema than a write's".to_owned(),
            ));
        }
        let (paths, partitions) = (batch.column(0).as_string::<i32>(), batch.column(3).as_string::<i32>());
        let rows = batch.column(1).as_primitive::<UInt64Type>();
        let bytes = batch.column(2).as_primitive::<UInt64Type>();
        for row in 0..batch.num_rows() {
            let partition = serde_json::from_str(partitions.value(row));
            files.push(WrittenFile {
                path: paths.value(row).to_owned(),
                rows: rows.value(row),
                bytes: bytes.value(row),
                partition: partition.map_err(|error| DataFusionError::External(Box::new(error)))?,
            });
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn files_become_rows_and_come_back() {
        let file = |path: &str, partition: &[Option<&str>]| WrittenFile {
            path: path.to_owned(),
            rows: 7,
            bytes: 99,
            partition: partition.iter().map(|value| value.map(str::to_owned)).collect(),
        };
        let files = vec![file("/a", &[]), file("/b", &[Some("x \"y\""), None])];
        assert_eq!(written_files(&[written_batch(&files).unwrap()]).unwrap(), files);
    }

    #[test]
    fn a_spec_travels() {
        let spec = WriteSpec {
            staging: "hdfs:///s".to_owned(),
            format: WriteFormat::Csv,
            options: [("delimiter".to_owned(), "|".to_owned())].into(),
            schema: Arc::new(Schema::new(vec![
                Field::new("k", DataType::Int32, true),
                Field::new("v", DataType::Utf8, false),
            ])),
            partition_columns: vec!["k".to_owned()],
            target_bytes: 5,
            single: false,
        };
        assert_eq!(WriteSpec::decode(&spec.encode().unwrap()).unwrap(), spec);
        assert_eq!(spec.partition_indices().unwrap(), [0]);
        assert_eq!(spec.file_schema().fields().len(), 1);
    }
}
