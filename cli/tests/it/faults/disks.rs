//! Replicas as they lie on the DataNodes' disks.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use quarry_dfs_client::DfsClient;

use super::oracle::{Written, content};
use crate::support::Local;

/// A finalized replica's data file.
pub type BlockFiles = BTreeMap<u64, PathBuf>;

/// The finalized replicas of one node by block id.
pub fn finalized(local: &Local, node: usize) -> BlockFiles {
    let mut found = BTreeMap::new();
    let root = local.dir.join(format!("node-{}", node + 1));
    collect(&root, &mut found);
    found
}

fn collect(dir: &Path, found: &mut BlockFiles) {
    let Ok(entries) = fs::read_dir(dir) else {
        return;
    };
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() {
            // Replicas being written or copied are nobody's yet.
            if !path.ends_with("rbw") && !path.ends_with("tmp") {
                collect(&path, found);
            }
            continue;
        }
        let name = entry.file_name().to_string_lossy().into_owned();
        if let Some(id) = name.strip_prefix("blk_").and_then(|id| id.parse().ok()) {
            found.insert(id, path);
        }
    }
}

/// Compares every replica of a file with what was written: not just the one that a reader happens to choose.
pub async fn check_replicas(client: &DfsClient, local: &Local, file: &Written, replicas: usize) {
    let nodes: Vec<_> = (0..local.endpoints().datanodes.len())
        .map(|node| finalized(local, node))
        .collect();
    let blocks = client.block_locations(&file.path).await.unwrap();
    for block in &blocks.blocks {
        let id = block.block.block.id.0;
        let expected = content(file.seed, block.offset, block.offset + block.block.block.length);
        let found: Vec<_> = nodes.iter().filter_map(|node| node.get(&id)).collect();
        assert!(found.len() >= replicas, "block {id} of {file:?} has replicas {found:?}");
        for path in found {
            let stored = fs::read(path).unwrap();
            assert!(stored == expected, "replica {path:?} of {file:?} has wrong bytes");
        }
    }
}
