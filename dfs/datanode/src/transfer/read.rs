//! READ: a range of a replica, with the checksums that its writer made.
//!
//! The range is widened to whole chunks, since a checksum covers a whole chunk; the reader cuts what it did not ask for. The
//! bytes are not verified here but by the reader, who tells what it found; if it found damage, we look for ourselves.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use prost::Message;
use quarry_dfs_wire::block::{Block, BlockId, ExtendedBlock};
use quarry_dfs_wire::checksum::{ChecksumType, DataChecksum};
use quarry_dfs_wire::proto::hadoop::hdfs::{
    BlockOpResponseProto, ClientReadStatusProto, OpReadBlockProto, ReadOpChecksumInfoProto, Status,
};
use quarry_dfs_wire::transfer::delimited::read_delimited;
use quarry_dfs_wire::transfer::packet::{self, PacketHeader};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::time::Instant;

use super::connection::{Connection, Next, refuse_with};
use super::error::{TransferError, within};
use super::zero_copy;
use crate::error::Error;
use crate::node::Node;
use crate::replica::{self, ReplicaError, ReplicaState};
use crate::storage::ReadableReplica;
use crate::storage::reader::ReadError;

/// Checksum chunk that is announced when no checksums are sent.
const CHUNK_WITHOUT_CHECKSUMS: u32 = 512;
/// A reader that learned a block's length from another DataNode of the pipeline may be ahead of this one's disk.
const WRITTEN_SOON: Duration = Duration::from_secs(3);
const WRITTEN_RETRY: Duration = Duration::from_millis(10);

/// Reads up to this are sent as one piece of memory; longer ones go from the page cache to the socket without passing through ours.
const MAX_COPIED: u64 = 128 << 10;
/// Bytes of a long read that are brought into the page cache at a time, when they are not there.
const READ_AHEAD: u64 = 8 << 20;

/// The packets of one read: consecutive spans of a replica, cut at chunk boundaries.
#[derive(Debug)]
pub(crate) struct PacketSource {
    replica: ReadableReplica,
    next: u64,
    end: u64,
    ended: bool,
    seqno: i64,
    packet_size: u64,
    send_sums: bool,
    /// Check the bytes on the way out; done when no reader at the other end can report damage.
    verify: bool,
}

impl PacketSource {
    /// Packets that cover `offset..offset + length` of the replica.
    pub(crate) fn new(replica: ReadableReplica, offset: u64, length: u64, packet_size: u64) -> Self {
        let chunks = replica.chunks();
        let next = chunks.floor(offset);
        let end = chunks.ceil(offset + length).min(replica.length);
        let packet_size = chunks.floor(packet_size).max(chunks.size());
        Self {
            replica,
            next,
            end,
            ended: false,
            seqno: 0,
            packet_size,
            send_sums: true,
            verify: false,
        }
    }

    /// Packets that cover exactly the first `length` bytes, as another replica is to hold them.
    pub(crate) fn exact(mut replica: ReadableReplica, length: u64, packet_size: u64) -> Result<Self, ReadError> {
        let start = replica.chunks().floor(length);
        if length < replica.length && start < length {
            replica.tail = Some(replica.cut_chunk_sum(start, length)?);
        }
        replica.length = length;
        Ok(Self::new(replica, 0, length, packet_size))
    }

    /// Leaves the checksums out.
    pub(crate) fn without_sums(mut self) -> Self {
        self.send_sums = false;
        self
    }

    /// Verifies the bytes before they leave.
    pub(crate) fn verified(mut self) -> Self {
        self.verify = true;
        self
    }

    /// First byte that is sent.
    pub(crate) fn start(&self) -> u64 {
        self.next
    }

    /// The checksums that are sent.
    pub(crate) fn checksum(&self) -> DataChecksum {
        if self.send_sums {
            self.replica.checksum
        } else {
            no_checksum()
        }
    }

    /// The next packet as bytes for the wire, the last one together with the empty one that ends the stream; `None` after
    /// that. Blocks on the disk.
    pub(crate) fn next_packet(&mut self) -> Result<Option<Vec<u8>>, ReadError> {
        if self.ended {
            return Ok(None);
        }
        let end = self.end.min(self.next + self.packet_size);
        let mut frame = Vec::new();
        if end > self.next {
            self.append_frame(end, false, &mut frame)?;
        }
        if end == self.end {
            self.append_frame(end, true, &mut frame)?;
            self.ended = true;
        }
        Ok(Some(frame))
    }

    fn append_frame(&mut self, end: u64, last: bool, frame: &mut Vec<u8>) -> Result<(), ReadError> {
        let start = self.next;
        frame.reserve((end - start) as usize);
        let sums_at = self.append_head(end, last, frame)?;
        let data_at = frame.len();
        self.replica.read_data(start, end, frame)?;
        if self.verify {
            self.replica
                .checksum
                .verify(&frame[data_at..], &frame[sums_at..data_at], start)?;
        }
        Ok(())
    }

    /// Appends what stands before a packet's data, up to `end`, and goes on behind it; where its checksums begin.
    fn append_head(&mut self, end: u64, last: bool, frame: &mut Vec<u8>) -> Result<usize, ReadError> {
        let start = self.next;
        let data_length = (end - start) as usize;
        let sums_length = if self.send_sums {
            self.replica.checksum.checksums_length(end - start) as usize
        } else {
            0
        };
        let header = PacketHeader {
            offset_in_block: start,
            seqno: self.seqno,
            last_packet_in_block: last,
            data_len: data_length as u32,
            sync_block: false,
        };
        frame.reserve(2 * packet::MAX_HEADER_LENGTH + packet::LENGTHS + sums_length);
        header.encode(sums_length, frame);
        let sums_at = frame.len();
        if self.send_sums {
            self.replica.read_sums(start, end, frame)?;
        }
        (self.seqno, self.next) = (self.seqno + 1, end);
        Ok(sums_at)
    }
}

/// Sends `head`, then everything that the source has. The next packet is read from the disk while the last one is sent.
pub(crate) async fn stream(
    writer: &mut OwnedWriteHalf,
    mut source: PacketSource,
    mut packet: Vec<u8>,
    timeout: Duration,
) -> Result<(), TransferError> {
    loop {
        let reading = tokio::task::spawn_blocking(move || {
            let next = source.next_packet();
            (source, next)
        });
        within(timeout, "for the reader to take a packet", writer.write_all(&packet)).await?;
        let (returned, next) = reading.await.map_err(std::io::Error::other)?;
        source = returned;
        match next? {
            Some(next) => packet = next,
            None => return Ok(()),
        }
    }
}

/// A replica, ready to be sent.
struct Opened {
    source: PacketSource,
    /// The reply that announces the packets; of a short read the packets, too.
    head: Vec<u8>,
}

/// Sends `head`, then everything that the source has, the data by `sendfile`. What is not in the page cache is brought there on a thread
/// that may wait for the disk.
async fn send_file(
    socket: &TcpStream,
    mut source: PacketSource,
    mut head: Vec<u8>,
    timeout: Duration,
) -> Result<(), TransferError> {
    let mut cached_to = source.next;
    while source.next < source.end {
        let (start, end) = (source.next, source.end.min(source.next + source.packet_size));
        if end > cached_to {
            let ahead = source.end.min(start + READ_AHEAD);
            let missing = !source.replica.is_cached(start..ahead);
            if missing {
                source = Node::blocking(move || source.replica.cache(start..ahead).map(|()| source)).await?;
            }
            cached_to = ahead;
        }
        source.append_head(end, false, &mut head)?;
        let (data, mut at) = (&source.replica.data, start);
        let sending = async {
            zero_copy::send_with_more(socket, &head).await?;
            zero_copy::send_file(socket, data, &mut at, end)
                .await
                .map_err(|error| match error.kind() {
                    io::ErrorKind::UnexpectedEof => {
                        ReadError::Damaged(format!("data file ends before byte {end}")).into()
                    }
                    _ => TransferError::from(error),
                })
        };
        within(timeout, "for the reader to take a packet", sending).await?;
        head.clear();
    }
    source.append_head(source.end, true, &mut head)?;
    let ending = zero_copy::send(socket, &head);
    within(timeout, "for the reader to take a packet", ending).await
}

/// Serves one READ.
pub(crate) async fn read(
    node: &Arc<Node>,
    connection: &mut Connection,
    request: OpReadBlockProto,
) -> Result<Next, TransferError> {
    let block = match ExtendedBlock::try_from(&request.header.base_header.block) {
        Ok(block) => block,
        Err(error) => return refuse_with(node, connection, error.into()).await,
    };
    let opened = match open(node, &block, &request).await {
        Ok(opened) => opened,
        Err(error) => {
            suspect_if_damaged(node, &block, &error);
            return refuse_with(node, connection, error).await;
        }
    };
    let socket = connection.writer.as_ref();
    let timeout = node.config.transfer_timeout;
    let sent = if opened.source.ended {
        let sending = zero_copy::send(socket, &opened.head);
        within(timeout, "for the reader to take a packet", sending).await
    } else {
        send_file(socket, opened.source, opened.head, timeout).await
    };
    if let Err(error) = sent {
        suspect_if_damaged(node, &block, &error);
        return Err(error);
    }
    await_status(node, connection, &block).await
}

/// Finds the replica, checks the range and reads the first packet, in one trip to the disk unless the bytes are still on
/// their way there.
async fn open(node: &Arc<Node>, block: &ExtendedBlock, request: &OpReadBlockProto) -> Result<Opened, TransferError> {
    node.check_pool(&block.pool)?;
    let deadline = Instant::now() + WRITTEN_SOON;
    loop {
        let opened = {
            let (node, block, request) = (Arc::clone(node), block.block, request.clone());
            Node::blocking(move || open_now(&node, &block, &request)).await
        };
        match opened {
            Err(TransferError::Refused(Error::Replica(ReplicaError::Range { id, .. })))
                if Instant::now() < deadline && is_being_written(node, id) =>
            {
                tokio::time::sleep(WRITTEN_RETRY).await;
            }
            other => return other,
        }
    }
}

fn is_being_written(node: &Node, id: BlockId) -> bool {
    node.dataset
        .replica(id)
        .is_ok_and(|replica| replica.state == ReplicaState::Rbw)
}

fn open_now(node: &Node, block: &Block, request: &OpReadBlockProto) -> Result<Opened, TransferError> {
    let seen = node.dataset.replica(block.id)?;
    replica::check_read(&seen, block.generation_stamp, request.offset, request.len)?;
    let replica = node.dataset.open_for_read(block.id, block.generation_stamp)?;
    let packet_size = node.config.read_packet_size.as_u64();
    let mut source = PacketSource::new(replica, request.offset, request.len, packet_size);
    if !request.send_checksums() {
        source = source.without_sums();
    }
    let reply = BlockOpResponseProto {
        status: Status::Success.into(),
        read_op_checksum_info: Some(ReadOpChecksumInfoProto {
            checksum: source.checksum().into(),
            chunk_offset: source.start(),
        }),
        ..BlockOpResponseProto::default()
    };
    let mut head = reply.encode_length_delimited_to_vec();
    let is_short = source.end - source.next <= MAX_COPIED.min(source.packet_size);
    if let Some(packets) = is_short.then(|| source.next_packet()).transpose()?.flatten() {
        head.extend_from_slice(&packets);
    }
    Ok(Opened { source, head })
}

/// Reads what the reader found; the connection can then be used again.
async fn await_status(
    node: &Arc<Node>,
    connection: &mut Connection,
    block: &ExtendedBlock,
) -> Result<Next, TransferError> {
    let answer = read_delimited::<ClientReadStatusProto>(&mut connection.reader, "read status");
    let answer = within(node.config.transfer_timeout, "for the reader's status", answer).await?;
    match answer.status() {
        Status::Success | Status::ChecksumOk => Ok(Next::Reuse),
        Status::ErrorChecksum => {
            suspect(node, block);
            Ok(Next::Close)
        }
        _ => Ok(Next::Close),
    }
}

fn suspect_if_damaged(node: &Arc<Node>, block: &ExtendedBlock, error: &TransferError) {
    if matches!(
        error,
        TransferError::Read(ReadError::Damaged(_)) | TransferError::Refused(Error::Corrupt { .. })
    ) {
        suspect(node, block);
    }
}

/// Has a replica verified in the background.
pub(crate) fn suspect(node: &Arc<Node>, block: &ExtendedBlock) {
    let (node, block) = (Arc::clone(node), block.block);
    let tasks = node.tasks.clone();
    tasks.spawn_blocking(move || node.check_suspect(block.id, block.generation_stamp));
}

fn no_checksum() -> DataChecksum {
    DataChecksum::new(ChecksumType::Null, CHUNK_WITHOUT_CHECKSUMS).expect("a legal chunk size")
}
