//! WRITE: setting up this DataNode's part of a pipeline.
//!
//! 1. the replica is created, or taken from its previous writer, as the stage says
//! 2. the next DataNode is connected and sets up the rest
//! 3. the writer is told that all stand ready, or which node does not
//! 4. the packets flow: [`super::pipeline`]
//!
//! A copy from another DataNode (no client name) goes without the replies of steps 2 and 3 and without acks; so does a
//! transfer for a pipeline that gets a new node, except for one reply at its end.

use std::sync::Arc;

use quarry_dfs_wire::block::{Block, ExtendedBlock, GenerationStamp};
use quarry_dfs_wire::checksum::DataChecksum;
use quarry_dfs_wire::proto::hadoop::hdfs::op_write_block_proto::BlockConstructionStage;
use quarry_dfs_wire::proto::hadoop::hdfs::{BlockOpResponseProto, OpWriteBlockProto, Status};

use super::connection::{Connection, Next, refuse_with};
use super::error::TransferError;
use super::mirror;
use super::pipeline::{self, Finish, Pipeline};
use crate::error::Error;
use crate::node::Node;
use crate::replica::{Claim, ReplicaState};
use crate::storage::{Reopen, ReplicaWriter};

/// Who writes, and so which parts of the conversation there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WriterKind {
    /// A client: set-up reply, acks.
    Client,
    /// A DataNode on behalf of a client's pipeline: one reply at the end.
    Transfer,
    /// A DataNode on behalf of the NameNode: no replies.
    Copy,
}

/// A checked WRITE request.
#[derive(Debug)]
struct Setup {
    block: ExtendedBlock,
    stage: BlockConstructionStage,
    kind: WriterKind,
    checksum: DataChecksum,
    claim: Claim,
    request: OpWriteBlockProto,
}

impl Setup {
    fn new(node: &Node, request: OpWriteBlockProto) -> Result<Self, TransferError> {
        let block = ExtendedBlock::try_from(&request.header.base_header.block)?;
        node.check_pool(&block.pool)?;
        let stage = request.stage();
        let kind = match stage {
            _ if request.header.client_name.is_empty() => WriterKind::Copy,
            BlockConstructionStage::TransferRbw | BlockConstructionStage::TransferFinalized => WriterKind::Transfer,
            _ => WriterKind::Client,
        };
        if kind == WriterKind::Transfer && !request.targets.is_empty() {
            return Err(TransferError::Request("a transfer has one target only".to_owned()));
        }
        let stamp = block.block.generation_stamp;
        let claim = Claim {
            generation_stamp: stamp,
            // 0 or an old value means: unchanged.
            new_generation_stamp: GenerationStamp(request.latest_generation_stamp).max(stamp),
            min_bytes: request.min_bytes_rcvd,
            max_bytes: request.max_bytes_rcvd,
        };
        let checksum = DataChecksum::try_from(&request.requested_checksum)?;
        Ok(Self {
            block,
            stage,
            kind,
            checksum,
            claim,
            request,
        })
    }

    fn is_new(&self) -> bool {
        self.kind == WriterKind::Client && self.stage == BlockConstructionStage::PipelineSetupCreate
    }

    /// What becomes of the replica when the last packet is in.
    fn finish(&self) -> Finish {
        match (self.kind, self.stage) {
            (WriterKind::Transfer, BlockConstructionStage::TransferRbw) => Finish::ConvertToRbw,
            _ => Finish::Finalize,
        }
    }
}

/// Serves one WRITE.
pub(crate) async fn write(
    node: &Arc<Node>,
    connection: &mut Connection,
    request: OpWriteBlockProto,
) -> Result<Next, TransferError> {
    let setup = match Setup::new(node, request) {
        Ok(setup) => setup,
        Err(error) => return refuse_setup(node, connection, error).await,
    };
    if setup.stage == BlockConstructionStage::PipelineCloseRecovery && setup.kind == WriterKind::Client {
        return match recover_close(node, &setup).await {
            Ok(()) => reply_ready(node, connection).await.map(|()| Next::Close),
            Err(error) => refuse_setup(node, connection, error).await,
        };
    }
    let writer = match take_replica(node, &setup).await {
        Ok(writer) => writer,
        Err(error) => return refuse_setup(node, connection, error).await,
    };
    let mirror = match open_mirror(node, &setup).await {
        Ok(mirror) => mirror,
        Err(error) => {
            abandon(node, &setup, writer).await;
            return refuse_setup(node, connection, error).await;
        }
    };
    if setup.kind == WriterKind::Client {
        node.report_receiving(setup.block.block.id);
        reply_ready(node, connection).await?;
    }
    let pipeline = Pipeline {
        kind: setup.kind,
        finish: setup.finish(),
        checksum: setup.checksum,
        mirror,
        mirror_timeout: node.config.pipeline_timeout(setup.request.targets.len()),
        takes_over: None,
    };
    pipeline::run(node, connection, writer, pipeline).await
}

/// Gets the right to write the replica, as the stage says.
async fn take_replica(node: &Arc<Node>, setup: &Setup) -> Result<ReplicaWriter, TransferError> {
    let Block {
        id, generation_stamp, ..
    } = setup.block.block;
    let purpose = match (setup.kind, setup.stage) {
        (WriterKind::Copy | WriterKind::Transfer, _) => {
            return create(node, setup, id, generation_stamp, ReplicaState::Temporary).await;
        }
        (_, BlockConstructionStage::PipelineSetupCreate) => {
            return create(node, setup, id, generation_stamp, ReplicaState::Rbw).await;
        }
        (_, BlockConstructionStage::PipelineSetupAppend) => Reopen::Append,
        (_, BlockConstructionStage::PipelineSetupAppendRecovery | BlockConstructionStage::PipelineCloseRecovery) => {
            Reopen::AppendRecovery
        }
        (_, BlockConstructionStage::PipelineSetupStreamingRecovery) => Reopen::StreamingRecovery,
        (_, stage) => {
            let text = format!("stage {} is no stage to set up a pipeline in", stage.as_str_name());
            return Err(TransferError::Request(text));
        }
    };
    if purpose != Reopen::Append {
        node.dataset.stop_writer(id, node.config.stop_writer_timeout).await?;
    }
    let (dataset, claim) = (Arc::clone(&node.dataset), setup.claim);
    Ok(Node::blocking(move || dataset.reopen(id, &claim, purpose)).await?)
}

async fn create(
    node: &Arc<Node>,
    setup: &Setup,
    id: quarry_dfs_wire::block::BlockId,
    stamp: GenerationStamp,
    state: ReplicaState,
) -> Result<ReplicaWriter, TransferError> {
    let (dataset, checksum) = (Arc::clone(&node.dataset), setup.checksum);
    // HDFS's clients put the block size here, copies the length.
    let expected = setup.block.block.length;
    Ok(Node::blocking(move || dataset.create(id, stamp, state, checksum, expected)).await?)
}

/// CLOSE_RECOVERY: no packets follow. The replica gets its new stamp, is finalized and reported; then the rest of the
/// pipeline does the same, and the reply says that all have.
async fn recover_close(node: &Arc<Node>, setup: &Setup) -> Result<(), TransferError> {
    let writer = take_replica(node, setup).await?;
    let dataset = Arc::clone(&node.dataset);
    let finalized = Node::blocking(move || dataset.finalize(writer)).await?;
    node.report_finalized_and_wait(&finalized).await?;
    open_mirror(node, setup).await?;
    Ok(())
}

/// The next node of the pipeline. A copy goes on without it: the NameNode notices which copies are missing.
async fn open_mirror(node: &Arc<Node>, setup: &Setup) -> Result<Option<Connection>, TransferError> {
    if setup.request.targets.is_empty() {
        return Ok(None);
    }
    match mirror::open(node, &setup.request, setup.kind == WriterKind::Client).await {
        Ok(mirror) => Ok(Some(mirror)),
        Err(error) if setup.kind == WriterKind::Copy => {
            tracing::warn!(block = %setup.block, %error, "copy goes on without its next target");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// A block that was just created and whose pipeline failed is never written: its writer asks for another.
async fn abandon(node: &Arc<Node>, setup: &Setup, writer: ReplicaWriter) {
    let (dataset, new) = (Arc::clone(&node.dataset), setup.is_new());
    Node::blocking(move || {
        if new {
            dataset.discard(writer.open());
        }
    })
    .await;
}

async fn reply_ready(node: &Node, connection: &mut Connection) -> Result<(), TransferError> {
    let reply = BlockOpResponseProto {
        status: Status::Success.into(),
        first_bad_link: Some(String::new()),
        ..BlockOpResponseProto::default()
    };
    connection.send(&reply, node.config.handshake_timeout).await
}

/// Tells the writer which node could not set up its part. Copies get no reply: nobody reads it.
async fn refuse_setup(node: &Node, connection: &mut Connection, error: TransferError) -> Result<Next, TransferError> {
    tracing::info!(peer = %connection.peer, %error, "write was not set up");
    if let TransferError::Refused(refused) = &error {
        node.doubt_disks(refused);
    }
    let bad_link = match &error {
        TransferError::Mirror { node, .. } => node.clone(),
        TransferError::Refused(Error::WrongPool { .. }) => return refuse_with(node, connection, error).await,
        _ => node.transfer_address(),
    };
    let reply = BlockOpResponseProto {
        status: error.status().into(),
        first_bad_link: Some(bad_link),
        message: Some(error.to_string()),
        ..BlockOpResponseProto::default()
    };
    connection.send(&reply, node.config.handshake_timeout).await?;
    Ok(Next::Close)
}
