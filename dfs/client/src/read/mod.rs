//! Reading files: ranges become blocks, each block comes from the best replica that can serve it.

mod block;
mod remote;
mod remote_stream;
mod stream;

use std::ops::Range;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures::{StreamExt, TryStreamExt};
use parking_lot::Mutex;

use crate::error::{Error, Result};
use crate::local::LocalReads;
use crate::location::{BlockLocation, FileBlocks};
use crate::shared::Shared;
use crate::stats::ReadStats;
use block::BlockRead;

/// A file open for reading. Clones are cheap and may read at the same time.
///
/// The reader keeps the locations that it was opened with and asks for others only when all replicas of a block fail. It reads
/// the file that it was opened on: of a file still being written, what its writer had flushed then; if the path
/// holds another file by the time that locations are asked for again, reading ends with [`Error::Replaced`].
#[derive(Clone, Debug)]
pub struct FileReader {
    shared: Arc<Shared>,
    local: Option<Arc<LocalReads>>,
    path: Arc<str>,
    blocks: Arc<Mutex<Arc<FileBlocks>>>,
    stats: Option<Arc<ReadStats>>,
}

impl FileReader {
    pub(crate) fn new(
        shared: Arc<Shared>,
        local: Option<Arc<LocalReads>>,
        path: String,
        blocks: Arc<FileBlocks>,
    ) -> Self {
        Self {
            shared,
            local,
            path: path.into(),
            blocks: Arc::new(Mutex::new(blocks)),
            stats: None,
        }
    }

    /// The same reader, counting what it delivers in `stats`.
    #[must_use]
    pub fn with_stats(self, stats: Arc<ReadStats>) -> Self {
        Self {
            stats: Some(stats),
            ..self
        }
    }

    /// The file's path.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Length of the file in bytes.
    pub fn len(&self) -> u64 {
        self.blocks.lock().length
    }

    /// Whether the file has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The blocks, as last heard of.
    pub fn blocks(&self) -> Arc<FileBlocks> {
        Arc::clone(&self.blocks.lock())
    }

    /// Reads the bytes `range` of the file, every one verified against its checksum. Replicas that fail are passed over
    /// within the call; damaged ones are reported to the NameNode.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] if the range does not lie in the file; [`Error::BlockUnavailable`] if a block has no replica
    /// that can be read, naming each that was tried.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn read_range(&self, range: Range<u64>) -> Result<Bytes> {
        let blocks = self.blocks();
        self.check(&range, blocks.length)?;
        match blocks.overlapping(&range) {
            _ if range.is_empty() => Ok(Bytes::new()),
            [one] => self.read_block(one, range).await,
            several => self.read_blocks(several, range).await,
        }
    }

    fn check(&self, range: &Range<u64>, length: u64) -> Result<()> {
        if range.start <= range.end && range.end <= length {
            return Ok(());
        }
        Err(Error::OutOfRange {
            path: self.path.to_string(),
            start: range.start,
            end: range.end,
            length,
        })
    }

    async fn read_blocks(&self, blocks: &[BlockLocation], range: Range<u64>) -> Result<Bytes> {
        let mut joined = BytesMut::with_capacity((range.end - range.start) as usize);
        // Owned pieces: a stream of futures that borrow makes the caller's future hard to send.
        let pieces: Vec<_> = blocks
            .iter()
            .map(|b| (b.clone(), overlap(&b.range(), &range)))
            .collect();
        let mut reads = futures::stream::iter(pieces)
            .map(|(block, piece)| async move { self.read_block(&block, piece).await })
            .buffered(self.shared.config.read_parallelism)
            .boxed();
        while let Some(bytes) = reads.try_next().await? {
            joined.extend_from_slice(&bytes);
        }
        Ok(joined.freeze())
    }

    async fn read_block(&self, block: &BlockLocation, range: Range<u64>) -> Result<Bytes> {
        let read = self.block_read(block, range);
        match read.run(block).await {
            Err(Error::BlockUnavailable { failures, .. }) => {
                let again = self.refetch(block).await?;
                tracing::warn!(path = %self.path, block = %block.block, %failures, "asked for fresh locations");
                read.run(&again).await
            }
            done => done,
        }
    }

    fn block_read(&self, block: &BlockLocation, range: Range<u64>) -> BlockRead<'_> {
        BlockRead {
            shared: &self.shared,
            local: self.local.as_ref(),
            path: &self.path,
            stats: self.stats.as_deref(),
            range: range.start - block.offset..range.end - block.offset,
        }
    }

    fn count_remote(&self, bytes: usize) {
        self.stats.iter().for_each(|stats| stats.add_remote(bytes as u64));
    }

    /// The block's present locations, for this and later reads.
    async fn refetch(&self, block: &BlockLocation) -> Result<BlockLocation> {
        self.shared.locations.invalidate(&self.path);
        let fresh = Arc::new(self.shared.file_blocks(&self.path).await?);
        let same = fresh
            .blocks
            .iter()
            .find(|b| b.offset == block.offset && b.block.block.id == block.block.block.id);
        let same = same.cloned().ok_or_else(|| Error::Replaced {
            path: self.path.to_string(),
        })?;
        *self.blocks.lock() = fresh;
        Ok(same)
    }
}

fn overlap(a: &Range<u64>, b: &Range<u64>) -> Range<u64> {
    a.start.max(b.start)..a.end.min(b.end)
}
