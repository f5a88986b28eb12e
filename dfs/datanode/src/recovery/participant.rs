//! A holder's part in a recovery, whoever leads it: this DataNode itself or another through the RPC port.

use std::sync::Arc;

use quarry_dfs_wire::block::{Block, BlockId, GenerationStamp};

use crate::error::Result;
use crate::node::Node;
use crate::replica::{Replica, ReplicaError};
use crate::storage::FinalizedReplica;

/// How often a writer may slip in between the end of the last one and the recovery's hold.
const STOP_ATTEMPTS: u32 = 3;

/// What a recovery changes a replica into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Update {
    pub(crate) id: BlockId,
    pub(crate) recovery: GenerationStamp,
    pub(crate) length: u64,
    /// Instead of changing the replica, copy its beginning to a new one of this id.
    pub(crate) copy_to: Option<BlockId>,
}

/// Stops the replica's writer, lets no other in, and answers what there is; `None` without a replica.
///
/// From then on no ack of this block can leave: every ack needs every node of the pipeline.
pub(crate) async fn init(node: &Arc<Node>, block: Block, recovery: GenerationStamp) -> Result<Option<Replica>> {
    for attempt in 1.. {
        node.dataset
            .stop_writer(block.id, node.config.stop_writer_timeout)
            .await?;
        match node.dataset.begin_recovery(block.id, block.generation_stamp, recovery) {
            Err(ReplicaError::WriterBusy(_)) if attempt < STOP_ATTEMPTS => {}
            Err(ReplicaError::NotFound(_)) => return Ok(None),
            other => return Ok(Some(other?)),
        }
    }
    Err(ReplicaError::WriterBusy(block.id).into())
}

/// Makes a replica what was agreed upon, durably, and reports it to the NameNode.
pub(crate) async fn update(node: &Arc<Node>, update: Update) -> Result<FinalizedReplica> {
    let dataset = Arc::clone(&node.dataset);
    let Update {
        id,
        recovery,
        length,
        copy_to,
    } = update;
    let finalized = Node::blocking(move || match copy_to {
        None => dataset.end_recovery(id, recovery, length),
        Some(new_id) => dataset.copy_recovered(id, recovery, length, new_id),
    })
    .await?;
    node.report_finalized(&finalized);
    Ok(finalized)
}
