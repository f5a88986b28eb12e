//! What administrators may ask for.

use std::sync::Arc;

use quarry_dfs_wire::block::Block;

use super::{StorageReport, StorageType};
use crate::core::datanodes::{AdminState, DataNodeDescriptor, Liveness, NodeHealth};
use crate::core::decommission::Remaining;
use crate::core::replication::Census;
use crate::core::topology::HostTables;

/// What is wished for a DataNode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AdminWish {
    /// That it serves.
    #[default]
    InService,
    /// That it leaves for good.
    Decommission,
    /// That it may be away for a while.
    Maintenance {
        /// Until then, milliseconds since the epoch; 0 for as long as nothing else is said.
        expires_unix_ms: u64,
    },
}

/// An administrator's wish. Nodes are named by uuid, `host:port`, `ip:port`, host name or ip.
#[derive(Debug, Clone)]
pub enum AdminOperation {
    /// The cluster's figures and all its nodes.
    Report,
    /// Has a node leave or stay.
    SetNode {
        /// The node.
        node: String,
        /// What is wished.
        wish: AdminWish,
    },
    /// Puts a node on a rack; an empty one returns to what the table or the node says.
    SetRack {
        /// The node.
        node: String,
        /// The rack.
        rack: String,
    },
    /// Takes new tables in.
    RefreshNodes {
        /// The tables.
        hosts: HostTables,
    },
    /// Makes sure that the log has a transaction; the answer is its number.
    MarkLog,
    /// What is known of blocks that need something, as text.
    MetaSave,
    /// Begins to even out the fullness of DataNodes.
    StartBalance {
        /// How far a node may be from the average, percent of its capacity; 0 for HDFS's 10.
        threshold_percent: f64,
        /// Most bytes per second that a node sends; 0 for the configured figure.
        bytes_per_second: u64,
    },
    /// Ends it; copies under way are finished.
    StopBalance,
    /// How far it is.
    BalanceStatus,
    /// Only checks that the caller is a superuser, for the operation of this name.
    CheckSuperuser(&'static str),
    /// Has all DataNodes verify what they hold; the answer names those that are still at it.
    CheckVolumes {
        /// What each may spend on it.
        budget_ms: u32,
    },
    /// DataNodes that are still at it.
    ChecksPending,
    /// A path, or the entries of a directory behind a name, with all that is known of their blocks.
    FsckList {
        /// The path.
        path: String,
        /// The name.
        entries_after: Option<String>,
    },
    /// As that, of the one block.
    FsckBlock {
        /// The block.
        id: u64,
    },
    /// Replicas below a path that were found to be corrupt.
    CorruptHistory {
        /// The path.
        path: String,
    },
    /// Tells all nodes how fast they may copy for balancing.
    SetBalancerBandwidth {
        /// Bytes per second.
        bytes_per_second: u64,
    },
    /// Files with a block that has no good replica, as (block id, path) from this block on.
    ListCorruptFileBlocks {
        /// Only files at or below this path.
        path: String,
        /// Block to go on from.
        from: u64,
        /// Most entries.
        limit: usize,
    },
}

impl AdminOperation {
    /// Whether the answer may leave before the log is synced.
    pub fn is_read(&self) -> bool {
        matches!(
            self,
            Self::Report
                | Self::CheckSuperuser(_)
                | Self::ChecksPending
                | Self::FsckList { .. }
                | Self::FsckBlock { .. }
                | Self::CorruptHistory { .. }
                | Self::MetaSave
                | Self::BalanceStatus
                | Self::ListCorruptFileBlocks { .. }
        )
    }
}

/// One DataNode as shown to an administrator.
#[derive(Debug, Clone, PartialEq)]
pub struct DataNodeStatus {
    /// Who it is.
    pub node: Arc<DataNodeDescriptor>,
    /// In contact.
    pub live: bool,
    /// How it is known to be.
    pub liveness: Liveness,
    /// Silent for a while.
    pub stale: bool,
    /// Whether it is in service.
    pub admin: AdminState,
    /// When maintenance ends, milliseconds since the epoch; 0 for no end.
    pub maintenance_expires_unix_ms: u64,
    /// What keeps it from leaving.
    pub remaining_work: Remaining,
    /// Bytes on its volumes.
    pub capacity: u64,
    /// Bytes used by blocks.
    pub used: u64,
    /// Bytes used by anything else.
    pub non_dfs_used: u64,
    /// Bytes left.
    pub remaining: u64,
    /// Milliseconds since its last sign of life.
    pub silent_ms: u64,
    /// Transfers under way at its last heartbeat.
    pub active_transfers: u32,
    /// Its volumes, each with its number of good replicas.
    pub storages: Vec<(StorageReport, u64)>,
    /// Good replicas.
    pub blocks: u64,
    /// Version of its program.
    pub software_version: String,
    /// Its health.
    pub health: NodeHealth,
    /// Its last full report, milliseconds since the epoch; 0 for none yet.
    pub last_report_unix_ms: u64,
}

/// The cluster as shown to an administrator.
#[derive(Debug, Clone, PartialEq)]
pub struct ClusterStatus {
    /// Totals.
    pub stats: super::FsStats,
    /// Bytes used by anything but blocks.
    pub non_dfs_used: u64,
    /// Files and directories.
    pub inodes: u64,
    /// Blocks.
    pub blocks: u64,
    /// Files being written.
    pub open_files: u64,
    /// Why it is in safe mode; `None` when it is not.
    pub safe_mode: Option<String>,
    /// The last transaction.
    pub last_txid: u64,
    /// Milliseconds since the start.
    pub uptime_ms: u64,
    /// All DataNodes.
    pub nodes: Vec<DataNodeStatus>,
}

/// A file or directory as fsck shows it.
#[derive(Debug, Clone, PartialEq)]
pub struct FsckEntry {
    /// Where.
    pub path: String,
    /// Directory or file.
    pub is_directory: bool,
    /// Bytes.
    pub length: u64,
    /// Replicas wanted.
    pub replication: u16,
    /// Id of the storage policy that it has or inherits.
    pub storage_policy: u8,
    /// Being written.
    pub open: bool,
    /// In file order.
    pub blocks: Vec<FsckBlock>,
}

/// A block as fsck shows it.
#[derive(Debug, Clone, PartialEq)]
pub struct FsckBlock {
    /// The block.
    pub block: Block,
    /// Its length is final.
    pub committed: bool,
    /// Good replicas by the state of their nodes.
    pub census: Census,
    /// Replicas that must be on nodes in service.
    pub expected: usize,
    /// Replicas wanted.
    pub wanted: usize,
    /// On enough racks.
    pub is_spread: bool,
    /// Waits for a copy or gets one.
    pub is_queued: bool,
    /// Good replicas, or the pipeline.
    pub replicas: Vec<FsckReplica>,
    /// Corrupt replicas.
    pub corrupt: Vec<FsckReplica>,
}

/// A replica as fsck shows it.
#[derive(Debug, Clone, PartialEq)]
pub struct FsckReplica {
    /// Where.
    pub node: Arc<DataNodeDescriptor>,
    /// On which volume.
    pub storage_id: Arc<str>,
    /// What that is made of.
    pub storage_type: StorageType,
    /// Whether the node is in service.
    pub admin: AdminState,
    /// In contact.
    pub live: bool,
    /// Silent for a while.
    pub stale: bool,
    /// Its bytes do not match their checksums.
    pub corrupt: bool,
}

/// A replica that was found to be corrupt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CorruptReplica {
    /// The file's path then.
    pub path: String,
    /// The block.
    pub block: Block,
    /// `ip:port` of the DataNode.
    pub node: String,
    /// Its volume.
    pub storage_id: String,
    /// It is still there and not replaced.
    pub is_known: bool,
    /// When, milliseconds since the epoch.
    pub found_unix_ms: u64,
    /// When it was seen to be replaced or removed.
    pub gone_unix_ms: Option<u64>,
}

/// How far balancing is.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct BalanceStatus {
    /// It goes on.
    pub running: bool,
    /// How far a node may be from the average, percent of its capacity.
    pub threshold_percent: f64,
    /// Most bytes per second that a node sends; 0 for the DataNodes' own figure.
    pub bytes_per_second: u64,
    /// Since it was started.
    pub blocks_moved: u64,
    /// Since it was started.
    pub bytes_moved: u64,
    /// Copies under way.
    pub moves_in_flight: u32,
    /// Still to move, about.
    pub bytes_left: u64,
    /// Nodes above the average by more than the threshold.
    pub over_utilized: u32,
    /// Nodes below it by more than the threshold.
    pub under_utilized: u32,
    /// Fullness of all nodes in service together, percent.
    pub average_percent: f64,
    /// Why it does not go on.
    pub text: &'static str,
}

/// The answer to an administrator.
#[derive(Debug, Clone, PartialEq)]
pub enum AdminReply {
    /// The cluster.
    Cluster(Box<ClusterStatus>),
    /// For people.
    Text(String),
    /// Balancing.
    Balance(BalanceStatus),
    /// Names of DataNodes.
    Names(Vec<String>),
    /// A page for fsck and whether there is more; `None` for a path or block that does not exist.
    Fsck(Option<Vec<FsckEntry>>, bool),
    /// Corrupt replicas.
    CorruptReplicas(Vec<CorruptReplica>),
    /// Blocks without a good replica, and the block to go on from.
    CorruptFiles(Vec<(u64, String)>, u64),
}
