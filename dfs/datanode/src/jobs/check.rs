//! A check of all volumes at once, because somebody asked: `fsck` wants to name damage that no reader has met.
//!
//! 1. disk and memory are compared; whatever was touched is suspicious
//! 2. suspicious replicas are verified
//! 3. the others are, those first whose turn in the scanner's rounds comes next, until the time is up

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::watch;

use super::block_scan::Scanned;
use super::directory_scan::Pass;
use super::suspects::{self, Verdict};
use crate::node::Node;

/// Time of a check whose order names none.
const DEFAULT_BUDGET: Duration = Duration::from_secs(5);

/// One check at a time; those who ask during one get its result.
#[derive(Debug, Default)]
pub(crate) struct Checks {
    running: Mutex<Option<watch::Receiver<Option<u64>>>>,
}

/// Checks all volumes within about `budget` (zero: the default); answers how many replicas were verified. Damage has been pushed to
/// the reports when this returns. Steps 1 and 2 are done whatever their time; a shutdown ends all.
pub(crate) async fn check_volumes(node: &Arc<Node>, budget: Duration) -> u64 {
    let budget = if budget.is_zero() { DEFAULT_BUDGET } else { budget };
    let mut result = {
        let mut running = node.checking.running.lock();
        match &*running {
            Some(result) => result.clone(),
            None => running.insert(start(node, budget)).clone(),
        }
    };
    let verified = result.wait_for(Option::is_some).await;
    verified.map_or(0, |verified| verified.unwrap_or(0))
}

fn start(node: &Arc<Node>, budget: Duration) -> watch::Receiver<Option<u64>> {
    let (done, result) = watch::channel(None);
    let worker = Arc::clone(node);
    node.tasks.spawn_blocking(move || {
        let verified = check_now(&worker, Instant::now() + budget);
        *worker.checking.running.lock() = None;
        done.send_replace(Some(verified));
    });
    result
}

fn check_now(node: &Node, deadline: Instant) -> u64 {
    let mut pass = Pass::default();
    loop {
        match pass.next(node) {
            Ok(true) if !node.shutdown.is_cancelled() => {}
            Ok(_) => break,
            Err(error) => {
                tracing::warn!(%error, "directory scan was not completed");
                break;
            }
        }
    }
    let mut verified = 0;
    while let Some((id, stamp)) = node.suspects.pop() {
        verified += u64::from(suspects::verify(node, id, stamp) != Verdict::Moot);
    }
    // All volumes in turn, each until its round is over.
    let mut volumes: Vec<usize> = (0..node.dataset.volumes().len()).collect();
    while !volumes.is_empty() {
        volumes.retain(|&index| {
            if Instant::now() >= deadline || node.shutdown.is_cancelled() {
                return false;
            }
            let more = match node.scans[index].lock().next(node) {
                Ok(Scanned::Replica(_)) => true,
                Ok(Scanned::EndOfRound) => false,
                Err(error) => {
                    tracing::debug!(%error, "volume is not scanned");
                    return false;
                }
            };
            verified += u64::from(more);
            more
        });
    }
    verified
}
