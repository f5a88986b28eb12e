//! COPY: a whole replica to the DataNode that takes it over ([`super::replace`]). HDFS's balancer and mover have replicas moved this way: they
//! ask the new holder, and that asks here.
//!
//! 1. the reply announces how the bytes are checksummed
//! 2. the packets, verified on their way out, and no faster than copies for balance may be
//! 3. [`LET_GO`], once this node is ready for the next one
//!
//! What fails after the reply ends the connection: the new holder then has no last packet and keeps nothing.

use std::sync::Arc;

use quarry_dfs_wire::block::ExtendedBlock;
use quarry_dfs_wire::proto::hadoop::hdfs::{BlockOpResponseProto, OpCopyBlockProto, ReadOpChecksumInfoProto, Status};
use tokio::io::AsyncWriteExt;

use super::connection::{Connection, Next, refuse, refuse_with};
use super::copy;
use super::error::{TransferError, within};
use super::read::PacketSource;
use crate::node::Node;
use crate::replica;

/// The last two bytes of a COPY: a `d`, as Java writes a character.
pub(super) const LET_GO: [u8; 2] = [0, b'd'];

/// Serves one COPY.
pub(crate) async fn copy_block(
    node: &Arc<Node>,
    connection: &mut Connection,
    request: OpCopyBlockProto,
) -> Result<Next, TransferError> {
    let Some(turn) = node.begin_move() else {
        return refuse(node, connection, Status::Error, no_stream_text(node)).await;
    };
    let block = match ExtendedBlock::try_from(&request.header.block) {
        Ok(block) => block,
        Err(error) => return refuse_with(node, connection, error.into()).await,
    };
    let opened = open(node, &block).await;
    copy::suspect_if_unreadable(node, &block, &opened);
    let (source, first) = match opened {
        Ok(opened) => opened,
        Err(error) => return refuse_with(node, connection, error).await,
    };
    let sent = send(node, connection, source, first).await;
    copy::suspect_if_unreadable(node, &block, &sent);
    sent?;
    drop(turn);
    let timeout = node.config.handshake_timeout;
    within(timeout, "for the new holder", connection.writer.write_all(&LET_GO)).await?;
    Ok(Next::Close)
}

/// Why a move cannot begin now.
pub(super) fn no_stream_text(node: &Node) -> String {
    let limit = node.config.max_balancing_streams;
    format!("this DataNode has {limit} copies for balance under way, its limit (`max_balancing_streams`); retry later")
}

async fn open(node: &Arc<Node>, block: &ExtendedBlock) -> Result<(PacketSource, Vec<u8>), TransferError> {
    node.check_pool(&block.pool)?;
    let seen = node.dataset.replica(block.block.id)?;
    replica::check_move(&seen, block.block.generation_stamp)?;
    copy::open(node, seen.block()).await
}

async fn send(
    node: &Arc<Node>,
    connection: &mut Connection,
    source: PacketSource,
    first: Vec<u8>,
) -> Result<(), TransferError> {
    let reply = BlockOpResponseProto {
        status: Status::Success.into(),
        read_op_checksum_info: Some(ReadOpChecksumInfoProto {
            checksum: source.checksum().into(),
            chunk_offset: 0,
        }),
        ..BlockOpResponseProto::default()
    };
    connection.send(&reply, node.config.handshake_timeout).await?;
    let throttles = [Arc::clone(&node.balancing)];
    copy::stream(
        &mut connection.writer,
        source,
        first,
        node.config.transfer_timeout,
        &throttles,
    )
    .await
}
