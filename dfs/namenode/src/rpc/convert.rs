//! Between the core's values and HDFS's messages.

use quarry_dfs_wire::block::{Block, ExtendedBlock};
use quarry_dfs_wire::proto::hadoop::common::TokenProto;
use quarry_dfs_wire::proto::hadoop::hdfs::hdfs_file_status_proto::{FileType, Flags};
use quarry_dfs_wire::proto::hadoop::hdfs::{
    DatanodeIdProto, DatanodeInfoProto, ExtendedBlockProto, FsPermissionProto, HdfsFileStatusProto, LocatedBlockProto,
    LocatedBlocksProto, StorageTypeProto,
};
use quarry_dfs_wire::rpc::RpcException;

use super::Answer;
use crate::core::command::{FileStatus, LocatedBlock, LocatedBlocks};
use crate::core::datanodes::DataNodeDescriptor;

/// A block that a client names; it must be of this cluster.
pub(super) fn block(pool: &str, proto: &ExtendedBlockProto) -> Answer<Block> {
    let named = ExtendedBlock::try_from(proto)?;
    if *named.pool != *pool {
        return Err(RpcException::io(format!(
            "{named} is not of this cluster's block pool {pool}"
        )));
    }
    Ok(named.block)
}

/// A DataNode's identity.
pub(super) fn datanode_id(node: &DataNodeDescriptor) -> DatanodeIdProto {
    DatanodeIdProto {
        ip_addr: node.ip.clone(),
        host_name: node.hostname.clone(),
        datanode_uuid: node.uuid.clone(),
        xfer_port: node.xfer_port.into(),
        // There is no HTTP server; the field is required.
        info_port: 0,
        ipc_port: node.ipc_port.into(),
        info_secure_port: None,
    }
}

/// A DataNode without its figures, as in block locations.
pub(super) fn datanode(node: &DataNodeDescriptor) -> DatanodeInfoProto {
    DatanodeInfoProto {
        id: datanode_id(node),
        location: Some(node.rack.clone()),
        ..DatanodeInfoProto::default()
    }
}

/// A block with its places. Storage type and id are given for every place and the token is there but empty: clients rely on both.
pub(super) fn located_block(pool: &str, block: LocatedBlock) -> LocatedBlockProto {
    let extended = ExtendedBlock::new(pool, block.block);
    LocatedBlockProto {
        b: ExtendedBlockProto::from(&extended),
        offset: block.offset,
        corrupt: block.corrupt,
        block_token: TokenProto::default(),
        is_cached: vec![false; block.locations.len()],
        storage_types: vec![StorageTypeProto::Disk as i32; block.locations.len()],
        storage_i_ds: block
            .locations
            .iter()
            .map(|place| place.storage_id.to_string())
            .collect(),
        locs: block.locations.iter().map(|place| datanode(&place.node)).collect(),
        ..LocatedBlockProto::default()
    }
}

/// A file's blocks.
pub(super) fn located_blocks(pool: &str, blocks: LocatedBlocks) -> LocatedBlocksProto {
    LocatedBlocksProto {
        file_length: blocks.file_length,
        blocks: blocks
            .blocks
            .into_iter()
            .map(|block| located_block(pool, block))
            .collect(),
        under_construction: blocks.under_construction,
        last_block: blocks.last_block.map(|block| located_block(pool, block)),
        is_last_block_complete: blocks.last_block_complete,
        file_encryption_info: None,
        ec_policy: None,
    }
}

/// A file or directory.
pub(super) fn file_status(pool: &str, status: FileStatus) -> HdfsFileStatusProto {
    HdfsFileStatusProto {
        file_type: if status.is_directory {
            FileType::IsDir
        } else {
            FileType::IsFile
        } as i32,
        path: status.name.into(),
        length: status.length,
        permission: FsPermissionProto {
            perm: status.permission.into(),
        },
        owner: status.owner,
        group: status.group,
        modification_time: status.modified_ms,
        access_time: status.accessed_ms,
        block_replication: Some(status.replication.into()),
        blocksize: Some(status.block_size),
        locations: status.locations.map(|blocks| located_blocks(pool, blocks)),
        file_id: Some(status.id),
        children_num: Some(status.children as i32),
        storage_policy: Some(status.storage_policy.into()),
        flags: Some(if status.has_acl { Flags::HasAcl as u32 } else { 0 }),
        ..HdfsFileStatusProto::default()
    }
}
