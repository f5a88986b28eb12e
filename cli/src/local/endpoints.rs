//! `endpoints.json`: the addresses and processes of a running local cluster, for people, scripts and the next start.

use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::{Deserialize, Serialize};

/// Name of the file in the cluster's directory. It is there while the cluster is ready, and stays after a crash.
const FILE: &str = "endpoints.json";
/// What an orderly end leaves of it, so that the next start finds the ports.
const LAST: &str = "endpoints.last.json";

/// Where everything is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoints {
    /// The NameNode.
    pub namenode: NameNodeEndpoint,
    /// The DataNodes, by node.
    pub datanodes: Vec<DataNodeEndpoint>,
    /// The workers, by node.
    pub workers: Vec<WorkerEndpoint>,
    /// The coordinator.
    pub coordinator: CoordinatorEndpoint,
}

/// A NameNode's addresses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NameNodeEndpoint {
    /// For HDFS clients.
    pub rpc: SocketAddr,
    /// For DataNodes.
    pub link: SocketAddr,
    /// For `fsck`, figures and health: HTTP.
    pub http: SocketAddr,
    /// Its process.
    pub pid: u32,
}

/// A DataNode's addresses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataNodeEndpoint {
    /// Its identity, which survives a restart.
    pub uuid: String,
    /// For blocks.
    pub xfer: SocketAddr,
    /// For `ClientDatanodeProtocol`.
    pub ipc: SocketAddr,
    /// Its process.
    pub pid: u32,
}

/// A worker's address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerEndpoint {
    /// For the coordinator and other workers.
    pub addr: SocketAddr,
    /// Its process.
    pub pid: u32,
    /// Identity of the DataNode whose replicas it reads without a socket; absent if it runs alone.
    pub datanode: Option<String>,
}

/// The coordinator's address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CoordinatorEndpoint {
    /// For SQL clients and workers.
    pub flight_sql: SocketAddr,
    /// Its process.
    pub pid: u32,
}

/// A node's addresses: what a `quarry node` process reports when it is ready.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeEndpoint {
    /// Its DataNode.
    pub datanode: DataNodeEndpoint,
    /// Its worker.
    pub worker: WorkerEndpoint,
}

impl Endpoints {
    /// Reads the file of a running (or crashed) cluster.
    ///
    /// # Errors
    /// There is none, or it is damaged.
    pub fn read(dir: &Path) -> anyhow::Result<Self> {
        read(&dir.join(FILE))
    }

    /// What the last run used, however it ended; `None` at the first start.
    pub fn last(dir: &Path) -> Option<Self> {
        // Damage costs the old port numbers only.
        [FILE, LAST].iter().find_map(|name| read(&dir.join(name)).ok())
    }

    /// Where the file is.
    pub fn path(dir: &Path) -> PathBuf {
        dir.join(FILE)
    }

    /// Writes the file; a reader sees the old one or the new one whole.
    ///
    /// # Errors
    /// The directory cannot be written.
    pub fn write(&self, dir: &Path) -> anyhow::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(dir)?;
        serde_json::to_writer_pretty(&mut file, self)?;
        file.write_all(b"\n")?;
        file.as_file().sync_all()?;
        file.persist(dir.join(FILE)).context(FILE)?;
        Ok(())
    }

    /// Says that the cluster does not run any more, keeping the ports for the next start.
    ///
    /// # Errors
    /// The directory cannot be written.
    pub fn retire(dir: &Path) -> std::io::Result<()> {
        match std::fs::rename(dir.join(FILE), dir.join(LAST)) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }

    /// Puts a node's new addresses in the place of its old ones.
    pub fn set_node(&mut self, index: usize, node: NodeEndpoint) {
        self.datanodes[index] = node.datanode;
        self.workers[index] = node.worker;
    }
}

fn read(path: &Path) -> anyhow::Result<Endpoints> {
    let text = std::fs::read(path).with_context(|| path.display().to_string())?;
    serde_json::from_slice(&text).with_context(|| path.display().to_string())
}

#[cfg(test)]
pub(super) mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    pub(in crate::local) fn sample() -> Endpoints {
        let addr = |port| SocketAddr::from(([127, 0, 0, 1], port));
        Endpoints {
            namenode: NameNodeEndpoint {
                rpc: addr(1),
                link: addr(2),
                http: addr(10),
                pid: 7,
            },
            datanodes: vec![DataNodeEndpoint {
                uuid: "u".into(),
                xfer: addr(3),
                ipc: addr(4),
                pid: 8,
            }],
            workers: vec![WorkerEndpoint {
                addr: addr(5),
                pid: 8,
                datanode: Some("u".into()),
            }],
            coordinator: CoordinatorEndpoint {
                flight_sql: addr(6),
                pid: 9,
            },
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let dir = tempfile::tempdir().unwrap();
        assert!(Endpoints::last(dir.path()).is_none());
        sample().write(dir.path()).unwrap();
        assert_eq!(Endpoints::read(dir.path()).unwrap(), sample());
        Endpoints::retire(dir.path()).unwrap();
        assert!(Endpoints::read(dir.path()).is_err());
        assert_eq!(Endpoints::last(dir.path()), Some(sample()));
        Endpoints::retire(dir.path()).unwrap();
    }
}
