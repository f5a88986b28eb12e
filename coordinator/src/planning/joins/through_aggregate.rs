//! Filters of one relation sent below the aggregate of another that is joined with it on a grouping key.
//!
//! A correlated subquery becomes an aggregate over its whole table, joined on the correlation's columns. If another relation of the join
//! keeps few values of such a column, groups with other values are thrown away by the join: so their rows need not be
//! aggregated. Below the aggregate, a semi join with those values takes their place; a group that stays keeps all its rows.

use std::sync::Arc;

use datafusion::common::{JoinType, NullEquality};
use datafusion::error::Result;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::aggregates::AggregateExec;
use datafusion::physical_plan::execution_plan::reset_plan_states;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::joins::{HashJoinExecBuilder, PartitionMode};
use datafusion::physical_plan::projection::{ProjectionExec, ProjectionExpr};

use super::super::estimate::estimate;
use super::graph::{Expression, Graph, Relation};
use super::with_inputs;

/// Part of a column's values that a relation keeps at most, for it to be worth sending.
const KEPT: f64 = 0.25;
/// Rows below the aggregate for each row of the relation that is read a second time, at least.
const ROWS_PER_ROW: f64 = 4.0;

/// Sends filters below the aggregates among the graph's relations.
///
/// # Errors
/// None that is expected.
pub(super) fn send_filters(graph: &mut Graph) -> Result<()> {
    for columns in equal_columns(graph) {
        let domain = graph.shared_domain(columns.iter().copied());
        for &target in &columns {
            let index = graph.relation_of(target);
            let relation = &graph.relations[index];
            let column = target - relation.first;
            let Some(input_rows) = aggregated_rows(&relation.plan, column) else {
                continue;
            };
            let Some(source) = best_source(graph, &columns, target, domain, input_rows) else {
                continue;
            };
            let values = values_of(&graph.relations[graph.relation_of(source)], source)?;
            if let Some(plan) = with_filter(&relation.plan, column, &values)? {
                let filtered = estimate(&plan);
                let relation = &mut graph.relations[index];
                relation.estimate.rows = filtered.map_or(relation.estimate.rows, |filtered| filtered.rows);
                relation.plan = plan;
            }
        }
    }
    Ok(())
}

/// Columns that are equal in every row of the result: the graph's classes, with the columns of semi and anti joins that are compared
/// with one of them.
fn equal_columns(graph: &Graph) -> Vec<Vec<usize>> {
    let plain = |expression: &Expression| expression.downcast_ref::<Column>().map(Column::index);
    let mut groups = graph.classes.clone();
    let reductions = graph.relations.iter().filter_map(|relation| relation.reduces.as_ref());
    for (kept, reducing) in reductions.flat_map(|reduction| &reduction.on) {
        let (Some(kept), Some(reducing)) = (plain(kept), plain(reducing)) else {
            continue;
        };
        match groups.iter_mut().find(|group| group.contains(&kept)) {
            Some(group) => group.push(reducing),
            None => groups.push(vec![kept, reducing]),
        }
    }
    groups
}

/// The column of another relation that keeps the fewest values, if they are few and cheaply read once more.
fn best_source(graph: &Graph, columns: &[usize], target: usize, domain: f64, input_rows: f64) -> Option<usize> {
    let kept = |column: usize| {
        let relation = &graph.relations[graph.relation_of(column)];
        relation.estimate.distinct_now(column - relation.first) / domain
    };
    let fits = |&column: &usize| {
        let relation = &graph.relations[graph.relation_of(column)];
        let shows_what_stays = relation.reduces.as_ref().is_none_or(|reduction| !reduction.anti);
        graph.relation_of(column) != graph.relation_of(target)
            && shows_what_stays
            && is_cheap(&relation.plan)
            && kept(column) <= KEPT
            && relation.estimate.base_rows * ROWS_PER_ROW <= input_rows
    };
    let candidates = columns.iter().copied().filter(|column| fits(column));
    candidates.min_by(|&a, &b| kept(a).total_cmp(&kept(b)))
}

/// Whether a plan is a scan with filters and projections only.
fn is_cheap(plan: &Arc<dyn ExecutionPlan>) -> bool {
    match plan.children().as_slice() {
        [] => true,
        [input] => (plan.is::<FilterExec>() || plan.is::<ProjectionExec>()) && is_cheap(input),
        _ => false,
    }
}

/// A second reading of one column of a relation. State that a plan shares between its executions must not be shared with the first.
fn values_of(relation: &Relation, column: usize) -> Result<Arc<dyn ExecutionPlan>> {
    let plan = reset_plan_states(Arc::clone(&relation.plan))?;
    let index = column - relation.first;
    let name = plan.schema().field(index).name().clone();
    let expression = ProjectionExpr {
        expr: Arc::new(Column::new(&name, index)),
        alias: name,
    };
    Ok(Arc::new(ProjectionExec::try_new([expression], plan)?))
}

/// Rows that are aggregated below `plan`, if its `column` is a grouping key.
fn aggregated_rows(plan: &Arc<dyn ExecutionPlan>, column: usize) -> Option<f64> {
    if let Some((input, column)) = below(plan, column) {
        return aggregated_rows(&input, column);
    }
    let aggregate = plan.downcast_ref::<AggregateExec>()?;
    group_key(aggregate, column)?;
    let input = aggregate.input();
    if input.is::<AggregateExec>() {
        return aggregated_rows(input, column);
    }
    estimate(input).map(|estimate| estimate.rows)
}

/// Through a filter or projection: its input and the column there.
fn below(plan: &Arc<dyn ExecutionPlan>, column: usize) -> Option<(Arc<dyn ExecutionPlan>, usize)> {
    if let Some(projection) = plan.downcast_ref::<ProjectionExec>() {
        let inner = projection.expr().get(column)?.expr.downcast_ref::<Column>()?;
        return Some((Arc::clone(projection.input()), inner.index()));
    }
    let filter = plan.downcast_ref::<FilterExec>()?;
    let inner = match filter.projection() {
        Some(kept) => *kept.get(column)?,
        None => column,
    };
    plan.fetch().is_none().then(|| (Arc::clone(filter.input()), inner))
}

/// The grouping key that a column of an aggregate's result is, as an expression over its input.
fn group_key(aggregate: &AggregateExec, column: usize) -> Option<Expression> {
    let groups = aggregate.group_expr();
    let plain = groups.is_single() && aggregate.limit_options().is_none();
    let (key, _) = groups.expr().get(column)?;
    plain.then(|| Arc::clone(key))
}

/// `plan` with only those rows aggregated whose key in `column` is among `values`.
fn with_filter(
    plan: &Arc<dyn ExecutionPlan>,
    column: usize,
    values: &Arc<dyn ExecutionPlan>,
) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let replaced = |input: Option<Arc<dyn ExecutionPlan>>| {
        input
            .map(|input| with_inputs(Arc::clone(plan), vec![input]))
            .transpose()
    };
    if let Some((input, column)) = below(plan, column) {
        return replaced(with_filter(&input, column, values)?);
    }
    let Some(aggregate) = plan.downcast_ref::<AggregateExec>() else {
        return Ok(None);
    };
    let Some(key) = group_key(aggregate, column) else {
        return Ok(None);
    };
    let input = aggregate.input();
    if input.is::<AggregateExec>() {
        return replaced(with_filter(input, column, values)?);
    }
    let value: Expression = Arc::new(Column::new(values.schema().field(0).name(), 0));
    if value.data_type(&values.schema())? != key.data_type(&input.schema())? {
        return Ok(None);
    }
    let join = HashJoinExecBuilder::new(
        Arc::clone(values),
        Arc::clone(input),
        vec![(value, key)],
        JoinType::RightSemi,
    )
    .with_partition_mode(PartitionMode::CollectLeft)
    .with_null_equality(NullEquality::NullEqualsNothing)
    .build_exec()?;
    replaced(Some(join))
}
