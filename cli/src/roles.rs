//! One role in this process: start it from its configuration, say when it is ready, end it in order.
//!
//! A role that runs as a process of its own prints one line on standard output when it is ready: `ready` and its
//! addresses as JSON. Whoever started it can wait for that line, and learns ports that the system chose. Everything else
//! goes to the log on standard error.

use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use quarry_coordinator::{Coordinator, CoordinatorHandle};
use quarry_dfs_client::{LocalReplica, LocalReplicas};
use quarry_dfs_datanode::{DataNode, DataNodeHandle};
use quarry_dfs_namenode::{NameNode, NameNodeHandle};
use quarry_dfs_wire::block::{BlockId, GenerationStamp};
use quarry_worker::{Worker, WorkerHandle};
use serde::Serialize;
use tokio::time::Instant;

use crate::config::Config;
use crate::local::{CoordinatorEndpoint, DataNodeEndpoint, NameNodeEndpoint, NodeEndpoint, WorkerEndpoint};
use crate::shutdown::Signals;

/// First word of the line that says a role is ready.
pub const READY: &str = "ready";
/// How long a DataNode may take to find its NameNode before its role counts as not started.
const REGISTRATION: Duration = Duration::from_secs(60);

/// The replicas of a DataNode in this process, for whoever reads beside it.
pub struct HostedReplicas {
    datanode: DataNodeHandle,
    uuid: String,
}

impl HostedReplicas {
    /// The finalized replicas of `datanode`.
    pub fn of(datanode: &DataNodeHandle) -> Arc<dyn LocalReplicas> {
        Arc::new(Self {
            datanode: datanode.clone(),
            uuid: datanode.datanode_uuid().to_owned(),
        })
    }
}

impl LocalReplicas for HostedReplicas {
    fn datanode_uuid(&self) -> &str {
        &self.uuid
    }

    fn open(&self, pool: &str, block: BlockId, stamp: GenerationStamp) -> io::Result<Option<LocalReplica>> {
        let files = self.datanode.open_replica(pool, block, stamp)?;
        Ok(files.map(|files| LocalReplica {
            data: files.data,
            meta: files.meta,
            length: files.length,
        }))
    }
}

/// Starts the NameNode of `config`.
///
/// # Errors
/// It cannot start: its directory, its ports.
pub async fn start_namenode(config: &Config) -> anyhow::Result<(NameNodeHandle, NameNodeEndpoint)> {
    let handle = NameNode::start(config.namenode.clone()).await.context("NameNode")?;
    let endpoint = NameNodeEndpoint {
        rpc: handle.rpc_addr(),
        link: handle.link_addr(),
        http: handle.http_addr(),
        pid: std::process::id(),
    };
    Ok((handle, endpoint))
}

/// Starts the DataNode of `config` and waits until its NameNode knows it.
///
/// # Errors
/// It cannot start, or finds no NameNode in time.
pub async fn start_datanode(config: &Config) -> anyhow::Result<(DataNodeHandle, DataNodeEndpoint)> {
    let handle = DataNode::start(config.datanode.clone()).await.context("DataNode")?;
    let registered = handle.wait_registered(Instant::now() + REGISTRATION).await;
    registered.with_context(|| format!("DataNode: NameNode {}", config.datanode.namenode))?;
    let endpoint = DataNodeEndpoint {
        uuid: handle.datanode_uuid().to_owned(),
        xfer: handle.xfer_addr(),
        ipc: handle.ipc_addr(),
        pid: std::process::id(),
    };
    Ok((handle, endpoint))
}

/// Starts the worker of `config`, beside `datanode` if there is one.
///
/// # Errors
/// It cannot start.
pub async fn start_worker(
    config: &Config,
    datanode: Option<&DataNodeHandle>,
) -> anyhow::Result<(WorkerHandle, WorkerEndpoint)> {
    let handle = Worker::start(config.worker.clone(), datanode.map(HostedReplicas::of))
        .await
        .context("worker")?;
    let uuid = datanode.map(|datanode| datanode.datanode_uuid().to_owned());
    let endpoint = WorkerEndpoint {
        addr: handle.addr(),
        pid: std::process::id(),
        datanode: uuid,
    };
    Ok((handle, endpoint))
}

/// Starts the coordinator of `config`.
///
/// # Errors
/// It cannot start, or does not reach its NameNode in time.
pub async fn start_coordinator(config: &Config) -> anyhow::Result<(CoordinatorHandle, CoordinatorEndpoint)> {
    let handle = Coordinator::start(config.coordinator.clone())
        .await
        .context("coordinator")?;
    let endpoint = CoordinatorEndpoint {
        flight_sql: handle.addr(),
        pid: std::process::id(),
    };
    Ok((handle, endpoint))
}

/// Runs a NameNode until a signal.
///
/// # Errors
/// It cannot start.
pub async fn run_namenode(config: Config) -> anyhow::Result<()> {
    let signals = Signals::listen()?;
    let (handle, endpoint) = start_namenode(&config).await?;
    serve(signals, &endpoint).await?;
    handle.shutdown().await;
    Ok(())
}

/// Runs a DataNode until a signal.
///
/// # Errors
/// It cannot start, or too many of its volumes failed.
pub async fn run_datanode(config: Config) -> anyhow::Result<()> {
    let signals = Signals::listen()?;
    let (handle, endpoint) = start_datanode(&config).await?;
    let served = tokio::select! {
        served = serve(signals, &endpoint) => served,
        reason = handle.failed() => Err(anyhow::anyhow!("DataNode stopped: {reason}")),
    };
    handle.shutdown().await;
    served
}

/// Runs a worker until a signal.
///
/// # Errors
/// It cannot start.
pub async fn run_worker(config: Config) -> anyhow::Result<()> {
    let signals = Signals::listen()?;
    let (handle, endpoint) = start_worker(&config, None).await?;
    serve(signals, &endpoint).await?;
    handle.shutdown().await;
    Ok(())
}

/// Runs a DataNode and a worker beside it until a signal.
///
/// # Errors
/// One of them cannot start, or too many of the DataNode's volumes failed.
pub async fn run_node(config: Config) -> anyhow::Result<()> {
    let signals = Signals::listen()?;
    let (datanode_handle, datanode) = start_datanode(&config).await?;
    let (worker_handle, worker) = start_worker(&config, Some(&datanode_handle)).await?;
    let endpoint = NodeEndpoint { datanode, worker };
    let served = tokio::select! {
        served = serve(signals, &endpoint) => served,
        reason = datanode_handle.failed() => Err(anyhow::anyhow!("DataNode stopped: {reason}")),
    };
    // The worker first: its last tasks still read from the DataNode.
    worker_handle.shutdown().await;
    datanode_handle.shutdown().await;
    served
}

/// Runs a coordinator until a signal.
///
/// # Errors
/// It cannot start.
pub async fn run_coordinator(config: Config) -> anyhow::Result<()> {
    let signals = Signals::listen()?;
    let (handle, endpoint) = start_coordinator(&config).await?;
    serve(signals, &endpoint).await?;
    handle.shutdown().await;
    Ok(())
}

/// Says that the role is ready and waits for the first signal.
async fn serve(mut signals: Signals, endpoint: &impl Serialize) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{READY} {}", serde_json::to_string(endpoint)?)?;
    out.flush()?;
    drop(out);
    signals.next().await;
    tracing::info!("ending");
    signals.second_is_final();
    Ok(())
}
