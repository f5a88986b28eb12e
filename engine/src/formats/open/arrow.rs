//! Arrow IPC files, in two forms: the file form has a footer that says where its batches lie, so that each is read by the range that holds
//! its first byte; the stream form is read from its beginning, by the range that holds that.

use std::sync::Arc;

use bytes::Bytes;
use datafusion::arrow::buffer::Buffer;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::ipc::convert::fb_to_schema;
use datafusion::arrow::ipc::reader::{FileDecoder, StreamReader, read_footer_length};
use datafusion::arrow::ipc::{Block, Footer, root_as_footer};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{FileOpenFuture, FileOpener};
use datafusion::error::{DataFusionError, Result};
use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};

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
            match footer_length(&request.store, &file.object_meta).await? {
                Some(length) => read_batches(request, file, length).await,
                None => read_stream(request, file).await,
            }
        }
        .boxed())
    }
}

/// Length of the footer; `None` for the stream form.
async fn footer_length(store: &Arc<dyn ObjectStore>, meta: &ObjectMeta) -> Result<Option<u64>> {
    if meta.size < TAIL {
        return Ok(None);
    }
    let tail = bytes_of(store, meta, meta.size - TAIL, TAIL).await?;
    let Ok(tail) = <[u8; TAIL as usize]>::try_from(tail.as_ref()) else {
        return Ok(None);
    };
    Ok(read_footer_length(tail).ok().map(|length| length as u64))
}

/// The footer, which has `length` bytes.
async fn footer_bytes(store: &Arc<dyn ObjectStore>, meta: &ObjectMeta, length: u64) -> Result<Bytes> {
    let start = meta.size.checked_sub(TAIL + length);
    let start = start.ok_or_else(|| broken(meta, "the footer is longer than the file"))?;
    bytes_of(store, meta, start, length).await
}

/// The columns of a file, from its footer; `None` for the stream form. DataFusion looks for them at the place where they are in files whose
/// parts are aligned to 8 bytes, and arrow's own writer aligns to 64.
pub(in super::super) async fn footer_columns(
    store: &Arc<dyn ObjectStore>,
    meta: &ObjectMeta,
) -> Result<Option<SchemaRef>> {
    let Some(length) = footer_length(store, meta).await? else {
        return Ok(None);
    };
    let footer = footer_bytes(store, meta, length).await?;
    schema_of(&parse_footer(&footer, meta)?, meta).map(Some)
}

fn parse_footer<'a>(footer: &'a [u8], meta: &ObjectMeta) -> Result<Footer<'a>> {
    root_as_footer(footer).map_err(|error| broken(meta, &error.to_string()))
}

fn schema_of(footer: &Footer<'_>, meta: &ObjectMeta) -> Result<SchemaRef> {
    let schema = footer.schema();
    let schema = schema.ok_or_else(|| broken(meta, "the footer has no schema"))?;
    Ok(Arc::new(fb_to_schema(schema)))
}

async fn bytes_of(store: &Arc<dyn ObjectStore>, meta: &ObjectMeta, start: u64, length: u64) -> Result<Bytes> {
    let range = start..start.saturating_add(length);
    Ok(store.get_range(&meta.location, range).await?)
}

fn broken(meta: &ObjectMeta, problem: &str) -> DataFusionError {
    let path = &meta.location;
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
        let wrong = |_| broken(&file.object_meta, "a block lies at a negative offset");
        let start = u64::try_from(block.offset()).map_err(wrong)?;
        let length =
            u64::try_from(block.bodyLength()).map_err(wrong)? + u64::try_from(block.metaDataLength()).map_err(wrong)?;
        if start.saturating_add(length) > file.object_meta.size {
            return Err(broken(&file.object_meta, "a block ends after the file"));
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
    let footer = footer_bytes(&request.store, &file.object_meta, footer).await?;
    let (decoder, dictionaries, batches) = open_footer(&footer, &request, &file)?;
    let of_file = projected(&decoder.schema, &decoder.columns)?;
    let mut decoder = decoder.build();
    for place in dictionaries {
        let bytes = bytes_of(&request.store, &file.object_meta, place.start, place.length).await?;
        decoder.read_dictionary(&place.block, &Buffer::from(bytes))?;
    }
    let own: Vec<Place> = batches.into_iter().filter(|place| place.is_in(&file)).collect();
    let decoder = Arc::new(decoder);
    let wanted = Arc::clone(&request.wanted);
    let batches = stream::iter(own).then(move |place| {
        let (request, file, decoder) = (request.clone(), file.clone(), Arc::clone(&decoder));
        async move {
            let bytes = bytes_of(&request.store, &file.object_meta, place.start, place.length).await?;
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
    let footer = parse_footer(footer, &file.object_meta)?;
    let schema = schema_of(&footer, &file.object_meta)?;
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
    let whole = open(None)?.schema();
    let columns = columns_of(&whole, &request);
    // The reader's own schema stays that of the whole file.
    let of_file = projected(&whole, &columns)?;
    let reader = open(Some(columns))?;
    let batches = stream::iter(reader).map_err(DataFusionError::from).boxed();
    adapted(batches, &of_file, &request.wanted)
}
