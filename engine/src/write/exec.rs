//! The operator that writes.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{Distribution, EquivalenceProperties, Partitioning, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::metrics::{Count, ExecutionPlanMetricsSet, MetricBuilder, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    ChildrenPropertiesMode, DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties,
    InputDistributionRequirements, PlanProperties, ReplaceChildrenOptions,
};
use futures::StreamExt;

use super::file::OpenFile;
use super::spec::{WriteSpec, WrittenFile, written_batch, written_schema};
use super::values::{Key, part};
use crate::files::{FileSystem, FileSystems, Location};
use crate::one_input::only_input;

/// Files that one partition of the operator has open at a time; for another one the longest is ended.
const MAX_OPEN_FILES: usize = 64;

/// Writes the rows of its input into files and hands over one row per file.
#[derive(Debug)]
pub struct WriteFilesExec {
    input: Arc<dyn ExecutionPlan>,
    spec: Arc<WriteSpec>,
    attempt: String,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl WriteFilesExec {
    /// Writes the rows of `input` as `spec` says, into the directory of `attempt`, a name that is used once.
    #[must_use]
    pub fn new(input: Arc<dyn ExecutionPlan>, spec: Arc<WriteSpec>, attempt: impl Into<String>) -> Self {
        let partitions = input.output_partitioning().partition_count();
        let properties = PlanProperties::new(
            EquivalenceProperties::new(written_schema()),
            Partitioning::UnknownPartitioning(partitions),
            EmissionType::Final,
            Boundedness::Bounded,
        );
        Self {
            input,
            spec,
            attempt: attempt.into(),
            properties: Arc::new(properties),
            metrics: ExecutionPlanMetricsSet::new(),
        }
    }

    /// What it writes.
    #[must_use]
    pub fn spec(&self) -> &Arc<WriteSpec> {
        &self.spec
    }

    /// Name of the attempt.
    #[must_use]
    pub fn attempt(&self) -> &str {
        &self.attempt
    }

    fn partition_expressions(&self) -> Option<Vec<Arc<dyn PhysicalExpr>>> {
        let indices = self.spec.partition_indices().ok()?;
        let input = self.input.schema();
        let columns = indices.into_iter().map(|index| {
            let column = Column::new(input.field(index).name(), index);
            Arc::new(column) as Arc<dyn PhysicalExpr>
        });
        Some(columns.collect())
    }
}

impl DisplayAs for WriteFilesExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WriteFilesExec: format={}", self.spec.format.ending())?;
        if !self.spec.partition_columns.is_empty() {
            write!(f, ", partitioned by=[{}]", self.spec.partition_columns.join(", "))?;
        }
        Ok(())
    }
}

impl ExecutionPlan for WriteFilesExec {
    fn name(&self) -> &str {
        "WriteFilesExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    /// Rows of one partition go to one writer: fewer files.
    fn input_distribution_requirements(&self) -> InputDistributionRequirements {
        let distribution = match self.partition_expressions() {
            _ if self.spec.single => Distribution::SinglePartition,
            Some(columns) if !columns.is_empty() => Distribution::KeyPartitioned(columns),
            _ => Distribution::UnspecifiedDistribution,
        };
        InputDistributionRequirements::new(vec![distribution])
    }

    /// Encoding is the work here: worth more partitions than a small input has.
    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let input = only_input(self.name(), children)?;
        Ok(Arc::new(Self::new(input, Arc::clone(&self.spec), &self.attempt)))
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let files = context.session_config().get_extension::<FileSystems>();
        let files = files.ok_or_else(|| DataFusionError::Internal("a session without file systems".to_owned()))?;
        let location = Location::parse(&self.spec.staging)?;
        let task = WriteTask {
            files: files.get(&location),
            directory: format!("{}/{}", location.path, self.attempt),
            file_schema: self.spec.file_schema(),
            indices: self.spec.partition_indices()?,
            spec: Arc::clone(&self.spec),
            reservation: MemoryConsumer::new(format!("WriteFiles[{partition}]")).register(context.memory_pool()),
            context: Arc::clone(&context),
            open: HashMap::new(),
            written: Vec::new(),
            rows: MetricBuilder::new(&self.metrics).counter("rows_written", partition),
            bytes: MetricBuilder::new(&self.metrics).counter("bytes_written", partition),
        };
        let input = self.input.execute(partition, context)?;
        let written = futures::stream::once(task.run(input)).boxed();
        Ok(Box::pin(RecordBatchStreamAdapter::new(written_schema(), written)))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}

/// Where new files go.
struct Place {
    files: Arc<dyn FileSystem>,
    directory: String,
    spec: Arc<WriteSpec>,
    schema: SchemaRef,
    context: Arc<TaskContext>,
}

impl Place {
    async fn create(self, key: Key) -> Result<OpenFile> {
        self.files.make_directory(&self.directory, false).await?;
        let name = uuid::Uuid::new_v4().simple();
        let path = format!("{}/{name}.{}", self.directory, self.spec.format.ending());
        let config = self.context.session_config().options();
        OpenFile::create(self.files.as_ref(), path, key, &self.spec, &self.schema, config).await
    }
}

/// One partition's writing.
struct WriteTask {
    files: Arc<dyn FileSystem>,
    directory: String,
    file_schema: SchemaRef,
    /// Positions of the partition columns.
    indices: Vec<usize>,
    spec: Arc<WriteSpec>,
    reservation: MemoryReservation,
    context: Arc<TaskContext>,
    open: HashMap<Key, OpenFile>,
    written: Vec<WrittenFile>,
    rows: Count,
    bytes: Count,
}

impl WriteTask {
    async fn run(mut self, mut input: SendableRecordBatchStream) -> Result<RecordBatch> {
        while let Some(batch) = input.next().await {
            let batch = self.checked(&batch?)?;
            for (key, rows) in part(&batch, &self.indices)? {
                self.write(key, &rows).await?;
            }
            self.bound_memory().await?;
        }
        if self.spec.single && self.spec.partition_columns.is_empty() && self.open.is_empty() {
            let empty = self.place().create(Key::new()).await?;
            self.end(empty).await?;
        }
        for (_, file) in std::mem::take(&mut self.open) {
            self.end(file).await?;
        }
        written_batch(&self.written)
    }

    /// The batch in the table's types. NULL where the table has none is an error that names the column.
    fn checked(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        let fields = self.spec.schema.fields();
        if fields.len() != batch.num_columns() {
            return Err(DataFusionError::Internal(format!(
                "{} columns for a table of {}",
                batch.num_columns(),
                fields.len()
            )));
        }
        let mut columns = Vec::with_capacity(fields.len());
        for (field, column) in fields.iter().zip(batch.columns()) {
            if !field.is_nullable() && column.logical_null_count() > 0 {
                return Err(DataFusionError::Execution(format!(
                    "column {} is NOT NULL, but a row has NULL there; nothing was written",
                    field.name()
                )));
            }
            let same = column.data_type() == field.data_type();
            columns.push(if same {
                Arc::clone(column)
            } else {
                cast(column, field.data_type())?
            });
        }
        Ok(RecordBatch::try_new(Arc::clone(&self.spec.schema), columns)?)
    }

    async fn write(&mut self, key: Key, rows: &RecordBatch) -> Result<()> {
        if rows.num_rows() == 0 {
            return Ok(());
        }
        if !self.open.contains_key(&key) {
            if self.open.len() >= MAX_OPEN_FILES {
                self.end_largest(|file| file.length() as usize).await?;
            }
            let file = self.place().create(key.clone()).await?;
            self.open.insert(key.clone(), file);
        }
        let kept: Vec<usize> = (0..rows.num_columns())
            .filter(|column| !self.indices.contains(column))
            .collect();
        let rows = rows.project(&kept)?;
        let Some(file) = self.open.get_mut(&key) else {
            return Ok(());
        };
        file.write(&rows).await?;
        if !self.spec.single
            && file.length() >= self.spec.target_bytes
            && let Some(file) = self.open.remove(&key)
        {
            self.end(file).await?;
        }
        Ok(())
    }

    fn place(&self) -> Place {
        Place {
            files: Arc::clone(&self.files),
            directory: self.directory.clone(),
            spec: Arc::clone(&self.spec),
            schema: Arc::clone(&self.file_schema),
            context: Arc::clone(&self.context),
        }
    }

    async fn end(&mut self, file: OpenFile) -> Result<()> {
        let written = file.close().await?;
        self.rows.add(usize::try_from(written.rows).unwrap_or(usize::MAX));
        self.bytes.add(usize::try_from(written.bytes).unwrap_or(usize::MAX));
        self.written.push(written);
        Ok(())
    }

    async fn end_largest(&mut self, size: impl Fn(&OpenFile) -> usize) -> Result<()> {
        let largest = self.open.iter().max_by_key(|(_, file)| size(file));
        let largest = largest.map(|(key, _)| key.clone());
        match largest.and_then(|key| self.open.remove(&key)) {
            Some(file) => self.end(file).await,
            None => Ok(()),
        }
    }

    /// Takes what the open files hold from the pool; if it has no more, files are ended early.
    async fn bound_memory(&mut self) -> Result<()> {
        loop {
            let held = self.open.values().map(OpenFile::memory).sum();
            match self.reservation.try_resize(held) {
                Ok(()) => return Ok(()),
                Err(error) if self.open.is_empty() => return Err(error),
                Err(error) if self.spec.single => return Err(error),
                Err(_) => self.end_largest(OpenFile::memory).await?,
            }
        }
    }
}
