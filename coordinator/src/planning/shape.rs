//! What a plan is like: how much it reads, whether it may be distributed, whether it fits through the wire.

use std::sync::Arc;

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::error::Result;
use datafusion::logical_expr::expr::{NullTreatment, WindowFunction};
use datafusion::logical_expr::{Aggregate, Expr, FetchType, GroupingSet, LogicalPlan, WindowFunctionDefinition};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::BinaryExpr;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::recursive_query::RecursiveQueryExec;
use quarry_engine::formats::reading::file_scan;

use super::splits::bytes_until_limit;

/// Bytes that all scans of a plan are expected to read.
#[must_use]
pub fn plan_bytes(plan: &Arc<dyn ExecutionPlan>) -> u64 {
    let own = file_scan(plan).map_or(0, bytes_until_limit);
    own + plan.children().into_iter().map(plan_bytes).sum::<u64>()
}

/// How many scans of files a plan has.
#[must_use]
pub fn scans(plan: &Arc<dyn ExecutionPlan>) -> u64 {
    let own = u64::from(file_scan(plan).is_some());
    own + plan.children().into_iter().map(scans).sum::<u64>()
}

/// Whether a plan contains a recursive query. Its recursive part is executed once per step, a stage on workers only once.
#[must_use]
pub fn is_recursive(plan: &Arc<dyn ExecutionPlan>) -> bool {
    plan.is::<RecursiveQueryExec>() || plan.children().into_iter().any(is_recursive)
}

/// Deepest nesting that travels. Each level of operators or expressions takes two levels of messages, and protobuf's decoder
/// refuses more than 100; the rest is for what surrounds a plan.
const MAX_WIRE_DEPTH: usize = 42;

/// Whether a plan is flat enough to be sent to a worker. Operators for which `ends` holds are sent without their inputs.
#[must_use]
pub fn fits_the_wire(plan: &Arc<dyn ExecutionPlan>, ends: &dyn Fn(&Arc<dyn ExecutionPlan>) -> bool) -> bool {
    plan_depth(plan, ends) <= MAX_WIRE_DEPTH
}

fn plan_depth(plan: &Arc<dyn ExecutionPlan>, ends: &dyn Fn(&Arc<dyn ExecutionPlan>) -> bool) -> usize {
    let inputs = if ends(plan) { Vec::new() } else { plan.children() };
    let mut below = inputs
        .into_iter()
        .map(|input| plan_depth(input, ends))
        .max()
        .unwrap_or(0);
    // The visitor never fails: it only looks.
    let _ = plan.apply_expressions(&mut |expression| {
        below = below.max(expression_depth(expression));
        Ok(TreeNodeRecursion::Continue)
    });
    1 + below
}

fn expression_depth(expression: &Arc<dyn PhysicalExpr>) -> usize {
    // A chain of one operator (a AND b AND c ...) is flattened on the wire.
    if let Some(operator) = operator_of(expression) {
        let mut deepest = 0;
        let mut links = vec![Arc::clone(expression)];
        while let Some(link) = links.pop() {
            for child in link.children() {
                if operator_of(child) == Some(operator) {
                    links.push(Arc::clone(child));
                } else {
                    deepest = deepest.max(expression_depth(child));
                }
            }
        }
        return 1 + deepest;
    }
    1 + expression
        .children()
        .into_iter()
        .map(expression_depth)
        .max()
        .unwrap_or(0)
}

fn operator_of(expression: &Arc<dyn PhysicalExpr>) -> Option<datafusion::logical_expr::Operator> {
    expression.downcast_ref::<BinaryExpr>().map(|binary| *binary.op())
}

/// Whether a logical plan's scalar subqueries allow it to be distributed.
///
/// Distribution needs them rewritten to joins, and that rewrite neither notices a subquery that returns several rows, nor
/// handles one in ORDER BY, in a join's condition or in an aggregate's arguments. Such plans run on the coordinator,
/// where a subquery is executed as one.
///
/// # Errors
/// If the plan cannot be walked.
pub fn subqueries_allow_distribution(plan: &LogicalPlan) -> Result<bool> {
    let mut allowed = true;
    plan.apply_with_subqueries(|node| {
        let unsupported_place = matches!(
            node,
            LogicalPlan::Sort(_) | LogicalPlan::Join(_) | LogicalPlan::Aggregate(_)
        );
        node.apply_expressions(|expression| {
            expression.apply(|part| {
                if let Expr::ScalarSubquery(subquery) = part
                    && subquery.outer_ref_columns.is_empty()
                    && (unsupported_place || !returns_one_row(&subquery.subquery))
                {
                    allowed = false;
                    return Ok(TreeNodeRecursion::Stop);
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })?;
        Ok(if allowed {
            TreeNodeRecursion::Continue
        } else {
            TreeNodeRecursion::Stop
        })
    })?;
    Ok(allowed)
}

/// Why a plan would mean something else on workers, if so.
///
/// A plan's wire form has no place for the condition of a window function nor for its IGNORE NULLS, and grouping sets of nothing but empty sets have no key by which
/// their partial results could find each other: they would give no row. Most such plans have been made [portable](super::portable) before.
///
/// # Errors
/// If the plan cannot be walked.
pub fn changed_by_distribution(plan: &LogicalPlan) -> Result<Option<&'static str>> {
    let mut reason = None;
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::Aggregate(aggregate) = node
            && all_sets_empty(aggregate)
        {
            reason = Some("its grouping sets are all empty");
        }
        node.apply_expressions(|expression| {
            expression.apply(|part| {
                if let Expr::WindowFunction(window) = part {
                    reason = reason.or(changed_window(window));
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })?;
        Ok(if reason.is_none() {
            TreeNodeRecursion::Continue
        } else {
            TreeNodeRecursion::Stop
        })
    })?;
    Ok(reason)
}

/// Whether rows are grouped by sets without a single column.
fn all_sets_empty(aggregate: &Aggregate) -> bool {
    match aggregate.group_expr.as_slice() {
        [Expr::GroupingSet(GroupingSet::GroupingSets(sets))] => sets.iter().all(Vec::is_empty),
        _ => false,
    }
}

fn changed_window(window: &WindowFunction) -> Option<&'static str> {
    if window.params.filter.is_some() {
        return Some("a window function has a FILTER");
    }
    // Aggregates over windows say it on the wire.
    let ignores_nulls = window.params.null_treatment == Some(NullTreatment::IgnoreNulls);
    let is_own = matches!(window.fun, WindowFunctionDefinition::WindowUDF(_));
    (is_own && ignores_nulls).then_some("a window function ignores nulls")
}

/// Whether a plan returns at most one row, whatever the data.
fn returns_one_row(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Aggregate(aggregate) => aggregate.group_expr.is_empty(),
        LogicalPlan::EmptyRelation(_) => true,
        LogicalPlan::Values(values) => values.values.len() <= 1,
        LogicalPlan::Limit(limit) => {
            let fetch = limit.get_fetch_type();
            matches!(fetch, Ok(FetchType::Literal(Some(0 | 1)))) || returns_one_row(&limit.input)
        }
        LogicalPlan::Projection(projection) => returns_one_row(&projection.input),
        LogicalPlan::SubqueryAlias(alias) => returns_one_row(&alias.input),
        LogicalPlan::Filter(filter) => returns_one_row(&filter.input),
        LogicalPlan::Sort(sort) => returns_one_row(&sort.input),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use datafusion::physical_expr::expressions::{lit, not};
    use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
    use datafusion::physical_plan::projection::ProjectionExec;
    use datafusion::prelude::SessionContext;

    use super::*;

    async fn logical(sql: &str) -> LogicalPlan {
        let context = SessionContext::new();
        context
            .sql("create table t as values (1, 2), (3, 4)")
            .await
            .unwrap()
            .collect()
            .await
            .unwrap();
        context.state().create_logical_plan(sql).await.unwrap()
    }

    #[tokio::test]
    async fn subqueries_that_surely_return_one_row_may_be_distributed() {
        for sql in [
            "select * from t where column1 > (select avg(column2) from t)",
            "select (select max(column2) + 1 from t), column1 from t",
            "select * from t where column1 = (select column2 from t limit 1)",
            "select column1 from t group by column1 having sum(column2) > (select 0.5 * sum(column2) from t)",
            // Correlated ones are joins in any case.
            "select * from t a where column1 > (select avg(column2) from t b where a.column1 = b.column1)",
        ] {
            assert!(subqueries_allow_distribution(&logical(sql).await).unwrap(), "{sql}");
        }
    }

    #[tokio::test]
    async fn what_the_wire_would_change_is_noticed() {
        for sql in [
            "select sum(column1) filter (where column2 > 2) over (partition by column2) from t",
            "select * from t where column1 in (select sum(column1) filter (where column2 > 2) over () from t)",
            "select lag(column1) ignore nulls over (order by column2) from t",
            "select count(*) from t group by grouping sets ((), ())",
        ] {
            assert!(changed_by_distribution(&logical(sql).await).unwrap().is_some(), "{sql}");
        }
        for sql in [
            "select sum(column1) filter (where column2 > 2) from t",
            "select sum(column1) over (partition by column2) from t",
            "select count(*) from t group by grouping sets ((column1), ())",
        ] {
            assert_eq!(changed_by_distribution(&logical(sql).await).unwrap(), None, "{sql}");
        }
    }

    #[tokio::test]
    async fn other_subqueries_may_not() {
        for sql in [
            "select * from t where column1 = (select column2 from t)",
            "select * from t where column1 = (select max(column2) from t group by column1)",
            "select * from t order by (select max(column2) from t) - column1",
            "select sum(column1 + (select max(column2) from t)) from t",
            "select * from t where column1 in (select column1 from t where column2 = (select column1 from t))",
        ] {
            assert!(!subqueries_allow_distribution(&logical(sql).await).unwrap(), "{sql}");
        }
    }

    #[tokio::test]
    async fn recursion_is_seen_wherever_it_is() {
        let context = SessionContext::new();
        let recursive =
            "with recursive r as (select 1 as n union all select n + 1 from r where n < 3) select sum(n) from r";
        for (sql, expected) in [(recursive, true), ("select sum(value) from range(1, 3)", false)] {
            let plan = context.sql(sql).await.unwrap().create_physical_plan().await.unwrap();
            assert_eq!(is_recursive(&plan), expected, "{sql}");
        }
    }

    #[tokio::test]
    async fn deep_expressions_stay_chains_travel() {
        let chain: Vec<String> = (0..200).map(|number| format!("a <> {number}")).collect();
        let sql = format!("select a from generate_series(1, 3) t(a) where {}", chain.join(" and "));
        let plan = SessionContext::new()
            .sql(&sql)
            .await
            .unwrap()
            .create_physical_plan()
            .await
            .unwrap();
        let never = |_: &Arc<dyn ExecutionPlan>| false;
        assert!(fits_the_wire(&plan, &never));
        let mut deep = lit(true);
        for _ in 0..MAX_WIRE_DEPTH {
            deep = not(deep).unwrap();
        }
        let projected = ProjectionExec::try_new([(deep, "deep".to_owned())], plan).unwrap();
        let projected: Arc<dyn ExecutionPlan> = Arc::new(projected);
        assert!(!fits_the_wire(&projected, &never));
        // Where a stage ends, depth begins anew.
        let above: Arc<dyn ExecutionPlan> = Arc::new(CoalescePartitionsExec::new(projected));
        assert!(fits_the_wire(&above, &|node| node.is::<CoalescePartitionsExec>()));
    }
}
