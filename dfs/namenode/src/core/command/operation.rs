//! What clients may ask for.

use quarry_dfs_wire::block::Block;

use super::AdminOperation;

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
    /// Those being decommissioned.
    Decommissioning,
    /// Those about to be in maintenance.
    EnteringMaintenance,
    /// Those in maintenance.
    InMaintenance,
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
    /// An administrator's.
    Admin(AdminOperation),
}

impl Operation {
    /// Whether the answer may leave before the log is synced.
    pub fn is_read(&self) -> bool {
        if let Self::Admin(admin) = self {
            return admin.is_read();
        }
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
