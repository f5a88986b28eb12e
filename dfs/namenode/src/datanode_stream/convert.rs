//! Between the link's messages and the core's values. The one check of what DataNodes send.

use std::net::IpAddr;

use quarry_dfs_wire::block::{Block, BlockId, GenerationStamp};
use quarry_dfs_wire::proto::dfs_v1::{self as proto, from_data_node, to_data_node};
use tonic::Status;

use crate::core::command::{
    DataNodeMessage, Location, Order, Registration, ReplicaChange, ReplicaNews, ReplicaState, ReportedReplica,
    StorageReport, StorageType,
};
use crate::core::datanodes::{DEFAULT_RACK, DataNodeDescriptor, NodeHealth};

/// Longest name that a DataNode may use for itself, its volumes or its rack.
const MAX_NAME: usize = 255;
/// Most volumes of one DataNode.
const MAX_STORAGES: usize = 1024;

fn bad(problem: String) -> Status {
    Status::invalid_argument(problem)
}

fn name(what: &str, text: String) -> Result<String, Status> {
    if text.is_empty() || text.len() > MAX_NAME || text.chars().any(char::is_control) {
        return Err(bad(format!("{what}: expected 1 to {MAX_NAME} printable bytes")));
    }
    Ok(text)
}

fn port(what: &str, number: u32) -> Result<u16, Status> {
    u16::try_from(number).map_err(|_| bad(format!("{what}: {number} is no port")))
}

/// Checks an introduction.
pub(super) fn registration(register: proto::Register) -> Result<Registration, Status> {
    let ip: IpAddr = register
        .ip
        .parse()
        .map_err(|_| bad(format!("ip: {:?} is no IP address", register.ip)))?;
    let rack = register.network_location.trim_end_matches('/');
    let rack = if rack.is_empty() { DEFAULT_RACK } else { rack };
    if !rack.starts_with('/') || rack.len() > MAX_NAME {
        return Err(bad(format!(
            "network_location: {rack:?}: expected a path such as /rack1"
        )));
    }
    let descriptor = DataNodeDescriptor {
        uuid: name("datanode_uuid", register.datanode_uuid)?,
        ip: ip.to_string(),
        hostname: name("hostname", register.hostname)?,
        xfer_port: port("xfer_port", register.xfer_port)?,
        ipc_port: port("ipc_port", register.ipc_port)?,
        rack: rack.to_owned(),
    };
    Ok(Registration {
        descriptor,
        storages: storages(register.storages)?,
        software_version: limited(register.software_version),
    })
}

fn storages(storages: Vec<proto::Storage>) -> Result<Vec<StorageReport>, Status> {
    if storages.len() > MAX_STORAGES {
        return Err(bad(format!(
            "{} storages: expected at most {MAX_STORAGES}",
            storages.len()
        )));
    }
    let report = |storage: proto::Storage| {
        Ok(StorageReport {
            storage_id: name("storage_id", storage.storage_id)?,
            // Sums over a cluster must not overflow: no volume has more than 2^48 bytes.
            capacity: storage.capacity.min(1 << 48),
            dfs_used: storage.dfs_used.min(1 << 48),
            remaining: storage.remaining.min(1 << 48),
            failed: storage.failed,
            storage_type: storage_type(storage.storage_type),
            non_dfs_used: storage.non_dfs_used.min(1 << 48),
            location: limited(storage.location),
        })
    };
    storages.into_iter().map(report).collect()
}

/// A text for reports only: cut rather than refused.
fn limited(text: String) -> String {
    text.chars().filter(|c| !c.is_control()).take(MAX_NAME).collect()
}

fn storage_type(number: i32) -> StorageType {
    match proto::StorageType::try_from(number) {
        Ok(proto::StorageType::Ssd) => StorageType::Ssd,
        Ok(proto::StorageType::Archive) => StorageType::Archive,
        Ok(proto::StorageType::RamDisk) => StorageType::RamDisk,
        _ => StorageType::Disk,
    }
}

fn health(heartbeat: &mut proto::Heartbeat) -> NodeHealth {
    let failures = heartbeat.volume_failures.take().unwrap_or_default();
    let scan = heartbeat.scan_results.take().unwrap_or_default();
    NodeHealth {
        xceivers: heartbeat.xceiver_count.min(1 << 20),
        failed_volumes: failures.count,
        failed_locations: failures
            .failed_locations
            .into_iter()
            .take(MAX_STORAGES)
            .map(limited)
            .collect(),
        last_failure_unix_ms: failures.last_failure_unix_ms.min(i64::MAX as u64),
        capacity_lost: failures.capacity_lost.min(1 << 48),
        corrupt_found: scan.corrupt_found,
        last_scan_unix_ms: scan.last_block_scan_unix_ms.min(i64::MAX as u64),
    }
}

fn replica(replica: proto::Replica) -> Result<ReportedReplica, Status> {
    if replica.length > i64::MAX as u64 {
        return Err(bad(format!(
            "block {}: length {} is not below 2^63",
            replica.block_id, replica.length
        )));
    }
    let state = match replica.state() {
        proto::ReplicaState::Finalized => ReplicaState::Finalized,
        proto::ReplicaState::Rbw => ReplicaState::Rbw,
        proto::ReplicaState::Rwr => ReplicaState::Rwr,
        proto::ReplicaState::Unspecified => {
            return Err(bad(format!("block {}: its state is not known", replica.block_id)));
        }
    };
    let block = Block {
        id: BlockId(replica.block_id),
        generation_stamp: GenerationStamp(replica.generation_stamp),
        length: replica.length,
    };
    Ok(ReportedReplica { block, state })
}

fn change(event: proto::ReplicaEvent) -> Result<ReplicaNews, Status> {
    let change = match event.change() {
        proto::ReplicaChange::Receiving => ReplicaChange::Receiving,
        proto::ReplicaChange::Received => ReplicaChange::Received,
        proto::ReplicaChange::Deleted => ReplicaChange::Deleted,
        proto::ReplicaChange::Corrupt => ReplicaChange::Corrupt,
        proto::ReplicaChange::Unspecified => return Err(bad("a replica event of unknown kind".to_owned())),
    };
    let mut about = event
        .replica
        .ok_or_else(|| bad("a replica event without replica".to_owned()))?;
    if about.state() == proto::ReplicaState::Unspecified {
        // The kind of change says all that matters.
        about.set_state(proto::ReplicaState::Finalized);
    }
    Ok(ReplicaNews {
        storage_id: event.storage_id,
        change,
        replica: replica(about)?,
        delete_hint: event.delete_hint,
    })
}

/// Checks a message after the introduction; with the sequence number to acknowledge, if it has one.
pub(super) fn message(message: from_data_node::Message) -> Result<(DataNodeMessage, Option<u64>), Status> {
    Ok(match message {
        from_data_node::Message::Register(_) => return Err(bad("Register came a second time".to_owned())),
        from_data_node::Message::Heartbeat(mut heartbeat) => {
            let health = health(&mut heartbeat);
            let active_transfers = heartbeat.active_transfers.min(1 << 20);
            (
                DataNodeMessage::Heartbeat {
                    storages: storages(heartbeat.storages)?,
                    active_transfers,
                    health,
                },
                None,
            )
        }
        from_data_node::Message::BlockReport(report) => {
            let changes: Result<_, _> = report.events.into_iter().map(change).collect();
            (DataNodeMessage::Changes(changes?), Some(report.sequence))
        }
        from_data_node::Message::FullBlockReport(report) => {
            let replicas: Result<_, _> = report.replicas.into_iter().map(replica).collect();
            let (storage_id, last_part) = (report.storage_id, report.last_part);
            (
                DataNodeMessage::FullReport {
                    storage_id,
                    replicas: replicas?,
                    last_part,
                },
                Some(report.sequence),
            )
        }
        from_data_node::Message::VolumesChecked(checked) => {
            let (sequence, verified) = (checked.sequence, checked.blocks_verified);
            (DataNodeMessage::VolumesChecked { sequence, verified }, None)
        }
        from_data_node::Message::CopyFailed(failed) => {
            let block = BlockId(failed.block_id);
            (DataNodeMessage::CopyFailed { block }, None)
        }
        from_data_node::Message::RecoveryResult(result) => {
            let recovered = DataNodeMessage::Recovered {
                block: BlockId(result.block_id),
                generation_stamp: GenerationStamp(result.new_generation_stamp),
                length: result.length,
                holders: result.datanode_uuids,
                error: result.error,
            };
            (recovered, None)
        }
    })
}

fn target(location: Location) -> proto::Target {
    let node = location.node;
    proto::Target {
        datanode_uuid: node.uuid.clone(),
        ip: node.ip.clone(),
        hostname: node.hostname.clone(),
        xfer_port: node.xfer_port.into(),
        ipc_port: node.ipc_port.into(),
        storage_id: location.storage_id.to_string(),
    }
}

/// An order on the wire. `Close` is no message: the session itself acts on it.
pub(super) fn order(order: Order) -> to_data_node::Message {
    match order {
        Order::Replicate {
            block,
            targets,
            bytes_per_second,
            balancing,
        } => to_data_node::Message::ReplicateBlock(proto::ReplicateBlock {
            block: Some(block.into()),
            targets: targets.into_iter().map(target).collect(),
            bytes_per_second,
            balancing,
        }),
        Order::CheckVolumes { sequence, budget_ms } => {
            to_data_node::Message::CheckVolumes(proto::CheckVolumes { sequence, budget_ms })
        }
        Order::SetBandwidth { balancing } => to_data_node::Message::SetBandwidth(proto::SetBandwidth {
            balancing_bytes_per_second: balancing,
        }),
        Order::Delete { blocks } => to_data_node::Message::DeleteReplicas(proto::DeleteReplicas {
            blocks: blocks.into_iter().map(Into::into).collect(),
        }),
        Order::Recover {
            block,
            new_generation_stamp,
            holders,
            truncate_length,
        } => to_data_node::Message::RecoverBlock(proto::RecoverBlock {
            block: Some(block.into()),
            new_generation_stamp: new_generation_stamp.0,
            holders: holders.into_iter().map(target).collect(),
            truncate_length,
            ..Default::default()
        }),
        Order::SendFullReport => to_data_node::Message::SendFullBlockReport(proto::SendFullBlockReport {}),
        Order::Close { reason } => to_data_node::Message::Refused(proto::Refused { reason }),
    }
}
