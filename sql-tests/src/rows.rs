//! The rows of the fixtures: computed from the row number, so that a reader can tell what to expect.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float32Array, Float64Array, Int8Array,
    Int16Array, Int32Array, Int64Array, RecordBatch, StringArray, Time64MicrosecondArray, TimestampMicrosecondArray,
    UInt8Array, UInt64Array,
};

/// 2020-01-01 in days since 1970.
const DAY_0: i32 = 18_262;
/// The same in microseconds.
const MICROS_0: i64 = 1_577_836_800_000_000;

/// A number that looks random and is the same everywhere (splitmix64).
pub(crate) fn mix(n: i64, salt: u64) -> u64 {
    let mut z = (n as u64)
        .wrapping_mul(0x9e37_79b9_7f4a_7c15)
        .wrapping_add(salt.wrapping_mul(0xd1b5_4a32_d192_ed03));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Text of `len` characters that does not compress: it makes files larger than blocks.
fn padding(n: i64, len: usize) -> String {
    (0..len as u64)
        .map(|i| char::from(b'a' + (mix(n, i + 1000) % 26) as u8))
        .collect()
}

fn pad(rows: &[i64], len: usize) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(rows.iter().map(|&n| padding(n, len))))
}

fn strings<'a>(values: impl Iterator<Item = Option<&'a str>>) -> ArrayRef {
    Arc::new(StringArray::from_iter(values))
}

fn decimals(values: impl Iterator<Item = Option<i128>>, precision: u8, scale: i8) -> ArrayRef {
    let array = Decimal128Array::from_iter(values).with_precision_and_scale(precision, scale);
    Arc::new(array.expect("the fixture's values fit its precision"))
}

fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true)))
        .expect("the fixture's columns have one length")
}

/// Every `n`th row is null.
fn unless<T>(row: i64, every: i64, value: T) -> Option<T> {
    (row % every != 0).then_some(value)
}

/// `items`: the wide table.
pub(crate) fn items(rows: &[i64]) -> RecordBatch {
    const KINDS: [&str; 5] = ["apple", "banana", "cherry", "damson", "elder"];
    let of = |n: &i64, salt: u64, modulus: u64| mix(*n, salt) % modulus;
    batch(vec![
        ("id", Arc::new(Int64Array::from(rows.to_vec()))),
        (
            "grp",
            Arc::new(Int32Array::from_iter(
                rows.iter().map(|&n| unless(n, 50, (n % 7) as i32)),
            )),
        ),
        (
            "name",
            Arc::new(StringArray::from_iter_values(
                rows.iter().map(|n| format!("item {n:04}")),
            )),
        ),
        (
            "kind",
            strings(rows.iter().map(|n| unless(*n, 11, KINDS[of(n, 1, 5) as usize]))),
        ),
        (
            "qty",
            Arc::new(Int32Array::from_iter_values(rows.iter().map(|n| of(n, 2, 100) as i32))),
        ),
        (
            "price",
            decimals(
                rows.iter().map(|n| unless(*n, 13, i128::from(of(n, 3, 100_000)))),
                10,
                2,
            ),
        ),
        (
            "weight",
            Arc::new(Float64Array::from_iter(
                rows.iter().map(|n| unless(*n, 17, of(n, 4, 8_000) as f64 / 8.0)),
            )),
        ),
        (
            "ok",
            Arc::new(BooleanArray::from_iter(
                rows.iter().map(|n| unless(*n, 19, of(n, 5, 3) == 0)),
            )),
        ),
        (
            "day",
            Arc::new(Date32Array::from_iter_values(
                rows.iter().map(|n| DAY_0 + (n % 731) as i32),
            )),
        ),
        (
            "at",
            Arc::new(TimestampMicrosecondArray::from_iter_values(
                rows.iter().map(|n| MICROS_0 + n * 3_601_000_123),
            )),
        ),
        ("pad", pad(rows, 400)),
    ])
}

/// `sales`: many rows that refer to `items`, some to none.
pub(crate) fn sales(rows: &[i64]) -> RecordBatch {
    const WHO: [&str; 6] = ["ann", "bob", "cid", "dora", "eve", "fay"];
    batch(vec![
        ("sale", Arc::new(Int64Array::from(rows.to_vec()))),
        (
            "item",
            Arc::new(Int64Array::from_iter(
                rows.iter().map(|&n| unless(n, 97, (mix(n, 11) % 3_300) as i64 + 1)),
            )),
        ),
        (
            "who",
            strings(rows.iter().map(|n| unless(*n, 23, WHO[(mix(*n, 12) % 6) as usize]))),
        ),
        (
            "pieces",
            Arc::new(Int32Array::from_iter_values(
                rows.iter().map(|n| (mix(*n, 13) % 10) as i32 + 1),
            )),
        ),
        (
            "paid",
            decimals(
                rows.iter().map(|n| unless(*n, 29, i128::from(mix(*n, 14) % 1_000_000))),
                12,
                3,
            ),
        ),
        ("pad", pad(rows, 120)),
    ])
}

/// `nums`: a number and nothing else.
pub(crate) fn nums(rows: &[i64]) -> RecordBatch {
    batch(vec![
        ("n", Arc::new(Int64Array::from(rows.to_vec()))),
        ("pad", pad(rows, 100)),
    ])
}

/// `emp`: few rows, with a boss and a department, or none.
pub(crate) fn emp(rows: &[i64]) -> RecordBatch {
    const NAMES: [&str; 12] = [
        "ada", "ben", "cleo", "dan", "eva", "finn", "gus", "hana", "ivo", "jana", "kai", "lea",
    ];
    const DEPTS: [Option<i32>; 12] = [
        Some(1),
        Some(1),
        Some(2),
        Some(2),
        Some(2),
        Some(3),
        Some(3),
        None,
        Some(9),
        Some(1),
        Some(3),
        None,
    ];
    const BOSSES: [Option<i64>; 12] = [
        None,
        Some(1),
        Some(1),
        Some(3),
        Some(3),
        Some(1),
        Some(6),
        Some(1),
        Some(8),
        Some(2),
        Some(6),
        None,
    ];
    let at = |n: &i64| (*n - 1) as usize;
    batch(vec![
        ("id", Arc::new(Int64Array::from(rows.to_vec()))),
        ("name", strings(rows.iter().map(|n| Some(NAMES[at(n)])))),
        (
            "dept",
            Arc::new(Int32Array::from_iter(rows.iter().map(|n| DEPTS[at(n)]))),
        ),
        (
            "boss",
            Arc::new(Int64Array::from_iter(rows.iter().map(|n| BOSSES[at(n)]))),
        ),
        (
            "salary",
            decimals(
                rows.iter()
                    .map(|n| unless(*n, 11, i128::from(300_000 + (*n % 5) * 50_000))),
                9,
                2,
            ),
        ),
        (
            "hired",
            Arc::new(Date32Array::from_iter_values(
                rows.iter().map(|n| DAY_0 + (*n as i32 * 97) % 700),
            )),
        ),
        ("pad", pad(rows, 50_000)),
    ])
}

/// `dept`: 1 to 5; nobody works in 4 and 5, and 9 is missing.
pub(crate) fn dept(rows: &[i64]) -> RecordBatch {
    const NAMES: [Option<&str>; 5] = [Some("sales"), Some("research"), Some("support"), Some("legal"), None];
    batch(vec![
        (
            "id",
            Arc::new(Int32Array::from_iter_values(rows.iter().map(|n| *n as i32))),
        ),
        ("name", strings(rows.iter().map(|n| NAMES[(*n - 1) as usize]))),
        ("pad", pad(rows, 72_000)),
    ])
}

/// `l` and `r`: keys with duplicates and nulls on both sides. Keys of `l`: 1 1 2 3 null 5 7 null; of `r`: 1 2 2 4 null 5 5 8 null 1.
pub(crate) fn keyed(rows: &[i64], keys: &[Option<i32>], value: &str) -> RecordBatch {
    let at = |n: &i64| (*n - 1) as usize;
    batch(vec![
        ("k", Arc::new(Int32Array::from_iter(rows.iter().map(|n| keys[at(n)])))),
        (
            value,
            Arc::new(StringArray::from_iter_values(
                rows.iter().map(|n| format!("{value}{n}")),
            )),
        ),
        ("pad", pad(rows, 36_000)),
    ])
}

/// `typed`: least, greatest, ordinary and null values of every type. Rows 1 to 6.
pub(crate) fn typed(rows: &[i64]) -> RecordBatch {
    fn pick<T: Copy>(rows: &[i64], values: [T; 4]) -> Vec<Option<T>> {
        // Row 5 is null throughout; row 6 repeats row 3.
        rows.iter()
            .map(|&n| (n != 5).then(|| values[((n - 1) % 4).min(3) as usize]))
            .collect()
    }
    let text = pick(rows, ["", "Grüße, 世界", "plain", "it's \"quoted\""]);
    let bytes: [&[u8]; 4] = [b"", b"\x00\xff", b"abc", b"\n"];
    batch(vec![
        ("id", Arc::new(Int64Array::from(rows.to_vec()))),
        ("i8", Arc::new(Int8Array::from(pick(rows, [i8::MIN, i8::MAX, 0, 42])))),
        (
            "i16",
            Arc::new(Int16Array::from(pick(rows, [i16::MIN, i16::MAX, 0, 42]))),
        ),
        (
            "i32",
            Arc::new(Int32Array::from(pick(rows, [i32::MIN, i32::MAX, 0, 42]))),
        ),
        (
            "i64",
            Arc::new(Int64Array::from(pick(rows, [i64::MIN, i64::MAX, 0, 42]))),
        ),
        ("u8", Arc::new(UInt8Array::from(pick(rows, [0, u8::MAX, 1, 42])))),
        ("u64", Arc::new(UInt64Array::from(pick(rows, [0, u64::MAX, 1, 42])))),
        (
            "f32",
            Arc::new(Float32Array::from(pick(rows, [-1.5, f32::INFINITY, 0.0, 0.25]))),
        ),
        (
            "f64",
            Arc::new(Float64Array::from(pick(rows, [-1.5, f64::NAN, 0.0, 1e300]))),
        ),
        (
            "b",
            Arc::new(BooleanArray::from(pick(rows, [true, false, true, false]))),
        ),
        ("t", Arc::new(StringArray::from(text))),
        ("bin", Arc::new(BinaryArray::from(pick(rows, bytes)))),
        (
            "d",
            Arc::new(Date32Array::from(pick(rows, [-719_162, 2_932_896, 0, DAY_0]))),
        ),
        (
            "tod",
            Arc::new(Time64MicrosecondArray::from(pick(
                rows,
                [0, 86_399_999_999, 45_296_000_000, 1],
            ))),
        ),
        (
            "ts",
            Arc::new(TimestampMicrosecondArray::from(pick(
                rows,
                [-1, MICROS_0, 0, 1_709_210_096_789_123],
            ))),
        ),
        (
            "dec",
            decimals(
                pick(
                    rows,
                    [-99_999_999_999_999_999_999_i128, 99_999_999_999_999_999_999, 0, 123],
                )
                .into_iter(),
                38,
                10,
            ),
        ),
        ("pad", pad(rows, 50_000)),
    ])
}

/// `people.csv`: text with quotes, commas, empty fields, umlauts.
pub(crate) fn people_line(n: i64) -> String {
    const CITIES: [&str; 5] = ["Berlin", "\"Paris, France\"", "Köln", "", "\"the \"\"Hague\"\"\""];
    let city = CITIES[(mix(n, 21) % 5) as usize];
    let age = if n % 31 == 0 {
        String::new()
    } else {
        (mix(n, 22) % 90).to_string()
    };
    let score = (mix(n, 23) % 2_000) as f64 / 16.0;
    let joined = format!(
        "20{:02}-{:02}-{:02}",
        mix(n, 24) % 25,
        mix(n, 25) % 12 + 1,
        mix(n, 26) % 28 + 1
    );
    format!("{n},person {n},{city},{age},{score},{joined},{}\n", n % 3 == 0)
}
