//! Opening one file of a table: its rows, with the table's columns by name.
//!
//! A column that a file does not have is NULL in its rows, one that the table does not have is not read, and one of another type is cast.
//! A file range stands for the rows that begin in it, whatever a row's unit is: a line, an ORC stripe, an Arrow batch.

mod arrow;
mod csv;
mod orc;

pub(super) use arrow::footer_columns;

use std::sync::Arc;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{
    AvroSource, FileOpenFuture, FileOpener, FileScanConfig, FileSource, JsonOpener,
};
use datafusion::datasource::table_schema::TableSchema;
use datafusion::error::{DataFusionError, Result};
use datafusion::physical_expr_adapter::BatchAdapterFactory;
use futures::StreamExt;
use futures::stream::BoxStream;
use object_store::ObjectStore;

use super::definition::TableFormat;
use super::options::{self, Options};

/// What is to be read, of whichever file.
#[derive(Clone)]
pub(super) struct Request {
    /// How.
    pub(super) options: Arc<Options>,
    /// All columns of the table that are kept in files.
    pub(super) table: SchemaRef,
    /// Those that are wanted.
    pub(super) wanted: SchemaRef,
    /// Rows of a batch.
    pub(super) batch_size: usize,
    /// From where.
    pub(super) store: Arc<dyn ObjectStore>,
}

/// An opener whose batches have exactly the wanted columns.
///
/// # Errors
/// If the options cannot be read.
pub(super) fn opener(
    format: TableFormat,
    request: Request,
    config: &FileScanConfig,
    partition: usize,
) -> Result<Arc<dyn FileOpener>> {
    match format {
        TableFormat::Csv => Ok(Arc::new(csv::CsvFiles::new(request)?)),
        TableFormat::Json => Ok(Arc::new(JsonFiles(request))),
        TableFormat::Orc => Ok(Arc::new(orc::OrcFiles(request))),
        TableFormat::Arrow => Ok(Arc::new(arrow::ArrowFiles(request))),
        TableFormat::Avro => AvroSource::new(TableSchema::from(&request.wanted))
            .with_batch_size(request.batch_size)
            .create_file_opener(request.store, config, partition),
        TableFormat::Parquet => Err(DataFusionError::Internal(
            "Parquet files have a source of their own".to_owned(),
        )),
    }
}

/// Batches of a file.
type Batches = BoxStream<'static, Result<RecordBatch>>;

/// Brings the columns of a file to those that are wanted.
fn adapted(batches: Batches, of_file: &SchemaRef, wanted: &SchemaRef) -> Result<Batches> {
    if of_file == wanted {
        return Ok(batches);
    }
    let adapter = BatchAdapterFactory::new(Arc::clone(wanted)).make_adapter(of_file)?;
    Ok(batches
        .map(move |batch| batch.and_then(|batch| adapter.adapt_batch(&batch)))
        .boxed())
}

/// Files of JSON objects. The reader finds columns by their names.
struct JsonFiles(Request);

impl FileOpener for JsonFiles {
    fn open(&self, file: PartitionedFile) -> Result<FileOpenFuture> {
        let request = &self.0;
        let compression = options::compression(&request.options, file.object_meta.location.as_ref())?;
        JsonOpener::new(
            request.batch_size,
            Arc::clone(&request.wanted),
            compression,
            Arc::clone(&request.store),
            options::json(&request.options)?.newline_delimited,
        )
        .open(file)
    }
}
