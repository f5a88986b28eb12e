//! Replicas that somebody found damaged are verified at once, before the scanner's own rounds.
//!
//! Somebody's word is not enough: a reader with bad memory must not make the NameNode give up good replicas.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use quarry_dfs_wire::block::{BlockId, GenerationStamp};
use tokio::sync::Notify;

use super::{Job, Progress};
use crate::error::{Error, Result};
use crate::node::Node;
use crate::replica::ReplicaState;
use crate::storage::disk;
use crate::storage::reader::ReadError;

/// Suspects that wait; more are dropped, and found again by whoever reads them next or by the scanner.
const MAX_WAITING: usize = 100_000;
/// Bytes that are verified between two looks at the shutdown.
pub(crate) const VERIFY_SPAN: u64 = 1 << 20;
/// The job is woken for each suspect; this is for those that came while it was ending.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

/// Replicas to verify, each once however many readers report it.
#[derive(Debug, Default)]
pub(crate) struct Suspects {
    waiting: Mutex<Waiting>,
    pub(crate) wake: Arc<Notify>,
}

#[derive(Debug, Default)]
struct Waiting {
    queue: VecDeque<(BlockId, GenerationStamp)>,
    ids: HashSet<BlockId>,
}

impl Suspects {
    /// Has a replica verified soon.
    pub(crate) fn push(&self, id: BlockId, stamp: GenerationStamp) {
        let mut waiting = self.waiting.lock();
        if waiting.queue.len() < MAX_WAITING && waiting.ids.insert(id) {
            waiting.queue.push_back((id, stamp));
            drop(waiting);
            self.wake.notify_one();
        }
    }

    /// The next one. It may be pushed again from now on: what is read after this counts.
    pub(crate) fn pop(&self) -> Option<(BlockId, GenerationStamp)> {
        let mut waiting = self.waiting.lock();
        let next = waiting.queue.pop_front()?;
        waiting.ids.remove(&next.0);
        Some(next)
    }
}

/// What a verification brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Every byte matches its checksum.
    Good,
    /// It was reported to the NameNode as corrupt.
    Corrupt,
    /// It is gone, or somebody writes to it: there is nothing to say.
    Moot,
}

/// Verifies a replica from its first to its last byte and reports damage. Blocks on the disk.
pub(crate) fn verify(node: &Node, id: BlockId, stamp: GenerationStamp) -> Verdict {
    let Ok(seen) = node.dataset.replica(id) else {
        return Verdict::Moot;
    };
    if seen.state != ReplicaState::Finalized {
        return Verdict::Moot;
    }
    let fingerprint = node.dataset.fingerprint_now(id);
    let outcome = match node.dataset.open_for_read(id, stamp) {
        Ok(replica) => {
            let mut at = 0;
            loop {
                if at >= replica.length {
                    break Ok(());
                }
                if node.shutdown.is_cancelled() {
                    return Verdict::Moot;
                }
                match replica.verify_from(at, VERIFY_SPAN) {
                    Ok(next) => at = next,
                    Err(error) => {
                        if matches!(&error, ReadError::Io(error) if disk::is_suspicious(error)) {
                            node.volume_failures.wake.notify_one();
                        }
                        break Err(error.to_string());
                    }
                }
            }
        }
        Err(Error::Replica(_) | Error::NotRegistered) => return Verdict::Moot,
        Err(error) => Err(error.to_string()),
    };
    // A replica that was reopened or removed meanwhile has changed under the verification.
    if node.dataset.replica(id) != Ok(seen) {
        return Verdict::Moot;
    }
    node.scanned.count(seen.on_disk);
    match outcome {
        Ok(()) => {
            node.dataset.set_verified(&seen, fingerprint);
            Verdict::Good
        }
        Err(problem) => {
            node.report_corrupt(id, &problem);
            Verdict::Corrupt
        }
    }
}

/// The job.
#[derive(Debug)]
pub(crate) struct Verify;

#[async_trait]
impl Job for Verify {
    async fn step(&mut self, node: &Arc<Node>) -> Result<Progress> {
        let Some((id, stamp)) = node.suspects.pop() else {
            return Ok(Progress::Idle(LOOK_AGAIN));
        };
        let worker = Arc::clone(node);
        Node::blocking(move || verify(&worker, id, stamp)).await;
        Ok(Progress::More { bytes: 0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suspect_waits_once_however_often_it_is_reported() {
        let suspects = Suspects::default();
        for id in [7, 8, 7] {
            suspects.push(BlockId(id), GenerationStamp(1));
        }
        let taken: Vec<_> = std::iter::from_fn(|| suspects.pop()).map(|(id, _)| id.0).collect();
        assert_eq!(taken, [7, 8]);
        suspects.push(BlockId(7), GenerationStamp(1));
        assert!(
            suspects.pop().is_some(),
            "what is reported after it was taken counts again"
        );
    }
}
