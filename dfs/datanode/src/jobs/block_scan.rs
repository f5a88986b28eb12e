//! The block scanner: every replica of a volume is read and verified once in a period, in the order of the block ids.
//!
//! HDFS's defaults: once in three weeks, at 1 MiB/s per volume. The place is kept over restarts.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use quarry_dfs_wire::block::BlockId;

use super::cursor::{Cursor, now_unix_ms};
use super::suspects::{self, Verdict};
use super::throttle::Throttle;
use super::{Job, Progress};
use crate::error::Result;
use crate::node::Node;
use crate::replica::Replica;

/// Replicas that are listed at a time.
const BATCH: usize = 1000;
/// How often the place is written down.
const SAVE_EVERY: Duration = Duration::from_secs(60);
/// Longest sleep until the next look whether it is time, or whether the volume is in use at all.
const LONGEST_PAUSE: Duration = Duration::from_secs(600);

/// The scan of one volume.
#[derive(Debug)]
pub(crate) struct VolumeScan {
    volume: usize,
    /// `None` until the volume belongs to a pool.
    cursor: Option<Cursor>,
    saved: Instant,
    batch: Vec<Replica>,
}

/// What came next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scanned {
    /// A replica of this many bytes was read.
    Replica(u64),
    /// The round is over.
    EndOfRound,
}

impl VolumeScan {
    /// A scan that has not begun.
    pub(crate) fn new(volume: usize) -> Self {
        Self {
            volume,
            cursor: None,
            saved: Instant::now(),
            batch: Vec::new(),
        }
    }

    /// Verifies the next replica of the round: of those on the volume the one that was verified longest ago. Blocks on the
    /// disk.
    pub(crate) fn next(&mut self, node: &Node) -> Result<Scanned> {
        let path = self.path(node)?;
        let cursor = self.cursor.get_or_insert_with(|| Cursor::load(&path));
        if cursor.began_unix_ms == 0 || cursor.done {
            *cursor = Cursor {
                began_unix_ms: now_unix_ms(),
                ..Cursor::default()
            };
        }
        if self.batch.is_empty() {
            self.batch = node.dataset.finalized_after(self.volume, cursor.last, BATCH);
            self.batch.reverse();
        }
        let Some(replica) = self.batch.pop() else {
            cursor.done = true;
            cursor.last = BlockId(0);
            node.scanned.end_of_round();
            self.save(&path)?;
            return Ok(Scanned::EndOfRound);
        };
        cursor.last = replica.id;
        let verdict = suspects::verify(node, replica.id, replica.generation_stamp);
        if self.saved.elapsed() >= SAVE_EVERY {
            self.save(&path)?;
        }
        Ok(Scanned::Replica(match verdict {
            Verdict::Moot => 0,
            Verdict::Good | Verdict::Corrupt => replica.on_disk,
        }))
    }

    /// Time until the next round, if the last one is over.
    fn rest(&mut self, node: &Node) -> Result<Duration> {
        let path = self.path(node)?;
        let cursor = self.cursor.get_or_insert_with(|| Cursor::load(&path));
        if !cursor.done {
            return Ok(Duration::ZERO);
        }
        let due = Duration::from_millis(cursor.began_unix_ms) + node.config.block_scan_period;
        Ok(due.saturating_sub(Duration::from_millis(now_unix_ms())))
    }

    fn save(&mut self, path: &std::path::Path) -> Result<()> {
        self.saved = Instant::now();
        self.cursor.unwrap_or_default().store(path)
    }

    fn path(&self, node: &Node) -> Result<PathBuf> {
        Ok(node.dataset.volumes()[self.volume].layout()?.scanner_cursor())
    }
}

/// The job.
#[derive(Debug)]
pub(crate) struct Rounds {
    volume: usize,
    throttle: Option<Arc<Throttle>>,
}

impl Rounds {
    /// Rounds over one volume.
    pub(crate) fn new(volume: usize) -> Self {
        Self { volume, throttle: None }
    }
}

#[async_trait]
impl Job for Rounds {
    async fn step(&mut self, node: &Arc<Node>) -> Result<Progress> {
        let rate = node.config.block_scan_bytes_per_second.as_u64();
        self.throttle.get_or_insert_with(|| Arc::new(Throttle::new(rate)));
        let volume = &node.dataset.volumes()[self.volume];
        if node.config.block_scan_period.is_zero() || volume.layout().is_err() || volume.is_failed() {
            return Ok(Progress::Idle(
                LONGEST_PAUSE.min(node.config.block_scan_period.max(Duration::from_secs(1))),
            ));
        }
        let (worker, index) = (Arc::clone(node), self.volume);
        Node::blocking(move || {
            let mut scan = worker.scans[index].lock();
            let rest = scan.rest(&worker)?;
            if !rest.is_zero() {
                return Ok(Progress::Idle(rest.min(LONGEST_PAUSE)));
            }
            Ok(match scan.next(&worker)? {
                Scanned::Replica(bytes) => Progress::More { bytes },
                Scanned::EndOfRound => Progress::More { bytes: 0 },
            })
        })
        .await
    }

    fn throttle(&self) -> Option<Arc<Throttle>> {
        self.throttle.clone()
    }
}
