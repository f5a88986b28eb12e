//! Replicas that the NameNode gave up are removed one after the other, whatever number it names at once.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use quarry_dfs_wire::block::Block;
use quarry_dfs_wire::proto::dfs_v1::ReplicaChange;
use tokio::sync::Notify;

use super::{Job, Progress};
use crate::error::{Error, Result};
use crate::node::Node;
use crate::replica::{ReplicaError, ReplicaState};

/// Deletions that wait; the NameNode repeats what is dropped, with the next full report at the latest.
const MAX_WAITING: usize = 1_000_000;
const LOOK_AGAIN: Duration = Duration::from_secs(60);

/// Replicas to remove.
#[derive(Debug, Default)]
pub(crate) struct Deletions {
    queue: Mutex<VecDeque<Block>>,
    pub(crate) wake: Arc<Notify>,
}

impl Deletions {
    /// Has replicas removed soon.
    pub(crate) fn push(&self, blocks: impl IntoIterator<Item = Block>) {
        let mut queue = self.queue.lock();
        let room = MAX_WAITING.saturating_sub(queue.len());
        queue.extend(blocks.into_iter().take(room));
        drop(queue);
        self.wake.notify_one();
    }
}

/// The job.
#[derive(Debug)]
pub(crate) struct Remove;

#[async_trait]
impl Job for Remove {
    async fn step(&mut self, node: &Arc<Node>) -> Result<Progress> {
        let next = node.deletions.queue.lock().pop_front();
        let Some(block) = next else {
            return Ok(Progress::Idle(LOOK_AGAIN));
        };
        delete(node, block).await;
        Ok(Progress::More { bytes: 0 })
    }
}

async fn delete(node: &Arc<Node>, block: Block) {
    let timeout = node.config.stop_writer_timeout;
    if let Err(error) = node.dataset.stop_writer(block.id, timeout).await {
        return tracing::warn!(%block, %error, "replica was not deleted");
    }
    let stamp = block.generation_stamp;
    let worker = Arc::clone(node);
    match Node::blocking(move || worker.dataset.delete(block.id, stamp)).await {
        Ok(Some(gone)) => {
            let (change, state) = (ReplicaChange::Deleted, ReplicaState::Finalized);
            node.reports.push(&gone.storage_id, change, state, gone.block);
        }
        Ok(None) => report_absent(node, block),
        Err(Error::Replica(error @ ReplicaError::GenerationStamp { .. })) => {
            tracing::info!(%block, %error, "replica is newer than the one to delete; kept");
        }
        Err(error) => tracing::warn!(%block, %error, "replica was not deleted"),
    }
}

/// The NameNode believes in a replica that is not here: say so, or it would ask again for ever.
fn report_absent(node: &Node, block: Block) {
    for volume in node.dataset.volumes() {
        let (change, state) = (ReplicaChange::Deleted, ReplicaState::Finalized);
        node.reports.push(volume.storage_id(), change, state, block);
    }
}
