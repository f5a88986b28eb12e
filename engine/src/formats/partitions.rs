//! Hive-style partitions: columns whose values stand in the names of directories, `.../day=2024-01-01/city=K%C3%B6ln/part-0.parquet`.
//!
//! Pure: names in, values out.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::ScalarValue;
use datafusion::error::{DataFusionError, Result};

use super::partition_path::decode;

/// The directories between a table's `root` and a file in it.
fn directories<'a>(path: &'a str, root: &str) -> Vec<&'a str> {
    let below = path.strip_prefix(root).unwrap_or(path);
    let mut parts: Vec<&str> = below.split('/').filter(|part| !part.is_empty()).collect();
    parts.pop();
    parts
}

/// Values of the partition columns for a file; `None` if it does not lie in a partition.
///
/// # Errors
/// If a value is not of its column's type.
pub(super) fn values_of_file(path: &str, root: &str, columns: &[FieldRef]) -> Result<Option<Vec<ScalarValue>>> {
    let directories = directories(path, root);
    if directories.len() < columns.len() {
        return Ok(None);
    }
    let mut values = Vec::with_capacity(columns.len());
    for (column, directory) in columns.iter().zip(directories) {
        let Some(value) = value_of(directory, column)? else {
            return Ok(None);
        };
        values.push(value);
    }
    Ok(Some(values))
}

/// The value in a directory's name; `None` if the directory is not one of that column.
///
/// # Errors
/// If it is not of the column's type.
pub(super) fn value_of(directory: &str, column: &Field) -> Result<Option<ScalarValue>> {
    match decode(directory) {
        Some((key, value)) if key.eq_ignore_ascii_case(column.name()) => typed(value.as_deref(), column).map(Some),
        _ => Ok(None),
    }
}

fn typed(value: Option<&str>, column: &Field) -> Result<ScalarValue> {
    let data_type = column.data_type();
    let Some(value) = value else {
        return ScalarValue::try_new_null(data_type);
    };
    ScalarValue::from(value).cast_to(data_type).map_err(|error| {
        DataFusionError::Plan(format!(
            "partition {}={value}: not a value of type {data_type} ({}); declare the column as VARCHAR, or rename the directory",
            column.name(),
            error.strip_backtrace()
        ))
    })
}

/// The partition columns that all of these files lie in; none if they do not agree. A column's type is the first of BIGINT, DATE and VARCHAR
/// that all of its values have.
pub(super) fn infer(paths: &[&str], root: &str) -> Vec<FieldRef> {
    let mut files = paths.iter().map(|path| pairs(path, root));
    let Some(first) = files.next() else { return Vec::new() };
    let keys: Vec<String> = first.iter().map(|(key, _)| key.clone()).collect();
    let mut values: Vec<Vec<Option<String>>> = first.into_iter().map(|(_, value)| vec![value]).collect();
    for pairs in files {
        if !pairs.iter().map(|(key, _)| key).eq(&keys) {
            return Vec::new();
        }
        for (all, (_, value)) in values.iter_mut().zip(pairs) {
            all.push(value);
        }
    }
    let columns = keys.into_iter().zip(values);
    columns
        .map(|(key, values)| Arc::new(Field::new(key, common_type(&values), true)))
        .collect()
}

/// The `k=v` directories right below the root, up to the first directory of another kind.
fn pairs(path: &str, root: &str) -> Vec<(String, Option<String>)> {
    directories(path, root).into_iter().map_while(decode).collect()
}

fn common_type(values: &[Option<String>]) -> DataType {
    let given = || values.iter().flatten();
    // A number that would be written otherwise, such as 007, is a name.
    let number = |value: &String| value.parse::<i64>().is_ok_and(|number| number.to_string() == *value);
    let date = |value: &String| value.len() == 10 && value.parse::<chrono::NaiveDate>().is_ok();
    if given().next().is_none() {
        DataType::Utf8
    } else if given().all(number) {
        DataType::Int64
    } else if given().all(date) {
        DataType::Date32
    } else {
        DataType::Utf8
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::partition_path::NULL_PARTITION;
    use super::*;

    fn columns(columns: &[(&str, DataType)]) -> Vec<FieldRef> {
        columns
            .iter()
            .map(|(name, data_type)| Arc::new(Field::new(*name, data_type.clone(), true)))
            .collect()
    }

    #[test]
    fn values_have_their_columns_types() {
        let columns = columns(&[("day", DataType::Date32), ("n", DataType::Int32), ("s", DataType::Utf8)]);
        let path = "/t/day=1970-01-03/N=-7/s=a%2Fb/part-0";
        let values = values_of_file(path, "/t", &columns).unwrap().unwrap();
        let expected = [
            ScalarValue::Date32(Some(2)),
            ScalarValue::Int32(Some(-7)),
            ScalarValue::from("a/b"),
        ];
        assert_eq!(values, expected);
        let null = format!("/t/day={NULL_PARTITION}/n={NULL_PARTITION}/s={NULL_PARTITION}/x");
        let values = values_of_file(&null, "/t", &columns).unwrap().unwrap();
        assert!(values.iter().all(ScalarValue::is_null));
    }

    #[test]
    fn files_outside_of_partitions_are_no_part_of_the_table() {
        let columns = columns(&[("n", DataType::Int64)]);
        for path in ["/t/a", "/t/m=1/a", "/t/plain/a", "/t/n=1"] {
            assert_eq!(values_of_file(path, "/t", &columns).unwrap(), None, "{path}");
        }
        let error = values_of_file("/t/n=one/a", "/t", &columns).unwrap_err();
        assert!(error.to_string().contains("n=one"), "{error}");
    }

    #[test]
    fn columns_are_inferred_if_all_files_agree() {
        let inferred = infer(&["/t/y=2024/d=2024-01-01/v=007/a", "/t/y=-1/d=2024-02-01/v=8/b"], "/t");
        let expected = columns(&[("y", DataType::Int64), ("d", DataType::Date32), ("v", DataType::Utf8)]);
        assert_eq!(inferred, expected);
        assert!(infer(&["/t/y=2024/a", "/t/z=1/b"], "/t").is_empty());
        assert!(infer(&["/t/y=2024/a", "/t/b"], "/t").is_empty());
        assert!(infer(&[], "/t").is_empty());
        let null = format!("/t/y={NULL_PARTITION}/a");
        assert_eq!(infer(&[&null, "/t/y=1/b"], "/t"), columns(&[("y", DataType::Int64)]));
        assert_eq!(infer(&[&null], "/t"), columns(&[("y", DataType::Utf8)]));
    }
}
