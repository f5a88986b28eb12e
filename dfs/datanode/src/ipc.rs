//! The RPC port: `ClientDatanodeProtocol`, the few calls that clients make to a DataNode, and `InterDatanodeProtocol`, by which
//! another DataNode leads the recovery of a block.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use prost::Message;
use quarry_dfs_wire::block::{Block, BlockId, ExtendedBlock, GenerationStamp};
use quarry_dfs_wire::proto::dfs_v1::{
    InitReplicaRecoveryRequest, InitReplicaRecoveryResponse, UpdateReplicaUnderRecoveryRequest,
    UpdateReplicaUnderRecoveryResponse,
};
use quarry_dfs_wire::proto::hadoop::hdfs::{
    DatanodeLocalInfoProto, DatanodeVolumeInfoProto, GetBalancerBandwidthResponseProto, GetDatanodeInfoResponseProto,
    GetReplicaVisibleLengthRequestProto, GetReplicaVisibleLengthResponseProto, GetVolumeReportResponseProto,
    StorageTypeProto, TriggerBlockReportRequestProto, TriggerBlockReportResponseProto,
};
use quarry_dfs_wire::rpc::exception::class;
use quarry_dfs_wire::rpc::{
    CLIENT_DATANODE_PROTOCOL, CallContext, INTER_DATANODE_PROTOCOL, RpcException, RpcService, decode,
};

use crate::error::Error;
use crate::node::Node;
use crate::recovery::participant::{self, Update};
use crate::recovery::peer;
use crate::replica::{self, ReplicaError};
use crate::storage::volume::Volume;

/// What Java's DataNode throws for blocks that it does not have.
const REPLICA_NOT_FOUND: &str = "org.apache.hadoop.hdfs.server.datanode.ReplicaNotFoundException";

/// The service behind the RPC port.
#[derive(Debug)]
pub(crate) struct Ipc {
    node: Arc<Node>,
}

impl Ipc {
    /// Answers for this DataNode.
    pub(crate) fn new(node: Arc<Node>) -> Self {
        Self { node }
    }

    /// Bytes that every reader may count on, whichever DataNode of the pipeline it asks.
    fn visible_length(&self, request: &GetReplicaVisibleLengthRequestProto) -> Result<u64, RpcException> {
        let block = ExtendedBlock::try_from(&request.block)?;
        let length = self.node.check_pool(&block.pool).and_then(|()| {
            let seen = self.node.dataset.replica(block.block.id)?;
            replica::check_readable(&seen, block.block.generation_stamp)?;
            Ok(seen.acked)
        });
        length.map_err(exception)
    }

    fn info(&self) -> GetDatanodeInfoResponseProto {
        GetDatanodeInfoResponseProto {
            local_info: DatanodeLocalInfoProto {
                software_version: env!("CARGO_PKG_VERSION").to_owned(),
                config_version: "core-default.xml,hdfs-default.xml".to_owned(),
                uptime: self.node.started.elapsed().as_secs(),
            },
        }
    }

    async fn volume_report(&self) -> GetVolumeReportResponseProto {
        let node = Arc::clone(&self.node);
        let one = move |(index, volume): (usize, &Arc<Volume>)| {
            let room = volume.room();
            DatanodeVolumeInfoProto {
                path: volume.dir().display().to_string(),
                storage_type: StorageTypeProto::Disk.into(),
                used_space: room.used,
                free_space: room.remaining,
                reserved_space: node.config.reserved.as_u64(),
                reserved_space_for_replicas: 0,
                num_blocks: node.dataset.replicas_of(index).len() as u64,
            }
        };
        let volumes = self.node.dataset.volumes().to_vec();
        let volume_info = Node::blocking(move || volumes.iter().enumerate().map(one).collect()).await;
        GetVolumeReportResponseProto { volume_info }
    }

    async fn init_recovery(
        &self,
        request: InitReplicaRecoveryRequest,
    ) -> Result<InitReplicaRecoveryResponse, RpcException> {
        self.node.check_pool(&request.pool_id).map_err(exception)?;
        let block = request
            .block
            .as_ref()
            .ok_or_else(|| RpcException::illegal_argument("no block"))?;
        let recovery = GenerationStamp(request.recovery_id);
        let found = participant::init(&self.node, Block::try_from(block)?, recovery).await;
        Ok(InitReplicaRecoveryResponse {
            replica: found.map_err(exception)?.as_ref().map(peer::to_message),
        })
    }

    async fn update_recovery(
        &self,
        request: UpdateReplicaUnderRecoveryRequest,
    ) -> Result<UpdateReplicaUnderRecoveryResponse, RpcException> {
        self.node.check_pool(&request.pool_id).map_err(exception)?;
        let update = Update {
            id: BlockId(request.block_id),
            recovery: GenerationStamp(request.recovery_id),
            length: request.new_length,
            copy_to: (request.new_block_id != 0).then_some(BlockId(request.new_block_id)),
        };
        let done = participant::update(&self.node, update).await.map_err(exception)?;
        Ok(UpdateReplicaUnderRecoveryResponse {
            storage_id: done.storage_id,
        })
    }
}

/// Java's classes: readers and leaders of recoveries go by them.
fn exception(error: Error) -> RpcException {
    let name = match &error {
        Error::Replica(ReplicaError::Superseded { .. }) => class::RECOVERY_IN_PROGRESS,
        Error::Replica(_) => REPLICA_NOT_FOUND,
        _ => class::IO,
    };
    RpcException::application(name, error.to_string())
}

#[async_trait]
impl RpcService for Ipc {
    fn protocols(&self) -> &[&'static str] {
        &[CLIENT_DATANODE_PROTOCOL, INTER_DATANODE_PROTOCOL]
    }

    async fn call(&self, context: CallContext, request: Bytes) -> Result<Bytes, RpcException> {
        let answer = match (context.protocol.as_str(), context.method.as_str()) {
            (CLIENT_DATANODE_PROTOCOL, "getReplicaVisibleLength") => {
                let length = self.visible_length(&decode(&context, request)?)?;
                GetReplicaVisibleLengthResponseProto { length }.encode_to_vec()
            }
            (CLIENT_DATANODE_PROTOCOL, "getDatanodeInfo") => self.info().encode_to_vec(),
            (CLIENT_DATANODE_PROTOCOL, "getVolumeReport") => self.volume_report().await.encode_to_vec(),
            (CLIENT_DATANODE_PROTOCOL, "triggerBlockReport") => {
                let request: TriggerBlockReportRequestProto = decode(&context, request)?;
                // Changes are always on their way at once: there is nothing to hurry.
                if !request.incremental {
                    self.node.full_report_wanted.notify_one();
                }
                TriggerBlockReportResponseProto {}.encode_to_vec()
            }
            (CLIENT_DATANODE_PROTOCOL, "getBalancerBandwidth") => {
                let bandwidth = self.node.balancing.bytes_per_second();
                GetBalancerBandwidthResponseProto { bandwidth }.encode_to_vec()
            }
            (INTER_DATANODE_PROTOCOL, "initReplicaRecovery") => {
                self.init_recovery(decode(&context, request)?).await?.encode_to_vec()
            }
            (INTER_DATANODE_PROTOCOL, "updateReplicaUnderRecovery") => {
                self.update_recovery(decode(&context, request)?).await?.encode_to_vec()
            }
            (protocol, method) => return Err(RpcException::no_such_method(method, protocol)),
        };
        Ok(answer.into())
    }
}
