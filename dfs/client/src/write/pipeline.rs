//! Setting up a pipeline: the first DataNode is asked to take the block and to pass it on to the others.

use std::sync::Arc;
use std::time::Duration;

use quarry_dfs_wire::block::{ExtendedBlock, GenerationStamp};
use quarry_dfs_wire::checksum::DataChecksum;
use quarry_dfs_wire::proto::hadoop::common::TokenProto;
use quarry_dfs_wire::proto::hadoop::hdfs as pb;
use quarry_dfs_wire::transfer::op::Op;

use super::window::Breakdown;
use crate::connections::{self, Connection};
use crate::convert;
use crate::error::TransferError;
use crate::location::{BlockLocation, DataNodeInfo};

/// One DataNode of a pipeline and the volume that it writes to.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) node: Arc<DataNodeInfo>,
    pub(crate) storage_id: String,
    pub(crate) storage_type: i32,
}

/// The DataNodes of a located block, in order.
pub(crate) fn targets_of(location: &BlockLocation) -> Vec<Target> {
    let target = |(i, node): (usize, &Arc<DataNodeInfo>)| Target {
        node: Arc::clone(node),
        storage_id: location.storage_ids.get(i).cloned().unwrap_or_default(),
        storage_type: location
            .storage_types
            .get(i)
            .copied()
            .unwrap_or(pb::StorageTypeProto::Disk as i32),
    };
    location.datanodes.iter().enumerate().map(target).collect()
}

/// What the DataNodes are to do with the block.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Stage {
    /// Begin a new replica.
    Create,
    /// Reopen a finalized replica under a new generation stamp.
    Append(Recovery),
    /// The same again, after a DataNode failed to: those that did not may have reopened it.
    AppendRecovery(Recovery),
    /// Go on with a replica under a new generation stamp; cut it to what everybody has.
    StreamingRecovery(Recovery),
    /// Finalize a complete replica under a new generation stamp.
    CloseRecovery(Recovery),
}

/// A recovery's parameters.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Recovery {
    pub(crate) generation_stamp: GenerationStamp,
    /// Bytes that every DataNode acknowledged.
    pub(crate) acked: u64,
    /// Bytes that some DataNode may have.
    pub(crate) sent: u64,
}

/// Everything that setting up needs.
#[derive(Debug)]
pub(crate) struct Setup<'a> {
    pub(crate) block: &'a ExtendedBlock,
    pub(crate) token: &'a TokenProto,
    pub(crate) targets: &'a [Target],
    pub(crate) client_name: &'a str,
    pub(crate) checksum: DataChecksum,
    pub(crate) stage: Stage,
    pub(crate) connect_timeout: Duration,
    pub(crate) timeout: Duration,
}

impl Setup<'_> {
    /// Connects to the first DataNode and waits until the whole pipeline stands.
    pub(crate) async fn run(&self) -> Result<Connection, Breakdown> {
        let first_is_bad = |reason| Breakdown { bad: 0, reason };
        let first = &self.targets[0].node;
        let mut connection = connections::connect(first, self.connect_timeout)
            .await
            .map_err(first_is_bad)?;
        let op = Op::Write(Box::new(self.request()));
        let answer = connections::ask(&mut connection, &op, self.timeout)
            .await
            .map_err(first_is_bad)?;
        if answer.status() == pb::Status::Success && answer.first_bad_link().is_empty() {
            return Ok(connection);
        }
        Err(self.blame(&answer))
    }

    fn blame(&self, answer: &pb::BlockOpResponseProto) -> Breakdown {
        let link = answer.first_bad_link();
        let bad = self
            .targets
            .iter()
            .position(|t| !link.is_empty() && t.node.xfer_address() == link);
        Breakdown {
            bad: bad.unwrap_or(0),
            reason: TransferError::Refused(format!("pipeline set-up: {:?} {}", answer.status(), answer.message())),
        }
    }

    fn request(&self) -> pb::OpWriteBlockProto {
        use pb::op_write_block_proto::BlockConstructionStage as Wire;
        let (stage, recovery) = match self.stage {
            Stage::Create => (Wire::PipelineSetupCreate, None),
            Stage::Append(recovery) => (Wire::PipelineSetupAppend, Some(recovery)),
            Stage::AppendRecovery(recovery) => (Wire::PipelineSetupAppendRecovery, Some(recovery)),
            Stage::StreamingRecovery(recovery) => (Wire::PipelineSetupStreamingRecovery, Some(recovery)),
            Stage::CloseRecovery(recovery) => (Wire::PipelineCloseRecovery, Some(recovery)),
        };
        let (first, rest) = (&self.targets[0], &self.targets[1..]);
        pb::OpWriteBlockProto {
            header: connections::operation_header(self.block, self.token, self.client_name),
            targets: rest.iter().map(|t| convert::datanode_to_proto(&t.node)).collect(),
            source: None,
            stage: stage as i32,
            pipeline_size: self.targets.len() as u32,
            min_bytes_rcvd: recovery.map_or(0, |r| r.acked),
            max_bytes_rcvd: recovery.map_or(0, |r| r.sent),
            latest_generation_stamp: recovery.map_or(0, |r| r.generation_stamp.0),
            requested_checksum: self.checksum.into(),
            storage_type: Some(first.storage_type),
            target_storage_types: rest.iter().map(|t| t.storage_type).collect(),
            storage_id: Some(first.storage_id.clone()),
            target_storage_ids: rest.iter().map(|t| t.storage_id.clone()).collect(),
            ..Default::default()
        }
    }
}
