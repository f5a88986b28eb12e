//! Reading a replica: whole chunks with their stored checksums.

use std::fs::File;
use std::io::{self, IoSliceMut};
use std::ops::Range;
use std::os::unix::fs::FileExt;

use quarry_dfs_wire::checksum::{ChecksumError, DataChecksum};
use rustix::io::{ReadWriteFlags, preadv2};

use super::chunks::Chunks;

/// Bytes read at a time only to have them in the page cache.
const CACHE_STEP: usize = 256 << 10;

/// An opened replica. The files stay readable when the replica is moved or removed.
#[derive(Debug)]
pub(crate) struct ReadableReplica {
    /// The block's bytes.
    pub(crate) data: File,
    /// Their checksums.
    pub(crate) meta: File,
    /// Bytes that may be read.
    pub(crate) length: u64,
    /// How the stored checksums are computed.
    pub(crate) checksum: DataChecksum,
    /// Checksum of the last, incomplete chunk at `length`; `None`: the one in the file is right.
    pub(crate) tail: Option<u32>,
}

/// Why bytes could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    /// The files are shorter than they must be, or damaged.
    #[error("replica is damaged: {0}")]
    Damaged(String),
    /// The disk refused.
    #[error(transparent)]
    Io(io::Error),
}

impl From<ChecksumError> for ReadError {
    fn from(error: ChecksumError) -> Self {
        Self::Damaged(error.to_string())
    }
}

impl ReadableReplica {
    /// The chunks' geometry.
    pub(crate) fn chunks(&self) -> Chunks {
        Chunks::new(self.checksum)
    }

    /// Appends the bytes from `start` to `end` to `data`.
    pub(crate) fn read_data(&self, start: u64, end: u64, data: &mut Vec<u8>) -> Result<(), ReadError> {
        read_at(&self.data, start, (end - start) as usize, data, "data")
    }

    /// Appends the checksums of the bytes from `start` to `end` to `sums`. `start` begins a chunk; `end` ends one or is the
    /// replica's length.
    pub(crate) fn read_sums(&self, start: u64, end: u64, sums: &mut Vec<u8>) -> Result<(), ReadError> {
        let chunks = self.chunks();
        let length = self.checksum.checksums_length(end - start) as usize;
        read_at(&self.meta, chunks.meta_position(start), length, sums, "checksum")?;
        let ends_in_tail = end == self.length && !end.is_multiple_of(chunks.size());
        if let (Some(tail), true, true) = (self.tail, ends_in_tail, length > 0)
            && let Some(last) = sums.last_chunk_mut::<4>()
        {
            *last = tail.to_be_bytes();
        }
        Ok(())
    }

    /// Whether the bytes of `range` are probably in the page cache: the first and the last are.
    pub(crate) fn is_cached(&self, range: Range<u64>) -> bool {
        let at = |offset: u64| {
            let mut byte = [0];
            let read = preadv2(
                &self.data,
                &mut [IoSliceMut::new(&mut byte)],
                offset,
                ReadWriteFlags::NOWAIT,
            );
            read == Ok(1)
        };
        range.is_empty() || at(range.start) && at(range.end - 1)
    }

    /// Brings the bytes of `range` and their checksums into the page cache. Waits for the disk.
    pub(crate) fn cache(&self, range: Range<u64>) -> Result<(), ReadError> {
        let mut scratch = vec![0; CACHE_STEP];
        let mut at = range.start;
        while at < range.end {
            let length = (range.end - at).min(CACHE_STEP as u64) as usize;
            match self.data.read_at(&mut scratch[..length], at) {
                Ok(0) => return Ok(()), // whoever sends the bytes finds out
                Ok(read) => at += read as u64,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(ReadError::Io(error)),
            }
        }
        self.read_sums(range.start, range.end, &mut Vec::new())
    }

    /// Reads and verifies everything, `span` bytes at a time (rounded down to chunks, at least one).
    pub(crate) fn verify(&self, span: u64) -> Result<(), ReadError> {
        let mut at = 0;
        while at < self.length {
            at = self.verify_from(at, span)?;
        }
        Ok(())
    }

    /// Reads and verifies `span` bytes from `at` on, which begins a chunk (rounded as in [`Self::verify`]). Answers where the
    /// next span begins.
    pub(crate) fn verify_from(&self, at: u64, span: u64) -> Result<u64, ReadError> {
        let span = self.chunks().floor(span).max(self.chunks().size());
        let end = self.length.min(at + span);
        let (mut data, mut sums) = (Vec::new(), Vec::new());
        self.read_data(at, end, &mut data)?;
        self.read_sums(at, end, &mut sums)?;
        self.checksum.verify(&data, &sums, at)?;
        Ok(end)
    }

    /// The checksums of the block's first `length` bytes; that of a chunk cut by `length` is computed anew, from bytes that
    /// match the stored one.
    pub(crate) fn sums_of_prefix(&self, length: u64) -> Result<Vec<u8>, ReadError> {
        let chunks = self.chunks();
        let whole = if length == self.length {
            length
        } else {
            chunks.floor(length)
        };
        let mut sums = Vec::new();
        self.read_sums(0, whole, &mut sums)?;
        if whole < length && chunks.sum_size() != 0 {
            sums.extend_from_slice(&self.cut_chunk_sum(whole, length)?.to_be_bytes());
        }
        Ok(sums)
    }

    /// The checksum of the bytes from `start`, which begins a chunk, to `cut` in it.
    pub(crate) fn cut_chunk_sum(&self, start: u64, cut: u64) -> Result<u32, ReadError> {
        let end = self.length.min(start + self.chunks().size());
        let (mut data, mut sums) = (Vec::new(), Vec::new());
        self.read_data(start, end, &mut data)?;
        self.read_sums(start, end, &mut sums)?;
        self.checksum.verify(&data, &sums, start)?;
        Ok(self.checksum.chunk_checksum(&data[..(cut - start) as usize]))
    }
}

fn read_at(file: &File, at: u64, length: usize, into: &mut Vec<u8>, what: &str) -> Result<(), ReadError> {
    let before = into.len();
    into.resize(before + length, 0);
    match file.read_exact_at(&mut into[before..], at) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(ReadError::Damaged(format!(
            "{what} file ends before byte {}",
            at + length as u64
        ))),
        Err(error) => Err(ReadError::Io(error)),
    }
}
