//! The two files of a replica that is being written: bytes in `blk_<id>`, a checksum per chunk in `blk_<id>_<gs>.meta`.
//!
//! Bytes are only ever appended; only the checksum of the last, incomplete chunk is rewritten as the chunk grows. Data is
//! written before its checksums, so after a crash the data file may be ahead of the checksum file but not behind it.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use quarry_dfs_wire::checksum::{ChecksumError, DataChecksum, META_HEADER_LENGTH};

use super::chunks::Chunks;
use crate::error::{DiskContext, Error, Result};

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
    data: File,
    meta: File,
    checksum: DataChecksum,
    length: u64,
    /// Checksum of the bytes in the last chunk if that is incomplete, else 0.
    tail: u32,
    dirty: bool,
}

impl BlockFile {
    /// Creates both files; fails if either exists.
    pub(crate) fn create(data_path: &Path, meta_path: &Path, checksum: DataChecksum) -> Result<Self> {
        let data = create_new(data_path)?;
        let meta = create_new(meta_path)?;
        meta.write_all_at(&checksum.encode_meta_header(), 0)
            .disk("write", meta_path)?;
        Ok(Self {
            data,
            meta,
            checksum,
            length: 0,
            tail: 0,
            dirty: true,
        })
    }

    /// Opens both files to go on writing after `length` bytes; whatever is behind them is cut off.
    ///
    /// # Errors
    /// `Corrupt` if the files are shorter than that or the last chunk does not match its checksum: appending would give
    /// damaged bytes a new, valid checksum.
    pub(crate) fn open(data_path: &Path, meta_path: &Path, length: u64) -> Result<Self> {
        let data = open_writable(data_path)?;
        let meta = open_writable(meta_path)?;
        let checksum = read_meta_header(&meta, meta_path)?;
        let mut file = Self {
            data,
            meta,
            checksum,
            length,
            tail: 0,
            dirty: false,
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
            // Best effort after a full disk: leave no bytes behind the ones that count.
            let _ = self.data.set_len(self.length);
        }
        Ok(written?)
    }

    /// Makes all bytes and checksums durable; free if nothing was written since the last time.
    pub(crate) fn sync(&mut self) -> io::Result<()> {
        if self.dirty {
            self.data.sync_data()?;
            self.meta.sync_data()?;
            self.dirty = false;
        }
        Ok(())
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
        self.data.write_all_at(fresh, self.length)?;
        let mut computed = Vec::new();
        let sums = match sums {
            Some(sums) => sums,
            None => {
                self.sums_after_tail(fresh, &mut computed);
                &computed
            }
        };
        self.meta.write_all_at(sums, chunks.meta_position(self.length))?;
        self.length += fresh.len() as u64;
        self.tail = match sums.last_chunk::<4>() {
            Some(last) if !self.length.is_multiple_of(chunks.size()) => u32::from_be_bytes(*last),
            _ => 0,
        };
        Ok(())
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
            self.meta
                .write_all_at(&tail.to_be_bytes(), chunks.meta_position(length))?;
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

fn create_new(path: &Path) -> Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .open(path)
        .disk("create", path)
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
            BlockFile::create(&self.data, &self.meta, checksum()).unwrap()
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

    #[test]
    fn reopening_over_a_damaged_last_chunk_is_refused() {
        let files = Files::new();
        write(&mut files.create(), 0, b"0123456789").unwrap();
        fs::write(&files.data, b"01234567x9").unwrap();
        assert!(matches!(
            BlockFile::open(&files.data, &files.meta, 10),
            Err(Error::Corrupt { .. })
        ));
        assert!(matches!(
            BlockFile::open(&files.data, &files.meta, 9),
            Err(Error::Corrupt { .. })
        ));
        assert!(BlockFile::open(&files.data, &files.meta, 8).is_ok());
        assert!(matches!(
            BlockFile::open(&files.data, &files.meta, 12),
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
                    file = BlockFile::open(&files.data, &files.meta, here.saturating_sub(back)).unwrap();
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
