//! Strings that the operators right above a scan consume, read as views.
//!
//! Tables have plain strings, which cross exchanges as they are. But to decode a column only to compare it, copying each of its values is
//! work for nothing: a view points into the page or the dictionary that it was read from. [`ReadViews`] reads strings of Parquet files as
//! views where a filter or a partial aggregate above the scan takes them, and makes plain strings of what is left above that.
//! (TPC-H SF1, two cores: a third of Q19's time went into copies of two columns of which nothing but a condition was wanted.)

mod columns;
mod scan;

use std::collections::BTreeSet;
use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::config::ConfigOptions;
use datafusion::error::Result;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{CastExpr, Column};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_optimizer::sanity_checker::SanityCheckPlan;
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateMode, PhysicalGroupBy};
use datafusion::physical_plan::filter::{FilterExec, FilterExecBuilder};
use datafusion::physical_plan::projection::{ProjectionExec, ProjectionExpr};
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::{ChildrenPropertiesMode, ExecutionPlan, InputOrderMode, ReplaceChildrenOptions};

use super::estimate::estimate;
use columns::{as_views, columns_of, pinned};

/// Positions of columns.
type Positions = BTreeSet<usize>;

/// A filter that leaves more than this part of the rows copies strings less by reading them plainly.
const SELECTIVE: f64 = 0.5;

/// Reads strings as views below filters and partial aggregates. The last of the rules: no later one may see the scans' own types.
#[derive(Debug, Clone, Copy)]
pub struct ReadViews;

impl PhysicalOptimizerRule for ReadViews {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, options: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        let read = rewritten(&plan, false).and_then(|read| SanityCheckPlan::new().optimize(read, options));
        // The plan as it was is right, too. It stays where a sort leaves a column out because a filter makes it constant, which is not known of the
        // strings that are made of its views.
        Ok(read.unwrap_or_else(|error| {
            tracing::debug!(%error, "strings are read as they are");
            plan
        }))
    }

    fn name(&self) -> &str {
        "quarry_read_views"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// A plan with the same columns as another one, some of them views in place of strings.
struct Viewed {
    plan: Arc<dyn ExecutionPlan>,
    views: Positions,
}

/// `sorted`: an order is wanted of the rows, for which a scan may have chosen that of its row groups.
fn rewritten(plan: &Arc<dyn ExecutionPlan>, sorted: bool) -> Result<Arc<dyn ExecutionPlan>> {
    let sorted = match plan.children().len() {
        1 => (sorted || plan.is::<SortExec>()) && !plan.is::<AggregateExec>(),
        _ => false,
    };
    if !sorted
        && consumes(plan)
        && let Some(viewed) = viewed(plan, &kept_plain(plan))?
    {
        return restored(viewed, plan);
    }
    let inputs = plan.children();
    let new = inputs
        .iter()
        .map(|input| rewritten(input, sorted))
        .collect::<Result<Vec<_>>>()?;
    if inputs.iter().zip(&new).all(|(old, new)| Arc::ptr_eq(old, new)) {
        return Ok(Arc::clone(plan));
    }
    let options = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
    Arc::clone(plan).replace_children(new, options)
}

/// Whether strings end in `plan`: a chain of projections alone would only make views to make strings of them.
fn consumes(plan: &Arc<dyn ExecutionPlan>) -> bool {
    match plan.downcast_ref::<ProjectionExec>() {
        Some(projection) => consumes(projection.input()),
        None => plan.is::<FilterExec>() || is_partial(plan),
    }
}

fn is_partial(plan: &Arc<dyn ExecutionPlan>) -> bool {
    plan.downcast_ref::<AggregateExec>()
        .is_some_and(|aggregate| *aggregate.mode() == AggregateMode::Partial)
}

/// The columns of `plan` that are better strings from the beginning, because most of their values are wanted.
fn kept_plain(plan: &Arc<dyn ExecutionPlan>) -> Positions {
    let few = || estimate(plan).is_some_and(|left| left.rows <= left.base_rows * SELECTIVE);
    if is_partial(plan) || few() {
        return Positions::new();
    }
    (0..plan.schema().fields().len()).collect()
}

/// `plan` with views for its strings apart from the `plain` ones; `None` if it has no string that can be one.
fn viewed(plan: &Arc<dyn ExecutionPlan>, plain: &Positions) -> Result<Option<Viewed>> {
    if let Some(filter) = plan.downcast_ref::<FilterExec>() {
        return viewed_filter(filter, plain);
    }
    if let Some(projection) = plan.downcast_ref::<ProjectionExec>() {
        return viewed_projection(projection, plain);
    }
    if let Some(aggregate) = plan.downcast_ref::<AggregateExec>() {
        return viewed_aggregate(aggregate, plain);
    }
    scan::viewed(plan, plain)
}

fn viewed_filter(filter: &FilterExec, plain: &Positions) -> Result<Option<Viewed>> {
    let from = |output: usize| filter.projection().as_ref().map_or(output, |kept| kept[output]);
    let mut below: Positions = plain.iter().map(|&output| from(output)).collect();
    pinned(filter.predicate(), &mut below);
    let Some(input) = viewed(filter.input(), &below)? else {
        return Ok(None);
    };
    let predicate = as_views(filter.predicate(), &input.views, &input.plan.schema())?;
    let plan = FilterExecBuilder::from(filter)
        .with_input(input.plan)
        .with_predicate(predicate)
        .build()?;
    let columns = 0..plan.schema().fields().len();
    Ok(Some(Viewed {
        views: columns.filter(|&output| input.views.contains(&from(output))).collect(),
        plan: Arc::new(plan),
    }))
}

fn viewed_projection(projection: &ProjectionExec, plain: &Positions) -> Result<Option<Viewed>> {
    let mut below = Positions::new();
    for (output, projected) in projection.expr().iter().enumerate() {
        if plain.contains(&output) || !projected.expr.is::<Column>() {
            below.extend(columns_of(&projected.expr));
        }
    }
    let Some(input) = viewed(projection.input(), &below)? else {
        return Ok(None);
    };
    let views = positions(projection.expr().iter().map(|projected| &projected.expr), &input.views);
    let plan = ProjectionExec::try_new(projection.expr().to_vec(), input.plan)?;
    Ok(Some(Viewed {
        plan: Arc::new(plan),
        views,
    }))
}

/// The keys of a partial aggregate can be views; what its functions take stays as it is.
fn viewed_aggregate(aggregate: &AggregateExec, plain: &Positions) -> Result<Option<Viewed>> {
    let keys = aggregate.group_expr();
    let is_simple = *aggregate.mode() == AggregateMode::Partial
        && keys.is_single()
        && aggregate.limit_options().is_none()
        && aggregate.dynamic_expressions_produced().is_empty()
        && *aggregate.input_order_mode() == InputOrderMode::Linear;
    if !is_simple {
        return Ok(None);
    }
    let mut below = Positions::new();
    for function in aggregate.aggr_expr() {
        let taken = function.all_expressions();
        let taken = taken.args.into_iter().chain(taken.order_by_exprs);
        below.extend(taken.flat_map(|expression| columns_of(&expression)));
    }
    let conditions = aggregate.filter_expr().iter().flatten();
    below.extend(conditions.flat_map(columns_of));
    for (output, (key, _)) in keys.expr().iter().enumerate() {
        if plain.contains(&output) || !key.is::<Column>() {
            below.extend(columns_of(key));
        }
    }
    let Some(input) = viewed(aggregate.input(), &below)? else {
        return Ok(None);
    };
    let views = positions(keys.expr().iter().map(|(key, _)| key), &input.views);
    let input_schema = input.plan.schema();
    let plan = AggregateExec::try_new(
        AggregateMode::Partial,
        PhysicalGroupBy::new_single(keys.expr().to_vec()),
        aggregate.aggr_expr().to_vec(),
        aggregate.filter_expr().to_vec(),
        input.plan,
        input_schema,
    )?;
    Ok(Some(Viewed {
        plan: Arc::new(plan),
        views,
    }))
}

/// Where columns that are views below come out.
fn positions<'a>(outputs: impl Iterator<Item = &'a Arc<dyn PhysicalExpr>>, below: &Positions) -> Positions {
    let is_view = |expression: &Arc<dyn PhysicalExpr>| {
        let column = expression.downcast_ref::<Column>();
        column.is_some_and(|column| below.contains(&column.index()))
    };
    let views = outputs.enumerate().filter(|(_, expression)| is_view(expression));
    views.map(|(output, _)| output).collect()
}

/// Strings again above the views.
fn restored(viewed: Viewed, old: &Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    if viewed.views.is_empty() {
        return Ok(viewed.plan);
    }
    let schema = old.schema();
    let columns = schema.fields().iter().enumerate().map(|(index, field)| {
        let column: Arc<dyn PhysicalExpr> = Arc::new(Column::new(field.name(), index));
        let expr = match viewed.views.contains(&index) {
            true => Arc::new(CastExpr::new(column, DataType::Utf8, None)),
            false => column,
        };
        ProjectionExpr::new(expr, field.name().clone())
    });
    let columns: Vec<_> = columns.collect();
    Ok(Arc::new(ProjectionExec::try_new(columns, viewed.plan)?))
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
