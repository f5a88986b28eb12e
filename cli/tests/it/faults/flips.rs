//! One bit flipped in each of many blocks of one DataNode.

use std::collections::BTreeSet;
use std::fs;

use bytes::Bytes;
use quarry_dfs_client::{CreateOptions, DfsClient};

use super::disks::{BlockFiles, check_replicas, finalized};
use super::oracle::{BLOCK_BYTES, Written, check, client, content};
use crate::support::{Home, Local, eventually};

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

#[test]
fn flipped_bits_are_never_read_are_named_by_fsck_and_are_repaired() {
    let home = Home::new();
    let local = Local::start(&home, &home.path("cluster"), &["--nodes", "3", "--processes"]);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let client = client(local.endpoints().namenode.rpc);
    runtime.block_on(async {
        let mut files = Vec::new();
        for seed in 0..(FLIPS as u64).div_ceil(BLOCKS_PER_FILE) {
            files.push(write(&client, seed).await);
        }
        let damaged: BlockFiles = finalized(&local, 0).into_iter().take(FLIPS).collect();
        assert_eq!(damaged.len(), FLIPS, "every node holds every block");
        let good: Vec<_> = damaged.values().map(|path| fs::read(path).unwrap()).collect();
        for (bit, path) in damaged.values().enumerate() {
            flip(path, bit);
        }
        for file in &files {
            check(&client, file).await;
        }
        // What no reader met is found now: fsck has the DataNodes verify whatever was changed under them. Repair has begun by then, and may
        // be over for some; they are named all the same.
        let named = named_by_fsck(&home, &local);
        assert_eq!(
            named,
            damaged.keys().copied().collect(),
            "fsck names every damaged replica"
        );
        wait_until_repaired(&local, &damaged, &good);
        super::oracle::wait_for_full_replication(&client).await;
        for file in &files {
            check_replicas(&client, &local, file, 3).await;
        }
        check_history(&home);
    });
}

/// The blocks whose replica on the first node fsck calls damaged; it names no other node.
fn named_by_fsck(home: &Home, local: &Local) -> BTreeSet<u64> {
    let text = home.run(&["admin", "fsck", "/"]).ok();
    let node = format!(" on {} (", local.endpoints().datanodes[0].xfer);
    let lines = text.lines().filter(|line| line.contains(" CORRUPT, found "));
    lines
        .map(|line| {
            assert!(line.starts_with(" /flips/file-") && line.contains(&node), "{line}");
            let (_, name) = line.split_once(": blk_").unwrap();
            name.split('_').next().unwrap().parse().unwrap()
        })
        .collect()
}

/// After the repair fsck tells each replica's, and that all is well.
fn check_history(home: &Home) {
    let answer: serde_json::Value =
        serde_json::from_str(&home.run(&["admin", "--json", "fsck", "/flips"]).ok()).unwrap();
    assert_eq!(answer["status"], "HEALTHY", "{answer:#}");
    assert_eq!(answer["totals"]["under_replicated"], 0, "{answer:#}");
    let replicas = answer["damaged_replicas"].as_array().unwrap();
    assert_eq!(replicas.len(), FLIPS, "{answer:#}");
    assert!(replicas.iter().all(|replica| replica["repaired"] == true), "{answer:#}");
}

/// Waits until the node has every damaged block again as it was.
fn wait_until_repaired(local: &Local, damaged: &BlockFiles, good: &[Vec<u8>]) {
    eventually("every damaged replica is replaced", || {
        let now = finalized(local, 0);
        let repaired = damaged.keys().zip(good).all(|(id, good)| {
            let stored = now.get(id).and_then(|path| fs::read(path).ok());
            stored.as_ref() == Some(good)
        });
        repaired.then_some(())
    });
}
