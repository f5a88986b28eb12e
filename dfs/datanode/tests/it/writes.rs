//! Write pipelines: what is acknowledged, when, and what is on the disk then.

use std::time::Duration;

use quarry_dfs_wire::proto::dfs_v1::ReplicaChange;
use quarry_dfs_wire::proto::hadoop::hdfs::{BlockOpResponseProto, Status};
use quarry_dfs_wire::transfer::delimited::write_delimited;

use crate::client::{Flags, Writer, assert_holds, block, bytes, write_block, write_request};
use crate::nodes::Nodes;

const ID: u64 = 1_073_741_825;

#[tokio::test(flavor = "multi_thread")]
async fn block_goes_through_three_nodes_and_lies_in_hdfs_layout() {
    let nodes = Nodes::start(3).await;
    let data = bytes(1_000_003);
    let infos = nodes.infos();
    write_block(nodes.nodes[0].xfer_addr(), &infos[1..], ID, &data).await;
    for (index, node) in nodes.nodes.iter().enumerate() {
        let said = nodes.namenode.said(node.datanode_uuid());
        let received = said
            .find(ReplicaChange::Received, ID)
            .expect("reported before the last ack")
            .replica
            .unwrap();
        assert_eq!((received.length, received.generation_stamp), (data.len() as u64, 1001));
        assert_holds(node.xfer_addr(), ID, 1001, &data).await;
        let dir = nodes.pool_dir(index).join("current/finalized/subdir0/subdir0");
        assert!(std::fs::read(dir.join(format!("blk_{ID}"))).unwrap() == data);
        let meta = std::fs::read(dir.join(format!("blk_{ID}_1001.meta"))).unwrap();
        assert_eq!(meta[..7], [0, 1, 2, 0, 0, 2, 0]);
        assert_eq!(meta.len(), 7 + 4 * data.len().div_ceil(512));
        assert_eq!(
            std::fs::read_dir(nodes.pool_dir(index).join("current/rbw"))
                .unwrap()
                .count(),
            0
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn last_ack_waits_for_the_namenode() {
    let nodes = Nodes::start(1).await;
    let mut writer = Writer::start(nodes.nodes[0].xfer_addr(), write_request(block(ID, 1001), &[])).await;
    writer.write(&bytes(2000), 64_512, 1).await;
    nodes.namenode.hold_acks();
    writer
        .packet(
            &[],
            Flags {
                last: true,
                ..Flags::default()
            },
        )
        .await
        .unwrap();
    nodes
        .namenode
        .until(&nodes.uuid(0), "the report", |said| {
            said.has(ReplicaChange::Received, ID)
        })
        .await;
    let early = tokio::time::timeout(Duration::from_millis(200), writer.ack()).await;
    assert!(early.is_err(), "acknowledged before the NameNode knew the block");
    nodes.namenode.release_acks().await;
    // The cut-short wait above has taken no byte: an ack is read whole or not at all here.
    assert_eq!(writer.ack().await.unwrap().statuses, [Status::Success]);
}

#[tokio::test(flavor = "multi_thread")]
async fn close_fails_clearly_when_the_namenode_does_not_answer() {
    let nodes = Nodes::start_with(1, |config| config.report_timeout = Duration::from_millis(200)).await;
    let mut writer = Writer::start(nodes.nodes[0].xfer_addr(), write_request(block(ID, 1001), &[])).await;
    writer.write(&bytes(2000), 64_512, 1).await;
    nodes.namenode.hold_acks();
    writer
        .packet(
            &[],
            Flags {
                last: true,
                ..Flags::default()
            },
        )
        .await
        .unwrap();
    assert_eq!(writer.ack().await.unwrap().statuses, [Status::Error]);
}

#[tokio::test(flavor = "multi_thread")]
async fn report_during_an_outage_of_the_namenode_lets_the_close_succeed_when_it_is_back() {
    let mut nodes = Nodes::start(1).await;
    let mut writer = Writer::start(nodes.nodes[0].xfer_addr(), write_request(block(ID, 1001), &[])).await;
    writer.write(&bytes(2000), 64_512, 1).await;
    nodes.namenode.stop().await;
    writer
        .packet(
            &[],
            Flags {
                last: true,
                ..Flags::default()
            },
        )
        .await
        .unwrap();
    nodes.namenode.restart().await;
    assert_eq!(writer.ack().await.unwrap().statuses, [Status::Success]);
}

#[tokio::test(flavor = "multi_thread")]
async fn heartbeats_and_syncs_are_acknowledged_through_the_pipeline() {
    let nodes = Nodes::start(3).await;
    let infos = nodes.infos();
    let request = write_request(block(ID, 1001), &infos[1..]);
    let mut writer = Writer::start(nodes.nodes[0].xfer_addr(), request).await;
    writer
        .packet(
            &[],
            Flags {
                heartbeat: true,
                ..Flags::default()
            },
        )
        .await
        .unwrap();
    let ack = writer.ack().await.unwrap();
    assert_eq!((ack.seqno, ack.statuses), (-1, vec![Status::Success; 3]));
    let data = bytes(700);
    writer
        .packet(
            &data,
            Flags {
                sync: true,
                ..Flags::default()
            },
        )
        .await
        .unwrap();
    assert_eq!(writer.ack().await.unwrap().statuses, [Status::Success; 3]);
    // hsync of nothing new: an empty packet that is not the last.
    writer
        .packet(
            &[],
            Flags {
                sync: true,
                ..Flags::default()
            },
        )
        .await
        .unwrap();
    assert_eq!(writer.ack().await.unwrap().statuses, [Status::Success; 3]);
    // After a flush the client sends again from the start of the last chunk.
    writer.offset = 512;
    let more = [&data[512..], &bytes(900)].concat();
    writer.packet(&more, Flags::default()).await.unwrap();
    assert_eq!(writer.ack().await.unwrap().statuses, [Status::Success; 3]);
    writer.finish(3).await;
    let whole = [&data[..512], &more].concat();
    for node in &nodes.nodes {
        assert_holds(node.xfer_addr(), ID, 1001, &whole).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_packet_is_refused_by_name() {
    let nodes = Nodes::start(2).await;
    let infos = nodes.infos();
    let request = write_request(block(ID, 1001), &infos[1..]);
    let mut writer = Writer::start(nodes.nodes[0].xfer_addr(), request).await;
    writer
        .packet(
            &bytes(2000),
            Flags {
                damage: true,
                ..Flags::default()
            },
        )
        .await
        .unwrap();
    assert_eq!(writer.ack().await.unwrap().statuses, [Status::ErrorChecksum]);
    assert!(writer.conn.is_closed().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn node_killed_in_mid_pipeline_is_named_and_the_rest_keeps_its_bytes() {
    let nodes = Nodes::start(3).await;
    let infos = nodes.infos();
    let request = write_request(block(ID, 1001), &infos[1..]);
    let mut writer = Writer::start(nodes.nodes[0].xfer_addr(), request).await;
    let data = bytes(100_352);
    writer.write(&data, 64_512, 3).await;
    nodes.nodes[1].shutdown().await;
    writer.packet(&bytes(3000), Flags::default()).await.unwrap();
    let ack = writer.ack().await.unwrap();
    assert_eq!(
        ack.statuses,
        [Status::Success, Status::Error],
        "this node is fine, the next is not"
    );
    // The last packet must not complete the block on a pipeline that is short of nodes.
    writer
        .packet(
            &[],
            Flags {
                last: true,
                ..Flags::default()
            },
        )
        .await
        .unwrap();
    assert_eq!(writer.ack().await.unwrap().statuses, [Status::Success, Status::Error]);
    assert!(!nodes.namenode.said(&nodes.uuid(0)).has(ReplicaChange::Received, ID));
    assert_holds(nodes.nodes[0].xfer_addr(), ID, 1001, &data).await;
    assert_holds(nodes.nodes[2].xfer_addr(), ID, 1001, &data).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn setup_names_the_node_that_cannot_be_reached() {
    let nodes = Nodes::start(3).await;
    let infos = nodes.infos();
    nodes.nodes[2].shutdown().await;
    let request = write_request(block(ID, 1001), &infos[1..]);
    let (mut conn, reply) = Writer::try_start(nodes.nodes[0].xfer_addr(), request).await;
    assert_eq!(reply.status(), Status::Error);
    assert_eq!(reply.first_bad_link(), nodes.nodes[2].xfer_addr().to_string());
    assert!(conn.is_closed().await);
    // Nothing of the attempt is in the way of another.
    write_block(nodes.nodes[0].xfer_addr(), &infos[1..2], ID, &bytes(5000)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn setup_names_the_node_that_has_the_block_already() {
    let nodes = Nodes::start(2).await;
    let infos = nodes.infos();
    write_block(nodes.nodes[1].xfer_addr(), &[], ID, &bytes(10)).await;
    let request = write_request(block(ID, 1001), &infos[1..]);
    let (_, reply) = Writer::try_start(nodes.nodes[0].xfer_addr(), request).await;
    assert_eq!(reply.first_bad_link(), nodes.nodes[1].xfer_addr().to_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn other_pools_are_refused() {
    let nodes = Nodes::start(1).await;
    let mut foreign = block(ID, 1001);
    foreign.pool_id = "BP-other".to_owned();
    let (_, reply) = Writer::try_start(nodes.nodes[0].xfer_addr(), write_request(foreign, &[])).await;
    assert_eq!(reply.status(), Status::Error);
    assert!(reply.message().contains("BP-other"), "{reply:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_next_node_is_named_at_setup_and_in_acks() {
    let nodes = Nodes::start_with(1, |config| config.transfer_timeout = Duration::from_millis(300)).await;
    let address = nodes.nodes[0].xfer_addr();
    // It takes connections and, but for the second one's set-up reply, never says a word: a stopped process.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut target = nodes.infos().remove(0);
    target.id.xfer_port = silent.local_addr().unwrap().port().into();
    let (_, reply) = Writer::try_start(address, write_request(block(ID, 1001), std::slice::from_ref(&target))).await;
    assert_eq!(reply.first_bad_link(), silent.local_addr().unwrap().to_string());
    let (first, _) = silent.accept().await.unwrap();
    let ready = tokio::spawn(async move {
        let (mut second, _) = silent.accept().await.unwrap();
        let reply = BlockOpResponseProto {
            first_bad_link: Some(String::new()),
            ..BlockOpResponseProto::default()
        };
        write_delimited(&mut second, &reply).await.unwrap();
        (first, second)
    });
    let mut writer = Writer::start(address, write_request(block(ID, 1001), &[target])).await;
    let _held_open = ready.await.unwrap();
    writer.packet(&bytes(100), Flags::default()).await.unwrap();
    assert_eq!(writer.ack().await.unwrap().statuses, [Status::Success, Status::Error]);
}
