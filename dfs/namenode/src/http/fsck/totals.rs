//! The sums of a check and HDFS's summary of them.

use std::fmt::Write;

use serde::Serialize;

use super::super::clock::{float, percent};

/// What does not depend on the path.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct ClusterFacts {
    pub(super) datanodes: usize,
    pub(super) racks: usize,
    pub(super) default_replication: u16,
    pub(super) min_replication: u64,
}

/// Sums over files and blocks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(super) struct Totals {
    pub(super) directories: u64,
    pub(super) files: u64,
    pub(super) bytes: u64,
    pub(super) blocks: u64,
    pub(super) open_files: u64,
    pub(super) open_bytes: u64,
    pub(super) open_blocks: u64,
    pub(super) corrupt_files: u64,
    pub(super) replicas: u64,
    pub(super) expected_replicas: u64,
    pub(super) minimally_replicated: u64,
    pub(super) under_minimum: u64,
    pub(super) over_replicated: u64,
    pub(super) under_replicated: u64,
    pub(super) mis_replicated: u64,
    pub(super) missing_replicas: u64,
    pub(super) missing_blocks: u64,
    pub(super) missing_bytes: u64,
    pub(super) corrupt_blocks: u64,
    pub(super) corrupt_bytes: u64,
    pub(super) decommissioned_replicas: u64,
    pub(super) decommissioning_replicas: u64,
    pub(super) entering_maintenance_replicas: u64,
    pub(super) in_maintenance_replicas: u64,
    pub(super) queued_blocks: u64,
}

/// There is no erasure coding; HDFS shows its figures in any case.
const ERASURE_CODED: &str = "
Erasure Coded Block Groups:
 Total size:\t0 B
 Total files:\t0
 Total block groups (validated):\t0
 Minimally erasure-coded block groups:\t0
 Over-erasure-coded block groups:\t0
 Under-erasure-coded block groups:\t0
 Unsatisfactory placement block groups:\t0
 Average block group size:\t0.0
 Missing block groups:\t\t0
 Corrupt block groups:\t\t0
 Missing internal blocks:\t0
 Blocks queued for replication:\t0
";

impl Totals {
    /// Whether every byte has a good replica.
    pub(super) fn is_healthy(&self) -> bool {
        self.missing_blocks == 0 && self.corrupt_blocks == 0
    }

    /// HDFS's summary.
    pub(super) fn text(&self, cluster: &ClusterFacts) -> String {
        let mut text = format!(
            "\nStatus: {}\n Number of data-nodes:\t{}\n Number of racks:\t\t{}\n Total dirs:\t\t\t{}\n Total symlinks:\t\t0\n",
            if self.is_healthy() { "HEALTHY" } else { "CORRUPT" },
            cluster.datanodes,
            cluster.racks,
            self.directories
        );
        self.sizes(&mut text);
        self.alarm(&mut text, cluster);
        self.replication(&mut text, cluster);
        text.push_str(ERASURE_CODED);
        text
    }

    fn sizes(&self, text: &mut String) {
        let _ = write!(text, "\nReplicated Blocks:\n Total size:\t{} B", self.bytes);
        if self.open_bytes > 0 {
            let _ = write!(text, " (Total open files size: {} B)", self.open_bytes);
        }
        let _ = write!(text, "\n Total files:\t{}", self.files);
        if self.open_files > 0 {
            let _ = write!(text, " (Files currently being written: {})", self.open_files);
        }
        let _ = write!(text, "\n Total blocks (validated):\t{}", self.blocks);
        if let Some(average) = self.bytes.checked_div(self.blocks) {
            let _ = write!(text, " (avg. block size {average} B)");
        }
        if self.open_blocks > 0 {
            let _ = write!(text, " (Total open file blocks (not validated): {})", self.open_blocks);
        }
        text.push('\n');
    }

    fn alarm(&self, text: &mut String, cluster: &ClusterFacts) {
        const STARS: &str = "  ********************************\n";
        if self.corrupt_files == 0 && self.under_minimum == 0 {
            return;
        }
        text.push_str(STARS);
        if self.under_minimum > 0 {
            let share = self.of_blocks(self.under_minimum);
            let _ = writeln!(text, "  UNDER MIN REPL'D BLOCKS:\t{}{share}", self.under_minimum);
            let _ = writeln!(text, "  MINIMAL BLOCK REPLICATION:\t{}", cluster.min_replication);
        }
        if self.corrupt_files > 0 {
            let _ = writeln!(text, "  CORRUPT FILES:\t{}", self.corrupt_files);
            if self.missing_blocks > 0 {
                let (blocks, bytes) = (self.missing_blocks, self.missing_bytes);
                let _ = writeln!(text, "  MISSING BLOCKS:\t{blocks}\n  MISSING SIZE:\t\t{bytes} B");
            }
            if self.corrupt_blocks > 0 {
                let (blocks, bytes) = (self.corrupt_blocks, self.corrupt_bytes);
                let _ = writeln!(text, "  CORRUPT BLOCKS: \t{blocks}\n  CORRUPT SIZE:\t\t{bytes} B");
            }
        }
        text.push_str(STARS);
    }

    fn replication(&self, text: &mut String, cluster: &ClusterFacts) {
        for (name, blocks) in [
            ("Minimally replicated blocks:\t", self.minimally_replicated),
            ("Over-replicated blocks:\t", self.over_replicated),
            ("Under-replicated blocks:\t", self.under_replicated),
            ("Mis-replicated blocks:\t\t", self.mis_replicated),
        ] {
            let _ = writeln!(text, " {name}{blocks}{}", self.of_blocks(blocks));
        }
        let average = match self.blocks {
            0 => 0.0,
            blocks => self.replicas as f32 / blocks as f32,
        };
        let missing = match self.replicas {
            0 => String::new(),
            _ => share(self.missing_replicas, self.expected_replicas),
        };
        let _ = writeln!(text, " Default replication factor:\t{}", cluster.default_replication);
        let _ = writeln!(text, " Average block replication:\t{}", float(average));
        let _ = writeln!(text, " Missing blocks:\t\t{}", self.missing_blocks);
        let _ = writeln!(text, " Corrupt blocks:\t\t{}", self.corrupt_blocks);
        let _ = writeln!(text, " Missing replicas:\t\t{}{missing}", self.missing_replicas);
        for (name, replicas) in [
            ("DecommissionedReplicas", self.decommissioned_replicas),
            ("DecommissioningReplicas", self.decommissioning_replicas),
            ("EnteringMaintenanceReplicas", self.entering_maintenance_replicas),
            ("InMaintenanceReplicas", self.in_maintenance_replicas),
        ] {
            if replicas > 0 {
                let _ = writeln!(text, " {name}:\t{replicas}");
            }
        }
        let _ = writeln!(text, " Blocks queued for replication:\t{}", self.queued_blocks);
    }

    fn of_blocks(&self, part: u64) -> String {
        if self.blocks == 0 {
            return String::new();
        }
        share(part, self.blocks)
    }
}

fn share(part: u64, whole: u64) -> String {
    format!(" ({} %)", float(percent(part, whole)))
}
