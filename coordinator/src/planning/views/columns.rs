//! Expressions over strings, said over views of them.

use std::sync::Arc;

use datafusion::arrow::datatypes::Schema;
use datafusion::common::ScalarValue;
use datafusion::error::Result;
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{
    BinaryExpr, Column, InListExpr, IsNotNullExpr, IsNullExpr, LikeExpr, Literal, NotExpr,
};
use datafusion::physical_expr::utils::collect_columns;

use super::Positions;

/// The columns that an expression reads.
pub(super) fn columns_of(expression: &Arc<dyn PhysicalExpr>) -> Vec<usize> {
    collect_columns(expression).iter().map(Column::index).collect()
}

/// Adds the columns to `found` that must stay strings for `expression` to mean what it means: all but those that are compared with constants.
pub(super) fn pinned(expression: &Arc<dyn PhysicalExpr>, found: &mut Positions) {
    if compares_column(expression) {
        return;
    }
    if is_connective(expression) {
        for part in expression.children() {
            pinned(part, found);
        }
        return;
    }
    found.extend(columns_of(expression));
}

/// The expression with constants of the type of the columns they are compared with, `views` being those that changed.
pub(super) fn as_views(
    expression: &Arc<dyn PhysicalExpr>,
    views: &Positions,
    schema: &Schema,
) -> Result<Arc<dyn PhysicalExpr>> {
    if compares_column(expression) {
        if !columns_of(expression).iter().any(|column| views.contains(column)) {
            return Ok(Arc::clone(expression));
        }
        return compared_as_views(expression, schema);
    }
    if !is_connective(expression) {
        return Ok(Arc::clone(expression));
    }
    let parts = expression.children().into_iter();
    let parts = parts
        .map(|part| as_views(part, views, schema))
        .collect::<Result<Vec<_>>>()?;
    Arc::clone(expression).with_new_children(parts)
}

fn compared_as_views(expression: &Arc<dyn PhysicalExpr>, schema: &Schema) -> Result<Arc<dyn PhysicalExpr>> {
    if let Some(list) = expression.downcast_ref::<InListExpr>() {
        let values = list.list().iter().map(view_constant).collect();
        let list = InListExpr::try_new(Arc::clone(list.expr()), values, list.negated(), schema)?;
        return Ok(Arc::new(list));
    }
    let parts = expression.children().into_iter().map(view_constant).collect();
    Arc::clone(expression).with_new_children(parts)
}

/// AND, OR, NOT: they pass on what their parts say.
fn is_connective(expression: &Arc<dyn PhysicalExpr>) -> bool {
    let joins = |binary: &BinaryExpr| matches!(binary.op(), Operator::And | Operator::Or);
    expression.is::<NotExpr>() || expression.downcast_ref::<BinaryExpr>().is_some_and(joins)
}

/// Whether an expression is a column beside constants, in a form that is there for views, too.
fn compares_column(expression: &Arc<dyn PhysicalExpr>) -> bool {
    if expression.is::<IsNullExpr>() || expression.is::<IsNotNullExpr>() {
        return expression.children().into_iter().all(|part| part.is::<Column>());
    }
    if let Some(binary) = expression.downcast_ref::<BinaryExpr>() {
        let sides = [binary.left(), binary.right()];
        return is_comparison(*binary.op()) && (is_pair(sides) || is_pair([sides[1], sides[0]]));
    }
    if let Some(like) = expression.downcast_ref::<LikeExpr>() {
        return is_pair([like.expr(), like.pattern()]);
    }
    if let Some(list) = expression.downcast_ref::<InListExpr>() {
        return list.expr().is::<Column>() && list.list().iter().all(is_constant);
    }
    false
}

fn is_comparison(operator: Operator) -> bool {
    use Operator::{Eq, Gt, GtEq, IsDistinctFrom, IsNotDistinctFrom, Lt, LtEq, NotEq};
    matches!(
        operator,
        Eq | NotEq | Lt | LtEq | Gt | GtEq | IsDistinctFrom | IsNotDistinctFrom
    )
}

fn is_pair([column, constant]: [&Arc<dyn PhysicalExpr>; 2]) -> bool {
    column.is::<Column>() && is_constant(constant)
}

fn is_constant(expression: &Arc<dyn PhysicalExpr>) -> bool {
    expression.is::<Literal>()
}

fn view_constant(expression: &Arc<dyn PhysicalExpr>) -> Arc<dyn PhysicalExpr> {
    match expression.downcast_ref::<Literal>().map(Literal::value) {
        Some(ScalarValue::Utf8(text)) => Arc::new(Literal::new(ScalarValue::Utf8View(text.clone()))),
        _ => Arc::clone(expression),
    }
}
