//! `-blockId`: one block, its file, and the state of each replica.

use std::fmt::Write;

use super::block::Counts;
use crate::core::command::{FsckEntry, FsckReplica};
use crate::core::datanodes::AdminState;

/// The number in a block's name, as `blk_1073741825` or `blk_1073741825_1001.meta`.
pub(super) fn id_of(name: &str) -> Option<u64> {
    let number = name.strip_prefix("blk_")?;
    let end = number.find(|c: char| !c.is_ascii_digit()).unwrap_or(number.len());
    let (number, rest) = number.split_at(end);
    let is_name = rest.is_empty() || rest.starts_with('_');
    number.parse().ok().filter(|_| is_name)
}

/// HDFS's lines about a block of `file`, which has this one block only.
pub(super) fn text(name: &str, file: &FsckEntry) -> String {
    let mut text = format!("Block Id: {name}\nBlock belongs to: {}\n", file.path);
    for block in &file.blocks {
        let counts = Counts::of(block);
        let excess = counts.live.saturating_sub(block.wanted as u64);
        for (what, number) in [
            ("Expected", block.wanted as u64),
            ("live", counts.live),
            ("excess", excess),
            ("stale", counts.stale),
            ("decommissioned", counts.decommissioned),
            ("decommissioning", counts.decommissioning),
        ] {
            let _ = writeln!(text, "No. of {what} Replica: {number}");
        }
        if counts.entering_maintenance + counts.in_maintenance > 0 {
            let _ = writeln!(
                text,
                "No. of entering maintenance Replica: {}",
                counts.entering_maintenance
            );
            let _ = writeln!(text, "No. of in maintenance Replica: {}", counts.in_maintenance);
        }
        let _ = writeln!(text, "No. of corrupted Replica: {}", counts.corrupt);
        for replica in block.replicas.iter().chain(&block.corrupt) {
            let _ = writeln!(
                text,
                "Block replica on datanode/rack: {}{} is {}",
                replica.node.hostname,
                replica.node.rack,
                state(replica)
            );
        }
    }
    text
}

fn state(replica: &FsckReplica) -> &'static str {
    match replica.admin {
        _ if replica.corrupt => "CORRUPT\t ReasonCode: CORRUPTION_REPORTED",
        AdminState::Decommissioned => "DECOMMISSIONED",
        AdminState::DecommissionInProgress => "DECOMMISSIONING",
        AdminState::EnteringMaintenance => "ENTERING MAINTENANCE",
        AdminState::InMaintenance => "IN MAINTENANCE",
        AdminState::Normal if replica.stale => "STALE",
        AdminState::Normal => "HEALTHY",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_blocks() {
        assert_eq!(id_of("blk_1073741825"), Some(1_073_741_825));
        assert_eq!(id_of("blk_7_1001.meta"), Some(7));
        for name in ["nonsense", "blk_", "blk_7x", "7", "blk_99999999999999999999999"] {
            assert_eq!(id_of(name), None, "{name}");
        }
    }
}
