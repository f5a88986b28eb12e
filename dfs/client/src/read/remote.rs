//! Reading a range of a block from a DataNode's socket.
//!
//! The DataNode sends whole chunks: the range is rounded outwards, every chunk is verified, and the surplus is cut off
//! without a copy. Data goes from the socket straight into the memory that the caller gets.

use std::ops::Range;
use std::time::Duration;

use bytes::{Buf, Bytes};
use quarry_dfs_wire::checksum::DataChecksum;
use quarry_dfs_wire::proto::hadoop::hdfs as pb;
use quarry_dfs_wire::transfer::op::Op;
use quarry_dfs_wire::transfer::packet::{LENGTHS, MAX_PACKET_LENGTH, PacketHeader};
use tokio::io::AsyncReadExt;

use crate::connections::{self, Connection, within};
use crate::error::TransferError;
use crate::location::{BlockLocation, DataNodeInfo};
use crate::shared::Shared;

/// Longest packet header accepted, in bytes: 27 today, later versions may add fields.
const MAX_HEADER: usize = 256;

/// Reads `range` of the block from `node`, over an idle connection if there is one.
pub(super) async fn read(
    shared: &Shared,
    location: &BlockLocation,
    node: &DataNodeInfo,
    range: Range<u64>,
) -> Result<Bytes, TransferError> {
    let patience = shared.config.datanode_timeout;
    let op = request(shared, location, &range);
    if let Some(mut idle) = shared.connections.take(node) {
        match converse(&mut idle, &op, &range, patience).await {
            // The DataNode may have closed it or restarted meanwhile: that says nothing about the replica.
            Err(TransferError::Lost(_)) => shared.connections.forget(node),
            read => return keep(shared, node, idle, read),
        }
    }
    let mut fresh = connections::connect(node, shared.config.connect_timeout).await?;
    let read = converse(&mut fresh, &op, &range, patience).await;
    keep(shared, node, fresh, read)
}

/// Keeps the connection for the next read if this one left it in order.
fn keep(
    shared: &Shared,
    node: &DataNodeInfo,
    connection: Connection,
    read: Result<Bytes, TransferError>,
) -> Result<Bytes, TransferError> {
    if read.is_ok() {
        shared.connections.give_back(node, connection);
    }
    read
}

fn request(shared: &Shared, location: &BlockLocation, range: &Range<u64>) -> Op {
    Op::Read(Box::new(pb::OpReadBlockProto {
        header: connections::operation_header(&location.block, &location.token, shared.namenode.client_name()),
        offset: range.start,
        len: range.end - range.start,
        send_checksums: Some(true),
        caching_strategy: None,
    }))
}

async fn converse(
    connection: &mut Connection,
    op: &Op,
    range: &Range<u64>,
    patience: Duration,
) -> Result<Bytes, TransferError> {
    let answer = connections::ask(connection, op, patience).await?;
    if answer.status() != pb::Status::Success {
        return Err(TransferError::Refused(format!(
            "{:?} {}",
            answer.status(),
            answer.message()
        )));
    }
    let mut chunks = Chunks::expect(&answer, range)?;
    while !within(patience, chunks.packet(connection)).await? {}
    let bytes = chunks.cut(range)?;
    connections::thank(connection, patience).await?;
    Ok(bytes)
}

/// The chunks that cover a range, as they arrive.
struct Chunks {
    checksum: DataChecksum,
    /// Where the first chunk begins in the block.
    start: u64,
    /// Where the last chunk ends at most.
    limit: u64,
    data: Vec<u8>,
    /// A packet's checksums; kept to be used again.
    checksums: Vec<u8>,
}

impl Chunks {
    fn expect(answer: &pb::BlockOpResponseProto, range: &Range<u64>) -> Result<Self, TransferError> {
        let missing = || TransferError::Protocol("the answer to a read tells no checksum type".to_owned());
        let info = answer.read_op_checksum_info.as_ref().ok_or_else(missing)?;
        let checksum = DataChecksum::try_from(&info.checksum).map_err(|e| TransferError::Protocol(e.to_string()))?;
        let chunk = u64::from(checksum.bytes_per_checksum());
        let (start, limit) = (info.chunk_offset, range.end.next_multiple_of(chunk));
        if start > range.start || range.start - start >= chunk || !start.is_multiple_of(chunk) {
            let message = format!("chunks from {start} on were sent for a range from {} on", range.start);
            return Err(TransferError::Protocol(message));
        }
        Ok(Self {
            checksum,
            start,
            limit,
            data: Vec::with_capacity((limit - start) as usize),
            checksums: Vec::new(),
        })
    }

    /// Where the next packet's data must begin.
    fn next(&self) -> u64 {
        self.start + self.data.len() as u64
    }

    /// Takes a packet; whether it was the last.
    async fn packet(&mut self, connection: &mut Connection) -> Result<bool, TransferError> {
        let (header, checksums) = read_header(connection).await?;
        if header.is_heartbeat() {
            return Ok(false);
        }
        let length = u64::from(header.data_len);
        if header.offset_in_block != self.next() || length > self.limit - self.next() {
            let message = format!(
                "packet of {length} bytes at {}, expected {} to {}",
                header.offset_in_block,
                self.next(),
                self.limit
            );
            return Err(TransferError::Protocol(message));
        }
        if checksums as u64 != self.checksum.checksums_length(length) {
            return Err(TransferError::Protocol(format!(
                "{checksums} bytes of checksums for {length} bytes of data"
            )));
        }
        self.checksums.resize(checksums, 0);
        connection.read_exact(&mut self.checksums).await?;
        self.fill(connection, length as usize).await?;
        Ok(header.last_packet_in_block)
    }

    /// Reads and verifies a packet's data.
    async fn fill(&mut self, connection: &mut Connection, length: usize) -> Result<(), TransferError> {
        let (from, offset) = (self.data.len(), self.next());
        let mut rest = connection.take(length as u64);
        while self.data.len() < from + length {
            if rest.read_buf(&mut self.data).await? == 0 {
                return Err(TransferError::Lost(std::io::ErrorKind::UnexpectedEof.into()));
            }
        }
        let verified = self.checksum.verify(&self.data[from..], &self.checksums, offset);
        verified.map_err(|e| TransferError::Checksum(e.to_string()))
    }

    /// The range without what was sent around it.
    fn cut(self, range: &Range<u64>) -> Result<Bytes, TransferError> {
        if self.next() < range.end {
            let message = format!("the block ended at {}, {} was asked for", self.next(), range.end);
            return Err(TransferError::Protocol(message));
        }
        let from = (range.start - self.start) as usize;
        Ok(Bytes::from(self.data).slice(from..from + (range.end - range.start) as usize))
    }
}

/// Reads all of a packet that stands before its checksums; the header and the length of the checksums.
async fn read_header(connection: &mut Connection) -> Result<(PacketHeader, usize), TransferError> {
    let mut lengths = [0; LENGTHS];
    connection.read_exact(&mut lengths).await?;
    let mut lengths = &lengths[..];
    // PLEN counts its own four bytes.
    let (payload, header) = (lengths.get_u32() as usize, lengths.get_u16() as usize);
    if !(4..=MAX_PACKET_LENGTH).contains(&payload) || header > MAX_HEADER {
        return Err(TransferError::Protocol(format!(
            "packet of {payload} bytes with a header of {header} bytes"
        )));
    }
    let mut bytes = [0; MAX_HEADER];
    connection.read_exact(&mut bytes[..header]).await?;
    let header = PacketHeader::decode(&bytes[..header])?;
    let checksums = (payload - 4).checked_sub(header.data_len as usize);
    let short = || {
        TransferError::Protocol(format!(
            "packet of {payload} bytes with {} bytes of data",
            header.data_len
        ))
    };
    Ok((header, checksums.ok_or_else(short)?))
}
