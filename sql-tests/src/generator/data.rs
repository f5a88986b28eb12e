//! Tables: a schema and rows, drawn from a seed.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int32Array, Int64Array, RecordBatch,
    StringArray, TimestampMicrosecondArray,
};

use super::random::Random;

/// What a column or an expression holds, as far as a query's meaning depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// Small integers.
    Int,
    /// 64-bit integers with both extremes; sums wrap.
    Big,
    /// Multiples of an eighth below a thousand: they add up exactly in any order.
    Float,
    /// NaN, infinities, both zeros, the smallest and the largest floats. Never summed.
    Wild,
    /// `DECIMAL(12, 2)`.
    Decimal,
    /// `DECIMAL(38, 4)` with both extremes. Never summed.
    Wide,
    /// Text: empty, long, beyond ASCII, with the wildcards of LIKE.
    Text,
    /// Dates from year 1 to year 9999.
    Date,
    /// Timestamps of the last century.
    Time,
    /// Timestamps from year 1 to year 9999: nanoseconds cannot hold them. Never computed with.
    Instant,
    /// Booleans.
    Bool,
    /// What may differ in its last digit or cannot be compared: means, deviations, lists. Only ever shown.
    Opaque,
}

/// Kinds that a table's columns have.
pub const STORED: [Kind; 11] = [
    Kind::Int,
    Kind::Big,
    Kind::Float,
    Kind::Wild,
    Kind::Decimal,
    Kind::Wide,
    Kind::Text,
    Kind::Date,
    Kind::Time,
    Kind::Instant,
    Kind::Bool,
];

/// A column.
#[derive(Debug, Clone)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// What it holds.
    pub kind: Kind,
}

/// A table. Its first column, `id`, is unique and not null.
#[derive(Debug, Clone)]
pub struct Table {
    /// Its name.
    pub name: String,
    /// Its columns.
    pub columns: Vec<Column>,
    /// Its rows.
    pub rows: RecordBatch,
}

/// Rows of the tables: none, one, few, and enough for several row groups in several files.
const SIZES: [usize; 6] = [0, 1, 9, 60, 130, 260];
/// Text that columns and literals are drawn from.
pub const WORDS: [&str; 14] = [
    "",
    "a",
    "b",
    "ab",
    "abc",
    "Abc",
    "a%b",
    "a_b",
    "  x ",
    "Grüße",
    "世界",
    "\u{1f9f1}",
    "it's",
    "zebra",
];
const EIGHTHS: usize = 8_000;
const DAY_LIMITS: [i32; 4] = [-719_162, 2_932_896, 0, 18_321];
const WILD: [f64; 10] = [
    f64::NAN,
    f64::INFINITY,
    f64::NEG_INFINITY,
    0.0,
    -0.0,
    f64::MAX,
    f64::MIN,
    5e-324,
    1.5,
    -1.5,
];
/// The largest number of 38 digits.
const WIDEST: i128 = 10_i128.pow(38) - 1;
const WIDE: [i128; 8] = [WIDEST, -WIDEST, 0, 1, -1, WIDEST - 1, 10_000, 10_i128.pow(20)];
/// The first and the last microsecond of years 1 to 9999, and some around the epoch.
const INSTANTS: [i64; 6] = [
    -62_135_596_800_000_000,
    253_402_300_799_999_999,
    0,
    -1,
    1,
    1_582_934_400_000_000,
];
const BIG: [i64; 8] = [i64::MIN, i64::MAX, 0, 1, -1, i64::MIN + 1, 1 << 40, -(1 << 40)];

/// Draws the tables.
pub(super) fn tables(random: &mut Random) -> Vec<Table> {
    SIZES
        .iter()
        .enumerate()
        .map(|(number, size)| table(random, number, *size))
        .collect()
}

fn table(random: &mut Random, number: usize, rows: usize) -> Table {
    let mut kinds = vec![Kind::Int, Kind::Text];
    kinds.extend((0..4 + random.below(5)).map(|_| *random.pick(&STORED)));
    let mut columns = vec![Column {
        name: "id".to_owned(),
        kind: Kind::Int,
    }];
    let ids = Arc::new(Int32Array::from_iter_values((0..rows as i32).map(|n| n * 3 % 1009))) as ArrayRef;
    let mut arrays = vec![("id".to_owned(), ids)];
    for (place, kind) in kinds.into_iter().enumerate() {
        let name = format!("{}{place}", letter(kind));
        // Some columns are all null, some never.
        let nulls = *random.pick(&[0, 0, 0, 5, 10, 10, 30, 100]);
        arrays.push((name.clone(), array(random, kind, rows, nulls)));
        columns.push(Column { name, kind });
    }
    let columns_of_batch = arrays.into_iter().map(|(name, array)| (name, array, true));
    Table {
        name: format!("t{number}"),
        columns,
        rows: RecordBatch::try_from_iter_with_nullable(columns_of_batch).expect("columns have one length"),
    }
}

fn letter(kind: Kind) -> char {
    match kind {
        Kind::Int => 'i',
        Kind::Big => 'b',
        Kind::Float => 'f',
        Kind::Wild => 'w',
        Kind::Decimal => 'd',
        Kind::Wide => 'h',
        Kind::Text => 's',
        Kind::Date => 'y',
        Kind::Time => 't',
        Kind::Instant => 'u',
        Kind::Bool => 'o',
        Kind::Opaque => 'q',
    }
}

fn array(random: &mut Random, kind: Kind, rows: usize, nulls: usize) -> ArrayRef {
    // Few values make duplicates and matches, many make neither.
    let values = *random.pick(&[3, 12, 40, 900]);
    let mut random = random.fork(random_salt(kind));
    let mut draw = |value: &mut dyn FnMut(&mut Random, usize)| {
        for _ in 0..rows {
            let pick = random.below(values);
            value(&mut random, pick);
        }
    };
    macro_rules! drawn {
        ($of:expr) => {{
            let mut out = Vec::with_capacity(rows);
            let of = $of;
            draw(&mut |random, pick| out.push((!random.percent(nulls)).then(|| of(random, pick))));
            out
        }};
    }
    match kind {
        Kind::Int => Arc::new(Int32Array::from(drawn!(|_: &mut Random, n: usize| n as i32 - 2))),
        Kind::Big => Arc::new(Int64Array::from(drawn!(|_: &mut Random, n: usize| BIG[n % BIG.len()]))),
        Kind::Float => Arc::new(Float64Array::from(drawn!(|_: &mut Random, n: usize| {
            (n * 37 % EIGHTHS) as f64 / 8.0 - 100.0
        }))),
        Kind::Wild => Arc::new(Float64Array::from(drawn!(
            |_: &mut Random, n: usize| WILD[n % WILD.len()]
        ))),
        Kind::Decimal => decimals(drawn!(|_: &mut Random, n: usize| n as i128 * 1_009 - 5_000), 12, 2),
        Kind::Wide => decimals(drawn!(|_: &mut Random, n: usize| WIDE[n % WIDE.len()]), 38, 4),
        Kind::Instant => Arc::new(TimestampMicrosecondArray::from(drawn!(|_: &mut Random, n: usize| {
            INSTANTS[n % INSTANTS.len()]
        }))),
        Kind::Text => Arc::new(StringArray::from(drawn!(text))),
        Kind::Date => Arc::new(Date32Array::from(drawn!(date))),
        Kind::Time => Arc::new(TimestampMicrosecondArray::from(drawn!(|_: &mut Random, n: usize| {
            n as i64 * 86_400_000_123 * 7 - 500_000_000_000_000
        }))),
        Kind::Bool => Arc::new(BooleanArray::from(drawn!(
            |_: &mut Random, n: usize| n.is_multiple_of(3)
        ))),
        Kind::Opaque => unreachable!("no table holds opaque values"),
    }
}

fn random_salt(kind: Kind) -> u64 {
    kind as u64 + 1
}

fn text(_: &mut Random, n: usize) -> &'static str {
    WORDS[n % WORDS.len()]
}

fn date(_: &mut Random, n: usize) -> i32 {
    DAY_LIMITS.get(n).copied().unwrap_or(18_000 + n as i32)
}

fn decimals(values: Vec<Option<i128>>, precision: u8, scale: i8) -> ArrayRef {
    let array = Decimal128Array::from(values).with_precision_and_scale(precision, scale);
    Arc::new(array.expect("values fit their type"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_and_an_empty_table_appear_soon() {
        let universes: Vec<_> = (0..20).map(|seed| tables(&mut Random::new(seed))).collect();
        assert!(universes.iter().all(|tables| tables[0].rows.num_rows() == 0));
        for kind in STORED {
            let found = universes
                .iter()
                .flatten()
                .any(|table| table.columns.iter().any(|column| column.kind == kind));
            assert!(found, "{kind:?}");
        }
    }

    #[test]
    fn ids_are_unique() {
        for table in tables(&mut Random::new(3)) {
            let ids = table
                .rows
                .column(0)
                .as_any()
                .downcast_ref::<Int32Array>()
                .expect("ids are integers");
            let unique: std::collections::BTreeSet<_> = ids.values().iter().collect();
            assert_eq!(unique.len(), table.rows.num_rows());
        }
    }
}
