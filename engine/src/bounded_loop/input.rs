//! What happens to the inputs of a bounded join.

use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, OnceLock};

use datafusion::error::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::ExecutionPlan;

use super::{left, right};
use crate::hidden_input::Passage;

/// What an input is to its join.
#[derive(Debug)]
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

/// The way of an input's rows to the join.
#[derive(Debug)]
pub(super) struct ToJoin {
    pub(super) common: Arc<Common>,
    pub(super) side: Side,
}

impl Passage for ToJoin {
    fn execute(
        &self,
        input: &Arc<dyn ExecutionPlan>,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let context = self.common.context.get().cloned().unwrap_or(context);
        let start = || input.execute(partition, context);
        let left_rows = &self.common.left_rows;
        match &self.side {
            Side::Left(execution) => left::execute(execution, left_rows, start),
            Side::Right => Ok(right::slices(start()?, left_rows)),
        }
    }
}
