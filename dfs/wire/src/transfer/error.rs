//! What goes wrong in a conversation.

use std::io;

/// The peer's bytes cannot be used. The conversation, and mostly the connection, is over.
#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    /// The socket failed, or ended in the middle of something (`UnexpectedEof`).
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The peer ended the connection where one may end: before a message begins.
    #[error("connection closed by the peer")]
    Closed,
    /// Something is longer than allowed.
    #[error("{what} of {length} bytes, expected at most {limit}")]
    TooLong {
        /// The thing.
        what: &'static str,
        /// Bytes, as the peer claims.
        length: u64,
        /// Bytes.
        limit: u64,
    },
    /// A message does not decode, or says what it cannot mean.
    #[error("bad {what}: {problem}")]
    Malformed {
        /// The message.
        what: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// The peer speaks another version of the protocol.
    #[error("data transfer version {found}, expected {expected}", expected = super::op::VERSION)]
    Version {
        /// The peer's.
        found: u16,
    },
    /// An operation that this version does not have.
    #[error("unknown data transfer operation {0}")]
    UnknownOp(u8),
}

impl TransferError {
    pub(super) fn malformed(what: &'static str, problem: impl ToString) -> Self {
        Self::Malformed {
            what,
            problem: problem.to_string(),
        }
    }
}
