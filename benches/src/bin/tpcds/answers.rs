//! Whether Quarry's answer is right, beside plain DataFusion's.
//!
//! Most queries end with `ORDER BY .. LIMIT 100`, and their keys do not tell all rows apart: which of the rows that tie at the limit are in the
//! answer is the engine's choice. So if two answers differ:
//!
//! 1. They must have the same number of rows and the same keys, row for row.
//! 2. Every row of both must be, as often as it occurs, in plain DataFusion's answer to the query without its limit.

use std::collections::HashMap;
use std::sync::Arc;

use anyhow::{Context, Result};
use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::logical_expr::{Expr, LogicalPlan, Sort};
use quarry::demo::compare;
use quarry_benches::peer::Peer;

/// What a query says of the order and the number of its rows.
pub(crate) struct Shape {
    /// Columns of the answer that its rows are ordered by, up to the first key that is none of them.
    order_by: Vec<usize>,
    /// The query without its limit, if it has one.
    without_limit: Option<LogicalPlan>,
}

/// How two answers compare.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// They are the same.
    Same,
    /// They differ in rows that tie at the limit, and both are right.
    SameUpToTies,
    /// They differ.
    Different(String),
}

impl Shape {
    /// Takes a query's plan apart.
    pub(crate) fn of(plan: LogicalPlan) -> Self {
        match plan {
            LogicalPlan::Limit(limit) => Self {
                order_by: order_by(&limit.input),
                without_limit: Some(Arc::unwrap_or_clone(limit.input)),
            },
            plan => Self {
                order_by: order_by(&plan),
                without_limit: None,
            },
        }
    }

    /// Compares `actual` with `expected`, which `peer` gave.
    ///
    /// # Errors
    /// The peer failed without the limit, or a value has no text form.
    pub(crate) async fn judge(&self, peer: &Peer, expected: &[RecordBatch], actual: &[RecordBatch]) -> Result<Verdict> {
        let Some(difference) = compare(expected, actual, &self.order_by)? else {
            return Ok(Verdict::Same);
        };
        let different = Ok(Verdict::Different(difference.to_string()));
        let Some(plan) = &self.without_limit else {
            return different;
        };
        if !self.same_keys(expected, actual)? {
            return different;
        }
        let all = peer
            .run_plan(plan.clone())
            .await
            .context("plain DataFusion without the limit")?;
        let all = Rows::of(&all)?;
        if all.contain(&Rows::of(expected)?) && all.contain(&Rows::of(actual)?) {
            return Ok(Verdict::SameUpToTies);
        }
        different
    }

    fn same_keys(&self, expected: &[RecordBatch], actual: &[RecordBatch]) -> Result<bool> {
        let keys = |batches: &[RecordBatch]| batches.iter().map(|batch| batch.project(&self.order_by)).collect();
        let (expected, actual): (Result<Vec<_>, _>, Result<Vec<_>, _>) = (keys(expected), keys(actual));
        let all: Vec<_> = (0..self.order_by.len()).collect();
        Ok(compare(&expected?, &actual?, &all)?.is_none())
    }
}

/// Positions of the keys of a plan's last sort.
fn order_by(plan: &LogicalPlan) -> Vec<usize> {
    match plan {
        LogicalPlan::Sort(sort) => keys(sort, |key| {
            let Expr::Column(column) = key else { return None };
            sort.input.schema().maybe_index_of_column(column)
        }),
        // Keys that are not in the answer are projected away after the sort.
        LogicalPlan::Projection(projection) => match projection.input.as_ref() {
            LogicalPlan::Sort(sort) => keys(sort, |key| projection.expr.iter().position(|expr| expr == key)),
            _ => Vec::new(),
        },
        _ => Vec::new(),
    }
}

/// Keys behind one that is not in the answer say nothing about the order of the rows.
fn keys(sort: &Sort, position: impl Fn(&Expr) -> Option<usize>) -> Vec<usize> {
    sort.expr.iter().map_while(|key| position(&key.expr)).collect()
}

/// Rows of an answer as texts, and how often each occurs.
struct Rows(HashMap<Vec<String>, usize>);

impl Rows {
    fn of(batches: &[RecordBatch]) -> Result<Self> {
        let mut rows = HashMap::new();
        for batch in batches {
            let columns = batch.columns().iter().map(cells).collect::<Result<Vec<_>>>()?;
            for row in 0..batch.num_rows() {
                let row = columns.iter().map(|column| column[row].clone()).collect();
                *rows.entry(row).or_default() += 1;
            }
        }
        Ok(Self(rows))
    }

    /// Whether all rows of `some` are here, too.
    fn contain(&self, some: &Self) -> bool {
        some.0
            .iter()
            .all(|(row, count)| self.0.get(row).is_some_and(|all| all >= count))
    }
}

/// Texts of a column's cells. Floating-point numbers are rounded: their sums depend on the order of addition.
fn cells(column: &ArrayRef) -> Result<Vec<String>> {
    if column.data_type().is_floating() {
        let numbers = cast(column, &DataType::Float64)?;
        let text = |cell: Option<f64>| cell.map_or_else(|| "NULL".to_owned(), |number| format!("{number:.8e}"));
        return Ok(numbers.as_primitive::<Float64Type>().iter().map(text).collect());
    }
    let options = FormatOptions::default().with_null("NULL");
    let formatter = ArrayFormatter::try_new(column, &options)?;
    (0..column.len())
        .map(|row| Ok(formatter.value(row).try_to_string()?))
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::path::Path;

    use tokio::runtime::Handle;

    use super::*;

    async fn peer() -> Peer {
        Peer::open(Path::new("/"), [], 2, Handle::current()).await.unwrap()
    }

    const TABLE: &str = "(VALUES ('a', 1, 0.5), ('b', 1, 1.5), ('c', 2, 2.5), ('d', 2, 3.5)) AS t (name, key, number)";

    /// The verdict on the answer to `actual`, where `asked` was asked.
    async fn verdict(asked: &str, actual: &str) -> Verdict {
        let peer = peer().await;
        let (asked, actual) = (asked.replace("TABLE", TABLE), actual.replace("TABLE", TABLE));
        let shape = Shape::of(peer.plan(&asked).await.unwrap());
        let (_, expected) = peer.run(asked).await.unwrap();
        let (_, actual) = peer.run(actual).await.unwrap();
        shape.judge(&peer, &expected, &actual).await.unwrap()
    }

    #[tokio::test]
    async fn rows_that_tie_at_the_limit_may_be_others() {
        let asked = "SELECT name, key, number FROM TABLE ORDER BY key, name LIMIT 3";
        let other = "SELECT name, key, number FROM TABLE WHERE name <> 'c' ORDER BY key, name";
        assert!(matches!(verdict(asked, other).await, Verdict::Different(_)));
        let asked = "SELECT name, key, number FROM TABLE ORDER BY key LIMIT 3";
        assert_eq!(verdict(asked, other).await, Verdict::SameUpToTies);
        assert_eq!(verdict(asked, asked).await, Verdict::Same);
    }

    #[tokio::test]
    async fn rows_at_the_limit_must_be_rows_of_the_answer_without_it() {
        let asked = "SELECT name, key FROM TABLE ORDER BY key LIMIT 3";
        let made_up = "SELECT replace(name, 'c', 'x') AS name, key FROM TABLE WHERE name <> 'd' ORDER BY key";
        let twice = "SELECT replace(name, 'b', 'a') AS name, key FROM TABLE WHERE name <> 'd' ORDER BY key";
        let (made_up, twice) = (verdict(asked, made_up).await, verdict(asked, twice).await);
        assert!(matches!(twice, Verdict::Different(_)), "{twice:?}");
        assert!(matches!(made_up, Verdict::Different(_)), "{made_up:?}");
    }

    #[tokio::test]
    async fn a_missing_row_and_a_wrong_order_are_seen() {
        let asked = "SELECT name, key FROM TABLE ORDER BY name LIMIT 3";
        let fewer = "SELECT name, key FROM TABLE ORDER BY name LIMIT 2";
        let reversed = "SELECT name, key FROM TABLE WHERE name < 'd' ORDER BY name DESC";
        assert!(matches!(verdict(asked, fewer).await, Verdict::Different(_)));
        assert!(matches!(verdict(asked, reversed).await, Verdict::Different(_)));
    }

    #[tokio::test]
    async fn keys_are_found_until_one_is_not_in_the_answer() {
        let peer = peer().await;
        for (order, expected) in [
            ("key, name", vec![1, 0]),
            ("2, number, 1", vec![1]),
            ("number", vec![]),
            ("key DESC, CASE WHEN key = 1 THEN name END, name", vec![1]),
        ] {
            let sql = format!("SELECT name, key FROM {TABLE} ORDER BY {order} LIMIT 3");
            let shape = Shape::of(peer.plan(&sql).await.unwrap());
            assert_eq!(shape.order_by, expected, "{order}");
            assert!(shape.without_limit.is_some());
        }
    }
}
