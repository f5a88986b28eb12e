//! Batches as the bytes of a file format, piece by piece.

use std::collections::BTreeMap;

use arrow::csv::WriterBuilder as CsvBuilder;
use arrow::ipc::writer::FileWriter as ArrowFileWriter;
use arrow::json::LineDelimitedWriter;
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::config::{ConfigField, ConfigOptions, CsvOptions, TableParquetOptions};
use datafusion::common::file_options::csv_writer::CsvWriterOptions;
use datafusion::common::parsers::CompressionTypeVariant;
use datafusion::error::{DataFusionError, Result};
use parquet::arrow::ArrowWriter;
use parquet::file::properties::{WriterProperties, WriterPropertiesBuilder};

use super::spec::{WriteFormat, WriteSpec};
use crate::formats::options::{one_character, plain_key, refused};

/// Rows of a Parquet row group at most, unless the session says less: several fit a file, so that a file is read in parallel.
const ROW_GROUP_BYTES: usize = 64 << 20;

/// Turns batches into bytes. Each format's own end is written by [`finish`](Self::finish).
pub(super) enum Encoder {
    Parquet(Box<ArrowWriter<Vec<u8>>>),
    Csv { builder: Box<CsvBuilder>, ready: Vec<u8> },
    Json(LineDelimitedWriter<Vec<u8>>),
    Arrow(Box<ArrowFileWriter<Vec<u8>>>),
}

impl Encoder {
    pub(super) fn new(spec: &WriteSpec, schema: &SchemaRef, config: &ConfigOptions) -> Result<Self> {
        match spec.format {
            WriteFormat::Parquet => {
                let properties = parquet_properties(&spec.options, config)?;
                let writer = ArrowWriter::try_new(Vec::new(), SchemaRef::clone(schema), Some(properties))?;
                Ok(Self::Parquet(Box::new(writer)))
            }
            WriteFormat::Csv => {
                let options = csv_options(&spec.options, config)?;
                let builder = CsvWriterOptions::try_from(&options)?.writer_options;
                let mut ready = Vec::new();
                let nothing = RecordBatch::new_empty(SchemaRef::clone(schema));
                builder.clone().build(&mut ready).write(&nothing)?;
                let builder = Box::new(builder.with_header(false));
                Ok(Self::Csv { builder, ready })
            }
            WriteFormat::Json => {
                no_options("JSON", &spec.options)?;
                // Rows must come back with the columns they had, also where all are NULL.
                let writer = arrow::json::WriterBuilder::new().with_explicit_nulls(true);
                Ok(Self::Json(writer.build(Vec::new())))
            }
            WriteFormat::Arrow => {
                no_options("ARROW", &spec.options)?;
                Ok(Self::Arrow(Box::new(ArrowFileWriter::try_new(Vec::new(), schema)?)))
            }
        }
    }

    /// Adds rows.
    pub(super) fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        match self {
            Self::Parquet(writer) => {
                writer.write(batch)?;
                if writer.in_progress_size() >= ROW_GROUP_BYTES {
                    writer.flush()?;
                }
            }
            Self::Csv { builder, ready } => (**builder).clone().build(ready).write(batch)?,
            Self::Json(writer) => writer.write(batch)?,
            Self::Arrow(writer) => writer.write(batch)?,
        }
        Ok(())
    }

    /// Bytes that are ready and were not taken yet.
    pub(super) fn take(&mut self) -> Vec<u8> {
        match self {
            Self::Parquet(writer) => std::mem::take(writer.inner_mut()),
            Self::Csv { ready, .. } => std::mem::take(ready),
            Self::Json(writer) => std::mem::take(writer.get_mut()),
            Self::Arrow(writer) => std::mem::take(writer.get_mut()),
        }
    }

    /// Bytes that the rows which are not ready yet will have, as far as can be said.
    pub(super) fn pending_bytes(&self) -> usize {
        match self {
            Self::Parquet(writer) => writer.in_progress_size(),
            Self::Csv { .. } | Self::Json(_) | Self::Arrow(_) => 0,
        }
    }

    /// Memory that is held for rows that are not ready yet.
    pub(super) fn memory(&self) -> usize {
        match self {
            Self::Parquet(writer) => writer.memory_size(),
            Self::Csv { .. } | Self::Json(_) | Self::Arrow(_) => 0,
        }
    }

    /// Writes what the format has at the end of a file.
    pub(super) fn finish(&mut self) -> Result<()> {
        match self {
            Self::Parquet(writer) => writer.finish().map(drop)?,
            Self::Csv { .. } => {}
            Self::Json(writer) => writer.finish()?,
            Self::Arrow(writer) => writer.finish()?,
        }
        Ok(())
    }
}

/// Whether the options can be used.
///
/// # Errors
/// Naming the option.
pub(super) fn check_options(
    format: WriteFormat,
    options: &BTreeMap<String, String>,
    config: &ConfigOptions,
) -> Result<()> {
    match format {
        WriteFormat::Parquet => parquet_properties(options, config).map(drop),
        WriteFormat::Csv => csv_options(options, config).map(drop),
        WriteFormat::Json => no_options("JSON", options),
        WriteFormat::Arrow => no_options("ARROW", options),
    }
}

fn parquet_properties(options: &BTreeMap<String, String>, config: &ConfigOptions) -> Result<WriterProperties> {
    let mut parquet = TableParquetOptions {
        global: config.execution.parquet.clone(),
        ..TableParquetOptions::default()
    };
    // The writer adds the Arrow schema by itself; the properties need not bring it.
    parquet.global.skip_arrow_metadata = true;
    for (key, value) in options {
        let key = plain_key(key);
        parquet
            .set(&key, value)
            .map_err(|error| refused("PARQUET", &key, value, &error))?;
    }
    Ok(WriterPropertiesBuilder::try_from(&parquet)?.build())
}

fn csv_options(options: &BTreeMap<String, String>, config: &ConfigOptions) -> Result<CsvOptions> {
    let mut csv = CsvOptions {
        has_header: Some(config.catalog.has_header),
        ..CsvOptions::default()
    };
    for (key, value) in options {
        let key = plain_key(key);
        let value = one_character(&key, value)?;
        csv.set(&key, &value)
            .map_err(|error| refused("CSV", &key, &value, &error))?;
    }
    if csv.compression != CompressionTypeVariant::UNCOMPRESSED {
        return Err(DataFusionError::NotImplemented(
            "writing compressed CSV files (leave out the option compression, or write PARQUET)".to_owned(),
        ));
    }
    Ok(csv)
}

fn no_options(format: &str, options: &BTreeMap<String, String>) -> Result<()> {
    match options.first_key_value() {
        None => Ok(()),
        Some((key, _)) => Err(DataFusionError::Plan(format!(
            "{format} option {key}: files of this format are written without options"
        ))),
    }
}
