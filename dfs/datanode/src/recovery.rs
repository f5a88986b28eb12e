//! Block recovery: closing a block whose writer is gone, by order of the NameNode.
//!
//! 1. The own writer is stopped. From then on nothing more of this block can be acknowledged: every ack needs every node.
//! 2. The other holders are asked for the length that they promise to readers. Each of these bytes was written here too
//!    before anybody acknowledged it; if some are missing here (this DataNode restarted and had not synced them), this is the
//!    wrong replica to keep and the recovery fails, so that the NameNode picks another DataNode.
//! 3. The own replica gets the new stamp and is finalized at its own length. The others are stale by their stamp; the
//!    NameNode replaces them.
//!
//! What it may not assume: that other holders answer. A holder that does not cannot have promised more than this one wrote,
//! unless this one lost unsynced bytes: those bytes were flushed at most, never synced, and may go with the two nodes.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use quarry_dfs_wire::block::{Block, ExtendedBlock};
use quarry_dfs_wire::proto::dfs_v1::{RecoverBlock, RecoveryResult, Target};
use quarry_dfs_wire::proto::hadoop::hdfs::{
    ExtendedBlockProto, GetReplicaVisibleLengthRequestProto, GetReplicaVisibleLengthResponseProto,
};
use quarry_dfs_wire::rpc::{CLIENT_DATANODE_PROTOCOL, RpcClient, RpcClientOptions};

use crate::error::{Error, Result};
use crate::node::Node;
use crate::replica::{Claim, ReplicaState};
use crate::storage::{FinalizedReplica, Reopen};

/// How long another holder may take to say what it has.
const ASK_TIMEOUT: Duration = Duration::from_secs(5);

/// Recovers a block and says how it went.
pub(crate) async fn recover(node: &Arc<Node>, command: RecoverBlock) -> RecoveryResult {
    let outcome = try_recover(node, &command).await;
    let block_id = command.block.map_or(0, |block| block.block_id);
    match outcome {
        Ok(finalized) => RecoveryResult {
            block_id,
            new_generation_stamp: command.new_generation_stamp,
            length: finalized.block.length,
            datanode_uuids: vec![node.uuid.clone()],
            ..RecoveryResult::default()
        },
        Err(error) => {
            tracing::warn!(block = block_id, %error, "block recovery failed");
            let error = error.to_string();
            RecoveryResult {
                block_id,
                new_generation_stamp: command.new_generation_stamp,
                error,
                ..RecoveryResult::default()
            }
        }
    }
}

async fn try_recover(node: &Arc<Node>, command: &RecoverBlock) -> Result<FinalizedReplica> {
    let bad = |detail: String| Error::Corrupt {
        what: "RecoverBlock command".to_owned(),
        detail,
    };
    let block = command
        .block
        .as_ref()
        .ok_or_else(|| bad("it names no block".to_owned()))?;
    let block = Block::try_from(block).map_err(|error| bad(error.to_string()))?;
    node.dataset
        .stop_writer(block.id, node.config.stop_writer_timeout)
        .await?;
    let promised = longest_promise(node, block, &command.holders).await?;
    let own = node.dataset.replica(block.id)?;
    if own.on_disk < promised {
        let detail = format!("it has {} bytes, another holder promised {promised}", own.on_disk);
        return Err(Error::Corrupt {
            what: format!("replica of {block}"),
            detail,
        });
    }
    let new_stamp = quarry_dfs_wire::block::GenerationStamp(command.new_generation_stamp);
    if own.state == ReplicaState::Finalized && own.generation_stamp == new_stamp {
        return finished_before(node, block, own.on_disk);
    }
    let claim = Claim {
        generation_stamp: block.generation_stamp,
        new_generation_stamp: new_stamp,
        min_bytes: promised,
        max_bytes: own.on_disk,
    };
    let dataset = Arc::clone(&node.dataset);
    let finalized = Node::blocking(move || {
        let writer = dataset.reopen(block.id, &claim, Reopen::BlockRecovery)?;
        dataset.finalize(writer)
    })
    .await?;
    node.report_finalized(&finalized);
    Ok(finalized)
}

/// The NameNode repeats a recovery whose result it did not get.
fn finished_before(node: &Node, block: Block, length: u64) -> Result<FinalizedReplica> {
    let own = node.dataset.replica(block.id)?;
    let storage_id = node.dataset.storage_id(block.id).unwrap_or_default();
    let block = Block {
        generation_stamp: own.generation_stamp,
        length,
        ..block
    };
    Ok(FinalizedReplica { block, storage_id })
}

/// The longest length that another holder promises to readers; 0 when none answers.
async fn longest_promise(node: &Node, block: Block, holders: &[Target]) -> Result<u64> {
    let block = node.extended(block)?;
    let others = holders.iter().filter(|holder| holder.datanode_uuid != node.uuid);
    let answers = futures::future::join_all(others.map(|holder| ask(holder, &block))).await;
    Ok(answers.into_iter().flatten().max().unwrap_or(0))
}

async fn ask(holder: &Target, block: &ExtendedBlock) -> Option<u64> {
    let ip: IpAddr = holder.ip.parse().ok()?;
    let address = SocketAddr::new(ip, u16::try_from(holder.ipc_port).ok()?);
    let client = RpcClient::new(
        address.to_string(),
        "quarry",
        CLIENT_DATANODE_PROTOCOL,
        RpcClientOptions::default(),
    );
    let request = GetReplicaVisibleLengthRequestProto {
        block: ExtendedBlockProto::from(block),
    };
    let call = client.call::<_, GetReplicaVisibleLengthResponseProto>("getReplicaVisibleLength", &request);
    match tokio::time::timeout(ASK_TIMEOUT, call).await {
        Ok(Ok(answer)) => Some(answer.length),
        Ok(Err(error)) => {
            tracing::info!(%block, holder = %address, %error, "holder does not take part in the recovery");
            None
        }
        Err(_) => None,
    }
}
