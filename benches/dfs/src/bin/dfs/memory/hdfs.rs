//! Apache HDFS's share: files are created by RPC without blocks, which spares the memory of blocks and replicas and so flatters it.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result};
use futures::stream::{self, StreamExt, TryStreamExt};
use quarry_benches_dfs::systems::Cluster;
use quarry_benches_dfs::systems::hdfs::Hdfs;
use quarry_dfs_wire::proto::hadoop::hdfs as proto;

use super::namespace::{Shape, directory};
use super::report::Line;
use crate::metadata::operations;

/// Calls under way at a time.
const CLIENTS: usize = 64;

/// Creates the files, then measures the heap after a collection and restarts.
pub(crate) async fn measure(hdfs: &Hdfs, dir: &Path, shape: Shape, restarts: usize) -> Result<Line> {
    let mut hdfs = hdfs.clone();
    let mut cluster = hdfs.start(dir, 0).await?;
    let empty = live_heap(&cluster).context("read the heap of an empty NameNode")?;
    create(&cluster, shape).await?;
    let full = live_heap(&cluster)?;
    // Restarts load an image, as Quarry's do, not the log of all those creations.
    save(&cluster).await?;
    let image_bytes = image_bytes(&dir.join("name/current"))?;
    let address = cluster.namenode.to_string();
    hdfs.jvm.clear();
    let mut quickest = f64::MAX;
    for _ in 0..restarts.max(1) {
        drop(cluster);
        let began = Instant::now();
        cluster = hdfs.restart(dir, &address)?;
        cluster.wait_serving().await?;
        operations::get_file_info(&cluster.rpc(1), shape.path(shape.files - 1)).await?;
        quickest = quickest.min(began.elapsed().as_secs_f64());
    }
    let bytes_per_file = full.saturating_sub(empty) as f64 / shape.files as f64;
    Ok(Line {
        system: "Apache HDFS (files without blocks, live heap)",
        files: shape.files,
        resident_bytes: cluster.namenode_process.resident_bytes(),
        bytes_per_file,
        bytes_per_file_before_reports: bytes_per_file,
        image_bytes,
        restart_seconds: quickest,
        reports_seconds: None,
    })
}

async fn create(cluster: &Cluster, shape: Shape) -> Result<()> {
    let rpc = cluster.rpc(4);
    for n in 0..shape.files.div_ceil(shape.per_directory) {
        operations::mkdirs(&rpc, format!("/memory/{}", directory(n))).await?;
    }
    let calls = (0..shape.files).map(|n| {
        let (rpc, path) = (rpc.clone(), shape.path(n));
        async move { operations::create(&rpc, path, "memory").await }
    });
    stream::iter(calls).buffer_unordered(CLIENTS).try_collect::<()>().await
}

async fn save(cluster: &Cluster) -> Result<()> {
    use proto::SafeModeActionProto::{SafemodeEnter, SafemodeLeave};
    let rpc = cluster.rpc(1);
    let safe_mode = |action: proto::SafeModeActionProto| proto::SetSafeModeRequestProto {
        action: action as i32,
        checked: None,
    };
    let _: proto::SetSafeModeResponseProto = rpc.call("setSafeMode", &safe_mode(SafemodeEnter)).await?;
    let request = proto::SaveNamespaceRequestProto::default();
    let _: proto::SaveNamespaceResponseProto = rpc.call("saveNamespace", &request).await?;
    let _: proto::SetSafeModeResponseProto = rpc.call("setSafeMode", &safe_mode(SafemodeLeave)).await?;
    Ok(())
}

/// Bytes of all objects that are alive, by the JVM's own histogram, which collects garbage first.
fn live_heap(cluster: &Cluster) -> Result<u64> {
    let pid = cluster.namenode_process.id().to_string();
    let output = std::process::Command::new("jcmd")
        .args([&pid, "GC.class_histogram"])
        .output()
        .context("run jcmd, which is in the JDK")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let total = text.lines().find(|line| line.trim_start().starts_with("Total"));
    let bytes = total.and_then(|line| line.split_whitespace().nth(2));
    bytes
        .and_then(|bytes| bytes.parse().ok())
        .with_context(|| format!("jcmd gave no total: {text}"))
}

fn image_bytes(dir: &Path) -> Result<u64> {
    let images = std::fs::read_dir(dir)?.flatten().filter(|entry| {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        name.starts_with("fsimage_") && !name.ends_with(".md5")
    });
    let newest = images.max_by_key(|entry| entry.file_name());
    Ok(newest.context("HDFS wrote no image")?.metadata()?.len())
}
