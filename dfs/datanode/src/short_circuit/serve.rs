//! One connection to the domain socket: requests for replicas' files, one after the other.

use std::sync::Arc;

use prost::Message;
use quarry_dfs_wire::block::ExtendedBlock;
use quarry_dfs_wire::proto::hadoop::hdfs::{
    BlockOpResponseProto, OpRequestShortCircuitAccessProto, ReleaseShortCircuitAccessResponseProto,
    ShortCircuitShmResponseProto, Status,
};
use quarry_dfs_wire::transfer::delimited::write_delimited;
use quarry_dfs_wire::transfer::op::{self, Op};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::net::UnixStream;

use super::pass;
use crate::error::Error;
use crate::node::Node;
use crate::replica::{ReplicaError, ReplicaState};
use crate::storage::ReadableReplica;
use crate::transfer::connection::Next;
use crate::transfer::error::{TransferError, within};

/// Requests are small.
const READ_BUFFER: usize = 1 << 10;
/// Version of the files' format, HDFS's only one.
const FORMAT_VERSION: u32 = 1;
/// The byte that carries the descriptors says whether a byte is to come back when they have arrived.
const RECEIPT: u8 = 1;
const NO_RECEIPT: u8 = 0;

/// Serves until the reader closes, is idle for too long or talks nonsense.
pub(super) async fn run(node: Arc<Node>, stream: UnixStream) {
    let mut connection = BufReader::with_capacity(READ_BUFFER, stream);
    loop {
        match tokio::time::timeout(node.config.idle_timeout, connection.fill_buf()).await {
            Ok(Ok(bytes)) if !bytes.is_empty() => {}
            _ => return, // closed, broken or idle: all are ways to end
        }
        match answer(&node, &mut connection).await {
            Ok(Next::Reuse) => {}
            Ok(Next::Close) => return,
            Err(error) => return tracing::debug!(%error, "connection to the domain socket ended"),
        }
    }
}

async fn answer(node: &Arc<Node>, connection: &mut BufReader<UnixStream>) -> Result<Next, TransferError> {
    let request = op::read_op(connection);
    match within(node.config.handshake_timeout, "for an operation", request).await? {
        Op::RequestFds(request) => hand_out(node, connection, &request).await,
        Op::ReleaseFds(_) => {
            let reply = ReleaseShortCircuitAccessResponseProto {
                status: Status::ErrorUnsupported.into(),
                error: Some(no_shared_memory()),
            };
            send(node, connection, &reply).await
        }
        Op::RequestShm(_) => {
            let reply = ShortCircuitShmResponseProto {
                status: Status::ErrorUnsupported.into(),
                error: Some(no_shared_memory()),
                id: None,
            };
            send(node, connection, &reply).await
        }
        other => {
            let text = format!(
                "operation {} is for the transfer port, not for the domain socket",
                other.code()
            );
            refuse(node, connection, Status::ErrorUnsupported, text).await?;
            Ok(Next::Close)
        }
    }
}

fn no_shared_memory() -> String {
    "this DataNode hands out no shared memory; its replicas' files never change while they are open".to_owned()
}

/// Answers with a replica's files. A refusal leaves the connection usable: the next replica may be there.
async fn hand_out(
    node: &Arc<Node>,
    connection: &mut BufReader<UnixStream>,
    request: &OpRequestShortCircuitAccessProto,
) -> Result<Next, TransferError> {
    if request.max_version < FORMAT_VERSION {
        let text = format!(
            "the reader understands files of version {} at most, these have version {FORMAT_VERSION}",
            request.max_version
        );
        return refuse(node, connection, Status::ErrorUnsupported, text).await;
    }
    if request.slot_id.is_some() {
        return refuse(node, connection, Status::ErrorUnsupported, no_shared_memory()).await;
    }
    let replica = match open(node, request).await {
        Ok(replica) => replica,
        Err(error) => return refuse(node, connection, Status::Error, error.to_string()).await,
    };
    let reply = BlockOpResponseProto {
        status: Status::Success.into(),
        short_circuit_access_version: Some(FORMAT_VERSION),
        ..BlockOpResponseProto::default()
    };
    send(node, connection, &reply).await?;
    let receipt = request.supports_receipt_verification();
    let byte = if receipt { RECEIPT } else { NO_RECEIPT };
    let (data, meta) = (&replica.data, &replica.meta);
    let timeout = node.config.handshake_timeout;
    let passing = pass::send(connection.get_ref(), byte, data, meta);
    within(timeout, "for the reader to take the files", passing).await?;
    if receipt {
        within(timeout, "for the reader's receipt", connection.read_u8()).await?;
    }
    Ok(Next::Reuse)
}

async fn open(node: &Arc<Node>, request: &OpRequestShortCircuitAccessProto) -> Result<ReadableReplica, TransferError> {
    let asked = ExtendedBlock::try_from(&request.header.block)?;
    node.check_pool(&asked.pool)?;
    let (node, block) = (Arc::clone(node), asked.block);
    let opened = Node::blocking(move || {
        let replica = node.dataset.replica(block.id)?;
        if replica.state != ReplicaState::Finalized {
            return Err(Error::Replica(ReplicaError::NotFound(block.id)));
        }
        node.dataset.open_for_read(block.id, block.generation_stamp)
    });
    Ok(opened.await?)
}

async fn refuse(
    node: &Node,
    connection: &mut BufReader<UnixStream>,
    status: Status,
    text: String,
) -> Result<Next, TransferError> {
    tracing::debug!(%text, "request on the domain socket refused");
    let reply = BlockOpResponseProto {
        status: status.into(),
        message: Some(text),
        ..BlockOpResponseProto::default()
    };
    send(node, connection, &reply).await
}

async fn send(
    node: &Node,
    connection: &mut BufReader<UnixStream>,
    reply: &impl Message,
) -> Result<Next, TransferError> {
    let sending = write_delimited(connection, reply);
    within(node.config.handshake_timeout, "for the reader to take a reply", sending).await?;
    Ok(Next::Reuse)
}
