//! One open local replica: its descriptors, and which of its chunks have been verified.

use std::fs::File;
use std::io::{self, IoSliceMut};
use std::ops::Range;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use bytes::Bytes;
use quarry_dfs_wire::checksum::{DataChecksum, META_HEADER_LENGTH};
use rustix::io::{ReadWriteFlags, preadv2};

use crate::buffers::Buffer;
use crate::error::TransferError;
use crate::local::LocalReplica;

pub(crate) struct OpenReplica {
    pub(crate) pool: String,
    /// When it was last used, by the cache's clock.
    pub(crate) last_used: AtomicU64,
    pub(crate) opened: Instant,
    data: File,
    meta: File,
    length: u64,
    checksum: DataChecksum,
    /// Whether anything is verified at all.
    verify: bool,
    verified: Arc<ChunkSet>,
}

impl OpenReplica {
    pub(crate) fn new(pool: &str, files: LocalReplica, now: u64, verify: bool) -> Result<Self, TransferError> {
        let mut header = [0; META_HEADER_LENGTH];
        files.meta.read_exact_at(&mut header, 0).map_err(TransferError::Local)?;
        let checksum = DataChecksum::decode_meta_header(&header).map_err(|e| TransferError::Checksum(e.to_string()))?;
        let chunks = files.length.div_ceil(u64::from(checksum.bytes_per_checksum()));
        Ok(Self {
            pool: pool.to_owned(),
            last_used: AtomicU64::new(now),
            opened: Instant::now(),
            data: files.data,
            meta: files.meta,
            length: files.length,
            checksum,
            verify,
            verified: Arc::new(ChunkSet::new(chunks)),
        })
    }

    /// Takes over what was verified through other descriptors of the same files.
    pub(crate) fn inherit(&mut self, before: &Self) {
        let identity = |file: &File| {
            let found = file.metadata().ok()?;
            Some((found.dev(), found.ino(), found.len(), found.mtime(), found.mtime_nsec()))
        };
        let same = identity(&self.data).is_some() && identity(&self.data) == identity(&before.data);
        if same && self.length == before.length {
            self.verified = Arc::clone(&before.verified);
        }
    }

    /// Reads `range`, which must lie within the replica; every byte returned has been verified once, unless that is switched off. May wait for the disk.
    pub(crate) fn read(&self, range: Range<u64>) -> Result<Bytes, TransferError> {
        if range.end > self.length {
            let message = format!(
                "replica has {} bytes, {}..{} was asked for",
                self.length, range.start, range.end
            );
            return Err(TransferError::Local(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                message,
            )));
        }
        let (aligned, chunks) = self.span(&range);
        let data = read_at(&self.data, &aligned).map_err(TransferError::Local)?;
        self.finish(&range, &aligned, chunks, data)
    }

    /// The same, but only if no byte must come from the disk; else, or when anything is wrong, nothing.
    pub(crate) fn read_at_hand(&self, range: &Range<u64>) -> Option<Bytes> {
        if range.end > self.length {
            return None;
        }
        let (aligned, chunks) = self.span(range);
        let mut data = Buffer::new((aligned.end - aligned.start) as usize);
        let mut slices = [IoSliceMut::new(data.as_mut_slice())];
        let read = preadv2(&self.data, &mut slices, aligned.start, ReadWriteFlags::NOWAIT);
        if !read.is_ok_and(|read| read as u64 == aligned.end - aligned.start) {
            return None;
        }
        self.finish(range, &aligned, chunks, data).ok()
    }

    /// The bytes to read for `range`: itself, or as long as it is not verified its whole chunks, which are given too.
    fn span(&self, range: &Range<u64>) -> (Range<u64>, Option<Range<u64>>) {
        let chunks = self.chunks_of(range);
        if !self.verify || self.checksum.checksum_size() == 0 || self.verified.contains(&chunks) {
            return (range.clone(), None);
        }
        (self.bytes_of(&chunks), Some(chunks))
    }

    /// Verifies what was not verified before, and cuts off what was not asked for.
    fn finish(
        &self,
        range: &Range<u64>,
        aligned: &Range<u64>,
        chunks: Option<Range<u64>>,
        data: Buffer,
    ) -> Result<Bytes, TransferError> {
        if let Some(chunks) = chunks {
            self.verify(&chunks, data.as_ref())?;
            self.verified.insert(&chunks);
        }
        let start = (range.start - aligned.start) as usize;
        Ok(data.freeze().slice(start..start + (range.end - range.start) as usize))
    }

    fn verify(&self, chunks: &Range<u64>, data: &[u8]) -> Result<(), TransferError> {
        let sum_len = self.checksum.checksum_size() as u64;
        let header = META_HEADER_LENGTH as u64;
        let sums = read_at(
            &self.meta,
            &(header + chunks.start * sum_len..header + chunks.end * sum_len),
        );
        let sums = sums.map_err(TransferError::Local)?;
        let offset = chunks.start * u64::from(self.checksum.bytes_per_checksum());
        self.checksum
            .verify(data, sums.as_ref(), offset)
            .map_err(|e| TransferError::Checksum(e.to_string()))
    }

    fn chunks_of(&self, range: &Range<u64>) -> Range<u64> {
        let size = u64::from(self.checksum.bytes_per_checksum());
        range.start / size..range.end.div_ceil(size)
    }

    fn bytes_of(&self, chunks: &Range<u64>) -> Range<u64> {
        let size = u64::from(self.checksum.bytes_per_checksum());
        chunks.start * size..(chunks.end * size).min(self.length)
    }
}

/// Reads exactly `range`.
fn read_at(file: &File, range: &Range<u64>) -> io::Result<Buffer> {
    let mut data = Buffer::new((range.end - range.start) as usize);
    file.read_exact_at(data.as_mut_slice(), range.start)?;
    Ok(data)
}

/// A set of chunk numbers, one bit each; shared between readers without a lock.
struct ChunkSet {
    words: Vec<AtomicU64>,
}

impl ChunkSet {
    fn new(chunks: u64) -> Self {
        let words = chunks.div_ceil(u64::from(u64::BITS));
        Self {
            words: (0..words).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    fn contains(&self, chunks: &Range<u64>) -> bool {
        masks(chunks).all(|(word, mask)| self.words[word].load(Ordering::Relaxed) & mask == mask)
    }

    fn insert(&self, chunks: &Range<u64>) {
        for (word, mask) in masks(chunks) {
            self.words[word].fetch_or(mask, Ordering::Relaxed);
        }
    }
}

/// The words that a range of bits touches, each with the bits of the range in it.
fn masks(bits: &Range<u64>) -> impl Iterator<Item = (usize, u64)> {
    let (start, end) = (bits.start, bits.end);
    let width = u64::from(u64::BITS);
    (start / width..end.div_ceil(width)).map(move |word| {
        let from = start.saturating_sub(word * width);
        let to = (end - word * width).min(width);
        let mask = (u64::MAX >> (width - (to - from))) << from;
        (word as usize, mask)
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;
    use std::io::Write;

    use super::*;

    fn replica(data: &[u8]) -> LocalReplica {
        let checksum = DataChecksum::default();
        let mut sums = Vec::new();
        checksum.compute(data, &mut sums);
        let mut files = LocalReplica {
            data: tempfile::tempfile().unwrap(),
            meta: tempfile::tempfile().unwrap(),
            length: data.len() as u64,
        };
        files.data.write_all(data).unwrap();
        files.meta.write_all(&checksum.encode_meta_header()).unwrap();
        files.meta.write_all(&sums).unwrap();
        files
    }

    proptest! {
        #[test]
        fn any_ranges_in_any_order_read_right(
            data in prop::collection::vec(any::<u8>(), 1..5000),
            ranges in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 1..20),
        ) {
            let replica = OpenReplica::new("pool", replica(&data), 0, true).unwrap();
            for (a, b) in ranges {
                let (a, b) = (a.index(data.len()), b.index(data.len()));
                let (start, end) = (a.min(b), a.max(b) + 1);
                let read = replica.read(start as u64..end as u64).unwrap();
                prop_assert_eq!(&read[..], &data[start..end]);
            }
        }

        #[test]
        fn chunk_set_holds_what_was_inserted(a in 0u64..300, n in 1u64..300, b in 0u64..300, m in 1u64..300) {
            let set = ChunkSet::new(600);
            set.insert(&(a..a + n));
            let inside = a <= b && b + m <= a + n;
            prop_assert_eq!(set.contains(&(b..b + m)), inside);
        }
    }

    #[test]
    fn a_damaged_chunk_is_found_on_first_touch_only_where_it_lies() {
        let data = vec![7; 2000];
        let files = replica(&data);
        files.data.write_all_at(&[8], 600).unwrap();
        let replica = OpenReplica::new("pool", files, 0, true).unwrap();
        assert_eq!(&replica.read(0..512).unwrap()[..], &data[..512]);
        assert!(matches!(replica.read(100..700), Err(TransferError::Checksum(_))));
        assert!(matches!(replica.read(700..701), Err(TransferError::Checksum(_))));
        assert_eq!(replica.read(1024..2000).unwrap().len(), 976);
    }

    #[test]
    fn a_verified_chunk_is_not_verified_again() {
        let files = replica(&[7; 2000]);
        let later = files.data.try_clone().unwrap();
        let replica = OpenReplica::new("pool", files, 0, true).unwrap();
        replica.read(512..1024).unwrap();
        later.write_all_at(&[8], 600).unwrap();
        assert_eq!(replica.read(600..601).unwrap()[0], 8);
    }

    #[test]
    fn nothing_is_verified_when_nobody_wants_it() {
        let files = replica(&[7; 2000]);
        files.data.write_all_at(&[8], 600).unwrap();
        let replica = OpenReplica::new("pool", files, 0, false).unwrap();
        assert_eq!(replica.read(600..602).unwrap()[..], [8, 7]);
        assert_eq!(replica.read_at_hand(&(600..602)).unwrap()[..], [8, 7]);
    }

    #[test]
    fn reading_past_the_replica_is_an_error() {
        let replica = OpenReplica::new("pool", replica(&[1; 10]), 0, true).unwrap();
        assert!(replica.read(5..11).is_err());
    }
}
