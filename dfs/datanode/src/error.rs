//! The errors of this crate, named for what the caller can do about them.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::replica::ReplicaError;

/// Why a DataNode could not start, or could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration contradicts itself; all problems are listed. Fix the configuration.
    #[error("datanode configuration: {}", problems.join("; "))]
    Config {
        /// One sentence per problem.
        problems: Vec<String>,
    },
    /// Another process has the data directory open. Stop it or choose another directory.
    #[error("data directory {dir} is in use by another process; stop that process or configure another directory")]
    DirectoryInUse {
        /// The locked directory.
        dir: PathBuf,
    },
    /// The directory holds something that is not this DataNode's data. It was left untouched.
    #[error("data directory {dir} is not usable: {reason}; it was left as it is")]
    ForeignDirectory {
        /// The refused directory.
        dir: PathBuf,
        /// What was found and what was expected.
        reason: String,
    },
    /// A port could not be opened.
    #[error("cannot listen on {address} for {purpose}: {source}")]
    Bind {
        /// The configured address.
        address: SocketAddr,
        /// Which service wanted it.
        purpose: &'static str,
        /// The system's reason.
        source: io::Error,
    },
    /// The domain socket could not be opened. Choose another path, or none.
    #[error("cannot listen on the domain socket {path}: {source}")]
    DomainSocket {
        /// The configured path, with the port.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The disk refused an operation. Look at the disk.
    #[error("{action} {path}: {source}")]
    Disk {
        /// What was being done.
        action: &'static str,
        /// The file or directory concerned.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The disk under a volume failed and the volume was given up. Other replicas have to be used; replace the disk and restart.
    #[error("volume {dir} has failed")]
    VolumeFailed {
        /// The data directory.
        dir: PathBuf,
    },
    /// More volumes failed than the configuration tolerates. Replace the disks, or take them out of `dirs`.
    #[error("{detail}; `failed_volumes_tolerated` is {tolerated}")]
    TooManyFailedVolumes {
        /// Which volumes failed, and how.
        detail: String,
        /// How many may.
        tolerated: usize,
    },
    /// No volume has room for another replica. Free space or add a volume.
    #[error("no volume has room for another replica: {detail}")]
    NoSpace {
        /// Free bytes per volume, for the operator.
        detail: String,
    },
    /// The stored bytes contradict themselves. Another replica has to be used.
    #[error("{what}: corrupt: {detail}")]
    Corrupt {
        /// The replica or file.
        what: String,
        /// What was found and what was expected.
        detail: String,
    },
    /// The replica is not in a state that allows the operation.
    #[error(transparent)]
    Replica(#[from] ReplicaError),
    /// The DataNode has not yet been told its block pool by the NameNode. Retry later.
    #[error("this DataNode has not registered with its NameNode yet; retry when it has")]
    NotRegistered,
    /// The request names another block pool than the one stored here.
    #[error("block pool {asked} is not stored here; this DataNode serves {served}")]
    WrongPool {
        /// The pool of the request.
        asked: String,
        /// The pool of this DataNode.
        served: String,
    },
    /// A condition was not met in time.
    #[error("{what} did not happen within {seconds:.1} s")]
    Deadline {
        /// What was awaited.
        what: String,
        /// How long, in seconds.
        seconds: f64,
    },
}

impl Error {
    /// Whether the disk refused in a way that casts doubt on it.
    pub(crate) fn is_suspicious(&self) -> bool {
        matches!(self, Self::Disk { source, .. } if crate::storage::disk::is_suspicious(source))
    }
}

/// The crate's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Names the action and the path of a failed disk operation.
pub(crate) trait DiskContext<T> {
    /// Wraps the error as [`Error::Disk`].
    fn disk(self, action: &'static str, path: &Path) -> Result<T>;
}

impl<T> DiskContext<T> for io::Result<T> {
    fn disk(self, action: &'static str, path: &Path) -> Result<T> {
        self.map_err(|source| Error::Disk {
            action,
            path: path.to_owned(),
            source,
        })
    }
}
