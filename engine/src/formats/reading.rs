//! Scans that count their bytes by where they came from, and whose read errors say that they are storage's.
//!
//! A scan arrives at a worker without its reader: readers do not travel. [`count_bytes`] puts ours in, on workers and for plans
//! that the coordinator runs itself. The counts are metrics of the scan, [`LOCAL_BYTES`] and [`REMOTE_BYTES`], and return with
//! the task's other metrics.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use datafusion::catalog::memory::DataSourceExec;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::parquet::CachedParquetFileReaderFactory;
use datafusion::datasource::physical_plan::{
    FileScanConfig, FileScanConfigBuilder, FileSource, ParquetFileReaderFactory, ParquetSource,
};
use datafusion::error::Result;
use datafusion::execution::cache::cache_manager::FileMetadataCache;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::metrics::{Count, ExecutionPlanMetricsSet, MetricBuilder};
use futures::FutureExt;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use parquet::arrow::arrow_reader::ArrowReaderOptions;
use parquet::arrow::async_reader::AsyncFileReader;
use parquet::errors::ParquetError;
use parquet::file::metadata::ParquetMetaData;

use super::counted_text::CountedText;
use crate::error::STORAGE_FAILED;
use crate::figures::{LOCAL_BYTES, REMOTE_BYTES};
use crate::files::{ByteCounts, FileSystem, FileSystems};

/// Replaces the readers of all scans in `plan`. The plan's shape stays as it is.
///
/// # Errors
/// If a scan reads something that is not in `hdfs://`.
pub fn count_bytes(
    plan: Arc<dyn ExecutionPlan>,
    files: &FileSystems,
    runtime: &RuntimeEnv,
) -> Result<Arc<dyn ExecutionPlan>> {
    let cache = runtime.cache_manager.get_file_metadata_cache();
    let counted = plan.transform_up(|node| match file_scan(&node) {
        Some(scan) => Ok(Transformed::yes(counted_scan(scan, files, &cache)?)),
        None => Ok(Transformed::no(node)),
    })?;
    Ok(counted.data)
}

/// The scan of files that `node` is, if it is one.
#[must_use]
pub fn file_scan(node: &Arc<dyn ExecutionPlan>) -> Option<&FileScanConfig> {
    node.downcast_ref::<DataSourceExec>()?
        .data_source()
        .downcast_ref::<FileScanConfig>()
}

fn counted_scan(
    scan: &FileScanConfig,
    files: &FileSystems,
    cache: &Arc<FileMetadataCache>,
) -> Result<Arc<dyn ExecutionPlan>> {
    let files = files.of_url(scan.object_store_url.as_ref())?;
    let source: Arc<dyn FileSource> = match scan.file_source().downcast_ref::<ParquetSource>() {
        Some(parquet) => {
            let readers = CountedReaders {
                files,
                cache: Arc::clone(cache),
            };
            Arc::new(parquet.clone().with_parquet_file_reader_factory(Arc::new(readers)))
        }
        None => Arc::new(CountedText::new(Arc::clone(scan.file_source()), files)),
    };
    let counted = FileScanConfigBuilder::from(scan.clone()).with_source(source).build();
    Ok(DataSourceExec::from_data_source(counted))
}

/// Moves what a store counted into a scan's metrics.
pub(super) struct Meter {
    counts: Arc<dyn ByteCounts>,
    local: Count,
    remote: Count,
    // What was moved already.
    moved: Mutex<(u64, u64)>,
}

impl Meter {
    pub(super) fn new(counts: Arc<dyn ByteCounts>, metrics: &ExecutionPlanMetricsSet, partition: usize) -> Self {
        Self {
            counts,
            local: MetricBuilder::new(metrics).counter(LOCAL_BYTES, partition),
            remote: MetricBuilder::new(metrics).counter(REMOTE_BYTES, partition),
            moved: Mutex::default(),
        }
    }

    pub(super) fn update(&self) {
        let mut moved = self.moved.lock();
        let now = (self.counts.local(), self.counts.remote());
        let grown = |now: u64, before: u64| usize::try_from(now.saturating_sub(before)).unwrap_or(usize::MAX);
        self.local.add(grown(now.0, moved.0));
        self.remote.add(grown(now.1, moved.1));
        *moved = now;
    }
}

/// Makes counted Parquet readers that share the process's cache of footers.
struct CountedReaders {
    files: Arc<dyn FileSystem>,
    cache: Arc<FileMetadataCache>,
}

impl fmt::Debug for CountedReaders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CountedReaders")
            .field("files", &self.files)
            .finish_non_exhaustive()
    }
}

impl ParquetFileReaderFactory for CountedReaders {
    fn create_reader(
        &self,
        partition: usize,
        file: PartitionedFile,
        hint: Option<usize>,
        metrics: &ExecutionPlanMetricsSet,
    ) -> Result<Box<dyn AsyncFileReader + Send>> {
        let (store, counts) = self.files.counted_store();
        let path = file.object_meta.location.to_string();
        let factory = CachedParquetFileReaderFactory::new(store, Arc::clone(&self.cache));
        let inner = factory.create_reader(partition, file, hint, metrics)?;
        Ok(Box::new(CountedReader {
            inner,
            path,
            meter: Meter::new(counts, metrics, partition),
        }))
    }
}

struct CountedReader {
    inner: Box<dyn AsyncFileReader + Send>,
    path: String,
    meter: Meter,
}

impl AsyncFileReader for CountedReader {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, parquet::errors::Result<Bytes>> {
        async move {
            let read = self.inner.get_bytes(range).await;
            self.meter.update();
            read.map_err(|error| storage_failed(&self.path, &error))
        }
        .boxed()
    }

    fn get_byte_ranges(&mut self, ranges: Vec<Range<u64>>) -> BoxFuture<'_, parquet::errors::Result<Vec<Bytes>>> {
        async move {
            let read = self.inner.get_byte_ranges(ranges).await;
            self.meter.update();
            read.map_err(|error| storage_failed(&self.path, &error))
        }
        .boxed()
    }

    fn get_metadata<'a>(
        &'a mut self,
        options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, parquet::errors::Result<Arc<ParquetMetaData>>> {
        async move {
            let read = self.inner.get_metadata(options).await;
            self.meter.update();
            read.map_err(|error| storage_failed(&self.path, &error))
        }
        .boxed()
    }
}

/// Readers on the way to the coordinator keep an error's text only, so the text says what it is.
fn storage_failed(path: &str, error: &ParquetError) -> ParquetError {
    ParquetError::External(format!("{STORAGE_FAILED}: /{path}: {error}").into())
}
