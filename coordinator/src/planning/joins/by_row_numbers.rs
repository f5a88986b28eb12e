//! Semi joins whose result is rows of a small build side, by a copy of it in each task.
//!
//! Each task that has the whole build side gives those of its rows that match in the task's own part of the probe side, so a row may come from
//! several tasks. It is numbered before it is copied, and of all copies of a number one is kept. Where the build side is a table of which few
//! rows are left and the other side is large, this moves far less than both sides repartitioned, and reads the table once, which
//! [`prefilter`](super::prefilter) does not.

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::{JoinType, NullEquality};
use datafusion::error::Result;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateMode, PhysicalGroupBy};
use datafusion::physical_plan::joins::utils::JoinFilter;
use datafusion::physical_plan::joins::{HashJoinExecBuilder, PartitionMode};
use quarry_engine::row_numbers::RowNumbersExec;

use super::by_sorting::project;
use super::graph::Expression;
use super::prefilter::matching;
use super::sizes::{Side, Sizes};
use crate::planning::estimate::estimate;

/// A semi join of the `build` side's rows that match in `probe`, and the columns of it that are wanted.
pub(super) struct SemiJoin<'a> {
    pub(super) build: &'a Arc<dyn ExecutionPlan>,
    pub(super) probe: &'a Arc<dyn ExecutionPlan>,
    pub(super) on: &'a [(Expression, Expression)],
    pub(super) filter: Option<&'a JoinFilter>,
    pub(super) output: Vec<usize>,
}

impl SemiJoin<'_> {
    /// The join by copies of numbered rows, if that pays. `build` and `probe` are what is expected of the two sides.
    ///
    /// # Errors
    /// None that is expected: the columns are those of the build side.
    pub(super) fn by_row_numbers(
        &self,
        build: Side,
        probe: Side,
        sizes: &Sizes,
    ) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        let schema = self.build.schema();
        let groups = self
            .output
            .iter()
            .all(|&column| can_be_grouped(schema.field(column).data_type()));
        if !groups || !sizes.copies_of_numbered(build, probe, self.matching()) {
            return Ok(None);
        }
        let mut kept = self.output.clone();
        kept.push(schema.fields().len());
        let numbered = Arc::new(RowNumbersExec::new(Arc::clone(self.build)));
        let matches = HashJoinExecBuilder::new(numbered, Arc::clone(self.probe), self.on.to_vec(), JoinType::Inner)
            .with_filter(self.filter.cloned())
            .with_projection(Some(kept))
            .with_partition_mode(PartitionMode::CollectLeft)
            .with_null_equality(NullEquality::NullEqualsNothing)
            .build_exec()?;
        let once = each_once(matches)?;
        project(once, Some((0..self.output.len()).collect())).map(Some)
    }

    /// Part of the probe side's rows that is expected to match.
    fn matching(&self) -> f64 {
        let sides = estimate(self.build).zip(estimate(self.probe));
        sides.map_or(1.0, |(build, probe)| matching(&build, &probe, self.on))
    }
}

/// Whether a column of that type can be among the keys of an aggregate.
fn can_be_grouped(data_type: &DataType) -> bool {
    data_type.is_primitive() || data_type.is_string() || data_type.is_binary() || *data_type == DataType::Boolean
}

/// One of all rows that are the same.
fn each_once(rows: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    let schema = rows.schema();
    let columns = schema.fields().iter().enumerate().map(|(index, field)| {
        let column: Expression = Arc::new(Column::new(field.name(), index));
        (column, field.name().clone())
    });
    let keys = PhysicalGroupBy::new_single(columns.collect());
    let aggregate = |mode, keys, input| {
        AggregateExec::try_new(mode, keys, Vec::new(), Vec::new(), input, Arc::clone(&schema)).map(Arc::new)
    };
    let of_each_task = aggregate(AggregateMode::Partial, keys.clone(), rows)?;
    Ok(aggregate(
        AggregateMode::FinalPartitioned,
        keys.as_final(),
        of_each_task,
    )?)
}
