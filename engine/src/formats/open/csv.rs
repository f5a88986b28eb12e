//! Text files of separated values.
//!
//! With a header, columns are found by their names where the header speaks of the table's columns: when all of its names are columns
//! of the table, or all columns of the table are among its names. Else, and without a header, they are found by their place.

use std::sync::Arc;

use bytes::Bytes;
use datafusion::arrow::csv::reader::Format;
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::config::CsvOptions;
use datafusion::datasource::file_format::file_compression_type::FileCompressionType;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{CsvOpener, CsvSource, FileOpenFuture, FileOpener, FileSource};
use datafusion::datasource::table_schema::TableSchema;
use datafusion::error::{DataFusionError, Result};
use datafusion::physical_expr::projection::ProjectionExprs;
use futures::{FutureExt, StreamExt, TryStreamExt};
use object_store::{GetOptions, GetRange, ObjectStore};

use super::super::options;
use super::super::source::indices_of;
use super::{Batches, Request, adapted};

/// Longest header.
const MAX_HEADER: u64 = 1 << 20;
/// What is read at first of a file that is not compressed: most headers fit.
const HEADER_GUESS: u64 = 16 << 10;

/// Opens CSV files.
pub(super) struct CsvFiles {
    request: Request,
    options: CsvOptions,
}

impl CsvFiles {
    pub(super) fn new(request: Request) -> Result<Self> {
        let options = options::csv(&request.options)?;
        Ok(Self { request, options })
    }
}

impl FileOpener for CsvFiles {
    fn open(&self, file: PartitionedFile) -> Result<FileOpenFuture> {
        let compression = options::compression(&self.request.options, file.object_meta.location.as_ref())?;
        let (request, options) = (self.request.clone(), self.options.clone());
        Ok(read(request, options, compression, file).boxed())
    }
}

async fn read(
    request: Request,
    options: CsvOptions,
    compression: FileCompressionType,
    file: PartitionedFile,
) -> Result<Batches> {
    let columns = match options.has_header {
        Some(true) => header(&request.store, &options, compression, &file)
            .await?
            .and_then(|names| by_name(&names, &request.table)),
        _ => None,
    };
    let columns = columns.unwrap_or_else(|| Arc::clone(&request.table));
    let source = source(&columns, options, &request)?;
    let of_file = Arc::new(columns.project(&indices_of(&columns, &request.wanted))?);
    let opener = CsvOpener::new(Arc::new(source), compression, Arc::clone(&request.store));
    let batches = opener.open(file)?.await?;
    adapted(batches, &of_file, &request.wanted)
}

/// DataFusion's source for a file with these columns, of which the wanted ones are read.
fn source(columns: &SchemaRef, options: CsvOptions, request: &Request) -> Result<CsvSource> {
    let all = CsvSource::new(TableSchema::from(columns)).with_csv_options(options);
    let wanted = ProjectionExprs::from_indices(&indices_of(columns, &request.wanted), columns);
    let sized = all.with_batch_size(request.batch_size);
    let source = sized.try_pushdown_projection(&wanted)?.unwrap_or(sized);
    let source = source.downcast_ref::<CsvSource>().cloned();
    source.ok_or_else(|| DataFusionError::Internal("a CSV source became another one".to_owned()))
}

/// Columns of a file with a header of these names, in their order there; `None` if places count.
fn by_name(names: &[String], table: &SchemaRef) -> Option<SchemaRef> {
    let same = names.len() == table.fields().len()
        && names
            .iter()
            .zip(table.fields())
            .all(|(name, field)| name == field.name());
    if same {
        return None;
    }
    let known = |name: &String| table.field_with_name(name).is_ok();
    let covered = |field: &Arc<Field>| names.contains(field.name());
    if !names.iter().all(known) && !table.fields().iter().all(covered) {
        return None;
    }
    let field = |name: &String| {
        let of_table = table.field_with_name(name).cloned();
        of_table.unwrap_or_else(|_| Field::new(name, DataType::Utf8, true))
    };
    Some(Arc::new(Schema::new(names.iter().map(field).collect::<Vec<_>>())))
}

/// Names in the first line; `None` if the file is empty.
async fn header(
    store: &Arc<dyn ObjectStore>,
    options: &CsvOptions,
    compression: FileCompressionType,
    file: &PartitionedFile,
) -> Result<Option<Vec<String>>> {
    let terminator = options.terminator.unwrap_or(b'\n');
    let limit = if compression.is_compressed() {
        MAX_HEADER
    } else {
        HEADER_GUESS
    };
    let mut text = beginning(store, compression, file, terminator, limit).await?;
    if limit < MAX_HEADER && !text.contains(&terminator) && file.object_meta.size > limit {
        text = beginning(store, compression, file, terminator, MAX_HEADER).await?;
    }
    let end = text.iter().position(|byte| *byte == terminator).unwrap_or(text.len());
    if end == 0 {
        return Ok(None);
    }
    let mut format = Format::default()
        .with_header(true)
        .with_delimiter(options.delimiter)
        .with_quote(options.quote);
    if let Some(escape) = options.escape {
        format = format.with_escape(escape);
    }
    // A header that cannot be understood is the rows' problem: they are read by place, and say what is wrong.
    let Ok((schema, _)) = format.infer_schema(&text[..end], Some(0)) else {
        return Ok(None);
    };
    Ok(Some(schema.fields().iter().map(|field| field.name().clone()).collect()))
}

/// The first bytes of a file, decompressed, up to the end of a line or `limit`.
async fn beginning(
    store: &Arc<dyn ObjectStore>,
    compression: FileCompressionType,
    file: &PartitionedFile,
    terminator: u8,
    limit: u64,
) -> Result<Vec<u8>> {
    let range = (!compression.is_compressed()).then(|| GetRange::Bounded(0..limit.min(file.object_meta.size)));
    let options = GetOptions {
        range,
        ..GetOptions::default()
    };
    let read = store.get_opts(&file.object_meta.location, options).await?;
    let bytes = read.into_stream().map_err(DataFusionError::from).boxed();
    let mut chunks = compression.convert_stream(bytes)?;
    let mut text: Vec<u8> = Vec::new();
    while (text.len() as u64) < limit && !text.contains(&terminator) {
        let Some(chunk) = chunks.next().await else { break };
        let chunk: Bytes = chunk?;
        text.extend_from_slice(&chunk);
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> SchemaRef {
        Arc::new(Schema::new(vec![
            Field::new("a", DataType::Int64, true),
            Field::new("b", DataType::Utf8, true),
        ]))
    }

    fn names(names: &[&str]) -> Option<Vec<(String, DataType)>> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let schema = by_name(&names, &table())?;
        let fields = schema.fields().iter();
        Some(
            fields
                .map(|field| (field.name().clone(), field.data_type().clone()))
                .collect(),
        )
    }

    #[test]
    fn a_header_of_the_table_s_names_says_where_they_are() {
        let (a, b) = (("a".to_owned(), DataType::Int64), ("b".to_owned(), DataType::Utf8));
        assert_eq!(names(&["b", "a"]), Some(vec![b.clone(), a.clone()]));
        assert_eq!(names(&["b"]), Some(vec![b.clone()]));
        assert_eq!(
            names(&["a", "new", "b"]),
            Some(vec![a, ("new".to_owned(), DataType::Utf8), b])
        );
    }

    #[test]
    fn otherwise_places_count() {
        assert_eq!(names(&["a", "b"]), None);
        assert_eq!(names(&["x", "y"]), None);
        assert_eq!(names(&["a", "y"]), None);
    }
}
