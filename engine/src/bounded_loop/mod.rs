//! A nested-loop join that gives up the thread after a bounded number of pairs.
//!
//! DataFusion's compares a whole batch of the right side with all rows of the left one before it asks for the next batch: billions of pairs, if the
//! left side has a million rows and few pairs match. Whatever else runs on the thread waits so long. Here the right side's batches
//! come in slices of as many rows as make [`PAIRS_PER_TURN`](right::PAIRS_PER_TURN) pairs, and after that many the right side is not ready
//! once, so that the thread is free ([`right`]). A left side that does not fit in memory is spilled where DataFusion does that
//! right ([`left`]); elsewhere the join is refused.
//!
//! [`bound_loops`] puts it into plans about to be executed. It does not travel, and a plan's shape stays as it is.

mod input;
mod left;
mod right;

use std::fmt;
use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::common::{JoinType, Statistics};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::joins::NestedLoopJoinExec;
use datafusion::physical_plan::metrics::MetricsSet;
use datafusion::physical_plan::{
    ChildStats, ChildrenPropertiesMode, DisplayAs, DisplayFormatType, ExecutionPlan, InputDistributionRequirements,
    PlanProperties, ReplaceChildrenOptions, StatisticsArgs,
};

use input::{Common, Side, ToJoin};

use crate::hidden_input::HiddenInput;

/// Bounds each nested-loop join of a plan that is about to be executed here.
///
/// # Errors
/// None that is expected: operators are replaced by some with the same properties.
pub fn bound_loops(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    plan.transform_up(|node| match bounded(&node)? {
        Some(bounded) => Ok(Transformed::yes(bounded)),
        None => Ok(Transformed::no(node)),
    })
    .data()
}

/// The bounded form of `node`, if that is a nested-loop join.
///
/// # Errors
/// None that is expected.
pub fn bounded(node: &Arc<dyn ExecutionPlan>) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    if !node.is::<NestedLoopJoinExec>() {
        return Ok(None);
    }
    let inputs = node.children().into_iter().map(Arc::clone).collect();
    Ok(Some(Arc::new(BoundedLoopExec::try_new(node, inputs)?)))
}

/// A nested-loop join over inputs that it counts and slices.
#[derive(Debug)]
struct BoundedLoopExec {
    /// The join over `inputs`, each as a [`HiddenInput`].
    join: Arc<dyn ExecutionPlan>,
    inputs: Vec<Arc<dyn ExecutionPlan>>,
    common: Arc<Common>,
    spills: bool,
}

impl BoundedLoopExec {
    /// `join` with other inputs.
    fn try_new(join: &Arc<dyn ExecutionPlan>, inputs: Vec<Arc<dyn ExecutionPlan>>) -> Result<Self> {
        let [left, right] = inputs.as_slice() else {
            let count = inputs.len();
            return Err(DataFusionError::Internal(format!(
                "a join has two inputs, was given {count}"
            )));
        };
        let common = Arc::new(Common::default());
        let part = |input, side| {
            let common = Arc::clone(&common);
            HiddenInput::plan(input, ToJoin { common, side })
        };
        let parts = vec![
            part(left, Side::Left(left::Shared::default())),
            part(right, Side::Right),
        ];
        let options = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
        Ok(Self {
            spills: spills_rightly(join),
            join: Arc::clone(join).replace_children(parts, options)?,
            inputs,
            common,
        })
    }
}

/// Whether the join may spill its left side. DataFusion's outer, semi and anti joins then lose sight of what matched in other partitions
/// and in other parts of the left side, and give wrong rows (seen with right joins).
fn spills_rightly(join: &Arc<dyn ExecutionPlan>) -> bool {
    let join = join.downcast_ref::<NestedLoopJoinExec>();
    join.is_some_and(|join| *join.join_type() == JoinType::Inner)
}

/// The same context for an operator that may not spill.
fn without_spilling(context: &TaskContext) -> Result<Arc<TaskContext>> {
    let disk = DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled);
    let runtime = RuntimeEnvBuilder::from_runtime_env(&context.runtime_env())
        .with_disk_manager_builder(disk)
        .build_arc()?;
    Ok(Arc::new(TaskContext::new(
        context.task_id(),
        context.session_id(),
        context.session_config().clone(),
        context.scalar_functions().clone(),
        context.higher_order_functions().clone(),
        context.aggregate_functions().clone(),
        context.window_functions().clone(),
        runtime,
    )))
}

impl DisplayAs for BoundedLoopExec {
    fn fmt_as(&self, kind: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.join.fmt_as(kind, f)
    }
}

impl ExecutionPlan for BoundedLoopExec {
    fn name(&self) -> &str {
        self.join.name()
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.join.properties()
    }

    fn input_distribution_requirements(&self) -> InputDistributionRequirements {
        self.join.input_distribution_requirements()
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        self.join.maintains_input_order()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        self.inputs.iter().collect()
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        self.join.apply_expressions(f)
    }

    fn replace_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(Arc::new(Self::try_new(&self.join, children)?))
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        if self.spills {
            return self.join.execute(partition, context);
        }
        let own = without_spilling(&context)?;
        // Set by whichever partition is first: they are of one task.
        self.common.context.get_or_init(|| context);
        self.join.execute(partition, own)
    }

    fn metrics(&self) -> Option<MetricsSet> {
        self.join.metrics()
    }

    fn child_stats_requests(&self, partition: Option<usize>) -> Vec<ChildStats> {
        self.join.child_stats_requests(partition)
    }

    fn statistics_from_inputs(&self, inputs: &[Arc<Statistics>], args: &StatisticsArgs) -> Result<Arc<Statistics>> {
        self.join.statistics_from_inputs(inputs, args)
    }
}

#[cfg(test)]
mod tests;
