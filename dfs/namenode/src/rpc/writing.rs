//! Methods of writers.

use quarry_dfs_wire::proto::hadoop::hdfs::{self as proto, CreateFlagProto, DatanodeInfoProto, ExtendedBlockProto};
use quarry_dfs_wire::rpc::RpcException;

use super::paths::new_path;
use super::tree::{modes, replicas};
use super::{Answer, Call, convert, path, unexpected};
use crate::core::command::{CreateArguments, Operation, Reply, WriterBlock};

/// Longest name of a client. Stock clients use some 50 bytes.
const MAX_HOLDER: usize = 1024;

fn holder(name: String) -> Answer<String> {
    if name.is_empty() || name.len() > MAX_HOLDER {
        return Err(RpcException::illegal_argument(format!(
            "client name: expected 1 to {MAX_HOLDER} bytes, found {}",
            name.len()
        )));
    }
    Ok(name)
}

fn writer_block(
    call: &Call<'_>,
    src: &str,
    inode_id: u64,
    client: String,
    block: Option<&ExtendedBlockProto>,
) -> Answer<WriterBlock> {
    let block = block.map(|named| convert::block(call.pool(), named)).transpose()?;
    Ok(WriterBlock {
        path: path(src)?,
        inode_id,
        holder: holder(client)?,
        block,
    })
}

fn uuids(nodes: Vec<DatanodeInfoProto>) -> Vec<String> {
    nodes.into_iter().map(|node| node.id.datanode_uuid).collect()
}

async fn run_block(call: &Call<'_>, operation: Operation) -> Answer<proto::LocatedBlockProto> {
    match call.run(operation).await? {
        Reply::Block(block) => Ok(convert::located_block(call.pool(), *block)),
        other => Err(unexpected(&other)),
    }
}

pub(super) async fn create(call: &Call<'_>, request: proto::CreateRequestProto) -> Answer<proto::CreateResponseProto> {
    let has = |flag: CreateFlagProto| request.create_flag & flag as u32 != 0;
    if request.ec_policy_name.as_deref().is_some_and(|name| !name.is_empty()) {
        return Err(RpcException::unsupported("erasure coding is not supported"));
    }
    let arguments = CreateArguments {
        path: new_path("create", &request.src)?,
        permission: modes(&request.masked, request.unmasked.as_ref()),
        holder: holder(request.client_name.clone())?,
        create: has(CreateFlagProto::Create),
        overwrite: has(CreateFlagProto::Overwrite),
        create_parent: request.create_parent,
        replication: replicas(request.replication),
        block_size: request.block_size,
        storage_policy: request.storage_policy.clone().unwrap_or_default(),
        lazy_persist: has(CreateFlagProto::LazyPersist),
    };
    match call.run(Operation::Create(arguments)).await? {
        Reply::Status(Some(status)) => Ok(proto::CreateResponseProto {
            fs: Some(convert::file_status(call.pool(), *status)),
        }),
        other => Err(unexpected(&other)),
    }
}

pub(super) async fn append(call: &Call<'_>, request: proto::AppendRequestProto) -> Answer<proto::AppendResponseProto> {
    let new_block = request.flag() & CreateFlagProto::NewBlock as u32 != 0;
    let operation = Operation::Append {
        path: path(&request.src)?,
        holder: holder(request.client_name)?,
        new_block,
    };
    match call.run(operation).await? {
        Reply::Appended(status, block) => Ok(proto::AppendResponseProto {
            block: block.map(|block| convert::located_block(call.pool(), *block)),
            stat: Some(convert::file_status(call.pool(), *status)),
        }),
        other => Err(unexpected(&other)),
    }
}

pub(super) async fn add_block(
    call: &Call<'_>,
    request: proto::AddBlockRequestProto,
) -> Answer<proto::AddBlockResponseProto> {
    let inode_id = request.file_id();
    let at = writer_block(
        call,
        &request.src,
        inode_id,
        request.client_name,
        request.previous.as_ref(),
    )?;
    let operation = Operation::AddBlock {
        at,
        excluded: uuids(request.exclude_nodes),
        favored: request.favored_nodes,
    };
    Ok(proto::AddBlockResponseProto {
        block: run_block(call, operation).await?,
    })
}

pub(super) async fn abandon_block(
    call: &Call<'_>,
    request: proto::AbandonBlockRequestProto,
) -> Answer<proto::AbandonBlockResponseProto> {
    let inode_id = request.file_id();
    let at = writer_block(call, &request.src, inode_id, request.holder, Some(&request.b))?;
    call.run(Operation::AbandonBlock { at }).await?;
    Ok(proto::AbandonBlockResponseProto {})
}

pub(super) async fn complete(
    call: &Call<'_>,
    request: proto::CompleteRequestProto,
) -> Answer<proto::CompleteResponseProto> {
    let inode_id = request.file_id();
    let at = writer_block(call, &request.src, inode_id, request.client_name, request.last.as_ref())?;
    Ok(proto::CompleteResponseProto {
        result: call.run_bool(Operation::Complete { at }).await?,
    })
}

pub(super) async fn fsync(call: &Call<'_>, request: proto::FsyncRequestProto) -> Answer<proto::FsyncResponseProto> {
    let inode_id = request.file_id();
    let last_block_length = u64::try_from(request.last_block_length()).ok();
    let at = writer_block(call, &request.src, inode_id, request.client, None)?;
    call.run(Operation::Fsync { at, last_block_length }).await?;
    Ok(proto::FsyncResponseProto {})
}

pub(super) async fn truncate(
    call: &Call<'_>,
    request: proto::TruncateRequestProto,
) -> Answer<proto::TruncateResponseProto> {
    let operation = Operation::Truncate {
        path: path(&request.src)?,
        holder: holder(request.client_name)?,
        new_length: request.new_length as i64,
    };
    Ok(proto::TruncateResponseProto {
        result: call.run_bool(operation).await?,
    })
}

pub(super) async fn renew_lease(
    call: &Call<'_>,
    request: proto::RenewLeaseRequestProto,
) -> Answer<proto::RenewLeaseResponseProto> {
    call.run(Operation::RenewLease {
        holder: holder(request.client_name)?,
    })
    .await?;
    Ok(proto::RenewLeaseResponseProto {})
}

pub(super) async fn recover_lease(
    call: &Call<'_>,
    request: proto::RecoverLeaseRequestProto,
) -> Answer<proto::RecoverLeaseResponseProto> {
    let operation = Operation::RecoverLease {
        path: path(&request.src)?,
        holder: holder(request.client_name)?,
    };
    Ok(proto::RecoverLeaseResponseProto {
        result: call.run_bool(operation).await?,
    })
}

pub(super) async fn update_block_for_pipeline(
    call: &Call<'_>,
    request: proto::UpdateBlockForPipelineRequestProto,
) -> Answer<proto::UpdateBlockForPipelineResponseProto> {
    let block = convert::block(call.pool(), &request.block)?;
    let operation = Operation::UpdateBlockForPipeline {
        holder: holder(request.client_name)?,
        block,
    };
    Ok(proto::UpdateBlockForPipelineResponseProto {
        block: run_block(call, operation).await?,
    })
}

pub(super) async fn update_pipeline(
    call: &Call<'_>,
    request: proto::UpdatePipelineRequestProto,
) -> Answer<proto::UpdatePipelineResponseProto> {
    let operation = Operation::UpdatePipeline {
        holder: holder(request.client_name)?,
        old: convert::block(call.pool(), &request.old_block)?,
        new: convert::block(call.pool(), &request.new_block)?,
        nodes: request.new_nodes.into_iter().map(|node| node.datanode_uuid).collect(),
    };
    call.run(operation).await?;
    Ok(proto::UpdatePipelineResponseProto {})
}

pub(super) async fn get_additional_datanode(
    call: &Call<'_>,
    request: proto::GetAdditionalDatanodeRequestProto,
) -> Answer<proto::GetAdditionalDatanodeResponseProto> {
    let inode_id = request.file_id();
    let at = writer_block(call, &request.src, inode_id, request.client_name, Some(&request.blk))?;
    let operation = Operation::GetAdditionalDataNode {
        at,
        existing: uuids(request.existings),
        excluded: uuids(request.excludes),
        count: request.num_additional_nodes.min(u32::from(u16::MAX)) as usize,
    };
    Ok(proto::GetAdditionalDatanodeResponseProto {
        block: run_block(call, operation).await?,
    })
}

pub(super) async fn report_bad_blocks(
    call: &Call<'_>,
    request: proto::ReportBadBlocksRequestProto,
) -> Answer<proto::ReportBadBlocksResponseProto> {
    let bad = |located: proto::LocatedBlockProto| Ok((convert::block(call.pool(), &located.b)?, uuids(located.locs)));
    let blocks: Answer<Vec<_>> = request.blocks.into_iter().map(bad).collect();
    call.run(Operation::ReportBadBlocks { blocks: blocks? }).await?;
    Ok(proto::ReportBadBlocksResponseProto {})
}
