//! Files that grow: append, flush, and readers who see them grow.

use bytes::{Bytes, BytesMut};
use quarry_dfs_client::{CreateOptions, DfsClient, Error};

use crate::cluster::{BLOCK, Cluster, get, payload, put};

fn three() -> CreateOptions {
    CreateOptions {
        replication: Some(3),
        ..CreateOptions::default()
    }
}

/// What every replica of every block holds, one after the other.
async fn every_replica_holds(cluster: &Cluster, client: &DfsClient, path: &str, data: &[u8]) {
    let located = client.block_locations(path).await.unwrap();
    assert_eq!(located.length, data.len() as u64);
    for block in &located.blocks {
        let range = block.range();
        for node in &block.datanodes {
            let stored = cluster.replica_bytes(cluster.datanode_index(&node.uuid), block.block.block.id);
            assert!(
                stored == data[range.start as usize..range.end as usize],
                "replica of {}",
                block.block
            );
        }
    }
}

#[tokio::test]
async fn appends_go_on_inside_a_chunk_at_its_end_and_at_a_blocks_end() {
    let cluster = Cluster::start(3).await;
    let client = cluster.client();
    let mut expected = BytesMut::new();
    put(&client, "/f", Bytes::new(), 3).await;
    for (i, length) in [
        100,
        10,
        402,
        512,
        3000,
        BLOCK as usize - 4024,
        1,
        700_000,
        0,
        2 * BLOCK as usize,
    ]
    .into_iter()
    .enumerate()
    {
        let piece = payload(i as u64, length);
        let mut writer = client.append("/f", false).await.unwrap();
        assert_eq!(writer.length(), expected.len() as u64);
        writer.write(piece.clone()).await.unwrap();
        expected.extend_from_slice(&piece);
        let status = writer.close().await.unwrap();
        assert_eq!(status.length, expected.len() as u64, "after piece {i}");
        assert_eq!(get(&client, "/f").await, expected, "after piece {i}");
    }
    every_replica_holds(&cluster, &client, "/f", &expected).await;
    let absent = client.append("/absent", false).await.unwrap_err();
    assert!(absent.is_not_found(), "{absent}");
}

#[tokio::test]
async fn an_append_may_begin_a_block_of_its_own() {
    let cluster = Cluster::start(1).await;
    let client = cluster.client();
    put(&client, "/f", payload(1, 1000), 1).await;
    let mut writer = client.append("/f", true).await.unwrap();
    writer.write(payload(2, 500)).await.unwrap();
    writer.close().await.unwrap();
    let blocks = client.block_locations("/f").await.unwrap().blocks;
    let lengths: Vec<_> = blocks.iter().map(|b| b.block.block.length).collect();
    assert_eq!(lengths, [1000, 500]);
    assert_eq!(get(&client, "/f").await, [payload(1, 1000), payload(2, 500)].concat());
}

#[tokio::test]
async fn who_has_a_file_open_keeps_others_out() {
    let cluster = Cluster::start(1).await;
    let client = cluster.client();
    let writer = client.create("/f", CreateOptions::default()).await.unwrap();
    let refused = cluster.client().append("/f", false).await.unwrap_err();
    assert!(matches!(refused, Error::LeaseConflict { .. }), "{refused}");
    writer.close().await.unwrap();
    cluster
        .client()
        .append("/f", false)
        .await
        .unwrap()
        .close()
        .await
        .unwrap();
}

#[tokio::test]
async fn readers_see_what_was_flushed() {
    let cluster = Cluster::start(3).await;
    let client = cluster.client();
    let mut writer = client.create("/f", three()).await.unwrap();
    assert_eq!(get(&client, "/f").await.len(), 0);
    let mut expected = BytesMut::new();
    let block = BLOCK as usize;
    let lengths = [1, 511, 700, 100_000, 300, block - 101_512, 5, block + 5, 0, 77];
    for (i, length) in lengths.into_iter().enumerate() {
        let piece = payload(i as u64, length);
        expected.extend_from_slice(&piece);
        writer.write(piece).await.unwrap();
        match i % 3 {
            0 => writer.hflush().await.unwrap(),
            1 => writer.hsync().await.unwrap(),
            _ => {
                writer.hsync_length().await.unwrap();
                let shown = client.status("/f").await.unwrap().unwrap().length;
                assert_eq!(shown, expected.len() as u64, "the NameNode was told");
            }
        }
        // Twice with nothing in between must be fine too.
        writer.hflush().await.unwrap();
        assert_eq!(get(&client, "/f").await, expected, "after piece {i}");
        assert_eq!(
            get(&cluster.client(), "/f").await,
            expected,
            "after piece {i}, another client"
        );
    }
    writer.close().await.unwrap();
    assert_eq!(get(&client, "/f").await, expected);
    every_replica_holds(&cluster, &client, "/f", &expected).await;
}

#[tokio::test]
async fn flushed_bytes_survive_all_but_one_datanode() {
    let mut cluster = Cluster::start(3).await;
    let client = cluster.client();
    let data = payload(3, BLOCK as usize + 999);
    let mut writer = client.create("/f", three()).await.unwrap();
    writer.write(data.slice(..70_001)).await.unwrap();
    writer.hflush().await.unwrap();
    cluster.stop_datanode(2).await;
    writer.write(data.slice(70_001..70_100)).await.unwrap();
    writer.hsync().await.unwrap();
    assert_eq!(get(&client, "/f").await, data.slice(..70_100));
    cluster.stop_datanode(0).await;
    writer.write(data.slice(70_100..)).await.unwrap();
    writer.hflush().await.unwrap();
    assert_eq!(get(&cluster.client(), "/f").await, data);
    writer.close().await.unwrap();
    assert_eq!(get(&cluster.client(), "/f").await, data);
}

/// A pipeline of three that promised bytes and loses a DataNode gets a fourth with those bytes.
#[tokio::test]
async fn a_lost_datanode_is_replaced_where_bytes_were_promised() {
    let mut cluster = Cluster::start(4).await;
    let client = cluster.client();
    let data = payload(4, 300_000);
    let mut writer = client.create("/f", three()).await.unwrap();
    writer.write(data.slice(..100_003)).await.unwrap();
    writer.hflush().await.unwrap();
    let open = client.block_locations("/f").await.unwrap().unfinished.unwrap();
    cluster
        .stop_datanode(cluster.datanode_index(&open.datanodes[1].uuid))
        .await;
    writer.write(data.slice(100_003..)).await.unwrap();
    writer.hflush().await.unwrap();
    let now = client.block_locations("/f").await.unwrap().unfinished.unwrap();
    let alive = now.datanodes.iter().filter(|node| node.uuid != open.datanodes[1].uuid);
    assert_eq!(alive.count(), 3, "three again, without waiting for the NameNode");
    writer.close().await.unwrap();
    assert_eq!(get(&client, "/f").await, data);
    every_replica_holds(&cluster, &client, "/f", &data).await;
}

#[tokio::test]
async fn an_append_survives_a_datanode_that_is_gone() {
    let mut cluster = Cluster::start(4).await;
    let client = cluster.client();
    let data = payload(5, 20_000);
    put(&client, "/f", data.slice(..10_001), 3).await;
    let holders = client.block_locations("/f").await.unwrap().blocks[0].datanodes.clone();
    cluster.stop_datanode(cluster.datanode_index(&holders[1].uuid)).await;
    let mut writer = client.append("/f", false).await.unwrap();
    writer.write(data.slice(10_001..)).await.unwrap();
    writer.close().await.unwrap();
    assert_eq!(get(&client, "/f").await, data);
    every_replica_holds(&cluster, &client, "/f", &data).await;
}

#[tokio::test]
async fn a_dead_writers_file_is_closed_with_what_it_flushed() {
    let cluster = Cluster::start(3).await;
    let client = cluster.client();
    let data = payload(6, 150_000);
    let mut writer = client.create("/f", three()).await.unwrap();
    writer.write(data.slice(..99_999)).await.unwrap();
    writer.hflush().await.unwrap();
    // Given up without a word.
    drop(writer);
    let other = cluster.client();
    if !other.recover_lease("/f").await.unwrap() {
        other.wait_closed("/f", crate::cluster::PATIENCE).await.unwrap();
    }
    assert_eq!(get(&other, "/f").await, data.slice(..99_999));
    let mut writer = other.append("/f", false).await.unwrap();
    writer.write(data.slice(99_999..)).await.unwrap();
    writer.close().await.unwrap();
    assert_eq!(get(&other, "/f").await, data);
    every_replica_holds(&cluster, &other, "/f", &data).await;
}
