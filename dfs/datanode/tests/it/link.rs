//! The link to the NameNode: registration, reconnection, refusal.

use std::time::Duration;

use quarry_dfs_datanode::{DataNode, Error};
use quarry_dfs_wire::proto::dfs_v1::{ReplicaChange, ReplicaState, SendFullBlockReport, to_data_node};
use tokio::time::Instant;

use crate::client::{Writer, block, bytes, write_block, write_request};
use crate::fake_namenode::{FakeNameNode, POOL};
use crate::nodes::{Nodes, config, info};

const ID: u64 = 1_073_741_831;

#[tokio::test(flavor = "multi_thread")]
async fn new_disks_join_the_cluster_and_tell_what_they_are() {
    let nodes = Nodes::start(1).await;
    let said = nodes
        .namenode
        .until(&nodes.uuid(0), "a heartbeat", |said| said.heartbeats > 1)
        .await;
    let register = &said.registers[0];
    assert_eq!(
        (register.cluster_id.as_str(), register.block_pool_id.as_str()),
        ("", "")
    );
    assert_eq!(register.xfer_port, u32::from(nodes.nodes[0].xfer_addr().port()));
    assert_eq!(register.ipc_port, u32::from(nodes.nodes[0].ipc_addr().port()));
    assert_eq!(register.ip, "127.0.0.1");
    assert!(register.storages[0].capacity > 0 && !register.storages[0].failed);
    assert_eq!(said.full_reports.len(), 1);
    let version = std::fs::read_to_string(nodes.dir(0).join("current/VERSION")).unwrap();
    assert!(
        version.contains(&format!("datanodeUuid={}", nodes.uuid(0))),
        "{version}"
    );
    assert!(version.contains("layoutVersion=-57"), "{version}");
}

#[tokio::test(flavor = "multi_thread")]
async fn after_an_outage_the_node_registers_and_reports_in_full() {
    let mut nodes = Nodes::start(1).await;
    write_block(nodes.nodes[0].xfer_addr(), &[], ID, &bytes(100)).await;
    nodes.namenode.stop().await;
    nodes.namenode.restart().await;
    let said = nodes
        .namenode
        .until(&nodes.uuid(0), "the second full report", |said| {
            said.full_reports.len() == 2
        })
        .await;
    assert_eq!(said.registers[1].block_pool_id, POOL);
    assert_eq!(said.full_reports[1].replicas[0].block_id, ID);
}

#[tokio::test(flavor = "multi_thread")]
async fn full_report_on_request() {
    let nodes = Nodes::start(1).await;
    let ask = to_data_node::Message::SendFullBlockReport(SendFullBlockReport {});
    nodes.namenode.send(&nodes.uuid(0), ask).await;
    nodes
        .namenode
        .until(&nodes.uuid(0), "the report", |said| said.full_reports.len() == 2)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_node_asks_again_and_is_let_in_later() {
    let namenode = FakeNameNode::start().await;
    namenode.refuse(Some("not today"));
    let dir = tempfile::tempdir().unwrap();
    let node = DataNode::start(config(&namenode, dir.path())).await.unwrap();
    namenode
        .until(node.datanode_uuid(), "a second try", |said| said.registers.len() >= 2)
        .await;
    let early = node.wait_registered(Instant::now()).await;
    assert!(matches!(early, Err(Error::Deadline { .. })));
    // Without a pool nothing can be stored; the answer says why.
    let (_, reply) = Writer::try_start(node.xfer_addr(), write_request(block(ID, 1001), &[])).await;
    assert!(reply.message().contains("registered"), "{reply:?}");
    namenode.refuse(None);
    node.wait_registered(Instant::now() + Duration::from_secs(20))
        .await
        .unwrap();
    assert_eq!(info(&node).id.xfer_port, u32::from(node.xfer_addr().port()));
}

#[tokio::test(flavor = "multi_thread")]
async fn receiving_is_reported_before_received() {
    let nodes = Nodes::start(1).await;
    write_block(nodes.nodes[0].xfer_addr(), &[], ID, &bytes(100)).await;
    let said = nodes.namenode.said(&nodes.uuid(0));
    let changes: Vec<_> = said.events.iter().map(|event| event.change()).collect();
    assert_eq!(changes, [ReplicaChange::Receiving, ReplicaChange::Received]);
}

#[tokio::test(flavor = "multi_thread")]
async fn full_reports_come_in_their_time_and_on_request_and_undo_nothing() {
    let nodes = Nodes::start_with(1, |config| config.full_report_interval = Duration::from_millis(40)).await;
    let (address, uuid) = (nodes.nodes[0].xfer_addr(), nodes.uuid(0));
    for id in ID..ID + 20 {
        write_block(address, &[], id, &bytes(100)).await;
    }
    let said = nodes
        .namenode
        .until(&uuid, "several full reports", |said| said.full_reports.len() >= 5)
        .await;
    // What has been reported as received is in every full report that was sent after it.
    let mut before = 0;
    for report in &said.full_reports {
        let finalized = report
            .replicas
            .iter()
            .filter(|r| r.state() == ReplicaState::Finalized)
            .count();
        assert!(finalized >= before, "{finalized} after {before}");
        before = finalized;
    }
    let count = nodes.namenode.said(&uuid).full_reports.len();
    nodes
        .namenode
        .send(
            &uuid,
            to_data_node::Message::SendFullBlockReport(SendFullBlockReport {}),
        )
        .await;
    nodes
        .namenode
        .until(&uuid, "the report on request", |said| said.full_reports.len() > count)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn restarted_namenode_is_found_within_a_second_however_long_it_was_away() {
    let mut nodes = Nodes::start(1).await;
    let uuid = nodes.uuid(0);
    write_block(nodes.nodes[0].xfer_addr(), &[], ID, &bytes(100)).await;
    nodes.namenode.stop().await;
    // Long enough for the pauses to have grown to their longest.
    tokio::time::sleep(Duration::from_secs(3)).await;
    nodes.namenode.restart().await;
    let back = tokio::time::Instant::now();
    nodes
        .namenode
        .until(&uuid, "the second registration", |said| {
            said.registers.len() >= 2 && said.full_reports.len() >= 2
        })
        .await;
    assert!(back.elapsed() < Duration::from_secs(3), "{:?}", back.elapsed());
}
