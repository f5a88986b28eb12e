//! A client of the transfer port, straight on the wire.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::BytesMut;
use quarry_dfs_wire::checksum::DataChecksum;
use quarry_dfs_wire::proto::hadoop::hdfs::op_write_block_proto::BlockConstructionStage;
use quarry_dfs_wire::proto::hadoop::hdfs::{
    BaseHeaderProto, BlockOpResponseProto, ClientOperationHeaderProto, ClientReadStatusProto, DatanodeInfoProto,
    ExtendedBlockProto, OpReadBlockProto, OpWriteBlockProto, Status,
};
use quarry_dfs_wire::transfer::TransferError;
use quarry_dfs_wire::transfer::ack::{self, PipelineAck};
use quarry_dfs_wire::transfer::delimited::{read_delimited, write_delimited};
use quarry_dfs_wire::transfer::op::{self, Op};
use quarry_dfs_wire::transfer::packet::{self, PacketHeader};
use tokio::io::{AsyncReadExt, BufStream};
use tokio::net::TcpStream;

use crate::fake_namenode::POOL;

const DEADLINE: Duration = Duration::from_secs(20);

/// Seeded bytes: no two chunks alike.
pub(crate) fn bytes(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    std::iter::repeat_with(next).take(length).collect()
}

pub(crate) fn block(id: u64, stamp: u64) -> ExtendedBlockProto {
    ExtendedBlockProto {
        pool_id: POOL.to_owned(),
        block_id: id,
        generation_stamp: stamp,
        num_bytes: Some(0),
    }
}

pub(crate) fn header(block: ExtendedBlockProto) -> ClientOperationHeaderProto {
    ClientOperationHeaderProto {
        base_header: BaseHeaderProto {
            block,
            ..BaseHeaderProto::default()
        },
        client_name: "test-client".to_owned(),
    }
}

pub(crate) fn write_request(block: ExtendedBlockProto, targets: &[DatanodeInfoProto]) -> OpWriteBlockProto {
    OpWriteBlockProto {
        header: header(block),
        targets: targets.to_vec(),
        stage: BlockConstructionStage::PipelineSetupCreate.into(),
        pipeline_size: targets.len() as u32 + 1,
        requested_checksum: DataChecksum::default().into(),
        ..OpWriteBlockProto::default()
    }
}

pub(crate) struct Conn(pub(crate) BufStream<TcpStream>);

impl Conn {
    pub(crate) async fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self(BufStream::new(stream))
    }

    pub(crate) async fn send(&mut self, op: Op) {
        op::write_op(&mut self.0, &op).await.unwrap();
    }

    pub(crate) async fn reply(&mut self) -> BlockOpResponseProto {
        timely(read_delimited(&mut self.0, "reply")).await.unwrap()
    }

    /// Whether the other side closes the connection, having sent nothing more.
    pub(crate) async fn is_closed(&mut self) -> bool {
        let mut byte = [0];
        !matches!(timely(self.0.read(&mut byte)).await, Ok(1..))
    }
}

pub(crate) async fn timely<T>(step: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, step)
        .await
        .expect("the DataNode answers in time")
}

/// A block being written.
pub(crate) struct Writer {
    pub(crate) conn: Conn,
    pub(crate) offset: u64,
    pub(crate) seqno: i64,
}

impl Writer {
    /// Sets up a pipeline and expects all nodes to be ready.
    pub(crate) async fn start(address: SocketAddr, request: OpWriteBlockProto) -> Self {
        let (conn, reply) = Self::try_start(address, request).await;
        assert_eq!(reply.status(), Status::Success, "{reply:?}");
        Self {
            conn,
            offset: 0,
            seqno: 0,
        }
    }

    pub(crate) async fn try_start(address: SocketAddr, request: OpWriteBlockProto) -> (Conn, BlockOpResponseProto) {
        let mut conn = Conn::open(address).await;
        conn.send(Op::Write(Box::new(request))).await;
        let reply = conn.reply().await;
        (conn, reply)
    }

    pub(crate) async fn packet(&mut self, data: &[u8], flags: Flags) -> Result<(), std::io::Error> {
        let mut sums = Vec::new();
        DataChecksum::default().compute(data, &mut sums);
        if flags.damage {
            sums[0] ^= 1;
        }
        let header = PacketHeader {
            offset_in_block: self.offset,
            seqno: if flags.heartbeat {
                ack::HEARTBEAT_SEQNO
            } else {
                self.seqno
            },
            last_packet_in_block: flags.last,
            data_len: data.len() as u32,
            sync_block: flags.sync,
        };
        packet::write_packet(&mut self.conn.0, &header, &sums, data).await?;
        tokio::io::AsyncWriteExt::flush(&mut self.conn.0).await?;
        if !flags.heartbeat {
            self.offset += data.len() as u64;
            self.seqno += 1;
        }
        Ok(())
    }

    pub(crate) async fn ack(&mut self) -> Result<PipelineAck, TransferError> {
        timely(ack::read_ack(&mut self.conn.0)).await
    }

    /// Sends data in packets of `size` and expects an ack of `nodes` successes for each.
    pub(crate) async fn write(&mut self, data: &[u8], size: usize, nodes: usize) {
        for part in data.chunks(size) {
            let seqno = self.seqno;
            self.packet(part, Flags::default()).await.unwrap();
            let ack = self.ack().await.unwrap();
            assert_eq!((ack.seqno, ack.statuses), (seqno, vec![Status::Success; nodes]));
        }
    }

    /// Ends the block and expects all nodes to agree.
    pub(crate) async fn finish(&mut self, nodes: usize) {
        self.packet(
            &[],
            Flags {
                last: true,
                ..Flags::default()
            },
        )
        .await
        .unwrap();
        let ack = self.ack().await.unwrap();
        assert_eq!(ack.statuses, vec![Status::Success; nodes]);
    }
}

#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Flags {
    pub(crate) last: bool,
    pub(crate) sync: bool,
    pub(crate) heartbeat: bool,
    pub(crate) damage: bool,
}

/// Writes a whole block through a pipeline: the first node is connected to, the others are its targets.
pub(crate) async fn write_block(address: SocketAddr, targets: &[DatanodeInfoProto], id: u64, data: &[u8]) {
    let mut writer = Writer::start(address, write_request(block(id, 1001), targets)).await;
    writer.write(data, 64_512, targets.len() + 1).await;
    writer.finish(targets.len() + 1).await;
}

/// What a read brought.
#[derive(Debug)]
pub(crate) struct Read {
    pub(crate) chunk_offset: u64,
    pub(crate) data: Vec<u8>,
    /// Whether a chunk did not match its checksum.
    pub(crate) damaged: bool,
    pub(crate) packets: usize,
}

pub(crate) fn read_request(id: u64, stamp: u64, offset: u64, len: u64) -> OpReadBlockProto {
    OpReadBlockProto {
        header: header(block(id, stamp)),
        offset,
        len,
        ..OpReadBlockProto::default()
    }
}

/// Reads a range on an open connection and answers with what was found.
pub(crate) async fn read(conn: &mut Conn, request: OpReadBlockProto) -> Result<Read, BlockOpResponseProto> {
    conn.send(Op::Read(Box::new(request))).await;
    let reply = conn.reply().await;
    if reply.status() != Status::Success {
        return Err(reply);
    }
    let info = reply.read_op_checksum_info.unwrap();
    let checksum = DataChecksum::try_from(&info.checksum).unwrap();
    let mut read = Read {
        chunk_offset: info.chunk_offset,
        data: Vec::new(),
        damaged: false,
        packets: 0,
    };
    let mut buffer = BytesMut::new();
    loop {
        let packet = timely(packet::read_packet(&mut conn.0, &mut buffer)).await.unwrap();
        assert_eq!(packet.header.seqno, read.packets as i64);
        assert_eq!(
            packet.header.offset_in_block,
            read.chunk_offset + read.data.len() as u64
        );
        if packet.header.last_packet_in_block {
            assert!(packet.data.is_empty());
            break;
        }
        read.damaged |= checksum.verify(&packet.data, &packet.checksums, 0).is_err();
        read.data.extend_from_slice(&packet.data);
        read.packets += 1;
    }
    let status = if read.damaged {
        Status::ErrorChecksum
    } else {
        Status::ChecksumOk
    };
    write_delimited(&mut conn.0, &ClientReadStatusProto { status: status.into() })
        .await
        .unwrap();
    Ok(read)
}

/// Reads all of a block from one node and checks it.
pub(crate) async fn assert_holds(address: SocketAddr, id: u64, stamp: u64, data: &[u8]) {
    let mut conn = Conn::open(address).await;
    let read = read(&mut conn, read_request(id, stamp, 0, data.len() as u64))
        .await
        .unwrap();
    assert!(!read.damaged);
    assert!(
        read.data[..data.len()] == *data,
        "{address} holds other bytes of block {id}"
    );
}
