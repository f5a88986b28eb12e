//! Which volumes failed, and what follows from it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use quarry_dfs_wire::proto::dfs_v1;
use tokio::sync::{Notify, watch};

use crate::error::{Error, Result};
use crate::jobs::cursor::now_unix_ms;
use crate::node::Node;

/// The failed volumes since the start, those included with which it could not start.
#[derive(Debug)]
pub(crate) struct VolumeFailures {
    failed: Mutex<Vec<Failure>>,
    /// Has the volumes looked at soon.
    pub(crate) wake: Arc<Notify>,
    /// The NameNode is to hear of it now, not with its turn.
    pub(crate) news: Notify,
    /// Why the DataNode cannot go on.
    pub(crate) fatal: watch::Sender<Option<String>>,
}

#[derive(Debug)]
struct Failure {
    dir: PathBuf,
    reason: String,
    unix_ms: u64,
    capacity: u64,
}

impl Default for VolumeFailures {
    fn default() -> Self {
        Self {
            failed: Mutex::default(),
            wake: Arc::default(),
            news: Notify::new(),
            fatal: watch::channel(None).0,
        }
    }
}

impl VolumeFailures {
    /// Notes a failure.
    pub(crate) fn add(&self, dir: &Path, reason: String, capacity: u64) {
        tracing::error!(dir = %dir.display(), reason, "volume has failed; its replicas are lost here");
        self.failed.lock().push(Failure {
            dir: dir.to_owned(),
            reason,
            unix_ms: now_unix_ms(),
            capacity,
        });
        self.news.notify_one();
    }

    /// What the NameNode is told; `None` when all is well.
    pub(crate) fn message(&self) -> Option<dfs_v1::VolumeFailures> {
        let failed = self.failed.lock();
        let last = failed.last()?;
        Some(dfs_v1::VolumeFailures {
            count: u32::try_from(failed.len()).unwrap_or(u32::MAX),
            failed_locations: failed.iter().map(|failure| failure.dir.display().to_string()).collect(),
            last_failure_unix_ms: last.unix_ms,
            capacity_lost: failed.iter().map(|failure| failure.capacity).sum(),
        })
    }

    /// Whether the DataNode may go on.
    ///
    /// # Errors
    /// `TooManyFailedVolumes` with all failures.
    pub(crate) fn check(&self, volumes: usize, tolerated: usize) -> Result<()> {
        let failed = self.failed.lock();
        if failed.len() <= tolerated && failed.len() < volumes {
            return Ok(());
        }
        let one = |failure: &Failure| format!("volume {} has failed: {}", failure.dir.display(), failure.reason);
        let all: Vec<String> = failed.iter().map(one).collect();
        Err(Error::TooManyFailedVolumes {
            detail: all.join("; "),
            tolerated,
        })
    }
}

impl Node {
    /// Has the volumes looked at if an error casts doubt on a disk.
    pub(crate) fn doubt_disks(&self, error: &Error) {
        if error.is_suspicious() {
            self.volume_failures.wake.notify_one();
        }
    }

    /// Gives a volume up, and the whole DataNode if that is one too many.
    pub(crate) fn fail_volume(&self, index: usize, reason: &str) {
        let volume = &self.dataset.volumes()[index];
        let lost = self.dataset.lose_volume(index);
        let reason = format!("{reason} ({lost} replicas lost)");
        self.volume_failures.add(volume.dir(), reason, volume.last_capacity());
        let (dirs, tolerated) = (self.config.dirs.len(), self.config.failed_volumes_tolerated);
        if let Err(error) = self.volume_failures.check(dirs, tolerated) {
            tracing::error!(%error, "this DataNode cannot go on and stops");
            self.volume_failures.fatal.send_replace(Some(error.to_string()));
            self.shutdown.cancel();
        }
    }
}
