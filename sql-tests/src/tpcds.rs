//! TPC-DS: its tables from the generator into a cluster's file system, its queries on the cluster and on plain DataFusion.
//!
//! The queries' texts are the TPC's and not part of this repository: `tpcds/queries.py` writes them out of DuckDB's extension.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use arrow::array::RecordBatchReader;
use bytes::Bytes;
use datafusion::prelude::{SessionConfig, SessionContext};
use object_store::ObjectStoreExt;
use object_store::path::Path as StorePath;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;
use tpcdsgen::config::{Session as Scale, SessionBuilder};
use tpcdsgen_arrow as tables;
use url::Url;

use crate::compare::difference;
use crate::engine::{Plain, Session, answer};
use crate::site::Site;

/// Number of the queries.
pub const QUERIES: u32 = 99;
/// Rows of a row group.
const GROUP: usize = 100_000;
/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(600);

type Rows = Box<dyn RecordBatchReader + Send>;
type Table = (&'static str, fn(Scale) -> Rows);

macro_rules! table {
    ($name:literal, $rows:ident) => {
        ($name, |scale| Box::new(tables::$rows::new(scale)))
    };
}

const TABLES: [Table; 24] = [
    table!("call_center", CallCenterArrow),
    table!("catalog_page", CatalogPageArrow),
    table!("catalog_returns", CatalogReturnsArrow),
    table!("catalog_sales", CatalogSalesArrow),
    table!("customer", CustomerArrow),
    table!("customer_address", CustomerAddressArrow),
    table!("customer_demographics", CustomerDemographicsArrow),
    table!("date_dim", DateDimArrow),
    table!("household_demographics", HouseholdDemographicsArrow),
    table!("income_band", IncomeBandArrow),
    table!("inventory", InventoryArrow),
    table!("item", ItemArrow),
    table!("promotion", PromotionArrow),
    table!("reason", ReasonArrow),
    table!("ship_mode", ShipModeArrow),
    table!("store", StoreArrow),
    table!("store_returns", StoreReturnsArrow),
    table!("store_sales", StoreSalesArrow),
    table!("time_dim", TimeDimArrow),
    table!("warehouse", WarehouseArrow),
    table!("web_page", WebPageArrow),
    table!("web_returns", WebReturnsArrow),
    table!("web_sales", WebSalesArrow),
    table!("web_site", WebSiteArrow),
];

/// What became of a query.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// So many equal rows.
    Same(usize),
    /// The same rows but for those that tie in ORDER BY at the LIMIT: without it all are the same.
    SameButTies(usize),
    /// Neither runs it; the cluster's words.
    FailAlike(String),
    /// What differs.
    Differ(String),
}

/// A cluster and plain DataFusion over the same files.
pub struct Pair {
    plain: Plain,
    cluster: crate::site::Flight,
}

impl Pair {
    /// Writes the tables of a scale factor and opens them on both sides.
    ///
    /// # Errors
    /// The generator does not know the scale; the cluster's.
    pub async fn load(site: &Site, scale: f64) -> Result<Self> {
        let scale = SessionBuilder::new().with_scale_factor(scale).build();
        let scale = scale.map_err(|error| anyhow::anyhow!("scale factor: {error}"))?;
        let base = site.base();
        let context = SessionContext::new_with_config(
            SessionConfig::new()
                .with_target_partitions(4)
                .set_bool("datafusion.execution.parquet.schema_force_view_types", false),
        );
        context.register_object_store(&Url::parse(&base)?, Arc::clone(&site.store));
        let mut pair = Self {
            plain: Plain::over(context),
            cluster: site.session().await?,
        };
        for (name, rows) in TABLES {
            let rows = rows(scale.clone());
            let bytes = tokio::task::spawn_blocking(move || parquet(rows)).await??;
            let path = StorePath::from(format!("tpcds/{name}/part-0.parquet"));
            site.store
                .put(&path, Bytes::from(bytes).into())
                .await
                .with_context(|| name)?;
            let statement = format!("CREATE EXTERNAL TABLE {name} STORED AS PARQUET LOCATION '{base}/tpcds/{name}/'");
            pair.plain.run(&statement).await.with_context(|| name)?;
            pair.cluster.run(&statement).await.with_context(|| name)?;
        }
        Ok(pair)
    }

    /// Runs a query on both sides. The second value is the cluster's time.
    pub async fn compare(&mut self, sql: &str) -> (Outcome, Duration) {
        let begin = Instant::now();
        let found = tokio::time::timeout(PATIENCE, answer(&mut self.cluster, sql)).await;
        let took = begin.elapsed();
        let found = found.unwrap_or_else(|_| Err(anyhow::anyhow!("no answer within {PATIENCE:?}")));
        let outcome = match (answer(&mut self.plain, sql).await, found) {
            (Ok(expected), Ok(found)) => match difference(&expected, &found, false) {
                None => Outcome::Same(found.rows.len()),
                Some(difference) => self.without_limit(sql, found.rows.len(), difference).await,
            },
            (Err(_), Err(error)) => Outcome::FailAlike(format!("{error:#}")),
            (Ok(_), Err(error)) => Outcome::Differ(format!("the cluster failed: {error:#}")),
            (Err(error), Ok(_)) => Outcome::Differ(format!("plain DataFusion failed: {error:#}")),
        };
        (outcome, took)
    }

    /// Rows that tie at the LIMIT may be any of theirs; without it there is one right answer.
    async fn without_limit(&mut self, sql: &str, rows: usize, difference_with: String) -> Outcome {
        let Some(whole) = without_last_limit(sql) else {
            return Outcome::Differ(difference_with);
        };
        match (
            answer(&mut self.plain, &whole).await,
            answer(&mut self.cluster, &whole).await,
        ) {
            (Ok(expected), Ok(found)) => match difference(&expected, &found, false) {
                None => Outcome::SameButTies(rows),
                Some(difference) => Outcome::Differ(difference),
            },
            _ => Outcome::Differ(difference_with),
        }
    }
}

/// The queries' texts, by number, from a directory that holds `q01.sql` to `q99.sql`.
///
/// # Errors
/// One is missing.
pub fn read_queries(directory: &Path) -> Result<Vec<String>> {
    let read = |number: u32| {
        let path = directory.join(format!("q{number:02}.sql"));
        let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let text = text.trim().trim_end_matches(';').trim();
        ensure!(!text.is_empty(), "{} is empty", path.display());
        Ok(text.to_owned())
    };
    (1..=QUERIES).map(read).collect()
}

fn without_last_limit(sql: &str) -> Option<String> {
    let at = sql.to_lowercase().rfind("limit")?;
    let count = sql[at + "limit".len()..].trim();
    count.parse::<u64>().ok().map(|_| sql[..at].to_owned())
}

fn parquet(rows: Rows) -> Result<Vec<u8>> {
    let properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_max_row_group_row_count(Some(GROUP))
        .build();
    // The generator's view types are its own affair: readers shall see plain strings.
    let options = ArrowWriterOptions::new()
        .with_properties(properties)
        .with_skip_arrow_metadata(true);
    let mut writer = ArrowWriter::try_new_with_options(Vec::new(), rows.schema(), options)?;
    for batch in rows {
        writer.write(&batch?)?;
    }
    Ok(writer.into_inner()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_limit_at_the_end_is_taken_off() {
        assert_eq!(without_last_limit("select 1\nLIMIT 100").as_deref(), Some("select 1\n"));
        assert_eq!(without_last_limit("select * from (select 1 limit 5) t"), None);
        assert_eq!(without_last_limit("select 1"), None);
    }
}
