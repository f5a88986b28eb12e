//! Figures that callers attach to their reads.

use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes delivered to the caller, by where they came from. Share one between all the readers whose sum is wanted.
///
/// Only delivered bytes count: what a failed replica sent before the read moved on does not.
#[derive(Debug, Default)]
pub struct ReadStats {
    local: AtomicU64,
    remote: AtomicU64,
}

impl ReadStats {
    /// Bytes read from replicas on this process's own disks, without a socket.
    pub fn local_bytes(&self) -> u64 {
        self.local.load(Ordering::Relaxed)
    }

    /// Bytes that a DataNode sent over a socket.
    pub fn remote_bytes(&self) -> u64 {
        self.remote.load(Ordering::Relaxed)
    }

    pub(crate) fn add_local(&self, bytes: u64) {
        self.local.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn add_remote(&self, bytes: u64) {
        self.remote.fetch_add(bytes, Ordering::Relaxed);
    }
}
