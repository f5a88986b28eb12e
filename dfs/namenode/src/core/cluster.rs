//! The cluster as administrators see it, and what they may ask of it.

use quarry_dfs_wire::block::BlockId;

use super::Core;
use super::block_map::BlockInfo;
use super::command::{
    AdminOperation, AdminReply, AdminWish, Caller, ClusterStatus, DataNodeFilter, DataNodeStatus, FsStats, Reply,
    StorageReport,
};
use super::datanodes::{AdminState, NodeIx};
use super::edit::{self, Edit};
use super::error::FsError;
use super::locate::block_of;

/// Blocks listed one by one in a text.
const MAX_LISTED: usize = 10_000;

impl Core {
    /// Executes an administrator's operation.
    pub(crate) fn execute_admin(&mut self, caller: &Caller, operation: &AdminOperation) -> Result<Reply, FsError> {
        match operation {
            AdminOperation::Report => Ok(Reply::Admin(AdminReply::Cluster(Box::new(self.cluster_status())))),
            AdminOperation::SetNode { node, wish } => self.set_admin(caller, node, *wish),
            AdminOperation::SetRack { node, rack } => self.set_rack(caller, node, rack),
            AdminOperation::RefreshNodes { hosts } => self.refresh_nodes(caller, hosts),
            AdminOperation::StartBalance {
                threshold_percent,
                bytes_per_second,
            } => self.start_balance(caller, *threshold_percent, *bytes_per_second),
            AdminOperation::StopBalance => self.stop_balance(caller),
            AdminOperation::BalanceStatus => Ok(self.balance_reply()),
            AdminOperation::MarkLog => self.mark_log(caller),
            AdminOperation::MetaSave => self.meta_save(caller),
            AdminOperation::CheckSuperuser(what) => self.check_superuser_for(caller, what).map(|()| Reply::Void),
            AdminOperation::CheckVolumes { budget_ms } => self.check_volumes(caller, *budget_ms),
            AdminOperation::ChecksPending => Ok(self.checks_pending()),
            AdminOperation::FsckList { path, entries_after } => self.fsck_list(caller, path, entries_after.as_deref()),
            AdminOperation::FsckBlock { id } => self.fsck_one_block(caller, BlockId(*id)),
            AdminOperation::CorruptHistory { path } => self.corrupt_history(caller, path),
            AdminOperation::SetBalancerBandwidth { bytes_per_second } => {
                self.set_balancer_bandwidth(caller, *bytes_per_second)
            }
            AdminOperation::ListCorruptFileBlocks { path, from, limit } => {
                self.check_superuser_for(caller, "listCorruptFileBlocks")?;
                Ok(self.corrupt_files(path, BlockId(*from), *limit))
            }
        }
    }

    /// A DataNode as shown to administrators.
    pub(crate) fn node_status(&self, ix: NodeIx) -> DataNodeStatus {
        let node = self.datanodes.node(ix);
        let storages: Vec<(StorageReport, u64)> = node
            .storages
            .iter()
            .map(|ix| {
                let report = self.datanodes.storage(*ix).report.clone();
                (report, self.holdings.of(*ix).len() as u64)
            })
            .collect();
        let good = || {
            storages
                .iter()
                .map(|(report, _)| report)
                .filter(|report| !report.failed)
        };
        let sum = |figure: fn(&StorageReport) -> u64| good().map(figure).sum::<u64>();
        let wish = self.state.nodes.get(&node.descriptor.uuid).map(|told| told.wish);
        let maintenance_expires_unix_ms = match wish {
            Some(AdminWish::Maintenance { expires_unix_ms }) => expires_unix_ms,
            _ => 0,
        };
        DataNodeStatus {
            node: std::sync::Arc::clone(&node.descriptor),
            live: self.datanodes.is_live(ix),
            liveness: node.liveness,
            stale: node.stale,
            admin: node.admin,
            maintenance_expires_unix_ms,
            remaining_work: self.leaving.remaining(ix).unwrap_or_default(),
            capacity: sum(|report| report.capacity),
            used: sum(|report| report.dfs_used),
            non_dfs_used: sum(non_dfs_used),
            remaining: sum(|report| report.remaining),
            silent_ms: self.now.tick_ms.saturating_sub(node.last_seen_tick_ms),
            active_transfers: node.load,
            blocks: storages.iter().map(|(_, blocks)| blocks).sum(),
            storages,
            software_version: node.software_version.clone(),
            health: node.health.clone(),
            last_report_unix_ms: node.last_report_unix_ms,
        }
    }

    /// Sums over the DataNodes in contact, and what is to be done.
    pub(crate) fn fs_stats(&self) -> FsStats {
        let mut stats = FsStats::default();
        let live = self.datanodes.iter().filter(|(ix, _)| self.datanodes.is_live(*ix));
        for storage in live.flat_map(|(_, node)| &node.storages) {
            let report = &self.datanodes.storage(*storage).report;
            if !report.failed {
                stats.capacity += report.capacity;
                stats.used += report.dfs_used;
                stats.remaining += report.remaining;
            }
        }
        self.replication.fill_stats(&mut stats);
        stats
    }

    fn cluster_status(&self) -> ClusterStatus {
        let nodes: Vec<DataNodeStatus> = self.datanodes.iter().map(|(ix, _)| self.node_status(ix)).collect();
        ClusterStatus {
            stats: self.fs_stats(),
            non_dfs_used: nodes
                .iter()
                .filter(|node| node.live)
                .map(|node| node.non_dfs_used)
                .sum(),
            inodes: self.state.namespace.count() as u64,
            blocks: self.state.blocks.count() as u64,
            open_files: self.state.open.count() as u64,
            safe_mode: self.safe_mode.is_on().then(|| self.safe_mode.describe()),
            last_txid: self.state.last_txid,
            uptime_ms: self.now.tick_ms.saturating_sub(self.started_tick_ms),
            nodes,
        }
    }

    /// DataNodes by kind.
    pub(crate) fn datanode_report(&self, filter: DataNodeFilter) -> Reply {
        let wanted = |ix: &NodeIx| {
            let (live, admin) = (self.datanodes.is_live(*ix), self.datanodes.node(*ix).admin);
            match filter {
                DataNodeFilter::All => true,
                DataNodeFilter::Live => live,
                DataNodeFilter::Dead => !live,
                DataNodeFilter::Decommissioning => live && admin == AdminState::DecommissionInProgress,
                DataNodeFilter::EnteringMaintenance => live && admin == AdminState::EnteringMaintenance,
                DataNodeFilter::InMaintenance => admin == AdminState::InMaintenance,
            }
        };
        let nodes = self.datanodes.iter().map(|(ix, _)| ix).filter(wanted);
        Reply::DataNodes(nodes.map(|ix| self.node_status(ix)).collect())
    }

    fn set_balancer_bandwidth(&mut self, caller: &Caller, bytes_per_second: u64) -> Result<Reply, FsError> {
        self.check_superuser_for(caller, "setBalancerBandwidth")?;
        self.tell_bandwidth(bytes_per_second);
        Ok(Reply::Void)
    }

    /// A transaction that changes nothing, so that the log has one to close its segment with.
    fn mark_log(&mut self, caller: &Caller) -> Result<Reply, FsError> {
        self.check_superuser_for(caller, "rollEditLog")?;
        let generation_stamp = self.state.next_generation_stamp - 1;
        self.edit(Edit::UseGenerationStamp(edit::UseGenerationStamp { generation_stamp }));
        Ok(Reply::Number(self.state.last_txid + 1))
    }

    /// The same facts as HDFS's metasave.
    fn meta_save(&self, caller: &Caller) -> Result<Reply, FsError> {
        self.check_superuser_for(caller, "metaSave")?;
        let (live, known) = (self.datanodes.live_count(), self.datanodes.iter().count());
        let (inodes, blocks) = (self.state.namespace.count(), self.state.blocks.count());
        let stats = self.fs_stats();
        let mut lines = vec![
            format!(
                "{inodes} files and directories, {blocks} blocks = {} total",
                inodes + blocks
            ),
            format!("Live Datanodes: {live}"),
            format!("Dead Datanodes: {}", known - live),
            format!(
                "Metasave: Blocks waiting for reconstruction: {}",
                stats.under_replicated
            ),
        ];
        let waiting = self.replication.waiting().take(MAX_LISTED);
        lines.extend(
            waiting
                .filter_map(|id| self.state.blocks.find(id))
                .map(|block| self.waiting_line(block)),
        );
        lines.extend([
            format!("Metasave: Blocks currently missing: {}", stats.missing),
            format!("Metasave: Blocks being reconstructed: {}", stats.pending_copies),
            format!("Metasave: Blocks {} waiting deletion.", stats.pending_deletion),
            format!("Metasave: Number of datanodes: {known}"),
        ]);
        lines.extend(self.datanodes.iter().map(|(ix, _)| self.node_line(ix)));
        lines.push(String::new());
        Ok(Reply::Admin(AdminReply::Text(lines.join("\n"))))
    }

    fn waiting_line(&self, block: &BlockInfo) -> String {
        let census = self.census(block);
        format!(
            "{}: {} (replicas: live: {} decommissioning and decommissioned: {} maintenance: {} corrupt: {})",
            self.state.namespace.path_of(block.file),
            block_of(block),
            census.live,
            census.decommissioning + census.decommissioned,
            census.maintenance,
            self.replication.corrupt_holders(block.id).len()
        )
    }

    fn node_line(&self, ix: NodeIx) -> String {
        let (status, liveness) = (
            self.node_status(ix),
            if self.datanodes.is_live(ix) { "live" } else { "dead" },
        );
        format!(
            "{}:{} {} {:?} {liveness} capacity {} used {} remaining {} blocks {}",
            status.node.ip,
            status.node.xfer_port,
            status.node.rack,
            status.admin,
            status.capacity,
            status.used,
            status.remaining,
            status.blocks
        )
    }

    fn corrupt_files(&self, path: &str, from: BlockId, limit: usize) -> Reply {
        let below = format!("{}/", path.trim_end_matches('/'));
        let mut found = Vec::new();
        let mut next = from.0;
        for id in self.replication.missing_from(from) {
            if found.len() >= limit {
                break;
            }
            next = id.0 + 1;
            let Some(block) = self.state.blocks.find(id) else {
                continue;
            };
            let file = self.state.namespace.path_of(block.file);
            if file == path || file.starts_with(&below) {
                found.push((id.0, file));
            }
        }
        Reply::Admin(AdminReply::CorruptFiles(found, next))
    }
}

/// Used by anything but blocks: as told, else what is neither used by blocks nor free.
fn non_dfs_used(report: &StorageReport) -> u64 {
    let rest = report
        .capacity
        .saturating_sub(report.dfs_used)
        .saturating_sub(report.remaining);
    if report.non_dfs_used > 0 {
        report.non_dfs_used
    } else {
        rest
    }
}
