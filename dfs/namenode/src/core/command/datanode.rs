//! News from DataNodes and orders to them.

use quarry_dfs_wire::block::{Block, BlockId, GenerationStamp};

use super::Location;
use crate::core::datanodes::{DataNodeDescriptor, NodeHealth};

/// A DataNode's introduction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    /// Who it is and where it serves.
    pub descriptor: DataNodeDescriptor,
    /// Its volumes.
    pub storages: Vec<StorageReport>,
    /// Version of its program.
    pub software_version: String,
}

/// What a volume is made of. Names and numbers are HDFS's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StorageType {
    /// A disk.
    #[default]
    Disk,
    /// A solid state disk.
    Ssd,
    /// A slow, dense one.
    Archive,
    /// Memory.
    RamDisk,
}

/// One volume's figures, in bytes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StorageReport {
    /// The volume's id.
    pub storage_id: String,
    /// Size of the volume.
    pub capacity: u64,
    /// Used by blocks.
    pub dfs_used: u64,
    /// Left for blocks.
    pub remaining: u64,
    /// The volume failed: its replicas are gone.
    pub failed: bool,
    /// What it is made of.
    pub storage_type: StorageType,
    /// Used by anything but blocks.
    pub non_dfs_used: u64,
    /// Its directory, for reports.
    pub location: String,
}

/// State of a replica as reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplicaState {
    /// Complete and durable.
    Finalized,
    /// Being written.
    Rbw,
    /// Was being written when its DataNode stopped.
    Rwr,
}

/// What happened to a replica.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplicaChange {
    /// Created, being written.
    Receiving,
    /// Finalized and durable.
    Received,
    /// Gone.
    Deleted,
    /// Its bytes do not match their checksums.
    Corrupt,
}

/// A replica as reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReportedReplica {
    /// Block, stamp and length on that DataNode.
    pub block: Block,
    /// Its state there.
    pub state: ReplicaState,
}

/// One change of a replica.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplicaNews {
    /// The volume that it is on.
    pub storage_id: String,
    /// What happened.
    pub change: ReplicaChange,
    /// To which replica.
    pub replica: ReportedReplica,
    /// Of a received one: uuid of the DataNode whose replica it takes the place of. Empty: none in particular.
    pub delete_hint: String,
}

/// News from a DataNode.
#[derive(Debug, Clone)]
pub enum DataNodeMessage {
    /// It is alive.
    Heartbeat {
        /// Its volumes now.
        storages: Vec<StorageReport>,
        /// Transfers under way.
        active_transfers: u32,
        /// Beyond the figures.
        health: NodeHealth,
    },
    /// Changes in the order in which they happened.
    Changes(Vec<ReplicaNews>),
    /// A part of the list of everything that one storage holds.
    FullReport {
        /// The storage.
        storage_id: String,
        /// The part.
        replicas: Vec<ReportedReplica>,
        /// Whether the list ends here.
        last_part: bool,
    },
    /// It has verified what it holds and reported what is bad.
    VolumesChecked {
        /// That of the order.
        sequence: u64,
        /// Replicas that it read.
        verified: u64,
    },
    /// A copy that it was told to make did not get through.
    CopyFailed {
        /// Of which block.
        block: BlockId,
    },
    /// The end of a block recovery that it was told to run.
    Recovered {
        /// The block.
        block: BlockId,
        /// The stamp that the NameNode gave for this recovery.
        generation_stamp: GenerationStamp,
        /// The length agreed on.
        length: u64,
        /// Who holds it now, by uuid.
        holders: Vec<String>,
        /// Empty when it worked.
        error: String,
    },
}

/// An order to a DataNode, or the end of its session.
#[derive(Debug, Clone, PartialEq)]
pub enum Order {
    /// Copy a replica to other nodes.
    Replicate {
        /// What.
        block: Block,
        /// Where to.
        targets: Vec<Location>,
        /// Most bytes per second; 0 for the DataNode's own limit.
        bytes_per_second: u64,
        /// It only evens out the load.
        balancing: bool,
    },
    /// Verify what is stored and report what is bad.
    CheckVolumes {
        /// Comes back with the answer.
        sequence: u64,
        /// Time that may be spent.
        budget_ms: u32,
    },
    /// Send no more than this per second for balancing.
    SetBandwidth {
        /// Bytes per second.
        balancing: u64,
    },
    /// Delete replicas.
    Delete {
        /// Which.
        blocks: Vec<Block>,
    },
    /// Agree with the other holders on the length of a block whose writer is gone.
    Recover {
        /// The block as it was.
        block: Block,
        /// The stamp it gets.
        new_generation_stamp: GenerationStamp,
        /// Everyone who may hold it, the addressee included.
        holders: Vec<Location>,
        /// Cut the replicas to this length rather than agree on one.
        truncate_length: Option<u64>,
    },
    /// Send the list of everything.
    SendFullReport,
    /// End the session: another one replaced it, or it broke the rules.
    Close {
        /// What to tell the operator.
        reason: String,
    },
}
