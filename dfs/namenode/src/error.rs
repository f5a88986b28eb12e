//! Why a NameNode does not start or cannot go on.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::core::state::ApplyError;

/// Why a NameNode does not start or cannot go on.
#[derive(Debug, Error)]
pub enum Error {
    /// The configuration cannot be used; every problem is listed.
    #[error("bad NameNode configuration: {}", .0.join("; "))]
    Config(Vec<String>),
    /// Another NameNode uses the directory.
    #[error("{}: another NameNode is using this directory: stop it first, or choose another directory", dir.display())]
    InUse {
        /// The directory.
        dir: PathBuf,
    },
    /// The directory holds something else than a NameNode's files.
    #[error("{}: it is not empty and not a NameNode's directory ({problem}): choose an empty one", dir.display())]
    Foreign {
        /// The directory.
        dir: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// A file is damaged beyond what a crash can do. Nothing was changed.
    #[error("{} is damaged at byte {offset}: {problem}; restore it from a copy", file.display())]
    Corrupt {
        /// The file.
        file: PathBuf,
        /// Where in it.
        offset: u64,
        /// What is wrong.
        problem: String,
    },
    /// The log does not follow from the image.
    #[error("{} does not fit the state before it: {source}", file.display())]
    Replay {
        /// The log segment or image.
        file: PathBuf,
        /// What does not fit.
        source: ApplyError,
    },
    /// The operating system refused.
    #[error("{what} {}: {source}", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// On what.
        path: PathBuf,
        /// The refusal.
        source: io::Error,
    },
    /// An address cannot be listened on.
    #[error("cannot listen on {address}: {problem}")]
    Bind {
        /// The address.
        address: std::net::SocketAddr,
        /// The refusal.
        problem: String,
    },
}

/// Result with this crate's error.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Adds what was tried on which file to an I/O error.
pub(crate) fn io_at<'a>(what: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> Error + 'a {
    move |source| Error::Io {
        what,
        path: path.to_owned(),
        source,
    }
}
