//! Projections that compute nothing.

use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::projection::ProjectionExpr;

/// The columns that a projection passes through, if it does nothing else.
pub(crate) fn plain_columns<'a>(projection: impl IntoIterator<Item = &'a ProjectionExpr>) -> Option<Vec<usize>> {
    let column = |item: &ProjectionExpr| item.expr.downcast_ref::<Column>().map(Column::index);
    projection.into_iter().map(column).collect()
}
