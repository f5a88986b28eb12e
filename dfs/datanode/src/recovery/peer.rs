//! Another holder of a block under recovery, as the leader sees it.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use prost::Message;
use quarry_dfs_wire::block::{Block, BlockId, GenerationStamp};
use quarry_dfs_wire::proto::dfs_v1::{
    InitReplicaRecoveryRequest, InitReplicaRecoveryResponse, ReplicaRecoveryInfo, Target,
    UpdateReplicaUnderRecoveryRequest, UpdateReplicaUnderRecoveryResponse,
};
use quarry_dfs_wire::rpc::{INTER_DATANODE_PROTOCOL, RpcClient, RpcClientOptions};

use super::participant::{self, Update};
use crate::node::Node;
use crate::replica::{Replica, ReplicaState};
use crate::reports;

/// How long another holder may take to stop its writer and answer. The NameNode starts over after 10 s: a holder that is cut off must
/// leave the others time.
const INIT_TIMEOUT: Duration = Duration::from_secs(4);
/// How long it may take to cut and fsync its replica. When the NameNode starts over meanwhile, the next attempt finds it done.
const UPDATE_TIMEOUT: Duration = Duration::from_secs(30);

/// A holder, reached directly or by RPC.
#[derive(Debug)]
pub(crate) enum Peer {
    /// This DataNode.
    Own,
    /// Another.
    Remote(RpcClient),
    /// One whose address makes no sense.
    Unreachable,
}

impl Peer {
    /// The holder at a target.
    pub(crate) fn new(node: &Node, target: &Target) -> Self {
        if target.datanode_uuid == node.uuid {
            return Self::Own;
        }
        let (Ok(ip), Ok(port)) = (target.ip.parse::<IpAddr>(), u16::try_from(target.ipc_port)) else {
            return Self::Unreachable;
        };
        let options = RpcClientOptions {
            connect_timeout: node.config.connect_timeout.min(INIT_TIMEOUT),
            ..RpcClientOptions::default()
        };
        let address = SocketAddr::new(ip, port).to_string();
        Self::Remote(RpcClient::new(address, "quarry", INTER_DATANODE_PROTOCOL, options))
    }

    /// First step; see [`participant::init`].
    pub(crate) async fn init(
        &self,
        node: &Arc<Node>,
        block: Block,
        recovery: GenerationStamp,
    ) -> Result<Option<Replica>, String> {
        if matches!(self, Self::Own) {
            let own = participant::init(node, block, recovery).await;
            return own.map_err(|error| error.to_string());
        }
        let request = InitReplicaRecoveryRequest {
            pool_id: pool(node)?,
            block: Some(block.into()),
            recovery_id: recovery.0,
        };
        let answer: InitReplicaRecoveryResponse = self.call("initReplicaRecovery", &request, INIT_TIMEOUT).await?;
        answer.replica.map(|info| from_message(&info)).transpose()
    }

    /// Second step; see [`participant::update`]. Answers the storage that holds the result.
    pub(crate) async fn update(&self, node: &Arc<Node>, update: Update) -> Result<String, String> {
        if matches!(self, Self::Own) {
            let own = participant::update(node, update).await;
            return own.map(|done| done.storage_id).map_err(|error| error.to_string());
        }
        let request = UpdateReplicaUnderRecoveryRequest {
            pool_id: pool(node)?,
            block_id: update.id.0,
            recovery_id: update.recovery.0,
            new_length: update.length,
            new_block_id: update.copy_to.map_or(0, |id| id.0),
        };
        let call = self.call("updateReplicaUnderRecovery", &request, UPDATE_TIMEOUT);
        let answer: UpdateReplicaUnderRecoveryResponse = call.await?;
        Ok(answer.storage_id)
    }

    async fn call<M: Message, R: Message + Default>(
        &self,
        method: &str,
        request: &M,
        timeout: Duration,
    ) -> Result<R, String> {
        let Self::Remote(client) = self else {
            return Err("its address is not an ip and a port".to_owned());
        };
        match tokio::time::timeout(timeout, client.call(method, request)).await {
            Ok(answer) => answer.map_err(|error| error.to_string()),
            Err(_) => Err(format!("no answer to {method} within {timeout:?}")),
        }
    }
}

fn pool(node: &Node) -> Result<String, String> {
    let membership = node.membership().ok_or("this DataNode belongs to no cluster yet")?;
    Ok(membership.pool.to_string())
}

/// What a replica is in a message.
pub(crate) fn to_message(replica: &Replica) -> ReplicaRecoveryInfo {
    ReplicaRecoveryInfo {
        replica: Some(reports::replica_message(&replica.block(), replica.state)),
        acked: replica.acked,
    }
}

fn from_message(info: &ReplicaRecoveryInfo) -> Result<Replica, String> {
    use quarry_dfs_wire::proto::dfs_v1::ReplicaState as Wire;
    let told = info.replica.as_ref().ok_or("its answer names no replica")?;
    let state = match told.state() {
        Wire::Finalized => ReplicaState::Finalized,
        Wire::Rbw => ReplicaState::Rbw,
        Wire::Rwr => ReplicaState::Rwr,
        Wire::Unspecified => return Err("its replica has no state".to_owned()),
    };
    Ok(Replica {
        id: BlockId(told.block_id),
        generation_stamp: GenerationStamp(told.generation_stamp),
        state,
        received: told.length,
        on_disk: told.length,
        acked: info.acked.min(told.length),
    })
}
