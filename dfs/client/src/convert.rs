//! Between HDFS's messages and the client's types: the one check of what a NameNode sends.

use std::sync::Arc;

use quarry_dfs_wire::block::ExtendedBlock;
use quarry_dfs_wire::proto::hadoop::hdfs as pb;

use crate::error::{Error, Result};
use crate::location::{BlockLocation, DataNodeInfo, FileBlocks};
use crate::status::{FileKind, FileStatus};

fn malformed(message: impl Into<String>) -> Error {
    Error::Protocol {
        peer: "NameNode".to_owned(),
        message: message.into(),
    }
}

pub(crate) fn permission(mode: u16) -> pb::FsPermissionProto {
    pb::FsPermissionProto { perm: mode.into() }
}

/// An entry of the listing of `directory`; an empty name is the listed file itself.
pub(crate) fn entry(directory: &str, mut fs: pb::HdfsFileStatusProto) -> Result<(FileStatus, Option<FileBlocks>)> {
    let blocks = fs.locations.take().map(file_blocks).transpose()?;
    let name = std::str::from_utf8(&fs.path)
        .map_err(|_| malformed(format!("{directory}: a name is not UTF-8: {:?}", fs.path)))?;
    let path = match name {
        "" => directory.to_owned(),
        name => format!("{}/{name}", directory.trim_end_matches('/')),
    };
    Ok((file_status(fs, path)?, blocks))
}

pub(crate) fn file_status(fs: pb::HdfsFileStatusProto, path: String) -> Result<FileStatus> {
    let kind = match fs.file_type() {
        pb::hdfs_file_status_proto::FileType::IsDir => FileKind::Directory,
        pb::hdfs_file_status_proto::FileType::IsFile => FileKind::File,
        pb::hdfs_file_status_proto::FileType::IsSymlink => FileKind::Symlink,
    };
    let replication = u16::try_from(fs.block_replication());
    Ok(FileStatus {
        kind,
        length: fs.length,
        replication: replication.map_err(|_| malformed(format!("{path}: replication beyond 65535")))?,
        block_size: fs.blocksize(),
        modification_time_ms: fs.modification_time,
        access_time_ms: fs.access_time,
        permission: (fs.permission.perm & 0o7777) as u16,
        file_id: fs.file_id(),
        children: fs.children_num.and_then(|n| u32::try_from(n).ok()),
        has_acl: has(&fs, pb::hdfs_file_status_proto::Flags::HasAcl),
        encrypted: fs.file_encryption_info.is_some() || has(&fs, pb::hdfs_file_status_proto::Flags::HasCrypt),
        erasure_coding: fs.ec_policy.as_ref().map(|policy| policy.name().to_owned()),
        storage_policy: fs.storage_policy() as u8,
        owner: fs.owner,
        group: fs.group,
        path,
    })
}

fn has(fs: &pb::HdfsFileStatusProto, flag: pb::hdfs_file_status_proto::Flags) -> bool {
    fs.flags() & flag as u32 != 0
}

pub(crate) fn file_blocks(located: pb::LocatedBlocksProto) -> Result<FileBlocks> {
    let length = located.file_length;
    let last_is_open = located.under_construction && !located.is_last_block_complete;
    let unfinished = located
        .last_block
        .filter(|_| last_is_open)
        .map(block_location)
        .transpose()?;
    let mut blocks = located
        .blocks
        .into_iter()
        .map(block_location)
        .collect::<Result<Vec<_>>>()?;
    if located.under_construction {
        blocks.retain(|b| b.offset < length);
    }
    let mut expected = 0;
    for location in &blocks {
        if location.offset != expected {
            return Err(malformed(format!(
                "block {:?} begins at {}, not at {expected}",
                location.block, location.offset
            )));
        }
        expected = location.range().end;
    }
    if expected != length {
        return Err(malformed(format!(
            "the blocks of a file hold {expected} bytes, its length is {length}"
        )));
    }
    Ok(FileBlocks {
        length,
        under_construction: located.under_construction,
        blocks,
        unfinished,
    })
}

pub(crate) fn block_location(located: pb::LocatedBlockProto) -> Result<BlockLocation> {
    Ok(BlockLocation {
        block: block_from_proto(&located.b)?,
        offset: located.offset,
        corrupt: located.corrupt,
        datanodes: located.locs.iter().map(datanode_from_proto).collect::<Result<_>>()?,
        storage_types: located.storage_types,
        storage_ids: located.storage_i_ds,
        token: located.block_token,
    })
}

pub(crate) fn block_from_proto(proto: &pb::ExtendedBlockProto) -> Result<ExtendedBlock> {
    ExtendedBlock::try_from(proto).map_err(|e| malformed(e.to_string()))
}

pub(crate) fn datanode_from_proto(info: &pb::DatanodeInfoProto) -> Result<Arc<DataNodeInfo>> {
    let id = &info.id;
    let port =
        |port: u32| u16::try_from(port).map_err(|_| malformed(format!("DataNode {}: port {port}", id.datanode_uuid)));
    Ok(Arc::new(DataNodeInfo {
        uuid: id.datanode_uuid.clone(),
        ip: id.ip_addr.clone(),
        hostname: id.host_name.clone(),
        xfer_port: port(id.xfer_port)?,
        ipc_port: port(id.ipc_port)?,
        rack: info.location().to_owned(),
    }))
}

pub(crate) fn datanode_id_to_proto(node: &DataNodeInfo) -> pb::DatanodeIdProto {
    pb::DatanodeIdProto {
        ip_addr: node.ip.clone(),
        host_name: node.hostname.clone(),
        datanode_uuid: node.uuid.clone(),
        xfer_port: node.xfer_port.into(),
        info_port: 0,
        ipc_port: node.ipc_port.into(),
        info_secure_port: None,
    }
}

pub(crate) fn datanode_to_proto(node: &DataNodeInfo) -> pb::DatanodeInfoProto {
    pb::DatanodeInfoProto {
        id: datanode_id_to_proto(node),
        location: Some(node.rack.clone()),
        ..Default::default()
    }
}

/// `location` narrowed down to its replica on `node`, as `reportBadBlocks` wants it.
pub(crate) fn bad_replica(location: &BlockLocation, node: &DataNodeInfo) -> pb::LocatedBlockProto {
    let index = location.datanodes.iter().position(|n| n.uuid == node.uuid);
    pb::LocatedBlockProto {
        b: (&location.block).into(),
        offset: location.offset,
        locs: vec![datanode_to_proto(node)],
        corrupt: false,
        block_token: location.token.clone(),
        storage_types: index
            .and_then(|i| location.storage_types.get(i))
            .copied()
            .into_iter()
            .collect(),
        storage_i_ds: index
            .and_then(|i| location.storage_ids.get(i))
            .cloned()
            .into_iter()
            .collect(),
        ..Default::default()
    }
}
