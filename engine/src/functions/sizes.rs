//! How many bytes a call would make, from its arguments alone.

use datafusion::arrow::array::{Array, ArrayRef, AsArray, Int64Array};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Int64Type, IntervalMonthDayNanoType, IntervalUnit, TimeUnit};
use datafusion::error::Result;
use datafusion::logical_expr::ColumnarValue;

/// Bytes of an element of a list.
const ELEMENT: u128 = 8;
const DAY_NANOS: i128 = 86_400_000_000_000;
/// The shortest month: more steps rather than fewer.
const MONTH_DAYS: i128 = 28;

/// How a function's result grows with its arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Size {
    /// A text so many times.
    Repeat,
    /// A text made so long.
    Pad,
    /// The values from a start to a stop.
    Range,
    /// A value so many times, or a list made so long.
    Elements,
    /// A text in which a part is replaced by another.
    Replace,
}

/// An argument, with what it is as a number.
struct Argument {
    array: ArrayRef,
    integers: Option<Int64Array>,
}

impl Argument {
    fn new(value: &ColumnarValue, rows: usize) -> Result<Self> {
        let array = value.to_array(rows)?;
        let counts = array.data_type().is_integer() || array.data_type().is_temporal();
        let integers = if counts {
            cast(&array, &DataType::Int64).ok()
        } else {
            None
        };
        let integers = integers.and_then(|integers| integers.as_primitive_opt::<Int64Type>().cloned());
        Ok(Self { array, integers })
    }

    fn integer(&self, row: usize) -> Option<i128> {
        let integers = self.integers.as_ref()?;
        (!integers.is_null(row)).then(|| i128::from(integers.value(row)))
    }

    fn positive(&self, row: usize) -> u128 {
        self.integer(row)
            .and_then(|number| u128::try_from(number).ok())
            .unwrap_or(0)
    }

    fn text_bytes(&self, row: usize) -> u128 {
        let bytes = match self.array.data_type() {
            DataType::Utf8 => self.array.as_string::<i32>().value(row).len(),
            DataType::LargeUtf8 => self.array.as_string::<i64>().value(row).len(),
            DataType::Utf8View => self.array.as_string_view().value(row).len(),
            _ => 0,
        };
        bytes as u128
    }

    fn element_bytes(&self, row: usize) -> u128 {
        let list = self.array.as_list_opt::<i32>();
        let list = list.map_or(0, |list| list.value(row).len() as u128 * ELEMENT);
        list.max(self.text_bytes(row)).max(ELEMENT)
    }

    /// A number, or a point in time in nanoseconds.
    fn point(&self, row: usize) -> Option<i128> {
        let factor = match self.array.data_type() {
            DataType::Date32 => DAY_NANOS,
            DataType::Date64 | DataType::Timestamp(TimeUnit::Millisecond, _) => 1_000_000,
            DataType::Timestamp(TimeUnit::Second, _) => 1_000_000_000,
            DataType::Timestamp(TimeUnit::Microsecond, _) => 1_000,
            _ => 1,
        };
        Some(self.integer(row)? * factor)
    }

    /// A number, or the length of an interval in nanoseconds, at least.
    fn step(&self, row: usize) -> Option<i128> {
        if !matches!(self.array.data_type(), DataType::Interval(_)) {
            return self.integer(row);
        }
        let step = cast(
            &self.array.slice(row, 1),
            &DataType::Interval(IntervalUnit::MonthDayNano),
        )
        .ok()?;
        let step = step.as_primitive::<IntervalMonthDayNanoType>().value(0);
        let days = i128::from(step.months) * MONTH_DAYS + i128::from(step.days);
        Some(days * DAY_NANOS + i128::from(step.nanoseconds))
    }
}

impl Size {
    /// Bytes of the whole result: of one row if all arguments are constants, else of `rows`. Arguments that make no sense count as
    /// nothing: the function itself will say what is wrong.
    pub(super) fn of(self, arguments: &[ColumnarValue], rows: usize) -> Result<u128> {
        let constant = arguments
            .iter()
            .all(|argument| matches!(argument, ColumnarValue::Scalar(_)));
        let rows = if constant { 1 } else { rows };
        let arguments = arguments.iter().map(|argument| Argument::new(argument, rows));
        let arguments = arguments.collect::<Result<Vec<_>>>()?;
        Ok((0..rows)
            .map(|row| self.of_row(&arguments, row))
            .fold(0, u128::saturating_add))
    }

    fn of_row(self, arguments: &[Argument], row: usize) -> u128 {
        if arguments.iter().any(|argument| argument.array.is_null(row)) {
            return 0;
        }
        match (self, arguments) {
            (Self::Repeat, [text, count]) => text.text_bytes(row) * count.positive(row),
            (Self::Pad, [_, length, ..]) => length.positive(row),
            (Self::Elements, [element, count, ..]) => count.positive(row) * element.element_bytes(row),
            (Self::Replace, [text, from, to]) => {
                replaced(text.text_bytes(row), from.text_bytes(row), to.text_bytes(row))
            }
            (Self::Range, bounds) => elements(bounds, row) * ELEMENT,
            _ => 0,
        }
    }
}

/// Values from the first bound to the second.
fn elements(bounds: &[Argument], row: usize) -> u128 {
    let (start, stop, step) = match bounds {
        [stop] => (Some(0), stop.point(row), Some(1)),
        [start, stop] => (start.point(row), stop.point(row), Some(1)),
        [start, stop, step] => (start.point(row), stop.point(row), step.step(row)),
        _ => (None, None, None),
    };
    match (start, stop, step) {
        (Some(start), Some(stop), Some(step)) if step != 0 && (stop > start) == (step > 0) => {
            (stop - start).unsigned_abs() / step.unsigned_abs() + 1
        }
        _ => 0,
    }
}

/// At most: `from` all over the text.
fn replaced(text: u128, from: u128, to: u128) -> u128 {
    text.checked_div(from).map_or(text, |times| text.max(times * to))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use datafusion::scalar::ScalarValue;

    use super::*;

    fn of(size: Size, arguments: &[ScalarValue]) -> u128 {
        let arguments: Vec<_> = arguments.iter().cloned().map(ColumnarValue::Scalar).collect();
        size.of(&arguments, 8192).unwrap()
    }

    #[test]
    fn sizes_of_constants() {
        assert_eq!(of(Size::Repeat, &["abc".into(), 7_i64.into()]), 21);
        assert_eq!(of(Size::Repeat, &["abc".into(), (-7_i64).into()]), 0);
        assert_eq!(of(Size::Repeat, &["abc".into(), i64::MAX.into()]), 3 * i64::MAX as u128);
        assert_eq!(of(Size::Range, &[10_i64.into()]), 11 * ELEMENT);
        assert_eq!(
            of(Size::Range, &[i64::MIN.into(), i64::MAX.into()]),
            (1 << 64) * ELEMENT
        );
        assert_eq!(of(Size::Range, &[5_i64.into(), 1_i64.into()]), 0);
        assert_eq!(
            of(Size::Range, &[5_i64.into(), 1_i64.into(), (-2_i64).into()]),
            3 * ELEMENT
        );
        assert_eq!(of(Size::Range, &[5_i64.into(), 1_i64.into(), 0_i64.into()]), 0);
        assert_eq!(of(Size::Replace, &["aaaa".into(), "a".into(), "xyz".into()]), 12);
        assert_eq!(of(Size::Pad, &["a".into(), 100_i64.into()]), 100);
        assert_eq!(of(Size::Repeat, &[ScalarValue::Utf8(None), 100_i64.into()]), 0);
    }

    #[test]
    fn rows_add_up() {
        let texts = ColumnarValue::Array(ScalarValue::from("ab").to_array_of_size(3).unwrap());
        let count = ColumnarValue::Scalar(5_i64.into());
        assert_eq!(Size::Repeat.of(&[texts, count], 3).unwrap(), 30);
    }
}
