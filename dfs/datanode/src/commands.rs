//! Orders of the NameNode: copy, delete, recover. Each runs on its own task, so that the link stays responsive.

use std::sync::Arc;

use quarry_dfs_wire::block::Block;
use quarry_dfs_wire::proto::dfs_v1::{
    BlockRef, DeleteReplicas, FromDataNode, RecoverBlock, ReplicaChange, ReplicateBlock, Target, from_data_node,
};
use quarry_dfs_wire::proto::hadoop::hdfs::op_write_block_proto::BlockConstructionStage;
use quarry_dfs_wire::proto::hadoop::hdfs::{DatanodeIdProto, DatanodeInfoProto};
use tokio::sync::{Semaphore, mpsc};

use crate::error::Error;
use crate::namenode_link::IntoMessage;
use crate::node::Node;
use crate::recovery;
use crate::replica::{ReplicaError, ReplicaState};
use crate::transfer::copy::{self, Copy};

/// Carries out commands of one session.
#[derive(Debug)]
pub(crate) struct Commands {
    node: Arc<Node>,
    outgoing: mpsc::Sender<FromDataNode>,
    copies: Arc<Semaphore>,
}

impl Commands {
    /// Results go to `outgoing`.
    pub(crate) fn new(node: Arc<Node>, outgoing: mpsc::Sender<FromDataNode>) -> Self {
        let copies = Arc::new(Semaphore::new(node.config.max_replication_streams));
        Self { node, outgoing, copies }
    }

    /// Copies a replica to other DataNodes, as soon as a stream is free.
    ///
    /// The NameNode learns of success from the targets' reports and of failure from their absence.
    pub(crate) fn replicate(&self, command: ReplicateBlock) {
        let (node, copies) = (Arc::clone(&self.node), Arc::clone(&self.copies));
        self.spawn(async move {
            let Ok(_permit) = copies.acquire_owned().await else {
                return;
            };
            if let Err(error) = replicate(&node, command).await {
                tracing::warn!(%error, "copy to another DataNode failed");
            }
        });
    }

    /// Deletes replicas; each deletion is reported.
    pub(crate) fn delete(&self, command: DeleteReplicas) {
        let node = Arc::clone(&self.node);
        self.spawn(async move {
            for block in &command.blocks {
                delete(&node, block).await;
            }
        });
    }

    /// Recovers a block; the result is sent in this session only: the NameNode repeats what it misses.
    pub(crate) fn recover(&self, command: RecoverBlock) {
        let (node, outgoing) = (Arc::clone(&self.node), self.outgoing.clone());
        self.spawn(async move {
            let result = recovery::recover(&node, command).await;
            let _ = outgoing
                .send(from_data_node::Message::RecoveryResult(result).into_message())
                .await;
        });
    }

    fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        let shutdown = self.node.shutdown.clone();
        self.node.tasks.spawn(async move {
            tokio::select! {
                biased;
                () = shutdown.cancelled() => {}
                () = work => {}
            }
        });
    }
}

async fn replicate(node: &Arc<Node>, command: ReplicateBlock) -> Result<(), String> {
    let block = command.block.as_ref().ok_or("ReplicateBlock names no block")?;
    let mut block = Block::try_from(block).map_err(|error| error.to_string())?;
    if command.targets.is_empty() {
        return Err("ReplicateBlock names no target".to_owned());
    }
    let own = node.dataset.replica(block.id).map_err(|error| error.to_string())?;
    if own.state != ReplicaState::Finalized || own.generation_stamp < block.generation_stamp {
        return Err(format!(
            "{block}: replica is {} of stamp {}, not fit to copy",
            own.state, own.generation_stamp
        ));
    }
    (block.generation_stamp, block.length) = (own.generation_stamp, own.on_disk);
    let copy = Copy {
        block: node.extended(block).map_err(|error| error.to_string())?,
        targets: command.targets.iter().map(info).collect(),
        storage_types: Vec::new(),
        storage_ids: command.targets.iter().map(|target| target.storage_id.clone()).collect(),
        client_name: String::new(),
        stage: BlockConstructionStage::PipelineSetupCreate,
    };
    copy::send(node, copy)
        .await
        .map_err(|error| format!("{block}: {error}"))
}

fn info(target: &Target) -> DatanodeInfoProto {
    DatanodeInfoProto {
        id: DatanodeIdProto {
            ip_addr: target.ip.clone(),
            host_name: target.hostname.clone(),
            datanode_uuid: target.datanode_uuid.clone(),
            xfer_port: target.xfer_port,
            ipc_port: target.ipc_port,
            ..DatanodeIdProto::default()
        },
        ..DatanodeInfoProto::default()
    }
}

async fn delete(node: &Arc<Node>, block: &BlockRef) {
    let Ok(block) = Block::try_from(block) else {
        return tracing::warn!("DeleteReplicas names an impossible block");
    };
    if let Err(error) = node
        .dataset
        .stop_writer(block.id, node.config.stop_writer_timeout)
        .await
    {
        return tracing::warn!(%block, %error, "replica was not deleted");
    }
    let stamp = block.generation_stamp;
    let worker = Arc::clone(node);
    let deleted = Node::blocking(move || worker.dataset.delete(block.id, stamp)).await;
    match deleted {
        Ok(Some(gone)) => {
            node.reports.push(
                &gone.storage_id,
                ReplicaChange::Deleted,
                ReplicaState::Finalized,
                gone.block,
            );
        }
        Ok(None) => report_absent(node, block),
        Err(Error::Replica(error @ ReplicaError::GenerationStamp { .. })) => {
            tracing::info!(%block, %error, "replica is newer than the one to delete; kept");
        }
        Err(error) => tracing::warn!(%block, %error, "replica was not deleted"),
    }
}

/// The NameNode believes in a replica that is not here: say so, or it would ask again for ever.
fn report_absent(node: &Node, block: Block) {
    for volume in node.dataset.volumes() {
        node.reports.push(
            volume.storage_id(),
            ReplicaChange::Deleted,
            ReplicaState::Finalized,
            block,
        );
    }
}
