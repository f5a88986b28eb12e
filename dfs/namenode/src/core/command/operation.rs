//! What clients may ask for.

use quarry_dfs_wire::block::Block;

use super::AdminOperation;
use crate::core::acl_calls::{AclChange, Modes};
use crate::core::storage_policy::StorageType;
use crate::core::xattr::{SetFlags, XAttr};

/// How a file is opened for writing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateArguments {
    /// Where.
    pub path: String,
    /// Mode bits.
    pub permission: Modes,
    /// The writing client's name.
    pub holder: String,
    /// Make it if it does not exist.
    pub create: bool,
    /// Replace an existing file.
    pub overwrite: bool,
    /// Make missing parents.
    pub create_parent: bool,
    /// Replicas per block.
    pub replication: u16,
    /// Bytes per block.
    pub block_size: u64,
    /// Its storage policy's name; empty for none of its own.
    pub storage_policy: String,
    /// Its storage policy is the one for files that are in memory first.
    pub lazy_persist: bool,
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
    /// Leave by hand whatever is wrong.
    ForceExit,
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
    GetQuotaUsage {
        path: String,
    },
    GetAclStatus {
        path: String,
    },
    GetXAttrs {
        path: String,
        /// None: all.
        wanted: Vec<XAttr>,
        raw: bool,
    },
    ListXAttrs {
        path: String,
        raw: bool,
    },
    GetStoragePolicy {
        path: String,
    },
    GetBatchedListing {
        paths: Vec<String>,
        /// Where the page before ended: the position in `paths` and the last name.
        start_after: Option<(usize, String)>,
        need_locations: bool,
    },
    ListOpenFiles {
        after: u64,
        path: String,
    },
    GetLinkTarget {
        path: String,
    },
    /// Whether the caller may read the path, for questions whose answer is always the same.
    CheckRead {
        path: String,
        missing_ok: bool,
    },
    /// Whether the caller is a superuser, likewise.
    CheckSuperuser {
        operation: &'static str,
    },
    // Writes.
    Concat {
        target: String,
        sources: Vec<String>,
    },
    Truncate {
        path: String,
        holder: String,
        new_length: i64,
    },
    SetQuota {
        path: String,
        names: i64,
        space: i64,
        kind: Option<StorageType>,
    },
    ChangeAcl {
        path: String,
        change: AclChange,
    },
    SetXAttr {
        path: String,
        xattr: XAttr,
        flags: SetFlags,
        raw: bool,
    },
    RemoveXAttr {
        path: String,
        xattr: XAttr,
        raw: bool,
    },
    SetStoragePolicy {
        path: String,
        policy: String,
    },
    UnsetStoragePolicy {
        path: String,
    },
    MakeDirectories {
        path: String,
        permission: Modes,
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
        /// The move stands for a deletion, and takes the same rights.
        to_trash: bool,
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
                | Self::GetQuotaUsage { .. }
                | Self::GetAclStatus { .. }
                | Self::GetXAttrs { .. }
                | Self::ListXAttrs { .. }
                | Self::GetStoragePolicy { .. }
                | Self::GetBatchedListing { .. }
                | Self::ListOpenFiles { .. }
                | Self::GetLinkTarget { .. }
                | Self::CheckRead { .. }
                | Self::CheckSuperuser { .. }
        )
    }
}

/// The places where each operation has its paths: one list for looking at them and one for changing them.
macro_rules! paths {
    ($operation:expr) => {
        match $operation {
            Operation::GetFileInfo { path, .. }
            | Operation::GetListing { path, .. }
            | Operation::GetBlockLocations { path, .. }
            | Operation::GetContentSummary { path }
            | Operation::IsFileClosed { path }
            | Operation::GetPreferredBlockSize { path }
            | Operation::CheckAccess { path, .. }
            | Operation::GetQuotaUsage { path }
            | Operation::GetAclStatus { path }
            | Operation::GetXAttrs { path, .. }
            | Operation::ListXAttrs { path, .. }
            | Operation::GetStoragePolicy { path }
            | Operation::ListOpenFiles { path, .. }
            | Operation::GetLinkTarget { path }
            | Operation::CheckRead { path, .. }
            | Operation::MakeDirectories { path, .. }
            | Operation::Create(CreateArguments { path, .. })
            | Operation::Append { path, .. }
            | Operation::RecoverLease { path, .. }
            | Operation::Delete { path, .. }
            | Operation::SetPermission { path, .. }
            | Operation::SetOwner { path, .. }
            | Operation::SetTimes { path, .. }
            | Operation::SetReplication { path, .. }
            | Operation::Truncate { path, .. }
            | Operation::SetQuota { path, .. }
            | Operation::ChangeAcl { path, .. }
            | Operation::SetXAttr { path, .. }
            | Operation::RemoveXAttr { path, .. }
            | Operation::SetStoragePolicy { path, .. }
            | Operation::UnsetStoragePolicy { path }
            | Operation::AddBlock {
                at: WriterBlock { path, .. },
                ..
            }
            | Operation::Complete {
                at: WriterBlock { path, .. },
            }
            | Operation::AbandonBlock {
                at: WriterBlock { path, .. },
            }
            | Operation::Fsync {
                at: WriterBlock { path, .. },
                ..
            }
            | Operation::GetAdditionalDataNode {
                at: WriterBlock { path, .. },
                ..
            } => (Some(path), None, None),
            Operation::Rename { source, destination }
            | Operation::Rename2 {
                source, destination, ..
            } => (Some(source), Some(destination), None),
            Operation::Concat { target, sources } => (Some(target), None, Some(sources)),
            Operation::GetBatchedListing { paths, .. } => (None, None, Some(paths)),
            _ => (None, None, None),
        }
    };
}

impl Operation {
    /// Every path that it names.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        let (first, second, more) = paths!(self);
        let single = first.into_iter().chain(second);
        single.chain(more.into_iter().flatten()).map(String::as_str)
    }

    /// Every path that it names, for change.
    pub fn paths_mut(&mut self) -> impl Iterator<Item = &mut String> {
        let (first, second, more) = paths!(self);
        first.into_iter().chain(second).chain(more.into_iter().flatten())
    }

    /// Where it is kept whether raw attributes are meant, for calls that know them.
    pub fn raw_mut(&mut self) -> Option<&mut bool> {
        match self {
            Self::GetXAttrs { raw, .. }
            | Self::ListXAttrs { raw, .. }
            | Self::SetXAttr { raw, .. }
            | Self::RemoveXAttr { raw, .. } => Some(raw),
            _ => None,
        }
    }

    /// HDFS's name of the change that it makes, for refusals that name it.
    pub fn method(&self) -> &'static str {
        match self {
            Self::MakeDirectories { .. } => "mkdirs",
            Self::Create(_) => "create",
            Self::Append { .. } => "append",
            Self::Delete { .. } => "delete",
            Self::Rename { .. } | Self::Rename2 { .. } => "rename",
            Self::Concat { .. } => "concat",
            Self::Truncate { .. } => "truncate",
            Self::SetPermission { .. } => "setPermission",
            Self::SetOwner { .. } => "setOwner",
            Self::SetTimes { .. } => "setTimes",
            Self::SetReplication { .. } => "setReplication",
            Self::SetXAttr { .. } => "setXAttr",
            Self::RemoveXAttr { .. } => "removeXAttr",
            Self::SetStoragePolicy { .. } => "setStoragePolicy",
            Self::UnsetStoragePolicy { .. } => "unsetStoragePolicy",
            _ => "modify",
        }
    }
}
