//! A file's life, with the DataNodes' reports early and late.

use std::time::Duration;

use quarry_dfs_wire::proto::hadoop::hdfs as proto;

use crate::fake_datanode::FakeDataNode;
use crate::support::{BLOCK, Client, eventually, exception_class, start};

fn with_length(block: &proto::LocatedBlockProto, length: u64) -> proto::ExtendedBlockProto {
    proto::ExtendedBlockProto {
        num_bytes: Some(length),
        ..block.b.clone()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn complete_is_held_until_the_report_and_then_true() {
    let dir = tempfile::tempdir().unwrap();
    let namenode = start(dir.path()).await;
    let (client, node) = (Client::of(&namenode), FakeDataNode::connect(&namenode, 1, &[]).await);
    client.create("/d/f", 1).await;
    let located = client.add_block("/d/f", None).await;
    let block = with_length(&located, 100);
    let mut closing = Box::pin(client.complete("/d/f", Some(block.clone())));
    let early = tokio::time::timeout(Duration::from_millis(300), &mut closing).await;
    assert!(early.is_err(), "no answer before the report");
    node.received(&block).await;
    assert!(closing.await);
    assert!(client.complete("/d/f", Some(block)).await, "repeated");
    assert_eq!(client.status("/d/f").await.unwrap().length, 100);
    namenode.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn locations_carry_all_that_stock_clients_read() {
    let dir = tempfile::tempdir().unwrap();
    let namenode = start(dir.path()).await;
    let client = Client::of(&namenode);
    let nodes = [
        FakeDataNode::connect(&namenode, 1, &[]).await,
        FakeDataNode::connect(&namenode, 2, &[]).await,
    ];
    client.create("/f", 2).await;
    let first = with_length(&client.add_block("/f", None).await, BLOCK);
    for node in &nodes {
        node.received(&first).await;
    }
    let second = with_length(&client.add_block("/f", Some(first)).await, 7);
    for node in &nodes {
        node.received(&second).await;
    }
    assert!(client.complete("/f", Some(second)).await);
    eventually("both replicas are known", async || {
        client.locations("/f").await.unwrap().blocks[1].locs.len() == 2
    })
    .await;
    let located = client.locations("/f").await.unwrap();
    assert_eq!(
        (
            located.file_length,
            located.under_construction,
            located.is_last_block_complete
        ),
        (BLOCK + 7, false, true)
    );
    assert_eq!(located.last_block.as_ref().unwrap().offset, BLOCK);
    for block in &located.blocks {
        assert_eq!(block.b.pool_id, namenode.block_pool_id());
        assert_eq!(
            (block.locs.len(), block.storage_types.len(), block.storage_i_ds.len()),
            (2, 2, 2)
        );
        for (place, storage) in block.locs.iter().zip(&block.storage_i_ds) {
            assert_eq!(place.id.datanode_uuid.replace("uuid", "DS"), *storage);
        }
    }
    let listing = proto::GetListingRequestProto {
        src: "/".to_owned(),
        start_after: Default::default(),
        need_location: true,
    };
    let listing: proto::GetListingResponseProto = client.call("getListing", &listing).await.unwrap();
    let entry = &listing.dir_list.unwrap().partial_listing[0];
    assert_eq!(
        (&entry.path[..], entry.locations.as_ref().unwrap().blocks.len()),
        (&b"f"[..], 2)
    );
    namenode.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_of_another_cluster_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let namenode = start(dir.path()).await;
    let (client, _node) = (Client::of(&namenode), FakeDataNode::connect(&namenode, 1, &[]).await);
    client.create("/f", 1).await;
    let mut block = client.add_block("/f", None).await.b;
    block.pool_id = "BP-other".to_owned();
    let request = proto::CompleteRequestProto {
        src: "/f".to_owned(),
        client_name: "writer".to_owned(),
        last: Some(block),
        file_id: None,
    };
    let answer: Result<proto::CompleteResponseProto, _> = client.call("complete", &request).await;
    assert_eq!(exception_class(answer), "IOException");
    namenode.shutdown().await;
}
