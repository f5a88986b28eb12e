//! Methods about the cluster.

use quarry_dfs_wire::proto::hadoop::common::HaServiceStateProto;
use quarry_dfs_wire::proto::hadoop::hdfs::{
    self as proto, ChecksumTypeProto, DatanodeReportTypeProto, SafeModeActionProto,
};

use super::{Answer, Call, convert, unexpected};
use crate::core::command::{DataNodeFilter, DataNodeStatus, Operation, Reply, SafeModeAction};
use crate::core::storage_policy::DEFAULT_POLICY;
use crate::driver;

/// Bytes per checksum chunk that clients are advised to use. HDFS's value; some clients know no other.
const BYTES_PER_CHECKSUM: u32 = 512;
/// Buffer size that clients are advised to use. HDFS's value.
const FILE_BUFFER_SIZE: u32 = 4096;
/// Layout version of the metadata as HDFS 3.5 gives it to its version handshake.
const HDFS_LAYOUT_VERSION: i32 = -67;

pub(super) async fn get_server_defaults(
    call: &Call<'_>,
    _: proto::GetServerDefaultsRequestProto,
) -> Answer<proto::GetServerDefaultsResponseProto> {
    let config = &call.service.config;
    let server_defaults = proto::FsServerDefaultsProto {
        block_size: config.default_block_size.as_u64(),
        bytes_per_checksum: BYTES_PER_CHECKSUM,
        write_packet_size: config.write_packet_size.as_u64() as u32,
        replication: config.default_replication.into(),
        file_buffer_size: FILE_BUFFER_SIZE,
        encrypt_data_transfer: Some(false),
        trash_interval: Some(0),
        checksum_type: Some(ChecksumTypeProto::ChecksumCrc32c as i32),
        // Present and empty: there is no key provider, and clients need not look for one.
        key_provider_uri: Some(String::new()),
        policy_id: Some(DEFAULT_POLICY.into()),
        snapshot_trash_root_enabled: Some(false),
    };
    Ok(proto::GetServerDefaultsResponseProto { server_defaults })
}

pub(super) async fn get_fs_stats(
    call: &Call<'_>,
    _: proto::GetFsStatusRequestProto,
) -> Answer<proto::GetFsStatsResponseProto> {
    match call.run(Operation::GetFsStats).await? {
        Reply::Stats(stats) => Ok(proto::GetFsStatsResponseProto {
            capacity: stats.capacity,
            used: stats.used,
            remaining: stats.remaining,
            under_replicated: stats.under_replicated,
            corrupt_blocks: stats.corrupt,
            missing_blocks: stats.missing,
            missing_repl_one_blocks: Some(0),
            blocks_in_future: Some(0),
            pending_deletion_blocks: Some(0),
        }),
        other => Err(unexpected(&other)),
    }
}

async fn datanodes(call: &Call<'_>, kind: DatanodeReportTypeProto) -> Answer<Vec<DataNodeStatus>> {
    let filter = match kind {
        DatanodeReportTypeProto::All => DataNodeFilter::All,
        DatanodeReportTypeProto::Live => DataNodeFilter::Live,
        DatanodeReportTypeProto::Dead => DataNodeFilter::Dead,
        // No DataNode is ever in these states here.
        DatanodeReportTypeProto::Decommissioning
        | DatanodeReportTypeProto::EnteringMaintenance
        | DatanodeReportTypeProto::InMaintenance => return Ok(Vec::new()),
    };
    match call.run(Operation::GetDataNodeReport { filter }).await? {
        Reply::DataNodes(nodes) => Ok(nodes),
        other => Err(unexpected(&other)),
    }
}

fn datanode_info(node: &DataNodeStatus) -> proto::DatanodeInfoProto {
    let now_ms = driver::unix_ms();
    proto::DatanodeInfoProto {
        capacity: Some(node.capacity),
        dfs_used: Some(node.used),
        remaining: Some(node.remaining),
        block_pool_used: Some(node.used),
        last_update: Some(now_ms.saturating_sub(node.silent_ms)),
        xceiver_count: Some(node.active_transfers),
        non_dfs_used: Some(node.capacity.saturating_sub(node.used).saturating_sub(node.remaining)),
        ..convert::datanode(&node.node)
    }
}

pub(super) async fn get_datanode_report(
    call: &Call<'_>,
    request: proto::GetDatanodeReportRequestProto,
) -> Answer<proto::GetDatanodeReportResponseProto> {
    let nodes = datanodes(call, request.r#type()).await?;
    Ok(proto::GetDatanodeReportResponseProto {
        di: nodes.iter().map(datanode_info).collect(),
    })
}

pub(super) async fn get_datanode_storage_report(
    call: &Call<'_>,
    request: proto::GetDatanodeStorageReportRequestProto,
) -> Answer<proto::GetDatanodeStorageReportResponseProto> {
    let nodes = datanodes(call, request.r#type()).await?;
    let reports = nodes.iter().map(|node| proto::DatanodeStorageReportProto {
        datanode_info: datanode_info(node),
        storage_reports: node.storages.iter().map(storage_report).collect(),
    });
    Ok(proto::GetDatanodeStorageReportResponseProto {
        datanode_storage_reports: reports.collect(),
    })
}

#[expect(deprecated, reason = "the old field is required on the wire")]
fn storage_report(storage: &crate::core::command::StorageReport) -> proto::StorageReportProto {
    proto::StorageReportProto {
        storage_uuid: storage.storage_id.clone(),
        failed: Some(storage.failed),
        capacity: Some(storage.capacity),
        dfs_used: Some(storage.dfs_used),
        remaining: Some(storage.remaining),
        block_pool_used: Some(storage.dfs_used),
        storage: Some(proto::DatanodeStorageProto {
            storage_uuid: storage.storage_id.clone(),
            ..Default::default()
        }),
        ..Default::default()
    }
}

pub(super) async fn set_safe_mode(
    call: &Call<'_>,
    request: proto::SetSafeModeRequestProto,
) -> Answer<proto::SetSafeModeResponseProto> {
    let action = match request.action() {
        SafeModeActionProto::SafemodeGet => SafeModeAction::Get,
        SafeModeActionProto::SafemodeEnter => SafeModeAction::Enter,
        SafeModeActionProto::SafemodeLeave | SafeModeActionProto::SafemodeForceExit => SafeModeAction::Leave,
    };
    Ok(proto::SetSafeModeResponseProto {
        result: call.run_bool(Operation::SetSafeMode { action }).await?,
    })
}

/// There is one NameNode, so its readers are never behind.
pub(super) async fn msync(_: &Call<'_>, _: proto::MsyncRequestProto) -> Answer<proto::MsyncResponseProto> {
    Ok(proto::MsyncResponseProto {})
}

pub(super) async fn get_ha_service_state(
    _: &Call<'_>,
    _: proto::HaServiceStateRequestProto,
) -> Answer<proto::HaServiceStateResponseProto> {
    Ok(proto::HaServiceStateResponseProto {
        state: HaServiceStateProto::Active as i32,
    })
}

pub(super) async fn version_request(
    call: &Call<'_>,
    _: proto::VersionRequestProto,
) -> Answer<proto::VersionResponseProto> {
    let identity = &call.service.identity;
    let info = proto::NamespaceInfoProto {
        build_version: env!("CARGO_PKG_VERSION").to_owned(),
        unused: 0,
        block_pool_id: identity.block_pool_id.clone(),
        storage_info: proto::StorageInfoProto {
            layout_version: HDFS_LAYOUT_VERSION as u32,
            namespce_id: identity.namespace_id,
            cluster_id: identity.cluster_id.clone(),
            c_time: identity.created_ms,
        },
        software_version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    Ok(proto::VersionResponseProto { info })
}
