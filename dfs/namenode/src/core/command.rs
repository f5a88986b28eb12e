//! What goes into the core and what comes out: commands, replies, actions. Plain values, no protobuf, no channels.

use std::net::IpAddr;
use std::sync::Arc;

use quarry_dfs_wire::block::{Block, BlockId, GenerationStamp};

use super::datanodes::DataNodeDescriptor;
use super::edit::{EditEntry, RetryEntry};
use super::error::FsError;
use super::retry_cache::CallKey;

/// The two clocks, read at the rim. `unix_ms` goes into the namespace; `tick_ms` never goes back and times leases and liveness.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Now {
    /// Milliseconds since the epoch.
    pub unix_ms: u64,
    /// Milliseconds since an arbitrary start, monotonic.
    pub tick_ms: u64,
}

/// Names a waiting caller; given out by the driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// Names one connection of a DataNode; given out by the driver. A later session of the same DataNode has another number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub u64);

/// Who calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The effective user.
    pub user: String,
    /// Where the call came from: locations are sorted by closeness to it.
    pub address: IpAddr,
    /// The call's identity, for the retry cache.
    pub call: Option<CallKey>,
}

/// Everything that can happen to the NameNode.
#[derive(Debug, Clone)]
pub enum Command {
    /// A client's call.
    Call {
        /// Whom to answer.
        request: RequestId,
        /// Who calls.
        caller: Caller,
        /// What it wants.
        operation: Operation,
    },
    /// A DataNode connected and said who it is.
    Register {
        /// Whom to answer.
        request: RequestId,
        /// Its connection.
        session: SessionId,
        /// Who it is.
        registration: Registration,
    },
    /// News from a registered DataNode. Ignored if the session is not its current one.
    FromDataNode {
        /// Its connection.
        session: SessionId,
        /// The news.
        message: DataNodeMessage,
    },
    /// A DataNode's connection ended.
    Disconnected {
        /// The connection.
        session: SessionId,
    },
    /// Time passed.
    Tick,
}

/// A DataNode's introduction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    /// Who it is and where it serves.
    pub descriptor: DataNodeDescriptor,
    /// Its volumes.
    pub storages: Vec<StorageReport>,
}

/// One volume's figures, in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
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

/// News from a DataNode.
#[derive(Debug, Clone)]
pub enum DataNodeMessage {
    /// It is alive.
    Heartbeat {
        /// Its volumes now.
        storages: Vec<StorageReport>,
        /// Transfers under way.
        active_transfers: u32,
    },
    /// Changes in the order in which they happened: storage id, change, replica.
    Changes(Vec<(String, ReplicaChange, ReportedReplica)>),
    /// A part of the list of everything that one storage holds.
    FullReport {
        /// The storage.
        storage_id: String,
        /// The part.
        replicas: Vec<ReportedReplica>,
        /// Whether the list ends here.
        last_part: bool,
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

/// How a file is opened for writing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateArguments {
    /// Where.
    pub path: String,
    /// Mode bits after the client's umask.
    pub permission: u16,
    /// The writing client's name.
    pub holder: String,
    /// Replace an existing file.
    pub overwrite: bool,
    /// Make missing parents.
    pub create_parent: bool,
    /// Replicas per block.
    pub replication: u16,
    /// Bytes per block.
    pub block_size: u64,
}

/// A block of an open file, as its writer names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WriterBlock {
    /// The file's path when it was opened.
    pub path: String,
    /// The file's inode; 0 when the client did not say.
    pub inode_id: u64,
    /// The writing client's name.
    pub holder: String,
    /// The block, if the call names one.
    pub block: Option<Block>,
}

/// Which DataNodes a report lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DataNodeFilter {
    /// Every DataNode ever seen since the start.
    All,
    /// Those in contact.
    Live,
    /// Those given up.
    Dead,
}

/// What a caller may do with safe mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SafeModeAction {
    /// Ask.
    Get,
    /// Enter by hand.
    Enter,
    /// Leave by hand.
    Leave,
}

/// A client's wish. Paths are absolute and normalized.
#[derive(Debug, Clone)]
#[expect(
    missing_docs,
    reason = "fields carry the names and meanings of HDFS's ClientProtocol"
)]
pub enum Operation {
    // Reads: they change nothing durable and do not wait for the log.
    GetFileInfo {
        path: String,
        need_locations: bool,
    },
    GetListing {
        path: String,
        start_after: String,
        need_locations: bool,
    },
    GetBlockLocations {
        path: String,
        offset: u64,
        length: u64,
    },
    GetContentSummary {
        path: String,
    },
    IsFileClosed {
        path: String,
    },
    GetPreferredBlockSize {
        path: String,
    },
    CheckAccess {
        path: String,
        mode: u8,
    },
    GetFsStats,
    GetDataNodeReport {
        filter: DataNodeFilter,
    },
    GetAdditionalDataNode {
        at: WriterBlock,
        existing: Vec<String>,
        excluded: Vec<String>,
        count: usize,
    },
    // Writes.
    MakeDirectories {
        path: String,
        permission: u16,
        create_parent: bool,
    },
    Create(CreateArguments),
    Append {
        path: String,
        holder: String,
        new_block: bool,
    },
    AddBlock {
        at: WriterBlock,
        excluded: Vec<String>,
        favored: Vec<String>,
    },
    Complete {
        at: WriterBlock,
    },
    AbandonBlock {
        at: WriterBlock,
    },
    Fsync {
        at: WriterBlock,
        last_block_length: Option<u64>,
    },
    RenewLease {
        holder: String,
    },
    UpdateBlockForPipeline {
        holder: String,
        block: Block,
    },
    UpdatePipeline {
        holder: String,
        old: Block,
        new: Block,
        nodes: Vec<String>,
    },
    RecoverLease {
        path: String,
        holder: String,
    },
    Rename {
        source: String,
        destination: String,
    },
    Rename2 {
        source: String,
        destination: String,
        overwrite: bool,
    },
    Delete {
        path: String,
        recursive: bool,
    },
    SetPermission {
        path: String,
        permission: u16,
    },
    SetOwner {
        path: String,
        owner: String,
        group: String,
    },
    SetTimes {
        path: String,
        modified_ms: Option<u64>,
        accessed_ms: Option<u64>,
    },
    SetReplication {
        path: String,
        replication: u16,
    },
    ReportBadBlocks {
        blocks: Vec<(Block, Vec<String>)>,
    },
    SetSafeMode {
        action: SafeModeAction,
    },
}

impl Operation {
    /// Whether the answer may leave before the log is synced.
    pub fn is_read(&self) -> bool {
        matches!(
            self,
            Self::GetFileInfo { .. }
                | Self::GetListing { .. }
                | Self::GetBlockLocations { .. }
                | Self::GetContentSummary { .. }
                | Self::IsFileClosed { .. }
                | Self::GetPreferredBlockSize { .. }
                | Self::CheckAccess { .. }
                | Self::GetFsStats
                | Self::GetDataNodeReport { .. }
                | Self::GetAdditionalDataNode { .. }
        )
    }
}

/// A file or directory as shown to clients.
#[derive(Debug, Clone, PartialEq)]
pub struct FileStatus {
    /// Inode id.
    pub id: u64,
    /// Last path component; empty when the caller asked for this very path.
    pub name: String,
    /// Directory or file.
    pub is_directory: bool,
    /// Bytes.
    pub length: u64,
    /// Mode bits.
    pub permission: u16,
    /// Owner's name.
    pub owner: String,
    /// Group's name.
    pub group: String,
    /// Milliseconds since the epoch.
    pub modified_ms: u64,
    /// Milliseconds since the epoch.
    pub accessed_ms: u64,
    /// Replicas per block; 0 for a directory.
    pub replication: u16,
    /// Bytes per block; 0 for a directory.
    pub block_size: u64,
    /// Entries of a directory.
    pub children: u32,
    /// The blocks, if asked for and it is a file.
    pub locations: Option<LocatedBlocks>,
}

/// One replica's place.
#[derive(Debug, Clone, PartialEq)]
pub struct Location {
    /// The DataNode.
    pub node: Arc<DataNodeDescriptor>,
    /// Its volume.
    pub storage_id: Arc<str>,
    /// Whether the DataNode is in contact.
    pub live: bool,
}

/// A block and where its replicas are, closest to the caller first.
#[derive(Debug, Clone, PartialEq)]
pub struct LocatedBlock {
    /// The block.
    pub block: Block,
    /// Its first byte's offset in the file.
    pub offset: u64,
    /// Every known replica is corrupt.
    pub corrupt: bool,
    /// Its replicas.
    pub locations: Vec<Location>,
}

/// The blocks of a file that a range touches.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct LocatedBlocks {
    /// Length of the file without an incomplete last block.
    pub file_length: u64,
    /// In file order.
    pub blocks: Vec<LocatedBlock>,
    /// Whether a writer has it open.
    pub under_construction: bool,
    /// The file's last block.
    pub last_block: Option<LocatedBlock>,
    /// Whether the last block's length is final.
    pub last_block_complete: bool,
}

/// Totals of a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ContentSummary {
    /// Bytes of all files.
    pub length: u64,
    /// Number of files.
    pub files: u64,
    /// Number of directories, the root of the tree included.
    pub directories: u64,
    /// Bytes times replication.
    pub space_consumed: u64,
}

/// Totals of the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FsStats {
    /// Bytes on all live volumes.
    pub capacity: u64,
    /// Bytes used by blocks.
    pub used: u64,
    /// Bytes left.
    pub remaining: u64,
    /// Blocks with fewer good replicas than wanted.
    pub under_replicated: u64,
    /// Blocks with a corrupt replica.
    pub corrupt: u64,
    /// Blocks without any good replica.
    pub missing: u64,
}

/// One DataNode as shown to an administrator.
#[derive(Debug, Clone, PartialEq)]
pub struct DataNodeStatus {
    /// Who it is.
    pub node: Arc<DataNodeDescriptor>,
    /// In contact.
    pub live: bool,
    /// Bytes on its volumes.
    pub capacity: u64,
    /// Bytes used by blocks.
    pub used: u64,
    /// Bytes left.
    pub remaining: u64,
    /// Milliseconds since its last sign of life.
    pub silent_ms: u64,
    /// Transfers under way at its last heartbeat.
    pub active_transfers: u32,
    /// Its volumes.
    pub storages: Vec<StorageReport>,
}

/// The answer to an operation.
#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    /// Done.
    Void,
    /// Yes or no.
    Bool(bool),
    /// A number.
    Number(u64),
    /// A file's status, or that there is none.
    Status(Option<Box<FileStatus>>),
    /// A page of a directory and how many entries remain; `None` when the path does not exist.
    Listing(Option<(Vec<FileStatus>, u32)>),
    /// A file's blocks.
    Blocks(Box<LocatedBlocks>),
    /// One block.
    Block(Box<LocatedBlock>),
    /// A file opened for append and its last block, if that is to be written on.
    Appended(Box<FileStatus>, Option<Box<LocatedBlock>>),
    /// A tree's totals.
    Summary(ContentSummary),
    /// The cluster's totals.
    Stats(FsStats),
    /// DataNodes.
    DataNodes(Vec<DataNodeStatus>),
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
    },
    /// Send the list of everything.
    SendFullReport,
    /// End the session: another one replaced it, or it broke the rules.
    Close {
        /// What to tell the operator.
        reason: String,
    },
}

/// Something to do once the edits of the step are durable.
#[derive(Debug, Clone, PartialEq)]
pub struct Action {
    /// The DataNode's connection.
    pub session: SessionId,
    /// What to tell it.
    pub order: Order,
}

/// What one step decided.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Durable changes: one transaction.
    pub edits: Vec<EditEntry>,
    /// The answer to remember with them.
    pub retry: Option<RetryEntry>,
    /// Answers, to the caller of this step and to parked ones that it woke.
    pub replies: Vec<(RequestId, Result<Reply, FsError>)>,
    /// Orders.
    pub actions: Vec<Action>,
}
