//! The directory scanner: what the disk holds and what memory believes, compared every few hours.
//!
//! | found | done |
//! |---|---|
//! | files gone | the replica is forgotten and reported as deleted |
//! | files of which nothing is known | the replica is taken in, reported, and verified |
//! | another length, checksums gone | reported as corrupt |
//! | written to since they were finalized or verified | verified at once |

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use quarry_dfs_wire::proto::dfs_v1::ReplicaChange;

use super::{Job, Progress};
use crate::error::Result;
use crate::node::Node;
use crate::replica::ReplicaState;
use crate::storage::reconcile::{Difference, Known};

/// Pause until the next look whether the volumes are in use.
const NOT_YET: Duration = Duration::from_secs(1);

/// A pass over all volumes, a directory at a time.
#[derive(Debug, Default)]
pub(crate) struct Pass {
    /// The next volume; its directories follow.
    volume: usize,
    dirs: Vec<PathBuf>,
    known: Known,
    in_volume: bool,
    differences: u64,
}

impl Pass {
    /// Compares the next directory; `false` when none is left. Blocks on the disk.
    pub(crate) fn next(&mut self, node: &Node) -> Result<bool> {
        let Some(volume) = node.dataset.volumes().get(self.volume) else {
            node.scanned.end_of_directory_scan(self.differences);
            return Ok(false);
        };
        if volume.layout().is_err() || volume.is_failed() {
            self.volume += 1;
            return Ok(true);
        }
        if !self.in_volume {
            self.known = node.dataset.known_on(self.volume);
            self.dirs = node.dataset.finalized_dirs(self.volume)?;
            self.in_volume = true;
        }
        let suspected = match self.dirs.pop() {
            Some(dir) => node.dataset.suspected_differences(self.volume, &dir, &mut self.known)?,
            None => {
                // What is left has not even a directory.
                self.in_volume = false;
                std::mem::take(&mut self.known).into_keys().collect()
            }
        };
        for id in suspected {
            if let Some(difference) = node.dataset.reconcile(self.volume, id)? {
                self.differences += 1;
                tell(node, difference);
            }
        }
        if !self.in_volume {
            self.volume += 1;
        }
        Ok(true)
    }
}

fn tell(node: &Node, difference: Difference) {
    tracing::warn!(?difference, "disk and memory differ");
    let report = |replica: &crate::storage::FinalizedReplica, change| {
        node.reports
            .push(&replica.storage_id, change, ReplicaState::Finalized, replica.block)
    };
    match difference {
        Difference::Missing(replica) => {
            report(&replica, ReplicaChange::Deleted);
        }
        Difference::Unknown(replica) => {
            report(&replica, ReplicaChange::Received);
            node.suspects.push(replica.block.id, replica.block.generation_stamp);
        }
        Difference::Damaged(replica, problem) => node.report_corrupt(replica.block.id, &problem),
        Difference::Touched(replica) => node.suspects.push(replica.block.id, replica.block.generation_stamp),
        Difference::Duplicate(_) => {}
    }
}

/// The job.
#[derive(Debug)]
pub(crate) struct Scan {
    pass: Option<Pass>,
    began: bool,
}

impl Scan {
    /// The first pass comes after one interval: the start has just read all directories.
    pub(crate) fn new() -> Self {
        Self {
            pass: None,
            began: false,
        }
    }
}

#[async_trait]
impl Job for Scan {
    async fn step(&mut self, node: &Arc<Node>) -> Result<Progress> {
        let interval = node.config.directory_scan_interval;
        if interval.is_zero() || node.membership().is_none() {
            return Ok(Progress::Idle(NOT_YET.max(interval)));
        }
        if !std::mem::replace(&mut self.began, true) {
            return Ok(Progress::Idle(interval));
        }
        let mut pass = self.pass.take().unwrap_or_default();
        let worker = Arc::clone(node);
        let (pass, more) = Node::blocking(move || {
            let more = pass.next(&worker);
            (pass, more)
        })
        .await;
        if more? {
            self.pass = Some(pass);
            return Ok(Progress::More { bytes: 0 });
        }
        Ok(Progress::Idle(interval))
    }
}
