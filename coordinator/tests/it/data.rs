//! Three small tables in the shape of TPC-H, as batches and as Parquet and CSV files.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, Date32Array, Decimal128Array, Int64Array, StringArray};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::record_batch::RecordBatch;
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;

pub(crate) struct Table {
    pub(crate) name: &'static str,
    pub(crate) batch: RecordBatch,
}

impl Table {
    pub(crate) fn schema(&self) -> SchemaRef {
        self.batch.schema()
    }
}

/// A generator that gives the same numbers each time.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

fn column<T>(rows: u64, mut make: impl FnMut(u64) -> T) -> Vec<T> {
    (0..rows).map(&mut make).collect()
}

fn ints(values: Vec<u64>) -> ArrayRef {
    Arc::new(Int64Array::from_iter_values(
        values.into_iter().map(|value| value as i64),
    ))
}

fn cents(values: Vec<u64>) -> ArrayRef {
    let values = Decimal128Array::from_iter_values(values.into_iter().map(i128::from));
    Arc::new(values.with_precision_and_scale(15, 2).unwrap())
}

const CUSTOMERS: u64 = 1_000;
const ORDERS: u64 = 10_000;
const LINES: u64 = 40_000;

pub(crate) fn tables() -> Vec<Table> {
    vec![customers(), orders(), lines()]
}

fn customers() -> Table {
    let mut numbers = Numbers(1);
    let names = column(CUSTOMERS, |key| format!("Customer#{key:09}"));
    let segments = column(CUSTOMERS, |_| {
        ["BUILDING", "MACHINERY", "FURNITURE"][numbers.below(3) as usize]
    });
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("c_key", ints(column(CUSTOMERS, |key| key))),
        ("c_name", Arc::new(StringArray::from(names))),
        ("c_segment", Arc::new(StringArray::from(segments))),
        ("c_nation", ints(column(CUSTOMERS, |_| numbers.below(25)))),
    ];
    Table {
        name: "customers",
        batch: RecordBatch::try_from_iter(columns).unwrap(),
    }
}

fn orders() -> Table {
    let mut numbers = Numbers(2);
    // Some customers have no order, and some orders have no priority.
    let customers = column(ORDERS, |_| numbers.below(CUSTOMERS) / 3 * 3);
    let dates = Date32Array::from_iter_values(column(ORDERS, |_| 8_000 + numbers.below(2_400) as i32));
    let priority = |numbers: &mut Numbers| (numbers.below(7) > 0).then(|| format!("{}-P", numbers.below(5)));
    let priorities: StringArray = (0..ORDERS).map(|_| priority(&mut numbers)).collect();
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("o_key", ints(column(ORDERS, |key| key * 4))),
        ("o_customer", ints(customers)),
        ("o_date", Arc::new(dates)),
        ("o_priority", Arc::new(priorities)),
        ("o_total", cents(column(ORDERS, |_| 1_000 + numbers.below(50_000_000)))),
    ];
    Table {
        name: "orders",
        batch: RecordBatch::try_from_iter_with_nullable(nullable(columns)).unwrap(),
    }
}

fn lines() -> Table {
    let mut numbers = Numbers(3);
    let flags = column(LINES, |_| ["A", "N", "R"][numbers.below(3) as usize]);
    let comments = column(LINES, |line| format!("line {line} says {}", numbers.below(1_000_000)));
    let ship = Date32Array::from_iter_values(column(LINES, |_| 8_010 + numbers.below(2_500) as i32));
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("l_order", ints(column(LINES, |_| numbers.below(ORDERS) * 4))),
        ("l_part", ints(column(LINES, |_| numbers.below(2_000)))),
        ("l_quantity", cents(column(LINES, |_| 100 * (1 + numbers.below(50))))),
        ("l_price", cents(column(LINES, |_| 100 + numbers.below(10_000_000)))),
        ("l_discount", cents(column(LINES, |_| numbers.below(11)))),
        ("l_flag", Arc::new(StringArray::from(flags))),
        ("l_ship", Arc::new(ship)),
        ("l_comment", Arc::new(StringArray::from(comments))),
    ];
    Table {
        name: "lines",
        batch: RecordBatch::try_from_iter(columns).unwrap(),
    }
}

fn nullable(columns: Vec<(&str, ArrayRef)>) -> impl IntoIterator<Item = (&str, ArrayRef, bool)> {
    columns
        .into_iter()
        .map(|(name, array)| (name, array, name == "o_priority"))
}

/// The rows as Parquet files: `files` of them, with row groups of at most `group` rows.
pub(crate) fn parquet_files(batch: &RecordBatch, files: usize, group: usize) -> Vec<Vec<u8>> {
    let rows = batch.num_rows();
    let part = |file: usize| {
        let (start, end) = (rows * file / files, rows * (file + 1) / files);
        let properties = WriterProperties::builder()
            .set_max_row_group_row_count(Some(group))
            .build();
        let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties)).unwrap();
        writer.write(&batch.slice(start, end - start)).unwrap();
        writer.into_inner().unwrap()
    };
    (0..files).map(part).collect()
}

/// The rows as one CSV file with a header.
pub(crate) fn csv_file(batch: &RecordBatch) -> Vec<u8> {
    let mut writer = datafusion::arrow::csv::WriterBuilder::new()
        .with_header(true)
        .build(Vec::new());
    writer.write(batch).unwrap();
    writer.into_inner()
}
