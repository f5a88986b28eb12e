//! Methods for administrators.

use quarry_dfs_wire::proto::hadoop::hdfs as proto;

use super::{Answer, Call, exception};
use crate::core::command::{AdminOperation, AdminReply, Operation, Reply, SafeModeAction};
use crate::core::error::FsError;

/// Most entries in one answer of listCorruptFileBlocks. HDFS's value.
const MAX_CORRUPT: usize = 100;

pub(super) async fn refresh_nodes(
    call: &Call<'_>,
    _: proto::RefreshNodesRequestProto,
) -> Answer<proto::RefreshNodesResponseProto> {
    let refreshed = call.service.admin.refresh_nodes(call.caller()).await;
    refreshed.map_err(exception::of)?;
    Ok(proto::RefreshNodesResponseProto {})
}

/// As in HDFS only in safe mode: then the image holds all there is.
pub(super) async fn save_namespace(
    call: &Call<'_>,
    _: proto::SaveNamespaceRequestProto,
) -> Answer<proto::SaveNamespaceResponseProto> {
    let admin = &call.service.admin;
    admin
        .check_superuser(&call.caller(), "saveNamespace")
        .await
        .map_err(exception::of)?;
    let action = SafeModeAction::Get;
    if !call.run_bool(Operation::SetSafeMode { action }).await? {
        let text = "Safe mode should be turned ON in order to create namespace image.";
        return Err(exception::of(FsError::Io(text.to_owned())));
    }
    admin.checkpoint(call.caller()).await.map_err(exception::of)?;
    Ok(proto::SaveNamespaceResponseProto { saved: Some(true) })
}

pub(super) async fn roll_edits(
    call: &Call<'_>,
    _: proto::RollEditsRequestProto,
) -> Answer<proto::RollEditsResponseProto> {
    let rolled = call.service.admin.roll_log(call.caller()).await;
    Ok(proto::RollEditsResponseProto {
        new_segment_tx_id: rolled.map_err(exception::of)?,
    })
}

pub(super) async fn meta_save(
    call: &Call<'_>,
    request: proto::MetaSaveRequestProto,
) -> Answer<proto::MetaSaveResponseProto> {
    let saved = call.service.admin.meta_save(call.caller(), &request.filename).await;
    saved.map_err(exception::of)?;
    Ok(proto::MetaSaveResponseProto {})
}

pub(super) async fn list_corrupt_file_blocks(
    call: &Call<'_>,
    request: proto::ListCorruptFileBlocksRequestProto,
) -> Answer<proto::ListCorruptFileBlocksResponseProto> {
    let from = request.cookie.as_deref().unwrap_or("0").parse().unwrap_or(0);
    let operation = AdminOperation::ListCorruptFileBlocks {
        path: super::path(&request.path)?,
        from,
        limit: MAX_CORRUPT,
    };
    match call.run(Operation::Admin(operation)).await? {
        Reply::Admin(AdminReply::CorruptFiles(found, next)) => Ok(proto::ListCorruptFileBlocksResponseProto {
            corrupt: proto::CorruptFileBlocksProto {
                files: found.into_iter().map(|(_, path)| path).collect(),
                cookie: next.to_string(),
            },
        }),
        other => Err(super::unexpected(&other)),
    }
}

pub(super) async fn set_balancer_bandwidth(
    call: &Call<'_>,
    request: proto::SetBalancerBandwidthRequestProto,
) -> Answer<proto::SetBalancerBandwidthResponseProto> {
    let bytes_per_second = u64::try_from(request.bandwidth).unwrap_or(0);
    if bytes_per_second == 0 {
        let text = format!(
            "Bandwidth should be a positive number of bytes per second, not {}.",
            request.bandwidth
        );
        return Err(exception::of(FsError::IllegalArgument(text)));
    }
    call.run(Operation::Admin(AdminOperation::SetBalancerBandwidth {
        bytes_per_second,
    }))
    .await?;
    Ok(proto::SetBalancerBandwidthResponseProto {})
}

pub(super) async fn get_fs_replicated_block_stats(
    call: &Call<'_>,
    _: proto::GetFsReplicatedBlockStatsRequestProto,
) -> Answer<proto::GetFsReplicatedBlockStatsResponseProto> {
    match call.run(Operation::GetFsStats).await? {
        Reply::Stats(stats) => Ok(proto::GetFsReplicatedBlockStatsResponseProto {
            low_redundancy: stats.under_replicated,
            corrupt_blocks: stats.corrupt,
            missing_blocks: stats.missing,
            missing_repl_one_blocks: stats.missing_one,
            blocks_in_future: 0,
            pending_deletion_blocks: stats.pending_deletion,
            highest_prio_low_redundancy_blocks: Some(stats.highest_priority),
        }),
        other => Err(super::unexpected(&other)),
    }
}

/// There are no erasure coded files.
pub(super) async fn get_fs_ec_block_group_stats(
    _: &Call<'_>,
    _: proto::GetFsEcBlockGroupStatsRequestProto,
) -> Answer<proto::GetFsEcBlockGroupStatsResponseProto> {
    Ok(proto::GetFsEcBlockGroupStatsResponseProto {
        highest_prio_low_redundancy_blocks: Some(0),
        ..Default::default()
    })
}

/// DataNodes do not measure each other here.
pub(super) async fn get_slow_datanode_report(
    _: &Call<'_>,
    _: proto::GetSlowDatanodeReportRequestProto,
) -> Answer<proto::GetSlowDatanodeReportResponseProto> {
    Ok(proto::GetSlowDatanodeReportResponseProto {
        datanode_info_proto: Vec::new(),
    })
}

/// There is one directory, and a failed one is not taken back: restart the NameNode.
pub(super) async fn restore_failed_storage(
    call: &Call<'_>,
    _: proto::RestoreFailedStorageRequestProto,
) -> Answer<proto::RestoreFailedStorageResponseProto> {
    let checked = call
        .service
        .admin
        .check_superuser(&call.caller(), "restoreFailedStorage")
        .await;
    checked.map_err(exception::of)?;
    Ok(proto::RestoreFailedStorageResponseProto { result: false })
}

/// Nothing is ever half upgraded.
pub(super) async fn finalize_upgrade(
    call: &Call<'_>,
    _: proto::FinalizeUpgradeRequestProto,
) -> Answer<proto::FinalizeUpgradeResponseProto> {
    let checked = call
        .service
        .admin
        .check_superuser(&call.caller(), "finalizeUpgrade")
        .await;
    checked.map_err(exception::of)?;
    Ok(proto::FinalizeUpgradeResponseProto {})
}

pub(super) async fn upgrade_status(
    _: &Call<'_>,
    _: proto::UpgradeStatusRequestProto,
) -> Answer<proto::UpgradeStatusResponseProto> {
    Ok(proto::UpgradeStatusResponseProto {
        upgrade_finalized: true,
    })
}

/// Groups come from the configuration: there is nothing to read again.
pub(super) async fn refresh_user_mappings(call: &Call<'_>, _: RefreshRequest) -> Answer<RefreshResponse> {
    let admin = &call.service.admin;
    let checked = admin
        .check_superuser(&call.caller(), "refreshUserToGroupsMappings")
        .await;
    checked.map_err(exception::of)?;
    Ok(RefreshResponse {})
}

/// Both refreshes carry nothing.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(super) struct RefreshRequest {}

/// As does the answer.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(super) struct RefreshResponse {}
