//! One bit flipped in each of many blocks of one DataNode.

use std::collections::BTreeSet;
use std::fs;
use std::time::{Duration, Instant};

use bytes::Bytes;
use quarry_dfs_client::{CreateOptions, DfsClient};

use super::disks::{check_replicas, finalized};
use super::oracle::{BLOCK_BYTES, Written, check, client, content};
use crate::support::{Home, Local, PATIENCE};

/// Blocks that are damaged.
const FLIPS: usize = 50;
const BLOCKS_PER_FILE: u64 = 5;

async fn write(client: &DfsClient, seed: u64) -> Written {
    let path = format!("/flips/file-{seed}");
    let length = BLOCKS_PER_FILE * BLOCK_BYTES;
    let mut out = client.create(&path, CreateOptions::default()).await.unwrap();
    out.write(Bytes::from(content(seed, 0, length))).await.unwrap();
    out.close().await.unwrap();
    Written {
        path,
        seed,
        acknowledged: length,
        is_closed: true,
    }
}

/// Flips one bit in the middle of a file, in place.
fn flip(path: &std::path::Path, bit: usize) {
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1 << (bit % 8);
    fs::write(path, bytes).unwrap();
}

fn fsck(home: &Home) -> String {
    home.run(&["admin", "fsck", "/"]).stdout()
}

#[test]
fn flipped_bits_are_never_read_are_named_and_are_repaired() {
    let home = Home::new();
    let local = Local::start(&home, &home.path("cluster"), &["--nodes", "3", "--processes"]);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let client = client(local.endpoints().namenode.rpc);
    runtime.block_on(async {
        let mut files = Vec::new();
        for seed in 0..(FLIPS as u64).div_ceil(BLOCKS_PER_FILE) {
            files.push(write(&client, seed).await);
        }
        let damaged: Vec<u64> = finalized(&local, 0).into_keys().take(FLIPS).collect();
        assert_eq!(damaged.len(), FLIPS, "every node holds every block");
        for (bit, path) in finalized(&local, 0).values().take(FLIPS).enumerate() {
            flip(path, bit);
        }
        for file in &files {
            check(&client, file).await;
        }
        wait_until_named(&home, &damaged).await;
        wait_until_repaired(&client, &local, &files).await;
        assert!(fsck(&home).contains("HEALTHY"), "{}", fsck(&home));
    });
}

/// What no reader has met is found by `fsck` itself: it has the DataNodes check their volumes.
async fn wait_until_named(home: &Home, damaged: &[u64]) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let report = fsck(home);
        let missing: BTreeSet<_> = damaged
            .iter()
            .filter(|id| !report.contains(&format!("blk_{id}")))
            .collect();
        if missing.is_empty() {
            return;
        }
        assert!(Instant::now() < deadline, "fsck does not name {missing:?}:\n{report}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

async fn wait_until_repaired(client: &DfsClient, local: &Local, files: &[Written]) {
    super::oracle::wait_for_full_replication(client).await;
    for file in files {
        check_replicas(client, local, file, 3).await;
    }
}
