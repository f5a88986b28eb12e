//! Joins that several tasks share and whose build side cannot be copied to all of them, because rows of it are part of the result: both sides
//! are repartitioned by the keys.
//!
//! The execution crate would do so, too, but after aggregates and windows above have been given a repartition of their own, by the same keys.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::config::ConfigOptions;
use datafusion::error::Result;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::joins::{HashJoinExec, PartitionMode};
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};

use super::sizes::{Sizes, can_be_copied};

/// Repartitions joins that are not broadcast.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RepartitionJoins;

impl PhysicalOptimizerRule for RepartitionJoins {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, options: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        // What one task does needs no exchange.
        if !Sizes::of(options).is_shared() {
            return Ok(plan);
        }
        plan.transform_up(
            |node| match node.downcast_ref::<HashJoinExec>().filter(|join| is_apart(join)) {
                Some(join) => {
                    let builder = join.builder().with_partition_mode(PartitionMode::Partitioned);
                    builder.build_exec().map(Transformed::yes)
                }
                None => Ok(Transformed::no(node)),
            },
        )
        .data()
    }

    fn name(&self) -> &str {
        "quarry_repartition_joins"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// Whether a join is to be repartitioned: its build side cannot be copied, and more than one partition has rows for it. Joins for `NOT IN` have no
/// other way than theirs.
fn is_apart(join: &HashJoinExec) -> bool {
    let in_parts = |side: &Arc<dyn ExecutionPlan>| side.output_partitioning().partition_count() > 1;
    *join.partition_mode() == PartitionMode::CollectLeft
        && !can_be_copied(*join.join_type())
        && !join.null_aware
        && join.fetch().is_none()
        && (in_parts(join.left()) || in_parts(join.right()))
}
