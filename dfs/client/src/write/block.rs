//! Writing one block: allocate or reopen, stream, survive the loss of DataNodes, end.
//!
//! # When a pipeline breaks
//!
//! 1. The DataNode to blame leaves the pipeline. Nobody left: the block is lost, [`Error::PipelineLost`].
//! 2. If too few are left (see [`super::replace`]), another DataNode gets a copy of what is there and joins.
//! 3. The NameNode gives a new generation stamp, which fences the lost DataNode's replica.
//! 4. The DataNodes take the new stamp and cut their replicas to what each of them had acknowledged (streaming
//!    recovery); when the packet that ends the block was under way already, they finalize instead (close recovery):
//!    all data had been acknowledged before it was sent.
//! 5. The NameNode learns the new pipeline. Only then do packets flow again: the unacknowledged ones first.
//!
//! Reopening a block for append is the same from step 3 on, with a stage of its own.
//!
//! What it may *not* assume: that the DataNode it blames is the one that failed, or that a step did not happen because
//! its answer was lost. Both are harmless: each round takes a new stamp and loses at most one DataNode.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use quarry_dfs_wire::block::ExtendedBlock;
use quarry_dfs_wire::checksum::DataChecksum;
use quarry_dfs_wire::proto::hadoop::common::TokenProto;

use super::excluded::Excluded;
use super::packet::Packet;
use super::pipeline::{Recovery, Setup, Stage, Target, targets_of};
use super::replace;
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

/// Rounds of one recovery. Each loses a DataNode, but may win another.
const MAX_ROUNDS: usize = 16;

/// What a pipeline is rebuilt for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    /// To reopen a finalized block.
    Append,
    /// To go on after a breakdown.
    Streaming,
    /// To end the block after a breakdown at its end.
    Closing,
}

/// A block being written.
#[derive(Debug)]
pub(crate) struct BlockWriter {
    pub(super) shared: Arc<Shared>,
    pub(super) file: FileStatus,
    pub(super) block: ExtendedBlock,
    token: TokenProto,
    checksum: DataChecksum,
    pub(super) targets: Vec<Target>,
    window: Arc<Window>,
    /// Moves packets between the window and the first DataNode; ends with the writer.
    stream: Option<Task>,
    /// Whether bytes of the block were promised before it broke: appended to, or flushed.
    pub(super) promised: bool,
    /// DataNodes that this block has lost, and how.
    lost: Vec<Arc<DataNodeInfo>>,
    failures: Vec<ReplicaFailure>,
}

impl BlockWriter {
    /// Allocates the file's next block and sets up a pipeline for it, without the DataNodes in `excluded`; those that
    /// fail are added there.
    pub(crate) async fn open(
        shared: &Arc<Shared>,
        file: &FileStatus,
        previous: Option<&ExtendedBlock>,
        excluded: &mut Excluded,
        checksum: DataChecksum,
    ) -> Result<Self> {
        let mut failures = Vec::new();
        for _ in 0..MAX_SETUPS {
            let located = excluded.add_block(shared, file, previous).await;
            let located = located.map_err(|e| no_datanodes(e, &failures))?;
            let mut writer = Self::new(shared, file, located, checksum, 0);
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
                    let lost = writer.lose(breakdown);
                    shared.dead.add(&lost.uuid);
                    excluded.add(lost);
                    failures.append(&mut writer.failures);
                }
            }
        }
        Err(Error::NoDataNodes {
            path: file.path.clone(),
            message: Failures(failures).to_string(),
        })
    }

    /// Reopens the last block of a file for append.
    pub(crate) async fn reopen(
        shared: &Arc<Shared>,
        file: &FileStatus,
        last: BlockLocation,
        checksum: DataChecksum,
    ) -> Result<Self> {
        let length = last.block.block.length;
        let mut writer = Self::new(shared, file, last, checksum, length);
        writer.promised = true;
        writer.rebuild(None, Purpose::Append).await?;
        Ok(writer)
    }

    fn new(
        shared: &Arc<Shared>,
        file: &FileStatus,
        located: BlockLocation,
        checksum: DataChecksum,
        length: u64,
    ) -> Self {
        let mut block = located.block.clone();
        block.block.length = length;
        Self {
            targets: targets_of(&located),
            block,
            token: located.token,
            shared: Arc::clone(shared),
            file: file.clone(),
            checksum,
            window: Arc::new(Window::new(shared.config.write_window.as_u64() as usize, length)),
            stream: None,
            promised: false,
            lost: Vec::new(),
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
            timeout: self.shared.config.pipeline_silence(self.targets.len()),
        };
        setup.run().await
    }

    fn start(&mut self, connection: Connection) {
        let silence = self.shared.config.pipeline_silence(self.targets.len());
        let run = stream::run(connection, Arc::clone(&self.window), silence);
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

    /// On return every DataNode of the pipeline has the bytes so far, and readers see them.
    pub(crate) async fn flush(&mut self) -> Result<()> {
        // Before the wait: what is acknowledged to a flush that then fails may have been seen by a reader.
        self.promised = true;
        self.drain().await
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

    /// Rebuilds the pipeline after a breakdown.
    async fn recover(&mut self) -> Result<()> {
        self.stream = None;
        let Some(breakdown) = self.window.take_breakdown() else {
            return Ok(());
        };
        let purpose = if self.window.end_was_sent() {
            Purpose::Closing
        } else {
            Purpose::Streaming
        };
        self.rebuild(Some(breakdown), purpose).await?;
        self.shared.pipeline_recoveries.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Rounds until a pipeline stands.
    async fn rebuild(&mut self, mut breakdown: Option<Breakdown>, purpose: Purpose) -> Result<()> {
        for round in 0..MAX_ROUNDS {
            if let Some(broken) = breakdown {
                let lost = self.lose(broken);
                self.shared.dead.add(&lost.uuid);
                self.lost.push(lost);
            }
            if self.targets.is_empty() {
                break;
            }
            if purpose != Purpose::Closing {
                replace::restore(self).await?;
            }
            breakdown = self.round(purpose, round).await?;
            if breakdown.is_none() {
                return Ok(());
            }
        }
        Err(self.all_lost())
    }

    /// One round; the news if it failed for a DataNode.
    async fn round(&mut self, purpose: Purpose, round: usize) -> Result<Option<Breakdown>> {
        let (acked, sent) = self.window.acked_and_sent();
        self.block.block.length = acked;
        let namenode = &self.shared.namenode;
        let renewed = namenode.update_block_for_pipeline(&self.file.path, &self.block).await?;
        let recovery = Recovery {
            generation_stamp: renewed.block.block.generation_stamp,
            acked,
            sent,
        };
        self.token = renewed.token;
        let stage = match purpose {
            Purpose::Append if round == 0 => Stage::Append(recovery),
            Purpose::Append => Stage::AppendRecovery(recovery),
            Purpose::Streaming => Stage::StreamingRecovery(recovery),
            Purpose::Closing => Stage::CloseRecovery(recovery),
        };
        let connection = match self.set_up(stage).await {
            Ok(connection) => connection,
            Err(breakdown) => return Ok(Some(breakdown)),
        };
        self.announce(recovery).await?;
        if purpose == Purpose::Closing {
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
        let (nodes, storage_ids) = self.members();
        self.shared
            .namenode
            .update_pipeline(&self.file.path, &self.block, &renewed, &nodes, &storage_ids)
            .await?;
        tracing::info!(path = self.file.path, block = %renewed, nodes = nodes.len(), "write pipeline stands");
        self.block = renewed;
        Ok(())
    }

    /// The DataNodes of the pipeline and the volumes that they write to.
    pub(super) fn members(&self) -> (Vec<Arc<DataNodeInfo>>, Vec<String>) {
        let nodes = self.targets.iter().map(|target| Arc::clone(&target.node));
        let storage_ids = self.targets.iter().map(|target| target.storage_id.clone());
        (nodes.collect(), storage_ids.collect())
    }

    /// Takes the DataNode to blame out of the pipeline.
    fn lose(&mut self, breakdown: Breakdown) -> Arc<DataNodeInfo> {
        let bad = breakdown.bad.min(self.targets.len() - 1);
        let lost = self.targets.remove(bad).node;
        tracing::warn!(path = self.file.path, block = %self.block, datanode = lost.label(), reason = %breakdown.reason, "lost a DataNode of the write pipeline");
        self.failures.push(ReplicaFailure {
            datanode: lost.label(),
            reason: breakdown.reason,
        });
        lost
    }

    /// DataNodes that failed this block.
    pub(crate) fn lost(&self) -> &[Arc<DataNodeInfo>] {
        &self.lost
    }

    /// Notes a DataNode that could not join the pipeline.
    pub(super) fn note_failure(&mut self, node: Arc<DataNodeInfo>, failure: ReplicaFailure) {
        self.lost.push(node);
        self.failures.push(failure);
    }

    fn all_lost(&mut self) -> Error {
        Error::PipelineLost {
            path: self.file.path.clone(),
            block: self.block.block.to_string(),
            failures: Failures(std::mem::take(&mut self.failures)),
        }
    }
}

/// HDFS says by an `IOException` and its text that placement found no DataNode.
fn no_datanodes(error: Error, failures: &[ReplicaFailure]) -> Error {
    match error {
        Error::NameNode { path, class, message } if super::excluded::is_no_datanodes(&class, &message) => {
            let tried: Vec<String> = failures.iter().map(ToString::to_string).collect();
            let message = [message].into_iter().chain(tried).collect::<Vec<_>>().join("; ");
            Error::NoDataNodes { path, message }
        }
        other => other,
    }
}
