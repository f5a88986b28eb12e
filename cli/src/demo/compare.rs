//! Whether two results are the same: the same rows any number of times, in the order that was asked for.
//!
//! Everything is compared exactly except floating-point numbers, whose sums depend on the order of addition.
//! Rows that tie in the ORDER BY columns may come in any order, so the order check looks at these columns only.

use std::cmp::Ordering;
use std::fmt;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type};
use arrow::error::ArrowError;
use arrow::util::display::{ArrayFormatter, FormatOptions};

/// Floating-point numbers may differ by this part of the larger one.
const RELATIVE_TOLERANCE: f64 = 1e-9;

/// How two results differ first.
#[derive(Debug, PartialEq, Eq)]
pub enum Difference {
    /// Their columns have different names or number.
    Columns {
        /// The right ones.
        expected: Vec<String>,
        /// The ones found.
        actual: Vec<String>,
    },
    /// They have different numbers of rows.
    RowCount {
        /// The right number.
        expected: usize,
        /// The one found.
        actual: usize,
    },
    /// A row of one has no equal in the other.
    Row {
        /// The row of the right result at this place, in sorted order.
        expected: String,
        /// The row found.
        actual: String,
    },
    /// The rows are the same, the order is not.
    Order {
        /// Position of the first row with other keys, from 0.
        at: usize,
    },
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Columns { expected, actual } => write!(f, "columns are {actual:?}, expected {expected:?}"),
            Self::RowCount { expected, actual } => write!(f, "{actual} rows, expected {expected}"),
            Self::Row { expected, actual } => write!(f, "found row {actual}, expected {expected}"),
            Self::Order { at } => write!(f, "the rows are right, but out of order from row {} on", at + 1),
        }
    }
}

/// A value as it is compared.
#[derive(Debug, Clone)]
enum Cell {
    Null,
    Number(f64),
    Exact(String),
}

impl Cell {
    fn same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Number(a), Self::Number(b)) => close(*a, *b),
            (Self::Exact(a), Self::Exact(b)) => a == b,
            _ => false,
        }
    }
}

fn close(a: f64, b: f64) -> bool {
    a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= RELATIVE_TOLERANCE * a.abs().max(b.abs())
}

/// Compares `actual` with the right result `expected`; `order_by` names the columns whose order counts.
///
/// # Errors
/// A value that has no text form.
pub fn compare(
    expected: &[RecordBatch],
    actual: &[RecordBatch],
    order_by: &[usize],
) -> Result<Option<Difference>, ArrowError> {
    let (expected_rows, actual_rows) = (rows(expected)?, rows(actual)?);
    if expected_rows.len() != actual_rows.len() {
        return Ok(Some(Difference::RowCount {
            expected: expected_rows.len(),
            actual: actual_rows.len(),
        }));
    }
    let (expected_names, actual_names) = (names(expected), names(actual));
    if !expected_rows.is_empty() && expected_names != actual_names {
        return Ok(Some(Difference::Columns {
            expected: expected_names,
            actual: actual_names,
        }));
    }
    Ok(row_difference(&expected_rows, &actual_rows)
        .or_else(|| order_difference(&expected_rows, &actual_rows, order_by)))
}

fn names(batches: &[RecordBatch]) -> Vec<String> {
    let fields = batches.first().map(|batch| batch.schema().fields().clone());
    fields
        .map(|fields| fields.iter().map(|field| field.name().clone()).collect())
        .unwrap_or_default()
}

fn row_difference(expected: &[Vec<Cell>], actual: &[Vec<Cell>]) -> Option<Difference> {
    let (expected, actual) = (sorted(expected), sorted(actual));
    let same = |(a, b): &(&&Vec<Cell>, &&Vec<Cell>)| a.iter().zip(b.iter()).all(|(a, b)| a.same(b));
    let (expected, actual) = expected.iter().zip(actual.iter()).find(|pair| !same(pair))?;
    Some(Difference::Row {
        expected: text(expected),
        actual: text(actual),
    })
}

fn order_difference(expected: &[Vec<Cell>], actual: &[Vec<Cell>], order_by: &[usize]) -> Option<Difference> {
    let same = |(a, b): (&Vec<Cell>, &Vec<Cell>)| order_by.iter().all(|key| a[*key].same(&b[*key]));
    let at = expected.iter().zip(actual).position(|pair| !same(pair))?;
    Some(Difference::Order { at })
}

/// Exact cells decide before numbers, so that rounding does not pair the wrong rows.
fn sorted(rows: &[Vec<Cell>]) -> Vec<&Vec<Cell>> {
    let mut sorted: Vec<_> = rows.iter().collect();
    sorted.sort_by(|a, b| by_exact_cells(a, b).then_with(|| by_numbers(a, b)));
    sorted
}

fn by_exact_cells(a: &[Cell], b: &[Cell]) -> Ordering {
    let key = |cell: &Cell| match cell {
        Cell::Null => (0, String::new()),
        Cell::Number(_) => (1, String::new()),
        Cell::Exact(text) => (2, text.clone()),
    };
    a.iter().map(key).cmp(b.iter().map(key))
}

fn by_numbers(a: &[Cell], b: &[Cell]) -> Ordering {
    let pairs = a.iter().zip(b).filter_map(|pair| match pair {
        (Cell::Number(a), Cell::Number(b)) => Some(a.total_cmp(b)),
        _ => None,
    });
    pairs.fold(Ordering::Equal, Ordering::then)
}

fn text(row: &[Cell]) -> String {
    let cell = |cell: &Cell| match cell {
        Cell::Null => "NULL".to_owned(),
        Cell::Number(number) => number.to_string(),
        Cell::Exact(text) => text.clone(),
    };
    format!("({})", row.iter().map(cell).collect::<Vec<_>>().join(", "))
}

fn rows(batches: &[RecordBatch]) -> Result<Vec<Vec<Cell>>, ArrowError> {
    let mut rows = Vec::new();
    for batch in batches {
        let columns = batch
            .columns()
            .iter()
            .map(|column| cells(column))
            .collect::<Result<Vec<_>, _>>()?;
        rows.extend((0..batch.num_rows()).map(|row| columns.iter().map(|column| column[row].clone()).collect()));
    }
    Ok(rows)
}

fn cells(column: &dyn Array) -> Result<Vec<Cell>, ArrowError> {
    if column.data_type().is_floating() {
        let numbers = cast(column, &DataType::Float64)?;
        return Ok(numbers
            .as_primitive::<Float64Type>()
            .iter()
            .map(|cell| cell.map_or(Cell::Null, Cell::Number))
            .collect());
    }
    let options = FormatOptions::default();
    let formatter = ArrayFormatter::try_new(column, &options)?;
    let cell = |row| {
        if column.is_null(row) {
            Ok(Cell::Null)
        } else {
            formatter.value(row).try_to_string().map(Cell::Exact)
        }
    };
    (0..column.len()).map(cell).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::slice;
    use std::sync::Arc;

    use arrow::array::{Decimal128Array, Float64Array, StringArray, StringViewArray};

    use super::*;

    fn batch(names: &[&str], numbers: &[f64]) -> RecordBatch {
        let names = Arc::new(StringArray::from(names.to_vec())) as Arc<dyn Array>;
        let numbers = Arc::new(Float64Array::from(numbers.to_vec())) as Arc<dyn Array>;
        RecordBatch::try_from_iter([("k", names), ("v", numbers)]).unwrap()
    }

    fn check(expected: &[RecordBatch], actual: &[RecordBatch], order_by: &[usize]) -> Option<Difference> {
        compare(expected, actual, order_by).unwrap()
    }

    #[test]
    fn order_counts_only_where_asked_for() {
        let (a, b) = (batch(&["x", "y"], &[1.0, 2.0]), batch(&["y", "x"], &[2.0, 1.0]));
        assert_eq!(check(slice::from_ref(&a), slice::from_ref(&b), &[]), None);
        assert_eq!(check(&[a], &[b], &[0]), Some(Difference::Order { at: 0 }));
    }

    #[test]
    fn ties_may_come_in_any_order() {
        let (a, b) = (batch(&["x", "y"], &[1.0, 1.0]), batch(&["y", "x"], &[1.0, 1.0]));
        assert_eq!(check(&[a], &[b], &[1]), None);
    }

    #[test]
    fn floats_have_a_tolerance_and_no_more() {
        let right = batch(&["x", "x"], &[1.0, 3.0]);
        assert_eq!(
            check(slice::from_ref(&right), &[batch(&["x", "x"], &[3.0, 1.0 + 1e-12])], &[]),
            None
        );
        assert!(matches!(
            check(&[right], &[batch(&["x", "x"], &[3.0, 1.001])], &[]),
            Some(Difference::Row { .. })
        ));
    }

    #[test]
    fn rows_count_as_often_as_they_occur() {
        let (a, b) = (batch(&["x", "x", "y"], &[1.0; 3]), batch(&["x", "y", "y"], &[1.0; 3]));
        assert!(matches!(check(&[a], &[b], &[]), Some(Difference::Row { .. })));
    }

    #[test]
    fn batches_and_view_types_do_not_matter() {
        let view = Arc::new(StringViewArray::from(vec!["x"])) as Arc<dyn Array>;
        let number = Arc::new(Float64Array::from(vec![1.0])) as Arc<dyn Array>;
        let split = RecordBatch::try_from_iter([("k", view), ("v", number)]).unwrap();
        assert_eq!(
            check(
                &[batch(&["x", "y"], &[1.0, 2.0])],
                &[split, batch(&["y"], &[2.0])],
                &[0]
            ),
            None
        );
    }

    #[test]
    fn decimals_are_exact_to_the_last_digit() {
        let decimal = |value: i128| {
            let column = Decimal128Array::from(vec![value])
                .with_precision_and_scale(38, 10)
                .unwrap();
            RecordBatch::try_from_iter([("d", Arc::new(column) as Arc<dyn Array>)]).unwrap()
        };
        let value = 12_345_678_901_234_567_890_123_456_789;
        assert_eq!(check(&[decimal(value)], &[decimal(value)], &[]), None);
        assert!(check(&[decimal(value)], &[decimal(value + 1)], &[]).is_some());
    }

    #[test]
    fn missing_rows_and_renamed_columns_are_seen() {
        let one = batch(&["x"], &[1.0]);
        assert_eq!(
            check(slice::from_ref(&one), &[], &[]),
            Some(Difference::RowCount { expected: 1, actual: 0 })
        );
        let names = Arc::new(StringArray::from(vec!["x"])) as Arc<dyn Array>;
        let renamed = RecordBatch::try_from_iter([("other", names), ("v", Arc::clone(one.column(1)))]).unwrap();
        assert!(matches!(
            check(&[one], &[renamed], &[]),
            Some(Difference::Columns { .. })
        ));
    }

    #[test]
    fn null_equals_only_null() {
        let column = |value: Option<f64>| {
            RecordBatch::try_from_iter([("v", Arc::new(Float64Array::from(vec![value])) as Arc<dyn Array>)]).unwrap()
        };
        assert_eq!(check(&[column(None)], &[column(None)], &[]), None);
        assert!(check(&[column(None)], &[column(Some(0.0))], &[]).is_some());
    }
}
