//! A hash join that looks up only rows whose key its build side may have.
//!
//! To look a row up in a hash table takes some 35 ns, and in most joins of a large table with a small one most rows match nothing. A bit in a bitmap
//! takes a few: while the join reads its build side the keys are noted ([`build_side`], [`key_set`]), and the probe side's rows are sieved by
//! them on their way to the join ([`probe_side`]), until it shows that most pass. (TPC-H Q4 at SF1, two cores: half of its time went
//! into 3.6 million lookups without a match.)
//!
//! [`sieve_joins`] puts it into plans about to be executed. It does not travel, and a plan's shape stays as it is.

mod build_side;
mod key_set;
mod probe_side;

use std::fmt;
use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::common::{JoinType, NullEquality, Statistics};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr_common::physical_expr::is_volatile;
use datafusion::physical_plan::joins::{HashJoinExec, PartitionMode};
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::{
    ChildStats, ChildrenPropertiesMode, DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties,
    InputDistributionRequirements, PlanProperties, ReplaceChildrenOptions, StatisticsArgs,
};

use build_side::{NoteKeys, Slot};
use probe_side::SieveRows;

use crate::hidden_input::HiddenInput;

/// An expression of each side.
type Key = (Arc<dyn PhysicalExpr>, Arc<dyn PhysicalExpr>);

/// Sieves the probe side of each hash join of a plan that is about to be executed here, where that can be done.
///
/// # Errors
/// None that is expected: operators are replaced by some with the same properties.
pub fn sieve_joins(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    plan.transform_up(|node| match key_of(&node) {
        Some(key) => {
            let inputs = node.children().into_iter().map(Arc::clone).collect();
            Ok(Transformed::yes(Arc::new(SievedJoinExec::try_new(&node, key, inputs)?)))
        }
        None => Ok(Transformed::no(node)),
    })
    .data()
}

/// The key by which the probe side can be sieved, if rows that match nothing are none of the result: the first of integers that is a column of the build
/// side, whose values take no memory beside the join's, and the same whenever it is computed.
fn key_of(node: &Arc<dyn ExecutionPlan>) -> Option<Key> {
    let join = node.downcast_ref::<HashJoinExec>()?;
    let only_matches = match join.join_type() {
        JoinType::Inner
        | JoinType::Left
        | JoinType::LeftSemi
        | JoinType::LeftAnti
        | JoinType::LeftMark
        | JoinType::RightSemi => true,
        JoinType::Right | JoinType::Full | JoinType::RightAnti | JoinType::RightMark => false,
    };
    let partitions_fit = *join.partition_mode() != PartitionMode::Auto;
    if !only_matches || !partitions_fit || join.null_aware || join.null_equality() != NullEquality::NullEqualsNothing {
        return None;
    }
    let (left, right) = (join.left().schema(), join.right().schema());
    let fits = |(of_left, of_right): &&Key| {
        let types = of_left.data_type(&left).ok().zip(of_right.data_type(&right).ok());
        let integers = types.is_some_and(|(of_left, of_right)| of_left == of_right && key_set::has_sets(&of_left));
        integers && of_left.is::<Column>() && !is_volatile(of_right)
    };
    join.on().iter().find(fits).cloned()
}

/// A hash join over inputs that note keys and sieve rows.
#[derive(Debug)]
struct SievedJoinExec {
    /// The join over the hidden `inputs`.
    join: Arc<dyn ExecutionPlan>,
    key: Key,
    inputs: Vec<Arc<dyn ExecutionPlan>>,
    metrics: ExecutionPlanMetricsSet,
}

impl SievedJoinExec {
    /// `join` with other inputs.
    fn try_new(join: &Arc<dyn ExecutionPlan>, key: Key, inputs: Vec<Arc<dyn ExecutionPlan>>) -> Result<Self> {
        let [build, probe] = inputs.as_slice() else {
            let count = inputs.len();
            return Err(DataFusionError::Internal(format!(
                "a join has two inputs, was given {count}"
            )));
        };
        let metrics = ExecutionPlanMetricsSet::new();
        let partitions = build.output_partitioning().partition_count();
        let slots: Arc<[Slot]> = (0..partitions).map(|_| Slot::default()).collect();
        let noting = NoteKeys {
            key: Arc::clone(&key.0),
            slots: Arc::clone(&slots),
        };
        let sieving = SieveRows {
            key: Arc::clone(&key.1),
            slots,
            metrics: metrics.clone(),
        };
        let hidden = vec![HiddenInput::plan(build, noting), HiddenInput::plan(probe, sieving)];
        let options = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
        Ok(Self {
            join: Arc::clone(join).replace_children(hidden, options)?,
            key,
            inputs,
            metrics,
        })
    }
}

impl DisplayAs for SievedJoinExec {
    fn fmt_as(&self, kind: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.join.fmt_as(kind, f)
    }
}

impl ExecutionPlan for SievedJoinExec {
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
        Ok(Arc::new(Self::try_new(&self.join, self.key.clone(), children)?))
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    /// Other inputs leave a hash join the build side that it has read; a recursive query must read it anew.
    fn reset_state(self: Arc<Self>) -> Result<Arc<dyn ExecutionPlan>> {
        let join = Arc::clone(&self.join).reset_state()?;
        Ok(Arc::new(Self::try_new(&join, self.key.clone(), self.inputs.clone())?))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        self.join.execute(partition, context)
    }

    fn metrics(&self) -> Option<MetricsSet> {
        let mut all = self.join.metrics()?;
        for metric in self.metrics.clone_inner().iter() {
            all.push(Arc::clone(metric));
        }
        Some(all)
    }

    fn fetch(&self) -> Option<usize> {
        self.join.fetch()
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
