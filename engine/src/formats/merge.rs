//! Columns of several files as the columns of one table: by name, each with a type that holds the values of all.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef, TimeUnit};
use datafusion::error::{DataFusionError, Result};

/// Merges files' columns, each with the file's path. The order is that in which columns are first met.
///
/// # Errors
/// If two types of one column have no common one; the message names column, types and files.
pub(super) fn merge(files: &[(String, SchemaRef)]) -> Result<SchemaRef> {
    let mut columns: Vec<(Field, &str)> = Vec::new();
    for (path, schema) in files {
        for field in schema.fields() {
            match columns.iter_mut().find(|(known, _)| known.name() == field.name()) {
                None => columns.push((field.as_ref().clone(), path)),
                Some((known, first)) => {
                    let merged = common_type(known.data_type(), field.data_type());
                    let merged = merged.ok_or_else(|| contradiction(known, first, field, path))?;
                    let nullable = known.is_nullable() || field.is_nullable();
                    *known = Field::new(known.name(), merged, nullable);
                }
            }
        }
    }
    let everywhere = |name: &str| files.iter().all(|(_, schema)| schema.field_with_name(name).is_ok());
    let fields = columns.into_iter().map(|(field, _)| {
        let nullable = field.is_nullable() || !everywhere(field.name());
        field.with_nullable(nullable)
    });
    Ok(Arc::new(Schema::new(fields.collect::<Vec<_>>())))
}

fn contradiction(known: &Field, first: &str, field: &FieldRef, path: &str) -> DataFusionError {
    DataFusionError::Plan(format!(
        "column {:?} is {} in {first} and {} in {path}, and no type holds both; name the columns in CREATE EXTERNAL TABLE to choose one",
        known.name(),
        known.data_type(),
        field.data_type()
    ))
}

/// The smallest type that holds the values of both exactly (integers beside floating point numbers: nearly).
fn common_type(a: &DataType, b: &DataType) -> Option<DataType> {
    use DataType::{
        Binary, BinaryView, Date32, Float32, Float64, LargeBinary, LargeUtf8, List, Null, Struct, Timestamp, Utf8,
        Utf8View,
    };
    if a == b {
        return Some(a.clone());
    }
    match (a, b) {
        (Null, other) | (other, Null) => Some(other.clone()),
        (Utf8 | LargeUtf8 | Utf8View, Utf8 | LargeUtf8 | Utf8View) => Some(Utf8),
        (Binary | LargeBinary | BinaryView, Binary | LargeBinary | BinaryView) => Some(Binary),
        (DataType::Dictionary(_, value), other) | (other, DataType::Dictionary(_, value)) => common_type(value, other),
        (a, b) if a.is_integer() && b.is_integer() => common_integer(a, b),
        (a, b) if a.is_numeric() && b.is_numeric() && (a.is_floating() || b.is_floating()) => {
            let narrow = |data_type: &DataType| matches!(data_type, DataType::Float16 | Float32);
            Some(if narrow(a) && narrow(b) { Float32 } else { Float64 })
        }
        (DataType::Decimal128(p1, s1), DataType::Decimal128(p2, s2)) => common_decimal((*p1, *s1), (*p2, *s2)),
        (Date32, Timestamp(unit, None)) | (Timestamp(unit, None), Date32) => Some(Timestamp(*unit, None)),
        (Timestamp(a, zone), Timestamp(b, other)) if zone == other => Some(Timestamp(finer(*a, *b), zone.clone())),
        (List(a), List(b)) => {
            let item = common_type(a.data_type(), b.data_type())?;
            Some(List(Arc::new(Field::new(
                a.name(),
                item,
                a.is_nullable() || b.is_nullable(),
            ))))
        }
        (Struct(a), Struct(b)) => {
            let schemas = [a, b].map(|fields| (String::new(), Arc::new(Schema::new(fields.clone()))));
            merge(&schemas).ok().map(|schema| Struct(schema.fields().clone()))
        }
        // What a text file holds is text, if nothing else fits all of its files.
        (Utf8, other) | (other, Utf8) if other.is_primitive() || *other == DataType::Boolean => Some(Utf8),
        _ => None,
    }
}

fn common_integer(a: &DataType, b: &DataType) -> Option<DataType> {
    let bits = |data_type: &DataType| data_type.primitive_width().map(|bytes| bytes * 8);
    let (wide, narrow) = if bits(a)? >= bits(b)? { (a, b) } else { (b, a) };
    if wide.is_signed_integer() == narrow.is_signed_integer() {
        return Some(wide.clone());
    }
    if wide.is_signed_integer() && bits(wide)? > bits(narrow)? {
        return Some(wide.clone());
    }
    // The wider one has no sign: the next larger signed type holds both, if there is one.
    match bits(wide)? {
        8 => Some(DataType::Int16),
        16 => Some(DataType::Int32),
        32 => Some(DataType::Int64),
        _ => None,
    }
}

/// Most digits of a decimal number of 128 bits.
const MAX_DIGITS: i32 = 38;

fn common_decimal(a: (u8, i8), b: (u8, i8)) -> Option<DataType> {
    let scale = a.1.max(b.1);
    let whole = (i32::from(a.0) - i32::from(a.1)).max(i32::from(b.0) - i32::from(b.1));
    let digits = whole + i32::from(scale);
    let precision = u8::try_from(digits).ok().filter(|_| digits <= MAX_DIGITS)?;
    Some(DataType::Decimal128(precision, scale))
}

fn finer(a: TimeUnit, b: TimeUnit) -> TimeUnit {
    let rank = |unit: &TimeUnit| match unit {
        TimeUnit::Second => 0,
        TimeUnit::Millisecond => 1,
        TimeUnit::Microsecond => 2,
        TimeUnit::Nanosecond => 3,
    };
    if rank(&a) >= rank(&b) { a } else { b }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn file(columns: &[(&str, DataType)]) -> (String, SchemaRef) {
        let fields = columns
            .iter()
            .map(|(name, data_type)| Field::new(*name, data_type.clone(), false));
        (
            format!("/t/{}", columns.len()),
            Arc::new(Schema::new(fields.collect::<Vec<_>>())),
        )
    }

    #[test]
    fn a_column_that_came_later_is_null_before() {
        let files = [
            file(&[("a", DataType::Int32)]),
            file(&[("b", DataType::Utf8), ("a", DataType::Int64)]),
        ];
        let schema = merge(&files).unwrap();
        let expected = Schema::new(vec![
            Field::new("a", DataType::Int64, false),
            Field::new("b", DataType::Utf8, true),
        ]);
        assert_eq!(*schema, expected);
    }

    #[test]
    fn types_are_widened() {
        let cases = [
            (DataType::Int8, DataType::Int64, DataType::Int64),
            (DataType::UInt8, DataType::Int8, DataType::Int16),
            (DataType::UInt32, DataType::Int64, DataType::Int64),
            (DataType::Int64, DataType::Float64, DataType::Float64),
            (DataType::Float32, DataType::Float16, DataType::Float32),
            (DataType::Null, DataType::Boolean, DataType::Boolean),
            (DataType::Utf8View, DataType::LargeUtf8, DataType::Utf8),
            (
                DataType::Decimal128(5, 2),
                DataType::Decimal128(7, 3),
                DataType::Decimal128(7, 3),
            ),
            (DataType::Int64, DataType::Utf8, DataType::Utf8),
            (
                DataType::Date32,
                DataType::Timestamp(TimeUnit::Second, None),
                DataType::Timestamp(TimeUnit::Second, None),
            ),
        ];
        for (a, b, common) in cases {
            assert_eq!(common_type(&a, &b), Some(common.clone()), "{a} {b}");
            assert_eq!(common_type(&b, &a), Some(common), "{b} {a}");
        }
    }

    #[test]
    fn what_cannot_be_merged_is_named() {
        assert_eq!(common_type(&DataType::UInt64, &DataType::Int64), None);
        let error = merge(&[
            file(&[("a", DataType::Boolean)]),
            file(&[("a", DataType::Date32), ("b", DataType::Utf8)]),
        ]);
        let error = error.unwrap_err().to_string();
        assert!(
            error.contains("\"a\"") && error.contains("/t/1") && error.contains("/t/2"),
            "{error}"
        );
    }
}
