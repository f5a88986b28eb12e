//! Starting, handling and stopping a DataNode.

use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use quarry_dfs_wire::block::{BlockId, GenerationStamp};
use quarry_dfs_wire::rpc::{RpcServer, RpcServerOptions};
use tokio::net::TcpListener;
use tokio::time::Instant;

use crate::config::DataNodeConfig;
use crate::error::{Error, Result};
use crate::ipc::Ipc;
use crate::jobs::{self, JobStatus};
use crate::namenode_link;
use crate::node::Node;
use crate::replica::{ReplicaError, ReplicaState};
use crate::short_circuit::{self, Socket};
use crate::storage::disk::{Disk, SystemDisk};
use crate::transfer::server;

/// How long running transfers have to notice a shutdown.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(10);

/// A DataNode: stores replicas of blocks and serves them.
#[derive(Debug)]
pub struct DataNode;

/// A running DataNode. Clones share it; it runs until [`DataNodeHandle::shutdown`].
#[derive(Clone)]
pub struct DataNodeHandle {
    node: Arc<Node>,
    xfer_addr: SocketAddr,
    ipc_addr: SocketAddr,
    ipc: Arc<tokio::sync::Mutex<Option<RpcServer>>>,
}

/// The open files of a finalized replica, for readers in the same process.
#[derive(Debug)]
pub struct ReplicaFiles {
    /// The block's bytes.
    pub data: File,
    /// Header and checksums, in HDFS's `.meta` format.
    pub meta: File,
    /// Bytes of the block.
    pub length: u64,
}

impl DataNode {
    /// Starts a DataNode: locks and scans its directories, opens its ports, begins to look for its NameNode.
    ///
    /// On return both ports are open. The DataNode serves what it has, but takes part in its cluster only after it has
    /// registered: see [`DataNodeHandle::wait_registered`].
    ///
    /// # Errors
    /// `Config`, `DirectoryInUse`, `ForeignDirectory`, `TooManyFailedVolumes`, `Disk` and `Bind`; nothing is left running.
    pub async fn start(config: DataNodeConfig) -> Result<DataNodeHandle> {
        Self::start_on(config, |_| Arc::new(SystemDisk)).await
    }

    /// As [`DataNode::start`], with a disk of the caller's under each data directory.
    ///
    /// # Errors
    /// As [`DataNode::start`].
    pub async fn start_on(
        config: DataNodeConfig,
        disk: impl Fn(&Path) -> Arc<dyn Disk> + Send + 'static,
    ) -> Result<DataNodeHandle> {
        config.validate()?;
        let (xfer_address, ipc_address) = (config.xfer_address, config.ipc_address);
        let node = Node::blocking(move || Node::open(config, disk)).await?;
        let bind = |purpose| {
            move |source| Error::Bind {
                address: xfer_address,
                purpose,
                source,
            }
        };
        let listener = TcpListener::bind(xfer_address).await.map_err(bind("data transfer"))?;
        let xfer_addr = listener.local_addr().map_err(bind("data transfer"))?;
        let socket = open_domain_socket(&node, xfer_addr.port())?;
        let ipc = RpcServer::bind(
            ipc_address,
            Arc::new(Ipc::new(Arc::clone(&node))),
            RpcServerOptions::default(),
        )
        .await
        .map_err(|source| Error::Bind {
            address: ipc_address,
            purpose: "RPC",
            source,
        })?;
        let ipc_addr = ipc.local_addr();
        node.xfer_port.store(xfer_addr.port(), Ordering::Relaxed);
        node.ipc_port.store(ipc_addr.port(), Ordering::Relaxed);
        node.tasks.spawn(server::run(Arc::clone(&node), listener));
        if let Some(socket) = socket {
            node.tasks.spawn(short_circuit::run(Arc::clone(&node), socket));
        }
        node.tasks.spawn(namenode_link::run(Arc::clone(&node)));
        jobs::start(&node);
        tracing::info!(%xfer_addr, %ipc_addr, uuid = %node.uuid, "datanode started");
        Ok(DataNodeHandle {
            node,
            xfer_addr,
            ipc_addr,
            ipc: Arc::new(tokio::sync::Mutex::new(Some(ipc))),
        })
    }
}

fn open_domain_socket(node: &Node, xfer_port: u16) -> Result<Option<Socket>> {
    let Some(pattern) = &node.config.domain_socket else {
        return Ok(None);
    };
    let path = short_circuit::path(pattern, xfer_port);
    let opened = Socket::bind(path.clone());
    opened.map(Some).map_err(|source| Error::DomainSocket { path, source })
}

impl DataNodeHandle {
    /// Where blocks are read and written.
    #[must_use]
    pub fn xfer_addr(&self) -> SocketAddr {
        self.xfer_addr
    }

    /// Where `ClientDatanodeProtocol` is served.
    #[must_use]
    pub fn ipc_addr(&self) -> SocketAddr {
        self.ipc_addr
    }

    /// The DataNode's identity: made when its first directory was formatted, kept for ever.
    #[must_use]
    pub fn datanode_uuid(&self) -> &str {
        &self.node.uuid
    }

    /// Waits until the NameNode has accepted this DataNode for the first time since its start and has been sent a full
    /// report.
    ///
    /// # Errors
    /// `Deadline` when that did not happen in time.
    pub async fn wait_registered(&self, deadline: Instant) -> Result<()> {
        let began = Instant::now();
        let mut registered = self.node.registered.subscribe();
        let waited = tokio::time::timeout_at(deadline, registered.wait_for(|&registered| registered)).await;
        if matches!(waited, Ok(Ok(_))) {
            return Ok(());
        }
        let what = format!("registration with the NameNode at {}", self.node.config.namenode);
        Err(Error::Deadline {
            what,
            seconds: began.elapsed().as_secs_f64(),
        })
    }

    /// Opens the files of a finalized replica, for a reader in the same process, which checks the bytes itself.
    ///
    /// `None` if no finalized replica of at least this generation stamp is here. The files stay readable even if the replica
    /// is deleted meanwhile. Blocks on the disk.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn open_replica(
        &self,
        pool: &str,
        block: BlockId,
        generation_stamp: GenerationStamp,
    ) -> io::Result<Option<ReplicaFiles>> {
        let is_finalized = self
            .node
            .dataset
            .replica(block)
            .is_ok_and(|replica| replica.state == ReplicaState::Finalized);
        if !is_finalized || self.node.check_pool(pool).is_err() {
            return Ok(None);
        }
        match self.node.dataset.open_for_read(block, generation_stamp) {
            Ok(replica) => Ok(Some(ReplicaFiles {
                data: replica.data,
                meta: replica.meta,
                length: replica.length,
            })),
            Err(Error::Replica(ReplicaError::NotFound(_) | ReplicaError::GenerationStamp { .. })) => Ok(None),
            Err(Error::Disk { source, .. }) => Err(source),
            Err(error) => Err(io::Error::new(io::ErrorKind::InvalidData, error)),
        }
    }

    /// Has a finalized replica verified in the background because a local reader found it damaged; the NameNode is told if
    /// it is.
    pub fn report_suspect(&self, block: BlockId, generation_stamp: GenerationStamp) {
        self.node.check_suspect(block, generation_stamp);
    }

    /// Waits until the DataNode cannot go on, because too many of its volumes have failed; answers why. Its transfers and its link
    /// have ended then; [`DataNodeHandle::shutdown`] ends the rest. Never returns on one that is shut down in order.
    pub async fn failed(&self) -> String {
        let mut fatal = self.node.volume_failures.fatal.subscribe();
        if let Ok(reason) = fatal.wait_for(Option::is_some).await
            && let Some(reason) = reason.clone()
        {
            return reason;
        }
        std::future::pending().await
    }

    /// The background work and how far it is.
    #[must_use]
    pub fn jobs(&self) -> Vec<JobStatus> {
        self.node.jobs.list()
    }

    /// Stops: closes the ports, ends transfers and the link, and waits for all tasks, for a while. Replicas being written
    /// stay on disk for recovery, as after a crash. On return the directories are free for another DataNode.
    pub async fn shutdown(&self) {
        self.node.shutdown.cancel();
        if let Some(ipc) = self.ipc.lock().await.take() {
            ipc.shutdown().await;
        }
        self.node.tasks.close();
        if tokio::time::timeout(SHUTDOWN_GRACE, self.node.tasks.wait())
            .await
            .is_err()
        {
            return tracing::warn!("some transfers did not end in time; the data directories stay locked");
        }
        for volume in self.node.dataset.volumes() {
            volume.unlock();
        }
    }
}
