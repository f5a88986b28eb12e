//! A client that shares its process with a DataNode, or its machine.

use std::sync::Arc;

use quarry_dfs_client::ReadStats;

use crate::cluster::{BLOCK, Cluster, eventually, payload, put};

#[tokio::test]
async fn own_replicas_are_read_from_disk_and_others_from_their_datanode() {
    let cluster = Cluster::start(3).await;
    let data = payload(3, 6 * BLOCK as usize);
    put(&cluster.client(), "/f", data.clone(), 1).await;
    let blocks = cluster.client().block_locations("/f").await.unwrap();
    for i in 0..3 {
        let stats = Arc::new(ReadStats::default());
        let reader = cluster
            .client_beside(i)
            .open("/f")
            .await
            .unwrap()
            .with_stats(Arc::clone(&stats));
        assert_eq!(reader.read_range(0..data.len() as u64).await.unwrap(), data);
        let uuid = cluster.datanode_uuid(i);
        let own = blocks.blocks.iter().filter(|b| b.datanodes[0].uuid == uuid).count() as u64 * BLOCK;
        assert_eq!(
            (stats.local_bytes(), stats.remote_bytes()),
            (own, data.len() as u64 - own)
        );
    }
}

#[tokio::test]
async fn a_damaged_own_replica_is_passed_over_and_reported() {
    let cluster = Cluster::start(2).await;
    let data = payload(4, 10_000);
    put(&cluster.client(), "/f", data.clone(), 2).await;
    let client = cluster.client_beside(0);
    let block = client.block_locations("/f").await.unwrap().blocks[0].block.block;
    cluster.flip_bit(0, block.id, 5000);
    let stats = Arc::new(ReadStats::default());
    let reader = client.open("/f").await.unwrap().with_stats(Arc::clone(&stats));
    assert_eq!(reader.read_range(0..10_000).await.unwrap(), data);
    assert_eq!((stats.local_bytes(), stats.remote_bytes()), (0, 10_000));
    let damaged = cluster.datanode_uuid(0);
    eventually(
        "the damaged replica is no location any more, or was repaired",
        || async {
            let now = client.block_locations("/f").await.unwrap();
            let healthy = now.blocks[0].datanodes.iter().all(|d| d.uuid != damaged);
            healthy || reader.read_range(0..10_000).await.is_ok() && stats.local_bytes() > 0
        },
    )
    .await;
}

#[tokio::test]
async fn replicas_on_this_machine_are_read_through_the_domain_sockets() {
    let cluster = Cluster::start(3).await;
    let data = payload(5, 6 * BLOCK as usize + 777);
    put(&cluster.client(), "/f", data.clone(), 1).await;
    let stats = Arc::new(ReadStats::default());
    let reader = cluster.client_by_socket().open("/f").await.unwrap();
    let reader = reader.with_stats(Arc::clone(&stats));
    for _ in 0..2 {
        assert_eq!(reader.read_range(0..data.len() as u64).await.unwrap(), data);
    }
    assert_eq!(reader.read_range(1000..1_100_000).await.unwrap(), data[1000..1_100_000]);
    let read = 2 * data.len() as u64 + 1_099_000;
    assert_eq!((stats.local_bytes(), stats.remote_bytes()), (read, 0));
}

#[tokio::test]
async fn without_a_listening_datanode_the_domain_socket_is_no_hindrance() {
    let cluster = Cluster::start(1).await;
    let data = payload(6, 100_000);
    put(&cluster.client(), "/f", data.clone(), 1).await;
    let config = quarry_dfs_client::DfsClientConfig {
        domain_socket: Some("/nowhere/dn._PORT.sock".into()),
        ..cluster.config()
    };
    let stats = Arc::new(ReadStats::default());
    let reader = quarry_dfs_client::DfsClient::new(config).open("/f").await.unwrap();
    let reader = reader.with_stats(Arc::clone(&stats));
    assert_eq!(reader.read_range(0..100_000).await.unwrap(), data);
    assert_eq!((stats.local_bytes(), stats.remote_bytes()), (0, 100_000));
}

#[tokio::test]
async fn a_damaged_replica_behind_a_domain_socket_is_passed_over_and_reported() {
    let cluster = Cluster::start(2).await;
    let data = payload(7, 10_000);
    put(&cluster.client(), "/f", data.clone(), 2).await;
    let client = cluster.client_by_socket();
    let reader = client.open("/f").await.unwrap();
    let first = reader.blocks().blocks[0].clone();
    let (block, damaged) = (first.block.block, first.datanodes[0].uuid.clone());
    let index = cluster.datanode_index(&damaged);
    cluster.flip_bit(index, block.id, 5000);
    assert_eq!(reader.read_range(0..10_000).await.unwrap(), data);
    eventually(
        "the damaged replica is no location any more, or was repaired",
        || async {
            let now = client.open("/f").await.unwrap();
            let nodes = &now.blocks().blocks[0].datanodes;
            !nodes.iter().any(|node| node.uuid == damaged)
                || cluster.stored(index, block.id).is_some_and(|stored| stored == data)
        },
    )
    .await;
}
