//! Background work: damage is found without a reader, disks and memory are brought together, copies keep to their limits.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytesize::ByteSize;
use quarry_dfs_wire::proto::dfs_v1::{CheckVolumes, ReplicaChange, ReplicateBlock, SetBandwidth, to_data_node};
use tokio::time::Instant;

use crate::client::{assert_holds, bytes, timely, write_block};
use crate::nodes::Nodes;

const ID: u64 = 1_073_741_850;

fn finalized(nodes: &Nodes, id: u64) -> PathBuf {
    let dir = nodes.pool_dir(0).join("current/finalized/subdir0/subdir0");
    dir.join(format!("blk_{id}"))
}

fn meta(nodes: &Nodes, id: u64) -> PathBuf {
    finalized(nodes, id).with_file_name(format!("blk_{id}_1001.meta"))
}

fn flip_a_bit(path: &Path) {
    let mut stored = fs::read(path).unwrap();
    let middle = stored.len() / 2;
    stored[middle] ^= 4;
    fs::write(path, stored).unwrap();
}

async fn write(nodes: &Nodes, ids: std::ops::Range<u64>) {
    for id in ids {
        write_block(nodes.nodes[0].xfer_addr(), &[], id, &bytes(5000)).await;
    }
}

async fn until_corrupt(nodes: &Nodes, id: u64) {
    nodes
        .namenode
        .until(&nodes.uuid(0), "the finding", |said| {
            said.has(ReplicaChange::Corrupt, id)
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn block_scanner_finds_flipped_bits_and_keeps_the_files() {
    let nodes = Nodes::start_with(1, |config| {
        config.block_scan_period = Duration::from_millis(100);
        config.block_scan_bytes_per_second = ByteSize::b(0);
    })
    .await;
    write(&nodes, ID..ID + 3).await;
    flip_a_bit(&finalized(&nodes, ID));
    flip_a_bit(&meta(&nodes, ID + 1));
    until_corrupt(&nodes, ID).await;
    until_corrupt(&nodes, ID + 1).await;
    assert!(!nodes.namenode.said(&nodes.uuid(0)).has(ReplicaChange::Corrupt, ID + 2));
    assert!(finalized(&nodes, ID).exists(), "the NameNode decides what is deleted");
    let said = nodes
        .namenode
        .until(&nodes.uuid(0), "the counts", |said| {
            let results = said
                .last_heartbeat
                .as_ref()
                .and_then(|heartbeat| heartbeat.scan_results);
            results.is_some_and(|results| results.corrupt_found >= 2 && results.last_block_scan_unix_ms > 0)
        })
        .await;
    assert!(said.last_heartbeat.unwrap().scan_results.unwrap().blocks_scanned >= 3);
    assert!(nodes.pool_dir(0).join("scanner.cursor").exists());
    let jobs = nodes.nodes[0].jobs();
    let scan = jobs.iter().find(|job| job.name.starts_with("block scan")).unwrap();
    assert!(scan.steps > 0 && scan.bytes >= 15_000, "{jobs:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn directory_scanner_brings_disk_and_memory_together() {
    let nodes = Nodes::start_with(1, |config| config.directory_scan_interval = Duration::from_millis(100)).await;
    let uuid = nodes.uuid(0);
    write(&nodes, ID..ID + 6).await;
    // Gone, cut short, without checksums, written to, and one that was never written here.
    for path in [finalized(&nodes, ID), meta(&nodes, ID)] {
        fs::remove_file(path).unwrap();
    }
    fs::write(finalized(&nodes, ID + 1), bytes(4000)).unwrap();
    fs::remove_file(meta(&nodes, ID + 2)).unwrap();
    flip_a_bit(&finalized(&nodes, ID + 3));
    fs::copy(finalized(&nodes, ID + 4), finalized(&nodes, ID + 9)).unwrap();
    fs::copy(meta(&nodes, ID + 4), meta(&nodes, ID + 9)).unwrap();
    let wanted = |said: &crate::fake_namenode::Said| {
        said.has(ReplicaChange::Deleted, ID)
            && [1, 2, 3].iter().all(|n| said.has(ReplicaChange::Corrupt, ID + n))
            && said.has(ReplicaChange::Received, ID + 9)
    };
    nodes.namenode.until(&uuid, "the findings", wanted).await;
    assert_holds(nodes.nodes[0].xfer_addr(), ID + 9, 1001, &bytes(5000)).await;
    assert_holds(nodes.nodes[0].xfer_addr(), ID + 5, 1001, &bytes(5000)).await;
    let said = nodes.namenode.said(&uuid);
    assert!(![4, 5, 9].iter().any(|n| said.has(ReplicaChange::Corrupt, ID + n)));
    // The same bytes written again are found good, and that is remembered: no difference is left but the three.
    fs::write(finalized(&nodes, ID + 5), bytes(5000)).unwrap();
    let three = |said: &crate::fake_namenode::Said| {
        let results = said
            .last_heartbeat
            .as_ref()
            .and_then(|heartbeat| heartbeat.scan_results);
        results.is_some_and(|results| results.directory_mismatches == 3)
    };
    nodes.namenode.until(&uuid, "the end of the differences", three).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn check_on_order_names_all_damage_before_it_answers() {
    let nodes = Nodes::start(1).await;
    let uuid = nodes.uuid(0);
    write(&nodes, ID..ID + 20).await;
    let damaged: Vec<u64> = (ID..ID + 20).step_by(3).collect();
    for &id in &damaged {
        flip_a_bit(&finalized(&nodes, id));
    }
    for sequence in [7, 8] {
        let order = CheckVolumes { sequence, budget_ms: 0 };
        nodes
            .namenode
            .send(&uuid, to_data_node::Message::CheckVolumes(order))
            .await;
    }
    let said = nodes
        .namenode
        .until(&uuid, "the answers", |said| said.checks.len() == 2)
        .await;
    for id in ID..ID + 20 {
        assert_eq!(said.has(ReplicaChange::Corrupt, id), damaged.contains(&id), "{id}");
    }
    assert!(
        said.checks
            .iter()
            .any(|check| check.sequence == 7 && check.blocks_verified >= 20)
    );
    assert!(said.checks.iter().any(|check| check.sequence == 8));
}

#[tokio::test(flavor = "multi_thread")]
async fn balancing_copies_keep_to_the_bandwidth() {
    let nodes = Nodes::start(2).await;
    let data = bytes(400_000);
    write_block(nodes.nodes[0].xfer_addr(), &[], ID, &data).await;
    let (source, target) = (nodes.uuid(0), nodes.uuid(1));
    let limit = SetBandwidth {
        balancing_bytes_per_second: 1_000_000,
    };
    let copy = ReplicateBlock {
        block: Some(quarry_dfs_wire::proto::dfs_v1::BlockRef {
            block_id: ID,
            generation_stamp: 1001,
            length: 0,
        }),
        targets: vec![nodes.target(1)],
        balancing: true,
        ..ReplicateBlock::default()
    };
    nodes
        .namenode
        .send(&source, to_data_node::Message::SetBandwidth(limit))
        .await;
    let began = Instant::now();
    nodes
        .namenode
        .send(&source, to_data_node::Message::ReplicateBlock(copy))
        .await;
    nodes
        .namenode
        .until(&target, "the copy", |said| said.has(ReplicaChange::Received, ID))
        .await;
    // 100 ms of it may be made up for.
    assert!(began.elapsed() >= Duration::from_millis(250), "{:?}", began.elapsed());
    timely(assert_holds(nodes.nodes[1].xfer_addr(), ID, 1001, &data)).await;
}
