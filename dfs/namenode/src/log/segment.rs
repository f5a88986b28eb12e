//! One file of the edit log.
//!
//! It begins with a header of 24 bytes: magic `QRYEDITS`, u32 version 1, u64 first transaction, u32 CRC32C of those 20; then come
//! frames (see `frame`), each one `EditRecord`. Numbers big-endian.
//!
//! While it is written, zeros stand ahead of its end: writing over them changes no metadata of the file, which makes a sync some three
//! times as quick. They are cut off when the segment is closed; after a crash they are a tail that no answer depended on.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use prost::Message;

use super::frame;
use crate::core::edit::EditRecord;
use crate::error::{Error, Result, io_at};

const MAGIC: &[u8; 8] = b"QRYEDITS";
const VERSION: u32 = 1;
/// Bytes before the first record.
pub(crate) const HEADER_SIZE: usize = 24;
const PREFIX: &str = "edits_";

/// A segment on disk, named after its first transaction.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SegmentFile {
    pub(crate) first_txid: u64,
    pub(crate) path: PathBuf,
}

/// Where the segment that begins with `first_txid` is.
pub(crate) fn path_of(dir: &Path, first_txid: u64) -> PathBuf {
    dir.join(format!("{PREFIX}{first_txid:019}"))
}

/// All segments in order.
pub(crate) fn list(dir: &Path) -> Result<Vec<SegmentFile>> {
    let found = list_numbered(dir, PREFIX)?;
    Ok(found
        .into_iter()
        .map(|(first_txid, path)| SegmentFile { first_txid, path })
        .collect())
}

/// Files named `<prefix><number>` in order of their numbers.
pub(crate) fn list_numbered(dir: &Path, prefix: &str) -> Result<Vec<(u64, PathBuf)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).map_err(io_at("list", dir))? {
        let entry = entry.map_err(io_at("list", dir))?;
        let name = entry.file_name();
        let number = name
            .to_str()
            .and_then(|name| name.strip_prefix(prefix))
            .and_then(|number| number.parse().ok());
        found.extend(number.map(|number: u64| (number, entry.path())));
    }
    found.sort();
    Ok(found)
}

/// Something that records are appended to. Tests put failing ones in.
pub(crate) trait LogFile: Send {
    /// Appends bytes.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Returns once everything appended is on disk.
    fn sync(&mut self) -> io::Result<()>;
    /// Nothing will be appended any more.
    fn close(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Bytes of zeros that are written ahead at a time. A step is a metadata change and some 5,000 transactions; a full disk must not lose
/// much to it.
const AHEAD: usize = 1 << 20;
static ZEROS: [u8; AHEAD] = [0; AHEAD];

/// A segment that is being written.
#[derive(Debug)]
pub(crate) struct Segment {
    file: File,
    /// End of the records.
    end: u64,
    /// End of the file: zeros from `end` on.
    allocated: u64,
    /// Whether zeros are written ahead: not on a disk that had no room for them.
    ahead: bool,
}

impl LogFile for Segment {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let end = self.end + bytes.len() as u64;
        if end > self.allocated && self.ahead {
            self.ahead = self.allocate(end).is_ok();
            if !self.ahead {
                // What was written of the zeros is room that the records need.
                self.file.set_len(self.end)?;
            }
        }
        self.file.write_all_at(bytes, self.end)?;
        self.end = end;
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn close(&mut self) -> io::Result<()> {
        self.file.set_len(self.end)?;
        self.file.sync_all()
    }
}

impl Segment {
    /// Writes zeros from where the records will end. Without room the records themselves may still fit.
    fn allocate(&mut self, end: u64) -> io::Result<()> {
        self.file.write_all_at(&ZEROS, end)?;
        self.allocated = end + AHEAD as u64;
        Ok(())
    }
}

/// Creates a segment; on return its header and its directory entry are on disk.
pub(crate) fn create(dir: &Path, first_txid: u64) -> io::Result<Segment> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(path_of(dir, first_txid))?;
    file.write_all(&header(first_txid))?;
    file.sync_all()?;
    File::open(dir)?.sync_all()?;
    Ok(Segment {
        file,
        end: HEADER_SIZE as u64,
        allocated: HEADER_SIZE as u64,
        ahead: true,
    })
}

/// The first bytes of a segment.
pub(crate) fn header(first_txid: u64) -> Vec<u8> {
    let mut header = MAGIC.to_vec();
    header.extend(VERSION.to_be_bytes());
    header.extend(first_txid.to_be_bytes());
    header.extend(crc32c::crc32c(&header).to_be_bytes());
    header
}

/// How the reading of a segment ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tail {
    /// With the last byte of the file.
    Clean,
    /// A crash left unfinished bytes from this offset on. No answer ever depended on them.
    Torn(u64),
}

/// Reads a segment's records in order.
///
/// # Errors
/// `Corrupt` for damage that no crash can have done: bad records in a segment that has successors (`is_last` false), or before
/// something that was written after them; and the errors of `take`.
pub(crate) fn read(
    segment: &SegmentFile,
    is_last: bool,
    mut take: impl FnMut(EditRecord) -> Result<()>,
) -> Result<Tail> {
    let bytes = fs::read(&segment.path).map_err(io_at("read", &segment.path))?;
    let corrupt = |offset: usize, problem: &str| Error::Corrupt {
        file: segment.path.clone(),
        offset: offset as u64,
        problem: problem.to_owned(),
    };
    if let Err(problem) = check_header(&bytes, segment.first_txid) {
        let unborn = is_last && bytes.len() <= HEADER_SIZE;
        return if unborn {
            Ok(Tail::Torn(0))
        } else {
            Err(corrupt(0, problem))
        };
    }
    let mut at = HEADER_SIZE;
    while at < bytes.len() {
        match frame::get(&bytes[at..]) {
            Ok(found) => {
                let record = EditRecord::decode(found.payload).map_err(|problem| corrupt(at, &problem.to_string()))?;
                take(record)?;
                at += found.size();
            }
            Err(problem) if !is_last => return Err(corrupt(at, problem)),
            Err(problem) if frame::proves_synced(&bytes[at..], at as u64, at as u64) => {
                return Err(corrupt(at, problem));
            }
            Err(_) => return Ok(Tail::Torn(at as u64)),
        }
    }
    Ok(Tail::Clean)
}

fn check_header(bytes: &[u8], first_txid: u64) -> std::result::Result<(), &'static str> {
    let found = bytes.get(..HEADER_SIZE).ok_or("the header is cut off")?;
    if !found.starts_with(MAGIC) {
        return Err("it does not begin as an edit log");
    }
    if found[8..12] != VERSION.to_be_bytes() {
        return Err("its version is unknown: a newer NameNode wrote it");
    }
    if found == header(first_txid) {
        Ok(())
    } else {
        Err("its header does not match its name")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn record(txid: u64) -> EditRecord {
        EditRecord {
            txid,
            time_ms: 7,
            ..EditRecord::default()
        }
    }

    /// A segment with three batches of two records, and where each record begins.
    fn segment() -> (Vec<u8>, Vec<usize>) {
        let (mut bytes, mut starts) = (header(1), Vec::new());
        for batch in 0..3 {
            let mark = bytes.len() as u64;
            for n in 1..=2 {
                starts.push(bytes.len());
                frame::put(&mut bytes, mark, &record(batch * 2 + n));
            }
        }
        (bytes, starts)
    }

    fn read_bytes(bytes: &[u8], is_last: bool) -> (Result<Tail>, Vec<u64>) {
        let dir = tempfile::tempdir().unwrap();
        let file = SegmentFile {
            first_txid: 1,
            path: path_of(dir.path(), 1),
        };
        fs::write(&file.path, bytes).unwrap();
        let mut txids = Vec::new();
        let tail = read(&file, is_last, |record| {
            txids.push(record.txid);
            Ok(())
        });
        (tail, txids)
    }

    #[test]
    fn a_cut_at_any_byte_leaves_the_whole_records_before_it() {
        let (bytes, starts) = segment();
        for cut in 0..=bytes.len() {
            let (tail, txids) = read_bytes(&bytes[..cut], true);
            let whole = starts
                .iter()
                .skip(1)
                .chain([&bytes.len()])
                .filter(|end| **end <= cut)
                .count();
            assert_eq!(txids.len(), whole, "cut at {cut}");
            let at_boundary = cut == bytes.len() || starts.contains(&cut);
            assert_eq!(tail.unwrap() == Tail::Clean, at_boundary, "cut at {cut}");
        }
    }

    #[test]
    fn a_flipped_bit_before_synced_records_is_damage_and_named() {
        let (bytes, starts) = segment();
        for at in HEADER_SIZE..starts[4] {
            let mut bad = bytes.clone();
            bad[at] ^= 0x10;
            let record_start = *starts.iter().rev().find(|start| **start <= at).unwrap();
            match read_bytes(&bad, true).0 {
                Err(Error::Corrupt { offset, .. }) => assert_eq!(offset, record_start as u64, "flip at {at}"),
                other => panic!("flip at {at}: {other:?}"),
            }
        }
    }

    #[test]
    fn damage_in_the_last_unsynced_batch_is_a_torn_tail() {
        let (bytes, starts) = segment();
        let mut bad = bytes;
        // The first record of the last batch never reached the disk although the second did: a crash can do that.
        bad[starts[4]..starts[5]].fill(0);
        let (tail, txids) = read_bytes(&bad, true);
        assert_eq!((tail.unwrap(), txids), (Tail::Torn(starts[4] as u64), vec![1, 2, 3, 4]));
    }

    #[test]
    fn zeros_ahead_are_an_unfinished_tail_until_the_segment_is_closed() {
        let dir = tempfile::tempdir().unwrap();
        let mut segment = create(dir.path(), 1).unwrap();
        let (bytes, _) = self::segment();
        let read_back = |is_last: bool| {
            let file = SegmentFile {
                first_txid: 1,
                path: path_of(dir.path(), 1),
            };
            let mut txids = Vec::new();
            let tail = read(&file, is_last, |record| {
                txids.push(record.txid);
                Ok(())
            });
            (tail, txids)
        };
        for part in bytes[HEADER_SIZE..].chunks(50) {
            segment.append(part).unwrap();
            segment.sync().unwrap();
        }
        let size = fs::metadata(path_of(dir.path(), 1)).unwrap().len();
        assert!(size > bytes.len() as u64 && size <= (bytes.len() + 2 * AHEAD) as u64);
        let (tail, txids) = read_back(true);
        assert_eq!(
            (tail.unwrap(), txids),
            (Tail::Torn(bytes.len() as u64), vec![1, 2, 3, 4, 5, 6])
        );
        segment.close().unwrap();
        let (tail, txids) = read_back(false);
        assert_eq!((tail.unwrap(), txids), (Tail::Clean, vec![1, 2, 3, 4, 5, 6]));
    }

    #[test]
    fn a_closed_segment_has_no_torn_tail() {
        let (bytes, _) = segment();
        assert!(matches!(
            read_bytes(&bytes[..bytes.len() - 1], false).0,
            Err(Error::Corrupt { .. })
        ));
        assert!(matches!(
            read_bytes(&bytes[..HEADER_SIZE - 1], false).0,
            Err(Error::Corrupt { offset: 0, .. })
        ));
        assert_eq!(read_bytes(&bytes[..HEADER_SIZE - 1], true).0.unwrap(), Tail::Torn(0));
    }
}
