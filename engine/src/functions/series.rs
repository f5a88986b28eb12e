//! `generate_series` and `range` in FROM, with a cap on their rows. The rows are made one batch after the other: they cost no memory, but time.

use std::sync::Arc;

use datafusion::catalog::{TableFunction, TableFunctionArgs, TableFunctionImpl, TableProvider};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{ColumnarValue, Expr};

use super::caps;
use super::sizes::Size;

/// Bytes that [`Size::Range`] takes for an element.
const ELEMENT: u128 = 8;

/// A table function with its rows counted first.
#[derive(Debug)]
pub(super) struct CappedSeries {
    name: &'static str,
    own: Arc<TableFunction>,
}

impl CappedSeries {
    pub(super) fn new(name: &'static str, own: Arc<TableFunction>) -> Self {
        Self { name, own }
    }
}

impl TableFunctionImpl for CappedSeries {
    fn call_with_args(&self, args: TableFunctionArgs) -> Result<Arc<dyn TableProvider>> {
        let limit = caps(args.session().config_options()).series_rows;
        let rows = rows(args.exprs())?;
        if rows > u128::from(limit) {
            return Err(DataFusionError::ResourcesExhausted(format!(
                "{} would make {rows} rows, the limit is {limit}; `limits.series_rows` in the coordinator's configuration moves it",
                self.name
            )));
        }
        self.own.function().call_with_args(args)
    }
}

/// Rows of a series with these bounds; none if they are not constants, which the function refuses by itself.
fn rows(bounds: &[Expr]) -> Result<u128> {
    let constants = bounds.iter().map(|bound| match bound {
        Expr::Literal(value, _) => Some(ColumnarValue::Scalar(value.clone())),
        _ => None,
    });
    match constants.collect::<Option<Vec<_>>>() {
        Some(constants) => Ok(Size::Range.of(&constants, 1)? / ELEMENT),
        None => Ok(0),
    }
}
