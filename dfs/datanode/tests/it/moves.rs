//! REPLACE and COPY: replicas that move to another DataNode by order of HDFS's balancer and mover, straight on the wire.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use bytesize::ByteSize;
use quarry_dfs_wire::checksum::DataChecksum;
use quarry_dfs_wire::proto::dfs_v1::ReplicaChange;
use quarry_dfs_wire::proto::hadoop::hdfs::{
    BaseHeaderProto, BlockOpResponseProto, ExtendedBlockProto, OpCopyBlockProto, OpReplaceBlockProto, Status,
    StorageTypeProto,
};
use quarry_dfs_wire::transfer::op::Op;
use quarry_dfs_wire::transfer::packet;
use tokio::io::AsyncReadExt;

use crate::client::{Conn, Writer, assert_holds, block, bytes, timely, write_block, write_request};
use crate::nodes::Nodes;

const ID: u64 = 1_073_741_900;

fn copy_of(block: ExtendedBlockProto) -> Op {
    Op::Copy(Box::new(OpCopyBlockProto { header: header(block) }))
}

fn header(block: ExtendedBlockProto) -> BaseHeaderProto {
    BaseHeaderProto {
        block,
        ..BaseHeaderProto::default()
    }
}

fn replacement(nodes: &Nodes, block: ExtendedBlockProto, source: usize, hint: &str) -> OpReplaceBlockProto {
    OpReplaceBlockProto {
        header: header(block),
        del_hint: hint.to_owned(),
        source: nodes.infos()[source].clone(),
        ..OpReplaceBlockProto::default()
    }
}

/// Has node `at` take a block over, and what it says in the end and meanwhile.
async fn replace(nodes: &Nodes, at: usize, request: OpReplaceBlockProto) -> (BlockOpResponseProto, usize) {
    let mut conn = Conn::open(nodes.nodes[at].xfer_addr()).await;
    conn.send(Op::Replace(Box::new(request))).await;
    let mut signs = 0;
    loop {
        let reply = conn.reply().await;
        if reply.status() != Status::InProgress {
            assert!(conn.is_closed().await);
            return (reply, signs);
        }
        signs += 1;
    }
}

/// What a COPY was answered with.
async fn refused_copy(nodes: &Nodes, block: ExtendedBlockProto) -> String {
    let mut conn = Conn::open(nodes.nodes[0].xfer_addr()).await;
    conn.send(copy_of(block)).await;
    let reply = conn.reply().await;
    assert_eq!(reply.status(), Status::Error, "{reply:?}");
    assert!(conn.is_closed().await);
    reply.message().to_owned()
}

fn temporary_files(nodes: &Nodes, index: usize) -> usize {
    std::fs::read_dir(nodes.pool_dir(index).join("tmp")).unwrap().count()
}

fn block_file(nodes: &Nodes, index: usize) -> PathBuf {
    let dir = nodes.pool_dir(index).join("current/finalized");
    let (first, second) = ((ID >> 16) & 31, (ID >> 8) & 31);
    dir.join(format!("subdir{first}/subdir{second}/blk_{ID}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn replica_moves_and_the_namenode_hears_which_one_it_replaces() {
    let nodes = Nodes::start(3).await;
    let data = bytes(2_500_001);
    write_block(nodes.nodes[0].xfer_addr(), &[], ID, &data).await;
    // Taken from node 0 in place of the replica on node 2: the nearest holder is not always the one to relieve.
    let hint = nodes.uuid(2);
    let (reply, _) = replace(&nodes, 1, replacement(&nodes, block(ID, 1001), 0, &hint)).await;
    assert_eq!(reply.status(), Status::Success, "{reply:?}");
    // No waiting: success means that the NameNode knows.
    let said = nodes.namenode.said(&nodes.uuid(1));
    let event = said.find(ReplicaChange::Received, ID).unwrap();
    assert_eq!(event.delete_hint, hint);
    assert_eq!(event.replica.unwrap().length, data.len() as u64);
    assert_holds(nodes.nodes[1].xfer_addr(), ID, 1001, &data).await;
    assert_holds(nodes.nodes[0].xfer_addr(), ID, 1001, &data).await;
    assert_eq!(temporary_files(&nodes, 1), 0);
    let written = nodes.namenode.said(&nodes.uuid(0));
    assert_eq!(written.find(ReplicaChange::Received, ID).unwrap().delete_hint, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_is_announced_sent_whole_and_ended_with_a_letter() {
    let nodes = Nodes::start(1).await;
    let data = bytes(1_300_001);
    write_block(nodes.nodes[0].xfer_addr(), &[], ID, &data).await;
    let mut conn = Conn::open(nodes.nodes[0].xfer_addr()).await;
    conn.send(copy_of(block(ID, 1001))).await;
    let reply = conn.reply().await;
    assert_eq!(reply.status(), Status::Success, "{reply:?}");
    let info = reply.read_op_checksum_info.unwrap();
    assert_eq!(info.chunk_offset, 0);
    let checksum = DataChecksum::try_from(&info.checksum).unwrap();
    let (mut found, mut buffer) = (Vec::new(), BytesMut::new());
    loop {
        let packet = timely(packet::read_packet(&mut conn.0, &mut buffer)).await.unwrap();
        checksum
            .verify(&packet.data, &packet.checksums, packet.header.offset_in_block)
            .unwrap();
        found.extend_from_slice(&packet.data);
        if packet.header.last_packet_in_block {
            break;
        }
    }
    assert!(found == data);
    let mut word = [0; 2];
    timely(conn.0.read_exact(&mut word)).await.unwrap();
    assert_eq!(word, [0, b'd']);
    assert!(conn.is_closed().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_whole_or_of_another_version_is_not_moved() {
    let nodes = Nodes::start(2).await;
    let address = nodes.nodes[0].xfer_addr();
    write_block(address, &[], ID, &bytes(1000)).await;
    let stranger = ExtendedBlockProto {
        pool_id: "BP-1-10.0.0.1-1".to_owned(),
        ..block(ID, 1001)
    };
    assert!(refused_copy(&nodes, stranger.clone()).await.contains("BP-1-10.0.0.1-1"));
    assert!(refused_copy(&nodes, block(ID + 1, 1001)).await.contains("no replica"));
    assert!(
        refused_copy(&nodes, block(ID, 1000)).await.contains("1001"),
        "older than stored"
    );
    assert!(
        refused_copy(&nodes, block(ID, 1002)).await.contains("1001"),
        "newer than stored"
    );
    let mut open = Writer::start(address, write_request(block(ID + 2, 1001), &[])).await;
    open.write(&bytes(600), 600, 1).await;
    assert!(refused_copy(&nodes, block(ID + 2, 1001)).await.contains("RBW"));
    // The client of a REPLACE hears what the source said, or what this node thinks itself.
    for (asked, part) in [
        (stranger, "BP-1-10.0.0.1-1"),
        (block(ID + 1, 1001), "no replica"),
        (block(ID + 2, 1001), "RBW"),
    ] {
        let (reply, _) = replace(&nodes, 1, replacement(&nodes, asked, 0, &nodes.uuid(0))).await;
        assert_eq!(reply.status(), Status::Error);
        assert!(reply.message().contains(part), "{reply:?}");
    }
    assert_eq!(temporary_files(&nodes, 1), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_takes_no_second_replica_and_no_type_of_storage_that_it_lacks() {
    let nodes = Nodes::start(2).await;
    let data = bytes(1000);
    for node in &nodes.nodes {
        write_block(node.xfer_addr(), &[], ID, &data).await;
    }
    let (reply, _) = replace(&nodes, 1, replacement(&nodes, block(ID, 1001), 0, &nodes.uuid(0))).await;
    assert_eq!(reply.status(), Status::ErrorExists, "{reply:?}");
    let (reply, _) = replace(&nodes, 1, replacement(&nodes, block(ID, 1001), 1, &nodes.uuid(1))).await;
    assert_eq!(reply.status(), Status::ErrorExists, "from itself: {reply:?}");
    let mut to_ssd = replacement(&nodes, block(ID + 1, 1001), 0, &nodes.uuid(0));
    to_ssd.set_storage_type(StorageTypeProto::Ssd);
    let (reply, _) = replace(&nodes, 1, to_ssd).await;
    assert!(
        reply.status() == Status::Error && reply.message().contains("SSD"),
        "{reply:?}"
    );
    assert_holds(nodes.nodes[1].xfer_addr(), ID, 1001, &data).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_replica_is_not_taken_over_but_reported() {
    let nodes = Nodes::start(2).await;
    write_block(nodes.nodes[0].xfer_addr(), &[], ID, &bytes(2_500_001)).await;
    let path = block_file(&nodes, 0);
    let mut stored = std::fs::read(&path).unwrap();
    stored[2_000_000] ^= 1;
    std::fs::write(&path, stored).unwrap();
    let (reply, _) = replace(&nodes, 1, replacement(&nodes, block(ID, 1001), 0, &nodes.uuid(0))).await;
    assert_eq!(reply.status(), Status::Error, "{reply:?}");
    let damaged = nodes.uuid(0);
    nodes
        .namenode
        .until(&damaged, "the finding", |said| said.has(ReplicaChange::Corrupt, ID))
        .await;
    assert!(!nodes.namenode.said(&nodes.uuid(1)).has(ReplicaChange::Received, ID));
    assert_eq!(temporary_files(&nodes, 1), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_source_is_named() {
    let nodes = Nodes::start_with(1, |config| config.transfer_timeout = Duration::from_millis(200)).await;
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut request = replacement(&nodes, block(ID, 1001), 0, "");
    let port = silent.local_addr().unwrap().port();
    (request.source.id.datanode_uuid, request.source.id.xfer_port) = ("silent".to_owned(), port.into());
    let (reply, signs) = replace(&nodes, 0, request).await;
    assert_eq!(reply.status(), Status::Error);
    assert!(
        reply.message().contains(&port.to_string()) && reply.message().contains("timed out"),
        "{reply:?}"
    );
    assert!(signs >= 1, "it said that it was waiting");
}

#[tokio::test(flavor = "multi_thread")]
async fn moves_keep_to_the_bandwidth_of_balancing_and_give_signs_of_life() {
    const RATE: u64 = 1 << 20;
    let nodes = Nodes::start_with(2, |config| {
        config.balance_bandwidth = ByteSize::b(RATE);
        config.read_packet_size = ByteSize::kib(64);
        config.transfer_timeout = Duration::from_millis(400);
    })
    .await;
    let data = bytes(RATE as usize);
    write_block(nodes.nodes[0].xfer_addr(), &[], ID, &data).await;
    let started = Instant::now();
    let (reply, signs) = replace(&nodes, 1, replacement(&nodes, block(ID, 1001), 0, &nodes.uuid(0))).await;
    assert_eq!(reply.status(), Status::Success, "{reply:?}");
    // A little is free after a pause.
    assert!(
        started.elapsed() >= Duration::from_millis(850),
        "took {:?}",
        started.elapsed()
    );
    assert!(signs >= 2, "{signs} signs of life in {:?}", started.elapsed());
    assert_holds(nodes.nodes[1].xfer_addr(), ID, 1001, &data).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_moves_run_than_balancing_may_have() {
    let nodes = Nodes::start_with(2, |config| {
        config.max_balancing_streams = 1;
        config.balance_bandwidth = ByteSize::b(64 << 10);
        config.read_packet_size = ByteSize::kib(64);
    })
    .await;
    let address = nodes.nodes[0].xfer_addr();
    write_block(address, &[], ID, &bytes(8 << 20)).await;
    write_block(address, &[], ID + 1, &bytes(1000)).await;
    let mut slow = Conn::open(address).await;
    slow.send(copy_of(block(ID, 1001))).await;
    assert_eq!(slow.reply().await.status(), Status::Success);
    let text = refused_copy(&nodes, block(ID + 1, 1001)).await;
    assert!(text.contains("max_balancing_streams"), "{text}");
    let (reply, _) = replace(&nodes, 1, replacement(&nodes, block(ID + 1, 1001), 0, "")).await;
    assert!(reply.message().contains("max_balancing_streams"), "{reply:?}");
    // The stream is free again when its client has gone.
    drop(slow);
    let moved = async {
        while replace(&nodes, 1, replacement(&nodes, block(ID + 1, 1001), 0, ""))
            .await
            .0
            .status()
            != Status::Success
        {
            tokio::task::yield_now().await;
        }
    };
    timely(moved).await;
}
