//! How much of a file that is being written a reader may see: the bytes that a whole pipeline has acknowledged. Only the
//! DataNodes of its last block know.

use std::sync::Arc;
use std::time::{Duration, Instant};

use quarry_dfs_wire::proto::hadoop::hdfs as pb;
use quarry_dfs_wire::rpc::{CLIENT_DATANODE_PROTOCOL, RpcClient, RpcClientError, RpcClientOptions};

use crate::error::{Error, Failures, ReplicaFailure, Result, TransferError};
use crate::location::{BlockLocation, DataNodeInfo, FileBlocks};
use crate::shared::Shared;

/// Pauses before the NameNode is asked again: a writer may just have rebuilt its pipeline, or its DataNodes may still be
/// reporting to a NameNode that restarted.
const PAUSES: [Duration; 5] = [
    Duration::from_millis(50),
    Duration::from_millis(200),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
];

/// Pause before the NameNode is asked again who holds a block.
const HOLDERS_PAUSE: Duration = Duration::from_millis(200);

impl Shared {
    /// The blocks of a file; of one that is being written, with what a reader may see of the last.
    pub(crate) async fn file_blocks(&self, path: &str) -> Result<FileBlocks> {
        let mut pauses = PAUSES.iter();
        loop {
            let mut file = self.namenode.block_locations(path).await?;
            let Some(last) = file.unfinished.take() else {
                return Ok(file);
            };
            let failures = match self.visible_length(&last).await {
                Ok(length) => {
                    file.extend(last, length);
                    return Ok(file);
                }
                Err(failures) => failures,
            };
            let Some(pause) = pauses.next() else {
                return Err(Error::BlockUnavailable {
                    path: path.to_owned(),
                    block: last.block.block.to_string(),
                    failures: Failures(failures),
                });
            };
            tokio::time::sleep(*pause).await;
        }
    }

    /// The last block of a file that was just reopened, once the NameNode knows who holds it: after its start, or the loss of a
    /// DataNode, that may take a moment.
    pub(crate) async fn with_holders(&self, path: &str, mut last: BlockLocation) -> Result<BlockLocation> {
        let deadline = Instant::now() + self.config.datanode_timeout;
        while last.datanodes.is_empty() && Instant::now() < deadline {
            tokio::time::sleep(HOLDERS_PAUSE).await;
            let now = self.namenode.block_locations(path).await?.unfinished;
            let same = now.filter(|now| now.block.block.id == last.block.block.id);
            if let Some(same) = same {
                last.datanodes = same.datanodes;
                last.storage_ids = same.storage_ids;
                last.storage_types = same.storage_types;
            }
        }
        Ok(last)
    }

    /// Asks one DataNode after the other. A block that none of them has begun has no bytes yet.
    async fn visible_length(&self, last: &BlockLocation) -> Result<u64, Vec<ReplicaFailure>> {
        let mut failures = Vec::new();
        let mut absent = 0;
        for node in &last.datanodes {
            match self.ask_visible_length(last, node).await {
                Ok(Some(length)) => return Ok(length),
                Ok(None) => absent += 1,
                Err(reason) => failures.push(ReplicaFailure {
                    datanode: node.label(),
                    reason,
                }),
            }
        }
        if failures.is_empty() && absent > 0 {
            return Ok(0);
        }
        Err(failures)
    }

    async fn ask_visible_length(
        &self,
        last: &BlockLocation,
        node: &Arc<DataNodeInfo>,
    ) -> Result<Option<u64>, TransferError> {
        let options = RpcClientOptions {
            connect_timeout: self.config.connect_timeout,
            call_timeout: self.config.datanode_timeout,
            ..RpcClientOptions::default()
        };
        let address = format!("{}:{}", node.ip, node.ipc_port);
        let client = RpcClient::new(address, self.config.user.clone(), CLIENT_DATANODE_PROTOCOL, options);
        let request = pb::GetReplicaVisibleLengthRequestProto {
            block: (&last.block).into(),
        };
        let answer: Result<pb::GetReplicaVisibleLengthResponseProto, _> =
            client.call("getReplicaVisibleLength", &request).await;
        match answer {
            Ok(answer) => Ok(Some(answer.length)),
            Err(RpcClientError::Exception(e)) if e.simple_class() == "ReplicaNotFoundException" => Ok(None),
            Err(RpcClientError::Exception(e)) => Err(TransferError::Refused(e.to_string())),
            Err(RpcClientError::Connect { source, .. }) => Err(TransferError::Connect(source)),
            Err(RpcClientError::Timeout { after, .. }) => Err(TransferError::Silent(after)),
            Err(other) => Err(TransferError::Protocol(other.to_string())),
        }
    }
}
