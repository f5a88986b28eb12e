//! Orders of the NameNode: copy, delete, recover. Each runs on its own task, so that the link stays responsive.

use std::sync::Arc;
use std::time::Duration;

use quarry_dfs_wire::block::Block;
use quarry_dfs_wire::proto::dfs_v1::{
    CheckVolumes, CopyFailed, DeleteReplicas, FromDataNode, RecoverBlock, ReplicateBlock, Target, VolumesChecked,
    from_data_node,
};
use quarry_dfs_wire::proto::hadoop::hdfs::op_write_block_proto::BlockConstructionStage;
use quarry_dfs_wire::proto::hadoop::hdfs::{DatanodeIdProto, DatanodeInfoProto};
use tokio::sync::{Semaphore, mpsc};

use crate::jobs;
use crate::jobs::throttle::Throttle;
use crate::namenode_link::IntoMessage;
use crate::node::Node;
use crate::recovery;
use crate::replica::ReplicaState;
use crate::transfer::copy::{self, Copy};

/// Carries out commands of one session.
#[derive(Debug)]
pub(crate) struct Commands {
    node: Arc<Node>,
    outgoing: mpsc::Sender<FromDataNode>,
    /// Streams for repairs; balance has its own, so as not to keep repairs waiting.
    repairs: Arc<Semaphore>,
}

impl Commands {
    /// Results go to `outgoing`.
    pub(crate) fn new(node: Arc<Node>, outgoing: mpsc::Sender<FromDataNode>) -> Self {
        let repairs = Arc::new(Semaphore::new(node.config.max_replication_streams));
        Self {
            node,
            outgoing,
            repairs,
        }
    }

    /// Copies a replica to other DataNodes, as soon as a stream is free.
    ///
    /// The NameNode learns of success from the targets' reports, and of failure from this node, in this session only: what is lost it
    /// learns in the end from the absence of the reports.
    pub(crate) fn replicate(&self, command: ReplicateBlock) {
        let streams = if command.balancing {
            &self.node.balancing_streams
        } else {
            &self.repairs
        };
        let (node, streams, outgoing) = (Arc::clone(&self.node), Arc::clone(streams), self.outgoing.clone());
        self.spawn(async move {
            let Ok(_permit) = streams.acquire_owned().await else {
                return;
            };
            let block_id = command.block.as_ref().map_or(0, |block| block.block_id);
            if let Err(error) = replicate(&node, command).await {
                tracing::warn!(%error, "copy to another DataNode failed");
                let failed = CopyFailed { block_id, error };
                let message = from_data_node::Message::CopyFailed(failed).into_message();
                let _ = outgoing.send(message).await;
            }
        });
    }

    /// Deletes replicas, soon; each deletion is reported.
    pub(crate) fn delete(&self, command: &DeleteReplicas) {
        let blocks = command.blocks.iter().filter_map(|block| {
            let block = Block::try_from(block);
            block
                .inspect_err(|error| tracing::warn!(%error, "DeleteReplicas names an impossible block"))
                .ok()
        });
        self.node.deletions.push(blocks);
    }

    /// Checks all volumes and says when that is done.
    pub(crate) fn check_volumes(&self, command: CheckVolumes) {
        let (node, outgoing) = (Arc::clone(&self.node), self.outgoing.clone());
        self.spawn(async move {
            let budget = Duration::from_millis(command.budget_ms.into());
            let blocks_verified = jobs::check::check_volumes(&node, budget).await;
            // The NameNode has taken in what was found before it hears that this was all.
            node.reports
                .confirmed(node.reports.last(), node.config.report_timeout)
                .await;
            let answer = VolumesChecked {
                sequence: command.sequence,
                blocks_verified,
            };
            let message = from_data_node::Message::VolumesChecked(answer).into_message();
            let _ = outgoing.send(message).await;
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
    let mut throttles = Vec::new();
    if command.bytes_per_second > 0 {
        throttles.push(Arc::new(Throttle::new(command.bytes_per_second)));
    }
    if command.balancing {
        throttles.push(Arc::clone(&node.balancing));
    }
    let copy = Copy {
        block: node.extended(block).map_err(|error| error.to_string())?,
        targets: command.targets.iter().map(info).collect(),
        storage_types: Vec::new(),
        storage_ids: command.targets.iter().map(|target| target.storage_id.clone()).collect(),
        client_name: String::new(),
        stage: BlockConstructionStage::PipelineSetupCreate,
        throttles,
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
