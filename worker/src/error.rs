//! Why a worker does not start.

use std::net::SocketAddr;

use datafusion::error::DataFusionError;

/// A worker that cannot start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The configuration cannot be used; all its problems.
    #[error("worker configuration: {}", .0.join("; "))]
    Configuration(Vec<String>),
    /// The address is taken or not this machine's.
    #[error("worker cannot listen on {address}: {source}; set another address, or port 0 for any")]
    Bind {
        /// The address that was asked for.
        address: SocketAddr,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The operating system refused threads.
    #[error("worker cannot start its threads: {0}")]
    Threads(#[source] std::io::Error),
    /// Memory pool, spill directory or stores could not be set up.
    #[error("worker cannot set up its runtime: {0}")]
    Runtime(#[source] DataFusionError),
}
