//! Text scans whose bytes are counted: a file source that reads through a counted store.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::datasource::physical_plan::{FileOpener, FileScanConfig, FileSource};
use datafusion::datasource::table_schema::TableSchema;
use datafusion::error::Result;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::projection::ProjectionExprs;
use datafusion::physical_plan::DisplayFormatType;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use futures::StreamExt;
use futures::stream::BoxStream;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult,
};

use super::reading::Meter;
use crate::error::STORAGE_FAILED;
use crate::files::FileSystem;

/// Wraps the source of a text format.
pub(super) struct CountedText {
    inner: Arc<dyn FileSource>,
    files: Arc<dyn FileSystem>,
}

impl CountedText {
    pub(super) fn new(inner: Arc<dyn FileSource>, files: Arc<dyn FileSystem>) -> Self {
        Self { inner, files }
    }
}

impl FileSource for CountedText {
    fn create_file_opener(
        &self,
        _: Arc<dyn ObjectStore>,
        config: &FileScanConfig,
        partition: usize,
    ) -> Result<Arc<dyn FileOpener>> {
        let (store, counts) = self.files.counted_store();
        let meter = Arc::new(Meter::new(counts, self.inner.metrics(), partition));
        self.inner
            .create_file_opener(Arc::new(MeteredStore { inner: store, meter }), config, partition)
    }

    fn table_schema(&self) -> &TableSchema {
        self.inner.table_schema()
    }

    fn with_batch_size(&self, batch_size: usize) -> Arc<dyn FileSource> {
        Arc::new(Self::new(
            self.inner.with_batch_size(batch_size),
            Arc::clone(&self.files),
        ))
    }

    fn filter(&self) -> Option<Arc<dyn PhysicalExpr>> {
        self.inner.filter()
    }

    fn projection(&self) -> Option<&ProjectionExprs> {
        self.inner.projection()
    }

    fn metrics(&self) -> &ExecutionPlanMetricsSet {
        self.inner.metrics()
    }

    fn file_type(&self) -> &str {
        self.inner.file_type()
    }

    fn fmt_extra(&self, kind: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt_extra(kind, f)
    }

    fn supports_repartitioning(&self) -> bool {
        self.inner.supports_repartitioning()
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        self.inner.apply_expressions(f)
    }
}

/// A store that moves what was read into a meter.
struct MeteredStore {
    inner: Arc<dyn ObjectStore>,
    meter: Arc<Meter>,
}

impl fmt::Debug for MeteredStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MeteredStore")
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for MeteredStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "metered {}", self.inner)
    }
}

impl MeteredStore {
    fn metered(&self, mut result: GetResult) -> GetResult {
        let meter = Arc::clone(&self.meter);
        if let GetResultPayload::Stream(stream) = result.payload {
            let path = result.meta.location.clone();
            let stream = stream.map(move |item| {
                meter.update();
                item.map_err(|error| storage_failed(&path, error))
            });
            result.payload = GetResultPayload::Stream(stream.boxed());
        }
        result
    }
}

fn storage_failed(path: &Path, error: object_store::Error) -> object_store::Error {
    object_store::Error::Generic {
        store: "dfs",
        source: format!("{STORAGE_FAILED}: /{path}: {error}").into(),
    }
}

#[async_trait]
impl ObjectStore for MeteredStore {
    async fn put_opts(&self, path: &Path, payload: PutPayload, options: PutOptions) -> object_store::Result<PutResult> {
        self.inner.put_opts(path, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        path: &Path,
        options: PutMultipartOptions,
    ) -> object_store::Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(path, options).await
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> object_store::Result<GetResult> {
        let result = self.inner.get_opts(path, options).await;
        self.meter.update();
        result
            .map(|result| self.metered(result))
            .map_err(|error| storage_failed(path, error))
    }

    async fn get_ranges(&self, path: &Path, ranges: &[Range<u64>]) -> object_store::Result<Vec<Bytes>> {
        let read = self.inner.get_ranges(path, ranges).await;
        self.meter.update();
        read.map_err(|error| storage_failed(path, error))
    }

    fn delete_stream(
        &self,
        paths: BoxStream<'static, object_store::Result<Path>>,
    ) -> BoxStream<'static, object_store::Result<Path>> {
        self.inner.delete_stream(paths)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> object_store::Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> object_store::Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}
