//! The inputs of a bounded join. Nobody but the join sees them.

use std::fmt;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, OnceLock};

use datafusion::common::Statistics;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::{
    ChildStats, ChildrenPropertiesMode, DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties,
    ReplaceChildrenOptions, StatisticsArgs,
};

use super::{left, right};
use crate::one_input::only_input;

/// What an input is to its join.
#[derive(Debug, Clone)]
pub(super) enum Side {
    /// Its rows are counted.
    Left(left::Shared),
    /// Its batches are cut.
    Right,
}

/// What the inputs of one join share.
#[derive(Debug, Default)]
pub(super) struct Common {
    /// Rows of the left side so far.
    left_rows: Arc<AtomicUsize>,
    /// The task's own context: the join's may forbid it to spill.
    pub(super) context: OnceLock<Arc<TaskContext>>,
}

/// An input of the join.
#[derive(Debug)]
pub(super) struct Input {
    pub(super) input: Arc<dyn ExecutionPlan>,
    pub(super) common: Arc<Common>,
    pub(super) side: Side,
}

impl DisplayAs for Input {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Input")
    }
}

impl ExecutionPlan for Input {
    fn name(&self) -> &str {
        "Input"
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
        Ok(Arc::new(Self {
            input: only_input(self.name(), children)?,
            common: Arc::clone(&self.common),
            side: self.side.clone(),
        }))
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let context = self.common.context.get().cloned().unwrap_or(context);
        let start = || self.input.execute(partition, context);
        let left_rows = &self.common.left_rows;
        match &self.side {
            Side::Left(execution) => left::execute(execution, left_rows, start),
            Side::Right => Ok(right::slices(start()?, left_rows)),
        }
    }

    fn child_stats_requests(&self, partition: Option<usize>) -> Vec<ChildStats> {
        vec![ChildStats::At(partition)]
    }

    fn statistics_from_inputs(&self, inputs: &[Arc<Statistics>], _: &StatisticsArgs) -> Result<Arc<Statistics>> {
        Ok(Arc::clone(&inputs[0]))
    }
}
