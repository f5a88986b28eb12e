//! How a value looks in a file: one line per row, cells separated by a space.
//!
//! `NULL`, `(empty)` for the empty string, quotes around text with outer blanks or line ends; decimals exactly; floats rounded to 12 (single precision: 6) significant digits, since partial
//! sums add up in another order on a cluster; all else as Arrow prints it.

use anyhow::Result;
use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Float32Type, Float64Type, Schema};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use sqllogictest::ColumnType;

/// Type of a column, as the letter after `query`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Type {
    /// `B`, boolean.
    Boolean,
    /// `D`, date.
    Date,
    /// `I`, integer of any width.
    Integer,
    /// `P`, point in time: timestamp or time of day.
    Time,
    /// `R`, float.
    Float,
    /// `N`, decimal.
    Decimal,
    /// `T`, text.
    Text,
    /// `?`, anything else: binary, list, struct, interval, null.
    Other,
}

const LETTERS: [(char, Type); 8] = [
    ('B', Type::Boolean),
    ('D', Type::Date),
    ('I', Type::Integer),
    ('P', Type::Time),
    ('R', Type::Float),
    ('N', Type::Decimal),
    ('T', Type::Text),
    ('?', Type::Other),
];

impl ColumnType for Type {
    fn from_char(letter: char) -> Option<Self> {
        LETTERS.iter().find(|(l, _)| *l == letter).map(|(_, kind)| kind.clone())
    }

    fn to_char(&self) -> char {
        LETTERS
            .iter()
            .find(|(_, kind)| kind == self)
            .map_or('?', |(letter, _)| *letter)
    }
}

/// The types of a result's columns.
pub fn types(schema: &Schema) -> Vec<Type> {
    schema.fields().iter().map(|field| type_of(field.data_type())).collect()
}

fn type_of(kind: &DataType) -> Type {
    match kind {
        DataType::Boolean => Type::Boolean,
        DataType::Date32 | DataType::Date64 => Type::Date,
        DataType::Timestamp(..) | DataType::Time32(_) | DataType::Time64(_) => Type::Time,
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Type::Text,
        DataType::Dictionary(_, values) => type_of(values),
        kind if kind.is_integer() => Type::Integer,
        kind if kind.is_floating() => Type::Float,
        kind if kind.is_decimal() => Type::Decimal,
        _ => Type::Other,
    }
}

/// The cells of a batch, row by row.
///
/// # Errors
/// A type that Arrow cannot print.
pub fn rows(batch: &RecordBatch) -> Result<Vec<Vec<String>>> {
    let options = FormatOptions::default().with_null("NULL");
    let columns = batch
        .columns()
        .iter()
        .map(|column| ArrayFormatter::try_new(column, &options));
    let columns = columns.collect::<Result<Vec<_>, _>>()?;
    let cell = |column: usize, row: usize| match cell(batch.column(column), row) {
        Some(cell) => cell,
        None => text(&columns[column].value(row).to_string()),
    };
    Ok((0..batch.num_rows())
        .map(|row| (0..columns.len()).map(|column| cell(column, row)).collect())
        .collect())
}

/// The cell where it is not as Arrow prints it.
fn cell(column: &dyn Array, row: usize) -> Option<String> {
    if column.is_null(row) || column.data_type() == &DataType::Null {
        return Some("NULL".to_owned());
    }
    match column.data_type() {
        DataType::Float32 => Some(rounded(f64::from(column.as_primitive::<Float32Type>().value(row)), 6)),
        DataType::Float64 => Some(rounded(column.as_primitive::<Float64Type>().value(row), 12)),
        DataType::Utf8 => Some(text(column.as_string::<i32>().value(row))),
        DataType::LargeUtf8 => Some(text(column.as_string::<i64>().value(row))),
        DataType::Utf8View => Some(text(column.as_string_view().value(row))),
        _ => None,
    }
}

fn text(value: &str) -> String {
    match value {
        "" => "(empty)".to_owned(),
        // The format of the files trims cells, and ends them with the line.
        value if value.trim() != value || value.contains('\n') => format!("{value:?}"),
        value => value.to_owned(),
    }
}

fn rounded(value: f64, digits: usize) -> String {
    if value == 0.0 || !value.is_finite() {
        // Also turns -0 into 0: which zero a sum ends at depends on its order.
        return (value + 0.0).to_string();
    }
    let short = format!("{value:.*e}", digits - 1).parse::<f64>().unwrap_or(value);
    // Beyond these a plain number is all zeros.
    if (1e-5..1e15).contains(&short.abs()) {
        short.to_string()
    } else {
        format!("{short:e}")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::Arc;

    use arrow::array::{ArrayRef, BooleanArray, Decimal128Array, Float64Array, StringArray};

    use super::*;

    #[test]
    fn cells_of_every_kind() {
        let columns: [(&str, ArrayRef); 4] = [
            (
                "f",
                Arc::new(Float64Array::from(vec![Some(0.1 + 0.2), None, Some(-0.0)])),
            ),
            ("t", Arc::new(StringArray::from(vec![Some(""), None, Some("a\nb")]))),
            (
                "d",
                Arc::new(
                    Decimal128Array::from(vec![100, 0, -5])
                        .with_precision_and_scale(5, 2)
                        .unwrap(),
                ),
            ),
            ("b", Arc::new(BooleanArray::from(vec![Some(true), None, Some(false)]))),
        ];
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        assert_eq!(
            rows(&batch).unwrap(),
            [
                ["0.3", "(empty)", "1.00", "true"],
                ["NULL", "NULL", "0.00", "NULL"],
                ["0", "\"a\\nb\"", "-0.05", "false"]
            ]
        );
        assert_eq!(
            types(&batch.schema()),
            [Type::Float, Type::Text, Type::Decimal, Type::Boolean]
        );
    }

    #[test]
    fn floats_keep_twelve_digits() {
        assert_eq!(rounded(123_456.789_012_345_6, 12), "123456.789012");
        assert_eq!(rounded(1e300 / 3.0, 12), "3.33333333333e299");
        assert_eq!(rounded(f64::NAN, 12), "NaN");
        assert_eq!(rounded(2.5, 6), "2.5");
    }

    #[test]
    fn every_type_has_its_letter() {
        for (letter, kind) in LETTERS {
            assert_eq!(Type::from_char(letter), Some(kind.clone()));
            assert_eq!(kind.to_char(), letter);
        }
        assert_eq!(Type::from_char('x'), None);
    }
}
