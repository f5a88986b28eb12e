//! A read and a write as both ends see them, over a real socket.

use bytes::BytesMut;
use quarry_dfs_wire::block::{Block, BlockId, ExtendedBlock, GenerationStamp};
use quarry_dfs_wire::checksum::DataChecksum;
use quarry_dfs_wire::proto::hadoop::hdfs::{
    BaseHeaderProto, BlockOpResponseProto, ClientOperationHeaderProto, ExtendedBlockProto, OpReadBlockProto,
    ReadOpChecksumInfoProto,
};
use quarry_dfs_wire::transfer::TransferError;
use quarry_dfs_wire::transfer::ack::{PipelineAck, Status, read_ack, write_ack};
use quarry_dfs_wire::transfer::delimited::{read_delimited, write_delimited};
use quarry_dfs_wire::transfer::op::{Op, read_op, write_op};
use quarry_dfs_wire::transfer::packet::{PacketHeader, read_packet, write_packet};
use tokio::io::BufStream;
use tokio::net::{TcpListener, TcpStream};

const PACKET: usize = 1024 * 1024;

async fn sockets() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (near, far) = tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
    (near.unwrap(), far.unwrap().0)
}

fn data() -> Vec<u8> {
    (0..3 * PACKET + 777).map(|i| (i % 251) as u8).collect()
}

fn read_op_of(block: &ExtendedBlock) -> Op {
    let base_header = BaseHeaderProto {
        block: ExtendedBlockProto::from(block),
        ..Default::default()
    };
    let header = ClientOperationHeaderProto {
        base_header,
        client_name: "reader".into(),
    };
    Op::Read(Box::new(OpReadBlockProto {
        header,
        offset: 0,
        len: data().len() as u64,
        ..Default::default()
    }))
}

/// Sends the data in packets, an empty one at the end.
async fn send(socket: &mut TcpStream, data: &[u8]) {
    let checksum = DataChecksum::default();
    let mut offset = 0;
    for (seqno, part) in data.chunks(PACKET).chain([&[][..]]).enumerate() {
        let header = PacketHeader {
            offset_in_block: offset,
            seqno: seqno as i64,
            last_packet_in_block: part.is_empty(),
            data_len: part.len() as u32,
            sync_block: false,
        };
        let mut sums = Vec::new();
        checksum.compute(part, &mut sums);
        write_packet(socket, &header, &sums, part).await.unwrap();
        offset += part.len() as u64;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_block_is_read() {
    let (near, mut far) = sockets().await;
    let block = Block {
        id: BlockId::FIRST,
        generation_stamp: GenerationStamp::FIRST,
        length: data().len() as u64,
    };
    let block = ExtendedBlock::new("BP-1", block);
    let asked = read_op_of(&block);
    let server = tokio::spawn(async move {
        let Op::Read(op) = read_op(&mut far).await.unwrap() else {
            panic!()
        };
        assert_eq!(ExtendedBlock::try_from(&op.header.base_header.block).unwrap(), block);
        assert!(op.send_checksums());
        let read_op_checksum_info = Some(ReadOpChecksumInfoProto {
            checksum: DataChecksum::default().into(),
            chunk_offset: 0,
        });
        let answer = BlockOpResponseProto {
            read_op_checksum_info,
            ..Default::default()
        };
        write_delimited(&mut far, &answer).await.unwrap();
        send(&mut far, &data()).await;
    });
    let mut near = BufStream::new(near);
    write_op(&mut near, &asked).await.unwrap();
    let answer: BlockOpResponseProto = read_delimited(&mut near, "answer").await.unwrap();
    let checksum = DataChecksum::try_from(&answer.read_op_checksum_info.unwrap().checksum).unwrap();
    let (mut read, mut buffer) = (Vec::new(), BytesMut::new());
    loop {
        let packet = read_packet(&mut near, &mut buffer).await.unwrap();
        checksum
            .verify(&packet.data, &packet.checksums, packet.header.offset_in_block)
            .unwrap();
        assert_eq!(packet.header.offset_in_block, read.len() as u64);
        read.extend_from_slice(&packet.data);
        if packet.header.last_packet_in_block {
            break;
        }
    }
    assert!(read == data());
    server.await.unwrap();
    assert!(matches!(
        read_packet(&mut near, &mut buffer).await,
        Err(TransferError::Closed)
    ));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn packets_are_acked_in_order() {
    let (mut near, far) = sockets().await;
    let receiver = tokio::spawn(async move {
        let (mut far, mut buffer) = (BufStream::new(far), BytesMut::new());
        loop {
            let header = read_packet(&mut far, &mut buffer).await.unwrap().header;
            let ack = PipelineAck::new(header.seqno, Status::Success, &[Status::Success]);
            write_ack(&mut far, &ack).await.unwrap();
            if header.last_packet_in_block {
                break;
            }
        }
    });
    send(&mut near, &data()).await;
    let mut near = BufStream::new(near);
    for seqno in 0..=4 {
        let ack = read_ack(&mut near).await.unwrap();
        assert_eq!((ack.seqno, ack.statuses.len(), ack.is_success()), (seqno, 2, true));
    }
    receiver.await.unwrap();
}
