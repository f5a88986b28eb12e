//! One block and its replicas: what they count for, and HDFS's words for them.

use std::collections::BTreeSet;

use super::options::Options;
use crate::core::command::{FsckBlock, FsckReplica, StorageType};
use crate::core::datanodes::AdminState;

/// What a block's replicas count for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) live: u64,
    pub(super) decommissioned: u64,
    pub(super) decommissioning: u64,
    pub(super) entering_maintenance: u64,
    pub(super) in_maintenance: u64,
    pub(super) corrupt: u64,
    pub(super) stale: u64,
}

impl Counts {
    /// The replicas of a block.
    pub(super) fn of(block: &FsckBlock) -> Self {
        let mut counts = Self {
            live: block.census.live as u64,
            corrupt: block.corrupt.len() as u64,
            ..Self::default()
        };
        for replica in &block.replicas {
            counts.stale += u64::from(replica.stale);
            match replica.admin {
                AdminState::Normal => {}
                AdminState::Decommissioned => counts.decommissioned += 1,
                AdminState::DecommissionInProgress => counts.decommissioning += 1,
                AdminState::EnteringMaintenance => counts.entering_maintenance += 1,
                AdminState::InMaintenance => counts.in_maintenance += 1,
            }
        }
        counts
    }

    /// Good replicas, wherever.
    pub(super) fn all(&self) -> u64 {
        self.live + self.decommissioned + self.decommissioning + self.entering_maintenance + self.in_maintenance
    }

    /// There are replicas, and all are damaged.
    pub(super) fn is_corrupt(&self) -> bool {
        self.all() == 0 && self.corrupt > 0
    }

    /// There is no replica.
    pub(super) fn is_missing(&self) -> bool {
        self.all() == 0 && self.corrupt == 0
    }
}

/// Why a block's places break the rule of two racks, if they do.
pub(super) fn misplacement(block: &FsckBlock, replication: u16, racks_in_cluster: usize) -> Option<String> {
    if racks_in_cluster < 2 {
        return None;
    }
    let replicas = if block.replicas.is_empty() {
        &block.corrupt
    } else {
        &block.replicas
    };
    let racks: BTreeSet<&str> = replicas.iter().map(|replica| replica.node.rack.as_str()).collect();
    let wanted = usize::from(replication).min(2);
    (racks.len() < wanted && racks.len() < racks_in_cluster).then(|| {
        format!(
            "Block should be additionally replicated on {} more rack(s). Total number of racks in the cluster: {racks_in_cluster}",
            wanted - racks.len()
        )
    })
}

/// The list of a block's replicas, damaged ones included.
pub(super) fn replicas_text(block: &FsckBlock, options: &Options) -> String {
    let all = block.replicas.iter().chain(&block.corrupt);
    let all: Vec<String> = all.map(|replica| replica_text(replica, options)).collect();
    format!("[{}]", all.join(", "))
}

fn replica_text(replica: &FsckReplica, options: &Options) -> String {
    let (node, port) = (&replica.node, replica.node.xfer_port);
    let mut text = if options.racks {
        format!("{}/{}:{port}", node.rack, node.ip)
    } else {
        let kind = storage_type(replica.storage_type);
        format!(
            "DatanodeInfoWithStorage[{}:{port},{},{kind}]",
            node.ip, replica.storage_id
        )
    };
    if options.replica_details {
        text.push_str(&format!("({})", state(replica, options)));
    }
    if options.upgrade_domains {
        text.push_str("(ud=undefined)");
    }
    text
}

fn state(replica: &FsckReplica, options: &Options) -> &'static str {
    match replica.admin {
        AdminState::Decommissioned => "DECOMMISSIONED",
        AdminState::DecommissionInProgress => "DECOMMISSIONING",
        AdminState::EnteringMaintenance if options.maintenance => "ENTERING MAINTENANCE",
        AdminState::InMaintenance if options.maintenance => "IN MAINTENANCE",
        _ if replica.corrupt => "CORRUPT",
        _ if replica.stale => "STALE_NODE",
        _ => "LIVE",
    }
}

/// HDFS's name of a kind of storage.
pub(super) fn storage_type(kind: StorageType) -> &'static str {
    match kind {
        StorageType::Disk => "DISK",
        StorageType::Ssd => "SSD",
        StorageType::Archive => "ARCHIVE",
        StorageType::RamDisk => "RAM_DISK",
    }
}
