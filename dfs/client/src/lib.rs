//! The file system as a library: files, blocks, local reads, and an object store on top.
//!
//! - [`DfsClient`] talks to one HDFS-compatible NameNode: namespace, block locations, [`FileWriter`], [`FileReader`].
//! - [`DfsObjectStore`] offers it as an `object_store::ObjectStore`, with atomic puts and renames.
//! - [`LocalReplicas`] lets a process that hosts a DataNode read its replicas from the disk; [`DomainSocketReplicas`] does so for
//!   a process beside one.
//!
//! A read, in order: locations (cached) → the block's replicas by closeness, own disk first → bytes with CRC32C
//! verified → on failure the next replica, the bad one reported → fresh locations once → error that names each replica.
//!
//! A write, in order: `create` → `addBlock` → pipeline → packets and acknowledgements → last packet (fsync) → `complete`.
//! What happens when a DataNode is lost on the way is told in `write/block.rs`.
//!
//! The crate knows nothing of the servers' insides, of Arrow or of SQL.

mod acl;
mod attributes;
mod buffers;
mod checksum;
mod client;
mod cluster;
mod config;
mod connections;
mod convert;
mod dead_nodes;
mod domain_socket;
mod error;
mod glob;
mod hadoop;
mod lease;
mod local;
mod local_replica;
mod local_sources;
mod location;
mod location_cache;
mod namenode;
mod object_store;
mod ops;
mod read;
mod shared;
mod stats;
mod status;
mod task;
mod visible;
mod write;

pub use acl::{AclEntry, AclKind, AclScope, AclStatus};
pub use attributes::{QuotaChange, StoragePolicy, StorageType, TypeQuota, XAttr, XAttrMode};
pub use checksum::{ChecksumCombine, FileChecksum};
pub use client::{DfsClient, MkdirOptions, RenameOptions};
pub use cluster::{AdminState, DataNodeReport, DataNodeState, SafeModeAction};
pub use config::DfsClientConfig;
pub use domain_socket::DomainSocketReplicas;
pub use error::{Error, Failures, ReplicaFailure, Result, Retry, TransferError};
pub use glob::{GlobError, GlobPattern};
pub use hadoop::HadoopConf;
pub use local::{LocalReplica, LocalReplicas};
pub use location::{BlockLocation, DataNodeInfo, FileBlocks, LocatedFile};
pub use object_store::DfsObjectStore;
pub use ops::{LocatedPages, StatusPages, Trashed};
pub use quarry_dfs_wire::checksum::{ChecksumType, DataChecksum};
pub use read::FileReader;
pub use stats::{ClientFigures, ReadStats};
pub use status::{ContentSummary, FileKind, FileStatus, FsStats, QuotaUsage, ServerDefaults};
pub use write::{CreateOptions, FileWriter, ReplaceDataNode};
