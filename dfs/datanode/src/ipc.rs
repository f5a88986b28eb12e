//! `ClientDatanodeProtocol`: the few calls that clients make to a DataNode's RPC port.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use prost::Message;
use quarry_dfs_wire::block::ExtendedBlock;
use quarry_dfs_wire::proto::hadoop::hdfs::{GetReplicaVisibleLengthRequestProto, GetReplicaVisibleLengthResponseProto};
use quarry_dfs_wire::rpc::{CLIENT_DATANODE_PROTOCOL, CallContext, RpcException, RpcService, decode};

use crate::error::Error;
use crate::node::Node;
use crate::replica;

/// Java's class for anything that went wrong; readers then try another DataNode.
const IO_EXCEPTION: &str = "java.io.IOException";
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
        length.map_err(|error| match error {
            Error::Replica(error) => RpcException::application(REPLICA_NOT_FOUND, error.to_string()),
            error => RpcException::application(IO_EXCEPTION, error.to_string()),
        })
    }
}

#[async_trait]
impl RpcService for Ipc {
    fn protocols(&self) -> &[&'static str] {
        &[CLIENT_DATANODE_PROTOCOL]
    }

    async fn call(&self, context: CallContext, request: Bytes) -> Result<Bytes, RpcException> {
        match context.method.as_str() {
            "getReplicaVisibleLength" => {
                let length = self.visible_length(&decode(&context, request)?)?;
                Ok(GetReplicaVisibleLengthResponseProto { length }.encode_to_vec().into())
            }
            other => Err(RpcException::no_such_method(other, &context.protocol)),
        }
    }
}
