//! Durable changes. A record is one transaction: all of its edits or none survive a crash.
//!
//! The encoding is protobuf with the field numbers given here (persisted, never renumber; a removed number stays unused). Times are
//! milliseconds since the epoch. Edits on names carry absolute paths, edits on open files the inode's id.

#![expect(
    missing_docs,
    reason = "fields that carry an inode's or block's attribute are named for it"
)]

use prost::{Message, Oneof};

/// One transaction of the edit log.
#[derive(Clone, PartialEq, Message)]
pub struct EditRecord {
    /// Grows by one per record over the life of the cluster.
    #[prost(uint64, tag = "1")]
    pub txid: u64,
    /// When the command was executed.
    #[prost(uint64, tag = "2")]
    pub time_ms: u64,
    /// The changes, in order.
    #[prost(message, repeated, tag = "3")]
    pub edits: Vec<EditEntry>,
    /// What to answer if the same client call arrives again.
    #[prost(message, optional, tag = "4")]
    pub retry: Option<RetryEntry>,
}

/// A remembered answer of an at-most-once call.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct RetryEntry {
    /// The client's 16 byte id.
    #[prost(bytes = "vec", tag = "1")]
    pub client_id: Vec<u8>,
    /// The client's number of the call.
    #[prost(sint32, tag = "2")]
    pub call_id: i32,
    /// When it may be forgotten.
    #[prost(uint64, tag = "3")]
    pub expires_ms: u64,
    /// The answer.
    #[prost(enumeration = "RetryAnswer", tag = "4")]
    pub answer: i32,
    /// The inode that the answer describes (create, append), else 0.
    #[prost(uint64, tag = "5")]
    pub inode_id: u64,
}

/// Kinds of remembered answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, prost::Enumeration)]
#[repr(i32)]
pub enum RetryAnswer {
    /// No value.
    Void = 0,
    /// `true`.
    True = 1,
    /// The status of the created file.
    Created = 2,
    /// The status and last block of the file opened for append.
    Appended = 3,
}

/// One change; a wrapper because protobuf cannot repeat a oneof.
#[derive(Clone, PartialEq, Message)]
pub struct EditEntry {
    /// The change. Absent when a newer version wrote a kind that this one does not know.
    #[prost(
        oneof = "Edit",
        tags = "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 20, 21, 22, 23, 24, 25, 26, 60, 61, 62"
    )]
    pub edit: Option<Edit>,
}

/// A durable change.
#[derive(Clone, PartialEq, Oneof)]
pub enum Edit {
    /// A directory appears.
    #[prost(message, tag = "1")]
    MakeDirectory(MakeDirectory),
    /// A file appears, open for writing.
    #[prost(message, tag = "2")]
    CreateFile(CreateFile),
    /// An open file gets its next block.
    #[prost(message, tag = "3")]
    AllocateBlock(BlockEdit),
    /// The last block of an open file gets its final length.
    #[prost(message, tag = "4")]
    CommitBlock(BlockEdit),
    /// The last block of an open file gets a new generation stamp or persisted length.
    #[prost(message, tag = "5")]
    UpdateBlock(BlockEdit),
    /// The last block of an open file disappears.
    #[prost(message, tag = "6")]
    AbandonBlock(BlockEdit),
    /// An open file is closed.
    #[prost(message, tag = "7")]
    CloseFile(CloseFile),
    /// A closed file is opened for append.
    #[prost(message, tag = "8")]
    ReopenFile(ReopenFile),
    /// A file or tree disappears.
    #[prost(message, tag = "9")]
    Delete(Delete),
    /// A file or directory moves; nothing is in its way.
    #[prost(message, tag = "10")]
    Rename(Rename),
    /// Mode bits change.
    #[prost(message, tag = "11")]
    SetPermission(SetPermission),
    /// Owner or group change.
    #[prost(message, tag = "12")]
    SetOwner(SetOwner),
    /// Times change.
    #[prost(message, tag = "13")]
    SetTimes(SetTimes),
    /// The wanted number of replicas changes.
    #[prost(message, tag = "14")]
    SetReplication(SetReplication),
    /// A generation stamp is given out and must never be given out again.
    #[prost(message, tag = "15")]
    UseGenerationStamp(UseGenerationStamp),
    /// Recovery of the last block of an open file begins; the NameNode takes the lease.
    #[prost(message, tag = "16")]
    BeginRecovery(BlockEdit),
    /// An access control list, and the mode bits that are part of it, change.
    #[prost(message, tag = "20")]
    SetAcl(SetAcl),
    /// An extended attribute appears or changes.
    #[prost(message, tag = "21")]
    SetXAttr(SetXAttr),
    /// An extended attribute disappears.
    #[prost(message, tag = "22")]
    RemoveXAttr(SetXAttr),
    /// A storage policy is set or, as 0, taken back.
    #[prost(message, tag = "23")]
    SetStoragePolicy(SetStoragePolicy),
    /// A directory's quotas change.
    #[prost(message, tag = "24")]
    SetQuota(SetQuota),
    /// Files disappear and their blocks come to the end of another.
    #[prost(message, tag = "25")]
    Concat(Concat),
    /// A closed file loses blocks from its end.
    #[prost(message, tag = "26")]
    DropBlocks(DropBlocks),
    /// Replicas of the last block of an open file are to be cut to this length under a new generation stamp.
    #[prost(message, tag = "60")]
    BeginTruncate(BlockEdit),
    /// An administrator has a DataNode leave or stay.
    #[prost(message, tag = "61")]
    SetNodeAdmin(SetNodeAdmin),
    /// An administrator puts a DataNode on a rack.
    #[prost(message, tag = "62")]
    SetNodeRack(SetNodeRack),
}

/// See [`Edit::MakeDirectory`].
#[derive(Clone, PartialEq, Eq, Message)]
pub struct MakeDirectory {
    #[prost(string, tag = "1")]
    pub path: String,
    #[prost(uint64, tag = "2")]
    pub inode_id: u64,
    #[prost(string, tag = "3")]
    pub owner: String,
    #[prost(string, tag = "4")]
    pub group: String,
    #[prost(uint32, tag = "5")]
    pub permission: u32,
}

/// See [`Edit::CreateFile`].
#[derive(Clone, PartialEq, Eq, Message)]
pub struct CreateFile {
    #[prost(string, tag = "1")]
    pub path: String,
    #[prost(uint64, tag = "2")]
    pub inode_id: u64,
    #[prost(string, tag = "3")]
    pub owner: String,
    #[prost(string, tag = "4")]
    pub group: String,
    #[prost(uint32, tag = "5")]
    pub permission: u32,
    #[prost(uint32, tag = "6")]
    pub replication: u32,
    /// Bytes.
    #[prost(uint64, tag = "7")]
    pub block_size: u64,
    /// The client that writes.
    #[prost(string, tag = "8")]
    pub holder: String,
    /// The address it called from.
    #[prost(string, tag = "9")]
    pub client_machine: String,
}

/// A change to one block of an open file.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct BlockEdit {
    #[prost(uint64, tag = "1")]
    pub inode_id: u64,
    #[prost(uint64, tag = "2")]
    pub block_id: u64,
    #[prost(uint64, tag = "3")]
    pub generation_stamp: u64,
    /// Bytes.
    #[prost(uint64, tag = "4")]
    pub length: u64,
}

/// See [`Edit::CloseFile`].
#[derive(Clone, PartialEq, Eq, Message)]
pub struct CloseFile {
    #[prost(uint64, tag = "1")]
    pub inode_id: u64,
}

/// See [`Edit::ReopenFile`].
#[derive(Clone, PartialEq, Eq, Message)]
pub struct ReopenFile {
    #[prost(string, tag = "1")]
    pub path: String,
    #[prost(string, tag = "2")]
    pub holder: String,
    #[prost(string, tag = "3")]
    pub client_machine: String,
    /// The last block, if it has room and is written on, becomes under construction again.
    #[prost(bool, tag = "4")]
    pub reopen_last_block: bool,
}

/// See [`Edit::Delete`].
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Delete {
    #[prost(string, tag = "1")]
    pub path: String,
}

/// See [`Edit::Rename`].
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Rename {
    #[prost(string, tag = "1")]
    pub source: String,
    #[prost(string, tag = "2")]
    pub destination: String,
}

/// See [`Edit::SetPermission`].
#[derive(Clone, PartialEq, Eq, Message)]
pub struct SetPermission {
    #[prost(string, tag = "1")]
    pub path: String,
    #[prost(uint32, tag = "2")]
    pub permission: u32,
}

/// See [`Edit::SetOwner`]. An empty name leaves that part as it is.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct SetOwner {
    #[prost(string, tag = "1")]
    pub path: String,
    #[prost(string, tag = "2")]
    pub owner: String,
    #[prost(string, tag = "3")]
    pub group: String,
}

/// See [`Edit::SetTimes`]. Absent leaves that time as it is.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct SetTimes {
    #[prost(string, tag = "1")]
    pub path: String,
    #[prost(uint64, optional, tag = "2")]
    pub modified_ms: Option<u64>,
    #[prost(uint64, optional, tag = "3")]
    pub accessed_ms: Option<u64>,
}

/// See [`Edit::SetReplication`].
#[derive(Clone, PartialEq, Eq, Message)]
pub struct SetReplication {
    #[prost(string, tag = "1")]
    pub path: String,
    #[prost(uint32, tag = "2")]
    pub replication: u32,
}

/// See [`Edit::UseGenerationStamp`].
#[derive(Clone, PartialEq, Eq, Message)]
pub struct UseGenerationStamp {
    #[prost(uint64, tag = "1")]
    pub generation_stamp: u64,
}

/// See [`Edit::SetNodeAdmin`].
#[derive(Clone, PartialEq, Eq, Message)]
pub struct SetNodeAdmin {
    /// The DataNode's uuid.
    #[prost(string, tag = "1")]
    pub uuid: String,
    /// 0 in service, 1 decommission, 2 maintenance.
    #[prost(uint32, tag = "2")]
    pub state: u32,
    /// When maintenance ends, milliseconds since the epoch; 0 for when an administrator says so.
    #[prost(uint64, tag = "3")]
    pub expires_unix_ms: u64,
}

/// See [`Edit::SetNodeRack`].
#[derive(Clone, PartialEq, Eq, Message)]
pub struct SetNodeRack {
    /// The DataNode's uuid.
    #[prost(string, tag = "1")]
    pub uuid: String,
    /// Empty takes the administrator's word back.
    #[prost(string, tag = "2")]
    pub rack: String,
}

/// One entry of an access control list.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct AclEntryEdit {
    /// See [`super::acl::Scope`].
    #[prost(uint32, tag = "1")]
    pub scope: u32,
    /// See [`super::acl::Kind`].
    #[prost(uint32, tag = "2")]
    pub kind: u32,
    #[prost(string, optional, tag = "3")]
    pub name: Option<String>,
    #[prost(uint32, tag = "4")]
    pub permission: u32,
}

/// See [`Edit::SetAcl`].
#[derive(Clone, PartialEq, Eq, Message)]
pub struct SetAcl {
    #[prost(string, tag = "1")]
    pub path: String,
    /// The extended entries, all of them; none: the inode has only mode bits.
    #[prost(message, repeated, tag = "2")]
    pub entries: Vec<AclEntryEdit>,
    #[prost(uint32, tag = "3")]
    pub permission: u32,
}

/// One extended attribute.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct XAttrEdit {
    /// See [`super::xattr::XAttrNamespace`].
    #[prost(uint32, tag = "1")]
    pub namespace: u32,
    #[prost(string, tag = "2")]
    pub name: String,
    #[prost(bytes = "vec", optional, tag = "3")]
    pub value: Option<Vec<u8>>,
}

/// See [`Edit::SetXAttr`] and [`Edit::RemoveXAttr`].
#[derive(Clone, PartialEq, Eq, Message)]
pub struct SetXAttr {
    #[prost(string, tag = "1")]
    pub path: String,
    #[prost(message, optional, tag = "2")]
    pub xattr: Option<XAttrEdit>,
}

/// See [`Edit::SetStoragePolicy`].
#[derive(Clone, PartialEq, Eq, Message)]
pub struct SetStoragePolicy {
    #[prost(string, tag = "1")]
    pub path: String,
    #[prost(uint32, tag = "2")]
    pub policy: u32,
}

/// See [`Edit::SetQuota`]. Absent means no limit.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct SetQuota {
    #[prost(string, tag = "1")]
    pub path: String,
    #[prost(int64, optional, tag = "2")]
    pub names: Option<i64>,
    /// Bytes times replication.
    #[prost(int64, optional, tag = "3")]
    pub space: Option<i64>,
    #[prost(message, repeated, tag = "4")]
    pub types: Vec<TypeQuotaEdit>,
}

/// A quota of one storage type.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct TypeQuotaEdit {
    /// See [`super::storage_policy::StorageType`].
    #[prost(uint32, tag = "1")]
    pub storage_type: u32,
    #[prost(int64, tag = "2")]
    pub bytes: i64,
}

/// See [`Edit::Concat`].
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Concat {
    #[prost(string, tag = "1")]
    pub target: String,
    #[prost(string, repeated, tag = "2")]
    pub sources: Vec<String>,
}

/// See [`Edit::DropBlocks`].
#[derive(Clone, PartialEq, Eq, Message)]
pub struct DropBlocks {
    #[prost(string, tag = "1")]
    pub path: String,
    /// Number of blocks that stay.
    #[prost(uint64, tag = "2")]
    pub keep: u64,
}
