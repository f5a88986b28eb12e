//! Why an operation on the transfer port ended early.

use std::io;
use std::time::Duration;

use quarry_dfs_wire::convert::ConvertError;
use quarry_dfs_wire::proto::hadoop::hdfs::Status;
use quarry_dfs_wire::transfer::TransferError as WireError;

use crate::error::Error;
use crate::replica::ReplicaError;
use crate::storage::reader::ReadError;

/// Why an operation ended early. Most of it is the peer's doing and closes only its connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TransferError {
    /// The peer went away.
    #[error("connection: {0}")]
    Connection(#[from] io::Error),
    /// The peer sent what cannot be decoded.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// The peer sent what can be decoded but not meant.
    #[error("bad request: {0}")]
    Request(String),
    /// The peer was silent for too long.
    #[error("timed out after {:.1} s {waiting_for}", after.as_secs_f64())]
    Timeout {
        /// What was awaited.
        waiting_for: &'static str,
        /// For how long.
        after: Duration,
    },
    /// The operation cannot be done here.
    #[error(transparent)]
    Refused(#[from] Error),
    /// The stored replica cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Another DataNode of the pipeline failed.
    #[error("pipeline node {node}: {reason}")]
    Mirror {
        /// `ip:port` of the node that failed, as the pipeline's writer knows it.
        node: String,
        /// What happened.
        reason: String,
    },
    /// The DataNode that a replica was to come from failed.
    #[error("source {node}: {reason}")]
    Source {
        /// `ip:port` of that node.
        node: String,
        /// What happened.
        reason: String,
    },
}

impl TransferError {
    /// The status that tells the peer.
    pub(crate) fn status(&self) -> Status {
        match self {
            Self::Refused(Error::Replica(ReplicaError::AlreadyExists { .. })) => Status::ErrorExists,
            _ => Status::Error,
        }
    }
}

impl From<ConvertError> for TransferError {
    fn from(error: ConvertError) -> Self {
        Self::Request(error.to_string())
    }
}

impl From<ReplicaError> for TransferError {
    fn from(error: ReplicaError) -> Self {
        Self::Refused(error.into())
    }
}

/// Gives a step of the conversation a time limit.
pub(crate) async fn within<T, E>(
    after: Duration,
    waiting_for: &'static str,
    step: impl Future<Output = Result<T, E>>,
) -> Result<T, TransferError>
where
    TransferError: From<E>,
{
    match tokio::time::timeout(after, step).await {
        Ok(result) => Ok(result?),
        Err(_) => Err(TransferError::Timeout { waiting_for, after }),
    }
}
