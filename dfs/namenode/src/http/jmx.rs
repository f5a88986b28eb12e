//! `GET /jmx`: the NameNode's figures in the form and under the names of HDFS's beans, for tools that read them there.
//!
//! `qry=NAME` selects beans, `*` at its end standing for anything; `get=NAME::ATTRIBUTE` one attribute. What Quarry does not have (erasure
//! coding, snapshots, encryption zones) counts nothing; what it does not know is left out.

use std::net::{IpAddr, Ipv4Addr};

use hyper::{Response, StatusCode};
use serde_json::{Map, Value, json};

use super::out::Body;
use super::query::Query;
use super::{Shared, response};
use crate::admin::{Administration, caller};
use crate::core::command::{ClusterStatus, DataNodeStatus};
use crate::core::datanodes::AdminState;
use crate::core::error::FsError;
use crate::driver::unix_ms;

type Bean = Map<String, Value>;

/// Answers `/jmx`.
pub(super) async fn serve(shared: &Shared, query: &Query) -> Response<Body> {
    let answer = match beans(&shared.admin).await {
        Ok(beans) => select(beans, query.get("get"), query.get("qry")),
        Err(problem) => failure(&problem.to_string()),
    };
    response(
        StatusCode::OK,
        "application/json; charset=utf8",
        Body::of(format!("{answer:#}\n")),
    )
}

fn failure(message: &str) -> Value {
    json!({ "result": "ERROR", "message": message })
}

fn select(beans: Vec<Bean>, get: Option<&str>, query: Option<&str>) -> Value {
    let Some(get) = get else {
        let query = query.unwrap_or("*:*");
        let chosen: Vec<Bean> = beans.into_iter().filter(|bean| matches(query, name(bean))).collect();
        return json!({ "beans": chosen });
    };
    let Some((wanted, attribute)) = get.split_once("::").filter(|(name, _)| name.contains(':')) else {
        return failure("query format is not as expected.");
    };
    let found: Vec<Bean> = beans
        .into_iter()
        .filter(|bean| name(bean) == wanted)
        .map(|bean| only(bean, attribute))
        .collect();
    json!({ "beans": found })
}

fn name(bean: &Bean) -> &str {
    bean.get("name").and_then(Value::as_str).unwrap_or_default()
}

/// Whether a query such as `Hadoop:service=NameNode,name=*` means the bean.
fn matches(query: &str, name: &str) -> bool {
    match query.strip_suffix('*') {
        Some("*:") => true,
        Some(start) => name.starts_with(start),
        None => query == name,
    }
}

fn only(bean: Bean, attribute: &str) -> Bean {
    let has = bean.contains_key(attribute);
    let keep = |key: &String| ["name", "modelerType", attribute].contains(&key.as_str());
    let mut bean: Bean = bean.into_iter().filter(|(key, _)| keep(key)).collect();
    if !has {
        let message = format!("No attribute with name {attribute} was found.");
        bean.insert("result".to_owned(), "ERROR".into());
        bean.insert("message".to_owned(), message.into());
    }
    bean
}

async fn beans(admin: &Administration) -> Result<Vec<Bean>, FsError> {
    let status = admin.report(caller("", IpAddr::V4(Ipv4Addr::LOCALHOST))).await?;
    let counts = NodeCounts::of(&status);
    Ok([
        ("FSNamesystem", fs_namesystem(&status, &counts)),
        ("FSNamesystemState", fs_namesystem_state(&status, &counts)),
        ("NameNodeInfo", namenode_info(admin, &status)),
        (
            "NameNodeStatus",
            json!({ "State": "active", "NNRole": "NameNode", "SecurityEnabled": false }),
        ),
    ]
    .into_iter()
    .map(|(name, attributes)| bean(name, attributes))
    .collect())
}

fn bean(name: &str, attributes: Value) -> Bean {
    let mut bean = match attributes {
        Value::Object(attributes) => attributes,
        _ => Bean::new(),
    };
    bean.insert("name".to_owned(), format!("Hadoop:service=NameNode,name={name}").into());
    bean.insert("modelerType".to_owned(), name.into());
    bean
}

/// DataNodes by state.
#[derive(Debug, Default)]
struct NodeCounts {
    live: u64,
    dead: u64,
    stale: u64,
    in_service: u64,
    decommissioning: u64,
    decommissioned: [u64; 2],
    in_maintenance: [u64; 2],
    entering_maintenance: u64,
    failed_volumes: u64,
    load: u64,
}

impl NodeCounts {
    fn of(status: &ClusterStatus) -> Self {
        let mut counts = Self::default();
        for node in &status.nodes {
            let dead = usize::from(!node.live);
            counts.live += u64::from(node.live);
            counts.dead += u64::from(!node.live);
            counts.stale += u64::from(node.live && node.stale);
            counts.failed_volumes += u64::from(node.health.failed_volumes);
            counts.load += u64::from(node.active_transfers);
            match node.admin {
                AdminState::Normal => counts.in_service += u64::from(node.live),
                AdminState::DecommissionInProgress => counts.decommissioning += 1,
                AdminState::Decommissioned => counts.decommissioned[dead] += 1,
                AdminState::EnteringMaintenance => counts.entering_maintenance += 1,
                AdminState::InMaintenance => counts.in_maintenance[dead] += 1,
            }
        }
        counts
    }
}

fn fs_namesystem(status: &ClusterStatus, counts: &NodeCounts) -> Value {
    const GIB: f64 = (1_u64 << 30) as f64;
    let stats = &status.stats;
    let gib = |bytes: u64| (bytes as f64 / GIB * 100.0).round() / 100.0;
    let mut bean = shared_attributes(status, counts);
    extend(
        &mut bean,
        json!({
            "tag.HAState": "active",
            "MissingBlocks": stats.missing,
            "MissingReplOneBlocks": stats.missing_one,
            "HighestPriorityLowRedundancyReplicatedBlocks": stats.highest_priority,
            "BadlyDistributedBlocks": stats.badly_distributed,
            "CorruptBlocks": stats.corrupt,
            "CorruptReplicatedBlocks": stats.corrupt,
            "LowRedundancyReplicatedBlocks": stats.under_replicated,
            "MissingReplicatedBlocks": stats.missing,
            "MissingReplicationOneBlocks": stats.missing_one,
            "TotalReplicatedBlocks": status.blocks,
            "PendingDeletionReplicatedBlocks": stats.pending_deletion,
            "CapacityUsedNonDFS": status.non_dfs_used,
            "CapacityTotalGB": gib(stats.capacity),
            "CapacityUsedGB": gib(stats.used),
            "CapacityRemainingGB": gib(stats.remaining),
            "LastWrittenTransactionId": status.last_txid,
            "NumFilesUnderConstruction": status.open_files,
            "StaleDataNodes": counts.stale,
            "TotalECBlockGroups": 0,
            "Snapshots": 0,
            "SnapshottableDirectories": 0,
        }),
    );
    bean
}

fn fs_namesystem_state(status: &ClusterStatus, counts: &NodeCounts) -> Value {
    let mut bean = shared_attributes(status, counts);
    let state = if status.safe_mode.is_some() {
        "safeMode"
    } else {
        "Operational"
    };
    extend(
        &mut bean,
        json!({
            "FSState": state,
            "NumStaleDataNodes": counts.stale,
            "SnapshotStats": "{\"SnapshottableDirectories\":0,\"Snapshots\":0}",
            "MaxObjects": 0,
        }),
    );
    bean
}

/// What both beans of the namesystem have.
fn shared_attributes(status: &ClusterStatus, counts: &NodeCounts) -> Value {
    let stats = &status.stats;
    json!({
        "BlocksTotal": status.blocks,
        "FilesTotal": status.inodes,
        "LowRedundancyBlocks": stats.under_replicated,
        "UnderReplicatedBlocks": stats.under_replicated,
        "PendingReplicationBlocks": stats.pending_copies,
        "PendingReconstructionBlocks": stats.pending_copies,
        "PendingDeletionBlocks": stats.pending_deletion,
        "CapacityTotal": stats.capacity,
        "CapacityUsed": stats.used,
        "CapacityRemaining": stats.remaining,
        "TotalLoad": counts.load,
        "NumLiveDataNodes": counts.live,
        "NumDeadDataNodes": counts.dead,
        "NumInServiceLiveDataNodes": counts.in_service,
        "NumDecommissioningDataNodes": counts.decommissioning,
        "NumDecomLiveDataNodes": counts.decommissioned[0],
        "NumDecomDeadDataNodes": counts.decommissioned[1],
        "NumEnteringMaintenanceDataNodes": counts.entering_maintenance,
        "NumInMaintenanceLiveDataNodes": counts.in_maintenance[0],
        "NumInMaintenanceDeadDataNodes": counts.in_maintenance[1],
        "VolumeFailuresTotal": counts.failed_volumes,
        "NumEncryptionZones": 0,
    })
}

fn extend(bean: &mut Value, more: Value) {
    if let (Value::Object(bean), Value::Object(more)) = (bean, more) {
        bean.extend(more);
    }
}

fn namenode_info(admin: &Administration, status: &ClusterStatus) -> Value {
    const VERSION: &str = env!("CARGO_PKG_VERSION");
    let stats = &status.stats;
    let share = |part: u64| match stats.capacity {
        0 => 0.0,
        whole => part as f64 * 100.0 / whole as f64,
    };
    let nodes = |wanted: fn(&DataNodeStatus) -> bool| {
        let chosen = status.nodes.iter().filter(|node| wanted(node));
        let map: Map<String, Value> = chosen.map(node_entry).collect();
        Value::Object(map).to_string()
    };
    json!({
        "Version": format!("{VERSION} (Quarry)"),
        "SoftwareVersion": VERSION,
        "ClusterId": admin.identity.cluster_id,
        "BlockPoolId": admin.identity.block_pool_id,
        "Safemode": status.safe_mode.clone().unwrap_or_default(),
        "Total": stats.capacity,
        "Used": stats.used,
        "Free": stats.remaining,
        "NonDfsUsedSpace": status.non_dfs_used,
        "PercentUsed": share(stats.used),
        "PercentRemaining": share(stats.remaining),
        "BlockPoolUsedSpace": stats.used,
        "PercentBlockPoolUsed": share(stats.used),
        "TotalBlocks": status.blocks,
        "NumberOfMissingBlocks": stats.missing,
        "NumberOfMissingBlocksWithReplicationFactorOne": stats.missing_one,
        "NumberOfBadlyDistributedBlocks": stats.badly_distributed,
        "HighestPriorityLowRedundancyReplicatedBlocks": stats.highest_priority,
        "NNStartedTimeInMillis": unix_ms().saturating_sub(status.uptime_ms),
        "UpgradeFinalized": true,
        "LiveNodes": nodes(|node| node.live),
        "DeadNodes": nodes(|node| !node.live),
        "DecomNodes": nodes(|node| node.live && node.admin == AdminState::DecommissionInProgress),
        "EnteringMaintenanceNodes": nodes(|node| node.live && node.admin == AdminState::EnteringMaintenance),
    })
}

fn node_entry(node: &DataNodeStatus) -> (String, Value) {
    let (who, xfer) = (&node.node, format!("{}:{}", node.node.ip, node.node.xfer_port));
    let admin = match node.admin {
        AdminState::Normal => "In Service",
        AdminState::DecommissionInProgress => "Decommission In Progress",
        AdminState::Decommissioned => "Decommissioned",
        AdminState::EnteringMaintenance => "Entering Maintenance",
        AdminState::InMaintenance => "In Maintenance",
    };
    let entry = json!({
        "xferaddr": xfer,
        "location": who.rack,
        "uuid": who.uuid,
        "lastContact": node.silent_ms / 1000,
        "adminState": admin,
        "decommissioned": node.admin == AdminState::Decommissioned,
        "capacity": node.capacity,
        "used": node.used,
        "usedSpace": node.used,
        "nonDfsUsedSpace": node.non_dfs_used,
        "remaining": node.remaining,
        "blockPoolUsed": node.used,
        "numBlocks": node.blocks,
        "version": node.software_version,
        "volfails": node.health.failed_volumes,
    });
    (format!("{}:{}", who.hostname, who.xfer_port), entry)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_select_as_hdfs_s() {
        let name = "Hadoop:service=NameNode,name=FSNamesystem";
        for (query, fits) in [
            ("*:*", true),
            (name, true),
            ("Hadoop:*", true),
            ("Hadoop:service=NameNode,name=FSName*", true),
            ("Hadoop:service=NameNode,name=Absent", false),
            ("bad", false),
        ] {
            assert_eq!(matches(query, name), fits, "{query}");
        }
        let one = || vec![bean("FSNamesystem", json!({ "BlocksTotal": 7, "FilesTotal": 1 }))];
        let got = select(one(), Some(&format!("{name}::BlocksTotal")), None);
        assert_eq!(got["beans"][0]["BlocksTotal"], 7);
        assert!(got["beans"][0].get("FilesTotal").is_none());
        let absent = select(one(), Some(&format!("{name}::Nope")), None);
        assert_eq!(absent["beans"][0]["result"], "ERROR");
        assert_eq!(select(one(), Some("nope"), None)["result"], "ERROR");
    }
}
