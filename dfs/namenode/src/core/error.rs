//! Why a file system operation is refused. One variant per HDFS exception class that clients act on.

use thiserror::Error;

/// A refused operation. The text is what HDFS's own shell would show; the variant is what a program acts on.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum FsError {
    /// The path, or a parent that must exist, is missing.
    #[error("{0}")]
    FileNotFound(String),
    /// Something is in the way under that name.
    #[error("{0}")]
    AlreadyExists(String),
    /// An ancestor is a file.
    #[error("{0}")]
    ParentNotDirectory(String),
    /// A file where the call is for directories.
    #[error("{0}")]
    NotDirectory(String),
    /// A non-recursive delete of a directory with entries.
    #[error("{0}")]
    NotEmpty(String),
    /// Another client is writing the file.
    #[error("{0}")]
    AlreadyBeingCreated(String),
    /// The file's last writer is gone and its last block is being recovered: try again.
    #[error("{0}")]
    RecoveryInProgress(String),
    /// The caller is not, or no longer, the writer of the file.
    #[error("{0}")]
    LeaseExpired(String),
    /// An earlier block of the file has not reached its minimum of replicas: try again.
    #[error("{0}")]
    NotReplicatedYet(String),
    /// The NameNode is in safe mode because an operator said so.
    #[error("{0}")]
    SafeMode(String),
    /// Not now: the NameNode is starting up. Try again.
    #[error("{0}")]
    Retriable(String),
    /// The caller lacks a permission.
    #[error("{0}")]
    AccessControl(String),
    /// A path component is longer than the limit.
    #[error("{0}")]
    NameTooLong(String),
    /// A directory is full.
    #[error("{0}")]
    TooManyEntries(String),
    /// A path that no file can have.
    #[error("{0}")]
    InvalidPath(String),
    /// An argument is out of its range.
    #[error("{0}")]
    IllegalArgument(String),
    /// An argument is out of its range; Java's own exception for it.
    #[error("{0}")]
    JavaIllegalArgument(String),
    /// An access control list that is none, or does not fit the inode.
    #[error("{0}")]
    Acl(String),
    /// A named extended attribute is not there.
    #[error("{0}")]
    XAttrNotFound(String),
    /// A quota of names is used up.
    #[error("{0}")]
    NamespaceQuota(String),
    /// A quota of bytes is used up.
    #[error("{0}")]
    SpaceQuota(String),
    /// A quota of bytes on one type of storage is used up.
    #[error("{0}")]
    TypeQuota(String),
    /// A feature is switched off, or this use of it makes no sense.
    #[error("{0}")]
    UnsupportedAction(String),
    /// A directory of which no snapshots are made.
    #[error("{0}")]
    Snapshot(String),
    /// This NameNode does not do that.
    #[error("{0}")]
    Unsupported(String),
    /// Any other refusal; HDFS uses a bare `IOException` for it.
    #[error("{0}")]
    Io(String),
}
