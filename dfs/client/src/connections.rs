//! Connections to DataNodes: making them, asking over them, keeping idle ones for the next read.

use std::collections::HashMap;
use std::io;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use quarry_dfs_wire::block::ExtendedBlock;
use quarry_dfs_wire::proto::hadoop::common::TokenProto;
use quarry_dfs_wire::proto::hadoop::hdfs as pb;
use quarry_dfs_wire::transfer::TransferError as WireError;
use quarry_dfs_wire::transfer::delimited::{read_delimited, write_delimited};
use quarry_dfs_wire::transfer::op::{Op, write_op};
use tokio::io::BufReader;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::error::TransferError;
use crate::location::DataNodeInfo;

/// DataNodes keep an idle connection for at least 4 s; HDFS's clients reuse one for up to 3 s.
const MAX_IDLE: Duration = Duration::from_millis(2500);

/// Idle connections kept per DataNode.
const MAX_IDLE_PER_NODE: usize = 16;

/// Holds a packet's header and the checksums of 1 MiB of data; data itself goes past the buffer.
const READ_BUFFER: usize = 16 << 10;

/// A connection to a DataNode's transfer port.
pub(crate) type Connection = BufReader<TcpStream>;

/// Connects to a DataNode.
pub(crate) async fn connect(node: &DataNodeInfo, patience: Duration) -> Result<Connection, TransferError> {
    let connecting = timeout(patience, TcpStream::connect((node.ip.as_str(), node.xfer_port)));
    let socket = connecting.await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
    let socket = socket.map_err(TransferError::Connect)?;
    socket.set_nodelay(true).map_err(TransferError::Connect)?;
    Ok(BufReader::with_capacity(READ_BUFFER, socket))
}

/// Sends an operation and takes the answer to it.
pub(crate) async fn ask(
    connection: &mut Connection,
    op: &Op,
    patience: Duration,
) -> Result<pb::BlockOpResponseProto, TransferError> {
    within(patience, async {
        write_op(connection, op).await?;
        Ok(read_delimited(connection, "answer to a data transfer operation").await?)
    })
    .await
}

/// Tells the DataNode that everything arrived and its checksums matched: it then waits for the next operation.
pub(crate) async fn thank(connection: &mut Connection, patience: Duration) -> Result<(), TransferError> {
    let status = pb::ClientReadStatusProto {
        status: pb::Status::ChecksumOk as i32,
    };
    within(patience, async { Ok(write_delimited(connection, &status).await?) }).await
}

/// Gives up on a DataNode that takes longer than `patience`.
pub(crate) async fn within<T>(
    patience: Duration,
    conversation: impl Future<Output = Result<T, TransferError>>,
) -> Result<T, TransferError> {
    timeout(patience, conversation)
        .await
        .unwrap_or(Err(TransferError::Silent(patience)))
}

impl From<WireError> for TransferError {
    fn from(error: WireError) -> Self {
        match error {
            WireError::Io(e) => Self::Lost(e),
            WireError::Closed => Self::Lost(io::ErrorKind::UnexpectedEof.into()),
            other => Self::Protocol(other.to_string()),
        }
    }
}

impl From<io::Error> for TransferError {
    fn from(error: io::Error) -> Self {
        Self::Lost(error)
    }
}

/// What every operation begins with. DataNodes tie nothing to the client's name.
pub(crate) fn operation_header(
    block: &ExtendedBlock,
    token: &TokenProto,
    client_name: &str,
) -> pb::ClientOperationHeaderProto {
    pb::ClientOperationHeaderProto {
        base_header: pb::BaseHeaderProto {
            block: block.into(),
            token: Some(token.clone()),
            trace_info: None,
        },
        client_name: client_name.to_owned(),
    }
}

/// Idle connections, by the DataNode's address.
#[derive(Debug, Default)]
pub(crate) struct Connections {
    idle: Mutex<HashMap<(String, u16), Vec<Idle>>>,
}

#[derive(Debug)]
struct Idle {
    connection: Connection,
    since: Instant,
}

impl Connections {
    /// An idle connection. The DataNode may have closed it: then the first use fails.
    pub(crate) fn take(&self, node: &DataNodeInfo) -> Option<Connection> {
        let mut idle = self.idle.lock();
        let connections = idle.get_mut(&key(node))?;
        // The last one in is the freshest: when it is too old, all are.
        let last = connections.pop().filter(|idle| idle.since.elapsed() < MAX_IDLE);
        if last.is_none() {
            connections.clear();
        }
        last.map(|idle| idle.connection)
    }

    /// Keeps a connection on which nothing is under way.
    pub(crate) fn give_back(&self, node: &DataNodeInfo, connection: Connection) {
        let mut idle = self.idle.lock();
        idle.retain(|_, connections| connections.last().is_some_and(|last| last.since.elapsed() < MAX_IDLE));
        let connections = idle.entry(key(node)).or_default();
        if connections.len() < MAX_IDLE_PER_NODE {
            connections.push(Idle {
                connection,
                since: Instant::now(),
            });
        }
    }

    /// Forgets the idle connections to a DataNode: one of them turned out to be dead.
    pub(crate) fn forget(&self, node: &DataNodeInfo) {
        self.idle.lock().remove(&key(node));
    }
}

fn key(node: &DataNodeInfo) -> (String, u16) {
    (node.ip.clone(), node.xfer_port)
}
