//! One connection to the transfer port: operations, one after the other.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use prost::Message;
use quarry_dfs_wire::proto::hadoop::hdfs::{BlockOpResponseProto, Status};
use quarry_dfs_wire::transfer::delimited::write_delimited;
use quarry_dfs_wire::transfer::op::{self, Op};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use super::error::{TransferError, within};
use super::{checksum, copy, copy_block, read, replace, write};
use crate::node::{ActiveTransfer, Node};

/// Operations and acks are small; packets are larger than this and bypass the buffer. Idle connections, of which there may
/// be thousands, each hold one.
const READ_BUFFER: usize = 2 << 10;
/// How long and how much a closing connection is listened to, so that the peer reads our last words before a reset.
const LINGER: Duration = Duration::from_secs(3);
const LINGER_BYTES: u64 = 64 << 20;

/// The two directions of a connection.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) reader: BufReader<OwnedReadHalf>,
    pub(crate) writer: OwnedWriteHalf,
    pub(crate) peer: SocketAddr,
}

/// What becomes of a connection after an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// It waits for the next operation.
    Reuse,
    /// It is closed.
    Close,
}

impl Connection {
    /// Takes a connected socket; small messages leave at once.
    pub(crate) fn new(stream: TcpStream, peer: SocketAddr) -> std::io::Result<Self> {
        stream.set_nodelay(true)?;
        let (reader, writer) = stream.into_split();
        Ok(Self {
            reader: BufReader::with_capacity(READ_BUFFER, reader),
            writer,
            peer,
        })
    }

    /// Sends a delimited message.
    pub(crate) async fn send(&mut self, message: &impl Message, timeout: Duration) -> Result<(), TransferError> {
        within(
            timeout,
            "for the peer to take a reply",
            write_delimited(&mut self.writer, message),
        )
        .await
    }

    /// Closes our direction and listens until the peer has closed its own, for a while.
    pub(crate) async fn close(mut self) {
        let _ = self.writer.shutdown().await;
        let mut rest = self.reader.take(LINGER_BYTES);
        let _ = tokio::time::timeout(LINGER, tokio::io::copy(&mut rest, &mut tokio::io::sink())).await;
    }
}

/// Serves one connection until it is closed, idle for too long, or broken.
pub(crate) async fn run(node: Arc<Node>, stream: TcpStream, peer: SocketAddr) {
    let connection = match Connection::new(stream, peer) {
        Ok(connection) => connection,
        Err(error) => return tracing::debug!(%peer, %error, "connection was gone at once"),
    };
    let shutdown = node.shutdown.clone();
    tokio::select! {
        biased;
        () = shutdown.cancelled() => {}
        () = serve(node, connection) => {}
    }
}

async fn serve(node: Arc<Node>, mut connection: Connection) {
    loop {
        let idle = node.config.idle_timeout;
        match tokio::time::timeout(idle, connection.reader.fill_buf()).await {
            Ok(Ok(bytes)) if !bytes.is_empty() => {}
            _ => return, // closed, broken or idle: all are ways to end
        }
        let op = within(
            node.config.handshake_timeout,
            "for an operation",
            op::read_op(&mut connection.reader),
        )
        .await;
        let ended = match op {
            Ok(op) => match perform(&node, &mut connection, op).await {
                Ok(Next::Reuse) => continue,
                Ok(Next::Close) => return connection.close().await,
                Err(error) => error,
            },
            Err(error) => error,
        };
        return tracing::debug!(peer = %connection.peer, error = %ended, "connection ended");
    }
}

async fn perform(node: &Arc<Node>, connection: &mut Connection, op: Op) -> Result<Next, TransferError> {
    let Some(_active) = ActiveTransfer::begin(node) else {
        let limit = node.config.max_transfers;
        let text = format!("this DataNode has {limit} transfers under way, which is its limit; retry elsewhere");
        return refuse(node, connection, Status::Error, text).await;
    };
    // Boxed: the futures of the operations are large and a connection may be idle for most of its life.
    match op {
        Op::Read(request) => Box::pin(read::read(node, connection, *request)).await,
        Op::Write(request) => Box::pin(write::write(node, connection, *request)).await,
        Op::Transfer(request) => Box::pin(copy::transfer(node, connection, *request)).await,
        Op::Replace(request) => Box::pin(replace::replace(node, connection, *request)).await,
        Op::Copy(request) => Box::pin(copy_block::copy_block(node, connection, *request)).await,
        Op::BlockChecksum(request) => Box::pin(checksum::checksum(node, connection, *request)).await,
        other => {
            let text = format!(
                "data transfer operation {} is not supported by this DataNode",
                other.code()
            );
            refuse(node, connection, Status::ErrorUnsupported, text).await
        }
    }
}

/// Answers that an operation cannot be done, and ends the connection.
pub(crate) async fn refuse(
    node: &Node,
    connection: &mut Connection,
    status: Status,
    text: String,
) -> Result<Next, TransferError> {
    tracing::debug!(peer = %connection.peer, %text, "operation refused");
    let reply = BlockOpResponseProto {
        status: status.into(),
        message: Some(text),
        ..BlockOpResponseProto::default()
    };
    connection.send(&reply, node.config.handshake_timeout).await?;
    Ok(Next::Close)
}

/// Answers an operation that failed before anything was sent; errors of the connection itself just end it.
pub(crate) async fn refuse_with(
    node: &Node,
    connection: &mut Connection,
    error: TransferError,
) -> Result<Next, TransferError> {
    match error {
        TransferError::Connection(_) | TransferError::Timeout { .. } | TransferError::Wire(_) => Err(error),
        error => refuse(node, connection, error.status(), error.to_string()).await,
    }
}
