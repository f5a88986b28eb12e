//! The administrators' service: gRPC in front of [`Administration`].

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use quarry_dfs_wire::proto::dfs_v1 as proto;
use quarry_dfs_wire::proto::dfs_v1::name_node_admin_server::NameNodeAdmin;
use tonic::{Request, Response, Status};

use crate::admin::{Administration, caller, unexpected};
use crate::core::command::{
    AdminOperation, AdminWish, BalanceStatus, Caller, ClusterStatus, DataNodeStatus, Operation, Reply, SafeModeAction,
    StorageReport, StorageType,
};
use crate::core::datanodes::{AdminState, Liveness};
use crate::core::error::FsError;
use crate::driver;

/// Metadata with the caller's user name.
const USER: &str = "quarry-user";

type Answer<T> = Result<Response<T>, Status>;

pub(super) struct AdminService {
    admin: Arc<Administration>,
}

/// Who calls. Nobody in particular if it does not say: such a one may look.
fn who<T>(request: &Request<T>) -> Caller {
    let user = request.metadata().get(USER).and_then(|user| user.to_str().ok());
    let address = request
        .remote_addr()
        .map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.ip());
    caller(user.unwrap_or_default(), address.to_canonical())
}

fn refused(error: FsError) -> Status {
    let text = error.to_string();
    match error {
        FsError::AccessControl(_) => Status::permission_denied(text),
        FsError::FileNotFound(_) => Status::not_found(text),
        FsError::IllegalArgument(_) => Status::invalid_argument(text),
        _ => Status::unavailable(text),
    }
}

impl AdminService {
    pub(super) fn new(admin: Arc<Administration>) -> Self {
        Self { admin }
    }

    async fn node(&self, who: Caller, operation: AdminOperation) -> Answer<proto::NodeResponse> {
        match self.admin.run(who, operation).await.map_err(refused)? {
            Reply::DataNodes(nodes) => Ok(Response::new(proto::NodeResponse {
                node: nodes.into_iter().next().map(node_status),
            })),
            other => Err(refused(unexpected(&other))),
        }
    }

    async fn balance(&self, who: Caller, operation: AdminOperation) -> Answer<proto::BalanceReport> {
        use crate::core::command::AdminReply::Balance;
        match self.admin.run(who, operation).await.map_err(refused)? {
            Reply::Admin(Balance(status)) => Ok(Response::new(balance_report(status))),
            other => Err(refused(unexpected(&other))),
        }
    }

    async fn nodes(&self, who: Caller) -> Result<Box<ClusterStatus>, Status> {
        self.admin.report(who).await.map_err(refused)
    }
}

#[tonic::async_trait]
impl NameNodeAdmin for AdminService {
    async fn report(&self, request: Request<proto::ReportRequest>) -> Answer<proto::ClusterReport> {
        let status = self.nodes(who(&request)).await?;
        let mut report = cluster_report(*status);
        report.cluster_id.clone_from(&self.admin.identity.cluster_id);
        report.block_pool_id.clone_from(&self.admin.identity.block_pool_id);
        report.http_address = self.admin.http.get().map(ToString::to_string).unwrap_or_default();
        Ok(Response::new(report))
    }

    async fn decommission(&self, request: Request<proto::NodeRequest>) -> Answer<proto::NodeResponse> {
        let (who, node) = (who(&request), request.into_inner().node);
        let wish = AdminWish::Decommission;
        self.node(who, AdminOperation::SetNode { node, wish }).await
    }

    async fn recommission(&self, request: Request<proto::NodeRequest>) -> Answer<proto::NodeResponse> {
        let (who, node) = (who(&request), request.into_inner().node);
        let wish = AdminWish::InService;
        self.node(who, AdminOperation::SetNode { node, wish }).await
    }

    async fn maintenance(&self, request: Request<proto::MaintenanceRequest>) -> Answer<proto::NodeResponse> {
        let (who, request) = (who(&request), request.into_inner());
        let expires_unix_ms = match request.duration_ms {
            0 => 0,
            duration => driver::unix_ms().saturating_add(duration),
        };
        let wish = AdminWish::Maintenance { expires_unix_ms };
        let node = request.node;
        self.node(who, AdminOperation::SetNode { node, wish }).await
    }

    async fn start_balance(&self, request: Request<proto::BalanceRequest>) -> Answer<proto::BalanceReport> {
        let (who, request) = (who(&request), request.into_inner());
        let operation = AdminOperation::StartBalance {
            threshold_percent: request.threshold_percent,
            bytes_per_second: request.bytes_per_second,
        };
        self.balance(who, operation).await
    }

    async fn stop_balance(&self, request: Request<proto::StopBalanceRequest>) -> Answer<proto::BalanceReport> {
        self.balance(who(&request), AdminOperation::StopBalance).await
    }

    async fn balance_status(&self, request: Request<proto::BalanceStatusRequest>) -> Answer<proto::BalanceReport> {
        self.balance(who(&request), AdminOperation::BalanceStatus).await
    }

    async fn topology(&self, request: Request<proto::TopologyRequest>) -> Answer<proto::TopologyResponse> {
        let mut racks: BTreeMap<String, Vec<proto::NodeStatus>> = BTreeMap::new();
        for node in self.nodes(who(&request)).await?.nodes {
            racks.entry(node.node.rack.clone()).or_default().push(node_status(node));
        }
        let racks = racks.into_iter().map(|(name, nodes)| proto::Rack { name, nodes });
        Ok(Response::new(proto::TopologyResponse { racks: racks.collect() }))
    }

    async fn set_rack(&self, request: Request<proto::SetRackRequest>) -> Answer<proto::NodeResponse> {
        let (who, request) = (who(&request), request.into_inner());
        let (node, rack) = (request.node, request.rack);
        self.node(who, AdminOperation::SetRack { node, rack }).await
    }

    async fn refresh_nodes(&self, request: Request<proto::RefreshNodesRequest>) -> Answer<proto::RefreshNodesResponse> {
        self.admin.refresh_nodes(who(&request)).await.map_err(refused)?;
        Ok(Response::new(proto::RefreshNodesResponse {}))
    }

    async fn checkpoint(&self, request: Request<proto::CheckpointRequest>) -> Answer<proto::CheckpointResponse> {
        let transaction_id = self.admin.checkpoint(who(&request)).await.map_err(refused)?;
        Ok(Response::new(proto::CheckpointResponse { transaction_id }))
    }

    async fn safe_mode(&self, request: Request<proto::SafeModeRequest>) -> Answer<proto::SafeModeResponse> {
        let who = who(&request);
        let action = match request.into_inner().action() {
            proto::SafeModeAction::Unspecified | proto::SafeModeAction::Get => SafeModeAction::Get,
            proto::SafeModeAction::Enter => SafeModeAction::Enter,
            proto::SafeModeAction::Leave => SafeModeAction::Leave,
            proto::SafeModeAction::ForceExit => SafeModeAction::ForceExit,
        };
        let changed = self
            .admin
            .core
            .call(who.clone(), Operation::SetSafeMode { action })
            .await;
        changed.map_err(refused)?;
        let text = self.nodes(who).await?.safe_mode;
        Ok(Response::new(proto::SafeModeResponse {
            on: text.is_some(),
            text: text.unwrap_or_default(),
        }))
    }
}

fn cluster_report(status: ClusterStatus) -> proto::ClusterReport {
    let stats = status.stats;
    proto::ClusterReport {
        capacity: stats.capacity,
        dfs_used: stats.used,
        non_dfs_used: status.non_dfs_used,
        remaining: stats.remaining,
        files_and_directories: status.inodes,
        blocks: status.blocks,
        under_replicated_blocks: stats.under_replicated,
        corrupt_blocks: stats.corrupt,
        missing_blocks: stats.missing,
        missing_blocks_replication_one: stats.missing_one,
        mis_replicated_blocks: stats.badly_distributed,
        pending_replication_blocks: stats.pending_copies,
        pending_deletion_blocks: stats.pending_deletion,
        open_files: status.open_files,
        safe_mode: status.safe_mode.is_some(),
        safe_mode_text: status.safe_mode.unwrap_or_default(),
        nodes: status.nodes.into_iter().map(node_status).collect(),
        last_transaction_id: status.last_txid,
        uptime_ms: status.uptime_ms,
        ..proto::ClusterReport::default()
    }
}

fn node_status(node: DataNodeStatus) -> proto::NodeStatus {
    let liveness = match node.liveness {
        Liveness::Live(_) if node.stale => proto::Liveness::Stale,
        Liveness::Live(_) => proto::Liveness::Live,
        Liveness::Lost { .. } => proto::Liveness::Lost,
        Liveness::Dead => proto::Liveness::Dead,
    };
    let admin_state = match node.admin {
        AdminState::Normal => proto::AdminState::Normal,
        AdminState::DecommissionInProgress => proto::AdminState::DecommissionInProgress,
        AdminState::Decommissioned => proto::AdminState::Decommissioned,
        AdminState::EnteringMaintenance => proto::AdminState::EnteringMaintenance,
        AdminState::InMaintenance => proto::AdminState::InMaintenance,
    };
    let descriptor = &node.node;
    proto::NodeStatus {
        datanode_uuid: descriptor.uuid.clone(),
        ip: descriptor.ip.clone(),
        hostname: descriptor.hostname.clone(),
        xfer_port: descriptor.xfer_port.into(),
        ipc_port: descriptor.ipc_port.into(),
        rack: descriptor.rack.clone(),
        liveness: liveness as i32,
        admin_state: admin_state as i32,
        capacity: node.capacity,
        dfs_used: node.used,
        non_dfs_used: node.non_dfs_used,
        remaining: node.remaining,
        silent_ms: node.silent_ms,
        active_transfers: node.active_transfers,
        volumes: node.storages.into_iter().map(volume_status).collect(),
        blocks: node.blocks,
        under_replicated_blocks: node.remaining_work.under_replicated,
        out_of_service_only_blocks: node.remaining_work.out_of_service_only,
        open_file_blocks: node.remaining_work.open,
        maintenance_expires_unix_ms: node.maintenance_expires_unix_ms,
        failed_volumes: node.health.failed_volumes,
        failed_volume_locations: node.health.failed_locations,
        software_version: node.software_version,
        last_block_report_unix_ms: node.last_report_unix_ms,
        corrupt_found: node.health.corrupt_found,
    }
}

fn volume_status((report, blocks): (StorageReport, u64)) -> proto::VolumeStatus {
    let storage_type = match report.storage_type {
        StorageType::Disk => "DISK",
        StorageType::Ssd => "SSD",
        StorageType::Archive => "ARCHIVE",
        StorageType::RamDisk => "RAM_DISK",
    };
    proto::VolumeStatus {
        storage_id: report.storage_id,
        storage_type: storage_type.to_owned(),
        location: report.location,
        capacity: report.capacity,
        dfs_used: report.dfs_used,
        non_dfs_used: report.non_dfs_used,
        remaining: report.remaining,
        failed: report.failed,
        blocks,
    }
}

fn balance_report(status: BalanceStatus) -> proto::BalanceReport {
    proto::BalanceReport {
        running: status.running,
        threshold_percent: status.threshold_percent,
        bytes_per_second: status.bytes_per_second,
        blocks_moved: status.blocks_moved,
        bytes_moved: status.bytes_moved,
        moves_in_flight: status.moves_in_flight,
        bytes_left: status.bytes_left,
        over_utilized_nodes: status.over_utilized,
        under_utilized_nodes: status.under_utilized,
        average_percent: status.average_percent,
        text: status.text.to_owned(),
    }
}
