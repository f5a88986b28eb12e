//! Packets: what data travels in.
//!
//! ```text
//! u32be  PLEN   4 + checksums + data
//! u16be  HLEN   25, or 27 with syncBlock
//! HLEN   PacketHeaderProto, all fields of fixed width
//!        checksums, one per chunk, big-endian
//!        data
//! ```

use std::io::{self, IoSlice};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use prost::Message;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::TransferError;
use crate::proto::hadoop::hdfs::PacketHeaderProto;

/// Longest packet, header included, in bytes. HDFS's limit too.
pub const MAX_PACKET_LENGTH: usize = 16 * 1024 * 1024;
/// PLEN and HLEN, in bytes.
pub const LENGTHS: usize = 6;
/// Longest header that we write, in bytes.
pub const MAX_HEADER_LENGTH: usize = 27;
/// Longest header that we read, in bytes: later versions may add fields.
const HEADER_LIMIT: usize = 256;
/// How much memory a read claims at most ahead of the bytes that really arrive. Packets of 1 MiB fit at once.
const READ_STEP: usize = 2 * 1024 * 1024;
/// What error messages call it.
const WHAT: &str = "packet";

/// What a packet says of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PacketHeader {
    /// Where the data begins in the block, in bytes.
    pub offset_in_block: u64,
    /// 0, 1, 2 .. in order; see [`super::ack`] for the negative ones.
    pub seqno: i64,
    /// The block ends before this packet, which is empty.
    pub last_packet_in_block: bool,
    /// Bytes of data.
    pub data_len: u32,
    /// The block up to the end of this packet is to be durable before the ack.
    pub sync_block: bool,
}

impl PacketHeader {
    /// Bytes of the encoded header: 25, or 27 with `sync_block`.
    pub fn encoded_len(&self) -> usize {
        if self.sync_block { 27 } else { 25 }
    }

    /// Appends all of the packet that stands before its checksums: PLEN, HLEN and header.
    ///
    /// # Panics
    /// When the packet would be longer than [`MAX_PACKET_LENGTH`]: the sender chooses its packets.
    pub fn encode(&self, checksums_len: usize, buffer: &mut impl BufMut) {
        let length = 4 + checksums_len + self.data_len as usize;
        assert!(
            length + 2 + self.encoded_len() <= MAX_PACKET_LENGTH,
            "a packet of {length} bytes is too long to send"
        );
        buffer.put_u32(length as u32);
        buffer.put_u16(self.encoded_len() as u16);
        // The fields in order, each behind its key: field number << 3, plus 1 (8 bytes), 5 (4 bytes) or 0 (varint).
        buffer.put_u8(1 << 3 | 1);
        buffer.put_u64_le(self.offset_in_block);
        buffer.put_u8(2 << 3 | 1);
        buffer.put_i64_le(self.seqno);
        buffer.put_slice(&[3 << 3, u8::from(self.last_packet_in_block)]);
        buffer.put_u8(4 << 3 | 5);
        buffer.put_u32_le(self.data_len);
        if self.sync_block {
            buffer.put_slice(&[5 << 3, 1]);
        }
    }

    /// Reads an encoded header.
    ///
    /// # Errors
    /// `Malformed` for bytes that do not decode and for negative offsets and lengths.
    pub fn decode(bytes: &[u8]) -> Result<Self, TransferError> {
        let proto = PacketHeaderProto::decode(bytes).map_err(|problem| TransferError::malformed(WHAT, problem))?;
        let negative = |field: &str, value: i64| TransferError::malformed(WHAT, format!("{field} {value} is negative"));
        Ok(Self {
            offset_in_block: u64::try_from(proto.offset_in_block)
                .map_err(|_| negative("offset", proto.offset_in_block))?,
            seqno: proto.seqno,
            last_packet_in_block: proto.last_packet_in_block,
            data_len: u32::try_from(proto.data_len).map_err(|_| negative("data length", proto.data_len.into()))?,
            sync_block: proto.sync_block(),
        })
    }

    /// Whether this is a heartbeat rather than data.
    pub fn is_heartbeat(&self) -> bool {
        self.seqno == super::ack::HEARTBEAT_SEQNO
    }
}

/// A packet as received. Its parts share one buffer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// What it says of itself.
    pub header: PacketHeader,
    /// Big-endian, one per chunk; empty when the sender sends none.
    pub checksums: Bytes,
    /// As many bytes as `header.data_len` says.
    pub data: Bytes,
    /// The whole packet as it came, for passing it on.
    pub raw: Bytes,
}

/// Reads a packet. `buffer` is only room that is used again: keep one per stream, and drop a packet before reading the
/// next if its memory should be reused. What is left in `buffer` has no meaning.
///
/// # Errors
/// `Closed` when the connection ends before the packet, else `Io`, `TooLong` or `Malformed`.
///
/// # Cancel safety
/// Not cancel safe: the connection is of no use afterwards.
pub async fn read_packet(
    reader: &mut (impl AsyncRead + Unpin),
    buffer: &mut BytesMut,
) -> Result<Packet, TransferError> {
    buffer.clear();
    match fill(reader, buffer, LENGTHS).await {
        Err(TransferError::Io(error)) if error.kind() == io::ErrorKind::UnexpectedEof && buffer.is_empty() => {
            return Err(TransferError::Closed);
        }
        other => other?,
    }
    let (payload_len, header_len) = (buffer.as_ref().get_u32(), (&buffer[4..]).get_u16());
    let length = check_lengths(payload_len, header_len)?;
    fill(reader, buffer, length).await?;
    split(buffer.split_to(length).freeze(), usize::from(header_len))
}

/// The length of the whole packet.
fn check_lengths(payload_len: u32, header_len: u16) -> Result<usize, TransferError> {
    if payload_len < 4 {
        return Err(TransferError::malformed(
            WHAT,
            format!("payload length {payload_len}, expected at least 4"),
        ));
    }
    if usize::from(header_len) > HEADER_LIMIT {
        let (length, limit) = (header_len.into(), HEADER_LIMIT as u64);
        return Err(TransferError::TooLong {
            what: "packet header",
            length,
            limit,
        });
    }
    // PLEN counts itself.
    let length = LENGTHS as u64 + u64::from(header_len) + u64::from(payload_len) - 4;
    if length > MAX_PACKET_LENGTH as u64 {
        return Err(TransferError::TooLong {
            what: WHAT,
            length,
            limit: MAX_PACKET_LENGTH as u64,
        });
    }
    Ok(length as usize)
}

/// Takes a whole packet apart.
fn split(raw: Bytes, header_len: usize) -> Result<Packet, TransferError> {
    let body = LENGTHS + header_len;
    let header = PacketHeader::decode(&raw[LENGTHS..body])?;
    let Some(data) = raw
        .len()
        .checked_sub(header.data_len as usize)
        .filter(|data| *data >= body)
    else {
        let (claimed, found) = (header.data_len, raw.len() - body);
        return Err(TransferError::malformed(
            WHAT,
            format!("{claimed} bytes of data announced, {found} bytes came"),
        ));
    };
    Ok(Packet {
        header,
        checksums: raw.slice(body..data),
        data: raw.slice(data..),
        raw,
    })
}

/// Reads until the buffer holds exactly `length` bytes, claiming memory only as they arrive.
async fn fill(
    reader: &mut (impl AsyncRead + Unpin),
    buffer: &mut BytesMut,
    length: usize,
) -> Result<(), TransferError> {
    buffer.reserve((length - buffer.len()).min(READ_STEP));
    while buffer.len() < length {
        let missing = length - buffer.len();
        if buffer.len() == buffer.capacity() {
            buffer.reserve(missing.min(READ_STEP));
        }
        if (&mut *reader).take(missing as u64).read_buf(buffer).await? == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
    }
    Ok(())
}

/// Sends a packet in as few system calls as the socket takes, without copying the data. Does not flush: with a socket
/// that is not needed, with a buffered writer it is the caller's business.
///
/// # Errors
/// Those of the socket.
///
/// # Panics
/// When `data` is not as long as the header says, or the packet too long.
pub async fn write_packet(
    writer: &mut (impl AsyncWrite + Unpin),
    header: &PacketHeader,
    checksums: &[u8],
    data: &[u8],
) -> io::Result<()> {
    assert_eq!(
        data.len(),
        header.data_len as usize,
        "a packet's header announces its data"
    );
    let mut head = Vec::with_capacity(LENGTHS + MAX_HEADER_LENGTH + checksums.len());
    header.encode(checksums.len(), &mut head);
    head.extend_from_slice(checksums);
    let mut slices = [IoSlice::new(&head), IoSlice::new(data)];
    let mut rest = &mut slices[..];
    IoSlice::advance_slices(&mut rest, 0);
    while !rest.is_empty() {
        match writer.write_vectored(rest).await? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            written => IoSlice::advance_slices(&mut rest, written),
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "packet_tests.rs"]
mod tests;
