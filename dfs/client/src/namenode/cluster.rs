//! The cluster itself: space, DataNodes, safe mode, defaults.

use quarry_dfs_wire::proto::hadoop::hdfs as pb;

use super::NameNode;
use crate::cluster::{AdminState, DataNodeReport, DataNodeState, SafeModeAction};
use crate::convert;
use crate::error::Result;
use crate::status::{FsStats, ServerDefaults};

impl NameNode {
    pub(crate) async fn fs_stats(&self) -> Result<FsStats> {
        let answer: pb::GetFsStatsResponseProto = self.call("getFsStats", "/", &pb::GetFsStatusRequestProto {}).await?;
        Ok(FsStats {
            capacity: answer.capacity,
            used: answer.used,
            remaining: answer.remaining,
            under_replicated: answer.under_replicated,
            corrupt_blocks: answer.corrupt_blocks,
            missing_blocks: answer.missing_blocks,
            missing_single_replica_blocks: answer.missing_repl_one_blocks.unwrap_or(0),
            pending_deletion_blocks: answer.pending_deletion_blocks.unwrap_or(0),
        })
    }

    pub(crate) async fn server_defaults(&self) -> Result<ServerDefaults> {
        let request = pb::GetServerDefaultsRequestProto {};
        let answer: pb::GetServerDefaultsResponseProto = self.call("getServerDefaults", "/", &request).await?;
        let defaults = answer.server_defaults;
        let replication = u16::try_from(defaults.replication);
        Ok(ServerDefaults {
            block_size: defaults.block_size,
            replication: replication.map_err(|_| self.protocol_error("default replication beyond 65535"))?,
            bytes_per_checksum: defaults.bytes_per_checksum,
            trash_interval_minutes: defaults.trash_interval(),
        })
    }

    pub(crate) async fn datanode_report(&self, state: DataNodeState) -> Result<Vec<DataNodeReport>> {
        let kind = match state {
            DataNodeState::All => pb::DatanodeReportTypeProto::All,
            DataNodeState::Live => pb::DatanodeReportTypeProto::Live,
            DataNodeState::Dead => pb::DatanodeReportTypeProto::Dead,
            DataNodeState::Decommissioning => pb::DatanodeReportTypeProto::Decommissioning,
            DataNodeState::EnteringMaintenance => pb::DatanodeReportTypeProto::EnteringMaintenance,
            DataNodeState::InMaintenance => pb::DatanodeReportTypeProto::InMaintenance,
        };
        let request = pb::GetDatanodeReportRequestProto { r#type: kind as i32 };
        let answer: pb::GetDatanodeReportResponseProto = self.call("getDatanodeReport", "/", &request).await?;
        answer.di.iter().map(report).collect()
    }

    pub(crate) async fn set_safe_mode(&self, action: SafeModeAction) -> Result<bool> {
        let action = match action {
            SafeModeAction::Get => pb::SafeModeActionProto::SafemodeGet,
            SafeModeAction::Enter => pb::SafeModeActionProto::SafemodeEnter,
            SafeModeAction::Leave => pb::SafeModeActionProto::SafemodeLeave,
            SafeModeAction::ForceExit => pb::SafeModeActionProto::SafemodeForceExit,
        };
        let request = pb::SetSafeModeRequestProto {
            action: action as i32,
            checked: Some(false),
        };
        let answer: pb::SetSafeModeResponseProto = self.call("setSafeMode", "/", &request).await?;
        Ok(answer.result)
    }

    pub(crate) async fn save_namespace(&self) -> Result<bool> {
        let request = pb::SaveNamespaceRequestProto::default();
        let answer: pb::SaveNamespaceResponseProto = self.call("saveNamespace", "/", &request).await?;
        Ok(answer.saved())
    }

    pub(crate) async fn refresh_nodes(&self) -> Result<()> {
        let request = pb::RefreshNodesRequestProto {};
        let _: pb::RefreshNodesResponseProto = self.call("refreshNodes", "/", &request).await?;
        Ok(())
    }

    pub(crate) async fn list_corrupt_files(&self, path: &str) -> Result<Vec<String>> {
        let mut files = Vec::new();
        let mut cookie = None;
        loop {
            let request = pb::ListCorruptFileBlocksRequestProto {
                path: path.to_owned(),
                cookie: cookie.clone(),
            };
            let answer: pb::ListCorruptFileBlocksResponseProto =
                self.call("listCorruptFileBlocks", path, &request).await?;
            let page = answer.corrupt;
            if page.files.is_empty() {
                return Ok(files);
            }
            files.extend(page.files);
            if cookie.replace(page.cookie.clone()) == Some(page.cookie) {
                return Ok(files);
            }
        }
    }
}

fn report(info: &pb::DatanodeInfoProto) -> Result<DataNodeReport> {
    use pb::datanode_info_proto::AdminState as Wire;
    Ok(DataNodeReport {
        node: convert::datanode_from_proto(info)?,
        capacity: info.capacity(),
        dfs_used: info.dfs_used(),
        non_dfs_used: info.non_dfs_used(),
        remaining: info.remaining(),
        block_pool_used: info.block_pool_used(),
        cache_capacity: info.cache_capacity(),
        cache_used: info.cache_used(),
        transfers: info.xceiver_count(),
        blocks: info.num_blocks(),
        last_contact_ms: info.last_update(),
        last_block_report_ms: info.last_block_report_time(),
        state: match info.admin_state() {
            Wire::Normal => AdminState::Normal,
            Wire::DecommissionInprogress => AdminState::Decommissioning,
            Wire::Decommissioned => AdminState::Decommissioned,
            Wire::EnteringMaintenance => AdminState::EnteringMaintenance,
            Wire::InMaintenance => AdminState::InMaintenance,
        },
    })
}
