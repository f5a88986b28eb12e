//! Which part of the rows satisfies a condition.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::common::ScalarValue;
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::expressions::{
    BinaryExpr, CastExpr, Column, InListExpr, IsNotNullExpr, IsNullExpr, LikeExpr, Literal, NotExpr,
};
use datafusion::physical_expr::{PhysicalExpr, split_conjunction};

use super::{ColumnEstimate, Distinct, number};

/// Part of the rows that equal a value, when it is not known how many values there are.
const EQUAL: f64 = 0.05;
/// Part of the rows on one side of a value, when the range is not known.
const COMPARED: f64 = 0.3;
/// Part of the rows that match a pattern.
const LIKE: f64 = 0.1;
/// Part of the rows that satisfy anything else.
const OTHER: f64 = 0.25;

/// Part of the rows that satisfies a condition over `columns`, from 0 to 1.
pub(crate) fn selectivity(condition: &Arc<dyn PhysicalExpr>, columns: &[ColumnEstimate]) -> f64 {
    let mut ranges = Ranges::default();
    let mut part = 1.0;
    for conjunct in split_conjunction(condition) {
        // Both ends of a range on one column belong together: each alone would leave half of the rows.
        if !ranges.narrow(conjunct, columns) {
            part *= single(conjunct, columns);
        }
    }
    (part * ranges.selectivity(columns)).clamp(0.0, 1.0)
}

/// Narrows the ranges of `columns` to what a condition leaves.
pub(crate) fn narrow(condition: &Arc<dyn PhysicalExpr>, columns: &mut [ColumnEstimate]) {
    let mut ranges = Ranges::default();
    for conjunct in split_conjunction(condition) {
        ranges.narrow(conjunct, columns);
    }
    for (column, range) in ranges.0 {
        if range.0 <= range.1 {
            columns[column].range = Some(range);
        }
    }
}

/// What comparisons with constants leave of columns' ranges.
#[derive(Default)]
struct Ranges(BTreeMap<usize, (f64, f64)>);

impl Ranges {
    /// Takes up a condition if it is a comparison of a column, whose range is known, with a constant.
    fn narrow(&mut self, condition: &Arc<dyn PhysicalExpr>, columns: &[ColumnEstimate]) -> bool {
        let Some((column, operator, value)) = comparison(condition) else {
            return false;
        };
        let known = columns.get(column).and_then(|column| column.range);
        let (Some(known), Some(value)) = (known, number(value)) else {
            return false;
        };
        let (low, high) = self.0.entry(column).or_insert(known);
        match operator {
            Operator::Lt | Operator::LtEq => *high = high.min(value),
            Operator::Gt | Operator::GtEq => *low = low.max(value),
            _ => return false,
        }
        true
    }

    fn selectivity(&self, columns: &[ColumnEstimate]) -> f64 {
        let of = |(column, (low, high)): (&usize, &(f64, f64))| {
            let (all_low, all_high) = columns[*column].range.unwrap_or((*low, *high));
            if high < low {
                return 0.0;
            }
            // A range of one point is not nothing: the value is there.
            let least = 1.0 / distinct(&columns[*column]).unwrap_or(1.0 / EQUAL).max(1.0);
            let part = if all_high > all_low {
                (high - low) / (all_high - all_low)
            } else {
                1.0
            };
            part.clamp(least.min(1.0), 1.0) * (1.0 - columns[*column].nulls)
        };
        self.0.iter().map(of).product()
    }
}

/// A comparison of a column with a constant, the column on the left.
fn comparison(condition: &Arc<dyn PhysicalExpr>) -> Option<(usize, Operator, &ScalarValue)> {
    let binary = condition.downcast_ref::<BinaryExpr>()?;
    if let (Some(column), Some(value)) = (column_of(binary.left()), constant(binary.right())) {
        return Some((column, *binary.op(), value));
    }
    let (column, value) = (column_of(binary.right())?, constant(binary.left())?);
    Some((column, binary.op().swap()?, value))
}

/// The column that an expression is, apart from its type.
pub(crate) fn column_of(expression: &Arc<dyn PhysicalExpr>) -> Option<usize> {
    if let Some(cast) = expression.downcast_ref::<CastExpr>() {
        return column_of(cast.expr());
    }
    expression.downcast_ref::<Column>().map(Column::index)
}

fn constant(expression: &Arc<dyn PhysicalExpr>) -> Option<&ScalarValue> {
    expression.downcast_ref::<Literal>().map(Literal::value)
}

fn distinct(column: &ColumnEstimate) -> Option<f64> {
    match column.distinct {
        Distinct::Counted(values) | Distinct::AtMost(values) => Some(values),
        Distinct::Unknown => None,
    }
}

fn equal(column: Option<&ColumnEstimate>) -> f64 {
    column.and_then(distinct).map_or(EQUAL, |values| 1.0 / values.max(1.0))
}

fn single(condition: &Arc<dyn PhysicalExpr>, columns: &[ColumnEstimate]) -> f64 {
    if let Some(value) = constant(condition) {
        return f64::from(u8::from(*value == ScalarValue::Boolean(Some(true))));
    }
    if let Some(negated) = condition.downcast_ref::<NotExpr>() {
        return 1.0 - selectivity(negated.arg(), columns);
    }
    if let Some(binary) = condition.downcast_ref::<BinaryExpr>() {
        return of_binary(condition, binary, columns);
    }
    let nulls = |argument: &Arc<dyn PhysicalExpr>| {
        column_of(argument)
            .and_then(|column| columns.get(column))
            .map(|column| column.nulls)
    };
    if let Some(list) = condition.downcast_ref::<InListExpr>() {
        let one = equal(column_of(list.expr()).and_then(|column| columns.get(column)));
        let part = (list.list().len() as f64 * one).min(1.0);
        return if list.negated() { 1.0 - part } else { part };
    }
    if let Some(like) = condition.downcast_ref::<LikeExpr>() {
        return if like.negated() { 1.0 - LIKE } else { LIKE };
    }
    if let Some(is_null) = condition.downcast_ref::<IsNullExpr>() {
        return nulls(is_null.arg()).unwrap_or(EQUAL);
    }
    if let Some(is_not_null) = condition.downcast_ref::<IsNotNullExpr>() {
        return 1.0 - nulls(is_not_null.arg()).unwrap_or(EQUAL);
    }
    OTHER
}

fn of_binary(condition: &Arc<dyn PhysicalExpr>, binary: &BinaryExpr, columns: &[ColumnEstimate]) -> f64 {
    let column = |side| column_of(side).and_then(|column| columns.get(column));
    let equality = || match comparison(condition) {
        Some((index, ..)) => equal(columns.get(index)),
        None => equal(column(binary.left())).min(equal(column(binary.right()))),
    };
    match binary.op() {
        Operator::Or => {
            let (a, b) = (
                selectivity(binary.left(), columns),
                selectivity(binary.right(), columns),
            );
            a + b - a * b
        }
        Operator::Eq | Operator::IsNotDistinctFrom => equality(),
        Operator::NotEq | Operator::IsDistinctFrom => 1.0 - equality(),
        Operator::Lt | Operator::LtEq => below(column(binary.left()), column(binary.right())),
        Operator::Gt | Operator::GtEq => below(column(binary.right()), column(binary.left())),
        _ => OTHER,
    }
}

/// Part of the rows in which one column is below another, as if the values of each lay evenly in its range.
fn below(lower: Option<&ColumnEstimate>, upper: Option<&ColumnEstimate>) -> f64 {
    let range = |column: Option<&ColumnEstimate>| column.and_then(|column| column.range);
    let (Some((low, high)), Some((from, to))) = (range(lower), range(upper)) else {
        return COMPARED;
    };
    if high <= low || to <= from {
        return COMPARED;
    }
    // What lies of the lower column's range below a value, added up over all values up to `value`.
    let area = |value: f64| {
        let inside = value.clamp(low, high) - low;
        inside * inside / 2.0 + (high - low) * (value - high).max(0.0)
    };
    ((area(to) - area(from)) / ((high - low) * (to - from))).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use datafusion::arrow::datatypes::DataType;
    use datafusion::arrow::datatypes::{Field, Schema};
    use datafusion::physical_expr::expressions::{binary, col, in_list, lit};

    use super::*;

    fn columns() -> (Schema, Vec<ColumnEstimate>) {
        let schema = Schema::new(vec![
            Field::new("day", DataType::Int64, true),
            Field::new("name", DataType::Utf8, true),
        ]);
        let day = ColumnEstimate {
            distinct: Distinct::AtMost(100.0),
            range: Some((0.0, 100.0)),
            ..ColumnEstimate::of_type(&DataType::Int64)
        };
        (schema, vec![day, ColumnEstimate::of_type(&DataType::Utf8)])
    }

    fn compare(column: &str, operator: Operator, value: i64) -> Arc<dyn PhysicalExpr> {
        let (schema, _) = columns();
        binary(col(column, &schema).unwrap(), operator, lit(value), &schema).unwrap()
    }

    fn both(a: Arc<dyn PhysicalExpr>, operator: Operator, b: Arc<dyn PhysicalExpr>) -> Arc<dyn PhysicalExpr> {
        Arc::new(BinaryExpr::new(a, operator, b))
    }

    #[test]
    fn ranges_leave_their_part() {
        let (schema, columns) = columns();
        let from = compare("day", Operator::GtEq, 20);
        let to = compare("day", Operator::Lt, 30);
        assert!((selectivity(&from, &columns) - 0.8).abs() < 1e-9);
        assert!((selectivity(&both(Arc::clone(&from), Operator::And, Arc::clone(&to)), &columns) - 0.1).abs() < 1e-9);
        // 30 > day is day < 30.
        let swapped = binary(lit(30i64), Operator::Gt, col("day", &schema).unwrap(), &schema).unwrap();
        assert!((selectivity(&swapped, &columns) - 0.3).abs() < 1e-9);
        let nothing = both(
            compare("day", Operator::Gt, 90),
            Operator::And,
            compare("day", Operator::Lt, 10),
        );
        assert!(selectivity(&nothing, &columns) == 0.0);
        assert!((selectivity(&both(from, Operator::Or, to), &columns) - 0.86).abs() < 1e-9);
    }

    #[test]
    fn a_column_is_below_another_as_their_ranges_lie() {
        let (_, columns) = columns();
        let between = |low, high| ColumnEstimate {
            range: Some((low, high)),
            ..columns[0].clone()
        };
        let part = |lower: &ColumnEstimate, upper: &ColumnEstimate| below(Some(lower), Some(upper));
        assert!((part(&between(0.0, 100.0), &between(0.0, 100.0)) - 0.5).abs() < 1e-9);
        assert!((part(&between(0.0, 10.0), &between(20.0, 30.0)) - 1.0).abs() < 1e-9);
        assert!(part(&between(20.0, 30.0), &between(0.0, 10.0)).abs() < 1e-9);
        assert!((part(&between(0.0, 100.0), &between(50.0, 100.0)) - 0.75).abs() < 1e-9);
        assert_eq!(part(&between(0.0, 1.0), &columns[1]), COMPARED, "a range is unknown");
    }

    #[test]
    fn equality_counts_values() {
        let (schema, columns) = columns();
        assert!((selectivity(&compare("day", Operator::Eq, 3), &columns) - 0.01).abs() < 1e-9);
        let name = col("name", &schema).unwrap();
        let list = in_list(name, vec![lit("a"), lit("b")], &false, &schema).unwrap();
        assert!((selectivity(&list, &columns) - 2.0 * EQUAL).abs() < 1e-9);
    }

    #[test]
    fn what_a_filter_leaves_is_the_next_ones_range() {
        let (_, mut columns) = columns();
        narrow(&compare("day", Operator::GtEq, 50), &mut columns);
        assert_eq!(columns[0].range, Some((50.0, 100.0)));
        assert!((selectivity(&compare("day", Operator::Lt, 75), &columns) - 0.5).abs() < 1e-9);
    }
}
