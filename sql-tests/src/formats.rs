//! Files in every format that tables are read from, below `/formats`: the same rows in each, files whose columns differ, and partitions.
//!
//! No table is made of them here: the SQL files do that.

use std::io::Write;
use std::ops::RangeInclusive;
use std::sync::Arc;

use anyhow::Result;
use arrow::array::{Array, BooleanArray, Date32Array, Float64Array, Int32Array, Int64Array, RecordBatch, StringArray};
use bytes::Bytes;
use datafusion::arrow_avro::compression::CompressionCodec;
use datafusion::arrow_avro::writer::WriterBuilder as AvroWriterBuilder;
use datafusion::arrow_avro::writer::format::AvroOcfFormat;
use flate2::write::GzEncoder;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use orc_rust::ArrowWriterBuilder as OrcWriterBuilder;
use parquet::arrow::ArrowWriter as ParquetWriter;

/// Directory of the files.
const DIR: &str = "formats";
/// Rows of each format's first and second file.
const FILES: [RangeInclusive<i64>; 2] = [1..=3_000, 3_001..=5_000];
/// 2020-01-01 in days since 1970.
const DAY_0: i32 = 18_262;

/// Writes all files.
///
/// # Errors
/// The store's own.
pub async fn write(store: &Arc<dyn ObjectStore>) -> Result<()> {
    for (number, ids) in FILES.into_iter().enumerate() {
        let rows = rows(ids);
        let files = [
            (format!("parquet/part-{number}.parquet"), parquet(&rows)?),
            (format!("csv/part-{number}.csv"), csv(&rows)?),
            (format!("csv_gz/part-{number}.csv.gz"), gzip(&csv(&rows)?)?),
            (format!("json/part-{number}.json"), json_lines(&rows)?),
            (format!("json_gz/part-{number}.json.gz"), gzip(&json_lines(&rows)?)?),
            (format!("json_array/part-{number}.json"), json_array(&rows)?),
            (format!("avro/part-{number}.avro"), avro(&rows, None)?),
            (
                format!("avro_deflate/part-{number}.avro"),
                avro(&rows, Some(CompressionCodec::Deflate))?,
            ),
            (format!("arrow/part-{number}.arrow"), arrow_file(&rows)?),
            (format!("arrow_stream/part-{number}.arrow"), arrow_stream(&rows)?),
            (format!("orc/part-{number}.orc"), orc(&rows)?),
        ];
        for (name, content) in files {
            put(store, &name, content).await?;
        }
    }
    write_evolved(store).await?;
    write_partitions(store).await
}

/// A first file with `id` and `name`; a second one in another order, with a wider `id` and one more column.
async fn write_evolved(store: &Arc<dyn ObjectStore>) -> Result<()> {
    let old = RecordBatch::try_from_iter_with_nullable([
        (
            "id",
            Arc::new(Int32Array::from_iter_values(1..=100)) as Arc<dyn Array>,
            false,
        ),
        ("name", names(&(1..=100).collect::<Vec<_>>()), true),
    ])?;
    let new = RecordBatch::try_from_iter_with_nullable([
        (
            "score",
            Arc::new(Float64Array::from_iter_values(
                (101..=150).map(|id| f64::from(id) / 2.0),
            )) as Arc<dyn Array>,
            true,
        ),
        ("name", names(&(101..=150).collect::<Vec<_>>()), true),
        ("id", Arc::new(Int64Array::from_iter_values(101..=150)), false),
    ])?;
    for (number, rows) in [old, new].iter().enumerate() {
        let files = [
            (format!("evolved_parquet/part-{number}.parquet"), parquet(rows)?),
            (format!("evolved_csv/part-{number}.csv"), csv(rows)?),
            (format!("evolved_json/part-{number}.json"), json_lines(rows)?),
            (format!("evolved_avro/part-{number}.avro"), avro(rows, None)?),
            (format!("evolved_arrow/part-{number}.arrow"), arrow_file(rows)?),
            (format!("evolved_arrow_stream/part-{number}.arrow"), arrow_stream(rows)?),
            (format!("evolved_orc/part-{number}.orc"), orc(rows)?),
        ];
        for (name, content) in files {
            put(store, &name, content).await?;
        }
    }
    Ok(())
}

/// Directories of 20 rows each: two levels of typed values, and names with what names may hold.
async fn write_partitions(store: &Arc<dyn ObjectStore>) -> Result<()> {
    let mut first = 1;
    for year in [2022, 2023, 2024] {
        for month in [1, 2, 12] {
            let rows = measures(first..=first + 19)?;
            first += 20;
            let directory = format!("year={year}/month={month}");
            put(store, &format!("by_month/{directory}/data.parquet"), parquet(&rows)?).await?;
            put(store, &format!("by_month_csv/{directory}/data.csv"), csv(&rows)?).await?;
            put(
                store,
                &format!("by_month_json/{directory}/data.json"),
                json_lines(&rows)?,
            )
            .await?;
            put(
                store,
                &format!("by_month_avro/{directory}/data.avro"),
                avro(&rows, None)?,
            )
            .await?;
            put(
                store,
                &format!("by_month_arrow/{directory}/data.arrow"),
                arrow_file(&rows)?,
            )
            .await?;
            put(store, &format!("by_month_orc/{directory}/data.orc"), orc(&rows)?).await?;
        }
    }
    let cities = ["K%C3%B6ln", "a%2Fb", "100%25", "New York", "__HIVE_DEFAULT_PARTITION__"];
    for (index, city) in cities.iter().enumerate() {
        let start = index as i64 * 20 + 1;
        let rows = measures(start..=start + 19)?;
        put_raw(
            store,
            &format!("{DIR}/by_city/city={city}/data.parquet"),
            parquet(&rows)?,
        )
        .await?;
    }
    Ok(())
}

fn rows(ids: RangeInclusive<i64>) -> RecordBatch {
    let ids: Vec<i64> = ids.collect();
    let columns: [(&str, Arc<dyn Array>, bool); 5] = [
        ("id", Arc::new(Int64Array::from(ids.clone())), false),
        ("name", names(&ids), true),
        (
            "score",
            Arc::new(Float64Array::from_iter(
                ids.iter().map(|id| (id % 23 != 0).then_some((id % 997) as f64 / 4.0)),
            )),
            true,
        ),
        (
            "day",
            Arc::new(Date32Array::from_iter(
                ids.iter().map(|id| (id % 29 != 0).then_some(DAY_0 + (id % 366) as i32)),
            )),
            true,
        ),
        (
            "flag",
            Arc::new(BooleanArray::from_iter(
                ids.iter().map(|id| (id % 31 != 0).then_some(id % 3 == 0)),
            )),
            true,
        ),
    ];
    RecordBatch::try_from_iter_with_nullable(columns).expect("columns of one length")
}

fn names(ids: &[i64]) -> Arc<dyn Array> {
    let name = |id: &i64| (id % 19 != 0).then(|| format!("näme {id:05}"));
    Arc::new(StringArray::from_iter(ids.iter().map(name)))
}

fn measures(ids: RangeInclusive<i64>) -> Result<RecordBatch> {
    let ids: Vec<i64> = ids.collect();
    let values = Float64Array::from_iter_values(ids.iter().map(|id| *id as f64 / 8.0));
    Ok(RecordBatch::try_from_iter([
        ("id", Arc::new(Int64Array::from(ids)) as Arc<dyn Array>),
        ("value", Arc::new(values)),
    ])?)
}

fn parquet(rows: &RecordBatch) -> Result<Vec<u8>> {
    let mut writer = ParquetWriter::try_new(Vec::new(), rows.schema(), None)?;
    writer.write(rows)?;
    Ok(writer.into_inner()?)
}

fn csv(rows: &RecordBatch) -> Result<Vec<u8>> {
    let mut text = Vec::new();
    let mut writer = arrow::csv::WriterBuilder::new().with_header(true).build(&mut text);
    writer.write(rows)?;
    drop(writer);
    Ok(text)
}

fn json_lines(rows: &RecordBatch) -> Result<Vec<u8>> {
    let mut writer = arrow::json::LineDelimitedWriter::new(Vec::new());
    writer.write(rows)?;
    writer.finish()?;
    Ok(writer.into_inner())
}

fn json_array(rows: &RecordBatch) -> Result<Vec<u8>> {
    let mut writer = arrow::json::ArrayWriter::new(Vec::new());
    writer.write(rows)?;
    writer.finish()?;
    Ok(writer.into_inner())
}

fn gzip(content: &[u8]) -> Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(content)?;
    Ok(encoder.finish()?)
}

fn avro(rows: &RecordBatch, codec: Option<CompressionCodec>) -> Result<Vec<u8>> {
    let builder = AvroWriterBuilder::new(rows.schema().as_ref().clone()).with_compression(codec);
    let mut writer = builder.build::<_, AvroOcfFormat>(Vec::new())?;
    for part in parts(rows) {
        writer.write(&part)?;
    }
    writer.finish()?;
    Ok(writer.into_inner())
}

fn arrow_file(rows: &RecordBatch) -> Result<Vec<u8>> {
    let mut writer = arrow::ipc::writer::FileWriter::try_new(Vec::new(), &rows.schema())?;
    for part in parts(rows) {
        writer.write(&part)?;
    }
    Ok(writer.into_inner()?)
}

fn arrow_stream(rows: &RecordBatch) -> Result<Vec<u8>> {
    let mut writer = arrow::ipc::writer::StreamWriter::try_new(Vec::new(), &rows.schema())?;
    for part in parts(rows) {
        writer.write(&part)?;
    }
    Ok(writer.into_inner()?)
}

/// Stripes of about 16 KiB.
fn orc(rows: &RecordBatch) -> Result<Vec<u8>> {
    let mut content = Vec::new();
    let builder = OrcWriterBuilder::new(&mut content, rows.schema());
    let mut writer = builder.with_stripe_byte_size(16 << 10).try_build()?;
    for part in parts(rows) {
        writer.write(&part)?;
    }
    writer.close()?;
    Ok(content)
}

/// Several batches, so that files have several blocks, batches or stripes.
fn parts(rows: &RecordBatch) -> Vec<RecordBatch> {
    const PART: usize = 500;
    (0..rows.num_rows())
        .step_by(PART)
        .map(|start| rows.slice(start, PART.min(rows.num_rows() - start)))
        .collect()
}

async fn put(store: &Arc<dyn ObjectStore>, name: &str, content: Vec<u8>) -> Result<()> {
    put_raw(store, &format!("{DIR}/{name}"), content).await
}

/// The path as it is: nothing in it is encoded.
async fn put_raw(store: &Arc<dyn ObjectStore>, path: &str, content: Vec<u8>) -> Result<()> {
    store.put(&Path::parse(path)?, Bytes::from(content).into()).await?;
    Ok(())
}
