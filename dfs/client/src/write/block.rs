//! Writing one block: allocate, stream, survive the loss of DataNodes, end.
//!
//! # When a pipeline breaks
//!
//! 1. The DataNode to blame leaves the pipeline. Nobody left: the block is lost, [`Error::PipelineLost`].
//! 2. The NameNode gives a new generation stamp, which fences the lost DataNode's replica.
//! 3. The remaining DataNodes take the new stamp and cut their replicas to what everybody had acknowledged (streaming
//!    recovery); when the packet that ends the block was under way already, they finalize instead (close recovery):
//!    all data had been acknowledged before it was sent.
//! 4. The NameNode learns the new pipeline. Only then do packets flow again: the unacknowledged ones first.
//!
//! What it may *not* assume: that the DataNode it blames is the one that failed, or that a step did not happen because
//! its answer was lost. Both are harmless: each round takes a new stamp and loses at most one DataNode. DataNodes are
//! not replaced here; the NameNode restores the replication once the file is closed.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use quarry_dfs_wire::block::ExtendedBlock;
use quarry_dfs_wire::checksum::DataChecksum;
use quarry_dfs_wire::proto::hadoop::common::TokenProto;

use super::packet::Packet;
use super::pipeline::{Recovery, Setup, Stage, Target, targets_of};
use super::stream;
use super::window::{Breakdown, Broken, Window};
use crate::connections::Connection;
use crate::error::{Error, Failures, ReplicaFailure, Result};
use crate::location::{BlockLocation, DataNodeInfo};
use crate::shared::Shared;
use crate::status::FileStatus;
use crate::task::Task;

/// Pipelines tried for one block before giving up. Each failure excludes a DataNode.
const MAX_SETUPS: usize = 8;

/// A block being written.
#[derive(Debug)]
pub(crate) struct BlockWriter {
    shared: Arc<Shared>,
    path: String,
    block: ExtendedBlock,
    token: TokenProto,
    checksum: DataChecksum,
    targets: Vec<Target>,
    window: Arc<Window>,
    /// Moves packets between the window and the first DataNode; ends with the writer.
    stream: Option<Task>,
    /// DataNodes that this block has lost.
    failures: Vec<ReplicaFailure>,
}

impl BlockWriter {
    /// Allocates the file's next block and sets up a pipeline for it, without the DataNodes in `excluded`; those that
    /// fail are added there.
    pub(crate) async fn open(
        shared: &Arc<Shared>,
        file: &FileStatus,
        previous: Option<&ExtendedBlock>,
        excluded: &mut Vec<Arc<DataNodeInfo>>,
        checksum: DataChecksum,
    ) -> Result<Self> {
        let mut failures = Vec::new();
        for _ in 0..MAX_SETUPS {
            let located = shared.namenode.add_block(file, previous, excluded).await;
            let located = located.map_err(|e| no_datanodes(e, &failures))?;
            let mut writer = Self::new(shared, file, located, checksum);
            if writer.targets.is_empty() {
                break;
            }
            match writer.set_up(Stage::Create).await {
                Ok(connection) => {
                    writer.start(connection);
                    return Ok(writer);
                }
                Err(breakdown) => {
                    shared.namenode.abandon_block(file, &writer.block).await?;
                    excluded.push(writer.lose(breakdown));
                    failures.append(&mut writer.failures);
                }
            }
        }
        Err(Error::NoDataNodes {
            path: file.path.clone(),
            message: Failures(failures).to_string(),
        })
    }

    fn new(shared: &Arc<Shared>, file: &FileStatus, located: BlockLocation, checksum: DataChecksum) -> Self {
        let mut block = located.block.clone();
        block.block.length = 0;
        Self {
            targets: targets_of(&located),
            block,
            token: located.token,
            shared: Arc::clone(shared),
            path: file.path.clone(),
            checksum,
            window: Arc::new(Window::new(shared.config.write_window.as_u64() as usize)),
            stream: None,
            failures: Vec::new(),
        }
    }

    async fn set_up(&self, stage: Stage) -> Result<Connection, Breakdown> {
        let setup = Setup {
            block: &self.block,
            token: &self.token,
            targets: &self.targets,
            client_name: self.shared.namenode.client_name(),
            checksum: self.checksum,
            stage,
            connect_timeout: self.shared.config.connect_timeout,
            timeout: self.shared.config.datanode_timeout,
        };
        setup.run().await
    }

    fn start(&mut self, connection: Connection) {
        let run = stream::run(
            connection,
            Arc::clone(&self.window),
            self.shared.config.datanode_timeout,
        );
        self.stream = Some(Task::spawn(run));
    }

    /// Hands a packet to the pipeline, waiting for room in the window.
    pub(crate) async fn send(&mut self, packet: Packet) -> Result<()> {
        while let Err(Broken) = self.window.room().await {
            self.recover().await?;
        }
        self.window.push(packet);
        Ok(())
    }

    /// Waits until every DataNode has acknowledged every packet.
    async fn drain(&mut self) -> Result<()> {
        while let Err(Broken) = self.window.drained().await {
            self.recover().await?;
        }
        Ok(())
    }

    /// Ends the block; on return it is finalized and fsynced on every DataNode left in the pipeline.
    pub(crate) async fn finish(mut self, end: Packet) -> Result<ExtendedBlock> {
        // With all data acknowledged first, a failure from here on leaves replicas of one length only.
        self.drain().await?;
        self.send(end).await?;
        self.drain().await?;
        let (length, _) = self.window.acked_and_sent();
        self.block.block.length = length;
        Ok(self.block)
    }

    /// Rebuilds the pipeline from the DataNodes that are left.
    async fn recover(&mut self) -> Result<()> {
        self.stream = None;
        let mut breakdown = self.window.take_breakdown();
        while let Some(broken) = breakdown {
            let lost = self.lose(broken);
            self.shared.dead.add(&lost.uuid);
            if self.targets.is_empty() {
                return Err(self.lost());
            }
            breakdown = self.try_recover().await?;
        }
        Ok(())
    }

    /// One round; the news if it failed for a DataNode.
    async fn try_recover(&mut self) -> Result<Option<Breakdown>> {
        let (acked, sent) = self.window.acked_and_sent();
        self.block.block.length = acked;
        let renewed = self
            .shared
            .namenode
            .update_block_for_pipeline(&self.path, &self.block)
            .await?;
        let recovery = Recovery {
            generation_stamp: renewed.block.block.generation_stamp,
            acked,
            sent,
        };
        self.token = renewed.token;
        let closing = self.window.end_was_sent();
        let stage = if closing {
            Stage::CloseRecovery(recovery)
        } else {
            Stage::StreamingRecovery(recovery)
        };
        let connection = match self.set_up(stage).await {
            Ok(connection) => connection,
            Err(breakdown) => return Ok(Some(breakdown)),
        };
        self.announce(recovery).await?;
        self.shared.pipeline_recoveries.fetch_add(1, Ordering::Relaxed);
        if closing {
            self.window.clear();
        } else {
            self.window.rewind();
            self.start(connection);
        }
        Ok(None)
    }

    /// Tells the NameNode who goes on, under which generation stamp.
    async fn announce(&mut self, recovery: Recovery) -> Result<()> {
        let mut renewed = self.block.clone();
        renewed.block.generation_stamp = recovery.generation_stamp;
        let nodes: Vec<_> = self.targets.iter().map(|t| Arc::clone(&t.node)).collect();
        let storage_ids: Vec<_> = self.targets.iter().map(|t| t.storage_id.clone()).collect();
        self.shared
            .namenode
            .update_pipeline(&self.path, &self.block, &renewed, &nodes, &storage_ids)
            .await?;
        tracing::warn!(path = self.path, block = %renewed, left = nodes.len(), "recovered write pipeline");
        self.block = renewed;
        Ok(())
    }

    /// Takes the DataNode to blame out of the pipeline.
    fn lose(&mut self, breakdown: Breakdown) -> Arc<DataNodeInfo> {
        let bad = breakdown.bad.min(self.targets.len() - 1);
        let lost = self.targets.remove(bad).node;
        tracing::warn!(path = self.path, block = %self.block, datanode = lost.label(), reason = %breakdown.reason, "lost a DataNode of the write pipeline");
        self.failures.push(ReplicaFailure {
            datanode: lost.label(),
            reason: breakdown.reason,
        });
        lost
    }

    fn lost(&mut self) -> Error {
        Error::PipelineLost {
            path: self.path.clone(),
            block: self.block.block.to_string(),
            failures: Failures(std::mem::take(&mut self.failures)),
        }
    }
}

/// HDFS says by an `IOException` and its text that placement found no DataNode.
fn no_datanodes(error: Error, failures: &[ReplicaFailure]) -> Error {
    match error {
        Error::NameNode { path, class, message } if class == "java.io.IOException" && message.contains("replicat") => {
            let tried: Vec<String> = failures.iter().map(ToString::to_string).collect();
            let message = [message].into_iter().chain(tried).collect::<Vec<_>>().join("; ");
            Error::NoDataNodes { path, message }
        }
        other => other,
    }
}
