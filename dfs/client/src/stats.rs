//! Figures: of reads, where callers attach them, and of a client.

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

/// What a client has done since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClientFigures {
    /// Calls to the NameNode, repetitions after lost connections not counted.
    pub namenode_calls: u64,
    /// How often `complete` had to be asked again. Stays 0 against a Quarry NameNode, which answers once it knows; Apache's
    /// answers "not yet".
    pub complete_repeats: u64,
    /// Write pipelines rebuilt after the loss of a DataNode.
    pub pipeline_recoveries: u64,
    /// Reads that were slow and were given to a second DataNode, too.
    pub hedged_reads: u64,
}
