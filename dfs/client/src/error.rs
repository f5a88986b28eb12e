//! What can go wrong, named for what the caller can do about it.

use std::fmt;
use std::io;

/// Result of the client's operations.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of the file system as a library.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Settings that cannot be used.
    #[error("client configuration: {}", problems.join("; "))]
    Config {
        /// Everything that is wrong.
        problems: Vec<String>,
    },
    /// There is no such file or directory (or a file was needed and the path is a directory).
    #[error("{path}: not found: {message}")]
    NotFound {
        /// The path asked for.
        path: String,
        /// What the NameNode said.
        message: String,
    },
    /// Something with that name is already there.
    #[error("{path}: already exists: {message}")]
    AlreadyExists {
        /// The path that was to be made.
        path: String,
        /// What the NameNode said.
        message: String,
    },
    /// An ancestor of the path is a file.
    #[error("{path}: an ancestor is not a directory: {message}")]
    ParentNotDirectory {
        /// The path asked for.
        path: String,
        /// What the NameNode said.
        message: String,
    },
    /// A directory with entries was to be removed or replaced without saying so.
    #[error("{path}: directory is not empty: {message}")]
    DirectoryNotEmpty {
        /// The directory.
        path: String,
        /// What the NameNode said.
        message: String,
    },
    /// The path or another argument cannot be used; asking again will not help.
    #[error("{path}: invalid: {message}")]
    Invalid {
        /// The path asked for.
        path: String,
        /// What is wrong with it.
        message: String,
    },
    /// The user may not do that.
    #[error("{path}: permission denied: {message}")]
    PermissionDenied {
        /// The path asked for.
        path: String,
        /// What the NameNode said.
        message: String,
    },
    /// Another writer has the file open, or its recovery is under way. Waiting may help.
    #[error("{path}: another writer holds the lease: {message}")]
    LeaseConflict {
        /// The file.
        path: String,
        /// What the NameNode said.
        message: String,
    },
    /// This writer lost its lease: the file was closed, replaced or deleted under it. What was acknowledged before stays.
    #[error("{path}: this writer no longer holds the lease: {message}")]
    LeaseLost {
        /// The file.
        path: String,
        /// What the NameNode said.
        message: String,
    },
    /// A quota of the directory tree is used up.
    #[error("{path}: quota exceeded: {message}")]
    QuotaExceeded {
        /// The path asked for.
        path: String,
        /// What the NameNode said.
        message: String,
    },
    /// The NameNode accepts no changes now (safe mode), is not the active one, or is overloaded, and stayed so for the whole time allowed.
    #[error("{path}: NameNode is not ready: {message}")]
    NotReady {
        /// The path asked for.
        path: String,
        /// What the NameNode said.
        message: String,
    },
    /// The NameNode does not have the operation.
    #[error("{path}: unsupported by this NameNode: {message}")]
    Unsupported {
        /// The path asked for.
        path: String,
        /// What the NameNode said.
        message: String,
    },
    /// The NameNode refused for a reason that has no variant of its own.
    #[error("{path}: {class}: {message}")]
    NameNode {
        /// The path asked for.
        path: String,
        /// HDFS's exception class.
        class: String,
        /// What the NameNode said.
        message: String,
    },
    /// The NameNode could not be reached or did not answer in time. A change may or may not have happened.
    #[error("{path}: NameNode {address} does not answer {method}: {message}")]
    NameNodeUnreachable {
        /// The path asked for.
        path: String,
        /// The NameNode's address.
        address: String,
        /// The call.
        method: &'static str,
        /// The last failure.
        message: String,
    },
    /// No DataNode took the next block. The file has no byte of it.
    #[error("{path}: no DataNode could be found for the next block: {message}")]
    NoDataNodes {
        /// The file.
        path: String,
        /// Every refusal.
        message: String,
    },
    /// Every DataNode of a block's write pipeline was lost. What was acknowledged by `close` earlier is unaffected.
    #[error("{path}: {block}: all DataNodes of the write pipeline were lost: {failures}")]
    PipelineLost {
        /// The file.
        path: String,
        /// The block being written.
        block: String,
        /// Who was lost and how, in order.
        failures: Failures,
    },
    /// No replica of a block could be read, also after asking the NameNode for fresh locations.
    #[error("{path}: {block}: no replica can be read: {failures}")]
    BlockUnavailable {
        /// The file.
        path: String,
        /// The block.
        block: String,
        /// Each DataNode tried and what it answered.
        failures: Failures,
    },
    /// The path holds another file than the one that was opened.
    #[error("{path}: the file was replaced while it was read; open it again")]
    Replaced {
        /// The file.
        path: String,
    },
    /// The range does not lie within the file.
    #[error("{path}: range {start}..{end} lies outside the file of {length} bytes")]
    OutOfRange {
        /// The file.
        path: String,
        /// First byte asked for.
        start: u64,
        /// One past the last byte asked for.
        end: u64,
        /// The file's length.
        length: u64,
    },
    /// The NameNode did not confirm within the time allowed that the file's last block is safely stored.
    #[error("{path}: not closed: the last block was not reported by enough DataNodes within {seconds} s")]
    NotClosed {
        /// The file.
        path: String,
        /// How long was waited.
        seconds: u64,
    },
    /// The writer failed before and writes no more; the first error says why.
    #[error("{path}: the writer has failed: {cause}")]
    WriterFailed {
        /// The file.
        path: String,
        /// The first error.
        cause: String,
    },
    /// A peer sent what the protocol does not allow.
    #[error("{peer}: {message}")]
    Protocol {
        /// Who sent it.
        peer: String,
        /// What was wrong.
        message: String,
    },
}

/// Who failed, and how.
#[derive(Debug, Default)]
pub struct Failures(pub Vec<ReplicaFailure>);

impl fmt::Display for Failures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("it has no replica on a live DataNode");
        }
        for (i, failure) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str("; ")?;
            }
            write!(f, "{failure}")?;
        }
        Ok(())
    }
}

/// One DataNode's failure to serve a block.
#[derive(Debug, thiserror::Error)]
#[error("DataNode {datanode}: {reason}")]
pub struct ReplicaFailure {
    /// `host:port` and uuid.
    pub datanode: String,
    /// What happened.
    #[source]
    pub reason: TransferError,
}

/// How a transfer with a DataNode failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransferError {
    /// No connection could be made.
    #[error("cannot connect: {0}")]
    Connect(#[source] io::Error),
    /// The connection broke.
    #[error("connection lost: {0}")]
    Lost(#[source] io::Error),
    /// Nothing came for longer than allowed.
    #[error("silent for {0:?}")]
    Silent(std::time::Duration),
    /// The DataNode answered with an error.
    #[error("refused: {0}")]
    Refused(String),
    /// The bytes do not match their checksums.
    #[error("{0}")]
    Checksum(String),
    /// The answer makes no sense.
    #[error("protocol error: {0}")]
    Protocol(String),
    /// A local replica could not be read.
    #[error("local replica: {0}")]
    Local(#[source] io::Error),
}

/// What a caller may do after an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// The same call will fail the same way.
    Never,
    /// The same call may succeed later.
    Later,
    /// The outcome is unknown: look first, then decide.
    AfterCheck,
}

impl Error {
    /// Whether asking again can help.
    pub fn retry(&self) -> Retry {
        match self {
            // The namespace or the arguments decide: they must change first.
            Self::Config { .. }
            | Self::NotFound { .. }
            | Self::AlreadyExists { .. }
            | Self::ParentNotDirectory { .. }
            | Self::DirectoryNotEmpty { .. }
            | Self::Invalid { .. }
            | Self::PermissionDenied { .. }
            | Self::LeaseLost { .. }
            | Self::QuotaExceeded { .. }
            | Self::Unsupported { .. }
            | Self::NameNode { .. }
            | Self::OutOfRange { .. }
            | Self::WriterFailed { .. }
            | Self::Protocol { .. } => Retry::Never,
            // Other writers end, safe mode ends, DataNodes come back, a replaced file can be opened again.
            Self::LeaseConflict { .. }
            | Self::NotReady { .. }
            | Self::NoDataNodes { .. }
            | Self::PipelineLost { .. }
            | Self::BlockUnavailable { .. }
            | Self::Replaced { .. } => Retry::Later,
            // The call may have been executed.
            Self::NameNodeUnreachable { .. } | Self::NotClosed { .. } => Retry::AfterCheck,
        }
    }

    /// What the NameNode said, or would have said of an argument that this client refuses itself: HDFS's own words, as
    /// its shell prints them.
    pub fn remote_message(&self) -> Option<&str> {
        match self {
            Self::NotFound { message, .. }
            | Self::AlreadyExists { message, .. }
            | Self::ParentNotDirectory { message, .. }
            | Self::DirectoryNotEmpty { message, .. }
            | Self::Invalid { message, .. }
            | Self::PermissionDenied { message, .. }
            | Self::LeaseConflict { message, .. }
            | Self::LeaseLost { message, .. }
            | Self::QuotaExceeded { message, .. }
            | Self::NotReady { message, .. }
            | Self::Unsupported { message, .. }
            | Self::NameNode { message, .. }
            | Self::NoDataNodes { message, .. } => Some(message),
            _ => None,
        }
    }

    /// Whether the path is not there.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::NotFound { .. })
    }
}

/// Sorts an exception of the NameNode into the variants, by its class. `path` is what the call was about.
pub(crate) fn from_exception(class: &str, message: &str, path: &str) -> Error {
    let path = path.to_owned();
    // Java servers append their stack trace; the first line is the message.
    let message = message.lines().next().unwrap_or_default().to_owned();
    let name = class.rsplit(['.', '$']).next().unwrap_or(class);
    match name {
        "FileNotFoundException" => Error::NotFound { path, message },
        "FileAlreadyExistsException" => Error::AlreadyExists { path, message },
        "ParentNotDirectoryException" => Error::ParentNotDirectory { path, message },
        "PathIsNotEmptyDirectoryException" => Error::DirectoryNotEmpty { path, message },
        "InvalidPathException" | "HadoopIllegalArgumentException" | "IllegalArgumentException" => {
            Error::Invalid { path, message }
        }
        "PathComponentTooLongException" | "MaxDirectoryItemsExceededException" => Error::Invalid { path, message },
        "AccessControlException" | "InvalidToken" => Error::PermissionDenied { path, message },
        "AlreadyBeingCreatedException" | "RecoveryInProgressException" => Error::LeaseConflict { path, message },
        "LeaseExpiredException" => Error::LeaseLost { path, message },
        "NSQuotaExceededException" | "DSQuotaExceededException" | "QuotaByStorageTypeExceededException" => {
            Error::QuotaExceeded { path, message }
        }
        "SafeModeException" | "RetriableException" | "StandbyException" | "ObserverRetryOnActiveException" => {
            Error::NotReady { path, message }
        }
        "RpcNoSuchMethodException" | "RpcNoSuchProtocolException" | "UnsupportedOperationException" => {
            Error::Unsupported { path, message }
        }
        _ => Error::NameNode {
            path,
            class: class.to_owned(),
            message,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variant(class: &str) -> String {
        let error = from_exception(class, "first line\n\tat java.stack", "/f");
        assert!(!error.to_string().contains("stack"), "{error}");
        format!("{error:?}").split(' ').next().unwrap_or_default().to_owned()
    }

    #[test]
    fn exceptions_become_the_variant_a_caller_can_act_on() {
        let hdfs = "org.apache.hadoop.hdfs";
        for (class, expected) in [
            ("java.io.FileNotFoundException".to_owned(), "NotFound"),
            (
                "org.apache.hadoop.fs.FileAlreadyExistsException".to_owned(),
                "AlreadyExists",
            ),
            (
                "org.apache.hadoop.fs.ParentNotDirectoryException".to_owned(),
                "ParentNotDirectory",
            ),
            (
                "org.apache.hadoop.fs.PathIsNotEmptyDirectoryException".to_owned(),
                "DirectoryNotEmpty",
            ),
            ("org.apache.hadoop.fs.InvalidPathException".to_owned(), "Invalid"),
            (
                format!("{hdfs}.protocol.FSLimitException$PathComponentTooLongException"),
                "Invalid",
            ),
            (format!("{hdfs}.protocol.AlreadyBeingCreatedException"), "LeaseConflict"),
            (format!("{hdfs}.server.namenode.LeaseExpiredException"), "LeaseLost"),
            (format!("{hdfs}.server.namenode.SafeModeException"), "NotReady"),
            (format!("{hdfs}.protocol.NSQuotaExceededException"), "QuotaExceeded"),
            (
                "org.apache.hadoop.security.AccessControlException".to_owned(),
                "PermissionDenied",
            ),
            (
                "org.apache.hadoop.security.token.SecretManager$InvalidToken".to_owned(),
                "PermissionDenied",
            ),
            (
                "org.apache.hadoop.ipc.RpcNoSuchMethodException".to_owned(),
                "Unsupported",
            ),
            ("java.lang.NullPointerException".to_owned(), "NameNode"),
        ] {
            assert_eq!(variant(&class), expected, "{class}");
        }
    }
}
