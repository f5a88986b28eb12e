//! Nodes that die, hang, crawl or damage bytes while files are written: no acknowledged byte is lost.

use std::time::{Duration, Instant};

use futures::StreamExt;
use quarry_dfs_client::{CreateOptions, DfsClient, DfsClientConfig, Error};

use crate::byte_oracle::Story;
use crate::cluster::{PATIENCE, eventually, get, payload};
use crate::crash::CrashCluster;
use crate::toxic::Toxin;

/// The DataNodes of the block that is being written, in the order of the pipeline.
async fn pipeline(cluster: &CrashCluster, client: &DfsClient, path: &str) -> Vec<usize> {
    let blocks = client.block_locations(path).await.unwrap();
    let nodes = blocks.unfinished.unwrap().datanodes;
    nodes.iter().map(|node| cluster.index(&node.uuid)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_datanode_costs_nothing_wherever_it_stands() {
    let mut cluster = CrashCluster::start(4).await;
    cluster.wait_all_registered().await;
    let client = cluster.client();
    for position in 0..3 {
        let mut story = Story::new(format!("/f{position}"), position as u64);
        let mut writer = client.create(&story.path, CreateOptions::default()).await.unwrap();
        story.write(&mut writer, 20).await.unwrap();
        story.hflush(&mut writer).await.unwrap();
        let victim = pipeline(&cluster, &client, &story.path).await[position];
        story.write(&mut writer, 5).await.unwrap();
        cluster.kill_datanode(victim);
        story.write(&mut writer, 20).await.unwrap();
        story.hsync(&mut writer).await.unwrap();
        story.close(writer).await.unwrap();
        cluster.start_datanode(victim).await;
        cluster.wait_registered(victim).await;
        story.check(&client, &cluster).await;
    }
    assert!(client.figures().pipeline_recoveries >= 3);
}

/// The packet that ends a block is lost on the way: only close recovery can end it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_block_is_ended_by_close_recovery_alone() {
    for position in 0..3 {
        let cluster = CrashCluster::start(3).await;
        cluster.wait_all_registered().await;
        let client = cluster.client();
        let mut story = Story::new("/f".into(), 7);
        let mut writer = client.create(&story.path, CreateOptions::default()).await.unwrap();
        story.write(&mut writer, 10).await.unwrap();
        story.hflush(&mut writer).await.unwrap();
        // Nothing goes in any more, so the end of the block is sent and never acknowledged.
        let victim = pipeline(&cluster, &client, &story.path).await[position];
        cluster.proxy(victim).set(Toxin::Hole, Toxin::Hole);
        let closing = story.close(writer);
        let cutting = async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            cluster.proxy(victim).refuse(true);
            cluster.proxy(victim).cut();
        };
        let (closed, ()) = tokio::join!(closing, cutting);
        closed.unwrap();
        assert_eq!(client.figures().pipeline_recoveries, 1);
        cluster.proxy(victim).refuse(false);
        cluster.proxy(victim).set(Toxin::Pass, Toxin::Pass);
        story.check(&client, &cluster).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_datanode_is_given_up_in_time_and_the_right_one() {
    for position in 0..3 {
        let cluster = CrashCluster::start(4).await;
        cluster.wait_all_registered().await;
        let client = cluster.client();
        let mut story = Story::new("/f".into(), 3);
        let mut writer = client.create(&story.path, CreateOptions::default()).await.unwrap();
        story.write(&mut writer, 10).await.unwrap();
        story.hflush(&mut writer).await.unwrap();
        let victim = pipeline(&cluster, &client, &story.path).await[position];
        cluster.silence(victim);
        let began = Instant::now();
        story.write(&mut writer, 10).await.unwrap();
        story.hflush(&mut writer).await.unwrap();
        assert!(began.elapsed() < PATIENCE, "{:?}", began.elapsed());
        assert_eq!(
            client.figures().pipeline_recoveries,
            1,
            "position {position}: the first blame was right"
        );
        story.close(writer).await.unwrap();
        cluster.proxy(victim).set(Toxin::Pass, Toxin::Pass);
        story.check(&client, &cluster).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_datanode_slows_the_writer_and_nothing_else() {
    let cluster = CrashCluster::start(3).await;
    cluster.wait_all_registered().await;
    let client = cluster.client();
    cluster.proxy(1).set(
        Toxin::Delay(Duration::from_millis(5)),
        Toxin::Delay(Duration::from_millis(5)),
    );
    let mut story = Story::new("/f".into(), 4);
    let mut writer = client.create(&story.path, CreateOptions::default()).await.unwrap();
    for _ in 0..10 {
        story.write(&mut writer, 20).await.unwrap();
        story.hsync(&mut writer).await.unwrap();
    }
    story.close(writer).await.unwrap();
    assert_eq!(client.figures().pipeline_recoveries, 0);
    story.check(&client, &cluster).await;
}

/// Bits that flip between two DataNodes are noticed before they are acknowledged.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bits_that_flip_on_the_way_are_never_acknowledged() {
    for position in 0..3 {
        let cluster = CrashCluster::start(4).await;
        cluster.wait_all_registered().await;
        let client = cluster.client();
        let mut story = Story::new("/f".into(), 5);
        let mut writer = client.create(&story.path, CreateOptions::default()).await.unwrap();
        story.write(&mut writer, 10).await.unwrap();
        story.hflush(&mut writer).await.unwrap();
        let victim = pipeline(&cluster, &client, &story.path).await[position];
        cluster.proxy(victim).set(Toxin::FlipBit(2000), Toxin::Pass);
        story.write(&mut writer, 30).await.unwrap();
        story.hflush(&mut writer).await.unwrap();
        assert!(client.figures().pipeline_recoveries >= 1, "position {position}");
        cluster.proxy(victim).set(Toxin::Pass, Toxin::Pass);
        story.write(&mut writer, 10).await.unwrap();
        story.close(writer).await.unwrap();
        story.check(&client, &cluster).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_writer_survives_a_killed_namenode_and_its_safe_mode() {
    let mut cluster = CrashCluster::start(3).await;
    cluster.wait_all_registered().await;
    let client = cluster.client();
    let mut story = Story::new("/f".into(), 6);
    let mut writer = client.create(&story.path, CreateOptions::default()).await.unwrap();
    story.write(&mut writer, 30).await.unwrap();
    story.hflush(&mut writer).await.unwrap();
    for _ in 0..3 {
        cluster.kill_namenode();
        let restart = async {
            tokio::time::sleep(Duration::from_millis(700)).await;
            cluster.start_namenode().await;
        };
        // More than a block, so that the NameNode is needed.
        let writing = async {
            story.write(&mut writer, 400).await.unwrap();
            story.hsync(&mut writer).await.unwrap();
        };
        tokio::join!(restart, writing);
    }
    story.close(writer).await.unwrap();
    story.check(&client, &cluster).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_of_a_file_that_is_written_goes_on_when_datanodes_die() {
    let mut cluster = CrashCluster::start(3).await;
    cluster.wait_all_registered().await;
    let client = cluster.client();
    let data = payload(9, 400_000);
    let mut writer = client.create("/f", CreateOptions::default()).await.unwrap();
    writer.write(data.clone()).await.unwrap();
    writer.hflush().await.unwrap();
    let first = pipeline(&cluster, &client, "/f").await[0];
    cluster.kill_datanode(first);
    assert_eq!(get(&cluster.client(), "/f").await, data);
    writer.close().await.unwrap();
    assert_eq!(get(&client, "/f").await, data);
}

#[tokio::test]
async fn losing_everybody_is_an_error_that_names_everybody() {
    let mut cluster = CrashCluster::start(2).await;
    cluster.wait_all_registered().await;
    let client = DfsClient::new(DfsClientConfig {
        replication: Some(2),
        ..cluster.config()
    });
    let mut writer = client.create("/f", CreateOptions::default()).await.unwrap();
    writer.write(payload(1, 1000)).await.unwrap();
    writer.hflush().await.unwrap();
    cluster.kill_datanode(0);
    cluster.kill_datanode(1);
    let error = writer.write(payload(2, 3_000_000)).await.unwrap_err();
    let Error::PipelineLost { failures, .. } = &error else {
        panic!("{error}")
    };
    assert_eq!(failures.0.len(), 2, "{error}");
}

/// What one writer of the storm has to tell.
async fn write_until(client: DfsClient, id: u64, end: Instant) -> Vec<Story> {
    let mut stories = Vec::new();
    for round in 0.. {
        if Instant::now() >= end {
            return stories;
        }
        let mut story = Story::new(format!("/storm/{id}/{round}"), id * 1_000_000 + round);
        if let Err(error) = write_one(&client, &mut story, id + round).await {
            // Whoever writes may be told that it failed; what was acknowledged before must be there.
            eprintln!("{}: {error}", story.path);
        }
        stories.push(story);
    }
    stories
}

async fn write_one(client: &DfsClient, story: &mut Story, variant: u64) -> quarry_dfs_client::Result<()> {
    let mut writer = client.create(&story.path, CreateOptions::default()).await?;
    for step in 0..8 {
        story.write(&mut writer, 20 + 40 * (variant % 5)).await?;
        match (variant + step) % 4 {
            0 => story.hflush(&mut writer).await?,
            1 => story.hsync(&mut writer).await?,
            _ => {}
        }
    }
    story.close(writer).await?;
    if variant.is_multiple_of(3) {
        let mut writer = client.append(&story.path, false).await?;
        story.closed = false;
        story.write(&mut writer, 10).await?;
        story.close(writer).await?;
    }
    Ok(())
}

/// The line about faults, in one process: random kills of DataNodes and the NameNode under eight writers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_kills_under_eight_writers_lose_nothing_that_was_acknowledged() {
    let mut cluster = CrashCluster::start(5).await;
    cluster.wait_all_registered().await;
    let (cycles, length) = (20, Duration::from_millis(700));
    let end = Instant::now() + length * cycles;
    let client = cluster.client();
    let writers: Vec<_> = (0..8)
        .map(|id| tokio::spawn(write_until(client.clone(), id, end)))
        .collect();
    for cycle in 0..cycles {
        tokio::time::sleep(length / 2).await;
        if cycle % 4 == 3 {
            cluster.kill_namenode();
            tokio::time::sleep(length / 4).await;
            cluster.start_namenode().await;
        } else {
            // Sometimes two at once: of three replicas one is left, and that must do.
            let victims = if cycle % 4 == 1 { 2 } else { 1 };
            let nodes = cluster.datanodes();
            let victims: Vec<_> = (0..victims).map(|n| (cycle as usize * 7 + n * 2) % nodes).collect();
            for victim in &victims {
                cluster.kill_datanode(*victim);
            }
            tokio::time::sleep(length / 4).await;
            for victim in victims {
                cluster.start_datanode(victim).await;
            }
        }
    }
    let mut stories = Vec::new();
    for writer in writers {
        stories.extend(writer.await.unwrap());
    }
    assert!(client.figures().pipeline_recoveries >= 10, "{:?}", client.figures());
    cluster.wait_all_registered().await;
    settle(&cluster, &stories).await;
}

/// Closes what a writer gave up, waits until the replicas are restored, and compares everything.
async fn settle(cluster: &CrashCluster, stories: &[Story]) {
    let client = cluster.client();
    let closed = stories.iter().filter(|story| story.closed).count();
    eprintln!("{} files, {closed} closed", stories.len());
    let checks = stories.iter().map(|story| settle_one(cluster, &client, story));
    futures::stream::iter(checks).buffer_unordered(16).collect::<()>().await;
    assert!(
        closed * 10 >= stories.len() * 9,
        "nine of ten files were closed: {closed} of {}",
        stories.len()
    );
}

async fn settle_one(cluster: &CrashCluster, client: &DfsClient, story: &Story) {
    match client.recover_lease(&story.path).await {
        Ok(true) => {}
        Ok(false) => client.wait_closed(&story.path, PATIENCE * 2).await.unwrap(),
        // It was never created.
        Err(error) if error.is_not_found() && story.acknowledged == 0 => return,
        Err(error) => panic!("{}: {error}", story.path),
    }
    eventually(&format!("{}: three replicas again", story.path), || async {
        let located = client.block_locations(&story.path).await.unwrap();
        located.blocks.iter().all(|block| block.datanodes.len() >= 3)
    })
    .await;
    story.check(client, cluster).await;
}
