//! Methods about the cluster.

use quarry_dfs_wire::proto::hadoop::common::HaServiceStateProto;
use quarry_dfs_wire::proto::hadoop::hdfs::{
    self as proto, ChecksumTypeProto, DatanodeReportTypeProto, SafeModeActionProto,
};

use quarry_dfs_wire::proto::hadoop::hdfs::datanode_info_proto::AdminState as AdminStateProto;

use super::{Answer, Call, convert, exception, unexpected};
use crate::core::command::{DataNodeFilter, DataNodeStatus, Operation, Reply, SafeModeAction, StorageType};
use crate::core::datanodes::AdminState;
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
        trash_interval: Some(config.trash_interval.as_secs() / 60),
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
            missing_repl_one_blocks: Some(stats.missing_one),
            blocks_in_future: Some(0),
            pending_deletion_blocks: Some(stats.pending_deletion),
        }),
        other => Err(unexpected(&other)),
    }
}

async fn datanodes(
    call: &Call<'_>,
    kind: DatanodeReportTypeProto,
    method: &'static str,
) -> Answer<Vec<DataNodeStatus>> {
    let checked = call.service.admin.check_superuser(&call.caller(), method).await;
    checked.map_err(exception::of)?;
    let filter = match kind {
        DatanodeReportTypeProto::All => DataNodeFilter::All,
        DatanodeReportTypeProto::Live => DataNodeFilter::Live,
        DatanodeReportTypeProto::Dead => DataNodeFilter::Dead,
        DatanodeReportTypeProto::Decommissioning => DataNodeFilter::Decommissioning,
        DatanodeReportTypeProto::EnteringMaintenance => DataNodeFilter::EnteringMaintenance,
        DatanodeReportTypeProto::InMaintenance => DataNodeFilter::InMaintenance,
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
        xceiver_count: Some(node.health.xceivers.max(node.active_transfers)),
        non_dfs_used: Some(node.non_dfs_used),
        admin_state: Some(admin_state(node.admin) as i32),
        last_block_report_time: Some(node.last_report_unix_ms),
        num_blocks: Some(u32::try_from(node.blocks).unwrap_or(u32::MAX)),
        ..convert::datanode(&node.node)
    }
}

fn admin_state(state: AdminState) -> AdminStateProto {
    match state {
        AdminState::Normal => AdminStateProto::Normal,
        AdminState::DecommissionInProgress => AdminStateProto::DecommissionInprogress,
        AdminState::Decommissioned => AdminStateProto::Decommissioned,
        AdminState::EnteringMaintenance => AdminStateProto::EnteringMaintenance,
        AdminState::InMaintenance => AdminStateProto::InMaintenance,
    }
}

pub(super) async fn get_datanode_report(
    call: &Call<'_>,
    request: proto::GetDatanodeReportRequestProto,
) -> Answer<proto::GetDatanodeReportResponseProto> {
    let nodes = datanodes(call, request.r#type(), "datanodeReport").await?;
    Ok(proto::GetDatanodeReportResponseProto {
        di: nodes.iter().map(datanode_info).collect(),
    })
}

pub(super) async fn get_datanode_storage_report(
    call: &Call<'_>,
    request: proto::GetDatanodeStorageReportRequestProto,
) -> Answer<proto::GetDatanodeStorageReportResponseProto> {
    let nodes = datanodes(call, request.r#type(), "getDatanodeStorageReport").await?;
    let reports = nodes.iter().map(|node| proto::DatanodeStorageReportProto {
        datanode_info: datanode_info(node),
        storage_reports: node.storages.iter().map(|(report, _)| storage_report(report)).collect(),
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
            storage_type: Some(storage_type(storage.storage_type) as i32),
            ..Default::default()
        }),
        non_dfs_used: (storage.non_dfs_used > 0).then_some(storage.non_dfs_used),
        mount: (!storage.location.is_empty()).then(|| storage.location.clone()),
    }
}

fn storage_type(kind: StorageType) -> proto::StorageTypeProto {
    match kind {
        StorageType::Disk => proto::StorageTypeProto::Disk,
        StorageType::Ssd => proto::StorageTypeProto::Ssd,
        StorageType::Archive => proto::StorageTypeProto::Archive,
        StorageType::RamDisk => proto::StorageTypeProto::RamDisk,
    }
}

pub(super) async fn set_safe_mode(
    call: &Call<'_>,
    request: proto::SetSafeModeRequestProto,
) -> Answer<proto::SetSafeModeResponseProto> {
    let action = match request.action() {
        SafeModeActionProto::SafemodeGet => SafeModeAction::Get,
        SafeModeActionProto::SafemodeEnter => SafeModeAction::Enter,
        SafeModeActionProto::SafemodeLeave => SafeModeAction::Leave,
        SafeModeActionProto::SafemodeForceExit => SafeModeAction::ForceExit,
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
