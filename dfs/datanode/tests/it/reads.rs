//! Reads: ranges, connection reuse, damage.

use std::io::{Read as _, Seek, SeekFrom, Write as _};

use md5::{Digest, Md5};
use quarry_dfs_wire::block::{BlockId, GenerationStamp};
use quarry_dfs_wire::checksum::DataChecksum;
use quarry_dfs_wire::proto::dfs_v1::ReplicaChange;
use quarry_dfs_wire::proto::hadoop::hdfs::{
    BlockChecksumOptionsProto, BlockChecksumTypeProto, ClientReadStatusProto, OpBlockChecksumProto, Status,
};
use quarry_dfs_wire::transfer::delimited::write_delimited;
use quarry_dfs_wire::transfer::op::Op;

use crate::client::{Conn, Flags, Writer, block, bytes, header, read, read_request, write_block, write_request};
use crate::fake_namenode::POOL;
use crate::nodes::Nodes;

const ID: u64 = 1_073_741_826;

#[tokio::test(flavor = "multi_thread")]
async fn ranges_are_widened_to_chunks_and_one_connection_serves_many() {
    let nodes = Nodes::start(1).await;
    let data = bytes(3_000_100);
    write_block(nodes.nodes[0].xfer_addr(), &[], ID, &data).await;
    let mut conn = Conn::open(nodes.nodes[0].xfer_addr()).await;
    let length = data.len() as u64;
    for (offset, len) in [
        (0, length),
        (0, 1),
        (511, 2),
        (512, 512),
        (1_048_575, 1_100_000),
        (length - 1, 1),
        (length, 0),
    ] {
        let read = read(&mut conn, read_request(ID, 1001, offset, len)).await.unwrap();
        let end = (offset + len).next_multiple_of(512).min(length);
        assert_eq!(read.chunk_offset, offset - offset % 512);
        assert!(!read.damaged);
        let expected = &data[read.chunk_offset as usize..end as usize];
        assert!(
            read.data == expected,
            "{offset}+{len}: {} bytes, expected {}",
            read.data.len(),
            expected.len()
        );
        assert_eq!(read.packets, read.data.len().div_ceil(1 << 20), "packets of 1 MiB");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_that_cannot_be_served_are_refused() {
    let nodes = Nodes::start(1).await;
    write_block(nodes.nodes[0].xfer_addr(), &[], ID, &bytes(1000)).await;
    let refused = [
        (read_request(ID, 1001, 0, 1001), "outside"),
        (read_request(ID, 1001, u64::MAX, 2), "outside"),
        (read_request(ID, 1002, 0, 10), "generation stamp 1001"),
        (read_request(ID + 1, 1001, 0, 10), "no replica"),
    ];
    for (request, text) in refused {
        let mut conn = Conn::open(nodes.nodes[0].xfer_addr()).await;
        let reply = read(&mut conn, request).await.unwrap_err();
        assert_eq!(reply.status(), Status::Error);
        assert!(reply.message().contains(text), "{reply:?}");
        assert!(conn.is_closed().await);
    }
    // A replica newer than the reader knows is served.
    let mut conn = Conn::open(nodes.nodes[0].xfer_addr()).await;
    assert!(read(&mut conn, read_request(ID, 1000, 0, 10)).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn checksums_are_left_out_on_request() {
    let nodes = Nodes::start(1).await;
    let data = bytes(1000);
    write_block(nodes.nodes[0].xfer_addr(), &[], ID, &data).await;
    let mut conn = Conn::open(nodes.nodes[0].xfer_addr()).await;
    let request = quarry_dfs_wire::proto::hadoop::hdfs::OpReadBlockProto {
        send_checksums: Some(false),
        ..read_request(ID, 1001, 0, 1000)
    };
    assert!(read(&mut conn, request).await.unwrap().data == data);
}

fn flip(path: &std::path::Path, at: u64) {
    let mut file = std::fs::File::options().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.seek(SeekFrom::Start(at)).unwrap();
    file.read_exact(&mut byte).unwrap();
    file.seek(SeekFrom::Start(at)).unwrap();
    file.write_all(&[byte[0] ^ 4]).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn flipped_bit_is_seen_by_the_reader_and_reported_once_verified() {
    let nodes = Nodes::start(1).await;
    let node = &nodes.nodes[0];
    let dir = nodes.pool_dir(0).join("current/finalized/subdir0/subdir0");
    for (id, file, at) in [
        (ID, format!("blk_{ID}"), 70_000),
        (ID + 1, format!("blk_{}_1001.meta", ID + 1), 11),
    ] {
        write_block(node.xfer_addr(), &[], id, &bytes(100_000)).await;
        flip(&dir.join(file), at);
        let mut conn = Conn::open(node.xfer_addr()).await;
        assert!(
            read(&mut conn, read_request(id, 1001, 0, 100_000))
                .await
                .unwrap()
                .damaged
        );
        nodes
            .namenode
            .until(&nodes.uuid(0), "the finding", |said| {
                said.has(ReplicaChange::Corrupt, id)
            })
            .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn truncated_file_is_refused_and_reported() {
    let nodes = Nodes::start(1).await;
    write_block(nodes.nodes[0].xfer_addr(), &[], ID, &bytes(100_000)).await;
    let path = nodes
        .pool_dir(0)
        .join(format!("current/finalized/subdir0/subdir0/blk_{ID}"));
    std::fs::File::options()
        .write(true)
        .open(path)
        .unwrap()
        .set_len(99_999)
        .unwrap();
    let mut conn = Conn::open(nodes.nodes[0].xfer_addr()).await;
    let reply = read(&mut conn, read_request(ID, 1001, 0, 100_000)).await.unwrap_err();
    assert_eq!(reply.status(), Status::Error);
    nodes
        .namenode
        .until(&nodes.uuid(0), "the finding", |said| {
            said.has(ReplicaChange::Corrupt, ID)
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn false_alarm_of_a_reader_is_not_passed_on() {
    let nodes = Nodes::start(1).await;
    let node = &nodes.nodes[0];
    write_block(node.xfer_addr(), &[], ID, &bytes(1000)).await;
    write_block(node.xfer_addr(), &[], ID + 1, &bytes(1000)).await;
    let mut conn = Conn::open(node.xfer_addr()).await;
    conn.send(Op::Read(Box::new(read_request(ID, 1001, 0, 0)))).await;
    conn.reply().await;
    let mut buffer = bytes::BytesMut::new();
    quarry_dfs_wire::transfer::packet::read_packet(&mut conn.0, &mut buffer)
        .await
        .unwrap();
    let claim = ClientReadStatusProto {
        status: Status::ErrorChecksum.into(),
    };
    write_delimited(&mut conn.0, &claim).await.unwrap();
    assert!(conn.is_closed().await);
    // A real finding afterwards shows that the first has been dealt with: reports keep their order.
    flip(
        &nodes
            .pool_dir(0)
            .join(format!("current/finalized/subdir0/subdir0/blk_{}", ID + 1)),
        5,
    );
    node.report_suspect(BlockId(ID + 1), GenerationStamp(1001));
    let said = nodes
        .namenode
        .until(&nodes.uuid(0), "the finding", |said| {
            said.has(ReplicaChange::Corrupt, ID + 1)
        })
        .await;
    assert!(!said.has(ReplicaChange::Corrupt, ID));
}

#[tokio::test(flavor = "multi_thread")]
async fn block_being_written_can_be_read_to_its_acked_end() {
    let nodes = Nodes::start(2).await;
    let infos = nodes.infos();
    let request = write_request(block(ID, 1001), &infos[1..]);
    let mut writer = Writer::start(nodes.nodes[0].xfer_addr(), request).await;
    let data = bytes(1_300);
    for part in [&data[..1000], &data[1000..1024], &data[1024..]] {
        writer.packet(part, Flags::default()).await.unwrap();
        assert_eq!(writer.ack().await.unwrap().statuses, [Status::Success; 2]);
        let written = writer.offset;
        for node in &nodes.nodes {
            let mut conn = Conn::open(node.xfer_addr()).await;
            let read = read(&mut conn, read_request(ID, 1001, 0, written)).await.unwrap();
            assert!(!read.damaged);
            assert!(read.data == data[..written as usize]);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn block_checksum_is_that_of_the_stored_checksums() {
    let nodes = Nodes::start(1).await;
    let data = bytes(5_000);
    write_block(nodes.nodes[0].xfer_addr(), &[], ID, &data).await;
    let mut sums = Vec::new();
    DataChecksum::default().compute(&data, &mut sums);
    let ask = |kind: BlockChecksumTypeProto| OpBlockChecksumProto {
        header: header(block(ID, 1001)).base_header,
        block_checksum_options: Some(BlockChecksumOptionsProto {
            block_checksum_type: Some(kind.into()),
            stripe_length: None,
        }),
    };
    let mut conn = Conn::open(nodes.nodes[0].xfer_addr()).await;
    conn.send(Op::BlockChecksum(Box::new(ask(BlockChecksumTypeProto::Md5crc))))
        .await;
    let answer = conn.reply().await.checksum_response.unwrap();
    assert_eq!((answer.bytes_per_crc, answer.crc_per_block), (512, 10));
    assert_eq!(answer.block_checksum, Md5::digest(&sums).to_vec());
    assert!(conn.is_closed().await);
    let mut conn = Conn::open(nodes.nodes[0].xfer_addr()).await;
    conn.send(Op::BlockChecksum(Box::new(ask(BlockChecksumTypeProto::CompositeCrc))))
        .await;
    let answer = conn.reply().await.checksum_response.unwrap();
    assert_eq!(
        answer.block_checksum,
        DataChecksum::default().chunk_checksum(&data).to_be_bytes().to_vec()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn local_readers_get_finalized_replicas_only() {
    let nodes = Nodes::start(1).await;
    let node = &nodes.nodes[0];
    let data = bytes(1000);
    let open = |stamp| node.open_replica(POOL, BlockId(ID), GenerationStamp(stamp)).unwrap();
    let mut writer = Writer::start(node.xfer_addr(), write_request(block(ID, 1001), &[])).await;
    writer.write(&data, 64_512, 1).await;
    assert!(open(1001).is_none());
    writer.finish(1).await;
    assert!(open(1002).is_none());
    assert!(
        node.open_replica("BP-other", BlockId(ID), GenerationStamp(1001))
            .unwrap()
            .is_none()
    );
    let mut files = open(1001).unwrap();
    let (mut read, mut meta) = (Vec::new(), Vec::new());
    files.data.read_to_end(&mut read).unwrap();
    files.meta.read_to_end(&mut meta).unwrap();
    assert!(read == data && files.length == 1000);
    DataChecksum::decode_meta_header(&meta)
        .unwrap()
        .verify(&read, &meta[7..], 0)
        .unwrap();
}
