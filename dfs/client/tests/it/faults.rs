//! DataNodes that die, replicas that rot.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::TryStreamExt;
use quarry_dfs_client::{CreateOptions, DfsClient, Error};

use crate::cluster::{BLOCK, Cluster, eventually, get, payload, put};

#[tokio::test]
async fn reads_go_on_when_a_datanode_dies() {
    let mut cluster = Cluster::start(3).await;
    let client = cluster.client();
    let data = payload(1, 4 * BLOCK as usize);
    put(&client, "/f", data.clone(), 2).await;
    let reader = client.open("/f").await.unwrap();
    cluster.stop_datanode(1).await;
    assert_eq!(
        reader.read_range(0..data.len() as u64).await.unwrap(),
        data,
        "with the locations from before"
    );
    assert_eq!(get(&client, "/f").await, data);
}

#[tokio::test]
async fn a_block_without_a_live_replica_is_named() {
    let mut cluster = Cluster::start(1).await;
    let client = cluster.client();
    put(&client, "/f", payload(1, 100), 1).await;
    let reader = client.open("/f").await.unwrap();
    let block = reader.blocks().blocks[0].block.block;
    cluster.stop_datanode(0).await;
    let error = reader.read_range(0..100).await.unwrap_err();
    assert!(matches!(error, Error::BlockUnavailable { .. }), "{error}");
    assert!(error.to_string().contains(&block.to_string()), "{error}");
    cluster.start_datanode(0).await;
    eventually("the block is back", || async {
        reader.read_range(0..100).await.is_ok()
    })
    .await;
}

#[tokio::test]
async fn a_flipped_bit_never_reaches_the_reader_and_is_reported() {
    let cluster = Cluster::start(3).await;
    let client = cluster.client();
    let data = payload(2, BLOCK as usize);
    put(&client, "/f", data.clone(), 2).await;
    let located = client.block_locations("/f").await.unwrap().blocks[0].clone();
    let first = located.datanodes[0].uuid.clone();
    cluster.flip_bit(cluster.datanode_index(&first), located.block.block.id, 700_000);
    assert_eq!(get(&client, "/f").await, data);
    eventually("the damaged replica was replaced", || async {
        let now = client.block_locations("/f").await.unwrap();
        now.blocks[0].datanodes.len() == 2 && get(&client, "/f").await == data
    })
    .await;
}

#[tokio::test]
async fn damage_everywhere_is_an_error_that_says_so() {
    let cluster = Cluster::start(1).await;
    let client = cluster.client();
    put(&client, "/f", payload(2, 5000), 1).await;
    let block = client.block_locations("/f").await.unwrap().blocks[0].block.block;
    cluster.flip_bit(0, block.id, 3000);
    let reader = client.open("/f").await.unwrap();
    assert_eq!(
        reader.read_range(0..1000).await.unwrap(),
        payload(2, 5000).slice(..1000),
        "the rest is good"
    );
    let error = reader.read_range(0..5000).await.unwrap_err();
    assert!(error.to_string().contains("checksum"), "{error}");
}

#[tokio::test]
async fn a_writer_outlives_the_datanodes_of_its_pipeline_down_to_one() {
    let mut cluster = Cluster::start(3).await;
    let client = cluster.client();
    let data = payload(5, 3 * BLOCK as usize + 77);
    let options = CreateOptions {
        replication: Some(3),
        ..CreateOptions::default()
    };
    let mut writer = client.create("/f", options).await.unwrap();
    let half = BLOCK as usize / 2;
    writer.write(data.slice(..half)).await.unwrap();
    cluster.stop_datanode(0).await;
    writer.write(data.slice(half..3 * half)).await.unwrap();
    cluster.stop_datanode(2).await;
    writer.write(data.slice(3 * half..)).await.unwrap();
    let status = writer.close().await.unwrap();
    assert_eq!(status.length, data.len() as u64);
    assert_eq!(
        client.figures().pipeline_recoveries,
        2,
        "both losses were noticed and survived"
    );
    assert_eq!(get(&client, "/f").await, data);
    assert_eq!(get(&cluster.client(), "/f").await, data);
}

#[tokio::test]
async fn a_write_begins_on_the_datanodes_that_are_left() {
    let mut cluster = Cluster::start(3).await;
    let client = cluster.client();
    put(&client, "/before", payload(1, 10), 3).await;
    cluster.stop_datanode(1).await;
    let data = payload(6, 2 * BLOCK as usize);
    put(&client, "/after", data.clone(), 3).await;
    assert_eq!(get(&client, "/after").await, data);
}

#[tokio::test]
async fn losing_the_only_datanode_of_a_pipeline_names_it() {
    let mut cluster = Cluster::start(1).await;
    let client = cluster.client();
    let uuid = cluster.datanode_uuid(0);
    let mut writer = client.create("/f", CreateOptions::default()).await.unwrap();
    writer.write(payload(1, 600_000)).await.unwrap();
    cluster.stop_datanode(0).await;
    let lost = writer.close().await.unwrap_err();
    assert!(matches!(lost, Error::PipelineLost { .. }), "{lost}");
    assert!(lost.to_string().contains(&uuid), "{lost}");
}

/// A DataNode lost at any point of a block, the packet that ends it included, costs no byte.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn losses_at_any_moment_of_many_writes_cost_no_byte() {
    let mut cluster = Cluster::start(4).await;
    let client = cluster.client();
    let writers: Vec<_> = (0..4u64)
        .map(|i| {
            let client = client.clone();
            tokio::spawn(async move {
                let mut files = Vec::new();
                for round in 0..12u64 {
                    let (path, data) = (
                        format!("/w{i}/{round}"),
                        payload(i * 100 + round, (round as usize + 1) * 150_000),
                    );
                    put(&client, &path, data.clone(), 3).await;
                    files.push((path, data));
                }
                files
            })
        })
        .collect();
    for round in 0..4 {
        tokio::time::sleep(std::time::Duration::from_millis(150)).await;
        cluster.stop_datanode(round).await;
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        cluster.start_datanode(round).await;
    }
    for writer in writers {
        for (path, data) in writer.await.unwrap() {
            assert_eq!(get(&client, &path).await, data, "{path}");
        }
    }
    assert!(client.figures().pipeline_recoveries > 0, "no pipeline was ever hit");
}

#[tokio::test]
async fn a_stream_goes_on_past_damage_and_lost_datanodes() {
    let mut cluster = Cluster::start(3).await;
    let client = cluster.client();
    let data = payload(8, 5 * BLOCK as usize + 12_345);
    // Three replicas: one is damaged, another may be on the DataNode that is stopped.
    put(&client, "/f", data.clone(), 3).await;
    let reader = client.open("/f").await.unwrap();
    let blocks = reader.blocks();
    for located in &blocks.blocks[..2] {
        let index = cluster.datanode_index(&located.datanodes[0].uuid);
        cluster.flip_bit(index, located.block.block.id, 600_000);
    }
    let first_of_last = cluster.datanode_index(&blocks.blocks[4].datanodes[0].uuid);
    cluster.stop_datanode(first_of_last).await;
    for range in [
        0..data.len() as u64,
        1000..3 * BLOCK + 7,
        data.len() as u64 - 5..data.len() as u64,
    ] {
        let pieces: Vec<bytes::Bytes> = reader.stream(range.clone()).try_collect().await.unwrap();
        assert_eq!(pieces.concat(), data[range.start as usize..range.end as usize]);
    }
    assert!(
        reader
            .stream(0..data.len() as u64 + 1)
            .try_collect::<Vec<_>>()
            .await
            .is_err()
    );
}

#[tokio::test]
async fn a_silent_datanode_costs_a_moment_and_a_hedged_read_less() {
    let mut cluster = Cluster::start(2).await;
    let data = payload(9, 50_000);
    put(&cluster.client(), "/f", data.clone(), 2).await;
    let config = quarry_dfs_client::DfsClientConfig {
        first_byte_timeout: Duration::from_secs(10),
        hedged_read_threshold: Duration::from_millis(50),
        hedged_read_pool: 4,
        ..cluster.config()
    };
    let hedging = DfsClient::new(config.clone());
    let patient = DfsClient::new(quarry_dfs_client::DfsClientConfig {
        first_byte_timeout: Duration::from_millis(300),
        hedged_read_pool: 0,
        ..config
    });
    // The first replica's DataNode is replaced by one that never answers, behind the readers' backs.
    let (hedged, plain) = (hedging.open("/f").await.unwrap(), patient.open("/f").await.unwrap());
    for (client, reader) in [(&hedging, hedged), (&patient, plain)] {
        let first = Arc::clone(&reader.blocks().blocks[0].datanodes[0]);
        let index = cluster.datanode_index(&first.uuid);
        cluster.stop_datanode(index).await;
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", first.xfer_port))
            .await
            .unwrap();
        let began = Instant::now();
        assert_eq!(reader.read_range(0..50_000).await.unwrap(), data);
        assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
        assert_eq!(
            client.figures().hedged_reads,
            u64::from(client.config().hedged_read_pool > 0)
        );
        drop(listener);
        cluster.start_datanode(index).await;
    }
}
