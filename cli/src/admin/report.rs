//! `report`.

use std::fmt::Write as _;
use std::process::ExitCode;

use clap::Args;
use quarry_dfs_wire::proto::dfs_v1 as pb;
use serde::Serialize;

use super::link::{self, Link};
use super::units::{exact, moment, now, percent};

/// Flags of `report`. Without any, all DataNodes are shown.
#[derive(Debug, Clone, Default, Args)]
pub struct ReportArgs {
    /// DataNodes that the NameNode hears of
    #[arg(long)]
    live: bool,
    /// DataNodes that are gone
    #[arg(long)]
    dead: bool,
    /// DataNodes that are being emptied
    #[arg(long)]
    decommissioning: bool,
    /// DataNodes that are, or soon will be, in maintenance
    #[arg(long)]
    maintenance: bool,
}

/// Shows the cluster's space, blocks and DataNodes.
pub(super) async fn run(link: &mut Link, args: &ReportArgs, json: bool) -> anyhow::Result<ExitCode> {
    let report = fetch(link).await?;
    if json {
        super::print_json(&Cluster::from(&report))?;
    } else {
        print!("{}", text(&report, args, now()));
    }
    Ok(ExitCode::SUCCESS)
}

/// Asks for the report.
///
/// # Errors
/// The NameNode cannot be reached.
pub(super) async fn fetch(link: &mut Link) -> anyhow::Result<pb::ClusterReport> {
    let request = link.request(pb::ReportRequest {})?;
    link::answer(link.service().await?.report(request).await)
}

/// The cluster for scripts. Sizes in bytes.
#[derive(Debug, Serialize)]
struct Cluster {
    cluster_id: String,
    block_pool_id: String,
    safe_mode: bool,
    safe_mode_text: String,
    capacity: u64,
    dfs_used: u64,
    non_dfs_used: u64,
    remaining: u64,
    files_and_directories: u64,
    blocks: u64,
    under_replicated_blocks: u64,
    mis_replicated_blocks: u64,
    corrupt_blocks: u64,
    missing_blocks: u64,
    missing_blocks_replication_one: u64,
    pending_replication_blocks: u64,
    pending_deletion_blocks: u64,
    open_files: u64,
    last_transaction_id: u64,
    uptime_ms: u64,
    http_address: String,
    nodes: Vec<Node>,
}

/// A DataNode for scripts. Sizes in bytes.
#[derive(Debug, Serialize)]
pub(super) struct Node {
    uuid: String,
    address: String,
    hostname: String,
    rack: String,
    liveness: &'static str,
    admin_state: &'static str,
    capacity: u64,
    dfs_used: u64,
    non_dfs_used: u64,
    remaining: u64,
    blocks: u64,
    silent_ms: u64,
    active_transfers: u32,
    under_replicated_blocks: u64,
    out_of_service_only_blocks: u64,
    open_file_blocks: u64,
    maintenance_expires_unix_ms: u64,
    failed_volumes: u32,
    volumes: Vec<Volume>,
}

#[derive(Debug, Serialize)]
struct Volume {
    storage_id: String,
    storage_type: String,
    location: String,
    capacity: u64,
    dfs_used: u64,
    remaining: u64,
    failed: bool,
    blocks: u64,
}

impl From<&pb::ClusterReport> for Cluster {
    fn from(report: &pb::ClusterReport) -> Self {
        Self {
            cluster_id: report.cluster_id.clone(),
            block_pool_id: report.block_pool_id.clone(),
            safe_mode: report.safe_mode,
            safe_mode_text: report.safe_mode_text.clone(),
            capacity: report.capacity,
            dfs_used: report.dfs_used,
            non_dfs_used: report.non_dfs_used,
            remaining: report.remaining,
            files_and_directories: report.files_and_directories,
            blocks: report.blocks,
            under_replicated_blocks: report.under_replicated_blocks,
            mis_replicated_blocks: report.mis_replicated_blocks,
            corrupt_blocks: report.corrupt_blocks,
            missing_blocks: report.missing_blocks,
            missing_blocks_replication_one: report.missing_blocks_replication_one,
            pending_replication_blocks: report.pending_replication_blocks,
            pending_deletion_blocks: report.pending_deletion_blocks,
            open_files: report.open_files,
            last_transaction_id: report.last_transaction_id,
            uptime_ms: report.uptime_ms,
            http_address: report.http_address.clone(),
            nodes: report.nodes.iter().map(Node::from).collect(),
        }
    }
}

impl From<&pb::NodeStatus> for Node {
    fn from(node: &pb::NodeStatus) -> Self {
        let volume = |volume: &pb::VolumeStatus| Volume {
            storage_id: volume.storage_id.clone(),
            storage_type: volume.storage_type.clone(),
            location: volume.location.clone(),
            capacity: volume.capacity,
            dfs_used: volume.dfs_used,
            remaining: volume.remaining,
            failed: volume.failed,
            blocks: volume.blocks,
        };
        Self {
            uuid: node.datanode_uuid.clone(),
            address: address(node),
            hostname: node.hostname.clone(),
            rack: node.rack.clone(),
            liveness: liveness(node),
            admin_state: admin_state(node).0,
            capacity: node.capacity,
            dfs_used: node.dfs_used,
            non_dfs_used: node.non_dfs_used,
            remaining: node.remaining,
            blocks: node.blocks,
            silent_ms: node.silent_ms,
            active_transfers: node.active_transfers,
            under_replicated_blocks: node.under_replicated_blocks,
            out_of_service_only_blocks: node.out_of_service_only_blocks,
            open_file_blocks: node.open_file_blocks,
            maintenance_expires_unix_ms: node.maintenance_expires_unix_ms,
            failed_volumes: node.failed_volumes,
            volumes: node.volumes.iter().map(volume).collect(),
        }
    }
}

/// A node's `ip:port`.
pub(super) fn address(node: &pb::NodeStatus) -> String {
    format!("{}:{}", node.ip, node.xfer_port)
}

/// What the administrator wants of a node: for scripts, and in HDFS's words.
pub(super) fn admin_state(node: &pb::NodeStatus) -> (&'static str, &'static str) {
    match node.admin_state() {
        pb::AdminState::Unspecified | pb::AdminState::Normal => ("normal", "Normal"),
        pb::AdminState::DecommissionInProgress => ("decommission_in_progress", "Decommission in progress"),
        pb::AdminState::Decommissioned => ("decommissioned", "Decommissioned"),
        pb::AdminState::EnteringMaintenance => ("entering_maintenance", "Entering Maintenance"),
        pb::AdminState::InMaintenance => ("in_maintenance", "In Maintenance"),
    }
}

fn liveness(node: &pb::NodeStatus) -> &'static str {
    match node.liveness() {
        pb::Liveness::Unspecified | pb::Liveness::Live => "live",
        pb::Liveness::Stale => "stale",
        pb::Liveness::Lost => "lost",
        pb::Liveness::Dead => "dead",
    }
}

/// The report as text, close to `dfsadmin -report`.
fn text(report: &pb::ClusterReport, args: &ReportArgs, now: u64) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = summary(&mut text, report);
    for (title, wanted) in groups(args) {
        let nodes: Vec<_> = report.nodes.iter().filter(|node| wanted(node)).collect();
        if nodes.is_empty() {
            continue;
        }
        let _ = writeln!(text, "{title} datanodes ({}):\n", nodes.len());
        for node in nodes {
            let _ = node_text(&mut text, node, now);
        }
    }
    text
}

type Wanted = fn(&pb::NodeStatus) -> bool;

fn is_dead(node: &pb::NodeStatus) -> bool {
    matches!(node.liveness(), pb::Liveness::Dead)
}

/// The groups of DataNodes that are asked for.
fn groups(args: &ReportArgs) -> Vec<(&'static str, Wanted)> {
    let all = !(args.live || args.dead || args.decommissioning || args.maintenance);
    let emptied: Wanted = |node| matches!(node.admin_state(), pb::AdminState::DecommissionInProgress);
    let entering: Wanted = |node| matches!(node.admin_state(), pb::AdminState::EnteringMaintenance);
    let away: Wanted = |node| matches!(node.admin_state(), pb::AdminState::InMaintenance);
    let groups: [(bool, &'static str, Wanted); 5] = [
        (args.live, "Live", |node| !is_dead(node)),
        (args.dead, "Dead", is_dead),
        (args.decommissioning, "Decommissioning", emptied),
        (args.maintenance, "Entering maintenance", entering),
        (args.maintenance, "In maintenance", away),
    ];
    let asked = groups.into_iter().filter(|(asked, ..)| *asked || all);
    asked.map(|(_, title, wanted)| (title, wanted)).collect()
}

fn summary(text: &mut String, report: &pb::ClusterReport) -> std::fmt::Result {
    let present = report.dfs_used + report.remaining;
    if report.safe_mode {
        writeln!(text, "Safe mode is ON. {}", report.safe_mode_text)?;
    }
    writeln!(text, "Configured Capacity: {}", exact(report.capacity))?;
    writeln!(text, "Present Capacity: {}", exact(present))?;
    writeln!(text, "DFS Remaining: {}", exact(report.remaining))?;
    writeln!(text, "DFS Used: {}", exact(report.dfs_used))?;
    writeln!(text, "DFS Used%: {}", percent(report.dfs_used, present))?;
    writeln!(text, "Files and directories: {}", report.files_and_directories)?;
    writeln!(text, "Files open for writing: {}", report.open_files)?;
    writeln!(text, "Replicated Blocks:")?;
    for (name, count) in [
        ("Blocks", report.blocks),
        ("Under replicated blocks", report.under_replicated_blocks),
        ("Mis-replicated blocks", report.mis_replicated_blocks),
        ("Blocks with corrupt replicas", report.corrupt_blocks),
        ("Missing blocks", report.missing_blocks),
        (
            "Missing blocks (with replication factor 1)",
            report.missing_blocks_replication_one,
        ),
        ("Pending replication blocks", report.pending_replication_blocks),
        ("Pending deletion blocks", report.pending_deletion_blocks),
    ] {
        writeln!(text, "\t{name}: {count}")?;
    }
    writeln!(text, "\n-------------------------------------------------")
}

fn node_text(text: &mut String, node: &pb::NodeStatus, now: u64) -> std::fmt::Result {
    writeln!(text, "Name: {} ({})", address(node), node.hostname)?;
    writeln!(text, "Hostname: {}", node.hostname)?;
    if !node.rack.is_empty() && node.rack != "/default-rack" {
        writeln!(text, "Rack: {}", node.rack)?;
    }
    writeln!(text, "Decommission Status : {}", admin_state(node).1)?;
    match node.liveness() {
        pb::Liveness::Stale => writeln!(text, "State: stale, silent for {} s", node.silent_ms / 1000)?,
        pb::Liveness::Lost => writeln!(text, "State: its connection is lost, for {} s", node.silent_ms / 1000)?,
        _ => {}
    }
    writeln!(text, "Configured Capacity: {}", exact(node.capacity))?;
    writeln!(text, "DFS Used: {}", exact(node.dfs_used))?;
    writeln!(text, "Non DFS Used: {}", exact(node.non_dfs_used))?;
    writeln!(text, "DFS Remaining: {}", exact(node.remaining))?;
    writeln!(text, "DFS Used%: {}", percent(node.dfs_used, node.capacity))?;
    writeln!(text, "DFS Remaining%: {}", percent(node.remaining, node.capacity))?;
    writeln!(text, "Xceivers: {}", node.active_transfers)?;
    writeln!(text, "Last contact: {}", moment(now.saturating_sub(node.silent_ms)))?;
    match node.last_block_report_unix_ms {
        0 => writeln!(text, "Last Block Report: Never")?,
        at => writeln!(text, "Last Block Report: {}", moment(at))?,
    }
    writeln!(text, "Num of Blocks: {}", node.blocks)?;
    if node.failed_volumes > 0 {
        let where_ = node.failed_volume_locations.join(", ");
        writeln!(text, "Failed volumes: {} ({where_})", node.failed_volumes)?;
    }
    if node.volumes.len() > 1 {
        for volume in &node.volumes {
            let (used, whole) = (exact(volume.dfs_used), exact(volume.capacity));
            let failed = if volume.failed { ", failed" } else { "" };
            writeln!(
                text,
                "\t{} [{}]: {used} of {whole}{failed}",
                volume.location, volume.storage_type
            )?;
        }
    }
    if matches!(
        node.admin_state(),
        pb::AdminState::DecommissionInProgress | pb::AdminState::EnteringMaintenance
    ) {
        writeln!(text, "Blocks still to be copied: {}", node.under_replicated_blocks)?;
        writeln!(
            text,
            "Blocks only on nodes that leave: {}",
            node.out_of_service_only_blocks
        )?;
        writeln!(text, "Blocks of open files: {}", node.open_file_blocks)?;
    }
    writeln!(text, "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> pb::ClusterReport {
        let node = |port: u32, liveness: pb::Liveness, state: pb::AdminState| pb::NodeStatus {
            ip: "10.0.0.1".into(),
            hostname: "one".into(),
            xfer_port: port,
            rack: "/r1".into(),
            liveness: liveness.into(),
            admin_state: state.into(),
            capacity: 100 << 30,
            dfs_used: 25 << 30,
            remaining: 50 << 30,
            blocks: 7,
            under_replicated_blocks: 3,
            ..pb::NodeStatus::default()
        };
        pb::ClusterReport {
            capacity: 100 << 30,
            dfs_used: 25 << 30,
            remaining: 75 << 30,
            missing_blocks: 2,
            nodes: vec![
                node(1, pb::Liveness::Live, pb::AdminState::DecommissionInProgress),
                node(2, pb::Liveness::Dead, pb::AdminState::Normal),
            ],
            ..pb::ClusterReport::default()
        }
    }

    #[test]
    fn the_report_reads_like_dfsadmin_s() {
        let text = text(&report(), &ReportArgs::default(), 0);
        assert!(
            text.starts_with("Configured Capacity: 107374182400 (100 GB)\nPresent Capacity: "),
            "{text}"
        );
        for line in [
            "DFS Used%: 25.00%",
            "\tMissing blocks: 2",
            "Live datanodes (1):",
            "Dead datanodes (1):",
            "Decommissioning datanodes (1):",
            "Name: 10.0.0.1:1 (one)",
            "Rack: /r1",
            "Decommission Status : Decommission in progress",
            "Blocks still to be copied: 3",
            "Last Block Report: Never",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}: {text}");
        }
    }

    #[test]
    fn one_group_can_be_asked_for() {
        let args = ReportArgs {
            dead: true,
            ..ReportArgs::default()
        };
        let text = text(&report(), &args, 0);
        assert!(
            text.contains("Dead datanodes (1)") && !text.contains("Live datanodes"),
            "{text}"
        );
    }

    #[test]
    fn scripts_get_names_for_states() {
        let json = serde_json::to_value(Cluster::from(&report())).unwrap_or_default();
        assert_eq!(json["nodes"][0]["admin_state"], "decommission_in_progress");
        assert_eq!(json["nodes"][1]["liveness"], "dead");
        assert_eq!(json["missing_blocks"], 2);
    }
}
