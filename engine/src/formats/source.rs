//! The file source of all formats but Parquet.
//!
//! DataFusion's own sources take columns by their place in the file, lose a file's compression on the way to a worker, or
//! do not know partitions; which of it differs by format. This one is the same for all: a file is opened by its format's part in [`open`](super::open),
//! its columns are brought to the table's by name, and partition values and expressions are put on top. It travels by [`EngineCodec`](crate::codec::EngineCodec).

use std::fmt;
use std::sync::Arc;

use datafusion::arrow::datatypes::{Schema, SchemaRef};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::datasource::physical_plan::{FileOpener, FileScanConfig, FileSource};
use datafusion::datasource::projection::{ProjectionOpener, SplitProjection};
use datafusion::datasource::table_schema::TableSchema;
use datafusion::error::Result;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::projection::ProjectionExprs;
use datafusion::physical_plan::DisplayFormatType;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use object_store::ObjectStore;

use super::definition::TableFormat;
use super::open;
use super::options::Options;

/// Rows of a batch where nobody said how many.
const BATCH_SIZE: usize = 8192;

/// A source of files in one format.
#[derive(Clone)]
pub(crate) struct FormatSource {
    format: TableFormat,
    options: Arc<Options>,
    schema: TableSchema,
    projection: SplitProjection,
    batch_size: usize,
    metrics: ExecutionPlanMetricsSet,
}

impl FormatSource {
    /// Reads all columns of `schema` from files in `format`; `options` are complete.
    pub(crate) fn new(format: TableFormat, options: Arc<Options>, schema: TableSchema) -> Self {
        Self {
            format,
            options,
            projection: SplitProjection::unprojected(&schema),
            schema,
            batch_size: BATCH_SIZE,
            metrics: ExecutionPlanMetricsSet::new(),
        }
    }

    /// The format.
    pub(crate) fn format(&self) -> TableFormat {
        self.format
    }

    /// The options.
    pub(crate) fn options(&self) -> &Arc<Options> {
        &self.options
    }

    /// The columns that have to be read from files. Never none: a reader of no columns counts no rows in some formats.
    fn wanted(&self) -> Result<SchemaRef> {
        let file_schema = self.schema.file_schema();
        let indices = &self.projection.file_indices;
        if indices.is_empty() && !file_schema.fields().is_empty() {
            return Ok(Arc::new(file_schema.project(&[0])?));
        }
        Ok(Arc::new(file_schema.project(indices)?))
    }
}

impl FileSource for FormatSource {
    fn create_file_opener(
        &self,
        store: Arc<dyn ObjectStore>,
        config: &FileScanConfig,
        partition: usize,
    ) -> Result<Arc<dyn FileOpener>> {
        let request = open::Request {
            options: Arc::clone(&self.options),
            table: Arc::clone(self.schema.file_schema()),
            wanted: self.wanted()?,
            batch_size: config.batch_size.unwrap_or(self.batch_size),
            store,
        };
        let files = open::opener(self.format, request, config, partition)?;
        ProjectionOpener::try_new(self.projection.clone(), files, self.schema.file_schema())
    }

    fn table_schema(&self) -> &TableSchema {
        &self.schema
    }

    fn with_batch_size(&self, batch_size: usize) -> Arc<dyn FileSource> {
        Arc::new(Self {
            batch_size,
            ..self.clone()
        })
    }

    fn projection(&self) -> Option<&ProjectionExprs> {
        Some(&self.projection.source)
    }

    fn try_pushdown_projection(&self, projection: &ProjectionExprs) -> Result<Option<Arc<dyn FileSource>>> {
        let merged = self.projection.source.try_merge(projection)?;
        Ok(Some(Arc::new(Self {
            projection: SplitProjection::new(self.schema.file_schema(), &merged),
            ..self.clone()
        })))
    }

    fn metrics(&self) -> &ExecutionPlanMetricsSet {
        &self.metrics
    }

    fn file_type(&self) -> &str {
        match self.format {
            TableFormat::Parquet => "parquet",
            TableFormat::Csv => "csv",
            TableFormat::Json => "json",
            TableFormat::Avro => "avro",
            TableFormat::Orc => "orc",
            TableFormat::Arrow => "arrow",
        }
    }

    /// Files are cut when the scan is planned, along their blocks.
    fn supports_repartitioning(&self) -> bool {
        false
    }

    fn fmt_extra(&self, kind: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match kind {
            DisplayFormatType::Default | DisplayFormatType::Verbose => {
                for (key, value) in self.options.iter() {
                    write!(f, ", {key}={value:?}")?;
                }
                Ok(())
            }
            DisplayFormatType::TreeRender => Ok(()),
        }
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        datafusion::physical_plan::apply_expression_roots(self.projection.source.iter(), f)
    }
}

/// The columns of `schema` that are called as one of `names`, by their index.
pub(super) fn indices_of(schema: &Schema, names: &Schema) -> Vec<usize> {
    let wanted = |name: &str| names.fields().iter().any(|field| field.name() == name);
    let fields = schema.fields().iter().enumerate();
    fields
        .filter(|(_, field)| wanted(field.name()))
        .map(|(index, _)| index)
        .collect()
}
