//! Parts of a plan that have no wire form, as others that mean the same and have one.
//!
//! | in a statement | for the workers |
//! |---|---|
//! | `sum(x) FILTER (WHERE c) OVER (..)` | `sum(CASE WHEN c THEN x END) OVER (..)`, for aggregates that skip nulls |
//! | `lag(x) IGNORE NULLS OVER (..)` | `lag_ignore_nulls(x) OVER (..)` |
//! | `GROUP BY GROUPING SETS (())` | aggregates without groups |
//!
//! Columns keep their names. What stays as it is keeps the plan on the coordinator ([`changed_by_distribution`](super::shape::changed_by_distribution)).

use std::sync::Arc;

use datafusion::common::Column;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::error::Result;
use datafusion::execution::SessionState;
use datafusion::logical_expr::expr::{Case, NullTreatment, WindowFunction};
use datafusion::logical_expr::{
    Aggregate, Expr, GroupingSet, LogicalPlan, Projection, Window, WindowFunctionDefinition,
};
use quarry_engine::functions::ignoring_nulls;

use super::shape::changed_by_distribution;

/// Aggregates to which a row is nothing if their first argument is null.
const SKIP_NULLS: [&str; 15] = [
    "sum",
    "count",
    "avg",
    "min",
    "max",
    "stddev",
    "stddev_pop",
    "var",
    "var_pop",
    "bool_and",
    "bool_or",
    "bit_and",
    "bit_or",
    "bit_xor",
    "median",
];

/// The same plan, with all parts that can have a wire form in one.
///
/// # Errors
/// None that is expected.
pub fn portable(plan: LogicalPlan, state: &SessionState) -> Result<LogicalPlan> {
    if changed_by_distribution(&plan)?.is_none() {
        return Ok(plan);
    }
    let mut changed = false;
    let plan = plan.transform_up_with_subqueries(|node| {
        let node = match node {
            LogicalPlan::Window(window) => portable_windows(window, state)?,
            LogicalPlan::Aggregate(aggregate) if is_by_one_empty_set(&aggregate) => {
                let Aggregate { input, aggr_expr, .. } = aggregate;
                Transformed::yes(LogicalPlan::Aggregate(Aggregate::try_new(
                    input,
                    Vec::new(),
                    aggr_expr,
                )?))
            }
            other => Transformed::no(other),
        };
        // Sets of groups have a column of their own that is now gone.
        if changed && !node.transformed {
            return node.data.recompute_schema().map(Transformed::yes);
        }
        changed |= node.transformed;
        Ok(node)
    })?;
    Ok(plan.data)
}

/// Several empty sets are a row each.
fn is_by_one_empty_set(aggregate: &Aggregate) -> bool {
    let one = match aggregate.group_expr.as_slice() {
        [Expr::GroupingSet(GroupingSet::GroupingSets(sets))] => matches!(sets.as_slice(), [set] if set.is_empty()),
        _ => false,
    };
    one && !aggregate.aggr_expr.is_empty()
}

fn portable_windows(window: Window, state: &SessionState) -> Result<Transformed<LogicalPlan>> {
    let mut changed = false;
    let mut functions: Vec<Expr> = Vec::with_capacity(window.window_expr.len());
    // All columns, those of the functions under the names that they had.
    let input = window.input.schema().iter();
    let mut columns: Vec<Expr> = input.map(|field| Expr::Column(Column::from(field))).collect();
    for function in &window.window_expr {
        let portable = function.clone().transform_up(|part| {
            Ok(match part {
                Expr::WindowFunction(function) => portable_window(*function, state).update_data(Expr::from),
                other => Transformed::no(other),
            })
        })?;
        changed |= portable.transformed;
        let name = portable.data.schema_name().to_string();
        if portable.transformed && window.input.schema().has_column_with_unqualified_name(&name) {
            // The statement has the same in other words: it is left alone.
            return Ok(Transformed::no(LogicalPlan::Window(window)));
        }
        let column = Expr::Column(Column::new_unqualified(name));
        columns.push(column.alias_if_changed(function.schema_name().to_string())?);
        if !functions.contains(&portable.data) {
            functions.push(portable.data);
        }
    }
    if !changed {
        return Ok(Transformed::no(LogicalPlan::Window(window)));
    }
    // Not as aliases of the functions themselves: the optimizer takes those for other windows than the same without.
    let functions = LogicalPlan::Window(Window::try_new(functions, window.input)?);
    let named = Projection::try_new(columns, Arc::new(functions))?;
    Ok(Transformed::yes(LogicalPlan::Projection(named)))
}

fn portable_window(mut function: WindowFunction, state: &SessionState) -> Transformed<WindowFunction> {
    let params = &mut function.params;
    match &function.fun {
        WindowFunctionDefinition::AggregateUDF(aggregate) if SKIP_NULLS.contains(&aggregate.name()) => {
            let Some(first) = params.args.first_mut() else {
                return Transformed::no(function);
            };
            let Some(filter) = params.filter.take() else {
                return Transformed::no(function);
            };
            let value = std::mem::take(first);
            *first = Expr::Case(Case::new(None, vec![(filter, Box::new(value))], None));
            Transformed::yes(function)
        }
        WindowFunctionDefinition::WindowUDF(own) if params.null_treatment == Some(NullTreatment::IgnoreNulls) => {
            let Some(ignoring) = state.window_functions().get(&ignoring_nulls(own.name())) else {
                return Transformed::no(function);
            };
            params.null_treatment = None;
            function.fun = WindowFunctionDefinition::WindowUDF(Arc::clone(ignoring));
            Transformed::yes(function)
        }
        _ => Transformed::no(function),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use datafusion::arrow::util::pretty::pretty_format_batches;
    use datafusion::execution::SessionStateBuilder;
    use datafusion::prelude::SessionContext;
    use quarry_engine::functions::register_functions;

    use super::*;

    async fn context() -> SessionContext {
        let mut state = SessionStateBuilder::new().with_default_features().build();
        register_functions(&mut state).unwrap();
        let context = SessionContext::new_with_state(state);
        for sql in [
            "create table t as values (1, 10, 'a'), (2, null, 'b'), (3, 30, 'a'), (4, null, 'b'), (5, 50, 'a')",
            "create table none as select * from t where false",
        ] {
            context.sql(sql).await.unwrap().collect().await.unwrap();
        }
        context
    }

    async fn rows(context: &SessionContext, plan: LogicalPlan) -> String {
        let batches = context
            .execute_logical_plan(plan)
            .await
            .unwrap()
            .collect()
            .await
            .unwrap();
        pretty_format_batches(&batches).unwrap().to_string()
    }

    #[tokio::test]
    async fn what_becomes_portable_means_the_same() {
        let context = context().await;
        for sql in [
            "select column1, sum(column2) filter (where column3 = 'a') over (order by column1) from t order by 1",
            "select column1, count(*) filter (where column1 > 2) over (partition by column3) as n from t order by 1",
            "select column1, count(distinct column2) filter (where column1 <> 5) over () from t order by 1",
            "select column1, avg(column2) filter (where column2 > 10) over (order by column1 rows between 2 preceding and current row) \
             from t order by 1",
            "select column1, lag(column2) ignore nulls over (order by column1), lead(column2, 1, -1) ignore nulls over (order by column1) \
             from t order by 1",
            "select column1, first_value(column2) ignore nulls over (order by column1 desc) + 1 as f, rank() over (order by column3) \
             from t order by 1",
            "select column1 from t qualify min(column1) filter (where column2 is null) over (partition by column3) is null order by 1",
            "select lag(column3) over (order by nullif(column2, column2), column1) from t \
             qualify first_value(column2) ignore nulls over (order by nullif(column2, column2), column1) > 4 order by 1",
            "select column1, sum(column2) filter (where column1 > 2) over () as a, \
             sum(case when column1 > 2 then column2 end) over () as b from t order by 1",
            "select column1 from t where column1 in (select max(column1) filter (where column2 > 10) over () from t)",
            "select count(*), sum(column2) from t group by grouping sets (())",
            "select count(*) + 1 as n, max(column3) from t group by grouping sets (()) having count(*) > 1",
            "select * from (select count(*) as n from t group by grouping sets (())) u where n = 5 order by n limit 2",
        ] {
            let plan = context.state().create_logical_plan(sql).await.unwrap();
            let portable = portable(plan.clone(), &context.state()).unwrap();
            assert_eq!(changed_by_distribution(&portable).unwrap(), None, "{sql}\n{portable}");
            assert_eq!(portable.schema().inner(), plan.schema().inner(), "{sql}");
            assert_eq!(rows(&context, portable).await, rows(&context, plan).await, "{sql}");
        }
    }

    /// By SQL's meaning: where there are no rows to group, an empty set still makes its row.
    #[tokio::test]
    async fn an_empty_set_has_a_row_of_no_rows() {
        let context = context().await;
        let sql = "select count(*) as n, sum(column2) as s from none group by grouping sets (())";
        let plan = context.state().create_logical_plan(sql).await.unwrap();
        let found = rows(&context, portable(plan, &context.state()).unwrap()).await;
        assert_eq!(found.matches("| 0 |   |").count(), 1, "{found}");
    }

    #[tokio::test]
    async fn the_rest_stays() {
        let context = context().await;
        for sql in [
            "select array_agg(column1) filter (where column2 > 1) over (order by column1) from t",
            "select first_value(column2) filter (where column2 > 1) over (order by column1) from t",
            "select 1 from t group by grouping sets (())",
            "select count(*) from t group by grouping sets ((), ())",
        ] {
            let Ok(plan) = context.state().create_logical_plan(sql).await else {
                continue;
            };
            let same = portable(plan.clone(), &context.state()).unwrap();
            assert!(changed_by_distribution(&same).unwrap().is_some(), "{sql}");
            assert_eq!(same.schema(), plan.schema(), "{sql}");
        }
    }
}
