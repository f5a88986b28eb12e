//! Replicas on this process's own disks, read without a socket.
//!
//! A process that hosts a DataNode hands its replicas in through [`LocalReplicas`]; a process beside one gets them from its domain
//! socket. Descriptors are kept open per (block,
//! generation stamp), and every chunk's checksum is verified the first time that it is read and never again: a
//! finalized replica does not change under one generation stamp, and rot that comes later is the scrubber's to find.

use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use quarry_dfs_wire::block::{BlockId, ExtendedBlock, GenerationStamp};

use crate::error::TransferError;
use crate::local_replica::OpenReplica;

/// A finalized replica's files, opened for reading.
#[derive(Debug)]
pub struct LocalReplica {
    /// The block's bytes.
    pub data: File,
    /// Its checksums, in HDFS's meta file format.
    pub meta: File,
    /// Length of the replica in bytes.
    pub length: u64,
}

/// The replicas of the DataNode that shares this process.
pub trait LocalReplicas: Send + Sync + 'static {
    /// The uuid under which that DataNode is registered: only locations that name it are read locally.
    fn datanode_uuid(&self) -> &str;

    /// Opens a finalized replica; `None` if there is none with exactly that generation stamp. May block on the disk.
    ///
    /// # Errors
    /// When the files are there but cannot be opened.
    fn open(&self, pool: &str, block: BlockId, generation_stamp: GenerationStamp) -> io::Result<Option<LocalReplica>>;
}

/// Replicas kept open: two descriptors each.
const MAX_OPEN_REPLICAS: usize = 256;

/// How long an open replica is used before its DataNode is asked for it again: one that was deleted, or replaced after damage, does
/// not hold its room on the disk for ever. HDFS's clients keep descriptors as long.
const MAX_AGE: Duration = Duration::from_secs(300);

/// Bytes that are read, and if need be verified, on the caller's own thread if they are in memory: some 100 µs of work.
const MAX_AT_HAND: u64 = 1 << 20;

/// Reads local replicas, keeping them open between reads.
pub(crate) struct LocalReads {
    source: Arc<dyn LocalReplicas>,
    verify: bool,
    open: Mutex<HashMap<(BlockId, GenerationStamp), Arc<OpenReplica>>>,
    /// Counts uses; orders the open replicas by their last one.
    clock: AtomicU64,
}

impl fmt::Debug for LocalReads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalReads")
            .field("datanode", &self.source.datanode_uuid())
            .finish_non_exhaustive()
    }
}

impl LocalReads {
    pub(crate) fn new(source: Arc<dyn LocalReplicas>, verify: bool) -> Self {
        Self {
            source,
            verify,
            open: Mutex::new(HashMap::new()),
            clock: AtomicU64::new(0),
        }
    }

    pub(crate) fn datanode_uuid(&self) -> &str {
        self.source.datanode_uuid()
    }

    /// Reads `range` of the block; `None` if this DataNode does not hold it (any more).
    pub(crate) async fn read(
        self: &Arc<Self>,
        block: &ExtendedBlock,
        range: Range<u64>,
    ) -> Result<Option<Bytes>, TransferError> {
        if let Some(bytes) = self.read_at_hand(block, &range) {
            return Ok(Some(bytes));
        }
        let this = Arc::clone(self);
        let block = block.clone();
        let read = move || this.read_blocking(&block, range);
        tokio::task::spawn_blocking(read)
            .await
            .unwrap_or_else(|e| Err(TransferError::Local(io::Error::other(e))))
    }

    /// Reads without waiting for the disk, if the replica is open and the bytes are in memory: a trip to another thread would take longer
    /// than the read.
    fn read_at_hand(&self, block: &ExtendedBlock, range: &Range<u64>) -> Option<Bytes> {
        if range.end.saturating_sub(range.start) > MAX_AT_HAND {
            return None;
        }
        self.opened(block)?.read_at_hand(range)
    }

    fn read_blocking(&self, block: &ExtendedBlock, range: Range<u64>) -> Result<Option<Bytes>, TransferError> {
        let Some(replica) = self.replica(block)? else {
            return Ok(None);
        };
        let read = replica.read(range);
        if read.is_err() {
            self.forget(block);
        }
        read.map(Some)
    }

    /// The replica if it is open, and was opened lately.
    fn opened(&self, block: &ExtendedBlock) -> Option<Arc<OpenReplica>> {
        let open = self.open.lock();
        let replica = open.get(&key(block))?;
        if *replica.pool != *block.pool || replica.opened.elapsed() > MAX_AGE {
            return None;
        }
        replica
            .last_used
            .store(self.clock.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
        Some(Arc::clone(replica))
    }

    fn replica(&self, block: &ExtendedBlock) -> Result<Option<Arc<OpenReplica>>, TransferError> {
        if let Some(open) = self.opened(block) {
            return Ok(Some(open));
        }
        let (id, stamp) = key(block);
        let Some(files) = self.source.open(&block.pool, id, stamp).map_err(TransferError::Local)? else {
            self.forget(block);
            return Ok(None);
        };
        let now = self.clock.fetch_add(1, Ordering::Relaxed);
        let mut replica = OpenReplica::new(&block.pool, files, now, self.verify)?;
        if let Some(before) = self.open.lock().get(&(id, stamp)) {
            replica.inherit(before);
        }
        let replica = Arc::new(replica);
        self.remember((id, stamp), &replica);
        Ok(Some(replica))
    }

    fn remember(&self, key: (BlockId, GenerationStamp), replica: &Arc<OpenReplica>) {
        let mut open = self.open.lock();
        open.retain(|_, replica| replica.opened.elapsed() <= MAX_AGE);
        if open.len() >= MAX_OPEN_REPLICAS {
            let oldest = open
                .iter()
                .min_by_key(|(_, r)| r.last_used.load(Ordering::Relaxed))
                .map(|(key, _)| *key);
            oldest.and_then(|key| open.remove(&key));
        }
        open.insert(key, Arc::clone(replica));
    }

    /// Closes a replica that could not be read, so that a repaired one is opened afresh.
    fn forget(&self, block: &ExtendedBlock) {
        self.open.lock().remove(&key(block));
    }
}

fn key(block: &ExtendedBlock) -> (BlockId, GenerationStamp) {
    (block.block.id, block.block.generation_stamp)
}
