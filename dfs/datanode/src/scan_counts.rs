//! What the scanners found since the start, for the heartbeats.

use std::sync::atomic::{AtomicU64, Ordering};

use quarry_dfs_wire::proto::dfs_v1::ScanResults;

use crate::jobs::cursor::now_unix_ms;

/// Counters that only grow, and times.
#[derive(Debug, Default)]
pub(crate) struct ScanCounts {
    blocks: AtomicU64,
    bytes: AtomicU64,
    corrupt: AtomicU64,
    last_round_unix_ms: AtomicU64,
    last_directory_scan_unix_ms: AtomicU64,
    directory_mismatches: AtomicU64,
}

impl ScanCounts {
    /// A replica was read and compared.
    pub(crate) fn count(&self, bytes: u64) {
        self.blocks.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// A replica was reported corrupt.
    pub(crate) fn corrupt(&self) {
        self.corrupt.fetch_add(1, Ordering::Relaxed);
    }

    /// A volume's round is over.
    pub(crate) fn end_of_round(&self) {
        self.last_round_unix_ms.store(now_unix_ms(), Ordering::Relaxed);
    }

    /// A directory scan is over and found this many differences.
    pub(crate) fn end_of_directory_scan(&self, differences: u64) {
        self.directory_mismatches.store(differences, Ordering::Relaxed);
        self.last_directory_scan_unix_ms.store(now_unix_ms(), Ordering::Relaxed);
    }

    /// All of it, for the NameNode.
    pub(crate) fn results(&self) -> ScanResults {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        ScanResults {
            blocks_scanned: read(&self.blocks),
            bytes_scanned: read(&self.bytes),
            corrupt_found: read(&self.corrupt),
            last_block_scan_unix_ms: read(&self.last_round_unix_ms),
            last_directory_scan_unix_ms: read(&self.last_directory_scan_unix_ms),
            directory_mismatches: read(&self.directory_mismatches),
        }
    }
}
