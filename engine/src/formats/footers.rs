//! What planning knows of a Parquet file: statistics for the optimizer, row groups for cutting. Read from the footer once per
//! version of the file.

use std::collections::HashMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use datafusion::arrow::datatypes::{Schema, SchemaRef};
use datafusion::common::Statistics;
use datafusion::datasource::physical_plan::parquet::metadata::DFParquetMetadata;
use datafusion::error::Result;
use datafusion::execution::cache::cache_manager::FileMetadataCache;
use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use object_store::ObjectStore;
use parking_lot::Mutex;
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData, RowGroupMetaData};

use super::infer::object_meta;
use crate::files::DataFile;
use crate::split::RowGroupSpan;

/// Footers fetched at a time.
const CONCURRENCY: usize = 32;
/// First guess at a footer's length: most fit, so that one read is enough.
const FOOTER_HINT: usize = 64 * 1024;
/// Files remembered per table; beyond that the memory starts anew.
const MAX_FILES: usize = 100_000;

/// Facts about one version of a file.
#[derive(Debug)]
pub struct FileFacts {
    /// Rows, nulls, smallest and largest values in terms of the table's columns.
    pub statistics: Arc<Statistics>,
    row_groups: Vec<RowGroupFacts>,
}

#[derive(Debug)]
struct RowGroupFacts {
    start: u64,
    /// Compressed bytes per column of the table.
    column_bytes: Vec<u64>,
}

impl FileFacts {
    fn new(metadata: &ParquetMetaData, schema: &SchemaRef) -> Result<Self> {
        let statistics = DFParquetMetadata::statistics_from_parquet_metadata(metadata, schema)?;
        let row_groups = metadata
            .row_groups()
            .iter()
            .filter_map(|group| RowGroupFacts::new(group, schema));
        Ok(Self {
            statistics: Arc::new(statistics),
            row_groups: row_groups.collect(),
        })
    }

    /// The row groups, with the bytes that a query reads which needs the columns at `projection` (all, if there is none).
    #[must_use]
    pub fn row_groups(&self, projection: Option<&[usize]>) -> Vec<RowGroupSpan> {
        let bytes = |group: &RowGroupFacts| match projection {
            None => group.column_bytes.iter().sum(),
            Some(columns) => columns
                .iter()
                .filter_map(|&column| group.column_bytes.get(column))
                .sum(),
        };
        let spans = self.row_groups.iter().map(|group| RowGroupSpan {
            start: group.start,
            projected_bytes: bytes(group),
        });
        spans.collect()
    }
}

impl RowGroupFacts {
    /// `None` for a row group without columns: it holds nothing that could be read.
    fn new(group: &RowGroupMetaData, schema: &Schema) -> Option<Self> {
        let first = group.columns().first()?;
        let start = first
            .dictionary_page_offset()
            .unwrap_or_else(|| first.data_page_offset());
        let mut column_bytes = vec![0; schema.fields().len()];
        for column in group.columns() {
            let root = column
                .column_path()
                .parts()
                .first()
                .map(String::as_str)
                .unwrap_or_default();
            if let Ok(index) = schema.index_of(root) {
                column_bytes[index] += u64::try_from(column.compressed_size()).unwrap_or(0);
            }
        }
        Some(Self {
            start: u64::try_from(start).unwrap_or(0),
            column_bytes,
        })
    }
}

/// Length, time of change, and what is known of the file as it is then.
type Known = (u64, DateTime<Utc>, Arc<FileFacts>);

/// Facts by path, valid for one length and time of change.
#[derive(Debug, Default)]
pub(super) struct Footers {
    known: Mutex<HashMap<String, Known>>,
}

impl Footers {
    /// Facts of all files, in their order; reads the footers that are not known yet.
    pub(super) async fn facts(
        &self,
        files: &[DataFile],
        schema: &SchemaRef,
        store: &Arc<dyn ObjectStore>,
        cache: &Arc<FileMetadataCache>,
    ) -> Result<Vec<Arc<FileFacts>>> {
        // Boxed: the compiler cannot name the lifetimes of these futures otherwise.
        let facts = files
            .iter()
            .map(|file| self.of_file(file, schema, store, cache).boxed());
        stream::iter(facts.collect::<Vec<_>>())
            .buffered(CONCURRENCY)
            .try_collect()
            .await
    }

    async fn of_file(
        &self,
        file: &DataFile,
        schema: &SchemaRef,
        store: &Arc<dyn ObjectStore>,
        cache: &Arc<FileMetadataCache>,
    ) -> Result<Arc<FileFacts>> {
        if let Some((size, modified, facts)) = self.known.lock().get(&file.path)
            && (*size, *modified) == (file.size, file.modified)
        {
            return Ok(Arc::clone(facts));
        }
        let meta = object_meta(file)?;
        let metadata = DFParquetMetadata::new(store.as_ref(), &meta)
            .with_metadata_size_hint(Some(FOOTER_HINT))
            .with_file_metadata_cache(Some(Arc::clone(cache)))
            // Planning does not look at pages.
            .with_page_index_policy(Some(PageIndexPolicy::Skip))
            .fetch_metadata()
            .await
            .map_err(|error| error.context(format!("reading the footer of {}", file.path)))?;
        let facts = Arc::new(FileFacts::new(&metadata, schema)?);
        self.remember(file, &facts);
        Ok(facts)
    }

    fn remember(&self, file: &DataFile, facts: &Arc<FileFacts>) {
        let mut known = self.known.lock();
        if known.len() >= MAX_FILES {
            known.clear();
        }
        known.insert(file.path.clone(), (file.size, file.modified, Arc::clone(facts)));
    }
}
