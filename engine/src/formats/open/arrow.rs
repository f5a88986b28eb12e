//! Arrow IPC files, in two forms: the file form has a footer that says where its batches lie, so that each is read by the range that holds
//! its first byte; the stream form is read from its beginning, by the range that holds that.

use std::sync::Arc;

use bytes::Bytes;
use datafusion::arrow::buffer::Buffer;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::ipc::convert::fb_to_schema;
use datafusion::arrow::ipc::reader::{FileDecoder, StreamReader, read_footer_length};
use datafusion::arrow::ipc::{Block, root_as_footer};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{FileOpenFuture, FileOpener};
use datafusion::error::{DataFusionError, Result};
use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use object_store::ObjectStoreExt;

use super::super::source::indices_of;
use super::{Batches, Request, adapted};

/// Bytes at the end of the file form: the footer's length and the magic word.
const TAIL: u64 = 10;

/// Opens Arrow files.
pub(super) struct ArrowFiles(pub(super) Request);

impl FileOpener for ArrowFiles {
    fn open(&self, file: PartitionedFile) -> Result<FileOpenFuture> {
        let request = self.0.clone();
        Ok(async move {
            match footer_length(&request, &file).await? {
                Some(length) => read_batches(request, file, length).await,
                None => read_stream(request, file).await,
            }
        }
        .boxed())
    }
}

/// Length of the footer; `None` for the stream form.
async fn footer_length(request: &Request, file: &PartitionedFile) -> Result<Option<u64>> {
    let size = file.object_meta.size;
    if size < TAIL {
        return Ok(None);
    }
    let tail = bytes_of(request, file, size - TAIL, TAIL).await?;
    let Ok(tail) = <[u8; TAIL as usize]>::try_from(tail.as_ref()) else {
        return Ok(None);
    };
    Ok(read_footer_length(tail).ok().map(|length| length as u64))
}

async fn bytes_of(request: &Request, file: &PartitionedFile, start: u64, length: u64) -> Result<Bytes> {
    let range = start..start.saturating_add(length);
    Ok(request.store.get_range(&file.object_meta.location, range).await?)
}

fn broken(file: &PartitionedFile, problem: &str) -> DataFusionError {
    let path = &file.object_meta.location;
    ArrowError::ParseError(format!("/{path}: not a whole Arrow file: {problem}")).into()
}

/// Where a batch or a dictionary lies.
#[derive(Clone, Copy)]
struct Place {
    block: Block,
    start: u64,
    length: u64,
}

impl Place {
    fn of(block: &Block, file: &PartitionedFile) -> Result<Self> {
        let wrong = |_| broken(file, "a block lies at a negative offset");
        let start = u64::try_from(block.offset()).map_err(wrong)?;
        let length =
            u64::try_from(block.bodyLength()).map_err(wrong)? + u64::try_from(block.metaDataLength()).map_err(wrong)?;
        if start.saturating_add(length) > file.object_meta.size {
            return Err(broken(file, "a block ends after the file"));
        }
        Ok(Self {
            block: *block,
            start,
            length,
        })
    }

    fn is_in(&self, file: &PartitionedFile) -> bool {
        let (start, end) = file.range();
        (start..end).contains(&self.start)
    }
}

async fn read_batches(request: Request, file: PartitionedFile, footer: u64) -> Result<Batches> {
    let size = file.object_meta.size;
    let start = size.checked_sub(TAIL + footer);
    let start = start.ok_or_else(|| broken(&file, "the footer is longer than the file"))?;
    let footer = bytes_of(&request, &file, start, footer).await?;
    let (decoder, dictionaries, batches) = open_footer(&footer, &request, &file)?;
    let of_file = projected(&decoder.schema, &decoder.columns)?;
    let mut decoder = decoder.build();
    for place in dictionaries {
        let bytes = bytes_of(&request, &file, place.start, place.length).await?;
        decoder.read_dictionary(&place.block, &Buffer::from(bytes))?;
    }
    let own: Vec<Place> = batches.into_iter().filter(|place| place.is_in(&file)).collect();
    let decoder = Arc::new(decoder);
    let wanted = Arc::clone(&request.wanted);
    let batches = stream::iter(own).then(move |place| {
        let (request, file, decoder) = (request.clone(), file.clone(), Arc::clone(&decoder));
        async move {
            let bytes = bytes_of(&request, &file, place.start, place.length).await?;
            let batch = decoder.read_record_batch(&place.block, &Buffer::from(bytes))?;
            Ok::<Option<RecordBatch>, DataFusionError>(batch)
        }
    });
    adapted(
        batches.try_filter_map(|batch| async move { Ok(batch) }).boxed(),
        &of_file,
        &wanted,
    )
}

/// What a decoder is made of.
struct Decoding {
    schema: SchemaRef,
    version: datafusion::arrow::ipc::MetadataVersion,
    columns: Vec<usize>,
}

impl Decoding {
    fn build(&self) -> FileDecoder {
        FileDecoder::new(Arc::clone(&self.schema), self.version).with_projection(self.columns.clone())
    }
}

fn open_footer(footer: &[u8], request: &Request, file: &PartitionedFile) -> Result<(Decoding, Vec<Place>, Vec<Place>)> {
    let footer = root_as_footer(footer).map_err(|error| broken(file, &error.to_string()))?;
    let schema = footer
        .schema()
        .ok_or_else(|| broken(file, "the footer has no schema"))?;
    let schema = Arc::new(fb_to_schema(schema));
    let dictionaries = places(footer.dictionaries().into_iter().flatten(), file)?;
    let batches = places(footer.recordBatches().into_iter().flatten(), file)?;
    let decoding = Decoding {
        columns: columns_of(&schema, request),
        version: footer.version(),
        schema,
    };
    Ok((decoding, dictionaries, batches))
}

fn places<'a>(blocks: impl Iterator<Item = &'a Block>, file: &PartitionedFile) -> Result<Vec<Place>> {
    blocks.map(|block| Place::of(block, file)).collect()
}

/// The wanted columns that the file has; its first one if it has none of them, for the sake of the rows.
fn columns_of(schema: &SchemaRef, request: &Request) -> Vec<usize> {
    let mut columns = indices_of(schema, &request.wanted);
    if columns.is_empty() && !schema.fields().is_empty() {
        columns.push(0);
    }
    columns
}

fn projected(schema: &SchemaRef, columns: &[usize]) -> Result<SchemaRef> {
    Ok(Arc::new(schema.project(columns)?))
}

async fn read_stream(request: Request, file: PartitionedFile) -> Result<Batches> {
    if file.range().0 > 0 {
        return Ok(stream::empty().boxed());
    }
    let bytes = request.store.get(&file.object_meta.location).await?.bytes().await?;
    let open = |columns| StreamReader::try_new(std::io::Cursor::new(bytes.clone()), columns);
    let columns = columns_of(&open(None)?.schema(), &request);
    let reader = open(Some(columns))?;
    let of_file = reader.schema();
    let batches = stream::iter(reader).map_err(DataFusionError::from).boxed();
    adapted(batches, &of_file, &request.wanted)
}
