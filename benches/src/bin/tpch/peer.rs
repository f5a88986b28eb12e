//! The peer: plain DataFusion in this process over local files, with its defaults, no cluster, no network.

use std::path::Path;
use std::time::Instant;

use anyhow::Context;
use arrow::array::RecordBatch;
use datafusion::execution::options::ParquetReadOptions;
use datafusion::prelude::{SessionConfig, SessionContext};
use quarry::tpch::Table;
use quarry_benches::samples::milliseconds;
use tokio::runtime::Handle;
use tokio::task::JoinSet;

/// Plain DataFusion with a number of partitions.
pub(crate) struct Peer {
    context: SessionContext,
    partitions: usize,
    runtime: Handle,
}

impl Peer {
    /// Registers the tables under `files`; queries will run on `runtime`, which nothing else should use.
    ///
    /// # Errors
    /// A table's files cannot be read.
    pub(crate) async fn open(files: &Path, partitions: usize, runtime: Handle) -> anyhow::Result<Self> {
        let config = SessionConfig::new().with_target_partitions(partitions);
        let context = SessionContext::new_with_config(config);
        for table in Table::ALL {
            let dir = format!("{}/", files.join(table.name()).display());
            let registered = context.register_parquet(table.name(), &dir, ParquetReadOptions::default());
            registered
                .await
                .with_context(|| format!("the copy of table {}", table.name()))?;
        }
        Ok(Self {
            context,
            partitions,
            runtime,
        })
    }

    /// Its number of partitions.
    pub(crate) fn partitions(&self) -> usize {
        self.partitions
    }

    /// Runs a query, from its text to its last row; the time is in milliseconds.
    ///
    /// # Errors
    /// The query failed.
    ///
    /// # Cancel safety
    /// The query ends when the future is dropped.
    pub(crate) async fn run(&self, sql: String) -> anyhow::Result<(f64, Vec<RecordBatch>)> {
        let context = self.context.clone();
        // A set of one: dropping it ends its task, which a plain handle would leave running.
        let mut task = JoinSet::new();
        let begin = Instant::now();
        task.spawn_on(async move { context.sql(&sql).await?.collect().await }, &self.runtime);
        let batches = task.join_next().await.context("the set has one task")???;
        Ok((milliseconds(begin.elapsed()), batches))
    }
}
