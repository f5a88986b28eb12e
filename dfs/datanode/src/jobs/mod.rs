//! Background work: each piece is a [`Job`] that can be listed, is done in short steps, and stops between two of them.
//!
//! - [`suspects`]: verifies replicas that somebody found damaged, at once
//! - [`block_scan`]: verifies every replica every few weeks
//! - [`directory_scan`]: compares memory and disk every few hours
//! - [`volume_balance`]: evens out the volumes of this DataNode
//! - [`volume_check`]: gives up volumes whose disks fail
//! - [`deletion`]: removes replicas that the NameNode gave up
//!
//! [`check`] does the work of the first three at once, when an administrator asks.

pub(crate) mod block_scan;
pub(crate) mod check;
pub(crate) mod cursor;
pub(crate) mod deletion;
pub(crate) mod directory_scan;
pub(crate) mod suspects;
pub(crate) mod throttle;
pub(crate) mod volume_balance;
pub(crate) mod volume_check;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::node::Node;
use throttle::Throttle;

/// Pause of a job after a step that failed.
const AFTER_ERROR: Duration = Duration::from_secs(60);

/// How far a step got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    /// There is more to do; the step read or wrote this many bytes.
    More { bytes: u64 },
    /// Nothing to do until the time has passed or somebody wakes the job.
    Idle(Duration),
}

/// A piece of background work.
#[async_trait]
pub(crate) trait Job: Send + Sync {
    /// Does a little, in well under a second where the disk allows. An error is logged, and the job rests for a while.
    async fn step(&mut self, node: &Arc<Node>) -> crate::Result<Progress>;

    /// The limit that the bytes of all steps count against.
    fn throttle(&self) -> Option<Arc<Throttle>> {
        None
    }
}

/// A job's state, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobStatus {
    /// What it does.
    pub name: String,
    /// Whether it is at work now, and not waiting for its time.
    pub running: bool,
    /// Steps done since the start.
    pub steps: u64,
    /// Bytes read or written since the start.
    pub bytes: u64,
    /// The last failure, if a step has failed.
    pub last_error: Option<String>,
}

/// The jobs of one DataNode.
#[derive(Debug, Default)]
pub(crate) struct Jobs {
    slots: Mutex<Vec<Arc<Slot>>>,
}

#[derive(Debug)]
struct Slot {
    status: Mutex<JobStatus>,
}

impl Jobs {
    /// The states of all jobs, in the order of their start.
    pub(crate) fn list(&self) -> Vec<JobStatus> {
        self.slots
            .lock()
            .iter()
            .map(|slot| slot.status.lock().clone())
            .collect()
    }

    fn add(&self, name: String) -> Arc<Slot> {
        let status = JobStatus {
            name,
            running: false,
            steps: 0,
            bytes: 0,
            last_error: None,
        };
        let slot = Arc::new(Slot {
            status: Mutex::new(status),
        });
        self.slots.lock().push(Arc::clone(&slot));
        slot
    }
}

/// Starts all jobs of a DataNode; they end with it.
pub(crate) fn start(node: &Arc<Node>) {
    let wake = Arc::clone(&node.volume_failures.wake);
    spawn(node, "volume check", wake, volume_check::Check);
    spawn(node, "suspects", Arc::clone(&node.suspects.wake), suspects::Verify);
    spawn(node, "deletion", Arc::clone(&node.deletions.wake), deletion::Remove);
    spawn(node, "directory scan", Arc::default(), directory_scan::Scan::new());
    for (index, volume) in node.dataset.volumes().iter().enumerate() {
        let name = format!("block scan {}", volume.dir().display());
        spawn(node, &name, Arc::default(), block_scan::Rounds::new(index));
    }
    if node.dataset.volumes().len() > 1 {
        spawn(
            node,
            "volume balance",
            Arc::default(),
            volume_balance::Balance::new(node),
        );
    }
}

fn spawn(node: &Arc<Node>, name: &str, wake: Arc<Notify>, job: impl Job + 'static) {
    let slot = node.jobs.add(name.to_owned());
    node.tasks.spawn(run(Arc::clone(node), job, slot, wake));
}

async fn run(node: Arc<Node>, mut job: impl Job, slot: Arc<Slot>, wake: Arc<Notify>) {
    while !node.shutdown.is_cancelled() {
        slot.status.lock().running = true;
        let step = job.step(&node).await;
        if let Err(error) = &step {
            node.doubt_disks(error);
        }
        let progress = slot.note(step);
        let rest = async {
            match progress {
                Progress::More { bytes } => {
                    if let Some(throttle) = job.throttle() {
                        throttle.take(bytes).await;
                    }
                    tokio::task::yield_now().await;
                }
                Progress::Idle(pause) => {
                    let _ = tokio::time::timeout(pause, wake.notified()).await;
                }
            }
        };
        node.shutdown.run_until_cancelled(rest).await;
    }
}

impl Slot {
    fn note(&self, step: crate::Result<Progress>) -> Progress {
        let mut status = self.status.lock();
        status.steps += 1;
        let progress = step.unwrap_or_else(|error| {
            tracing::warn!(job = %status.name, %error, "background work failed; it goes on later");
            status.last_error = Some(error.to_string());
            Progress::Idle(AFTER_ERROR)
        });
        match progress {
            Progress::More { bytes } => status.bytes += bytes,
            Progress::Idle(_) => status.running = false,
        }
        progress
    }
}
