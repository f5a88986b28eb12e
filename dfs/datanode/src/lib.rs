//! The DataNode: replicas of blocks on disk, and the ports through which they come and go.
//!
//! - `storage`: volumes, block files, the replica map; knows no sockets
//! - [`Replica`] and its checks: which writer may have which replica
//! - `transfer`: the data transfer port (reads, write pipelines, copies, checksums)
//! - `namenode_link`, `reports`, `commands`, `recovery`: the stream to the NameNode and what it orders
//! - `ipc`: the RPC port
//! - `jobs`: background work: scanners, balancing between volumes, deletion
//!
//! It decides nothing about files, placement or replication: the NameNode does. It never acknowledges the last packet of a
//! block that is not fsynced here or not known to the NameNode.

mod commands;
mod config;
mod datanode;
mod error;
#[doc(hidden)]
pub mod fuzzing;
mod ipc;
mod jobs;
mod namenode_link;
mod node;
mod recovery;
mod replica;
mod reports;
mod scan_counts;
mod short_circuit;
mod storage;
mod transfer;
mod volume_failures;

pub use config::DataNodeConfig;
pub use datanode::{DataNode, DataNodeHandle, ReplicaFiles};
pub use error::{Error, Result};
pub use jobs::JobStatus;
pub use replica::{Replica, ReplicaError, ReplicaState};
pub use storage::disk::{Disk, DiskSpace, SystemDisk};
