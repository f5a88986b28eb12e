//! How many rows a physical plan gives, how wide they are, and how many different values a column has.
//!
//! Estimates follow a filter into joins and aggregates, which DataFusion's own statistics do not. A plan with a part of unknown
//! size has no estimate: what cannot be known is not guessed.

mod plan;
pub(crate) mod selectivity;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::ScalarValue;

pub(crate) use plan::estimate;

/// What is known of the different values of a column *in its table*, whatever filters left of its rows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Distinct {
    /// They were counted.
    Counted(f64),
    /// There cannot be more.
    AtMost(f64),
    /// Nothing is known.
    Unknown,
}

/// A column of an estimated plan.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ColumnEstimate {
    /// Different values in the table.
    pub(crate) distinct: Distinct,
    /// Smallest and largest value, as numbers.
    pub(crate) range: Option<(f64, f64)>,
    /// Part of the rows in which it is null.
    pub(crate) nulls: f64,
    /// Bytes of a value.
    pub(crate) width: f64,
}

/// What is expected of a plan.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Estimate {
    /// Rows it gives.
    pub(crate) rows: f64,
    /// Rows it would give without its filters: an upper bound for different combinations of its columns.
    pub(crate) base_rows: f64,
    /// Its columns.
    pub(crate) columns: Vec<ColumnEstimate>,
}

impl Estimate {
    /// Different values of a column in the table that it comes from.
    pub(crate) fn domain(&self, column: usize) -> f64 {
        match self.columns[column].distinct {
            Distinct::Counted(values) | Distinct::AtMost(values) => values.max(1.0),
            Distinct::Unknown => self.base_rows.max(1.0),
        }
    }

    /// Different values of a column among the rows that are left.
    pub(crate) fn distinct_now(&self, column: usize) -> f64 {
        let domain = self.domain(column);
        // What random draws are expected to hit.
        (domain * (1.0 - (-self.rows / domain).exp())).clamp(1.0, self.rows.max(1.0))
    }
}

impl ColumnEstimate {
    /// A column of which only the type is known.
    pub(crate) fn of_type(data_type: &DataType) -> Self {
        Self {
            distinct: match data_type {
                DataType::Boolean => Distinct::AtMost(2.0),
                _ => Distinct::Unknown,
            },
            range: None,
            nulls: 0.0,
            width: width(data_type),
        }
    }
}

/// Different values that columns which are joined have together: what was counted counts, else the one with the fewest possible ones
/// decides, for it is the key that the others refer to.
pub(crate) fn shared_domain(columns: impl Iterator<Item = (Distinct, f64)>) -> f64 {
    let (mut counted, mut least): (Option<f64>, f64) = (None, f64::INFINITY);
    for (distinct, base_rows) in columns {
        match distinct {
            Distinct::Counted(values) => counted = Some(counted.map_or(values, |most| most.max(values))),
            Distinct::AtMost(values) => least = least.min(values),
            Distinct::Unknown => least = least.min(base_rows),
        }
    }
    counted.unwrap_or(least).max(1.0)
}

/// Bytes of a value of text or of another type without a fixed width.
const VARIABLE_WIDTH: f64 = 24.0;

fn width(data_type: &DataType) -> f64 {
    match data_type {
        DataType::Boolean => 1.0,
        other => other.primitive_width().map_or(VARIABLE_WIDTH, |bytes| bytes as f64),
    }
}

/// A value on a line of numbers, so that ranges can be compared: dates as days, timestamps in their own unit.
pub(crate) fn number(value: &ScalarValue) -> Option<f64> {
    let number = match value {
        ScalarValue::Boolean(value) => f64::from(u8::from((*value)?)),
        ScalarValue::Int8(value) => f64::from((*value)?),
        ScalarValue::Int16(value) => f64::from((*value)?),
        ScalarValue::Int32(value) | ScalarValue::Date32(value) => f64::from((*value)?),
        ScalarValue::Int64(value)
        | ScalarValue::Date64(value)
        | ScalarValue::TimestampSecond(value, _)
        | ScalarValue::TimestampMillisecond(value, _)
        | ScalarValue::TimestampMicrosecond(value, _)
        | ScalarValue::TimestampNanosecond(value, _) => (*value)? as f64,
        ScalarValue::UInt8(value) => f64::from((*value)?),
        ScalarValue::UInt16(value) => f64::from((*value)?),
        ScalarValue::UInt32(value) => f64::from((*value)?),
        ScalarValue::UInt64(value) => (*value)? as f64,
        ScalarValue::Float32(value) => f64::from((*value)?),
        ScalarValue::Float64(value) => (*value)?,
        ScalarValue::Decimal128(value, _, scale) => (*value)? as f64 / 10f64.powi(i32::from(*scale)),
        _ => return None,
    };
    number.is_finite().then_some(number)
}

/// Values of a type in a range, if they can be counted.
fn values_in_range(data_type: &DataType, (low, high): (f64, f64)) -> Option<f64> {
    let steps = match data_type {
        _ if data_type.is_integer() => 1.0,
        DataType::Date32 | DataType::Boolean => 1.0,
        DataType::Decimal128(_, scale) => 10f64.powi(i32::from(*scale)),
        _ => return None,
    };
    Some(((high - low) * steps + 1.0).max(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_decides_how_many_values_joined_columns_have() {
        let orders = (Distinct::AtMost(1_500_000.0), 1_500_000.0);
        // The keys of orders have gaps, and its lines are many: both bounds of the lines' column are too large.
        let lines = (Distinct::AtMost(6_000_000.0), 6_000_000.0);
        assert_eq!(shared_domain([orders, lines].into_iter()), 1_500_000.0);
        let counted = (Distinct::Counted(20.0), 100.0);
        assert_eq!(shared_domain([orders, counted].into_iter()), 20.0);
        assert_eq!(shared_domain([(Distinct::Unknown, 25.0), lines].into_iter()), 25.0);
    }

    #[test]
    fn few_rows_have_few_values() {
        let column = ColumnEstimate {
            distinct: Distinct::AtMost(1000.0),
            ..ColumnEstimate::of_type(&DataType::Int64)
        };
        let mut estimate = Estimate {
            rows: 10.0,
            base_rows: 1e6,
            columns: vec![column],
        };
        assert!((9.0..=10.0).contains(&estimate.distinct_now(0)));
        estimate.rows = 1e6;
        assert!((999.0..=1000.0).contains(&estimate.distinct_now(0)));
    }

    #[test]
    fn values_are_numbers() {
        assert_eq!(number(&ScalarValue::Decimal128(Some(1234), 10, 2)), Some(12.34));
        assert_eq!(number(&ScalarValue::Date32(Some(7))), Some(7.0));
        assert_eq!(number(&ScalarValue::Int64(None)), None);
        assert_eq!(number(&ScalarValue::Utf8(Some("a".into()))), None);
        assert_eq!(values_in_range(&DataType::Decimal128(10, 2), (0.0, 0.1)), Some(11.0));
        assert_eq!(values_in_range(&DataType::Float64, (0.0, 1.0)), None);
    }
}
