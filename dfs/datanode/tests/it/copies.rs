//! Copies between DataNodes, and deletion, by order of the NameNode.

use quarry_dfs_wire::proto::dfs_v1::{BlockRef, DeleteReplicas, ReplicaChange, ReplicateBlock, to_data_node};

use crate::client::{Conn, assert_holds, bytes, read, read_request, write_block};
use crate::nodes::Nodes;

const ID: u64 = 1_073_741_828;

fn replicate(nodes: &Nodes, targets: &[usize]) -> to_data_node::Message {
    to_data_node::Message::ReplicateBlock(ReplicateBlock {
        block: Some(BlockRef {
            block_id: ID,
            generation_stamp: 1001,
            length: 0,
        }),
        targets: targets.iter().map(|&index| nodes.target(index)).collect(),
        ..ReplicateBlock::default()
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn replica_is_copied_along_a_chain() {
    let nodes = Nodes::start(3).await;
    let data = bytes(2_500_001);
    write_block(nodes.nodes[0].xfer_addr(), &[], ID, &data).await;
    nodes.namenode.send(&nodes.uuid(0), replicate(&nodes, &[1, 2])).await;
    for index in [1, 2] {
        let uuid = nodes.uuid(index);
        let said = nodes
            .namenode
            .until(&uuid, "the copy", |said| said.has(ReplicaChange::Received, ID))
            .await;
        assert_eq!(
            said.find(ReplicaChange::Received, ID).unwrap().replica.unwrap().length,
            data.len() as u64
        );
        assert_holds(nodes.nodes[index].xfer_addr(), ID, 1001, &data).await;
        assert_eq!(std::fs::read_dir(nodes.pool_dir(index).join("tmp")).unwrap().count(), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_does_not_get_through_is_told() {
    let mut nodes = Nodes::start(2).await;
    write_block(nodes.nodes[0].xfer_addr(), &[], ID, &bytes(100)).await;
    let order = replicate(&nodes, &[1]);
    let (source, target) = (nodes.uuid(0), nodes.nodes.remove(1));
    target.shutdown().await;
    nodes.namenode.send(&source, order).await;
    let said = nodes
        .namenode
        .until(&source, "the failure", |said| !said.failed_copies.is_empty())
        .await;
    assert_eq!(said.failed_copies[0].block_id, ID);
    assert!(
        said.failed_copies[0].error.contains("connect"),
        "{:?}",
        said.failed_copies
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_replica_is_not_copied_but_reported() {
    let nodes = Nodes::start(2).await;
    write_block(nodes.nodes[0].xfer_addr(), &[], ID, &bytes(2_500_001)).await;
    let path = nodes
        .pool_dir(0)
        .join(format!("current/finalized/subdir0/subdir0/blk_{ID}"));
    let mut stored = std::fs::read(&path).unwrap();
    stored[2_000_000] ^= 1;
    std::fs::write(&path, stored).unwrap();
    nodes.namenode.send(&nodes.uuid(0), replicate(&nodes, &[1])).await;
    nodes
        .namenode
        .until(&nodes.uuid(0), "the finding", |said| {
            said.has(ReplicaChange::Corrupt, ID)
        })
        .await;
    assert!(!nodes.namenode.said(&nodes.uuid(1)).has(ReplicaChange::Received, ID));
    // What had arrived is gone, so that a good copy finds room.
    let tmp = nodes.pool_dir(1).join("tmp");
    let empty = async {
        while std::fs::read_dir(&tmp).unwrap().count() > 0 {
            tokio::task::yield_now().await;
        }
    };
    crate::client::timely(empty).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deletion_spares_newer_replicas_and_is_reported() {
    let nodes = Nodes::start(1).await;
    let address = nodes.nodes[0].xfer_addr();
    write_block(address, &[], ID, &bytes(100)).await;
    let delete = |id, generation_stamp| {
        to_data_node::Message::DeleteReplicas(DeleteReplicas {
            blocks: vec![BlockRef {
                block_id: id,
                generation_stamp,
                length: 0,
            }],
        })
    };
    nodes.namenode.send(&nodes.uuid(0), delete(ID, 1000)).await;
    nodes.namenode.send(&nodes.uuid(0), delete(ID + 1, 1000)).await;
    nodes
        .namenode
        .until(&nodes.uuid(0), "no such block", |said| {
            said.has(ReplicaChange::Deleted, ID + 1)
        })
        .await;
    assert_holds(address, ID, 1001, &bytes(100)).await;
    nodes.namenode.send(&nodes.uuid(0), delete(ID, 1001)).await;
    nodes
        .namenode
        .until(&nodes.uuid(0), "the deletion", |said| {
            said.has(ReplicaChange::Deleted, ID)
        })
        .await;
    let mut conn = Conn::open(address).await;
    assert!(read(&mut conn, read_request(ID, 1001, 0, 1)).await.is_err());
    let dir = nodes.pool_dir(0).join("current/finalized/subdir0/subdir0");
    assert_eq!(std::fs::read_dir(dir).unwrap().count(), 0);
}
