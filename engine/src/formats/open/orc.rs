//! ORC files: a stripe is read by the range that holds its first byte.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use datafusion::arrow::datatypes::Schema;
use datafusion::arrow::error::ArrowError;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{FileOpenFuture, FileOpener};
use datafusion::error::{DataFusionError, Result};
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, TryStreamExt};
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};
use orc_rust::ArrowReaderBuilder;
use orc_rust::projection::ProjectionMask;
use orc_rust::reader::AsyncChunkReader;
use orc_rust::schema::RootDataType;

use super::{Batches, Request, adapted};

/// Opens ORC files.
pub(super) struct OrcFiles(pub(super) Request);

impl FileOpener for OrcFiles {
    fn open(&self, file: PartitionedFile) -> Result<FileOpenFuture> {
        let request = self.0.clone();
        Ok(read(request, file).boxed())
    }
}

async fn read(request: Request, file: PartitionedFile) -> Result<Batches> {
    let chunks = Chunks {
        store: Arc::clone(&request.store),
        meta: file.object_meta.clone(),
    };
    let mut builder = ArrowReaderBuilder::try_new_async(chunks).await.map_err(orc_error)?;
    if let Some(range) = &file.range {
        let offset = |offset: i64| usize::try_from(offset).unwrap_or(0);
        builder = builder.with_file_byte_range(offset(range.start)..offset(range.end));
    }
    let mask = mask(builder.file_metadata().root_data_type(), &request.wanted);
    let builder = builder.with_projection(mask).with_batch_size(request.batch_size);
    let schema = builder.schema();
    let batches = builder.build_async().map_err(DataFusionError::from).boxed();
    adapted(batches, &schema, &request.wanted)
}

/// The wanted columns that the file has; its first one if it has none of them, for the sake of the rows.
fn mask(root: &RootDataType, wanted: &Schema) -> ProjectionMask {
    let columns = root.children();
    let of_file = columns
        .iter()
        .filter(|column| wanted.field_with_name(column.name()).is_ok());
    let mut indices: Vec<usize> = of_file.map(|column| column.data_type().column_index()).collect();
    if indices.is_empty() {
        indices.extend(columns.first().map(|column| column.data_type().column_index()));
    }
    ProjectionMask::roots(root, indices)
}

fn orc_error(error: orc_rust::error::OrcError) -> DataFusionError {
    ArrowError::from(error).into()
}

/// A file as the ORC reader wants it.
struct Chunks {
    store: Arc<dyn ObjectStore>,
    meta: ObjectMeta,
}

impl AsyncChunkReader for Chunks {
    fn len(&mut self) -> BoxFuture<'_, io::Result<u64>> {
        let size = self.meta.size;
        async move { Ok(size) }.boxed()
    }

    fn get_bytes(&mut self, start: u64, length: u64) -> BoxFuture<'_, io::Result<Bytes>> {
        async move {
            let read = self
                .store
                .get_range(&self.meta.location, start..start.saturating_add(length));
            read.await.map_err(io::Error::from)
        }
        .boxed()
    }
}
