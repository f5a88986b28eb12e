//! Files and directories as the NameNode describes them.

use crate::attributes::TypeQuota;

/// What a path names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// A file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link, which foreign clusters may hold; the client does not follow it.
    Symlink,
}

/// One file or directory at the moment of the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileStatus {
    /// Absolute path.
    pub path: String,
    /// What it is.
    pub kind: FileKind,
    /// Length in bytes; of a file being written, what its completed blocks hold. 0 for directories.
    pub length: u64,
    /// Replicas wanted for each block; 0 for directories.
    pub replication: u16,
    /// Bytes per block; 0 for directories.
    pub block_size: u64,
    /// When it last changed, in milliseconds since 1970.
    pub modification_time_ms: u64,
    /// When it was last read, in milliseconds since 1970, as exactly as the NameNode records it.
    pub access_time_ms: u64,
    /// Owning user.
    pub owner: String,
    /// Owning group.
    pub group: String,
    /// Permission bits, `rwxrwxrwx` and the sticky bit.
    pub permission: u16,
    /// The inode's number, never given to another file or directory of the cluster.
    pub file_id: u64,
    /// Entries of a directory, where the NameNode counts them.
    pub children: Option<u32>,
    /// Whether it has an access control list beyond its permission bits.
    pub has_acl: bool,
    /// Whether its bytes are encrypted, which this client cannot undo.
    pub encrypted: bool,
    /// The name of its erasure coding policy, if it is stored that way, which this client cannot read.
    pub erasure_coding: Option<String>,
    /// Number of its storage policy; 0 if it has none of its own.
    pub storage_policy: u8,
}

impl FileStatus {
    /// Whether it is a directory.
    pub fn is_directory(&self) -> bool {
        self.kind == FileKind::Directory
    }

    /// Whether it is a file.
    pub fn is_file(&self) -> bool {
        self.kind == FileKind::File
    }

    /// The last component of the path; empty for the root.
    pub fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }
}

/// What a directory tree holds and uses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContentSummary {
    /// Bytes of all files, each counted once.
    pub length: u64,
    /// Files in the tree.
    pub file_count: u64,
    /// Directories in the tree, itself included.
    pub directory_count: u64,
    /// Bytes of all replicas.
    pub space_consumed: u64,
    /// Names that the tree may have, itself included, if that is limited.
    pub quota: Option<u64>,
    /// Bytes of replicas that it may have, if that is limited.
    pub space_quota: Option<u64>,
    /// The same per medium.
    pub type_quotas: Vec<TypeQuota>,
    /// Of `length`, what only snapshots hold.
    pub snapshot_length: u64,
    /// Of `file_count`, what only snapshots hold.
    pub snapshot_file_count: u64,
    /// Of `directory_count`, what only snapshots hold.
    pub snapshot_directory_count: u64,
    /// Of `space_consumed`, what only snapshots hold.
    pub snapshot_space_consumed: u64,
    /// The name of its erasure coding policy; empty where the NameNode does not say.
    pub erasure_coding_policy: String,
}

/// What a directory tree uses of its quotas.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QuotaUsage {
    /// Names in the tree, itself included.
    pub file_and_directory_count: u64,
    /// Bytes of all replicas.
    pub space_consumed: u64,
    /// Names that the tree may have, if that is limited.
    pub quota: Option<u64>,
    /// Bytes of replicas that it may have, if that is limited.
    pub space_quota: Option<u64>,
    /// The same per medium.
    pub type_quotas: Vec<TypeQuota>,
}

/// Space of the whole file system, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FsStats {
    /// All DataNodes' disks together.
    pub capacity: u64,
    /// Used by the file system.
    pub used: u64,
    /// Still free for it.
    pub remaining: u64,
    /// Blocks with fewer replicas than wanted.
    pub under_replicated: u64,
    /// Blocks with a corrupt replica.
    pub corrupt_blocks: u64,
    /// Blocks with no good replica.
    pub missing_blocks: u64,
    /// Of these, blocks that were to have one replica only.
    pub missing_single_replica_blocks: u64,
    /// Blocks whose replicas are still to be deleted.
    pub pending_deletion_blocks: u64,
}

/// The parameters that the NameNode wants for new files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerDefaults {
    /// Bytes per block.
    pub block_size: u64,
    /// Replicas per block.
    pub replication: u16,
    /// Bytes per checksum.
    pub bytes_per_checksum: u32,
    /// Minutes that deleted files shall stay in the trash; 0: they do not go there.
    pub trash_interval_minutes: u64,
}
