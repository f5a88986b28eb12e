//! How records lie in a file, of the log and of the image alike. All numbers big-endian.
//!
//! | bytes | field |
//! |---|---|
//! | 4 | length of the payload |
//! | 4 | CRC32C of the other fields and the payload |
//! | 8 | sync mark: file offset up to which everything was on disk before this record was written |
//! | n | payload |
//!
//! The sync mark tells a crash from damage. A crash can leave a bad record only where nothing was synced yet; a good record further on
//! whose mark lies beyond the bad one proves that the bad one was once good.

use std::io::{self, Read};

use prost::Message;

/// Bytes before the payload.
pub(crate) const FRAME_HEADER: usize = 16;
/// Largest payload. A transaction is far smaller; more is damage.
pub(crate) const MAX_PAYLOAD: usize = 64 << 20;

/// Appends a framed message to a buffer.
pub(crate) fn put(buffer: &mut Vec<u8>, sync_mark: u64, message: &impl Message) {
    let start = begin(buffer);
    message.encode(buffer).expect("a vector grows as needed");
    finish(buffer, start, sync_mark);
}

/// Appends a framed payload to a buffer.
pub(crate) fn put_payload(buffer: &mut Vec<u8>, sync_mark: u64, payload: &[u8]) {
    let start = begin(buffer);
    buffer.extend_from_slice(payload);
    finish(buffer, start, sync_mark);
}

/// Leaves room for a header and returns where.
fn begin(buffer: &mut Vec<u8>) -> usize {
    let start = buffer.len();
    buffer.resize(start + FRAME_HEADER, 0);
    start
}

/// Fills in the header of the frame that began at `start`.
fn finish(buffer: &mut [u8], start: usize, sync_mark: u64) {
    let length = buffer.len() - start - FRAME_HEADER;
    assert!(
        length <= MAX_PAYLOAD,
        "a record of {length} bytes is over the limit of {MAX_PAYLOAD}"
    );
    let header = &mut buffer[start..start + FRAME_HEADER];
    header[..4].copy_from_slice(&(length as u32).to_be_bytes());
    header[8..].copy_from_slice(&sync_mark.to_be_bytes());
    let crc = checksum(&buffer[start..]);
    buffer[start + 4..start + 8].copy_from_slice(&crc.to_be_bytes());
}

fn checksum(frame: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&frame[..4]), &frame[8..])
}

/// A good record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Frame<'a> {
    pub(crate) sync_mark: u64,
    pub(crate) payload: &'a [u8],
}

impl Frame<'_> {
    /// Bytes that it takes in the file.
    pub(crate) fn size(&self) -> usize {
        FRAME_HEADER + self.payload.len()
    }
}

/// Reads the bytes of the next record into `buffer`, or what there is of them; false at the end of the file. The record is to be judged
/// by [`get`].
///
/// # Errors
/// Those of the reader.
pub(crate) fn read(reader: &mut impl Read, buffer: &mut Vec<u8>) -> io::Result<bool> {
    buffer.clear();
    reader.by_ref().take(FRAME_HEADER as u64).read_to_end(buffer)?;
    let length = buffer.first_chunk().map_or(0, |length| u32::from_be_bytes(*length));
    if buffer.len() == FRAME_HEADER && length as usize <= MAX_PAYLOAD {
        reader.by_ref().take(length.into()).read_to_end(buffer)?;
    }
    Ok(!buffer.is_empty())
}

/// Reads the record at the start of `bytes`; the error says what is wrong with it.
pub(crate) fn get(bytes: &[u8]) -> Result<Frame<'_>, &'static str> {
    let header: &[u8; FRAME_HEADER] = bytes.first_chunk().ok_or("the record's header is cut off")?;
    let length = u32::from_be_bytes([header[0], header[1], header[2], header[3]]) as usize;
    if length > MAX_PAYLOAD {
        return Err("the record's length is impossible");
    }
    let frame = bytes.get(..FRAME_HEADER + length).ok_or("the record is cut off")?;
    let crc = u32::from_be_bytes([header[4], header[5], header[6], header[7]]);
    if crc != checksum(frame) {
        return Err("the record's checksum does not match");
    }
    let mark = header.last_chunk().copied().unwrap_or_default();
    Ok(Frame {
        sync_mark: u64::from_be_bytes(mark),
        payload: &frame[FRAME_HEADER..],
    })
}

/// Whether `bytes`, which begin at file offset `base`, hold a good record that proves that offset `bad` was synced.
pub(crate) fn proves_synced(bytes: &[u8], base: u64, bad: u64) -> bool {
    (1..bytes.len().saturating_sub(FRAME_HEADER)).any(|at| {
        let rest = &bytes[at..];
        let mark = u64::from_be_bytes([
            rest[8], rest[9], rest[10], rest[11], rest[12], rest[13], rest[14], rest[15],
        ]);
        // The mark is looked at first: it rules out nearly every offset without a checksum.
        mark > bad && mark <= base + at as u64 && get(rest).is_ok()
    })
}
