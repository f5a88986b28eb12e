//! Copies of replicas to other DataNodes: by order of the NameNode, and TRANSFER for a pipeline that gets a new node.
//!
//! The bytes are verified on their way out: nobody at the other end could report that *this* replica is damaged.

use std::sync::Arc;
use std::time::Duration;

use quarry_dfs_wire::block::{Block, ExtendedBlock};
use quarry_dfs_wire::proto::hadoop::hdfs::op_write_block_proto::BlockConstructionStage;
use quarry_dfs_wire::proto::hadoop::hdfs::{
    BaseHeaderProto, BlockOpResponseProto, ClientOperationHeaderProto, DatanodeIdProto, DatanodeInfoProto,
    DnTransferAckProto, ExtendedBlockProto, OpTransferBlockProto, OpWriteBlockProto, Status, StorageTypeProto,
};
use quarry_dfs_wire::transfer::delimited::read_delimited;
use quarry_dfs_wire::transfer::op::{self, Op};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::OwnedWriteHalf;

use super::connection::{Connection, Next, refuse_with};
use super::error::{TransferError, within};
use super::mirror;
use super::read::{self, PacketSource};
use crate::jobs::throttle::Throttle;
use crate::node::Node;
use crate::replica::{self, ReplicaState};

/// What is copied where.
#[derive(Debug)]
pub(crate) struct Copy {
    /// The block; its length is what the receivers get.
    pub(crate) block: ExtendedBlock,
    /// The first target, which passes the bytes on to the others.
    pub(crate) targets: Vec<DatanodeInfoProto>,
    /// Storage types and ids, target by target; may be empty.
    pub(crate) storage_types: Vec<i32>,
    pub(crate) storage_ids: Vec<String>,
    /// Empty for a copy by order of the NameNode.
    pub(crate) client_name: String,
    pub(crate) stage: BlockConstructionStage,
    /// Limits that the bytes count against.
    pub(crate) throttles: Vec<Arc<Throttle>>,
}

/// Serves one TRANSFER: the client asks this node to bring another up to date for its pipeline.
pub(crate) async fn transfer(
    node: &Arc<Node>,
    connection: &mut Connection,
    request: OpTransferBlockProto,
) -> Result<Next, TransferError> {
    match transfer_now(node, request).await {
        Ok(()) => {
            let reply = BlockOpResponseProto {
                status: Status::Success.into(),
                ..BlockOpResponseProto::default()
            };
            connection.send(&reply, node.config.handshake_timeout).await?;
            Ok(Next::Close)
        }
        Err(error) => {
            tracing::warn!(%error, "transfer to a new pipeline node failed");
            refuse_with(node, connection, TransferError::Request(error.to_string())).await
        }
    }
}

async fn transfer_now(node: &Arc<Node>, request: OpTransferBlockProto) -> Result<(), TransferError> {
    let asked = ExtendedBlock::try_from(&request.header.base_header.block)?;
    node.check_pool(&asked.pool)?;
    if request.targets.is_empty() {
        return Err(TransferError::Request("a transfer needs a target".to_owned()));
    }
    let seen = node.dataset.replica(asked.block.id)?;
    replica::check_readable(&seen, asked.block.generation_stamp)?;
    let stage = match seen.state {
        ReplicaState::Finalized => BlockConstructionStage::TransferFinalized,
        ReplicaState::Rbw => BlockConstructionStage::TransferRbw,
        state => {
            return Err(TransferError::Request(format!(
                "a replica in state {state} cannot be transferred"
            )));
        }
    };
    let block = Block {
        generation_stamp: seen.generation_stamp,
        length: seen.acked,
        ..asked.block
    };
    let copy = Copy {
        block: ExtendedBlock::new(asked.pool, block),
        targets: request.targets,
        storage_types: request.target_storage_types,
        storage_ids: request.target_storage_ids,
        client_name: request.header.client_name,
        stage,
        throttles: Vec::new(),
    };
    send(node, copy).await
}

/// Sends a replica's first `block.length` bytes to the targets.
///
/// Returns when the first target has all bytes: it has confirmed (transfer), or closed the connection (copy).
pub(crate) async fn send(node: &Arc<Node>, copy: Copy) -> Result<(), TransferError> {
    let block = copy.block.clone();
    let sent = send_now(node, copy).await;
    suspect_if_unreadable(node, &block, &sent);
    sent
}

/// Has the replica verified if it was what made sending it fail.
pub(super) fn suspect_if_unreadable<T>(node: &Arc<Node>, block: &ExtendedBlock, sent: &Result<T, TransferError>) {
    if let Err(TransferError::Read(_) | TransferError::Refused(crate::Error::Corrupt { .. })) = sent {
        read::suspect(node, block);
    }
}

async fn send_now(node: &Arc<Node>, copy: Copy) -> Result<(), TransferError> {
    let timeout = node.config.transfer_timeout;
    let (source, first) = open(node, copy.block.block).await?;
    let mut connection = mirror::connect(node, &copy.targets[0]).await?;
    let awaits_reply = !copy.client_name.is_empty();
    let throttles = copy.throttles.clone();
    let request = Op::Write(Box::new(request(node, copy, &source)));
    let sending = op::write_op(&mut connection.writer, &request);
    within(timeout, "for the target to take the request", sending).await?;
    stream(&mut connection.writer, source, first, timeout, &throttles).await?;
    if awaits_reply {
        let reply = read_delimited::<DnTransferAckProto>(&mut connection.reader, "transfer reply");
        let reply = within(timeout, "for the target to confirm", reply).await?;
        return match reply.status() {
            Status::Success => Ok(()),
            status => Err(TransferError::Request(format!("the target answered {status:?}"))),
        };
    }
    connection.writer.shutdown().await?;
    let mut nothing = [0];
    within(
        timeout,
        "for the target to finish",
        connection.reader.read(&mut nothing),
    )
    .await?;
    Ok(())
}

/// Sends `packet` and all that the source has after it, as fast as the throttles allow.
pub(super) async fn stream(
    writer: &mut OwnedWriteHalf,
    mut source: PacketSource,
    mut packet: Vec<u8>,
    timeout: Duration,
    throttles: &[Arc<Throttle>],
) -> Result<(), TransferError> {
    if throttles.is_empty() {
        return read::stream(writer, source, packet, timeout).await;
    }
    loop {
        for throttle in throttles {
            throttle.take(packet.len() as u64).await;
        }
        let sent = writer.write_all(&packet);
        within(timeout, "for the target to take a packet", sent).await?;
        let next = Node::blocking(move || {
            let next = source.next_packet();
            (source, next)
        });
        let (returned, next) = next.await;
        source = returned;
        match next? {
            Some(next) => packet = next,
            None => return Ok(()),
        }
    }
}

/// Opens a replica whose first `block.length` bytes are to be sent; with the first packet, so that most that is wrong shows before anything is
/// sent.
pub(super) async fn open(node: &Arc<Node>, block: Block) -> Result<(PacketSource, Vec<u8>), TransferError> {
    let node = Arc::clone(node);
    Node::blocking(move || {
        let seen = node.dataset.replica(block.id)?;
        replica::check_read(&seen, block.generation_stamp, 0, block.length)?;
        let replica = node.dataset.open_for_read(block.id, block.generation_stamp)?;
        let packet_size = node.config.read_packet_size.as_u64();
        let mut source = PacketSource::exact(replica, block.length, packet_size)?.verified();
        let first = source.next_packet()?.expect("a source has at least its last packet");
        Ok((source, first))
    })
    .await
}

fn request(node: &Node, copy: Copy, source: &PacketSource) -> OpWriteBlockProto {
    let mut targets = copy.targets;
    let pipeline_size = targets.len() as u32;
    targets.remove(0);
    let mut storage_types = copy.storage_types.into_iter();
    let mut storage_ids = copy.storage_ids.into_iter();
    OpWriteBlockProto {
        header: ClientOperationHeaderProto {
            base_header: BaseHeaderProto {
                block: ExtendedBlockProto::from(&copy.block),
                ..BaseHeaderProto::default()
            },
            client_name: copy.client_name,
        },
        targets,
        source: Some(self_info(node)),
        stage: copy.stage.into(),
        pipeline_size,
        requested_checksum: source.checksum().into(),
        storage_type: Some(storage_types.next().unwrap_or(StorageTypeProto::Disk.into())),
        storage_id: storage_ids.next(),
        target_storage_types: storage_types.collect(),
        target_storage_ids: storage_ids.collect(),
        ..OpWriteBlockProto::default()
    }
}

/// How this DataNode introduces itself.
fn self_info(node: &Node) -> DatanodeInfoProto {
    let (xfer_port, ipc_port) = node.ports();
    DatanodeInfoProto {
        id: DatanodeIdProto {
            ip_addr: node.config.host.to_string(),
            host_name: node.hostname(),
            datanode_uuid: node.uuid.clone(),
            xfer_port: xfer_port.into(),
            ipc_port: ipc_port.into(),
            ..DatanodeIdProto::default()
        },
        ..DatanodeInfoProto::default()
    }
}
