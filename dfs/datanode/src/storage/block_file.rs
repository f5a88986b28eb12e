//! The two files of a replica that is being written: bytes in `blk_<id>`, a checksum per chunk in `blk_<id>_<gs>.meta`.
//!
//! Bytes are only ever appended; only the checksum of the last, incomplete chunk is rewritten as the chunk grows. Data is
//! written before its checksums, so after a crash the data file may be ahead of the checksum file but not behind it.

use std::fs::{File, OpenOptions};
use std::io;
use std::num::NonZeroU64;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use quarry_dfs_wire::checksum::{ChecksumError, DataChecksum, META_HEADER_LENGTH};
use rustix::fs::Advice;

use super::chunks::Chunks;
use super::disk::Disk;
use crate::error::{DiskContext, Error, Result};

/// Bytes that gather before the system is asked to write them: long enough to be written well.
const WRITE_BACK_BYTES: u64 = 8 << 20;

/// One packet's worth of bytes, as a writer sent them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PacketData<'a> {
    /// Position of the first byte in the block.
    pub(crate) offset: u64,
    /// The bytes.
    pub(crate) data: &'a [u8],
    /// Their checksums, one per chunk counted from `offset`.
    pub(crate) sums: &'a [u8],
    /// How the sender computes checksums.
    pub(crate) checksum: DataChecksum,
}

/// Why a packet was not stored.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PacketError {
    /// The bytes are not those that the writer sent.
    #[error(transparent)]
    Checksum(#[from] ChecksumError),
    /// The writer broke the rules of the stream.
    #[error("packet of {length} bytes at {offset}: {problem}")]
    Sequence {
        /// Position of the packet in the block.
        offset: u64,
        /// Its bytes.
        length: usize,
        /// Which rule.
        problem: String,
    },
    /// The disk refused.
    #[error("writing the replica: {0}")]
    Io(#[from] io::Error),
}

/// The open files of a replica with exclusive right to change them.
#[derive(Debug)]
pub(crate) struct BlockFile {
    disk: Arc<dyn Disk>,
    data: File,
    meta: File,
    checksum: DataChecksum,
    length: u64,
    /// Checksum of the bytes in the last chunk if that is incomplete, else 0.
    tail: u32,
    dirty: bool,
    /// Bytes that the system was asked to write.
    handed_to_disk: u64,
}

impl BlockFile {
    /// Creates both files; fails if either exists.
    pub(crate) fn create(
        disk: &Arc<dyn Disk>,
        data_path: &Path,
        meta_path: &Path,
        checksum: DataChecksum,
    ) -> Result<Self> {
        let data = disk.create(data_path).disk("create", data_path)?;
        let meta = disk.create(meta_path).disk("create", meta_path)?;
        disk.write_all_at(&meta, &checksum.encode_meta_header(), 0)
            .disk("write", meta_path)?;
        Ok(Self {
            disk: Arc::clone(disk),
            data,
            meta,
            checksum,
            length: 0,
            tail: 0,
            dirty: true,
            handed_to_disk: 0,
        })
    }

    /// Opens both files to go on writing after `length` bytes; whatever is behind them is cut off.
    ///
    /// # Errors
    /// `Corrupt` if the files are shorter than that or the last chunk does not match its checksum: appending would give
    /// damaged bytes a new, valid checksum.
    pub(crate) fn open(disk: &Arc<dyn Disk>, data_path: &Path, meta_path: &Path, length: u64) -> Result<Self> {
        let data = open_writable(data_path)?;
        let meta = open_writable(meta_path)?;
        let checksum = read_meta_header(&meta, meta_path)?;
        let mut file = Self {
            disk: Arc::clone(disk),
            data,
            meta,
            checksum,
            length,
            tail: 0,
            dirty: false,
            handed_to_disk: length,
        };
        file.cut(length).disk("truncate", data_path)??;
        Ok(file)
    }

    /// Bytes stored.
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// Checksum of the last chunk if that is incomplete, else 0.
    pub(crate) fn tail(&self) -> u32 {
        self.tail
    }

    /// Stores a packet: verifies it, skips the bytes that are stored already, appends the rest.
    pub(crate) fn write(&mut self, packet: &PacketData<'_>) -> Result<(), PacketError> {
        let offered = packet.data.len() as u64;
        self.check_sequence(packet, offered)?;
        packet.checksum.verify(packet.data, packet.sums, packet.offset)?;
        let stored = self.length - packet.offset;
        if stored >= offered {
            return Ok(());
        }
        let fresh = &packet.data[stored as usize..];
        let written = self.append(fresh, self.reusable_sums(packet, stored));
        if written.is_err() {
            self.restore_end();
        }
        Ok(written?)
    }

    /// Makes all bytes and checksums durable; free if nothing was written since the last time.
    pub(crate) fn sync(&mut self) -> io::Result<()> {
        if self.dirty {
            self.disk.sync(&self.data)?;
            self.disk.sync(&self.meta)?;
            self.dirty = false;
        }
        Ok(())
    }

    /// Has the system begin to write what has gathered in memory, so that the fsync at the block's end finds little to do. The advice
    /// says that the bytes are not needed soon, upon which Linux starts to write them; being dirty they stay in memory nevertheless.
    /// Only a hint: that it failed shows in nothing but time.
    fn write_back_early(&mut self) {
        let waiting = self.length - self.handed_to_disk.min(self.length);
        let Some(length) = NonZeroU64::new(waiting).filter(|length| length.get() >= WRITE_BACK_BYTES) else {
            return;
        };
        let _ = rustix::fs::fadvise(&self.data, self.handed_to_disk, Some(length), Advice::DontNeed);
        self.handed_to_disk = self.length;
    }

    fn check_sequence(&self, packet: &PacketData<'_>, offered: u64) -> Result<(), PacketError> {
        let sequence = |problem: String| PacketError::Sequence {
            offset: packet.offset,
            length: packet.data.len(),
            problem,
        };
        if packet.offset > self.length {
            return Err(sequence(format!(
                "the replica has {} bytes, so bytes are missing in between",
                self.length
            )));
        }
        let size = Chunks::new(packet.checksum).size();
        let inside = packet.offset % size;
        if inside != 0 && inside + offered > size {
            return Err(sequence(format!(
                "it starts inside a chunk of {size} bytes and must end in it"
            )));
        }
        Ok(())
    }

    /// The sender's checksums of the fresh bytes, if they fit this replica's chunks as they are.
    fn reusable_sums<'a>(&self, packet: &PacketData<'a>, stored: u64) -> Option<&'a [u8]> {
        let chunks = Chunks::new(self.checksum);
        let same = packet.checksum == self.checksum;
        let aligned = packet.offset.is_multiple_of(chunks.size()) && self.length.is_multiple_of(chunks.size());
        let skipped = (stored / chunks.size()) as usize * chunks.sum_size();
        (same && aligned).then(|| &packet.sums[skipped..])
    }

    fn append(&mut self, fresh: &[u8], sums: Option<&[u8]>) -> io::Result<()> {
        let chunks = Chunks::new(self.checksum);
        self.dirty = true;
        self.disk.write_all_at(&self.data, fresh, self.length)?;
        let mut computed = Vec::new();
        let sums = match sums {
            Some(sums) => sums,
            None => {
                self.sums_after_tail(fresh, &mut computed);
                &computed
            }
        };
        self.disk
            .write_all_at(&self.meta, sums, chunks.meta_position(self.length))?;
        self.length += fresh.len() as u64;
        self.tail = match sums.last_chunk::<4>() {
            Some(last) if !self.length.is_multiple_of(chunks.size()) => u32::from_be_bytes(*last),
            _ => 0,
        };
        self.write_back_early();
        Ok(())
    }

    /// After a write that failed, on a full disk: no bytes behind the ones that count, and the last chunk's checksum is again that of
    /// these. Best effort: a disk that refuses this too leaves what a crash leaves, and the next start copes.
    fn restore_end(&mut self) {
        let chunks = Chunks::new(self.checksum);
        let _ = self.data.set_len(self.length);
        let _ = self.meta.set_len(chunks.meta_length(self.length));
        if !self.length.is_multiple_of(chunks.size()) && chunks.sum_size() != 0 {
            let position = chunks.meta_position(self.length);
            let _ = self.disk.write_all_at(&self.meta, &self.tail.to_be_bytes(), position);
        }
    }

    /// Checksums from the chunk on that `fresh` continues.
    fn sums_after_tail(&self, fresh: &[u8], sums: &mut Vec<u8>) {
        let chunks = Chunks::new(self.checksum);
        let inside = self.length % chunks.size();
        if inside == 0 || chunks.sum_size() == 0 {
            return self.checksum.compute(fresh, sums);
        }
        let (head, rest) = fresh.split_at(fresh.len().min((chunks.size() - inside) as usize));
        sums.extend_from_slice(&self.checksum.extend_checksum(self.tail, head).to_be_bytes());
        self.checksum.compute(rest, sums);
    }

    fn cut(&mut self, length: u64) -> io::Result<Result<()>> {
        let chunks = Chunks::new(self.checksum);
        let on_disk = self.data.metadata()?.len();
        if on_disk < length {
            return Ok(Err(corrupt(format!(
                "data file has {on_disk} bytes, expected {length}"
            ))));
        }
        let stored_end = if self.length > length { self.length } else { on_disk };
        let tail = match tail_checksum(&self.data, &self.meta, self.checksum, length, stored_end)? {
            Ok(tail) => tail,
            Err(detail) => return Ok(Err(corrupt(detail))),
        };
        self.data.set_len(length)?;
        self.meta.set_len(chunks.meta_length(length))?;
        if !length.is_multiple_of(chunks.size()) && chunks.sum_size() != 0 {
            self.disk
                .write_all_at(&self.meta, &tail.to_be_bytes(), chunks.meta_position(length))?;
        }
        (self.length, self.tail, self.dirty) = (length, tail, true);
        Ok(Ok(()))
    }
}

/// Checksum of the bytes before `length` in its chunk, after checking the chunk against its stored checksum.
///
/// The stored checksum covers the chunk up to some length between `length` and the end of the chunk: normally `stored_end`,
/// after a crash possibly less. Each is tried.
fn tail_checksum(
    data: &File,
    meta: &File,
    checksum: DataChecksum,
    length: u64,
    stored_end: u64,
) -> io::Result<Result<u32, String>> {
    let chunks = Chunks::new(checksum);
    let start = chunks.floor(length);
    if start == length || chunks.sum_size() == 0 {
        return Ok(Ok(0));
    }
    let mut bytes = vec![0; (stored_end.min(start + chunks.size()) - start) as usize];
    data.read_exact_at(&mut bytes, start)?;
    let mut stored = [0; 4];
    if meta.read_exact_at(&mut stored, chunks.meta_position(start)).is_err() {
        return Ok(Err(format!("checksum file has no checksum for the chunk at {start}")));
    }
    let wanted = (length - start) as usize;
    let tail = checksum.chunk_checksum(&bytes[..wanted]);
    Ok(
        match covered_prefix(checksum, &bytes, wanted, u32::from_be_bytes(stored)) {
            Some(_) => Ok(tail),
            None => Err(format!("checksum mismatch in the chunk at {start}")),
        },
    )
}

/// The longest prefix of `chunk`, of at least `shortest` bytes, that has the checksum `stored`.
pub(crate) fn covered_prefix(checksum: DataChecksum, chunk: &[u8], shortest: usize, stored: u32) -> Option<usize> {
    let mut sum = checksum.chunk_checksum(&chunk[..shortest]);
    let mut covered = (sum == stored).then_some(shortest);
    for (index, byte) in chunk.iter().enumerate().skip(shortest) {
        sum = checksum.extend_checksum(sum, std::slice::from_ref(byte));
        if sum == stored {
            covered = Some(index + 1);
        }
    }
    covered
}

/// Reads how the checksums in a `.meta` file were computed.
pub(crate) fn read_meta_header(meta: &File, path: &Path) -> Result<DataChecksum> {
    let mut header = [0; META_HEADER_LENGTH];
    let corrupt = |detail: String| Error::Corrupt {
        what: path.display().to_string(),
        detail,
    };
    match meta.read_exact_at(&mut header, 0) {
        Ok(()) => DataChecksum::decode_meta_header(&header).map_err(|error| corrupt(error.to_string())),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(corrupt("header is cut off".to_owned())),
        Err(error) => Err(error).disk("read", path),
    }
}

fn corrupt(detail: String) -> Error {
    Error::Corrupt {
        what: "replica".to_owned(),
        detail,
    }
}

fn open_writable(path: &Path) -> Result<File> {
    OpenOptions::new().read(true).write(true).open(path).disk("open", path)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::fs;
    use std::path::PathBuf;

    use proptest::prelude::*;
    use quarry_dfs_wire::checksum::ChecksumType;

    use super::*;

    fn checksum() -> DataChecksum {
        DataChecksum::new(ChecksumType::Crc32c, 8).unwrap()
    }

    fn disk() -> Arc<dyn Disk> {
        Arc::new(crate::storage::disk::SystemDisk)
    }

    struct Files {
        _dir: tempfile::TempDir,
        data: PathBuf,
        meta: PathBuf,
    }

    impl Files {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let (data, meta) = (dir.path().join("blk_1"), dir.path().join("blk_1_1.meta"));
            Self { _dir: dir, data, meta }
        }

        fn create(&self) -> BlockFile {
            BlockFile::create(&disk(), &self.data, &self.meta, checksum()).unwrap()
        }

        /// The stored bytes, after checking that the checksum file is exactly that of these bytes.
        fn checked(&self) -> Vec<u8> {
            let data = fs::read(&self.data).unwrap();
            let mut meta = checksum().encode_meta_header().to_vec();
            checksum().compute(&data, &mut meta);
            assert_eq!(fs::read(&self.meta).unwrap(), meta);
            data
        }
    }

    fn write(file: &mut BlockFile, offset: u64, data: &[u8]) -> Result<(), PacketError> {
        let mut sums = Vec::new();
        checksum().compute(data, &mut sums);
        file.write(&PacketData {
            offset,
            data,
            sums: &sums,
            checksum: checksum(),
        })
    }

    #[test]
    fn bytes_resent_from_the_chunk_start_are_stored_once() {
        let files = Files::new();
        let mut file = files.create();
        write(&mut file, 0, b"0123456789").unwrap();
        write(&mut file, 8, b"89abc").unwrap();
        write(&mut file, 0, b"0123").unwrap();
        assert_eq!(files.checked(), b"0123456789abc");
    }

    #[test]
    fn packet_that_starts_inside_a_chunk_ends_in_it() {
        let files = Files::new();
        let mut file = files.create();
        write(&mut file, 0, b"012").unwrap();
        assert!(matches!(
            write(&mut file, 3, b"3456789"),
            Err(PacketError::Sequence { .. })
        ));
        write(&mut file, 3, b"34567").unwrap();
        write(&mut file, 8, b"89").unwrap();
        assert_eq!(files.checked(), b"0123456789");
    }

    #[test]
    fn gaps_are_refused() {
        let files = Files::new();
        let mut file = files.create();
        assert!(matches!(write(&mut file, 8, b"x"), Err(PacketError::Sequence { .. })));
    }

    #[test]
    fn flipped_bit_is_refused_and_nothing_is_stored() {
        let files = Files::new();
        let mut file = files.create();
        let mut sums = Vec::new();
        checksum().compute(b"0123456789", &mut sums);
        let packet = PacketData {
            offset: 0,
            data: b"0123456788",
            sums: &sums,
            checksum: checksum(),
        };
        assert!(matches!(
            file.write(&packet),
            Err(PacketError::Checksum(ChecksumError::Mismatch { offset: 8, .. }))
        ));
        assert_eq!(files.checked(), b"");
    }

    #[test]
    fn writer_with_other_chunks_is_translated() {
        let files = Files::new();
        let mut file = files.create();
        let theirs = DataChecksum::new(ChecksumType::Crc32, 5).unwrap();
        let mut sums = Vec::new();
        theirs.compute(b"0123456789ab", &mut sums);
        file.write(&PacketData {
            offset: 0,
            data: b"0123456789ab",
            sums: &sums,
            checksum: theirs,
        })
        .unwrap();
        assert_eq!(files.checked(), b"0123456789ab");
    }

    /// A disk that runs full in the midst of a write: after so many bytes.
    #[derive(Debug)]
    struct Filling(std::sync::atomic::AtomicU64);

    impl Disk for Filling {
        fn create(&self, path: &Path) -> io::Result<File> {
            crate::storage::disk::SystemDisk.create(path)
        }

        fn write_all_at(&self, file: &File, bytes: &[u8], position: u64) -> io::Result<()> {
            // What overwrites needs no room.
            let left = self.0.load(std::sync::atomic::Ordering::Relaxed);
            let growth = (position + bytes.len() as u64).saturating_sub(file.metadata()?.len());
            let fits = bytes.len() - growth.saturating_sub(left) as usize;
            file.write_all_at(&bytes[..fits], position)?;
            self.0.fetch_sub(growth.min(left), std::sync::atomic::Ordering::Relaxed);
            if fits < bytes.len() {
                return Err(io::ErrorKind::StorageFull.into());
            }
            Ok(())
        }

        fn sync(&self, file: &File) -> io::Result<()> {
            file.sync_data()
        }

        fn space(&self, _: &Path) -> io::Result<crate::storage::disk::DiskSpace> {
            Err(io::ErrorKind::Unsupported.into())
        }

        fn probe(&self, _: &Path) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn disk_that_fills_up_at_any_byte_leaves_what_was_stored_before() {
        let whole = 7 + 22 + 3 * 4;
        for room in 7 + 13 + 8..whole {
            let files = Files::new();
            let disk: Arc<dyn Disk> = Arc::new(Filling(room.into()));
            let mut file = BlockFile::create(&disk, &files.data, &files.meta, checksum()).unwrap();
            write(&mut file, 0, b"0123456789abc").unwrap();
            // The next packet goes on inside the last chunk, ends it, and brings whole ones.
            let first = write(&mut file, 13, b"def");
            let stored = if first.is_ok() {
                &b"0123456789abcdef"[..]
            } else {
                &b"0123456789abc"[..]
            };
            if first.is_ok() {
                let _ = write(&mut file, 16, b"ghijklmnopqrstuv");
            }
            let length = file.length();
            assert!(length >= stored.len() as u64);
            drop(file);
            let again = BlockFile::open(&super::tests::disk(), &files.data, &files.meta, length);
            assert!(again.is_ok(), "room {room}: {again:?}");
            assert!(files.checked().starts_with(stored), "room {room}");
        }
    }

    #[test]
    fn reopening_over_a_damaged_last_chunk_is_refused() {
        let files = Files::new();
        write(&mut files.create(), 0, b"0123456789").unwrap();
        fs::write(&files.data, b"01234567x9").unwrap();
        assert!(matches!(
            BlockFile::open(&disk(), &files.data, &files.meta, 10),
            Err(Error::Corrupt { .. })
        ));
        assert!(matches!(
            BlockFile::open(&disk(), &files.data, &files.meta, 9),
            Err(Error::Corrupt { .. })
        ));
        assert!(BlockFile::open(&disk(), &files.data, &files.meta, 8).is_ok());
        assert!(matches!(
            BlockFile::open(&disk(), &files.data, &files.meta, 12),
            Err(Error::Corrupt { .. })
        ));
    }

    proptest! {
        /// Whatever the cuts, truncations and resends, the files hold the bytes and exactly their checksums.
        #[test]
        fn files_always_match(steps in proptest::collection::vec((0_u64..40, 1_usize..30, any::<bool>()), 1..20)) {
            let files = Files::new();
            let mut file = files.create();
            let source: Vec<u8> = (0..=255).collect();
            for (back, length, truncate) in steps {
                let here = file.length();
                if truncate {
                    drop(file);
                    file = BlockFile::open(&disk(), &files.data, &files.meta, here.saturating_sub(back)).unwrap();
                } else {
                    let start = here.saturating_sub(back) as usize;
                    let end = source.len().min(start + length);
                    let _ = write(&mut file, start as u64, &source[start..end]);
                }
                prop_assert_eq!(&files.checked()[..], &source[..file.length() as usize]);
            }
        }
    }
}
