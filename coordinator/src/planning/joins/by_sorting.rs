//! Joins whose hash table would not fit in memory: by sorting, which spills, or with the sides exchanged, if the other one fits.
//!
//! [`OrderJoins`](super::OrderJoins) minds memory in the chains that it puts together. This rule minds it in all other joins: outer joins,
//! mark joins, chains with a relation of unknown size.

use std::sync::Arc;

use datafusion::arrow::compute::SortOptions;
use datafusion::arrow::datatypes::{DataType, Schema};
use datafusion::common::JoinSide;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::config::ConfigOptions;
use datafusion::error::Result;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::joins::utils::JoinFilter;
use datafusion::physical_plan::joins::{HashJoinExec, PartitionMode, SortMergeJoinExec};
use datafusion::physical_plan::projection::{ProjectionExec, ProjectionExpr};

use super::super::estimate::estimate;
use super::graph::{Expression, renumber};
use super::sizes::{Side, Sizes};

/// Takes hash joins away where their build side is expected not to fit.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SortLargeJoins;

impl PhysicalOptimizerRule for SortLargeJoins {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, options: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        let sizes = Sizes::of(options);
        plan.transform_up(|node| match instead(&node, sizes)? {
            Some(other) => Ok(Transformed::yes(other)),
            None => Ok(Transformed::no(node)),
        })
        .data()
    }

    fn name(&self) -> &str {
        "quarry_sort_large_joins"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// What takes the place of `node`, if it is a hash join that would not fit.
fn instead(node: &Arc<dyn ExecutionPlan>, sizes: Sizes) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let Some(join) = node.downcast_ref::<HashJoinExec>() else {
        return Ok(None);
    };
    // Those have no other way: sorting does not know what `NOT IN` makes of a null.
    if join.null_aware || node.fetch().is_some() {
        return Ok(None);
    }
    if !is_too_large(join, sizes) {
        return Ok(None);
    }
    if let Some(swapped) = with_sides_exchanged(join, sizes)? {
        return Ok(Some(swapped));
    }
    if !keys_are_sortable(join.on(), &join.left().schema()) {
        return Ok(None);
    }
    by_sorting(join).map(Some)
}

fn side(plan: &Arc<dyn ExecutionPlan>) -> Option<Side> {
    let estimate = estimate(plan)?;
    let width: f64 = estimate.columns.iter().map(|column| column.width).sum();
    Some(Side {
        rows: estimate.rows,
        bytes: estimate.rows * width.max(1.0),
    })
}

/// What is of unknown size is tried: the query is run again by sorting if it does not fit.
fn is_too_large(join: &HashJoinExec, sizes: Sizes) -> bool {
    if sizes.always_sort() {
        return true;
    }
    let copied = *join.partition_mode() == PartitionMode::CollectLeft;
    side(join.left()).is_some_and(|build| match copied {
        true => sizes.copy_exceeds_memory(build),
        false => sizes.exceeds_memory(build),
    })
}

fn with_sides_exchanged(join: &HashJoinExec, sizes: Sizes) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    if sizes.always_sort() || !join.join_type().supports_swap() {
        return Ok(None);
    }
    let (Some(build), Some(probe)) = (side(join.right()), side(join.left())) else {
        return Ok(None);
    };
    if sizes.exceeds_memory(build) {
        return Ok(None);
    }
    let mode = match sizes.broadcast(join.join_type().swap(), build, probe) {
        true => PartitionMode::CollectLeft,
        false => PartitionMode::Partitioned,
    };
    join.swap_inputs(mode).map(Some)
}

fn by_sorting(join: &HashJoinExec) -> Result<Arc<dyn ExecutionPlan>> {
    let joined = SortMergeJoinExec::try_new(
        Arc::clone(join.left()),
        Arc::clone(join.right()),
        join.on().to_vec(),
        join.filter().map(left_columns_first).transpose()?,
        *join.join_type(),
        vec![SortOptions::default(); join.on().len()],
        join.null_equality(),
    )?;
    project(Arc::new(joined), join.projection.as_deref().map(<[usize]>::to_vec))
}

/// Sort-merge joins take the left side's columns of a filter to come first; hash joins whose sides were exchanged have them last.
fn left_columns_first(filter: &JoinFilter) -> Result<JoinFilter> {
    let sources = filter.column_indices();
    let mut order: Vec<usize> = (0..sources.len()).collect();
    order.sort_by_key(|&column| sources[column].side != JoinSide::Left);
    let new_number = |column| order.iter().position(|&old| old == column).unwrap_or(0);
    let fields = order
        .iter()
        .map(|&column| Arc::clone(&filter.schema().fields()[column]));
    Ok(JoinFilter::new(
        renumber(filter.expression(), new_number)?,
        order.iter().map(|&column| sources[column].clone()).collect(),
        Arc::new(Schema::new(fields.collect::<Vec<_>>())),
    ))
}

/// Whether a sort-merge join can compare the left side's keys.
pub(super) fn keys_are_sortable(on: &[(Expression, Expression)], left: &Schema) -> bool {
    let is_sortable =
        |data_type: DataType| data_type.is_primitive() || data_type.is_string() || data_type == DataType::Boolean;
    on.iter().all(|(key, _)| key.data_type(left).is_ok_and(is_sortable))
}

/// Those columns of a plan that are kept, in their order.
pub(super) fn project(plan: Arc<dyn ExecutionPlan>, projection: Option<Vec<usize>>) -> Result<Arc<dyn ExecutionPlan>> {
    let Some(kept) = projection else { return Ok(plan) };
    let schema = plan.schema();
    let expressions = kept.into_iter().map(|index| ProjectionExpr {
        expr: Arc::new(Column::new(schema.field(index).name(), index)),
        alias: schema.field(index).name().clone(),
    });
    Ok(Arc::new(ProjectionExec::try_new(
        expressions.collect::<Vec<_>>(),
        plan,
    )?))
}
