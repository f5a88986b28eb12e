//! What a query did: the figures that `EXPLAIN ANALYZE`, the shell and the query record all read.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Metric name under which a scan counts bytes that it read from replicas of its own node.
pub const LOCAL_BYTES: &str = "local_bytes";
/// Metric name under which a scan counts bytes that came over a socket.
pub const REMOTE_BYTES: &str = "remote_bytes";

/// Figures of one attempt at a query.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct QueryFigures {
    /// From `execute` to the end of the stream (or until now, while it runs).
    pub elapsed: Duration,
    /// Rows that left the head stage.
    pub rows: u64,
    /// One entry per scan of the plan, in plan order.
    pub scans: Vec<ScanFigures>,
    /// Stages that ran on workers; empty if the coordinator ran the whole plan.
    pub stages: Vec<StageFigures>,
    /// False if some task's figures did not arrive in time (its worker was lost, or the query was cancelled).
    pub complete: bool,
}

/// Figures of one scan, over all of its tasks.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ScanFigures {
    /// Directory or file that was scanned, as the table's location names it.
    pub table: String,
    /// Rows that left the scan.
    pub rows: u64,
    /// Longest time that one task spent in the scan.
    pub elapsed: Duration,
    /// Bytes read from replicas of the node that ran the task.
    pub local_bytes: u64,
    /// Bytes read over a socket.
    pub remote_bytes: u64,
    /// Bytes of the file ranges given to workers that hold a replica of them, as planned.
    pub planned_local_bytes: u64,
    /// Bytes of all file ranges, as planned.
    pub planned_bytes: u64,
    /// One entry per task.
    pub tasks: Vec<ScanTaskFigures>,
}

/// One task's part of a scan.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ScanTaskFigures {
    /// Address of the worker, or `coordinator`.
    pub worker: String,
    /// Splits that placement gave to this task.
    pub splits: u64,
    /// Rows that left the scan in this task.
    pub rows: u64,
    /// Bytes read from the worker's own node.
    pub local_bytes: u64,
    /// Bytes read over a socket.
    pub remote_bytes: u64,
}

/// Where one stage ran.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StageFigures {
    /// Number of the stage as `EXPLAIN` prints it.
    pub stage: u64,
    /// Address of the worker of each task, in task order.
    pub workers: Vec<String>,
}

impl QueryFigures {
    /// Bytes that all scans read from replicas of the node that ran them.
    #[must_use]
    pub fn local_bytes(&self) -> u64 {
        self.scans.iter().map(|scan| scan.local_bytes).sum()
    }

    /// Bytes that all scans read over a socket.
    #[must_use]
    pub fn remote_bytes(&self) -> u64 {
        self.scans.iter().map(|scan| scan.remote_bytes).sum()
    }

    /// Share of the scanned bytes that was local, between 0 and 1; `None` if nothing was read.
    #[must_use]
    pub fn local_share(&self) -> Option<f64> {
        share(self.local_bytes(), self.remote_bytes())
    }
}

impl ScanFigures {
    /// Share of the scan's bytes that was local, between 0 and 1; `None` if nothing was read.
    #[must_use]
    pub fn local_share(&self) -> Option<f64> {
        share(self.local_bytes, self.remote_bytes)
    }
}

fn share(local: u64, remote: u64) -> Option<f64> {
    let total = local + remote;
    (total > 0).then(|| local as f64 / total as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_share_is_over_all_scans() {
        let scan = |local_bytes, remote_bytes| ScanFigures {
            local_bytes,
            remote_bytes,
            ..ScanFigures::default()
        };
        let figures = QueryFigures {
            scans: vec![scan(90, 0), scan(0, 10)],
            ..QueryFigures::default()
        };
        assert_eq!(figures.local_share(), Some(0.9));
        assert_eq!(figures.scans[0].local_share(), Some(1.0));
    }

    #[test]
    fn nothing_read_has_no_share() {
        assert_eq!(QueryFigures::default().local_share(), None);
    }
}
