//! Reading a file from one place to another, piece after piece.
//!
//! A block comes from one replica in one go. When that fails in the middle, the next piece is read as a range, which knows what to do
//! about failures: other replicas, reports, fresh locations; after it another replica streams the rest.

use std::ops::Range;

use bytes::Bytes;
use futures::Stream;

use super::FileReader;
use super::remote_stream::RemoteStream;
use crate::error::Result;
use crate::location::BlockLocation;

/// Bytes of a piece that is not a DataNode's packet.
const PIECE: u64 = 1 << 20;
/// Shorter ranges are read at once: opening a stream would not pay.
const SHORT: u64 = 64 << 10;

struct State {
    reader: FileReader,
    rest: Range<u64>,
    /// The rest of a block under way, and where the block begins in the file.
    remote: Option<(u64, RemoteStream)>,
}

impl FileReader {
    /// The bytes of `range` in order, in pieces of about 1 MiB, each verified; a DataNode runs ahead of the consumer by what its socket
    /// holds. Failures are survived as in [`Self::read_range`]; dropping the stream ends the read.
    ///
    /// # Errors
    /// Those of [`Self::read_range`]; the stream ends with the first.
    pub fn stream(&self, range: Range<u64>) -> impl Stream<Item = Result<Bytes>> + Send + 'static {
        let state = State {
            reader: self.clone(),
            rest: range,
            remote: None,
        };
        futures::stream::try_unfold(state, State::next)
    }
}

impl State {
    async fn next(mut self) -> Result<Option<(Bytes, Self)>> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let bytes = match self.streamed().await {
            Some(bytes) => bytes,
            None => self.ranged().await?,
        };
        self.rest.start += bytes.len() as u64;
        Ok(Some((bytes, self)))
    }

    /// The next bytes of the stream that is open or can be opened.
    async fn streamed(&mut self) -> Option<Bytes> {
        if self.remote.is_none() {
            self.remote = self.open().await;
        }
        let (offset, remote) = self.remote.take()?;
        debug_assert_eq!(offset + remote.position(), self.rest.start);
        let node = std::sync::Arc::clone(&remote.node);
        match remote.next().await {
            Ok((bytes, rest)) => {
                self.reader.count_remote(bytes.len());
                self.remote = rest.map(|remote| (offset, remote));
                Some(bytes)
            }
            Err(reason) => {
                let block = self.block()?;
                self.reader
                    .block_read(&block, self.rest.start..self.rest.start)
                    .learn(&block, &node, &reason);
                None
            }
        }
    }

    /// A stream of the rest of the block from its best replica, unless that is read without TCP or the rest is short.
    async fn open(&self) -> Option<(u64, RemoteStream)> {
        let block = self.block()?;
        let range = self.rest.start..self.rest.end.min(block.range().end);
        if range.end - range.start <= SHORT {
            return None;
        }
        let read = self.reader.block_read(&block, range);
        let node = *read.by_preference(&block).first()?;
        if read.local(node).is_some() {
            return None;
        }
        match RemoteStream::open(&self.reader.shared, &block, node, read.range.clone()).await {
            Ok(stream) => Some((block.offset, stream)),
            Err(reason) => {
                read.learn(&block, node, &reason);
                None
            }
        }
    }

    fn block(&self) -> Option<BlockLocation> {
        let blocks = self.reader.blocks();
        blocks
            .overlapping(&(self.rest.start..self.rest.start + 1))
            .first()
            .cloned()
    }

    async fn ranged(&self) -> Result<Bytes> {
        let piece_end = self.rest.end.min(self.rest.start + PIECE);
        let block_end = self.block().map_or(piece_end, |block| block.range().end);
        self.reader.read_range(self.rest.start..piece_end.min(block_end)).await
    }
}
