//! The tables that the SQL files speak of, and their files.
//!
//! Every table has several files of several row groups, and every file is several times larger than [`BLOCK`], so that on a cluster every
//! table is split, its row groups cross block borders, and all workers take part. That is what the `pad` columns are for.

use std::ops::RangeInclusive;
use std::sync::Arc;

use anyhow::Result;
use arrow::array::RecordBatch;
use bytes::Bytes;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;

use crate::{formats, rows};

/// Block size of the file system under test, in bytes: far below a row group's.
pub const BLOCK: u64 = 64 * 1024;

/// Directory of the files.
const DIR: &str = "fixtures";

type Rows = fn(&[i64]) -> RecordBatch;

/// A Parquet table: its rows are numbered from 1.
struct Table {
    name: &'static str,
    rows: Rows,
    count: i64,
    files: i64,
    /// Rows of a row group.
    group: usize,
}

const TABLES: [Table; 8] = [
    Table {
        name: "items",
        rows: rows::items,
        count: 3_000,
        files: 3,
        group: 250,
    },
    Table {
        name: "sales",
        rows: rows::sales,
        count: 6_000,
        files: 4,
        group: 400,
    },
    Table {
        name: "nums",
        rows: rows::nums,
        count: 10_000,
        files: 4,
        group: 500,
    },
    Table {
        name: "emp",
        rows: rows::emp,
        count: 12,
        files: 2,
        group: 2,
    },
    Table {
        name: "dept",
        rows: rows::dept,
        count: 5,
        files: 2,
        group: 1,
    },
    Table {
        name: "l",
        rows: left,
        count: 8,
        files: 2,
        group: 1,
    },
    Table {
        name: "r",
        rows: right,
        count: 10,
        files: 2,
        group: 2,
    },
    Table {
        name: "typed",
        rows: rows::typed,
        count: 6,
        files: 2,
        group: 1,
    },
];

/// A table without rows: one file with a schema and no row group.
const EMPTY: &str = "nothing";
/// The CSV table: lines and files.
const PEOPLE: (&str, i64, i64) = ("people", 4_000, 2);

fn left(rows: &[i64]) -> RecordBatch {
    rows::keyed(
        rows,
        &[Some(1), Some(1), Some(2), Some(3), None, Some(5), Some(7), None],
        "a",
    )
}

fn right(rows: &[i64]) -> RecordBatch {
    let keys = [
        Some(1),
        Some(2),
        Some(2),
        Some(4),
        None,
        Some(5),
        Some(5),
        Some(8),
        None,
        Some(1),
    ];
    rows::keyed(rows, &keys, "b")
}

/// The statements that make tables of the files under `base`, such as `hdfs://host:port`.
pub fn statements(base: &str) -> Vec<String> {
    let parquet = TABLES.iter().map(|table| table.name).chain([EMPTY]);
    let mut statements: Vec<String> = parquet
        .map(|name| format!("CREATE EXTERNAL TABLE {name} STORED AS PARQUET LOCATION '{base}/{DIR}/{name}/'"))
        .collect();
    let (people, ..) = PEOPLE;
    statements.push(format!(
        "CREATE EXTERNAL TABLE {people} (id BIGINT, name VARCHAR, city VARCHAR, age INT, score DOUBLE, joined DATE, third BOOLEAN) \
         STORED AS CSV LOCATION '{base}/{DIR}/{people}/' OPTIONS ('format.has_header' 'true')"
    ));
    statements
}

/// Writes all files.
///
/// # Errors
/// Those of the store.
pub async fn write(store: &Arc<dyn ObjectStore>) -> Result<()> {
    for table in &TABLES {
        for (part, rows) in parts(table.count, table.files).enumerate() {
            let rows: Vec<i64> = rows.collect();
            put(
                store,
                &format!("{}/part-{part}.parquet", table.name),
                parquet(&(table.rows)(&rows), table.group)?,
            )
            .await?;
        }
    }
    put(
        store,
        &format!("{EMPTY}/part-0.parquet"),
        parquet(&rows::items(&[]), 1)?,
    )
    .await?;
    let (people, count, files) = PEOPLE;
    for (part, rows) in parts(count, files).enumerate() {
        let lines: String = rows.map(rows::people_line).collect();
        let text = format!("id,name,city,age,score,joined,third\n{lines}");
        put(store, &format!("{people}/part-{part}.csv"), text.into_bytes()).await?;
    }
    formats::write(store).await
}

/// Cuts the rows 1 to `count` into `files` runs.
fn parts(count: i64, files: i64) -> impl Iterator<Item = RangeInclusive<i64>> {
    (0..files).map(move |file| count * file / files + 1..=count * (file + 1) / files)
}

fn parquet(batch: &RecordBatch, group: usize) -> Result<Vec<u8>> {
    let properties = WriterProperties::builder()
        .set_compression(Compression::UNCOMPRESSED)
        .set_max_row_group_row_count(Some(group))
        .set_created_by("quarry-sql-tests".to_owned())
        .build();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties))?;
    writer.write(batch)?;
    Ok(writer.into_inner()?)
}

async fn put(store: &Arc<dyn ObjectStore>, name: &str, content: Vec<u8>) -> Result<()> {
    store
        .put(&Path::from(format!("{DIR}/{name}")), Bytes::from(content).into())
        .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_file_with_rows_is_larger_than_two_blocks() {
        for table in &TABLES {
            for rows in parts(table.count, table.files) {
                let rows: Vec<i64> = rows.collect();
                let len = parquet(&(table.rows)(&rows), table.group).unwrap().len() as u64;
                assert!(len > 2 * BLOCK, "{}: {len}", table.name);
            }
        }
        let csv: usize = parts(PEOPLE.1, PEOPLE.2)
            .next()
            .unwrap()
            .map(|n| rows::people_line(n).len())
            .sum();
        assert!(csv as u64 > BLOCK, "{csv}");
    }

    #[test]
    fn parts_tile_the_rows() {
        let rows: Vec<i64> = parts(10, 3).flatten().collect();
        assert_eq!(rows, (1..=10).collect::<Vec<_>>());
    }
}
