//! Disks that are full, as file systems of their own of a few megabytes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use bytes::Bytes;
use quarry_dfs_client::{CreateOptions, DfsClient};

use super::oracle::{Written, check, client, content};
use crate::support::{Home, Local, is_alive};

/// The small disks may be filled to the last byte.
const ROOM: &str = "datanode.reserved=0B";

/// A file system in memory, unmounted when dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Mounting needs root, which CI has; a test that cannot mount has nothing to say and fails.
    fn mount(at: &Path, megabytes: u32) -> Self {
        fs::create_dir_all(at).unwrap();
        let size = format!("size={megabytes}m");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "tmpfs"])
            .arg(at)
            .status();
        assert!(mounted.unwrap().success(), "this test mounts a tmpfs: run it as root");
        Self(at.to_owned())
    }

    /// Takes all the room that is left.
    fn fill(&self) -> PathBuf {
        let ballast = self.0.join("ballast");
        let mut file = fs::File::create(&ballast).unwrap();
        while std::io::Write::write_all(&mut file, &[1; 4096]).is_ok() {}
        ballast
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a process that is about to end may still have files open there.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

async fn write(client: &DfsClient, seed: u64, length: u64) -> Result<Written, quarry_dfs_client::Error> {
    let path = format!("/full/file-{seed}");
    let mut out = client.create(&path, CreateOptions::default()).await?;
    for from in (0..length).step_by(1 << 16) {
        let to = (from + (1 << 16)).min(length);
        out.write(Bytes::from(content(seed, from, to))).await?;
    }
    out.close().await?;
    Ok(Written {
        path,
        seed,
        acknowledged: length,
        is_closed: true,
    })
}

#[test]
fn a_full_datanode_is_left_out_and_stays_up() {
    let home = Home::new();
    let dir = home.path("cluster");
    let _disk = SmallDisk::mount(&dir.join("node-1"), 24);
    let local = Local::start(&home, &dir, &["--nodes", "2", "--processes", "--set", ROOM]);
    let before = local.endpoints();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let client = client(before.namenode.rpc);
    runtime.block_on(async {
        // Far more than the small disk holds: the other node takes it all.
        let file = write(&client, 1, 60 << 20).await.unwrap();
        check(&client, &file).await;
        let after = write(&client, 2, 3 << 20).await.unwrap();
        check(&client, &after).await;
    });
    let after = local.endpoints();
    assert_eq!(
        after.datanodes[0].pid, before.datanodes[0].pid,
        "the full DataNode was not restarted"
    );
    assert!(is_alive(before.datanodes[0].pid));
}

#[test]
fn a_cluster_without_room_says_so_and_keeps_what_it_has() {
    let home = Home::new();
    let dir = home.path("cluster");
    let _disk = SmallDisk::mount(&dir.join("node-1"), 24);
    let local = Local::start(&home, &dir, &["--nodes", "1", "--processes", "--set", ROOM]);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let client = client(local.endpoints().namenode.rpc);
    runtime.block_on(async {
        let kept = write(&client, 1, 5 << 20).await.unwrap();
        let error = write(&client, 2, 60 << 20).await.unwrap_err().to_string();
        assert!(
            error.contains("/full/file-2") && (error.contains("could only be written to 0") || error.contains("space")),
            "{error}"
        );
        check(&client, &kept).await;
        assert!(client.delete("/full/file-2", false).await.unwrap());
        // The room comes back once the DataNode has deleted the blocks.
        let deadline = std::time::Instant::now() + crate::support::PATIENCE;
        let again = loop {
            let path_is_free = client.delete("/full/file-3", false).await.is_ok();
            match write(&client, 3, 5 << 20).await {
                Ok(again) => break again,
                Err(error) => assert!(path_is_free && std::time::Instant::now() < deadline, "{error}"),
            }
        };
        check(&client, &again).await;
    });
}

#[test]
fn a_namenode_that_cannot_write_its_log_stops_acknowledging_and_says_so() {
    let home = Home::new();
    let dir = home.path("cluster");
    let disk = SmallDisk::mount(&dir.join("namenode"), 96);
    // No room is kept, so that nothing but the log itself finds out.
    let unguarded = ["--set", "namenode.reserved=0B"];
    let options = ["--nodes", "1", "--processes", "--no-restart"];
    let local = Local::start(&home, &dir, &[&options[..], &unguarded].concat());
    home.run(&["fs", "mkdir", "-p", "/kept"]).ok();
    let ballast = disk.fill();
    // Room that the log has already serves some changes more; each of those must be kept.
    let (acknowledged, refused) = make_directories_until_refused(local.endpoints().namenode.rpc);
    assert!(
        ["edit log", "safe mode", "No space"]
            .iter()
            .any(|word| refused.contains(word)),
        "{refused}"
    );
    local.kill_everything();
    fs::remove_file(ballast).unwrap();
    let _again = Local::start(&home, &dir, &[&["--processes"][..], &unguarded].concat());
    let listing = home.run(&["fs", "ls", "/"]).ok();
    for path in acknowledged.iter().map(String::as_str).chain(["/kept"]) {
        assert!(listing.contains(path), "{path} was acknowledged");
    }
}

#[test]
fn a_namenode_with_little_room_changes_nothing_until_there_is_more() {
    let home = Home::new();
    let dir = home.path("cluster");
    let disk = SmallDisk::mount(&dir.join("namenode"), 96);
    let guard = ["namenode.reserved=8MiB", "namenode.space_check_interval=100ms"];
    let local = Local::start(&home, &dir, &["--nodes", "1", "--set", guard[0], "--set", guard[1]]);
    let client = client(local.endpoints().namenode.rpc);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let change = |n: u32| runtime.block_on(client.mkdirs(&format!("/d{n}")));
    let until = |refused: bool, what: &str| {
        let deadline = std::time::Instant::now() + crate::support::PATIENCE;
        for n in 0.. {
            match change(n) {
                // Clients show the first line of a refusal; the reason is in the second.
                Err(error) if refused && error.to_string().contains("Name node is in safe mode") => return,
                Ok(()) if !refused => return,
                other => assert!(std::time::Instant::now() < deadline, "{what}: {other:?}"),
            }
        }
    };
    change(0).unwrap();
    let ballast = disk.fill();
    until(true, "safe mode");
    assert!(home.run(&["fs", "ls", "/"]).ok().contains("/d0"), "it can be read");
    fs::remove_file(ballast).unwrap();
    until(false, "room again");
}

/// More than fill any room that a log keeps ready.
const MOST_CHANGES: u32 = 100_000;

/// The directories that were acknowledged, and the first refusal.
fn make_directories_until_refused(namenode: std::net::SocketAddr) -> (Vec<String>, String) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let client = client(namenode);
    let mut acknowledged = Vec::new();
    for n in 0..MOST_CHANGES {
        // A long name fills the log with fewer changes.
        let path = format!("/more-{n}-{}", "x".repeat(200));
        match runtime.block_on(client.mkdirs(&path)) {
            Ok(()) => acknowledged.push(path),
            Err(refusal) => return (acknowledged, refusal.to_string()),
        }
    }
    panic!("a full disk refuses changes at some point");
}
