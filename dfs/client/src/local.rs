//! Replicas on this process's own disks, read without a socket.
//!
//! A process that hosts a DataNode hands its replicas in through [`LocalReplicas`]. Descriptors are kept open per (block,
//! generation stamp), and every chunk's checksum is verified the first time that it is read and never again: a
//! finalized replica does not change under one generation stamp, and rot that comes later is the scrubber's to find.

use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

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

/// Reads local replicas, keeping them open between reads.
pub(crate) struct LocalReads {
    source: Arc<dyn LocalReplicas>,
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
    pub(crate) fn new(source: Arc<dyn LocalReplicas>) -> Self {
        Self {
            source,
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
        let this = Arc::clone(self);
        let block = block.clone();
        let read = move || this.read_blocking(&block, range);
        tokio::task::spawn_blocking(read)
            .await
            .unwrap_or_else(|e| Err(TransferError::Local(io::Error::other(e))))
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

    fn replica(&self, block: &ExtendedBlock) -> Result<Option<Arc<OpenReplica>>, TransferError> {
        let key = (block.block.id, block.block.generation_stamp);
        let now = self.clock.fetch_add(1, Ordering::Relaxed);
        if let Some(open) = self.open.lock().get(&key)
            && *open.pool == *block.pool
        {
            open.last_used.store(now, Ordering::Relaxed);
            return Ok(Some(Arc::clone(open)));
        }
        let Some(files) = self
            .source
            .open(&block.pool, key.0, key.1)
            .map_err(TransferError::Local)?
        else {
            return Ok(None);
        };
        let replica = Arc::new(OpenReplica::new(&block.pool, files, now)?);
        self.remember(key, &replica);
        Ok(Some(replica))
    }

    fn remember(&self, key: (BlockId, GenerationStamp), replica: &Arc<OpenReplica>) {
        let mut open = self.open.lock();
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
        self.open.lock().remove(&(block.block.id, block.block.generation_stamp));
    }
}
