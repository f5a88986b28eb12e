//! A client that shares its process with a DataNode.

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
