//! An operator that turns panics below it into errors.
//!
//! Where a stage's output leaves a worker, batches are pumped by tasks that nobody joins: a panic there would close the
//! channel, and the consumer would take the cut for a clean end. Rows would be missing and nobody would know. A guard at the root of each
//! stage catches the panic first. [`GuardPanics`] places guards at the plan's root and below each operator under which a stage
//! ends: coalesce, sort-preserving merge and the collected side of a join.

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::common::Statistics;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::config::ConfigOptions;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{RecordBatchStream, SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::joins::{CrossJoinExec, HashJoinExec, NestedLoopJoinExec, PartitionMode};
use datafusion::physical_plan::sorts::sort_preserving_merge::SortPreservingMergeExec;
use datafusion::physical_plan::{
    ChildStats, ChildrenPropertiesMode, DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties,
    PlanProperties, ReplaceChildrenOptions, StatisticsArgs, replace_children_if_necessary,
};
use futures::Stream;

use crate::error::PANICKED;
use crate::one_input::only_input;

/// Passes batches through; a panic below becomes an error.
#[derive(Debug)]
pub struct PanicGuardExec {
    input: Arc<dyn ExecutionPlan>,
}

impl PanicGuardExec {
    /// Guards `input`.
    #[must_use]
    pub fn new(input: Arc<dyn ExecutionPlan>) -> Self {
        Self { input }
    }
}

impl DisplayAs for PanicGuardExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PanicGuardExec")
    }
}

impl ExecutionPlan for PanicGuardExec {
    fn name(&self) -> &str {
        "PanicGuardExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.input.properties()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
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
        let input = only_input(self.name(), children)?;
        Ok(Arc::new(Self::new(input)))
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let start = || self.input.execute(partition, context);
        let inner = catch_unwind(AssertUnwindSafe(start)).unwrap_or_else(|panic| Err(panic_error(panic.as_ref())))?;
        Ok(Box::pin(GuardedStream {
            schema: inner.schema(),
            inner: Some(inner),
        }))
    }

    fn child_stats_requests(&self, partition: Option<usize>) -> Vec<ChildStats> {
        vec![ChildStats::At(partition)]
    }

    fn statistics_from_inputs(&self, inputs: &[Arc<Statistics>], _: &StatisticsArgs) -> Result<Arc<Statistics>> {
        Ok(Arc::clone(&inputs[0]))
    }

    fn supports_limit_pushdown(&self) -> bool {
        true
    }
}

struct GuardedStream {
    schema: SchemaRef,
    // None once the inner stream ended or panicked: it must not be polled again.
    inner: Option<SendableRecordBatchStream>,
}

impl Stream for GuardedStream {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(inner) = self.inner.as_mut() else {
            return Poll::Ready(None);
        };
        match catch_unwind(AssertUnwindSafe(|| inner.as_mut().poll_next(cx))) {
            Ok(Poll::Ready(None)) => {
                self.inner = None;
                Poll::Ready(None)
            }
            Ok(poll) => poll,
            Err(panic) => {
                self.inner = None;
                Poll::Ready(Some(Err(panic_error(panic.as_ref()))))
            }
        }
    }
}

impl RecordBatchStream for GuardedStream {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }
}

fn panic_error(panic: &(dyn Any + Send)) -> DataFusionError {
    let said = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied());
    DataFusionError::Execution(format!("{PANICKED}: {}", said.unwrap_or("no message")))
}

/// Places the guards. Runs after every other rule, on a plan that is not distributed yet.
#[derive(Debug, Default)]
pub struct GuardPanics;

impl PhysicalOptimizerRule for GuardPanics {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        let guarded = plan.transform_up(|node| {
            let ends_below = stage_ends_below(&node);
            if ends_below.is_empty() {
                return Ok(Transformed::no(node));
            }
            let children = node.children().into_iter().enumerate();
            let children = children.map(|(index, child)| match ends_below.contains(&index) {
                true => guard(child),
                false => Arc::clone(child),
            });
            let children = children.collect();
            Ok(Transformed::yes(replace_children_if_necessary(node, children)?))
        })?;
        Ok(guard(&guarded.data))
    }

    fn name(&self) -> &str {
        "guard_panics"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

fn guard(plan: &Arc<dyn ExecutionPlan>) -> Arc<dyn ExecutionPlan> {
    // A merging operator on top is guarded below already and runs where its errors are joined.
    let guarded = plan.is::<PanicGuardExec>();
    if guarded {
        Arc::clone(plan)
    } else {
        Arc::new(PanicGuardExec::new(Arc::clone(plan)))
    }
}

/// The inputs that can become the root of a stage of their own.
fn stage_ends_below(node: &Arc<dyn ExecutionPlan>) -> Vec<usize> {
    if node.is::<CoalescePartitionsExec>() || node.is::<SortPreservingMergeExec>() {
        return vec![0];
    }
    let collects_left = node
        .downcast_ref::<HashJoinExec>()
        .map(|join| *join.partition_mode() == PartitionMode::CollectLeft)
        .unwrap_or_else(|| node.is::<CrossJoinExec>() || node.is::<NestedLoopJoinExec>());
    // A coalesced build side is guarded under its coalesce; only a side that has one partition as it is needs its own.
    let is_single = |join: &Arc<dyn ExecutionPlan>| {
        join.children().first().is_some_and(|left| {
            left.output_partitioning().partition_count() == 1
                && !left.is::<CoalescePartitionsExec>()
                && !left.is::<SortPreservingMergeExec>()
        })
    };
    if collects_left && is_single(node) {
        vec![0]
    } else {
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use datafusion::arrow::array::{ArrayRef, Int64Array};
    use datafusion::arrow::datatypes::DataType;
    use datafusion::logical_expr::{ColumnarValue, Volatility, create_udf};
    use datafusion::physical_plan::collect;
    use datafusion::prelude::SessionContext;

    use super::*;
    use crate::error::{ErrorClass, classify};

    fn panics_at(row: i64) -> datafusion::logical_expr::ScalarUDF {
        let body = move |arguments: &[ColumnarValue]| {
            let values = ColumnarValue::values_to_arrays(arguments)?;
            let numbers = values[0].as_any().downcast_ref::<Int64Array>().unwrap();
            assert!(
                !numbers.iter().flatten().any(|number| number == row),
                "row {row} is poison"
            );
            Ok(ColumnarValue::Array(Arc::clone(&values[0]) as ArrayRef))
        };
        create_udf(
            "poisoned",
            vec![DataType::Int64],
            DataType::Int64,
            Volatility::Volatile,
            Arc::new(body),
        )
    }

    #[tokio::test]
    async fn a_panic_is_an_error_and_ends_the_stream() {
        let context = SessionContext::new();
        context.register_udf(panics_at(70));
        let frame = context
            .sql("select poisoned(value) from generate_series(1, 100)")
            .await
            .unwrap();
        let plan = frame.create_physical_plan().await.unwrap();
        let guarded: Arc<dyn ExecutionPlan> = Arc::new(PanicGuardExec::new(plan));
        let error = collect(guarded, context.task_ctx()).await.unwrap_err();
        assert!(error.to_string().contains("row 70 is poison"), "{error}");
        assert_eq!(classify(&error).class, ErrorClass::Bug);
    }

    #[tokio::test]
    async fn guards_sit_at_the_root_and_below_each_merge() {
        let context = SessionContext::new();
        let sql = "select value from generate_series(1, 100) t order by value % 7";
        let plan = context.sql(sql).await.unwrap().create_physical_plan().await.unwrap();
        let guarded = GuardPanics
            .optimize(Arc::new(CoalescePartitionsExec::new(plan)), &ConfigOptions::new())
            .unwrap();
        assert!(guarded.is::<PanicGuardExec>());
        let coalesce = guarded.children()[0];
        assert!(coalesce.children()[0].is::<PanicGuardExec>());
    }
}
