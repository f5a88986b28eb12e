//! What DataFusion needs to read a definition's format: a file source for scans, a file format for finding out columns.

use std::sync::Arc;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::Session;
use datafusion::catalog::memory::DataSourceExec;
use datafusion::common::config::{ConfigField, TableParquetOptions};
use datafusion::datasource::file_format::FileFormat;
use datafusion::datasource::file_format::arrow::ArrowFormat;
use datafusion::datasource::file_format::avro::AvroFormat;
use datafusion::datasource::file_format::csv::CsvFormat;
use datafusion::datasource::file_format::json::JsonFormat;
use datafusion::datasource::file_format::parquet::ParquetFormat;
use datafusion::datasource::physical_plan::{FileScanConfig, FileSource};
use datafusion::datasource::table_schema::TableSchema;
use datafusion::error::Result;
use datafusion::physical_plan::ExecutionPlan;
use datafusion_orc::OrcFormat;
use object_store::{ObjectMeta, ObjectStore};

use super::definition::TableFormat;
use super::open::footer_columns;
use super::options::{self, Options};
use super::source::FormatSource;

/// A format ready to read.
pub(super) struct ReadFormat {
    format: TableFormat,
    /// Complete: nothing of the session is needed any more.
    options: Arc<Options>,
    parquet: Arc<ParquetFormat>,
}

impl ReadFormat {
    /// Reads the options.
    ///
    /// # Errors
    /// If an option is unknown or its value cannot be used; the message names both.
    pub(super) fn new(format: TableFormat, given: &Options, state: &dyn Session) -> Result<Self> {
        let mut parquet = ParquetFormat::new();
        let mut resolved = given.clone();
        match format {
            TableFormat::Parquet => parquet = parquet_format(given, state)?,
            TableFormat::Csv => {
                resolved = options::csv_resolved(given, state.config_options());
                options::csv(&resolved)?;
            }
            TableFormat::Json => {
                options::json(given)?;
            }
            TableFormat::Avro | TableFormat::Orc | TableFormat::Arrow => options::none(format.name(), given)?,
        }
        Ok(Self {
            format,
            options: Arc::new(resolved),
            parquet: Arc::new(parquet),
        })
    }

    /// Whether a file may be read from the middle.
    ///
    /// # Errors
    /// None that [`new`](Self::new) would not have had.
    pub(super) fn is_divisible(&self, path: &str) -> Result<bool> {
        let compressed =
            || Ok::<_, datafusion::error::DataFusionError>(options::compression(&self.options, path)?.is_compressed());
        Ok(match self.format {
            TableFormat::Parquet | TableFormat::Orc | TableFormat::Arrow => true,
            // The reader takes a file whole.
            TableFormat::Avro => false,
            TableFormat::Csv => {
                let csv = options::csv(&self.options)?;
                !compressed()? && csv.newlines_in_values != Some(true) && csv.terminator.is_none()
            }
            TableFormat::Json => !compressed()? && options::json(&self.options)?.newline_delimited,
        })
    }

    /// The source of a scan of files with these columns.
    pub(super) fn source(&self, schema: TableSchema) -> Arc<dyn FileSource> {
        match self.format {
            TableFormat::Parquet => self.parquet.file_source(schema),
            format => Arc::new(FormatSource::new(format, Arc::clone(&self.options), schema)),
        }
    }

    /// The scan.
    ///
    /// # Errors
    /// None that is expected.
    pub(super) async fn plan(&self, state: &dyn Session, config: FileScanConfig) -> Result<Arc<dyn ExecutionPlan>> {
        match self.format {
            TableFormat::Parquet => self.parquet.create_physical_plan(state, config).await,
            _ => Ok(DataSourceExec::from_data_source(config)),
        }
    }

    /// What finds out the columns of the file at `path`.
    ///
    /// # Errors
    /// None that [`new`](Self::new) would not have had.
    fn inferring(&self, path: &str) -> Result<Arc<dyn FileFormat>> {
        let compression = options::compression(&self.options, path);
        Ok(match self.format {
            TableFormat::Parquet => Arc::clone(&self.parquet) as Arc<dyn FileFormat>,
            TableFormat::Csv => {
                let csv = CsvFormat::default().with_options(options::csv(&self.options)?);
                Arc::new(csv.with_file_compression_type(compression?))
            }
            TableFormat::Json => {
                let json = JsonFormat::default().with_options(options::json(&self.options)?);
                Arc::new(json.with_file_compression_type(compression?))
            }
            TableFormat::Avro => Arc::new(AvroFormat),
            TableFormat::Orc => Arc::new(OrcFormat),
            TableFormat::Arrow => Arc::new(ArrowFormat),
        })
    }

    /// The columns of a file.
    ///
    /// # Errors
    /// If the file cannot be read as one of this format.
    pub(super) async fn columns_of(
        &self,
        path: &str,
        meta: &ObjectMeta,
        store: &Arc<dyn ObjectStore>,
        state: &dyn Session,
    ) -> Result<SchemaRef> {
        if self.format == TableFormat::Arrow
            && let Some(columns) = footer_columns(store, meta).await?
        {
            return Ok(columns);
        }
        let format = self.inferring(path)?;
        format.infer_schema(state, store, std::slice::from_ref(meta)).await
    }
}

fn parquet_format(given: &Options, state: &dyn Session) -> Result<ParquetFormat> {
    let mut parquet = TableParquetOptions {
        global: state.config_options().execution.parquet.clone(),
        ..TableParquetOptions::default()
    };
    for (key, value) in given {
        let key = options::plain_key(key);
        parquet
            .set(&key, value)
            .map_err(|error| options::refused("PARQUET", &key, value, &error))?;
    }
    // What the workers compare and exchange is plain strings, whatever the session says.
    parquet.global.schema_force_view_types = false;
    Ok(ParquetFormat::new().with_options(parquet))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use datafusion::prelude::SessionContext;

    use super::*;

    fn format(format: TableFormat, pairs: &[(&str, &str)]) -> Result<ReadFormat> {
        let options = pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        ReadFormat::new(format, &options, &SessionContext::new().state())
    }

    #[test]
    fn csv_options_are_read_in_both_spellings() {
        let read = format(TableFormat::Csv, &[("format.delimiter", "|"), ("HAS_HEADER", "false")]).unwrap();
        assert!(read.is_divisible("/t/a.csv").unwrap());
    }

    #[test]
    fn files_that_cannot_be_cut_are_not_cut() {
        let cases = [
            (TableFormat::Csv, ("newlines_in_values", "true"), "/t/a.csv"),
            (TableFormat::Csv, ("compression", "gzip"), "/t/a.csv"),
            (TableFormat::Csv, ("has_header", "true"), "/t/a.csv.gz"),
            (TableFormat::Json, ("newline_delimited", "false"), "/t/a.json"),
            (TableFormat::Json, ("newline_delimited", "true"), "/t/a.json.zst"),
        ];
        for (kind, given, path) in cases {
            assert!(
                !format(kind, &[given]).unwrap().is_divisible(path).unwrap(),
                "{given:?} {path}"
            );
        }
        assert!(!format(TableFormat::Avro, &[]).unwrap().is_divisible("/t/a").unwrap());
        assert!(format(TableFormat::Orc, &[]).unwrap().is_divisible("/t/a").unwrap());
    }

    #[test]
    fn a_wrong_option_is_named() {
        for (kind, given) in [
            (TableFormat::Csv, ("delimiter", "||")),
            (TableFormat::Csv, ("colour", "red")),
            (TableFormat::Parquet, ("colour", "red")),
            (TableFormat::Json, ("colour", "red")),
            (TableFormat::Avro, ("colour", "red")),
        ] {
            let Err(error) = format(kind, &[given]) else {
                panic!("{given:?} is wrong")
            };
            assert!(error.to_string().contains(given.0), "{error}");
        }
    }
}
