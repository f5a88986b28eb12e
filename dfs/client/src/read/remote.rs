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

use crate::buffers::Buffer;
use crate::connections::{self, Connection, within};
use crate::error::TransferError;
use crate::location::{BlockLocation, DataNodeInfo};
use crate::shared::Shared;

/// Longest packet header accepted, in bytes: 27 today, later versions may add fields.
const MAX_HEADER: usize = 256;

/// Reads `range` of the block from `node`. A node that does not answer within `first_byte` is given up.
pub(super) async fn read(
    shared: &Shared,
    location: &BlockLocation,
    node: &DataNodeInfo,
    range: Range<u64>,
    first_byte: Duration,
) -> Result<Bytes, TransferError> {
    let patience = shared.config.datanode_timeout;
    let (mut connection, mut packets) = ask(shared, location, node, &range, first_byte).await?;
    let (start, mut data) = (packets.next, Buffer::new((packets.limit - packets.next) as usize));
    while within(patience, packets.next_into(&mut connection, start, &mut data)).await? {}
    if packets.next < range.end {
        let message = format!("the block ended at {}, {} was asked for", packets.next, range.end);
        return Err(TransferError::Protocol(message));
    }
    connections::thank(&mut connection, patience).await?;
    shared.connections.give_back(node, connection);
    let from = (range.start - start) as usize;
    Ok(data.freeze().slice(from..from + (range.end - range.start) as usize))
}

/// Asks for `range`, over an idle connection if there is one; what follows is its packets.
pub(super) async fn ask(
    shared: &Shared,
    location: &BlockLocation,
    node: &DataNodeInfo,
    range: &Range<u64>,
    first_byte: Duration,
) -> Result<(Connection, Packets), TransferError> {
    let patience = shared.config.datanode_timeout.min(first_byte);
    let op = request(shared, location, range);
    if let Some(mut idle) = shared.connections.take(node) {
        match connections::ask(&mut idle, &op, patience).await {
            // The DataNode may have closed it or restarted meanwhile: that says nothing about the replica.
            Err(TransferError::Lost(_)) => shared.connections.forget(node),
            answer => return Ok((idle, Packets::expect(&answer?, range)?)),
        }
    }
    let mut fresh = connections::connect(node, shared.config.connect_timeout.min(first_byte)).await?;
    let answer = connections::ask(&mut fresh, &op, patience).await?;
    Ok((fresh, Packets::expect(&answer, range)?))
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

/// A packet's data, verified.
#[derive(Debug)]
pub(super) struct Packet {
    /// Where it begins in the block.
    pub(super) offset: u64,
    pub(super) data: Bytes,
}

/// The packets that cover a range, as they arrive.
#[derive(Debug)]
pub(super) struct Packets {
    checksum: DataChecksum,
    /// Where the next packet's data must begin in the block.
    next: u64,
    /// Where the last one's ends at most.
    limit: u64,
    /// A packet's checksums; kept to be used again.
    checksums: Vec<u8>,
    ended: bool,
}

impl Packets {
    fn expect(answer: &pb::BlockOpResponseProto, range: &Range<u64>) -> Result<Self, TransferError> {
        if answer.status() != pb::Status::Success {
            return Err(TransferError::Refused(format!(
                "{:?} {}",
                answer.status(),
                answer.message()
            )));
        }
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
            next: start,
            limit,
            checksums: Vec::new(),
            ended: false,
        })
    }

    /// The next packet in memory of its own; none when the last one has come.
    pub(super) async fn next(&mut self, connection: &mut Connection) -> Result<Option<Packet>, TransferError> {
        loop {
            let Some(length) = self.head(connection).await? else {
                return Ok(None);
            };
            if length > 0 {
                let offset = self.next;
                let mut data = Buffer::new(length);
                self.body(connection, data.as_mut_slice()).await?;
                return Ok(Some(Packet {
                    offset,
                    data: data.freeze(),
                }));
            }
        }
    }

    /// Reads the next packet to its place in `data`, whose first byte is the block's byte `start`; whether another follows.
    async fn next_into(
        &mut self,
        connection: &mut Connection,
        start: u64,
        data: &mut Buffer,
    ) -> Result<bool, TransferError> {
        let Some(length) = self.head(connection).await? else {
            return Ok(false);
        };
        let from = (self.next - start) as usize;
        self.body(connection, &mut data.as_mut_slice()[from..from + length])
            .await?;
        Ok(true)
    }

    /// Reads what stands before a packet's data, and how long that is; none after the last packet.
    async fn head(&mut self, connection: &mut Connection) -> Result<Option<usize>, TransferError> {
        if self.ended {
            return Ok(None);
        }
        let (header, checksums) = read_header(connection).await?;
        if header.is_heartbeat() {
            return Ok(Some(0));
        }
        let length = u64::from(header.data_len);
        if header.offset_in_block != self.next || length > self.limit - self.next {
            let message = format!(
                "packet of {length} bytes at {}, expected {} to {}",
                header.offset_in_block, self.next, self.limit
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
        self.ended = header.last_packet_in_block;
        Ok((length > 0 || !self.ended).then_some(length as usize))
    }

    /// Reads and verifies a packet's data.
    async fn body(&mut self, connection: &mut Connection, data: &mut [u8]) -> Result<(), TransferError> {
        if data.is_empty() {
            return Ok(());
        }
        connection.read_exact(data).await?;
        let verified = self.checksum.verify(data, &self.checksums, self.next);
        verified.map_err(|e| TransferError::Checksum(e.to_string()))?;
        self.next += data.len() as u64;
        Ok(())
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
