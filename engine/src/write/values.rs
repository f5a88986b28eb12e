//! Rows parted by the values of their partition columns.

use std::collections::HashMap;

use datafusion::arrow::array::{Array, AsArray, RecordBatch, StringArray, UInt32Array};
use datafusion::arrow::compute::{cast, take_record_batch};
use datafusion::arrow::datatypes::DataType;
use datafusion::error::{DataFusionError, Result};

/// Values of the partition columns, as text.
pub(super) type Key = Vec<Option<String>>;

/// Parts a batch by the columns at `indices`, in the order in which values first come. The parts have all columns.
pub(super) fn part(batch: &RecordBatch, indices: &[usize]) -> Result<Vec<(Key, RecordBatch)>> {
    if indices.is_empty() {
        return Ok(vec![(Key::new(), batch.clone())]);
    }
    let columns = indices.iter().map(|&index| text(batch.column(index)));
    let columns = columns.collect::<Result<Vec<_>>>()?;
    let mut places: HashMap<Vec<Option<&str>>, usize> = HashMap::new();
    let mut parts: Vec<(Key, Vec<u32>)> = Vec::new();
    for row in 0..batch.num_rows() {
        let values: Vec<Option<&str>> = columns
            .iter()
            .map(|column| column.is_valid(row).then(|| column.value(row)))
            .collect();
        let place = *places.entry(values.clone()).or_insert_with(|| {
            let key = values.iter().map(|value| value.map(str::to_owned)).collect();
            parts.push((key, Vec::new()));
            parts.len() - 1
        });
        let row = u32::try_from(row).map_err(|_| DataFusionError::Internal("a batch of 2^32 rows".to_owned()))?;
        parts[place].1.push(row);
    }
    if let [(key, _)] = parts.as_mut_slice() {
        return Ok(vec![(std::mem::take(key), batch.clone())]);
    }
    let taken = parts
        .into_iter()
        .map(|(key, rows)| Ok((key, take_record_batch(batch, &UInt32Array::from(rows))?)));
    taken.collect()
}

fn text(column: &dyn Array) -> Result<StringArray> {
    Ok(cast(column, &DataType::Utf8)?.as_string::<i32>().clone())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::Arc;

    use datafusion::arrow::array::{Date32Array, Int64Array};

    use super::*;

    #[test]
    fn each_row_is_in_the_part_of_its_values() {
        let days: Arc<dyn Array> = Arc::new(Date32Array::from(vec![Some(0), None, Some(0), Some(1)]));
        let numbers: Arc<dyn Array> = Arc::new(Int64Array::from(vec![1, 2, 3, 4]));
        let batch = RecordBatch::try_from_iter([("day", days), ("n", numbers)]).unwrap();
        let parts = part(&batch, &[0]).unwrap();
        let found: Vec<(Option<&str>, Vec<i64>)> = parts
            .iter()
            .map(|(key, rows)| {
                let numbers = rows.column(1).as_primitive::<datafusion::arrow::datatypes::Int64Type>();
                (key[0].as_deref(), numbers.values().to_vec())
            })
            .collect();
        let expected = [
            (Some("1970-01-01"), vec![1, 3]),
            (None, vec![2]),
            (Some("1970-01-02"), vec![4]),
        ];
        assert_eq!(found, expected);
        assert_eq!(part(&batch, &[]).unwrap().len(), 1);
    }
}
