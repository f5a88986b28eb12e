//! A cluster under test: started with settings that make small tables large, asked over Flight SQL.

use std::sync::Arc;

use anyhow::{Context, Result};
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use object_store::ObjectStore;
use quarry::local::{LocalCluster, LocalOptions};
use quarry::sql::SqlClient;
use quarry_dfs_client::DfsObjectStore;
use tempfile::TempDir;

use crate::engine::Session;

/// Settings by which every scan, however small, is cut and distributed: else the coordinator would answer most queries alone.
pub const CUT_EVERYTHING: [(&str, &str); 2] = [("coordinator.local_below", "0"), ("coordinator.task_bytes", "0")];

/// Memory with which almost everything that can spill does so, and what cannot is refused now and then. Partitions are fixed: every one of
/// them has operators that hold some memory.
pub const TINY_MEMORY: [(&str, &str); 3] = [
    ("worker.memory_limit", "3MiB"),
    ("coordinator.memory_limit", "3MiB"),
    ("coordinator.partitions", "2"),
];

/// A cluster and its data.
pub struct Site {
    /// The cluster.
    pub cluster: LocalCluster,
    /// Its file system.
    pub store: Arc<dyn ObjectStore>,
    _dir: TempDir,
}

impl Site {
    /// Starts `nodes` nodes with blocks of `block` bytes.
    ///
    /// # Errors
    /// The cluster does not start.
    pub async fn start(nodes: u16, block: u64, settings: &[(&str, &str)]) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let options = LocalOptions::new(dir.path())
            .nodes(nodes)
            .set("namenode.min_block_size", block)
            .set("namenode.default_block_size", block);
        let options = settings
            .iter()
            .fold(options, |options, (key, value)| options.set(key, value));
        let cluster = Box::pin(LocalCluster::start(options))
            .await
            .context("starting the cluster")?;
        let store: Arc<dyn ObjectStore> = Arc::new(DfsObjectStore::new(cluster.dfs(), "/")?);
        Ok(Self {
            cluster,
            store,
            _dir: dir,
        })
    }

    /// The file system as it stands in a LOCATION.
    #[must_use]
    pub fn base(&self) -> String {
        format!("hdfs://{}", self.cluster.namenode_addr())
    }

    /// A new session.
    ///
    /// # Errors
    /// The coordinator does not answer.
    pub async fn session(&self) -> Result<Flight> {
        Ok(Flight(self.cluster.sql().await?))
    }

    /// Ends the cluster.
    pub async fn shutdown(self) {
        self.cluster.shutdown().await;
    }
}

/// A session over Flight SQL.
pub struct Flight(SqlClient);

#[async_trait]
impl Session for Flight {
    async fn run(&mut self, sql: &str) -> Result<(SchemaRef, Vec<RecordBatch>)> {
        let answer = self.0.execute(sql).await?;
        Ok((Arc::clone(&answer.schema), answer.collect().await?))
    }
}
