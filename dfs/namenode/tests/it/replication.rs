//! DataNodes that come and go.

use quarry_dfs_wire::proto::dfs_v1::{Register, to_data_node};

use crate::fake_datanode::{FakeDataNode, register};
use crate::support::{Client, eventually, start};

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_datanodes_blocks_are_copied_to_another() {
    let dir = tempfile::tempdir().unwrap();
    let namenode = start(dir.path()).await;
    let client = Client::of(&namenode);
    let mut nodes = vec![
        FakeDataNode::connect(&namenode, 1, &[]).await,
        FakeDataNode::connect(&namenode, 2, &[]).await,
    ];
    client.create("/f", 2).await;
    let mut block = client.add_block("/f", None).await.b;
    block.num_bytes = Some(5);
    for node in &nodes {
        node.received(&block).await;
    }
    assert!(client.complete("/f", Some(block.clone())).await);
    let spare = FakeDataNode::connect(&namenode, 3, &[]).await;
    drop(nodes.remove(0));
    eventually("the loss of the stream is noticed", async || {
        client.live_datanodes().await == 2
    })
    .await;
    let order = nodes[0]
        .expect(|message| matches!(message, to_data_node::Message::ReplicateBlock(_)))
        .await;
    let to_data_node::Message::ReplicateBlock(order) = order else {
        unreachable!("just checked")
    };
    assert_eq!(order.block.unwrap().block_id, block.block_id);
    assert_eq!(
        (
            order.targets[0].datanode_uuid.as_str(),
            order.targets[0].storage_id.as_str()
        ),
        ("uuid-3", "DS-3")
    );
    spare.received(&block).await;
    eventually("the copy is known", async || {
        client.locations("/f").await.unwrap().blocks[0].locs.len() == 2
    })
    .await;
    namenode.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deleted_files_are_deleted_on_the_datanodes() {
    let dir = tempfile::tempdir().unwrap();
    let namenode = start(dir.path()).await;
    let (client, mut node) = (Client::of(&namenode), FakeDataNode::connect(&namenode, 1, &[]).await);
    client.create("/f", 1).await;
    let mut block = client.add_block("/f", None).await.b;
    block.num_bytes = Some(5);
    node.received(&block).await;
    assert!(client.complete("/f", Some(block.clone())).await);
    let delete = quarry_dfs_wire::proto::hadoop::hdfs::DeleteRequestProto {
        src: "/f".to_owned(),
        recursive: false,
    };
    client
        .call::<quarry_dfs_wire::proto::hadoop::hdfs::DeleteResponseProto>("delete", &delete)
        .await
        .unwrap();
    let order = node
        .expect(|message| matches!(message, to_data_node::Message::DeleteReplicas(_)))
        .await;
    let to_data_node::Message::DeleteReplicas(order) = order else {
        unreachable!("just checked")
    };
    assert_eq!(order.blocks[0].block_id, block.block_id);
    namenode.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_are_refused_with_a_reason() {
    let dir = tempfile::tempdir().unwrap();
    let namenode = start(dir.path()).await;
    let first = FakeDataNode::connect(&namenode, 1, &[]).await;
    assert_eq!(first.registered.cluster_id, namenode.cluster_id());
    first.heartbeat().await;
    let other_cluster = Register {
        cluster_id: "CID-other".to_owned(),
        ..register(2)
    };
    let other_pool = Register {
        block_pool_id: "BP-other".to_owned(),
        ..register(2)
    };
    let same_uuid = Register {
        xfer_port: 5,
        ..register(1)
    };
    let no_address = Register {
        ip: "localhost".to_owned(),
        ..register(2)
    };
    for (stranger, reason) in [
        (other_cluster, "CID-other"),
        (other_pool, "BP-other"),
        (same_uuid, "already connected"),
        (no_address, "IP address"),
    ] {
        let refused = FakeDataNode::try_connect(&namenode, 2, stranger)
            .await
            .map(|_| ())
            .unwrap_err();
        assert!(refused.contains(reason), "{refused}");
    }
    assert_eq!(Client::of(&namenode).live_datanodes().await, 1);
    namenode.shutdown().await;
}
