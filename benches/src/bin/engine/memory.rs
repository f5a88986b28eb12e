//! Peak memory of the cluster's processes, as the kernel counts it.

use std::collections::BTreeSet;
use std::fs;

use quarry::local::LocalCluster;

/// Has the kernel count peaks anew from now on. Where it cannot, peaks since the start of the processes remain.
pub(crate) fn reset_peaks(cluster: &LocalCluster) {
    for pid in pids(cluster) {
        // 5: the peak of the resident set. A kernel that does not know it is no reason to measure nothing else.
        let _ = fs::write(format!("/proc/{pid}/clear_refs"), "5");
    }
}

/// Largest resident memory of each of the cluster's processes since the last reset, added up, in bytes; 0 if the system does not say.
///
/// The peaks may have been at different times: the sum is an upper bound.
pub(crate) fn peak_bytes(cluster: &LocalCluster) -> u64 {
    pids(cluster).into_iter().map(peak_of).sum()
}

fn pids(cluster: &LocalCluster) -> BTreeSet<u32> {
    let endpoints = cluster.endpoints();
    let workers = endpoints.workers.iter().map(|worker| worker.pid);
    let datanodes = endpoints.datanodes.iter().map(|datanode| datanode.pid);
    workers
        .chain(datanodes)
        .chain([endpoints.namenode.pid, endpoints.coordinator.pid])
        .collect()
}

fn peak_of(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    peak_in(&status).unwrap_or_default()
}

fn peak_in(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kibibytes << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peak_is_read_from_the_status() {
        assert_eq!(
            peak_in("Name:\tx\nVmHWM:\t    2048 kB\nVmRSS:\t 1024 kB\n"),
            Some(2 << 20)
        );
        assert_eq!(peak_in("Name:\tx\n"), None);
        assert!(peak_of(std::process::id()) > 1 << 20);
    }
}
