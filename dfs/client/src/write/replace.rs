//! Bringing another DataNode into a pipeline that has lost some, so that what was promised keeps its replicas.

use std::sync::Arc;

use quarry_dfs_wire::proto::hadoop::hdfs as pb;
use quarry_dfs_wire::transfer::op::Op;
use serde::{Deserialize, Serialize};

use super::block::BlockWriter;
use super::pipeline::{Target, targets_of};
use crate::connections;
use crate::convert;
use crate::error::{Error, ReplicaFailure, Result, TransferError};
use crate::location::BlockLocation;

/// DataNodes tried before the pipeline goes on without another.
const MAX_TRIES: usize = 3;

/// Whether a pipeline that has lost a DataNode gets another: HDFS's `dfs.client.block.write.replace-datanode-on-failure`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum ReplaceDataNode {
    /// For files of three replicas and more: when half of them or fewer are left, or bytes of the block were promised
    /// to somebody (it was flushed or is appended to).
    #[default]
    Default,
    /// Whenever one is lost.
    Always,
    /// Never; the NameNode restores the replication once the file is closed.
    Never,
}

impl ReplaceDataNode {
    /// Whether a block of a file with `replication`, of which `left` DataNodes are left, needs another.
    fn wants(self, replication: usize, left: usize, promised: bool) -> bool {
        if left == 0 || left >= replication {
            return false;
        }
        match self {
            Self::Never => false,
            Self::Always => true,
            Self::Default => replication >= 3 && (left <= replication / 2 || promised),
        }
    }
}

/// Brings another DataNode into the pipeline if the policy wants one.
///
/// # Errors
/// Only if none could be had and the client is told to insist.
pub(super) async fn restore(writer: &mut BlockWriter) -> Result<()> {
    let config = &writer.shared.config;
    let (policy, best_effort) = (config.replace_datanode, config.replace_best_effort);
    let replication = usize::from(writer.file.replication);
    // One at a time, as HDFS does: the next breakdown or round brings the next.
    if !policy.wants(replication, writer.targets.len(), writer.promised) {
        return Ok(());
    }
    match add_datanode(writer).await {
        Ok(()) => Ok(()),
        Err(error) if best_effort => {
            tracing::warn!(path = writer.file.path, block = %writer.block, %error, left = writer.targets.len(), "write goes on with fewer DataNodes");
            Ok(())
        }
        Err(error) => Err(error),
    }
}

async fn add_datanode(writer: &mut BlockWriter) -> Result<()> {
    let mut failures = Vec::new();
    for attempt in 0..MAX_TRIES {
        let Some((target, location)) = ask_for_one(writer).await? else {
            break;
        };
        let source = writer.targets[attempt % writer.targets.len()].clone();
        match transfer(writer, &source, &target, &location).await {
            Ok(()) => {
                tracing::info!(path = writer.file.path, block = %writer.block, datanode = target.node.label(), "another DataNode joins the write pipeline");
                writer.targets.push(target);
                return Ok(());
            }
            Err(reason) => {
                tracing::warn!(block = %writer.block, source = source.node.label(), target = target.node.label(), %reason, "cannot copy the block to another DataNode");
                failures.push(format!("{}: {reason}", target.node.label()));
                let failure = ReplicaFailure {
                    datanode: target.node.label(),
                    reason,
                };
                writer.note_failure(target.node, failure);
            }
        }
    }
    let problem = "Failed to replace a bad datanode on the existing pipeline due to no more good datanodes being available to try.";
    let message = [problem.to_owned()]
        .into_iter()
        .chain(failures)
        .collect::<Vec<_>>()
        .join(" ");
    Err(Error::NoDataNodes {
        path: writer.file.path.clone(),
        message,
    })
}

/// A DataNode that is not in the pipeline yet, with the location whose token it takes.
async fn ask_for_one(writer: &BlockWriter) -> Result<Option<(Target, BlockLocation)>> {
    let (nodes, storage_ids) = writer.members();
    let namenode = &writer.shared.namenode;
    let answer = namenode
        .additional_datanode(&writer.file, &writer.block, (&nodes, &storage_ids), writer.lost())
        .await;
    let location = match answer {
        Ok(location) => location,
        // HDFS's way to say that there is no other.
        Err(Error::NameNode { .. }) => return Ok(None),
        Err(error) => return Err(error),
    };
    let is_new = |target: &Target| {
        let known = |node: &Arc<crate::location::DataNodeInfo>| node.uuid == target.node.uuid;
        !nodes.iter().any(known) && !writer.lost().iter().any(known)
    };
    Ok(targets_of(&location)
        .into_iter()
        .find(is_new)
        .map(|target| (target, location)))
}

/// Has `source` bring `target` up to what was acknowledged.
async fn transfer(
    writer: &BlockWriter,
    source: &Target,
    target: &Target,
    location: &BlockLocation,
) -> Result<(), TransferError> {
    let config = &writer.shared.config;
    let mut connection = connections::connect(&source.node, config.connect_timeout).await?;
    let client_name = writer.shared.namenode.client_name();
    let op = Op::Transfer(Box::new(pb::OpTransferBlockProto {
        header: connections::operation_header(&writer.block, &location.token, client_name),
        targets: vec![convert::datanode_to_proto(&target.node)],
        target_storage_types: vec![target.storage_type],
        target_storage_ids: vec![target.storage_id.clone()],
    }));
    // The answer comes when the whole block is there.
    let answer = connections::ask(
        &mut connection,
        &op,
        config.transfer_patience(writer.block.block.length),
    )
    .await?;
    match answer.status() {
        pb::Status::Success => Ok(()),
        status => Err(TransferError::Refused(format!("{status:?} {}", answer.message()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_policy_is_hdfs_s() {
        let wants = |replication, left, promised| ReplaceDataNode::Default.wants(replication, left, promised);
        assert!(!wants(3, 3, true), "nothing was lost");
        assert!(!wants(3, 2, false), "more than half are left");
        assert!(wants(3, 2, true), "promised bytes");
        assert!(wants(3, 1, false), "half or fewer");
        assert!(!wants(2, 1, true), "two replicas are never restored on the way");
        assert!(!wants(3, 0, true), "nobody could copy");
        assert!(ReplaceDataNode::Always.wants(2, 1, false));
        assert!(!ReplaceDataNode::Never.wants(3, 1, true));
    }
}
