//! Types as clients get them.
//!
//! The engine works with types that many clients cannot read: string views, dictionaries, half floats, small decimals. Results are cast
//! at the edge, and every schema that is shown goes through the same function, so that what was advertised is what is streamed.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DECIMAL128_MAX_PRECISION, DataType, Field, FieldRef, Schema, SchemaRef};

use crate::error::{Error, Result};

/// Batches are cut so that one message stays well below the 16 MiB that ADBC takes.
pub(crate) const MAX_BATCH_BYTES: usize = 8 << 20;

/// Keys of a column's metadata in Flight SQL: how many digits, and how many of them after the point.
pub(crate) const PRECISION: &str = "ARROW:FLIGHT:SQL:PRECISION";
pub(crate) const SCALE: &str = "ARROW:FLIGHT:SQL:SCALE";

/// The type that a client gets for a type of the engine.
#[must_use]
pub(crate) fn plain_type(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Utf8View => DataType::Utf8,
        DataType::BinaryView => DataType::Binary,
        DataType::Float16 => DataType::Float32,
        DataType::Decimal32(precision, scale) | DataType::Decimal64(precision, scale) => {
            DataType::Decimal128(*precision, *scale)
        }
        DataType::Dictionary(_, value) => plain_type(value),
        DataType::RunEndEncoded(_, values) => plain_type(values.data_type()),
        DataType::List(item) | DataType::ListView(item) => DataType::List(plain_field(item)),
        DataType::LargeList(item) | DataType::LargeListView(item) => DataType::LargeList(plain_field(item)),
        DataType::FixedSizeList(item, length) => DataType::FixedSizeList(plain_field(item), *length),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(plain_field).collect()),
        DataType::Map(entries, sorted) => DataType::Map(plain_field(entries), *sorted),
        other => other.clone(),
    }
}

fn plain_field(field: &FieldRef) -> FieldRef {
    let data_type = plain_type(field.data_type());
    if data_type == *field.data_type() {
        Arc::clone(field)
    } else {
        Arc::new(field.as_ref().clone().with_data_type(data_type))
    }
}

/// The schema that a client gets.
#[must_use]
pub(crate) fn plain_schema(schema: &Schema) -> SchemaRef {
    let fields: Vec<FieldRef> = schema.fields().iter().map(plain_field).collect();
    Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone()))
}

/// The schema of a query's result: plain types, and for decimals the digits in the metadata where JDBC looks for them.
#[must_use]
pub(crate) fn result_schema(schema: &Schema) -> SchemaRef {
    let plain = plain_schema(schema);
    let fields = plain.fields().iter().map(|field| match digits(field.data_type()) {
        Some((precision, scale)) => {
            let mut metadata = field.metadata().clone();
            metadata.insert(PRECISION.to_owned(), precision.to_string());
            metadata.insert(SCALE.to_owned(), scale.to_string());
            Arc::new(field.as_ref().clone().with_metadata(metadata))
        }
        None => Arc::clone(field),
    });
    let fields: Vec<FieldRef> = fields.collect();
    Arc::new(Schema::new_with_metadata(fields, plain.metadata().clone()))
}

/// The same columns, each of which may be NULL.
#[must_use]
pub(crate) fn nullable_schema(schema: &Schema) -> SchemaRef {
    let fields = schema.fields().iter();
    let fields: Vec<Field> = fields.map(|field| field.as_ref().clone().with_nullable(true)).collect();
    Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone()))
}

/// Precision and scale of a decimal.
#[must_use]
pub(crate) fn digits(data_type: &DataType) -> Option<(u8, i8)> {
    match data_type {
        DataType::Decimal128(precision, scale) | DataType::Decimal256(precision, scale) => Some((*precision, *scale)),
        _ => None,
    }
}

/// A parameter as it is shown to a client that is to bind it: nullable, and in the one unit that JDBC writes times in.
#[must_use]
pub(crate) fn parameter_schema(schema: &Schema) -> SchemaRef {
    use datafusion::arrow::datatypes::TimeUnit;
    let fields = schema.fields().iter().map(|field| {
        let data_type = match plain_type(field.data_type()) {
            DataType::Timestamp(..) => DataType::Timestamp(TimeUnit::Millisecond, None),
            DataType::Time64(_) | DataType::Time32(_) => DataType::Time32(TimeUnit::Millisecond),
            // JDBC writes days into whatever kind of date is shown, and knows decimals of 128 bits only.
            DataType::Date64 => DataType::Date32,
            DataType::Decimal256(_, scale) => DataType::Decimal128(DECIMAL128_MAX_PRECISION, scale),
            DataType::LargeUtf8 | DataType::Null => DataType::Utf8,
            other => other,
        };
        Field::new(field.name(), data_type, true)
    });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// Casts a batch to the schema that was advertised for it.
///
/// # Errors
/// [`Error::Internal`] if the batch has other columns than were advertised.
pub(crate) fn to_wire(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    if batch.num_columns() != schema.fields().len() {
        let problem = format!(
            "a batch has {} columns, {} were advertised",
            batch.num_columns(),
            schema.fields().len()
        );
        return Err(Error::Internal(problem));
    }
    let columns = batch
        .columns()
        .iter()
        .zip(schema.fields())
        .map(|(column, field)| to_type(column, field));
    let columns = columns.collect::<Result<Vec<_>>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)
        .map_err(|error| Error::Internal(format!("a batch does not fit the advertised schema: {error}")))
}

fn to_type(column: &ArrayRef, field: &Field) -> Result<ArrayRef> {
    if column.data_type() == field.data_type() {
        return Ok(Arc::clone(column));
    }
    cast(column, field.data_type()).map_err(|error| {
        let (from, to) = (column.data_type(), field.data_type());
        Error::Internal(format!("column {}: cannot send {from} as {to}: {error}", field.name()))
    })
}

/// Cuts a batch into pieces of at most [`MAX_BATCH_BYTES`], or single rows.
pub(crate) fn split(batch: RecordBatch) -> Vec<RecordBatch> {
    let mut pieces = Vec::new();
    let mut todo = vec![batch];
    while let Some(batch) = todo.pop() {
        let rows = batch.num_rows();
        if rows <= 1 || slice_bytes(&batch) <= MAX_BATCH_BYTES {
            pieces.push(batch);
        } else {
            let half = rows / 2;
            todo.push(batch.slice(half, rows - half));
            todo.push(batch.slice(0, half));
        }
    }
    pieces
}

fn slice_bytes(batch: &RecordBatch) -> usize {
    let sizes = batch
        .columns()
        .iter()
        .map(|column| column.to_data().get_slice_memory_size().unwrap_or(usize::MAX));
    sizes.fold(0, usize::saturating_add)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use datafusion::arrow::array::{
        Array, AsArray, DictionaryArray, Float16Array, Int32Array, ListArray, StringArray, StringViewArray, StructArray,
    };
    use datafusion::arrow::datatypes::{Int32Type, Int64Type};

    use super::*;

    fn wire(column: ArrayRef) -> ArrayRef {
        let batch = RecordBatch::try_from_iter_with_nullable([("c", column, true)]).unwrap();
        let sent = to_wire(&batch, &plain_schema(&batch.schema())).unwrap();
        Arc::clone(sent.column(0))
    }

    #[test]
    fn types_that_clients_cannot_read_are_cast() {
        let text = [Some("a"), None, Some("a longer text than fits into a view")];
        assert_eq!(
            wire(Arc::new(StringViewArray::from_iter(text))).as_string::<i32>(),
            &StringArray::from_iter(text)
        );
        let dictionary: DictionaryArray<Int32Type> = text.into_iter().collect();
        assert_eq!(
            wire(Arc::new(dictionary)).as_string::<i32>(),
            &StringArray::from_iter(text)
        );
        assert_eq!(
            wire(Arc::new(Float16Array::from_iter_values([]))).data_type(),
            &DataType::Float32
        );
        let small = cast(&Int32Array::from(vec![Some(5), None]), &DataType::Decimal32(9, 2)).unwrap();
        assert_eq!(wire(small).data_type(), &DataType::Decimal128(9, 2));
    }

    #[test]
    fn nested_types_are_cast_inside() {
        let views: ArrayRef = Arc::new(StringViewArray::from_iter(["a", "b"].map(Some)));
        let nested = StructArray::from(vec![(Arc::new(Field::new("v", DataType::Utf8View, true)), views)]);
        let DataType::Struct(fields) = wire(Arc::new(nested)).data_type().clone() else {
            panic!("a struct")
        };
        assert_eq!(fields[0].data_type(), &DataType::Utf8);
        let list = ListArray::from_iter_primitive::<Int64Type, _, _>([Some(vec![Some(1)])]);
        assert_eq!(wire(Arc::new(list.clone())).as_list::<i32>(), &list);
    }

    #[test]
    fn parameters_are_nullable_milliseconds() {
        use datafusion::arrow::datatypes::TimeUnit;
        let schema = Schema::new(vec![Field::new(
            "$1",
            DataType::Timestamp(TimeUnit::Nanosecond, None),
            false,
        )]);
        let shown = parameter_schema(&schema);
        assert_eq!(
            *shown.field(0),
            Field::new("$1", DataType::Timestamp(TimeUnit::Millisecond, None), true)
        );
    }

    #[test]
    fn parameters_have_the_types_that_jdbc_can_bind() {
        let types = [
            DataType::Date64,
            DataType::Decimal256(50, 2),
            DataType::Utf8View,
            DataType::LargeUtf8,
        ];
        let fields = types.into_iter().map(|data_type| Field::new("$", data_type, false));
        let shown = parameter_schema(&Schema::new(fields.collect::<Vec<_>>()));
        let shown: Vec<_> = shown.fields().iter().map(|field| field.data_type().clone()).collect();
        let expected = [
            DataType::Date32,
            DataType::Decimal128(38, 2),
            DataType::Utf8,
            DataType::Utf8,
        ];
        assert_eq!(shown, expected);
    }

    #[test]
    fn decimals_of_a_result_tell_their_digits() {
        let schema = Schema::new(vec![
            Field::new("d", DataType::Decimal64(12, 3), true),
            Field::new("i", DataType::Int64, true),
        ]);
        let shown = result_schema(&schema);
        assert_eq!(shown.field(0).data_type(), &DataType::Decimal128(12, 3));
        let metadata = shown.field(0).metadata();
        assert_eq!((metadata[PRECISION].as_str(), metadata[SCALE].as_str()), ("12", "3"));
        assert!(shown.field(1).metadata().is_empty());
    }

    #[test]
    fn wide_rows_are_sent_in_pieces() {
        let text = "x".repeat(MAX_BATCH_BYTES / 4);
        let column = StringArray::from_iter_values((0..20).map(|_| &text));
        let batch = RecordBatch::try_from_iter([("c", Arc::new(column) as ArrayRef)]).unwrap();
        let pieces = split(batch.clone());
        assert!(pieces.len() >= 5 && pieces.iter().all(|piece| slice_bytes(piece) <= MAX_BATCH_BYTES));
        assert_eq!(
            datafusion::arrow::compute::concat_batches(&batch.schema(), &pieces).unwrap(),
            batch
        );
    }
}
