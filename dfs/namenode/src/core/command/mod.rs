//! What goes into the core and what comes out: commands, replies, actions. Plain values, no protobuf, no channels.

mod admin;
mod datanode;
mod operation;
mod reply;

use std::net::IpAddr;
use std::sync::Arc;

pub use self::admin::*;
pub use self::datanode::*;
pub use self::operation::*;
pub use self::reply::*;

use super::edit::{EditEntry, RetryEntry};
use super::error::FsError;
use super::retry_cache::CallKey;

/// The two clocks, read at the rim. `unix_ms` goes into the namespace; `tick_ms` never goes back and times leases and liveness.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Now {
    /// Milliseconds since the epoch.
    pub unix_ms: u64,
    /// Milliseconds since an arbitrary start, monotonic.
    pub tick_ms: u64,
}

/// Names a waiting caller; given out by the driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// Names one connection of a DataNode; given out by the driver. A later session of the same DataNode has another number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub u64);

/// Who calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The effective user.
    pub user: String,
    /// The user's groups by the operating system; the configured table goes before them.
    pub groups: Arc<[String]>,
    /// Where the call came from: locations are sorted by closeness to it.
    pub address: IpAddr,
    /// The call's identity, for the retry cache.
    pub call: Option<CallKey>,
}

/// Everything that can happen to the NameNode.
#[derive(Debug, Clone)]
pub enum Command {
    /// A client's call.
    Call {
        /// Whom to answer.
        request: RequestId,
        /// Who calls.
        caller: Caller,
        /// What it wants.
        operation: Operation,
    },
    /// A DataNode connected and said who it is.
    Register {
        /// Whom to answer.
        request: RequestId,
        /// Its connection.
        session: SessionId,
        /// Who it is.
        registration: Registration,
    },
    /// News from a registered DataNode. Ignored if the session is not its current one.
    FromDataNode {
        /// Its connection.
        session: SessionId,
        /// The news.
        message: DataNodeMessage,
    },
    /// A DataNode's connection ended.
    Disconnected {
        /// The connection.
        session: SessionId,
    },
    /// The disk of the log was looked at.
    DiskSpace {
        /// It has less room than is to be kept free.
        low: bool,
    },
    /// Time passed.
    Tick,
}

/// Something to do once the edits of the step are durable.
#[derive(Debug, Clone, PartialEq)]
pub struct Action {
    /// The DataNode's connection.
    pub session: SessionId,
    /// What to tell it.
    pub order: Order,
}

/// What one step decided.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Durable changes: one transaction.
    pub edits: Vec<EditEntry>,
    /// The answer to remember with them.
    pub retry: Option<RetryEntry>,
    /// Answers, to the caller of this step and to parked ones that it woke.
    pub replies: Vec<(RequestId, Result<Reply, FsError>)>,
    /// Orders.
    pub actions: Vec<Action>,
}
