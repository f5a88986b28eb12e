//! An operator that numbers rows, so that copies of one row can be told from rows that are alike.

use std::fmt;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, RecordBatch, UInt64Array};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::Statistics;
use datafusion::common::stats::Precision;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    ChildStats, ChildrenPropertiesMode, ColumnStatistics, DisplayAs, DisplayFormatType, ExecutionPlan,
    ExecutionPlanProperties, Partitioning, PlanProperties, ReplaceChildrenOptions, StatisticsArgs,
};
use datafusion_distributed::DistributedTaskContext;
use futures::StreamExt;

use crate::one_input::only_input;

/// Name of the column with the numbers.
const COLUMN: &str = "__row_number";
/// Bits of a number that count the rows of one partition of one task.
const ROW_BITS: u32 = 36;
/// Bits for the partition. 16 are left for the task.
const PARTITION_BITS: u32 = 12;

/// Adds a column of numbers of which each is there once among all tasks that run the same plan. They tell nothing of an order, and are others
/// when the plan runs again.
#[derive(Debug)]
pub struct RowNumbersExec {
    input: Arc<dyn ExecutionPlan>,
    properties: Arc<PlanProperties>,
}

impl RowNumbersExec {
    /// Numbers the rows of `input`.
    #[must_use]
    pub fn new(input: Arc<dyn ExecutionPlan>) -> Self {
        let own = input.schema();
        let number = Arc::new(Field::new(COLUMN, DataType::UInt64, false));
        let fields: Vec<_> = own.fields().iter().cloned().chain([number]).collect();
        let schema = Arc::new(Schema::new_with_metadata(fields, own.metadata().clone()));
        let mut properties = input.properties().as_ref().clone();
        properties.eq_properties = EquivalenceProperties::new(schema);
        properties.partitioning = Partitioning::UnknownPartitioning(input.output_partitioning().partition_count());
        Self {
            input,
            properties: Arc::new(properties),
        }
    }
}

impl DisplayAs for RowNumbersExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RowNumbersExec")
    }
}

impl ExecutionPlan for RowNumbersExec {
    fn name(&self) -> &str {
        "RowNumbersExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

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
        Ok(Arc::new(Self::new(only_input(self.name(), children)?)))
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let task = DistributedTaskContext::from_ctx(&context).task_index;
        let mut numbers = Numbers::of(task, partition)?;
        let schema = self.schema();
        let numbered = {
            let schema = Arc::clone(&schema);
            let input = self.input.execute(partition, context)?;
            input.map(move |batch| numbered(&batch?, &schema, &mut numbers))
        };
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, numbered)))
    }

    fn child_stats_requests(&self, partition: Option<usize>) -> Vec<ChildStats> {
        vec![ChildStats::At(partition)]
    }

    fn statistics_from_inputs(&self, inputs: &[Arc<Statistics>], _: &StatisticsArgs) -> Result<Arc<Statistics>> {
        let mut statistics = inputs[0].as_ref().clone();
        statistics.total_byte_size = Precision::Absent;
        statistics.column_statistics.push(ColumnStatistics::new_unknown());
        Ok(Arc::new(statistics))
    }
}

/// The numbers of one partition of one task.
#[derive(Debug)]
struct Numbers {
    prefix: u64,
    next: u64,
}

impl Numbers {
    fn of(task: usize, partition: usize) -> Result<Self> {
        let (task, partition) = (task as u64, partition as u64);
        if task >> (64 - ROW_BITS - PARTITION_BITS) > 0 || partition >> PARTITION_BITS > 0 {
            return Err(DataFusionError::Internal(format!(
                "partition {partition} of task {task} is beyond those whose rows can be numbered"
            )));
        }
        Ok(Self {
            prefix: (task << PARTITION_BITS | partition) << ROW_BITS,
            next: 0,
        })
    }

    fn take(&mut self, count: usize) -> Result<UInt64Array> {
        let first = self.next;
        self.next += count as u64;
        if self.next >> ROW_BITS > 0 {
            return Err(DataFusionError::Internal(format!(
                "a partition has more than {} rows to number",
                1u64 << ROW_BITS
            )));
        }
        Ok((first..self.next).map(|row| self.prefix | row).collect())
    }
}

fn numbered(batch: &RecordBatch, schema: &SchemaRef, numbers: &mut Numbers) -> Result<RecordBatch> {
    let number: ArrayRef = Arc::new(numbers.take(batch.num_rows())?);
    let columns = batch.columns().iter().cloned().chain([number]).collect();
    Ok(RecordBatch::try_new(Arc::clone(schema), columns)?)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::HashSet;

    use datafusion::arrow::array::AsArray;
    use datafusion::arrow::datatypes::UInt64Type;
    use datafusion::physical_plan::collect;
    use datafusion::prelude::{SessionConfig, SessionContext};

    use super::*;

    async fn numbers_in(task: usize) -> Vec<u64> {
        let mut config = SessionConfig::new().with_target_partitions(3).with_batch_size(10);
        config.set_extension(Arc::new(DistributedTaskContext {
            task_index: task,
            task_count: 2,
        }));
        let context = SessionContext::new_with_config(config);
        let plan = context.sql("select value from generate_series(1, 100)").await.unwrap();
        let plan = Arc::new(RowNumbersExec::new(plan.create_physical_plan().await.unwrap()));
        let batches = collect(plan, context.task_ctx()).await.unwrap();
        let numbers = batches.iter().map(|batch| batch.column(1).as_primitive::<UInt64Type>());
        numbers.flat_map(|numbers| numbers.values().to_vec()).collect()
    }

    #[tokio::test]
    async fn every_row_of_every_task_has_a_number_of_its_own() {
        let (first, second) = (numbers_in(0).await, numbers_in(1).await);
        assert_eq!((first.len(), second.len()), (100, 100));
        let all: HashSet<u64> = first.into_iter().chain(second).collect();
        assert_eq!(all.len(), 200);
    }

    #[test]
    fn numbers_do_not_run_into_those_of_others() {
        let last = |task, partition| {
            let mut numbers = Numbers::of(task, partition).unwrap();
            numbers.next = (1 << ROW_BITS) - 2;
            numbers.take(1).unwrap().value(0)
        };
        let first = |task, partition| Numbers::of(task, partition).unwrap().take(1).unwrap().value(0);
        assert!(last(0, 0) < first(0, 1));
        assert!(last(0, (1 << PARTITION_BITS) - 1) < first(1, 0));
        assert!(Numbers::of(0, 1 << PARTITION_BITS).is_err());
        assert!(Numbers::of(1 << 16, 0).is_err());
        let mut full = Numbers::of(0, 0).unwrap();
        full.next = (1 << ROW_BITS) - 1;
        assert!(full.take(1).is_err());
    }
}
