//! Estimates operator by operator.

use std::sync::Arc;

use datafusion::common::stats::Precision;
use datafusion::common::{JoinType, ScalarValue, Statistics};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::aggregate::AggregateFunctionExpr;
use datafusion::physical_plan::aggregates::AggregateExec;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::joins::JoinOnRef;
use datafusion::physical_plan::joins::{CrossJoinExec, HashJoinExec, NestedLoopJoinExec, SortMergeJoinExec};
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::union::UnionExec;
use datafusion::physical_plan::{ExecutionPlan, StatisticsArgs, StatisticsContext};

use super::selectivity::{column_of, narrow, selectivity};
use super::{ColumnEstimate, Distinct, Estimate, number, shared_domain, values_in_range};

/// What is expected of `plan`; `None` if the size of a part is unknown.
pub(crate) fn estimate(plan: &Arc<dyn ExecutionPlan>) -> Option<Estimate> {
    let mut estimate = of_operator(plan)?;
    if let Some(limit) = plan.fetch() {
        estimate.rows = estimate.rows.min(limit as f64);
    }
    estimate.rows = estimate.rows.max(1.0);
    estimate.base_rows = estimate.base_rows.max(estimate.rows);
    Some(estimate)
}

fn of_operator(plan: &Arc<dyn ExecutionPlan>) -> Option<Estimate> {
    if let Some(filter) = plan.downcast_ref::<FilterExec>() {
        return of_filter(filter);
    }
    if let Some(projection) = plan.downcast_ref::<ProjectionExec>() {
        return of_projection(projection);
    }
    if let Some(aggregate) = plan.downcast_ref::<AggregateExec>() {
        return of_aggregate(aggregate);
    }
    if let Some(join) = plan.downcast_ref::<HashJoinExec>() {
        let sides = (estimate(join.left())?, estimate(join.right())?);
        let joined = with_keys(sides, join.on(), join.filter().is_some(), *join.join_type());
        return Some(projected(joined, join.projection.as_deref()));
    }
    if let Some(join) = plan.downcast_ref::<SortMergeJoinExec>() {
        let sides = (estimate(join.left())?, estimate(join.right())?);
        return Some(with_keys(sides, join.on(), join.filter().is_some(), join.join_type()));
    }
    if let Some(join) = plan.downcast_ref::<CrossJoinExec>() {
        let joined = pair(estimate(join.left())?, estimate(join.right())?, JoinType::Inner, 1.0);
        return Some(joined);
    }
    if let Some(join) = plan.downcast_ref::<NestedLoopJoinExec>() {
        let (left, right) = (estimate(join.left())?, estimate(join.right())?);
        let joined = pair(left, right, *join.join_type(), NESTED_LOOP);
        return Some(projected(joined, join.projection().as_deref()));
    }
    if plan.is::<UnionExec>() {
        return of_union(plan);
    }
    match plan.children().as_slice() {
        [] => of_source(plan),
        // Sorts, limits, windows and the like keep the columns of their input, and at most add some.
        [input] => {
            let mut estimate = estimate(input)?;
            let schema = plan.schema();
            let known = estimate.columns.len();
            if schema.fields().len() < known {
                return None;
            }
            let added = schema.fields().iter().skip(known);
            estimate
                .columns
                .extend(added.map(|field| ColumnEstimate::of_type(field.data_type())));
            Some(estimate)
        }
        _ => None,
    }
}

/// Part of all pairs that a condition without equality leaves.
const NESTED_LOOP: f64 = 0.3;

fn of_source(plan: &Arc<dyn ExecutionPlan>) -> Option<Estimate> {
    let statistics = StatisticsContext::new()
        .compute(plan.as_ref(), &StatisticsArgs::new())
        .ok()?;
    let rows = *statistics.num_rows.get_value()? as f64;
    let columns = (0..plan.schema().fields().len()).map(|column| of_column(plan, &statistics, column, rows));
    Some(Estimate {
        rows,
        base_rows: rows,
        columns: columns.collect(),
    })
}

fn of_column(plan: &Arc<dyn ExecutionPlan>, statistics: &Statistics, column: usize, rows: f64) -> ColumnEstimate {
    let schema = plan.schema();
    let data_type = schema.field(column).data_type();
    let mut estimate = ColumnEstimate::of_type(data_type);
    let Some(known) = statistics.column_statistics.get(column) else {
        return estimate;
    };
    let value = |value: &Precision<ScalarValue>| value.get_value().and_then(number);
    estimate.range = value(&known.min_value).zip(value(&known.max_value));
    let possible = estimate.range.and_then(|range| values_in_range(data_type, range));
    estimate.distinct = match (known.distinct_count.get_value(), possible) {
        (Some(&counted), _) => Distinct::Counted(counted as f64),
        (None, Some(possible)) => Distinct::AtMost(possible.min(rows)),
        (None, None) => estimate.distinct,
    };
    if let Some(&nulls) = known.null_count.get_value() {
        estimate.nulls = (nulls as f64 / rows.max(1.0)).min(1.0);
    }
    if data_type.primitive_width().is_none()
        && let Some(&bytes) = known.byte_size.get_value()
    {
        estimate.width = (bytes as f64 / rows.max(1.0)).max(1.0);
    }
    estimate
}

fn of_filter(filter: &FilterExec) -> Option<Estimate> {
    let mut input = estimate(filter.input())?;
    input.rows *= selectivity(filter.predicate(), &input.columns);
    narrow(filter.predicate(), &mut input.columns);
    Some(projected(input, filter.projection().as_deref()))
}

fn of_projection(projection: &ProjectionExec) -> Option<Estimate> {
    let input = estimate(projection.input())?;
    let schema = projection.schema();
    let expressions = projection.expr().iter().map(|expression| &expression.expr);
    let columns = expressions.zip(schema.fields()).map(|(expression, field)| {
        let fresh = ColumnEstimate::of_type(field.data_type());
        match column_of(expression) {
            Some(column) => ColumnEstimate {
                width: fresh.width.max(input.columns[column].width),
                ..input.columns[column].clone()
            },
            None => fresh,
        }
    });
    let columns = columns.collect();
    Some(Estimate { columns, ..input })
}

fn of_aggregate(aggregate: &AggregateExec) -> Option<Estimate> {
    let input = estimate(aggregate.input())?;
    let schema = aggregate.schema();
    let groups = aggregate.group_expr();
    let fresh = |index: usize| ColumnEstimate::of_type(schema.field(index).data_type());
    let mut columns = Vec::with_capacity(schema.fields().len());
    let mut rows = 1.0;
    for (index, (expression, _)) in groups.expr().iter().enumerate() {
        let (column, distinct) = match column_of(expression) {
            Some(column) => (input.columns[column].clone(), group_values(&input, column)),
            None => (fresh(index), input.rows.sqrt()),
        };
        columns.push(column);
        rows *= distinct.max(1.0);
    }
    rows = rows.min(input.rows) * groups.groups().len().max(1) as f64;
    let group_columns = columns.len();
    columns.extend((group_columns..schema.fields().len()).map(fresh));
    let source = match aggregate.input().downcast_ref::<AggregateExec>() {
        // Of two phases, the second one's functions still speak of the first one's input.
        Some(first) => estimate(first.input())?,
        None => input,
    };
    let results = columns.iter_mut().skip(group_columns);
    for (column, function) in results.zip(aggregate.aggr_expr()) {
        column.range = result_range(function, &source, (source.rows / rows.max(1.0)).max(1.0));
    }
    Some(Estimate {
        rows,
        base_rows: rows,
        columns,
    })
}

/// How much larger than the average group the largest is taken to be.
const LARGEST_GROUP: f64 = 4.0;

/// The range of an aggregate's results over groups of `group_rows` rows on average.
fn result_range(function: &AggregateFunctionExpr, source: &Estimate, group_rows: f64) -> Option<(f64, f64)> {
    let most = group_rows * LARGEST_GROUP;
    let argument = || {
        let expressions = function.expressions();
        let column = column_of(expressions.first()?)?;
        source.columns.get(column)?.range
    };
    match function.fun().name() {
        "count" => Some((0.0, most)),
        "min" | "max" | "avg" => argument(),
        "sum" => argument().map(|(low, high)| (low.min(low * most), high.max(high * most))),
        _ => None,
    }
}

/// How many groups a column makes.
fn group_values(input: &Estimate, column: usize) -> f64 {
    match input.columns[column].distinct {
        Distinct::Unknown => input.rows.sqrt(),
        Distinct::Counted(_) | Distinct::AtMost(_) => input.distinct_now(column),
    }
}

fn with_keys((left, right): (Estimate, Estimate), on: JoinOnRef<'_>, filtered: bool, join_type: JoinType) -> Estimate {
    let mut matching = key_selectivity(&left, &right, on);
    if filtered {
        matching *= NESTED_LOOP;
    }
    pair(left, right, join_type, matching)
}

/// Part of all pairs of rows whose keys are equal.
fn key_selectivity(left: &Estimate, right: &Estimate, on: JoinOnRef<'_>) -> f64 {
    let side = |estimate: &Estimate, key: &Arc<dyn PhysicalExpr>| {
        let distinct = column_of(key).map_or(Distinct::Unknown, |column| estimate.columns[column].distinct);
        (distinct, estimate.base_rows)
    };
    let domain: f64 = on
        .iter()
        .map(|(l, r)| shared_domain([side(left, l), side(right, r)].into_iter()))
        .product();
    // Keys of several columns: there are not more combinations than rows on the side that has fewer.
    1.0 / domain.min(left.base_rows.min(right.base_rows)).max(1.0)
}

/// Two inputs joined, `matching` being the part of all pairs that match.
fn pair(left: Estimate, right: Estimate, join_type: JoinType, matching: f64) -> Estimate {
    let inner = left.rows * right.rows * matching;
    let kept = |rows: f64, other: f64| rows * (other * matching).min(1.0);
    let rows = match join_type {
        JoinType::Inner => inner,
        JoinType::Left => inner.max(left.rows),
        JoinType::Right => inner.max(right.rows),
        JoinType::Full => inner.max(left.rows + right.rows),
        JoinType::LeftSemi => kept(left.rows, right.rows),
        JoinType::RightSemi => kept(right.rows, left.rows),
        JoinType::LeftAnti => left.rows - kept(left.rows, right.rows),
        JoinType::RightAnti => right.rows - kept(right.rows, left.rows),
        JoinType::LeftMark => left.rows,
        JoinType::RightMark => right.rows,
    };
    let base_rows = rows.max(left.base_rows.min(right.base_rows));
    let mark = || ColumnEstimate::of_type(&datafusion::arrow::datatypes::DataType::Boolean);
    let columns = match join_type {
        JoinType::LeftSemi | JoinType::LeftAnti => left.columns,
        JoinType::RightSemi | JoinType::RightAnti => right.columns,
        JoinType::LeftMark => left.columns.into_iter().chain([mark()]).collect(),
        JoinType::RightMark => right.columns.into_iter().chain([mark()]).collect(),
        JoinType::Inner | JoinType::Left | JoinType::Right | JoinType::Full => {
            left.columns.into_iter().chain(right.columns).collect()
        }
    };
    Estimate {
        rows,
        base_rows,
        columns,
    }
}

fn of_union(plan: &Arc<dyn ExecutionPlan>) -> Option<Estimate> {
    let inputs = plan.children().into_iter().map(estimate).collect::<Option<Vec<_>>>()?;
    let schema = plan.schema();
    Some(Estimate {
        rows: inputs.iter().map(|input| input.rows).sum(),
        base_rows: inputs.iter().map(|input| input.base_rows).sum(),
        columns: schema
            .fields()
            .iter()
            .map(|field| ColumnEstimate::of_type(field.data_type()))
            .collect(),
    })
}

fn projected(estimate: Estimate, projection: Option<&[usize]>) -> Estimate {
    match projection {
        None => estimate,
        Some(kept) => Estimate {
            columns: kept.iter().map(|&column| estimate.columns[column].clone()).collect(),
            ..estimate
        },
    }
}
