//! The byte oracle: writers of known bytes, and what was acknowledged to them, kept outside the cluster.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use quarry_dfs_client::{CreateOptions, DfsClient, DfsClientConfig, Error};

use crate::support::PATIENCE;

/// A file is closed once it has this many bytes: several blocks.
const FILE_BYTES: u64 = 3 << 20;
/// Blocks small enough that most moments of a run are near an end or a beginning of one.
pub const BLOCK_BYTES: u64 = 1 << 20;
/// Largest record.
const RECORD_BYTES: u64 = 150_000;
/// Records between two `hsync`s.
const SYNC_EVERY: u64 = 3;

/// A client of the cluster whose NameNode listens at `namenode`.
pub fn client(namenode: impl ToString) -> DfsClient {
    DfsClient::new(DfsClientConfig {
        user: "tester".to_owned(),
        block_size: Some(bytesize::ByteSize::b(BLOCK_BYTES)),
        ..DfsClientConfig::new(namenode.to_string())
    })
}

/// Bytes `from..to` of the file of that seed.
pub fn content(seed: u64, from: u64, to: u64) -> Vec<u8> {
    let word = |at: u64| {
        let mut x = (seed << 40) ^ at;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    };
    let words = (from / 8)..to.div_ceil(8);
    let bytes: Vec<u8> = words.flat_map(|at| word(at).to_le_bytes()).collect();
    let start = (from % 8) as usize;
    bytes[start..start + (to - from) as usize].to_vec()
}

/// What is known of one file.
#[derive(Debug, Clone)]
pub struct Written {
    /// Where it is.
    pub path: String,
    /// Says its bytes.
    pub seed: u64,
    /// Bytes that a returned `hsync` or `close` covered.
    pub acknowledged: u64,
    /// Whether `close` returned: then the file has just the acknowledged bytes.
    pub is_closed: bool,
}

/// Told to all writers, and by each of them.
#[derive(Debug)]
pub struct Progress {
    /// Writers begin no further file.
    pub stop: AtomicBool,
    /// Bytes acknowledged so far, by writer.
    acknowledged: Vec<AtomicU64>,
}

impl Progress {
    /// Of so many writers, numbered from 0.
    pub fn of(writers: u64) -> Self {
        Self {
            stop: AtomicBool::new(false),
            acknowledged: (0..writers).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    /// Waits until `more` further bytes are acknowledged to each writer.
    pub fn wait_for_more(&self, more: u64) {
        let goals: Vec<u64> = self.so_far().map(|bytes| bytes + more).collect();
        let deadline = Instant::now() + PATIENCE;
        while self.so_far().zip(&goals).any(|(bytes, goal)| bytes < *goal) {
            assert!(Instant::now() < deadline, "writers make no progress: {self:?}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn so_far(&self) -> impl Iterator<Item = u64> {
        self.acknowledged.iter().map(|bytes| bytes.load(Ordering::SeqCst))
    }
}

/// Writes one file after the other until told to stop. A failed write ends its file, not the writer: an application would go on likewise.
pub async fn write_files(client: DfsClient, writer: u64, progress: Arc<Progress>) -> (Vec<Written>, Vec<Error>) {
    let (mut files, mut errors) = (Vec::new(), Vec::new());
    for number in 0.. {
        if progress.stop.load(Ordering::SeqCst) {
            break;
        }
        let mut file = Written {
            path: format!("/chaos/writer-{writer}/file-{number}"),
            seed: writer << 20 | number,
            acknowledged: 0,
            is_closed: false,
        };
        let acknowledged = &progress.acknowledged[writer as usize];
        let result = write_file(&client, &mut file, acknowledged).await;
        if let Err(error) = result {
            errors.push(error);
        }
        files.push(file);
    }
    (files, errors)
}

async fn write_file(client: &DfsClient, file: &mut Written, acknowledged: &AtomicU64) -> Result<(), Error> {
    let mut out = client.create(&file.path, CreateOptions::default()).await?;
    let acknowledge = |file: &mut Written, to: u64| {
        acknowledged.fetch_add(to - file.acknowledged, Ordering::SeqCst);
        file.acknowledged = to;
    };
    let mut at = 0;
    for record in 1.. {
        let length = 1 + (file.seed ^ record).wrapping_mul(0x9e37_79b9_7f4a_7c15) % RECORD_BYTES;
        out.write(Bytes::from(content(file.seed, at, at + length))).await?;
        at += length;
        if record % SYNC_EVERY == 0 {
            out.hsync().await?;
            acknowledge(file, at);
        }
        if at >= FILE_BYTES {
            break;
        }
    }
    out.close().await?;
    acknowledge(file, at);
    file.is_closed = true;
    Ok(())
}

/// Reads a file through the cluster and compares every acknowledged byte.
pub async fn check(client: &DfsClient, file: &Written) {
    if !file.is_closed {
        if client.status(&file.path).await.unwrap().is_none() {
            assert_eq!(file.acknowledged, 0, "{} is gone", file.path);
            return;
        }
        close_by_recovery(client, &file.path).await;
    }
    let reader = client.open(&file.path).await.unwrap();
    let length = reader.len();
    assert!(length >= file.acknowledged, "{file:?} has only {length} bytes");
    assert!(
        !file.is_closed || length == file.acknowledged,
        "{file:?} has {length} bytes"
    );
    let bytes = reader.read_range(0..length).await.unwrap();
    assert!(bytes == content(file.seed, 0, length), "{file:?} has wrong bytes");
}

/// Takes the lease away from a writer that failed, and waits until the file is closed.
async fn close_by_recovery(client: &DfsClient, path: &str) {
    let deadline = Instant::now() + PATIENCE;
    while !client.recover_lease(path).await.unwrap() {
        assert!(Instant::now() < deadline, "the lease of {path} is not recovered");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Waits until every block has all its replicas.
pub async fn wait_for_full_replication(client: &DfsClient) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let stats = client.fs_stats().await.unwrap();
        if stats.under_replicated == 0 && stats.missing_blocks == 0 && stats.corrupt_blocks == 0 {
            return;
        }
        assert!(Instant::now() < deadline, "replication is not restored: {stats:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
