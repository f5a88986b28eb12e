//! REPLACE: this node takes a replica over from another DataNode, by order of a client: HDFS's balancer and mover.
//!
//! 1. the source is asked for the replica with [COPY](super::copy_block) and announces how it is checksummed
//! 2. the bytes come as in any copy: a temporary replica, verified, fsynced, finalized
//! 3. the report to the NameNode names the DataNode whose replica goes now; the client is told of success when the NameNode knows
//!
//! The source is not always the node whose replica goes: a client may have a nearer holder asked. This node deletes nothing, and neither does
//! the source: that is the NameNode's to order, when enough replicas are there without it.
//!
//! While it takes time the client gets a sign of life now and then (status `IN_PROGRESS`). A client that goes away ends the move; the temporary
//! replica goes with it.

use std::sync::Arc;
use std::time::Duration;

use quarry_dfs_wire::block::ExtendedBlock;
use quarry_dfs_wire::checksum::DataChecksum;
use quarry_dfs_wire::proto::hadoop::hdfs::{
    BlockOpResponseProto, DatanodeInfoProto, OpCopyBlockProto, OpReplaceBlockProto, Status, StorageTypeProto,
};
use quarry_dfs_wire::transfer::delimited::read_delimited;
use quarry_dfs_wire::transfer::op::{self, Op};
use tokio::io::AsyncReadExt;
use tokio::time::{Instant, interval_at};

use super::connection::{Connection, Next, refuse, refuse_with};
use super::copy_block::{LET_GO, no_stream_text};
use super::error::{TransferError, within};
use super::mirror;
use super::pipeline::{self, Finish, Pipeline, TakeOver};
use super::write::WriterKind;
use crate::node::Node;
use crate::replica::{self, ReplicaState};
use crate::storage::ReplicaWriter;

/// Signs of life come after half the time for which the client may be silent, but no more often than this.
const SHORTEST_SIGN: Duration = Duration::from_millis(10);

/// Serves one REPLACE.
pub(crate) async fn replace(
    node: &Arc<Node>,
    connection: &mut Connection,
    request: OpReplaceBlockProto,
) -> Result<Next, TransferError> {
    let Some(_turn) = node.begin_move() else {
        return refuse(node, connection, Status::Error, no_stream_text(node)).await;
    };
    let taken = match check(node, &request) {
        Ok(block) => take_over_alive(node, connection, &block, &request).await?,
        Err(error) => Err(error),
    };
    if let Err(error) = taken {
        tracing::info!(peer = %connection.peer, source = %mirror::address_text(&request.source), %error, "replica was not taken over");
        if let TransferError::Refused(refused) = &error {
            node.doubt_disks(refused);
        }
        return refuse_with(node, connection, error).await;
    }
    send_status(node, connection, Status::Success).await?;
    Ok(Next::Close)
}

/// Checks what can be checked before the source is bothered.
fn check(node: &Node, request: &OpReplaceBlockProto) -> Result<ExtendedBlock, TransferError> {
    let block = ExtendedBlock::try_from(&request.header.block)?;
    node.check_pool(&block.pool)?;
    if request.storage_type() != StorageTypeProto::Disk {
        let wanted = request.storage_type().as_str_name();
        return Err(TransferError::Request(format!(
            "this DataNode has no storage of type {wanted}, only DISK"
        )));
    }
    if request.source.id.datanode_uuid == node.uuid {
        // HDFS moves a replica to another type of storage of the same node this way; there is one type here.
        let seen = node.dataset.replica(block.block.id)?;
        replica::check_move(&seen, block.block.generation_stamp)?;
        replica::check_create(Some(&seen))?;
    }
    Ok(block)
}

/// Takes the replica over and tells the client that it is alive meanwhile. The outer error is the client's connection, the inner one the move.
async fn take_over_alive(
    node: &Arc<Node>,
    connection: &mut Connection,
    block: &ExtendedBlock,
    request: &OpReplaceBlockProto,
) -> Result<Result<(), TransferError>, TransferError> {
    let period = (node.config.transfer_timeout / 2).max(SHORTEST_SIGN);
    let mut signs = interval_at(Instant::now() + period, period);
    let taking = take_over(node, block, request);
    tokio::pin!(taking);
    loop {
        tokio::select! {
            biased;
            taken = &mut taking => return Ok(taken),
            _ = signs.tick() => send_status(node, connection, Status::InProgress).await?,
        }
    }
}

async fn take_over(
    node: &Arc<Node>,
    block: &ExtendedBlock,
    request: &OpReplaceBlockProto,
) -> Result<(), TransferError> {
    let of_source = |error| blame_source(&request.source, error);
    let (mut source, checksum) = ask(node, request).await.map_err(of_source)?;
    let writer = create(node, block, checksum).await?;
    let pipeline = Pipeline {
        kind: WriterKind::Copy,
        finish: Finish::Finalize,
        checksum,
        mirror: None,
        mirror_timeout: node.config.transfer_timeout,
        takes_over: Some(TakeOver {
            replaces: request.del_hint.clone(),
            throttle: Arc::clone(&node.balancing),
        }),
    };
    pipeline::run(node, &mut source, writer, pipeline)
        .await
        .map_err(of_source)?;
    await_let_go(node, &mut source).await;
    Ok(())
}

/// Asks the source for the replica; it answers how the bytes are checksummed.
async fn ask(node: &Node, request: &OpReplaceBlockProto) -> Result<(Connection, DataChecksum), TransferError> {
    let mut source = mirror::connect(node, &request.source).await?;
    let copy = Op::Copy(Box::new(OpCopyBlockProto {
        header: request.header.clone(),
    }));
    let timeout = node.config.transfer_timeout;
    within(
        timeout,
        "for it to take the request",
        op::write_op(&mut source.writer, &copy),
    )
    .await?;
    let reply = read_delimited::<BlockOpResponseProto>(&mut source.reader, "reply to COPY");
    let reply = within(timeout, "for its reply", reply).await?;
    if reply.status() != Status::Success {
        return Err(TransferError::Source {
            node: mirror::address_text(&request.source),
            reason: format!("{:?} {}", reply.status(), reply.message()),
        });
    }
    let info = reply.read_op_checksum_info.unwrap_or_default();
    Ok((source, DataChecksum::try_from(&info.checksum)?))
}

async fn create(
    node: &Arc<Node>,
    block: &ExtendedBlock,
    checksum: DataChecksum,
) -> Result<ReplicaWriter, TransferError> {
    let (dataset, block) = (Arc::clone(&node.dataset), block.block);
    let creating = move || {
        dataset.create(
            block.id,
            block.generation_stamp,
            ReplicaState::Temporary,
            checksum,
            block.length,
        )
    };
    Ok(Node::blocking(creating).await?)
}

/// The source is busy until it says otherwise; then the next move from it can begin. The replica is safe either way.
async fn await_let_go(node: &Node, source: &mut Connection) {
    let mut word = LET_GO;
    let reading = source.reader.read_exact(&mut word);
    if let Err(error) = within(node.config.handshake_timeout, "for it to let go", reading).await {
        tracing::debug!(source = %source.peer, %error, "source of a move did not say that it has let go");
    }
}

/// The client's connection is well when the source's is not: it has to hear of it.
fn blame_source(source: &DatanodeInfoProto, error: TransferError) -> TransferError {
    match error {
        TransferError::Connection(_) | TransferError::Timeout { .. } | TransferError::Wire(_) => {
            TransferError::Source {
                node: mirror::address_text(source),
                reason: error.to_string(),
            }
        }
        error => error,
    }
}

async fn send_status(node: &Node, connection: &mut Connection, status: Status) -> Result<(), TransferError> {
    let reply = BlockOpResponseProto {
        status: status.into(),
        ..BlockOpResponseProto::default()
    };
    connection.send(&reply, node.config.handshake_timeout).await
}
