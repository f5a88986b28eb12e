//! Sorted rows leave a task as one stream.
//!
//! The execution crate sends all partitions of a task through one connection, whose buffer they share. A merge of sorted partitions needs
//! rows of one particular partition at a time; those of the others fill the buffer, and what the merge waits for never comes: if the rows are
//! wanted in about the order in which they were stored, as `ORDER BY` a key that grows from file to file, a result that is larger than the
//! buffer would hang. So each task merges its own partitions, and only one partition of each task is left to wait for.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::error::Result;
use datafusion::physical_plan::sorts::sort_preserving_merge::SortPreservingMergeExec;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties, replace_children_if_necessary};
use datafusion_distributed::{NetworkBoundary, NetworkCoalesceExec, Stage};
use quarry_engine::panic_guard::PanicGuardExec;

/// Merges the partitions of each task below a merge of tasks.
pub(super) fn merge_within_tasks(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    plan.transform_up(|node| {
        let Some(merge) = node.downcast_ref::<SortPreservingMergeExec>() else {
            return Ok(Transformed::no(node));
        };
        let Some(exchange) = merge.input().downcast_ref::<NetworkCoalesceExec>() else {
            return Ok(Transformed::no(node));
        };
        match merged_below(merge, exchange)? {
            Some(merged) => Ok(Transformed::yes(replace_children_if_necessary(node, vec![merged])?)),
            None => Ok(Transformed::no(node)),
        }
    })
    .data()
}

/// The exchange with one sorted partition of each task; `None` if it is so already.
fn merged_below(
    merge: &SortPreservingMergeExec,
    exchange: &NetworkCoalesceExec,
) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let Stage::Local(stage) = exchange.input_stage() else {
        return Ok(None);
    };
    if stage.plan.output_partitioning().partition_count() < 2 {
        return Ok(None);
    }
    let merged = SortPreservingMergeExec::new(merge.expr().clone(), Arc::clone(&stage.plan)).with_fetch(merge.fetch());
    let plan: Arc<dyn ExecutionPlan> = Arc::new(PanicGuardExec::new(Arc::new(merged)));
    // A merge is one task: it consumes all tasks of the stage.
    let merged = NetworkCoalesceExec::try_new(Arc::clone(&plan), stage.tasks, 1)?;
    let mut numbered = stage.clone();
    numbered.plan = plan;
    let merged: Arc<dyn ExecutionPlan> = merged.with_input_stage(Stage::Local(numbered))?;
    Ok(Some(merged))
}
