//! The other side of the comparison: plain DataFusion in this process over the very same files, as it comes, with the
//! cluster's number of threads. It reads through the same client, beside a node that holds replicas, so that what
//! differs is the engine alone.

use std::sync::Arc;
use std::time::Instant;

use arrow::array::RecordBatch;
use datafusion::execution::options::ParquetReadOptions;
use datafusion::prelude::{SessionConfig, SessionContext};
use quarry_dfs_client::{DfsClient, DfsObjectStore};
use url::Url;

use crate::tpch::Table;

/// Plain DataFusion with the benchmark's tables.
pub(super) struct Reference {
    context: SessionContext,
}

impl Reference {
    /// Reads the tables' footers.
    ///
    /// # Errors
    /// A table's files cannot be read.
    pub(super) async fn open(dfs: DfsClient, tables: &[(Table, String)], threads: usize) -> anyhow::Result<Self> {
        let context = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(threads));
        let base = Url::parse("hdfs://demo/")?;
        context.register_object_store(&base, Arc::new(DfsObjectStore::new(dfs, "/")?));
        for (table, location) in tables {
            let url = format!("hdfs://demo{location}/");
            context
                .register_parquet(table.name(), url, ParquetReadOptions::default())
                .await?;
        }
        Ok(Self { context })
    }

    /// Runs a query; the rows and the time in milliseconds.
    ///
    /// # Errors
    /// The query failed.
    pub(super) async fn run(&self, sql: &str) -> anyhow::Result<(Vec<RecordBatch>, f64)> {
        let begin = Instant::now();
        let context = self.context.clone();
        let sql = sql.to_owned();
        // On the runtime's own threads, as the cluster's operators run: the caller's thread has a smaller stack.
        let batches = tokio::spawn(async move { context.sql(&sql).await?.collect().await }).await??;
        Ok((batches, begin.elapsed().as_secs_f64() * 1000.0))
    }
}
