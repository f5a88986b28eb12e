//! What a DataNode finds after a restart, whatever the last run left behind.

use std::fs;
use std::time::Duration;

use quarry_dfs_datanode::{DataNode, Error};
use quarry_dfs_wire::proto::dfs_v1::ReplicaState;
use quarry_dfs_wire::proto::hadoop::hdfs::Status;

use crate::client::{Flags, Writer, assert_holds, block, bytes, write_block, write_request};
use crate::nodes::{Nodes, config};

const ID: u64 = 1_073_741_830;

/// The replicas in the full reports of the current session, as (id, stamp, length, state).
async fn reported(nodes: &Nodes, index: usize) -> Vec<(u64, u64, u64, ReplicaState)> {
    let said = nodes
        .namenode
        .until(&nodes.uuid(index), "the full report", |said| {
            said.full_reports.len() == said.registers.len()
        })
        .await;
    let report = said.full_reports.last().unwrap();
    assert!(report.last_part);
    let mut replicas: Vec<_> = report
        .replicas
        .iter()
        .map(|r| (r.block_id, r.generation_stamp, r.length, r.state()))
        .collect();
    replicas.sort_by_key(|replica| replica.0);
    replicas
}

#[tokio::test(flavor = "multi_thread")]
async fn finalized_blocks_are_found_and_the_identity_is_kept() {
    let mut nodes = Nodes::start(1).await;
    let uuid = nodes.uuid(0);
    let data = bytes(10_000);
    for id in [ID, ID + 256, ID + 65_536] {
        write_block(nodes.nodes[0].xfer_addr(), &[], id, &data).await;
    }
    nodes.restart(0).await;
    assert_eq!(nodes.uuid(0), uuid);
    let expected = [ID, ID + 256, ID + 65_536].map(|id| (id, 1001, 10_000, ReplicaState::Finalized));
    assert_eq!(reported(&nodes, 0).await, expected);
    assert_holds(nodes.nodes[0].xfer_addr(), ID + 65_536, 1001, &data).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn block_being_written_waits_for_recovery_with_its_valid_bytes() {
    let mut nodes = Nodes::start(1).await;
    let data = bytes(10_000);
    let mut writer = Writer::start(nodes.nodes[0].xfer_addr(), write_request(block(ID, 1001), &[])).await;
    writer
        .packet(
            &data[..7_000],
            Flags {
                sync: true,
                ..Flags::default()
            },
        )
        .await
        .unwrap();
    assert_eq!(writer.ack().await.unwrap().statuses, [Status::Success]);
    // What a power cut may leave: more data than checksums, here in the chunk of the synced end too.
    let rbw = nodes.pool_dir(0).join(format!("current/rbw/blk_{ID}"));
    nodes.nodes[0].shutdown().await;
    fs::write(&rbw, &data[..9_000]).unwrap();
    nodes.restart(0).await;
    assert_eq!(reported(&nodes, 0).await, [(ID, 1001, 7_000, ReplicaState::Rwr)]);
    assert_holds(nodes.nodes[0].xfer_addr(), ID, 1001, &data[..7_000]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn crash_between_the_two_renames_loses_nothing() {
    let mut nodes = Nodes::start(1).await;
    let data = bytes(10_000);
    let finalized = nodes.pool_dir(0).join("current/finalized/subdir0/subdir0");
    let rbw = nodes.pool_dir(0).join("current/rbw");
    for id in [ID, ID + 1] {
        write_block(nodes.nodes[0].xfer_addr(), &[], id, &data).await;
    }
    nodes.nodes[0].shutdown().await;
    // A finalization cut in two: checksums are there, data is not yet.
    fs::rename(finalized.join(format!("blk_{ID}")), rbw.join(format!("blk_{ID}"))).unwrap();
    // An append cut in two: checksums have left under the new stamp, data has not.
    let (old, new) = (format!("blk_{}_1001.meta", ID + 1), format!("blk_{}_1002.meta", ID + 1));
    fs::rename(finalized.join(old), rbw.join(new)).unwrap();
    // A copy under way is nobody's loss.
    fs::write(nodes.pool_dir(0).join("tmp/blk_5"), "half").unwrap();
    nodes.restart(0).await;
    let expected = [
        (ID, 1001, 10_000, ReplicaState::Rwr),
        (ID + 1, 1002, 10_000, ReplicaState::Finalized),
    ];
    assert_eq!(reported(&nodes, 0).await, expected);
    assert_holds(nodes.nodes[0].xfer_addr(), ID, 1001, &data).await;
    assert_holds(nodes.nodes[0].xfer_addr(), ID + 1, 1002, &data).await;
    assert!(!nodes.pool_dir(0).join("tmp/blk_5").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn second_datanode_on_the_directory_is_refused() {
    let nodes = Nodes::start(1).await;
    let second = DataNode::start(nodes.config(0)).await;
    assert!(matches!(second, Err(Error::DirectoryInUse { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_volumes_share_the_blocks_and_report_each_its_own() {
    let mut nodes = Nodes::start(0).await;
    let mut two = config(&nodes.namenode, &nodes.dir(0));
    two.dirs.push(nodes.dir(1));
    let node = DataNode::start(two).await.unwrap();
    node.wait_registered(tokio::time::Instant::now() + Duration::from_secs(20))
        .await
        .unwrap();
    for id in ID..ID + 4 {
        write_block(node.xfer_addr(), &[], id, &bytes(100)).await;
    }
    nodes.nodes.push(node);
    let register = &nodes.namenode.said(&nodes.uuid(0)).registers[0];
    assert_eq!(register.storages.len(), 2);
    let said = nodes.namenode.said(&nodes.uuid(0));
    for storage in &register.storages {
        let received = said
            .events
            .iter()
            .filter(|event| event.storage_id == storage.storage_id);
        assert!(received.count() >= 2, "each volume got blocks");
    }
    for index in [0, 1] {
        let dir = nodes.pool_dir(index).join("current/finalized/subdir0/subdir0");
        assert_eq!(fs::read_dir(dir).unwrap().count(), 4);
    }
}
