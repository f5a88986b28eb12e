//! The peer: plain DataFusion in this process over local files, with its defaults, no cluster, no network.

use std::path::Path;
use std::time::Instant;

use anyhow::Context;
use arrow::array::RecordBatch;
use datafusion::error::Result;
use datafusion::execution::options::ParquetReadOptions;
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::{SessionConfig, SessionContext};
use tokio::runtime::{Handle, Runtime};
use tokio::task::JoinSet;

use crate::conditions::cores;
use crate::samples::milliseconds;

/// Plain DataFusion with a number of partitions.
pub struct Peer {
    context: SessionContext,
    partitions: usize,
    runtime: Handle,
}

impl Peer {
    /// Registers `tables`, each a directory of its name under `files`; queries will run on `runtime`, which nothing else should use.
    ///
    /// # Errors
    /// A table's files cannot be read.
    pub async fn open(
        files: &Path,
        tables: impl IntoIterator<Item = &'static str>,
        partitions: usize,
        runtime: Handle,
    ) -> anyhow::Result<Self> {
        let config = SessionConfig::new().with_target_partitions(partitions);
        let context = SessionContext::new_with_config(config);
        for table in tables {
            let dir = format!("{}/", files.join(table).display());
            let registered = context.register_parquet(table, &dir, ParquetReadOptions::default());
            registered.await.with_context(|| format!("the copy of table {table}"))?;
        }
        Ok(Self {
            context,
            partitions,
            runtime,
        })
    }

    /// Its number of partitions.
    pub fn partitions(&self) -> usize {
        self.partitions
    }

    /// Runs a query, from its text to its last row; the time is in milliseconds.
    ///
    /// # Errors
    /// The query failed.
    ///
    /// # Cancel safety
    /// The query ends when the future is dropped.
    pub async fn run(&self, sql: String) -> anyhow::Result<(f64, Vec<RecordBatch>)> {
        let context = self.context.clone();
        let begin = Instant::now();
        let batches = self.apart(async move { context.sql(&sql).await?.collect().await });
        let batches = batches.await?;
        Ok((milliseconds(begin.elapsed()), batches))
    }

    /// What a query means, before any optimization.
    ///
    /// # Errors
    /// The query is wrong.
    pub async fn plan(&self, sql: &str) -> anyhow::Result<LogicalPlan> {
        Ok(self.context.state().create_logical_plan(sql).await?)
    }

    /// Runs a plan of [`plan`](Self::plan) to its last row.
    ///
    /// # Errors
    /// The query failed.
    ///
    /// # Cancel safety
    /// The query ends when the future is dropped.
    pub async fn run_plan(&self, plan: LogicalPlan) -> anyhow::Result<Vec<RecordBatch>> {
        let context = self.context.clone();
        self.apart(async move { context.execute_logical_plan(plan).await?.collect().await })
            .await
    }

    /// Runs `work` on the peer's own runtime.
    async fn apart(
        &self,
        work: impl Future<Output = Result<Vec<RecordBatch>>> + Send + 'static,
    ) -> anyhow::Result<Vec<RecordBatch>> {
        // A set of one: dropping it ends its task, which a plain handle would leave running.
        let mut task = JoinSet::new();
        task.spawn_on(work, &self.runtime);
        Ok(task.join_next().await.context("the set has one task")???)
    }
}

/// A runtime with as many threads as the machine: the cluster's heartbeats shall not run on the peer's threads.
///
/// # Errors
/// The system has no threads left.
pub fn threads() -> anyhow::Result<Runtime> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder
        .worker_threads(cores())
        .enable_all()
        .build()
        .context("a runtime")
}
