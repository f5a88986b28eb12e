//! What clients are answered.

use std::sync::Arc;

use quarry_dfs_wire::block::Block;

use super::{AdminReply, DataNodeStatus};
use crate::core::acl::AclEntry;
use crate::core::datanodes::DataNodeDescriptor;
use crate::core::error::FsError;
use crate::core::quota::Quota;
use crate::core::xattr::XAttr;

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
    /// Whether it has more of an access control list than mode bits.
    pub has_acl: bool,
    /// Id of the storage policy that it has or inherits; 0 for none.
    pub storage_policy: u8,
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
    /// Bytes by storage type, in the order of [`crate::core::storage_policy::STORAGE_TYPES`].
    pub types_consumed: [u64; 6],
    /// Quotas of the directory that was asked for.
    pub quota: Quota,
    /// Whether a file was asked for.
    pub is_file: bool,
}

/// An access control list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AclStatus {
    /// Owner's name.
    pub owner: String,
    /// Group's name.
    pub group: String,
    /// Mode bits.
    pub permission: u16,
    /// The entries that mode bits do not express.
    pub entries: Vec<AclEntry>,
}

/// What a listing of several paths says of one of them.
#[derive(Debug, Clone, PartialEq)]
pub struct PartialListing {
    /// Which of the paths.
    pub index: usize,
    /// Its entries, or why there are none.
    pub entries: Result<Vec<FileStatus>, FsError>,
}

/// A page of a listing of several paths.
#[derive(Debug, Clone, PartialEq)]
pub struct BatchedListing {
    /// In the order of the paths.
    pub listings: Vec<PartialListing>,
    /// Where the next page begins, if there is one.
    pub next: Option<(usize, String)>,
}

/// A file that is being written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenFileEntry {
    /// Inode id.
    pub id: u64,
    /// Its path.
    pub path: String,
    /// The client that holds its lease.
    pub holder: String,
    /// Where that client is.
    pub client_machine: String,
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
    /// Those of them of which one replica was wanted.
    pub missing_one: u64,
    /// Blocks with one good replica left.
    pub highest_priority: u64,
    /// Blocks on too few racks.
    pub badly_distributed: u64,
    /// Blocks that are being copied.
    pub pending_copies: u64,
    /// Replicas that are to be deleted and not ordered yet.
    pub pending_deletion: u64,
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
    Summary(Box<ContentSummary>),
    /// The cluster's totals.
    Stats(FsStats),
    /// Extended attributes.
    XAttrs(Vec<XAttr>),
    /// An access control list.
    Acl(Box<AclStatus>),
    /// Listings of several paths.
    Batched(Box<BatchedListing>),
    /// Files being written, and whether there are more.
    OpenFiles(Vec<OpenFileEntry>, bool),
    /// DataNodes.
    DataNodes(Vec<DataNodeStatus>),
    /// An administrator's.
    Admin(AdminReply),
}
