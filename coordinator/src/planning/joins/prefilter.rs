//! A probe side of which only rows that can match are sent.
//!
//! A join whose result is rows of its build side cannot broadcast it: each task would give them. Both sides are repartitioned, though most rows
//! of a large probe side may match nothing. Where the build side is small, its keys alone are broadcast to where the probe side is read, and
//! only rows with one of them travel (TPC-H Q4 at SF1: 0.15 in place of 3.8 million rows). Semi joins mostly
//! have a better way still: [`by_row_numbers`](super::by_row_numbers).

use std::sync::Arc;

use datafusion::arrow::datatypes::Schema;
use datafusion::common::{JoinType, NullEquality};
use datafusion::error::Result;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::joins::{HashJoinExecBuilder, PartitionMode};
use datafusion::physical_plan::projection::{ProjectionExec, ProjectionExpr};

use super::graph::{Expression, columns_of, renumber, with_columns};
use super::sizes::{Side, Sizes};
use crate::planning::estimate::{Estimate, estimate, shared_domain};
use crate::planning::plain_columns::plain_columns;

/// Bytes of a key on its way, roughly.
const KEY_BYTES: f64 = 16.0;

/// The probe side of a join that repartitions both sides, reduced by the build side's keys where that pays.
///
/// # Errors
/// None that is expected: the keys are columns of both sides.
pub(super) fn prefiltered(
    build: &Arc<dyn ExecutionPlan>,
    probe: Arc<dyn ExecutionPlan>,
    on: &[(Expression, Expression)],
    join_type: JoinType,
    sizes: &Sizes,
) -> Result<Arc<dyn ExecutionPlan>> {
    // Rows that match nothing must be none of the result.
    if !matches!(join_type, JoinType::LeftSemi | JoinType::LeftAnti)
        || !is_read_in_place(build)
        || !is_read_in_place(&probe)
    {
        return Ok(probe);
    }
    let (Some(of_build), Some(of_probe)) = (estimate(build), estimate(&probe)) else {
        return Ok(probe);
    };
    let keys = Side {
        rows: of_build.rows,
        bytes: of_build.rows * KEY_BYTES * on.len() as f64,
    };
    let saved = of_probe.rows * (1.0 - matching(&of_build, &of_probe, on));
    if !sizes.prefilter(keys, of_build.base_rows, of_probe.rows, saved) {
        return Ok(probe);
    }
    with_keys_of(build, probe, on)
}

/// Whether a plan only reads a table: it is cheap to do so twice.
fn is_read_in_place(plan: &Arc<dyn ExecutionPlan>) -> bool {
    let passes = plan.is::<FilterExec>() || plan.is::<ProjectionExec>();
    match plan.children().as_slice() {
        [] => true,
        [input] => passes && is_read_in_place(input),
        _ => false,
    }
}

/// Part of the probe side's rows that is expected to match.
pub(super) fn matching(build: &Estimate, probe: &Estimate, on: &[(Expression, Expression)]) -> f64 {
    let position = |expression: &Expression| Some(expression.downcast_ref::<Column>()?.index());
    let of_key = |(of_build, of_probe): &(Expression, Expression)| {
        let (of_build, of_probe) = (position(of_build)?, position(of_probe)?);
        let sides = [
            (build.columns[of_build].distinct, build.base_rows),
            (probe.columns[of_probe].distinct, probe.base_rows),
        ];
        Some(build.distinct_now(of_build) / shared_domain(sides.into_iter()))
    };
    on.iter().filter_map(of_key).fold(1.0, f64::min)
}

fn with_keys_of(
    build: &Arc<dyn ExecutionPlan>,
    probe: Arc<dyn ExecutionPlan>,
    on: &[(Expression, Expression)],
) -> Result<Arc<dyn ExecutionPlan>> {
    let name = |index: usize| format!("key_{index}");
    let keys = on.iter().enumerate();
    let keys = keys.map(|(index, (key, _))| ProjectionExpr::new(Arc::clone(key), name(index)));
    let keys = only(keys.collect(), build)?;
    let pairs = on.iter().enumerate();
    let pairs = pairs.map(|(index, (_, other))| {
        (
            Arc::new(Column::new(&name(index), index)) as Expression,
            Arc::clone(other),
        )
    });
    HashJoinExecBuilder::new(keys, probe, pairs.collect(), JoinType::RightSemi)
        .with_partition_mode(PartitionMode::CollectLeft)
        .with_null_equality(NullEquality::NullEqualsNothing)
        .build_exec()
}

/// Expressions over what a plan gives, without reading the columns that only its other columns need.
fn only(expressions: Vec<ProjectionExpr>, plan: &Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    if let Some(renamed) = plan.downcast_ref::<ProjectionExec>()
        && let Some(sources) = plain_columns(renamed.expr())
    {
        let input = renamed.input();
        return only(over(expressions, &input.schema(), |column| sources[column])?, input);
    }
    if let Some(filter) = plan.downcast_ref::<FilterExec>() {
        return only_filtered(expressions, filter);
    }
    let projection = ProjectionExec::try_new(expressions, Arc::clone(plan))?;
    let swapped = plan.try_swapping_with_projection(&projection)?;
    Ok(swapped.unwrap_or_else(|| Arc::new(projection)))
}

fn only_filtered(expressions: Vec<ProjectionExpr>, filter: &FilterExec) -> Result<Arc<dyn ExecutionPlan>> {
    let kept = filter.projection().as_ref();
    let schema = filter.input().schema();
    let expressions = over(expressions, &schema, |column| kept.map_or(column, |kept| kept[column]))?;
    let mut read = columns_of(filter.predicate());
    read.extend(expressions.iter().flat_map(|expression| columns_of(&expression.expr)));
    let read: Vec<usize> = read.into_iter().collect();
    let columns = read.iter().map(|&column| {
        let name = schema.field(column).name();
        ProjectionExpr::new(Arc::new(Column::new(name, column)), name.clone())
    });
    let input = only(columns.collect(), filter.input())?;
    let position = |column: usize| read.iter().position(|&other| other == column).unwrap_or(0);
    let filtered = FilterExec::try_new(renumber(filter.predicate(), position)?, input)?
        .with_default_selectivity(filter.default_selectivity())?;
    let expressions = over(expressions, &filtered.schema(), position)?;
    Ok(Arc::new(ProjectionExec::try_new(expressions, Arc::new(filtered))?))
}

/// Expressions over the columns of `schema`, by their new numbers.
fn over(
    expressions: Vec<ProjectionExpr>,
    schema: &Schema,
    number: impl Fn(usize) -> usize,
) -> Result<Vec<ProjectionExpr>> {
    let named = |index: usize| Column::new(schema.field(index).name(), index);
    let over = expressions.into_iter().map(|expression| {
        let expr = with_columns(&expression.expr, |column| named(number(column.index())))?;
        Ok(ProjectionExpr::new(expr, expression.alias))
    });
    over.collect()
}
