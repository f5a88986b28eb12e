//! How many grouping sets a `GROUP BY` asks for: `CUBE` doubles them with each column, and the planner writes all of them out.

use datafusion::sql::sqlparser::ast::{Expr, GroupByExpr, GroupByWithModifier};

/// Grouping sets of `group_by`: elements multiply each other.
pub(super) fn grouping_sets(group_by: &GroupByExpr) -> u64 {
    let (columns, elements, modifiers) = match group_by {
        GroupByExpr::All(modifiers) => (0, 1, modifiers),
        GroupByExpr::Expressions(expressions, modifiers) => (
            expressions.len(),
            expressions.iter().map(of_element).fold(1, u64::saturating_mul),
            modifiers,
        ),
    };
    let of_modifier = |modifier: &GroupByWithModifier| match modifier {
        GroupByWithModifier::Cube => cube(columns),
        GroupByWithModifier::Rollup => rollup(columns),
        GroupByWithModifier::GroupingSets(sets) => of_element(sets),
        GroupByWithModifier::Totals => 1,
    };
    modifiers.iter().map(of_modifier).fold(elements, u64::saturating_mul)
}

fn of_element(element: &Expr) -> u64 {
    match element {
        Expr::Cube(columns) => cube(columns.len()),
        Expr::Rollup(columns) => rollup(columns.len()),
        Expr::GroupingSets(sets) => sets.len() as u64,
        _ => 1,
    }
}

fn cube(columns: usize) -> u64 {
    u32::try_from(columns)
        .ok()
        .and_then(|columns| 1_u64.checked_shl(columns))
        .unwrap_or(u64::MAX)
}

fn rollup(columns: usize) -> u64 {
    columns as u64 + 1
}
