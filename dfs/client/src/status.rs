//! Files and directories as the NameNode describes them.

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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ContentSummary {
    /// Bytes of all files, each counted once.
    pub length: u64,
    /// Files in the tree.
    pub file_count: u64,
    /// Directories in the tree, itself included.
    pub directory_count: u64,
    /// Bytes of all replicas.
    pub space_consumed: u64,
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
}
